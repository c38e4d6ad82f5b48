"""check, export, deploy, init and build --strict as they are typed: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.__main__ import main
from generator.base import errors
from generator.config import digests, reading
from generator.publishing import published
from tests import sites

LONG = "x" * 300  # longer than file systems allow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a site in it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "report.toml").write_text('[report]\ntitle = "It\'s *mine*"\n')
    sites.place(folder / "site", title="It's *mine*")
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is where the command line is."""
    folder = Path(shutil.copytree(built, tmp_path / "project"))
    monkeypatch.chdir(folder)
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of standard output, lines of standard error."""
    capsys.readouterr()
    code = main(words)
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


def test_check_of_a_sound_site_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", "--strict")
    assert (code, err) == (0, [])
    (line,) = out
    pages = len(list((project / "site").glob("*.html")))
    assert line.startswith((f"site: {pages} pages, ", f"{project / 'site'}: {pages} pages, "))
    assert line.endswith(" MiB, no faults")
    code, out, err = run(capsys, "check", "--json")
    assert (code, json.loads("\n".join(out))["findings"]) == (0, [])


def test_check_tells_each_fault_in_a_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = project / "site" / "index.html"
    index.write_text(index.read_text("utf-8").replace('href="data.html"', 'href="dato.html"'), encoding="utf-8")
    (project / "site" / "notes.txt").write_text("mine")
    (project / "site" / "assets" / "theme.js").unlink()
    code, out, err = run(capsys, "check")
    assert code == 1
    assert "index.html: it is not as the build wrote it; build again; change templates/ or content/ instead" in out
    assert "index.html: dato.html leads nowhere; did you mean data.html?" in out
    assert "notes.txt: the build did not write this file; move it out: nobody publishes it" in out
    assert "assets/theme.js: the build wrote this file and it is gone; build again" in out
    (error,) = err
    assert error.startswith("error: ")
    assert "expected a site without faults, found" in error


def test_check_as_json_has_every_page(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "site" / "assets" / "theme.js").unlink()
    code, out, _ = run(capsys, "check", "--json", "--out", "site")
    told = json.loads("\n".join(out))
    assert code == 1
    assert set(told) == {"site", "pages", "files", "bytes", "findings"}
    lost = {one["page"] for one in told["findings"] if one["what"] == "assets/theme.js leads nowhere"}
    assert lost == {path.name for path in (project / "site").glob("*.html")}
    assert set(told["findings"][0]) == {"page", "what", "mend", "harmless"}


@pytest.mark.parametrize("command", [("check",), ("export", "--to", "fragment", "a.html"), ("deploy",)])
def test_without_a_site_the_way_to_one_is_told(
    project: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(project / "site")
    code, out, err = run(capsys, *command)
    assert (code, out) == (1, [])
    (line,) = err
    assert line.endswith(
        "site: expected a site of this program, found nothing; make it with: python -m generator build"
    )


@pytest.mark.parametrize("kind", ["jekyll", "hugo", "fragment", "notebook"])
def test_export_says_where_the_page_is(project: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    to = {"fragment": "my page.html"}.get(kind, "to")
    page = {
        "jekyll": "to/_portfolio/it-s-mine.md",
        "hugo": "to/content/portfolio/it-s-mine/index.md",
        "fragment": "my page.html",
        "notebook": "to/it-s-mine.ipynb",
    }[kind]
    if kind == "notebook":
        pytest.importorskip("nbformat")
    code, out, err = run(capsys, "export", "--to", kind, to)
    assert code == 0, err
    (line,) = out
    assert line.startswith(f"{page}: exported (")
    assert (project / page).is_file()
    assert run(capsys, "export", "--to", kind, to)[0] == 0


@pytest.mark.parametrize("kind", ["jekyll", "hugo"])
def test_the_entry_of_another_report_is_left_alone(
    project: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(project, project.parent / "other"))
    words = ("export", "--to", kind, "../to")
    assert run(capsys, *words, "--config", str(other / "report.toml"))[0] == 0
    before = {path: path.read_bytes() for path in (project.parent / "to").rglob("*") if path.is_file()}
    code, out, err = run(capsys, *words)
    page = {"jekyll": "_portfolio/it-s-mine.md", "hugo": "content/portfolio/it-s-mine/index.md"}[kind]
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].endswith(
        f"{page}: expected an export of this report there, found that of another one, “It's *mine*”; "
        "choose another --slug or file, or replace it: --force"
    )
    assert {path: path.read_bytes() for path in (project.parent / "to").rglob("*") if path.is_file()} == before
    assert run(capsys, *words, "--slug", "second")[0] == 0
    assert all(path.read_bytes() == was for path, was in before.items() if path.name != ".cnn-report.json")


def test_the_entry_that_a_new_title_leaves_behind_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "export", "--to", "hugo", "to")
    (project / "report.toml").write_text('[report]\ntitle = "New"\n')
    code, out, err = run(capsys, "export", "--to", "hugo", "to")
    assert (code, out[0].split(":")[0]) == (0, "to/content/portfolio/new/index.md")
    assert err[-1] == (
        "note: content/portfolio/it-s-mine/index.md is an earlier entry of this report: "
        "delete it and its files, or go on with it by --slug it-s-mine"
    )
    err = run(capsys, "export", "--to", "hugo", "to", "--slug", "new")[2]
    assert not any("earlier entry" in line for line in err)


def test_export_keeps_what_was_edited_and_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "export", "--to", "jekyll", "to", "--slug", "a")
    (project / "to" / "_portfolio" / "a.md").write_text("mine")
    code, _, err = run(capsys, "export", "--to", "jekyll", "to", "--slug", "a")
    assert code == 0
    assert err[0] == "_portfolio/a.md was edited since the last export and is kept; write over it with: --force"
    assert (project / "to" / "_portfolio" / "a.md").read_text() == "mine"
    run(capsys, "export", "--to", "jekyll", "to", "--slug", "a", "--force")
    assert (project / "to" / "_portfolio" / "a.md").read_text().startswith("---\nlayout")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "fragment", "site/a.html"), "site/a.html: expected a place outside the site itself; choose another"),
        (("--to", "jekyll", "site"), "site: expected a place outside the site itself; choose another"),
        (
            ("--to", "fragment", "."),
            ".: expected a file for the fragment, got a folder; name one, such as it-s-mine.html",
        ),
        (
            ("--to", "hugo", "to", "--slug", "../x"),
            "--slug: expected small letters, digits and hyphens, got '../x'; try 'x'",
        ),
        (("--to", "hugo", "report.toml"), "report.toml: expected a folder, found a file; choose another place"),
    ],
)
def test_bad_places_and_names_are_one_line(
    project: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(project.rglob("*"))
    code, out, err = run(capsys, "export", *words)
    assert (code, out, err) == (1, [], [f"error: {said}"])
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ("check", "--out", LONG),
        ("serve", "--out", LONG),
        ("deploy", "--out", LONG),
        ("export", "--to", "jekyll", LONG),
        ("export", "--to", "hugo", LONG),
        ("export", "--to", "fragment", LONG),
        ("export", "--to", "notebook", f"{LONG}/a.ipynb"),
    ],
)
def test_a_name_that_no_folder_can_have_is_one_line(
    project: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith("error: ")
    assert LONG in err[0]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everywhere")
@pytest.mark.parametrize(
    "words",
    [
        ("check", "--out", "closed/inner"),
        ("serve", "--out", "closed/inner"),
        ("export", "--to", "jekyll", "closed/inner"),
        ("export", "--to", "hugo", "closed/inner"),
        ("export", "--to", "fragment", "closed/inner"),
    ],
)
def test_a_closed_folder_is_one_line(project: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    (project / "closed").mkdir(mode=0)
    code, out, err = run(capsys, *words)
    assert (code, out, len(err)) == (1, [], 1)
    assert "closed/inner" in err[0]
    assert "Permission denied" in err[0]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            PermissionError(13, "Permission denied", "a/b"),
            "error: a/b: expected a path that can be used, got: (Permission denied); make it accessible to you",
        ),
        (FileNotFoundError(2, "No such file or directory", "a"), None),
        (PermissionError(13, "Permission denied"), None),
        (OSError("no socket"), None),
    ],
)
def test_only_what_the_system_says_of_a_path_is_one_line(
    project: Path, fault: OSError, said: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(folder: Path) -> bool:
        raise fault

    monkeypatch.setattr(published, "read", broken)
    monkeypatch.setattr(errors, "_is_elsewhere", lambda _file: True)  # this file is taken for the program's
    if said is None:
        with pytest.raises(OSError, match=str(fault.args[-1])):
            main(("export", "--to", "jekyll", "to"))
    else:
        assert run(capsys, "export", "--to", "jekyll", "to") == (1, [], [said])


def test_a_site_that_is_older_than_report_toml_is_noted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def notes() -> list[str]:
        code, _, err = run(capsys, "export", "--to", "fragment", "a.html")
        assert code == 0
        return err

    manifest = project / "site" / ".manifest.json"
    built = digests.of_report(reading.load(project / "report.toml"))
    manifest.write_text(json.dumps({**json.loads(manifest.read_text("utf-8")), "report": built}), encoding="utf-8")
    assert notes() == []
    (project / "report.toml").write_text('[report]\ntitle = "New"\n')
    said = "note: report.toml has changed since the site was built; build first"
    assert notes() == [said]
    assert run(capsys, "deploy")[2][0] == said


def test_deploy_says_what_comes_next(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git: it is not installed")
    code, _, err = run(capsys, "deploy")
    assert (code, err[-1].split(": ", 2)[2]) == (
        1, "expected a git repository, this is none; make it one with: git init",
    )  # fmt: skip
    remote = project.parent / "remote.git"
    for words in (
        ("init", "--quiet", "--bare", str(remote)),
        ("init", "--quiet", "--initial-branch=main"),
        ("config", "user.name", "A"),
        ("config", "user.email", "a@example.org"),
        ("remote", "add", "origin", str(remote)),
    ):
        subprocess.run(["git", *words], check=True)
    code, out, err = run(capsys, "deploy")
    assert code == 0, err
    assert out[0].endswith("; publish it with: the same command and --push")
    assert [line.partition(";")[0] for line in err] == [
        "note: the site does not know its address, so it has no sitemap and no social card"
    ]
    code, out, _ = run(capsys, "deploy", "--push")
    assert code == 0
    assert out[0].endswith(" holds this site already; pushed to origin")
    listed = subprocess.run(
        ["git", "-C", str(remote), "ls-tree", "-r", "--name-only", "gh-pages"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "index.html" in listed.stdout.splitlines()
    assert ".manifest.json" not in listed.stdout


def test_init_says_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my report"
    code, out, _ = run(capsys, "init", str(folder))
    assert code == 0
    (line,) = out
    assert line.startswith(f"next: cd '{folder}' && ")
    assert line.endswith(" -m generator build")
    code, _, err = run(capsys, "init", str(folder))
    assert code == 1
    assert "expected an empty folder, found '.gitignore' in it" in err[0]


@pytest.mark.parametrize(
    "words", [("export",), ("export", "--to", "word", "x"), ("export", "--to", "jekyll"), ("init",), ("deploy", "x")]
)
def test_wrong_usage_is_exit_code_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_the_commands_need_no_torch(project: Path) -> None:
    program = (
        "import sys; from generator.__main__ import main; "
        "codes = [main(['check']), main(['export', '--to', 'jekyll', 'to']), main(['init', 'new'])]; "
        "print(*codes, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(sites.ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "0 0 0 False"
