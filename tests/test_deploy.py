"""A site becomes one commit on its branch, and nothing else of the repository or its remote changes unasked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator import published
from generator.deploy import SIGNED, Deployed, deploy
from generator.errors import InputError
from generator.writer import place

pytest.importorskip("ghp_import")
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
        "git push origin gh-pages",
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


def test_without_ghp_import_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ghp_import", None)
    with pytest.raises(InputError, match="expected the package ghp-import, there is none; get it with: python -m pip"):
        deploy(site(repository), repository)


def test_without_the_remote_is_told_only_where_it_is_needed(repository: Path) -> None:
    git(repository, "remote", "remove", "origin")
    done = deploy(site(repository), repository)
    assert done.onward == "git remote add origin ADDRESS && git push origin gh-pages"
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


@pytest.mark.parametrize("branch", ["", "-f", "a b", "a..b", "refs/", "a~1", "ü:b", "@{x}", "@{-1}", "-", "HEAD"])
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
