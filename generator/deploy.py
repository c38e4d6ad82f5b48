"""A finished site -> one commit on a branch for static hosts, such as gh-pages; pushed only when that is asked for.

The working tree and the index are not touched: ghp-import writes the commit straight into the repository. Nothing that
somebody else put onto the branch is lost: it is refused unless each of its files came from a deploy, but for the CNAME
of a domain of one's own, which is kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from generator import check
from generator.errors import InputError
from generator.published import Published

SIGNED = "Made-by: cnn-report deploy"  # the trailer by which a commit is known as one of ours
DOMAIN = "CNAME"
# git@github.com:owner/name.git, https://github.com/owner/name, ssh://git@gitlab.com:22/owner/name.git, ...
HOSTED = re.compile(
    r"(?:\w+://)?(?:[^@/\s]+@)?(?P<host>github|gitlab)\.com(?::\d+)?[:/](?P<owner>[\w-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Deployed:
    """What a deploy did."""

    branch: str
    files: int
    commit: str  # its first digits
    new: bool  # False: the branch held this very site already
    pushed: bool
    onward: str = ""  # the commands that publish it
    note: str = ""  # where the site says that it is published and where it will be differ


def deploy(
    site: Published,
    repository: Path,
    branch: str = "gh-pages",
    remote: str = "origin",
    *,
    push: bool = False,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Deployed:
    """Commit the site's files to `branch`.

    Args:
        repository: any folder of it.
        push: to `remote`, too.
        force: replace a branch that holds somebody else's files.
        say: is told each fault of a broken site.
    Raises:
        InputError: the site has faults, or git cannot do it; the branch is as it was, but where only the push failed.
    """
    files = site.whole()
    check.require(files, "nothing was published", say)
    git = _Git(repository)
    git.check(branch, remote if push else "")
    if push:
        git.fetch(remote, branch)
    theirs = git.tip(f"refs/remotes/{remote}/{branch}")
    ours = git.tip(f"refs/heads/{branch}")
    if not force:
        for tip in filter(None, (theirs, ours)):
            _refuse_foreign(git, branch, tip)
    before = theirs or ours
    domain = next(filter(None, (git.file(tip, DOMAIN) for tip in (theirs, ours) if tip)), None)
    _commit(git, files, branch, remote, domain)
    tip = git.tip(f"refs/heads/{branch}")
    new = not before or git.said("rev-parse", f"{tip}^{{tree}}") != git.said("rev-parse", f"{before}^{{tree}}")
    if not new:  # a commit without a change
        git.said("update-ref", f"refs/heads/{branch}", before)
        tip = before
    if push:
        git.push(remote, branch)
    url = git.url(remote)
    note = _note(check.address(files), _published_at(url, domain))
    onward = ("" if url else f"git remote add {remote} ADDRESS && ") + f"git push {remote} {branch}"
    return Deployed(branch, len(files), tip[:10], new, push, onward, note)


def _published_at(remote: str, domain: str | None) -> str:
    """Where GitHub or GitLab publish a repository, or the domain of one's own; "" where that cannot be known."""
    if domain and domain.strip():
        return f"https://{domain.split()[0].lower()}"
    found = HOSTED.fullmatch(remote.strip())
    if found is None:
        return ""
    owner, name, host = found["owner"].lower(), found["name"], f"{found['host'].lower()}.io"
    own = name.lower() == f"{owner}.{host}"  # the repository of the host's first page
    return f"https://{owner}.{host}" + ("" if own else f"/{name}")


def _note(built_for: str, published_at: str) -> str:
    """What its owner should know of a site's own address."""
    there = published_at or "URL"
    if not built_for:
        return (
            "the site does not know its address, so it has no sitemap and no social card; "
            f"build it with: --base-url {there}"
        )
    if published_at and built_for.partition("://")[2].lower() != published_at.partition("://")[2].lower():
        return (
            f"the site was built for {built_for}, its branch is usually published at {there}; if so: --base-url {there}"
        )
    return ""


def _refuse_foreign(git: _Git, branch: str, tip: str) -> None:
    """Raise InputError where the branch holds files that no deploy put there."""
    last = git.said("rev-list", "--max-count=1", f"--grep=^{SIGNED}$", tip)
    changed = (
        git.said("diff", "--name-only", "-z", last, tip) if last else git.said("ls-tree", "-rz", "--name-only", tip)
    )
    foreign = [path for path in changed.split("\0") if path not in ("", DOMAIN)]
    if foreign:
        raise InputError(
            f"branch {branch}: expected the files of earlier deploys alone, found {foreign[0]!r}, which is somebody's; "
            "choose another --branch, or replace all that is on it: --force"
        )


def _commit(git: _Git, files: Mapping[str, bytes], branch: str, remote: str, domain: str | None) -> None:
    try:
        from ghp_import import GhpError, ghp_import
    except ImportError:
        raise InputError(
            "deploy: expected the package ghp-import, there is none; get it with: python -m pip install ghp-import"
        ) from None
    before = git.tip(f"refs/heads/{branch}")
    with tempfile.TemporaryDirectory() as folder, _inside(git.folder):
        for path, content in files.items():
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        message = f"The report, deployed\n\n{SIGNED}"
        try:
            ghp_import(folder, branch=branch, remote=remote, mesg=message, nojekyll=True, cname=domain, push=False)
        except (GhpError, TypeError) as error:  # it writes bytes to a text stream where git refuses its commit
            said = error.message if isinstance(error, GhpError) else "git refused the commit"
            raise InputError(f"branch {branch}: could not be written ({said}); see: git status") from error
    if git.tip(f"refs/heads/{branch}") in ("", before):
        raise InputError(f"branch {branch}: could not be written; see: git status")


class _Git:
    """git in one repository."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("git") is None:
            raise InputError(
                "deploy: expected the program git, it is not installed; or publish the folder by other means"
            )
        self.folder = folder
        asked = self._run("rev-parse", "--git-dir")
        if "not a git repository" in asked.stderr or not folder.is_dir():
            raise InputError(f"{folder}: expected a git repository, this is none; make it one with: git init")
        if asked.returncode:
            raise InputError(f"{folder}: expected a git repository that can be used, got: {_reason(asked.stderr)}")

    def check(self, branch: str, remote: str) -> None:
        """That a commit can be made on the branch, and there is a remote if one is named."""
        named = self._run("check-ref-format", "--branch", branch)
        if named.returncode or named.stdout.strip() != branch:  # git takes "-" and @{-1} for another branch
            raise InputError(f"--branch: expected the name of a branch, got {branch!r}")
        there = self.said("for-each-ref", "--format=%(refname)", "refs/heads").splitlines()
        for other in (reference.removeprefix("refs/heads/") for reference in there):
            if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):  # a file and a folder of one name
                raise InputError(
                    f"--branch: expected one that can be beside branch {other!r}, git allows no {branch!r} there; "
                    "choose another"
                )
        worktrees = self.said("worktree", "list", "--porcelain").splitlines()
        if f"branch refs/heads/{branch}" in worktrees:
            raise InputError(f"--branch: expected one that is not checked out, got {branch!r}; choose another")
        for key, variable in (("user.name", "GIT_COMMITTER_NAME"), ("user.email", "GIT_COMMITTER_EMAIL")):
            if not os.environ.get(variable) and not self._run("config", key).stdout.strip():
                raise InputError(
                    f'git: expected to know who commits, {key} is not set; set it with: git config {key} "..."'
                )
        if remote and remote not in self.said("remote").splitlines():
            known = ", ".join(self.said("remote").splitlines()) or "none"
            raise InputError(
                f"--remote: expected one of this repository's remotes ({known}), got {remote!r}; "
                f"add it with: git remote add {remote} ADDRESS"
            )

    def url(self, remote: str) -> str:
        """Where a remote is, "" where there is none of this name."""
        return self._run("remote", "get-url", remote).stdout.strip()

    def tip(self, reference: str) -> str:
        """The commit of a reference, "" where there is none."""
        return self._run("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}").stdout.strip()

    def file(self, commit: str, path: str) -> str | None:
        """A file's text in a commit, None where it is not there."""
        found = self._run("cat-file", "blob", f"{commit}:{path}")
        return None if found.returncode else found.stdout

    def said(self, *words: str) -> str:
        """What a command that should work prints.

        Raises:
            InputError: it did not work.
        """
        done = self._run(*words)
        if done.returncode:
            raise InputError(f"git {words[0]}: {_reason(done.stderr)}")
        return done.stdout.strip("\n")

    def fetch(self, remote: str, branch: str) -> None:
        """Learn what the remote's branch holds, so that the new commit follows it."""
        asked = self._run("ls-remote", "--heads", remote, f"refs/heads/{branch}")
        if asked.returncode:
            raise InputError(
                f"--remote {remote}: expected to reach it, got: {_reason(asked.stderr)}; nothing was published"
            )
        if asked.stdout.strip():
            self.said("fetch", "--quiet", remote, f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}")
        elif self.tip(f"refs/remotes/{remote}/{branch}"):  # it was deleted there
            self.said("update-ref", "-d", f"refs/remotes/{remote}/{branch}")

    def push(self, remote: str, branch: str) -> None:
        """Send the branch; never by force."""
        done = self._run("push", "--quiet", remote, f"refs/heads/{branch}:refs/heads/{branch}")
        if done.returncode:
            raise InputError(
                f"--push: {remote} did not take branch {branch} ({_reason(done.stderr)}); the commit is kept on the "
                "branch here; mend that and deploy again"
            )

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        # By its name: where git is differs from machine to machine. Its words in English, for `_reason`.
        return subprocess.run(
            ["git", "-C", str(self.folder), *words],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )


def _reason(stderr: str) -> str:
    """The line of git's complaint that tells most."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("hint:")]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "!", "remote: error", "remote: fatal"))]
    chosen = next((line for line in telling if "rejected]" in line), (telling or lines or ["no reason given"])[0])
    return " ".join(chosen.split())


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """ghp-import works on the repository of the current folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
