"""A finished site -> one commit on a branch for static hosts, such as gh-pages; pushed only when that is asked for.

The working tree and the index are not touched: git's fast-import writes the commit straight into the repository, and
the branch moves to it in one step, or not at all. Nothing that somebody else put onto the branch is lost: it is refused
unless each of its files came from a deploy, but for the CNAME of a domain of one's own, which is kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.base.errors import InputError
from generator.publishing import check
from generator.publishing.published import Published

SIGNED = "Made-by: cnn-report deploy"  # the trailer by which a commit is known as one of ours
DOMAIN = "CNAME"
NO_JEKYLL = ".nojekyll"
SCRATCH = "refs/cnn-report"  # fast-import wants a reference for its commit; it is gone when fast-import ends
# What git tells the hooks of a push, beside what `git rev-parse --local-env-vars` lists.
OF_THE_CALLER = ("GIT_NAMESPACE", "GIT_QUARANTINE_PATH")
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
    onward: str = ""  # what publishes it
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

    The commit follows what the branch holds here and what is known of it at the remote; where each went its own way, it
    joins them. Its author is the committer whom git knows by its settings or by GIT_COMMITTER_*; it is not signed.

    Args:
        repository: any folder of it. What the environment says of another one, as it does in a hook, is left aside.
        push: to `remote`, too, after a look at what is there.
        force: replace a branch that holds somebody else's files.
        say: is told each fault of a broken site.
    Raises:
        InputError: the site has faults, or git cannot do it; the branch is as it was, but where only the push failed.
    """
    files = site.whole()
    check.require(files, "nothing was published", say)
    git = _Git(repository)
    git.check(branch, remote, push=push)
    committer = git.committer()
    if push:
        git.fetch(remote, branch)
    ours = git.tip(f"refs/heads/{branch}")
    parents = git.independent(git.tip(f"refs/remotes/{remote}/{branch}"), ours)
    if not force:
        for tip in parents:
            _refuse_foreign(git, branch, tip)
    domain = next(filter(None, (git.file(tip, DOMAIN) for tip in parents)), None)
    kept = {NO_JEKYLL: b"", **({} if domain is None else {DOMAIN: domain})}
    tip = git.commit({**files, **kept}, committer, parents)
    new = len(parents) != 1 or git.tree(tip) != git.tree(parents[0])
    if not new:
        (tip,) = parents
    git.move(branch, ours, tip)
    if push:
        git.push(remote, branch)
    url = git.url(remote)
    note = _note(check.address(files), _published_at(url, domain))
    # No `git push`: it is rejected where somebody deployed since the last fetch, or the clone is one of another branch.
    onward = ("" if url else f"git remote add {remote} ADDRESS, then ") + "the same command and --push"
    return Deployed(branch, len(files), tip[:10], new, push, onward, note)


def _published_at(remote: str, domain: bytes | None) -> str:
    """Where GitHub or GitLab publish a repository, or the domain of one's own; "" where that cannot be known."""
    if domain and domain.strip():
        return f"https://{_readable(domain).split()[0].lower()}"
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
    last = git.said("rev-list", "--max-count=1", "--basic-regexp", f"--grep=^{SIGNED}$", tip, "--")
    foreign = [path for path in git.files(tip, since=last) if path != DOMAIN]
    if foreign and not last and git.said("rev-parse", "--is-shallow-repository") == "true":
        raise InputError(
            f"branch {branch}: expected to see its earlier deploys, this clone is shallow; "
            "get them with: git fetch --unshallow"
        )
    if foreign:
        raise InputError(
            f"branch {branch}: expected the files of earlier deploys alone, found {foreign[0]!r}, which is somebody's; "
            "choose another --branch, or replace all that is on it: --force"
        )


class _Git:
    """git in one repository."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("git") is None:
            raise InputError(
                "deploy: expected the program git, it is not installed; or publish the folder by other means"
            )
        self.folder = folder
        self.environment = _environment()
        asked = self._run("rev-parse", "--git-dir")
        if "not a git repository" in asked.stderr or not folder.is_dir():
            raise InputError(f"{folder}: expected a git repository, this is none; make it one with: git init")
        if "dubious ownership" in asked.stderr:
            trust = next(filter(None, re.findall(r"git config .*safe\.directory .*", asked.stderr)), "git config")
            raise InputError(
                f"{folder}: expected a git repository of yours, it is another user's; if you trust them: {trust}"
            )
        if asked.returncode:
            raise InputError(f"{folder}: expected a git repository that can be used, got: {_reason(asked.stderr)}")

    def check(self, branch: str, remote: str, *, push: bool) -> None:
        """That a commit can be made on the branch, and that there is a remote to push to."""
        named = self._run("check-ref-format", "--branch", branch)
        if named.returncode or named.stdout.strip() != branch:  # git takes "-" and @{-1} for another branch
            raise InputError(f"--branch: expected the name of a branch, got {branch!r}")
        if other := self._run("symbolic-ref", "--quiet", f"refs/heads/{branch}").stdout.strip():
            raise InputError(f"--branch: expected a branch, {branch!r} is another name of {other}; choose another")
        self._check_beside(branch)
        for folder, shown in self._worktrees():
            if shown == f"refs/heads/{branch}":
                raise InputError(
                    f"--branch: expected one that is not checked out, got {branch!r}, which is in {folder}; choose "
                    "another, or take that folder to another branch: git switch"
                )
        # A name that git would take for an option or that leads out of refs/remotes.
        if remote.startswith("-") or self._run("check-ref-format", f"refs/remotes/{remote}/{branch}").returncode:
            raise InputError(f"--remote: expected the name of a remote, got {remote!r}")
        known = self.said("remote").splitlines()
        if push and remote not in known:
            raise InputError(
                f"--remote: expected one of this repository's remotes ({', '.join(known) or 'none'}), got {remote!r}; "
                f"add it with: git remote add {remote} ADDRESS"
            )

    def _check_beside(self, branch: str) -> None:
        there = self.said("for-each-ref", "--format=%(refname)", "refs/heads").splitlines()
        one_case = self._run("config", "--type=bool", "core.ignoreCase").stdout.strip() == "true"
        for other in (reference.removeprefix("refs/heads/") for reference in there):
            same = one_case and other != branch and other.casefold() == branch.casefold()
            # Or a file and a folder of one name.
            if same or other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
                raise InputError(
                    f"--branch: expected one that can be beside branch {other!r}, git allows no {branch!r} there; "
                    "choose another"
                )

    def _worktrees(self) -> Iterator[tuple[str, str]]:
        """Each folder where a branch is checked out, with the branch."""
        folder = ""
        for line in self.said("worktree", "list", "--porcelain").splitlines():
            word, _, value = line.partition(" ")
            if word == "worktree":
                folder = value
            elif word == "branch":
                yield folder, value

    def committer(self) -> str:
        """Who commits, and when, as a commit names them."""
        # Not whom git makes up of the machine's names, which would be published.
        asked = self._run("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        for variable, key in (("GIT_COMMITTER_NAME", "user.name"), ("GIT_COMMITTER_EMAIL", "user.email")):
            if asked.returncode and variable not in self.environment and not self._run("config", key).stdout.strip():
                raise InputError(
                    f'git: expected to know who commits, {key} is not set; set it with: git config {key} "..."'
                )
        if asked.returncode:
            raise InputError(
                f"git: expected to know who commits, got: {_reason(asked.stderr)}; "
                "see user.name, user.email and the variables GIT_COMMITTER_*"
            )
        return asked.stdout.strip("\n")

    def url(self, remote: str) -> str:
        """Where a remote is, "" where there is none of this name."""
        return self._run("remote", "get-url", remote).stdout.strip()

    def tip(self, reference: str) -> str:
        """The commit of a reference, "" where there is none."""
        return self._run("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}").stdout.strip()

    def tree(self, commit: str) -> str:
        """What names the files of a commit."""
        return self.said("rev-parse", "--verify", f"{commit}^{{tree}}")

    def independent(self, *commits: str) -> tuple[str, ...]:
        """Those of the commits that no other one follows; "" is none."""
        told = [commit for commit in dict.fromkeys(commits) if commit]
        if len(told) < 2:
            return tuple(told)
        last = self.said("merge-base", "--independent", *told).split()
        return tuple(commit for commit in told if commit in last)

    def file(self, commit: str, path: str) -> bytes | None:
        """A file's content in a commit, None where it is not there."""
        found = self._run("cat-file", "blob", f"{commit}:{path}")
        return None if found.returncode else _bytes(found.stdout)

    def files(self, commit: str, since: str = "") -> list[str]:
        """The paths of a commit; with `since`, of what it changed.

        By commands that read no setting, and for which it is all one in which folder of the repository they run.
        """
        listed = (
            self.said("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--no-relative", since, commit)
            if since
            else self.said("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit)
        )
        return [path for path in listed.split("\0") if path]

    def commit(self, files: Mapping[str, bytes], committer: str, parents: Sequence[str]) -> str:
        """Write a commit that no branch leads to yet."""
        none = "0" * (64 if self.said("rev-parse", "--show-object-format") == "sha256" else 40)
        done = self._run(
            # Where names differ in their case alone, the host tells them apart.
            *("-c", "core.ignoreCase=false", "fast-import", "--quiet", "--date-format=raw", "--done"),
            stdin=b"".join(_import(files, committer, parents, none)),
        )
        if done.returncode or not done.stdout.strip():
            raise InputError(f"git fast-import: {_reason(done.stderr)}; nothing was published")
        return done.stdout.strip()

    def move(self, branch: str, before: str, tip: str) -> None:
        """The branch to another commit, if it still is where it was; before: "" where there was none."""
        reference = f"refs/heads/{branch}"
        done = self._run("update-ref", "-m", "deploy", reference, tip, before)
        if done.returncode or self.tip(reference) != tip:
            raise InputError(
                f"branch {branch}: could not be written, got: {_reason(done.stderr)}; it is as it was; "
                "mend that and deploy again"
            )

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
        reference, tracking = f"refs/heads/{branch}", f"refs/remotes/{remote}/{branch}"
        asked = self._run("ls-remote", "--heads", "--", remote, reference)
        if asked.returncode:
            raise InputError(
                f"--remote {remote}: expected to reach it, got: {_reason(asked.stderr)}; nothing was published"
            )
        if reference in (line.partition("\t")[2] for line in asked.stdout.splitlines()):
            alone = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
            self.said("fetch", "--quiet", *alone, "--", remote, f"+{reference}:{tracking}")
        elif self.tip(tracking):  # it was deleted there
            self.said("update-ref", "-d", tracking)

    def push(self, remote: str, branch: str) -> None:
        """Send the branch and nothing else; never by force."""
        alone = ("--no-follow-tags", "--no-recurse-submodules")
        done = self._run("push", "--quiet", *alone, "--", remote, f"refs/heads/{branch}:refs/heads/{branch}")
        if done.returncode:
            raise InputError(
                f"--push: {remote} did not take branch {branch} ({_reason(done.stderr)}); the commit is kept on the "
                "branch here; mend that and deploy again"
            )

    def _run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        # By its name: where git is differs from machine to machine.
        done = subprocess.run(
            ["git", "-C", str(self.folder), *words],
            input=stdin,
            capture_output=True,
            env=self.environment,
            check=False,
        )
        out = done.stdout.decode("utf-8", "surrogateescape")
        return subprocess.CompletedProcess(done.args, done.returncode, out, _readable(done.stderr))


def _environment() -> dict[str, str]:
    """This process's, without what would lead `git -C` to another repository than that of the folder.

    Git gives its hooks GIT_DIR, GIT_INDEX_FILE and more; it lists what it clears itself on its way to another one.
    """
    listed = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=False)
    aside = {*listed.stdout.split(), *OF_THE_CALLER}
    # Its words in English, for `_reason`.
    return {**{name: value for name, value in os.environ.items() if name not in aside}, "LC_ALL": "C"}


def _import(files: Mapping[str, bytes], committer: str, parents: Sequence[str], none: str) -> Iterator[bytes]:
    """A commit in the words of git-fast-import(1), which prints its name and then leaves no reference to it.

    Args:
        none: the name of no commit, all zeros.
    """
    yield f"commit {SCRATCH}\nmark :1\n".encode()
    yield b"committer " + _bytes(committer) + b"\n"
    yield _data(f"The report, deployed\n\n{SIGNED}\n".encode())
    for word, parent in zip(("from", *["merge"] * len(parents)), parents, strict=False):
        yield f"{word} {parent}\n".encode()
    yield b"deleteall\n"
    for path, content in files.items():
        quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield b'M 100644 inline "' + _bytes(quoted) + b'"\n' + _data(content)
    yield f"get-mark :1\nreset {SCRATCH}\nfrom {none}\n\ndone\n".encode()


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _readable(said: bytes) -> str:
    return said.decode("utf-8", "replace")


def _reason(stderr: str) -> str:
    """The line of git's complaint that tells most."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("hint:")]
    lines = [line for line in lines if not line.startswith("error: failed to push some refs")] or lines
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "!", "remote: error", "remote: fatal"))]
    chosen = next((line for line in telling if "rejected]" in line), (telling or lines or ["no reason given"])[0])
    return " ".join(chosen.split())
