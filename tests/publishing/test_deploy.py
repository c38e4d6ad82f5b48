"""A site becomes one commit on its branch, and nothing else of the repository or its remote changes unasked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.publishing import published
from generator.publishing.deploy import SIGNED, Deployed, deploy
from generator.publishing.writer import place

if shutil.which("git") is None:
    pytest.skip("needs git: it is not installed", allow_module_level=True)

FILES = {"index.html": b'<!doctype html><title>t</title><a href="a b.html">a</a>', "a b.html": b"<p>", ".nojekyll": b""}


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No git setting of this machine is read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in (
        "GIT_DIR",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "EMAIL",
    ):
        monkeypatch.delenv(name, raising=False)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "the remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], check=True)
    return folder


def clone(tmp_path: Path, remote: Path, name: str) -> Path:
    folder = tmp_path / name
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    git(folder, "config", "user.name", "A. Author")
    git(folder, "config", "user.email", "author@example.org")
    git(folder, "remote", "add", "origin", str(remote))
    (folder / "report.toml").write_text("")
    git(folder, "add", "report.toml")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


@pytest.fixture
def repository(tmp_path: Path, remote: Path) -> Path:
    return clone(tmp_path, remote, "mine")


def site(folder: Path, **changes: bytes) -> published.Published:
    """A built site; its own name for each content, since a build replaces the whole."""
    shutil.rmtree(folder / "site", ignore_errors=True)
    place({**FILES, **{f"{name}.html": data for name, data in changes.items()}}, folder / "site", {"inputs": "1"})
    return published.read(folder / "site")


def tree(folder: Path, branch: str = "gh-pages") -> set[str]:
    listed = git(folder, "ls-tree", "-r", "--name-only", "-z", branch)
    return set(listed.strip("\0").split("\0"))


def linked(text: bytes) -> bytes:
    """A first page that leads to every file."""
    return FILES["index.html"] + text


def test_the_files_of_the_site_are_the_branch(repository: Path) -> None:
    (repository / "site").mkdir()
    made = site(repository)
    (repository / "site" / "notes.txt").write_text("mine")
    done = deploy(made, repository)
    assert done == Deployed(
        "gh-pages",
        3,
        git(repository, "rev-parse", "--short=10", "gh-pages"),
        True,
        False,
        "the same command and --push",
        done.note,
    )
    assert tree(repository) == set(FILES)
    assert git(repository, "cat-file", "blob", "gh-pages:index.html") == FILES["index.html"].decode()
    assert git(repository, "log", "-1", "--format=%an %ae %B", "gh-pages").split("\n")[0] == (
        "A. Author author@example.org The report, deployed"
    )
    assert SIGNED in git(repository, "log", "-1", "--format=%B", "gh-pages")


def test_nothing_is_pushed_unasked(repository: Path, remote: Path) -> None:
    deploy(site(repository), repository)
    assert git(remote, "branch", "--list") == ""


def test_it_is_pushed_when_asked(repository: Path, remote: Path) -> None:
    assert deploy(site(repository), repository, push=True).pushed
    assert tree(remote) == set(FILES)
    assert git(remote, "rev-parse", "gh-pages") == git(repository, "rev-parse", "gh-pages")
    assert git(remote, "branch", "--list", "--format=%(refname:short)") == "gh-pages"


def test_a_dirty_working_tree_stays_as_it_is(repository: Path) -> None:
    (repository / "report.toml").write_text("changed")
    (repository / "new.txt").write_text("new")
    (repository / "staged.txt").write_text("staged")
    git(repository, "add", "staged.txt")
    made = site(repository)
    before = git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")
    deploy(made, repository, push=True)
    assert (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")) == before
    assert git(repository, "branch", "--show-current") == "main"


def test_the_next_deploy_follows_the_last_and_drops_old_files(repository: Path, remote: Path) -> None:
    first = deploy(site(repository, index=linked(b"<a href='old.html'>o</a>"), old=b"<p>"), repository, push=True)
    second = deploy(site(repository, index=linked(b"<a href='new.html'>n</a>"), new=b"<p>"), repository, push=True)
    assert tree(remote) == {*FILES, "new.html"}
    assert git(remote, "rev-list", "--count", "gh-pages") == "2"
    assert git(remote, "rev-parse", "--short=10", "gh-pages~1") == first.commit
    assert second.new


def test_the_same_site_makes_no_commit(repository: Path, remote: Path) -> None:
    first = deploy(site(repository), repository)
    again = deploy(site(repository), repository, push=True)
    assert (again.new, again.commit, again.pushed) == (False, first.commit, True)
    assert git(remote, "rev-list", "--count", "gh-pages") == "1"


def test_two_machines_deploy_in_turn(tmp_path: Path, repository: Path, remote: Path) -> None:
    other = clone(tmp_path, remote, "other")
    deploy(site(repository), repository, push=True)
    deploy(site(other, index=linked(b"2")), other, push=True)
    deploy(site(repository, index=linked(b"3")), repository, push=True)
    assert git(remote, "rev-list", "--count", "gh-pages") == "3"
    assert git(remote, "cat-file", "blob", "gh-pages:index.html").endswith("3")


def built_for(address: str) -> bytes:
    return FILES["index.html"] + f'<link rel="canonical" href="{address}/index.html">'.encode()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("git@github.com:Me/report.git", "https://me.github.io/report"),
        ("https://github.com/me/report", "https://me.github.io/report"),
        ("https://token@github.com/me/my.report.git/", "https://me.github.io/my.report"),
        ("ssh://git@GitHub.com:22/me/report.git", "https://me.github.io/report"),
        ("https://github.com/Me/me.github.io.git", "https://me.github.io"),
        ("git@gitlab.com:me/report.git", "https://me.gitlab.io/report"),
    ],
)
def test_a_site_for_another_address_than_its_remotes_is_noted(repository: Path, url: str, address: str) -> None:
    git(repository, "remote", "set-url", "origin", url)
    assert deploy(site(repository, index=built_for(address)), repository).note == ""
    assert deploy(site(repository, index=built_for("https://example.org/x")), repository).note == (
        f"the site was built for https://example.org/x, its branch is usually published at {address}; "
        f"if so: --base-url {address}"
    )
    assert deploy(site(repository), repository).note == (
        "the site does not know its address, so it has no sitemap and no social card; "
        f"build it with: --base-url {address}"
    )


@pytest.mark.parametrize(
    "url", ["/srv/git/report.git", "https://example.org/github.com/me/report", "git@github.com:me"]
)
def test_what_a_remote_does_not_tell_is_not_guessed(repository: Path, url: str) -> None:
    git(repository, "remote", "set-url", "origin", url)
    assert deploy(site(repository, index=built_for("https://example.org/x")), repository).note == ""
    assert deploy(site(repository), repository).note.endswith("--base-url URL")


def test_a_domain_of_ones_own_is_the_address(repository: Path) -> None:
    git(repository, "remote", "set-url", "origin", "git@github.com:me/report.git")
    deploy(site(repository), repository)
    git(repository, "checkout", "--quiet", "gh-pages")
    (repository / "CNAME").write_text("CNN.example.org\n")
    git(repository, "add", "CNAME")
    git(repository, "commit", "--quiet", "--message=Create CNAME")
    git(repository, "checkout", "--quiet", "main")
    assert deploy(site(repository), repository).note.endswith("--base-url https://cnn.example.org")
    assert tree(repository) == {*FILES, "CNAME"}


def test_another_branch_and_remote(repository: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(second)], check=True)
    git(repository, "remote", "add", "second", str(second))
    deploy(site(repository), repository, "pages/live", "second", push=True)
    assert tree(second, "pages/live") == set(FILES)


def test_any_folder_of_the_repository_will_do(repository: Path) -> None:
    (repository / "reports" / "cnn").mkdir(parents=True)
    here = Path.cwd()
    deploy(site(repository), repository / "reports" / "cnn")
    assert tree(repository) == set(FILES)
    assert Path.cwd() == here


def test_a_broken_site_is_refused(repository: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=r"expected a site without faults, found 1, such as .*; nothing was published"):
        deploy(site(repository, index=b'<a href="nowhere/at/all.php">x</a>'), repository, say=said.append)
    assert said == ["index.html: nowhere/at/all.php leads nowhere; mend the address or remove it"]
    assert git(repository, "branch", "--list", "gh-pages") == ""


def test_a_changed_site_is_refused(repository: Path) -> None:
    made = site(repository)
    (repository / "site" / "index.html").write_text("mine")
    with pytest.raises(InputError, match="it was changed"):
        deploy(published.read(made.folder), repository)
    assert git(repository, "branch", "--list", "gh-pages") == ""


def somebodys(repository: Path, path: str = "home.html", branch: str = "gh-pages") -> str:
    """A branch with one file that no deploy made; its commit."""
    git(repository, "checkout", "--quiet", "--orphan", branch)
    (repository / path).write_text("mine")
    git(repository, "add", path)
    git(repository, "commit", "--quiet", "--message=mine")
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "--force", "main")
    return commit


@pytest.mark.parametrize("where", ["here", "there"])
def test_somebodys_branch_is_not_replaced_unless_told(repository: Path, remote: Path, where: str) -> None:
    commit = somebodys(repository)
    if where == "there":
        git(repository, "push", "--quiet", "origin", "gh-pages")
        git(repository, "branch", "--delete", "--force", "gh-pages")
    with pytest.raises(InputError) as caught:
        deploy(site(repository), repository, push=where == "there")
    assert str(caught.value) == (
        "branch gh-pages: expected the files of earlier deploys alone, found 'home.html', which is somebody's; "
        "choose another --branch, or replace all that is on it: --force"
    )
    assert git(repository if where == "here" else remote, "rev-parse", "gh-pages") == commit
    deploy(site(repository), repository, push=where == "there", force=True)
    assert tree(repository) == set(FILES)
    assert git(repository, "rev-parse", "gh-pages~1") == commit  # it is still in the history


def test_a_file_that_was_added_to_a_deploy_is_not_lost(repository: Path, remote: Path, tmp_path: Path) -> None:
    deploy(site(repository), repository, push=True)
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", "--branch=gh-pages", str(remote), str(other)], check=True)
    (other / "mine.html").write_text("mine")
    git(other, "add", "mine.html")
    git(other, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=mine")
    git(other, "push", "--quiet")
    with pytest.raises(InputError, match=r"found 'mine\.html', which is somebody's"):
        deploy(site(repository, index=linked(b"2")), repository, push=True)
    assert "mine.html" in tree(remote)


def test_the_domain_that_a_host_wrote_is_kept(repository: Path, remote: Path, tmp_path: Path) -> None:
    deploy(site(repository), repository, push=True)
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", "--branch=gh-pages", str(remote), str(other)], check=True)
    (other / "CNAME").write_text("cnn.example.org\n")
    git(other, "add", "CNAME")
    git(other, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=Create CNAME")
    git(other, "push", "--quiet")
    deploy(site(repository, index=linked(b"2")), repository, push=True)
    assert tree(remote) == {*FILES, "CNAME"}
    assert git(remote, "cat-file", "blob", "gh-pages:CNAME") == "cnn.example.org"


def test_outside_a_repository_is_told(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "plain").mkdir()
    for folder in (tmp_path / "plain", tmp_path / "none"):
        with pytest.raises(InputError) as caught:
            deploy(site(repository), folder)
        assert str(caught.value) == f"{folder}: expected a git repository, this is none; make it one with: git init"


def test_without_git_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="expected the program git, it is not installed"):
        deploy(site(repository), repository)


def test_without_the_remote_is_told_only_where_it_is_needed(repository: Path) -> None:
    git(repository, "remote", "remove", "origin")
    done = deploy(site(repository), repository)
    assert done.onward == "git remote add origin ADDRESS, then the same command and --push"
    before = git(repository, "rev-parse", "gh-pages")
    with pytest.raises(InputError) as caught:
        deploy(site(repository, index=linked(b"2")), repository, push=True)
    assert str(caught.value) == (
        "--remote: expected one of this repository's remotes (none), got 'origin'; "
        "add it with: git remote add origin ADDRESS"
    )
    assert git(repository, "rev-parse", "gh-pages") == before


def test_a_remote_that_is_not_there_is_told(repository: Path, remote: Path) -> None:
    shutil.rmtree(remote)
    with pytest.raises(InputError, match=r"^--remote origin: expected to reach it, got: .*; nothing was published$"):
        deploy(site(repository), repository, push=True)
    assert git(repository, "branch", "--list", "gh-pages") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a hook that the system runs")
def test_a_rejected_push_is_told_and_the_commit_kept(repository: Path, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'no deploys on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(InputError) as caught:
        deploy(site(repository), repository, push=True)
    assert str(caught.value) == (
        "--push: origin did not take branch gh-pages (! [remote rejected] gh-pages -> gh-pages (pre-receive hook "
        "declined)); the commit is kept on the branch here; mend that and deploy again"
    )
    assert tree(repository) == set(FILES)
    hook.unlink()
    assert deploy(site(repository), repository, push=True).pushed


def test_the_branch_that_is_checked_out_is_refused(repository: Path) -> None:
    with pytest.raises(InputError, match="--branch: expected one that is not checked out, got 'main'"):
        deploy(site(repository), repository, "main", force=True)


@pytest.mark.parametrize(
    "branch", ["", "-f", "a b", "a..b", "refs/", "a~1", "ü:b", "@{x}", "@{-1}", "-", "--", "-x", "HEAD", "a\nb"]
)
def test_a_name_that_is_no_branch_is_told(repository: Path, branch: str) -> None:
    git(repository, "checkout", "--quiet", "-b", "second")  # so that @{-1} is main
    with pytest.raises(InputError, match="--branch: expected the name of a branch"):
        deploy(site(repository), repository, branch)


@pytest.mark.parametrize(("there", "wanted"), [("gh-pages", "gh-pages/x"), ("gh-pages/x", "gh-pages")])
def test_branches_that_git_cannot_have_side_by_side_are_told(
    repository: Path, there: str, wanted: str, capfd: pytest.CaptureFixture[str]
) -> None:
    deploy(site(repository), repository, there)
    with pytest.raises(InputError) as caught:
        deploy(site(repository), repository, wanted)
    assert str(caught.value) == (
        f"--branch: expected one that can be beside branch {there!r}, git allows no {wanted!r} there; choose another"
    )
    assert capfd.readouterr() == ("", "")  # not a word of git's own
    deploy(site(repository), repository, f"{there}-x")


@pytest.mark.parametrize("key", ["user.name", "user.email"])
def test_an_unknown_committer_is_told(repository: Path, key: str) -> None:
    git(repository, "config", "--unset", key)
    with pytest.raises(InputError) as caught:
        deploy(site(repository), repository)
    assert str(caught.value) == (
        f'git: expected to know who commits, {key} is not set; set it with: git config {key} "..."'
    )


def test_a_committer_that_git_refuses_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "yesterday or so")
    with pytest.raises(InputError, match="expected to know who commits, got: fatal: invalid date format: yesterday"):
        deploy(site(repository), repository)
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "<>")
    with pytest.raises(InputError, match="expected to know who commits, got: fatal: name consists only of disallowed"):
        deploy(site(repository), repository)


def test_the_committer_of_the_environment_commits(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository, "config", "--unset", "user.name")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Robot ü")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody whose commit a hook is about")
    deploy(site(repository), repository)
    assert git(repository, "log", "-1", "--format=%an, %cn, %ce", "gh-pages") == "Robot ü, Robot ü, author@example.org"


def everything(repository: Path) -> tuple[str, ...]:
    """All that a deploy could change in a repository, but for its objects."""
    index = repository / ".git" / "index"
    return (
        git(repository, "for-each-ref"),
        git(repository, "status", "--porcelain", "--untracked-files=all"),
        (repository / ".git" / "HEAD").read_text(),
        (repository / ".git" / "config").read_text(),
        index.read_bytes().hex(),
    )


@pytest.mark.parametrize("variables", [
    {"GIT_DIR": ".git"},
    {"GIT_DIR": ".git", "GIT_WORK_TREE": "."},
    {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_PREFIX": ""},
    {"GIT_COMMON_DIR": ".git"},
    {"GIT_DIR": ".git", "GIT_OBJECT_DIRECTORY": ".git/objects"},
    {"GIT_OBJECT_DIRECTORY": ".git/objects", "GIT_QUARANTINE_PATH": ".git/objects"},
    {"GIT_ALTERNATE_OBJECT_DIRECTORIES": ".git/objects"},
    {"GIT_NAMESPACE": "elsewhere"},
    {"GIT_CONFIG_PARAMETERS": "'remote.origin.url'='/nowhere' 'core.bare'='true'"},
    {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "remote.origin.url", "GIT_CONFIG_VALUE_0": "/nowhere"},
    {"GIT_DIR": "nowhere"},
    {"GIT_SHALLOW_FILE": "nowhere", "GIT_GRAFT_FILE": "nowhere", "GIT_REPLACE_REF_BASE": "refs/heads/"},
])  # fmt: skip
def test_called_by_a_hook_of_another_repository_it_stays_in_its_own(
    tmp_path: Path, repository: Path, remote: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    there = tmp_path / "there.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(there)], check=True)
    other = clone(tmp_path, there, "other")
    made = site(repository)
    before = everything(other)
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, str(other / value) if value.startswith((".", "nowhere")) else value)
        done = deploy(made, repository, push=True)
    assert tree(repository) == tree(remote) == set(FILES)
    assert git(remote, "rev-parse", "--short=10", "refs/heads/gh-pages") == done.commit
    assert everything(other) == before
    assert git(there, "for-each-ref") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a hook that the system runs")
def test_a_real_hook_of_another_repositorys_worktree(tmp_path: Path, repository: Path, remote: Path) -> None:
    other = clone(tmp_path, remote, "other")
    git(other, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    made = site(repository)
    program = tmp_path / "hook.py"
    program.write_text(
        f"import sys; sys.path[:0] = [{str(Path.cwd())!r}]\n"
        "from pathlib import Path; from generator.publishing import published\n"
        "from generator.publishing.deploy import deploy\n"
        f"deploy(published.read(Path({str(made.folder)!r})), Path({str(repository)!r}))\n"
    )
    hook = other / ".git" / "hooks" / "post-commit"
    hook.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{program}'\n")
    hook.chmod(0o755)
    git(tmp_path / "side", "commit", "--quiet", "--allow-empty", "--message=second")
    assert tree(repository) == set(FILES)
    assert git(other, "branch", "--list", "gh-pages") == ""


@pytest.mark.parametrize("depth", [(), ("--depth=1",)])
def test_what_it_says_next_works_in_a_clone_of_one_branch(
    tmp_path: Path, repository: Path, remote: Path, depth: tuple[str, ...]
) -> None:
    git(repository, "push", "--quiet", "origin", "main")
    deploy(site(repository), repository, push=True)
    here = tmp_path / "one branch"
    subprocess.run(
        ["git", "clone", "--quiet", "--single-branch", "--branch=main", *depth, remote.as_uri(), str(here)], check=True
    )
    git(here, "config", "user.name", "CI")
    git(here, "config", "user.email", "ci@example.org")
    made = site(here, index=linked(b"2"))
    done = deploy(made, here)
    assert done.onward == "the same command and --push"
    assert deploy(made, here, push=True).pushed
    assert git(remote, "cat-file", "blob", "gh-pages:index.html").endswith("2")
    # The commit of the first command is kept, beside that which was there.
    assert git(remote, "rev-list", "--count", "gh-pages") == "3"


def test_commits_that_were_never_pushed_are_not_lost(tmp_path: Path, repository: Path, remote: Path) -> None:
    deploy(site(repository), repository, push=True)
    other = clone(tmp_path, remote, "other")
    deploy(site(other, index=linked(b"2")), other, push=True)
    mine = git(repository, "rev-parse", deploy(site(repository, index=linked(b"3")), repository).commit)
    last = deploy(site(repository, index=linked(b"4")), repository, push=True)
    assert mine in git(remote, "rev-list", last.commit).split()
    assert git(remote, "rev-list", "--count", "gh-pages") == "4"  # 1, then 2 beside 3, then 4 that joins them


def test_somebodys_files_are_seen_from_any_folder_and_with_any_setting(repository: Path) -> None:
    (repository / "reports").mkdir()
    deploy(site(repository), repository)
    git(repository, "checkout", "--quiet", "gh-pages")
    (repository / "mine.html").write_text("mine")
    git(repository, "add", "mine.html")
    git(repository, "commit", "--quiet", "--message=mine")
    git(repository, "checkout", "--quiet", "main")
    git(repository, "config", "diff.relative", "true")
    with pytest.raises(InputError, match=r"found 'mine\.html', which is somebody's"):
        deploy(site(repository, index=linked(b"2")), repository / "reports")
    somebodys(repository, branch="elsewhere")
    with pytest.raises(InputError, match=r"found 'home\.html', which is somebody's"):
        deploy(site(repository), repository / "reports", "elsewhere")


def test_a_shallow_clone_that_cannot_see_earlier_deploys_is_told(
    tmp_path: Path, repository: Path, remote: Path
) -> None:
    deploy(site(repository), repository)
    git(repository, "checkout", "--quiet", "gh-pages")
    (repository / "CNAME").write_text("cnn.example.org\n")
    git(repository, "add", "CNAME")
    git(repository, "commit", "--quiet", "--message=Create CNAME")
    git(repository, "push", "--quiet", "origin", "gh-pages")
    here = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", "--branch=gh-pages", remote.as_uri(), str(here)], check=True
    )
    git(here, "config", "user.name", "CI")
    git(here, "config", "user.email", "ci@example.org")
    git(here, "checkout", "--quiet", "--detach")
    with pytest.raises(InputError, match="this clone is shallow; get them with: git fetch --unshallow"):
        deploy(site(here, index=linked(b"2")), here)
    git(here, "fetch", "--quiet", "--unshallow")
    deploy(site(here, index=linked(b"2")), here)
    assert tree(here) == {*FILES, "CNAME"}


def test_a_domain_is_kept_to_the_byte(repository: Path) -> None:
    domain = b"caf\xe9.example.org\r\n"
    deploy(site(repository), repository)
    git(repository, "checkout", "--quiet", "gh-pages")
    (repository / "CNAME").write_bytes(domain)
    git(repository, "add", "CNAME")
    git(repository, "commit", "--quiet", "--message=Create CNAME")
    git(repository, "checkout", "--quiet", "main")
    deploy(site(repository, index=linked(b"2")), repository)
    shown = subprocess.run(["git", "-C", str(repository), "show", "gh-pages:CNAME"], capture_output=True, check=True)
    assert shown.stdout == domain


def test_a_domain_that_was_given_up_does_not_come_back(tmp_path: Path, repository: Path, remote: Path) -> None:
    """It is still on the branch here, which the remote's has left behind."""
    deploy(site(repository), repository, push=True)
    for said in ("cnn.example.org\n", ""):
        git(repository, "checkout", "--quiet", "gh-pages")
        (repository / "CNAME").write_text(said)
        git(repository, "add", "CNAME") if said else git(repository, "rm", "--quiet", "--force", "CNAME")
        git(repository, "commit", "--quiet", "--message=CNAME")
        git(repository, "checkout", "--quiet", "main")
    git(repository, "push", "--quiet", "origin", "gh-pages")
    git(repository, "branch", "--force", "gh-pages", "gh-pages~1")
    deploy(site(repository, index=linked(b"2")), repository, push=True)
    assert tree(remote) == set(FILES)


def test_without_commits_detached_and_bare(tmp_path: Path, remote: Path, repository: Path) -> None:
    made = site(repository)
    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(empty)], check=True)
    git(repository, "checkout", "--quiet", "--detach")
    for folder in (empty, remote, repository):
        git(folder, "config", "user.name", "A")
        git(folder, "config", "user.email", "a@example.org")
        deploy(made, folder)
        assert tree(folder) == set(FILES)
    unborn = tmp_path / "unborn"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=gh-pages", str(unborn)], check=True)
    with pytest.raises(InputError, match="--branch: expected one that is not checked out, got 'gh-pages'"):
        deploy(made, unborn)


def test_names_of_objects_may_be_longer(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "sha256"
    if subprocess.run(["git", "init", "--quiet", "--object-format=sha256", str(folder)], check=False).returncode:
        pytest.skip("needs a git that knows SHA-256")
    git(folder, "config", "user.name", "A")
    git(folder, "config", "user.email", "a@example.org")
    deploy(site(repository), folder)
    assert tree(folder) == set(FILES)


def test_no_reference_of_ours_is_left(repository: Path) -> None:
    deploy(site(repository), repository)
    assert git(repository, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/gh-pages", "refs/heads/main"]


def test_a_branch_in_another_worktree_is_told_with_its_folder(tmp_path: Path, repository: Path) -> None:
    deploy(site(repository), repository)
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "its folder"), "gh-pages")
    with pytest.raises(InputError) as caught:
        deploy(site(repository, index=linked(b"2")), repository)
    assert str(caught.value) == (
        f"--branch: expected one that is not checked out, got 'gh-pages', which is in {tmp_path / 'its folder'}; "
        "choose another, or take that folder to another branch: git switch"
    )
    # Of a worktree the branch of its repository can be written as well.
    deploy(site(repository, index=linked(b"2")), tmp_path / "its folder", "other")
    assert tree(repository, "other") == set(FILES)


def test_another_name_of_a_branch_is_refused(repository: Path) -> None:
    git(repository, "symbolic-ref", "refs/heads/gh-pages", "refs/heads/main")
    with pytest.raises(InputError, match="'gh-pages' is another name of refs/heads/main; choose another"):
        deploy(site(repository), repository, force=True)


def test_branches_that_differ_in_case_alone_are_told_where_the_system_takes_them_for_one(repository: Path) -> None:
    deploy(site(repository), repository)
    git(repository, "config", "core.ignoreCase", "true")
    with pytest.raises(InputError, match="expected one that can be beside branch 'gh-pages', git allows no 'GH-Pages'"):
        deploy(site(repository), repository, "GH-Pages")


def test_files_that_differ_in_case_alone_are_two(repository: Path) -> None:
    git(repository, "config", "core.ignoreCase", "true")
    page = linked(b"<a href='A.html'>A</a><a href='a.html'>a</a>")
    whole = {**FILES, "index.html": page, "A.html": b"<p>1", "a.html": b"<p>2"}
    deploy(published.Published(repository / "site", whole), repository)
    assert tree(repository) == set(whole)


@pytest.mark.parametrize("remote_name", ["-x", "--upload-pack=x", "../../heads", "a b", ""])
def test_a_name_that_is_no_remote_is_told(repository: Path, remote_name: str) -> None:
    with pytest.raises(InputError, match="--remote: expected the name of a remote, got"):
        deploy(site(repository), repository, remote=remote_name)


def test_an_address_that_looks_like_an_option_is_none(repository: Path) -> None:
    git(repository, "config", "remote.origin.url", "--upload-pack=touch pwned")
    with pytest.raises(InputError, match=r"^--remote origin: expected to reach it, got: "):
        deploy(site(repository), repository, push=True)
    assert not list(repository.rglob("pwned"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a hook that the system runs")
@pytest.mark.parametrize(
    ("hook", "push", "said"),
    [
        (
            "pre-push",
            True,
            r"--push: origin did not take branch gh-pages \(no deploys on Fridays\); the commit is kept",
        ),
        ("reference-transaction", False, "git fast-import: .*no deploys on Fridays|ref updates aborted by hook"),
    ],
)
def test_a_hook_that_refuses_is_the_cause(repository: Path, hook: str, push: bool, said: str) -> None:
    made = site(repository)
    file = repository / ".git" / "hooks" / hook
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\necho 'no deploys on Fridays' >&2\nexit 1\n")
    file.chmod(0o755)
    with pytest.raises(InputError, match=said):
        deploy(made, repository, push=push)
    assert git(repository, "branch", "--list", "gh-pages") == ("gh-pages" if push else "")


def test_a_locked_branch_is_told_and_a_locked_index_is_nothing_to_it(repository: Path) -> None:
    deploy(site(repository), repository)
    before = git(repository, "rev-parse", "gh-pages")
    (repository / ".git" / "index.lock").touch()
    lock = repository / ".git" / "refs" / "heads" / "gh-pages.lock"
    lock.touch()
    with pytest.raises(
        InputError, match=r"^branch gh-pages: could not be written, got: .*gh-pages\.lock': File exists"
    ):
        deploy(site(repository, index=linked(b"2")), repository)
    assert git(repository, "rev-parse", "gh-pages") == before
    lock.unlink()
    assert deploy(site(repository, index=linked(b"2")), repository).new


def test_a_commit_that_comes_in_between_is_not_overwritten(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(site(repository), repository)
    made = site(repository, index=linked(b"2"))
    from generator.publishing.deploy import _Git

    written = _Git.commit

    def meanwhile(self: _Git, *words: object) -> str:
        tip = written(self, *words)  # type: ignore[arg-type]
        git(repository, "update-ref", "refs/heads/gh-pages", "main")
        return tip

    monkeypatch.setattr(_Git, "commit", meanwhile)
    with pytest.raises(InputError, match="branch gh-pages: could not be written"):
        deploy(made, repository)
    assert git(repository, "rev-parse", "gh-pages") == git(repository, "rev-parse", "main")


def test_commits_are_not_signed_whatever_the_settings(repository: Path) -> None:
    git(repository, "config", "commit.gpgSign", "true")
    git(repository, "config", "gpg.program", "/nowhere/gpg")
    assert deploy(site(repository), repository).new


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs the rights to give a folder away")
def test_somebody_elses_repository_is_told(repository: Path) -> None:
    made = site(repository)
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(InputError) as caught:
        deploy(made, repository)
    assert str(caught.value) == (
        f"{repository}: expected a git repository of yours, it is another user's; if you trust them: "
        f"git config --global --add safe.directory {repository}"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are not bytes")
def test_a_folder_with_any_name(tmp_path: Path, remote: Path) -> None:
    name = os.fsdecode(b"caf\xe9 '\"\n:\\ -x")
    repository = clone(tmp_path, remote, name)
    deploy(site(repository), repository, push=True)
    assert tree(remote) == set(FILES)


def test_a_submodule_is_a_repository_of_its_own(tmp_path: Path, repository: Path, remote: Path) -> None:
    git(repository, "push", "--quiet", "origin", "main")
    around = tmp_path / "around"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(around)], check=True)
    git(around, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "-b", "main", str(remote), "sub")
    git(around / "sub", "config", "user.name", "A")
    git(around / "sub", "config", "user.email", "a@example.org")
    deploy(site(repository), around / "sub")
    assert tree(around / "sub") == set(FILES)
    assert git(around, "branch", "--list", "gh-pages") == ""
