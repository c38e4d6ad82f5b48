"""`serve`: a preview that builds anew when a file of the report changes."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from generator.base import clutter, terminal
from generator.base.errors import InputError
from generator.commands.places import out_folder, tell_own_code
from generator.config import digests, places, reading
from generator.config.schema import Config
from generator.publishing import check, published


def serve_command(options: argparse.Namespace) -> None:
    """`serve`: a preview of the site."""
    from generator.publishing import serve

    settings = reading.load(options.config)
    file = settings.path  # it stays this one where it goes for a moment: not the bundled one's report is built then
    folder = out_folder(options, settings)
    named = settings.report.base_url
    address = _address_of(folder)
    # A process of its own for each build: its memory and its threads go when it is done.
    build = [sys.executable, "-m", "generator", "build", "--out", str(folder)]
    build += ["--config", str(file)] if file else []
    build += ["--data", str(options.data)] if options.data else []
    build += ["--offline"] if options.offline else []
    build += ["--debug"] if options.debug else []
    build += ["--device", options.device]
    ended = threading.Event()

    def rebuild() -> None:
        terminal.say("a file has changed: building the site anew")
        # What an earlier --base-url said counts until report.toml says something else.
        kept = ["--base-url", address] if address not in ("", named) and _named(file) in (None, named) else []
        # It says itself what is wrong. In a session of its own: Ctrl-C is for this process, which ends that one.
        with subprocess.Popen([*build, *kept], stdin=subprocess.DEVNULL, start_new_session=True) as process:
            while process.poll() is None:
                if ended.wait(0.1):
                    process.terminate()
                    return
        before, preview.address = preview.url, _address_of(folder)
        if preview.url != before:
            terminal.say(f"the site is at {preview.url} now")

    followed = follows(settings, folder)
    with (
        serve.server(folder, options.port, address) as preview,
        serve.watching(partial(_watched, file), rebuild) if followed else nullcontext(),
    ):
        if followed:
            note_change(settings, folder)
            tell_own_code(settings)
        said = (
            "it follows report.toml, templates and content" if followed else "no report.toml here says how it was made"
        )
        terminal.say(f"{folder} is at {preview.url}; {said} (Ctrl-C ends it)")
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):  # end it as tidily as Ctrl-C does
            if signal.getsignal(number) == signal.SIG_DFL:  # under nohup SIGHUP ends nothing
                signal.signal(number, lambda number, _: sys.exit(128 + number))
        try:
            preview.serve_forever()
        finally:
            ended.set()


def note_change(settings: Config, folder: Path) -> None:
    """Say that a site is not what report.toml now asks for."""
    if follows(settings, folder) and published.report_of(folder) not in ("", digests.of_report(settings)):
        terminal.say("note: report.toml has changed since the site was built; build first")


def follows(settings: Config, folder: Path) -> bool:
    """Whether the settings can be those of a site: not where options or a call made it and no report.toml is there."""
    return settings.path is not None or published.report_of(folder) in ("", digests.of_report(settings))


def _address_of(folder: Path) -> str:
    """Where the site in a folder says that it is published."""
    start = folder / check.START
    return check.address({check.START: start.read_bytes()}) if start.is_file() else ""


def _named(file: Path | None) -> str | None:
    """The base_url that report.toml names now; None with a mistake in it."""
    try:
        return reading.load(file).report.base_url
    except InputError:
        return None


def _watched(file: Path | None) -> Iterator[Path]:
    """report.toml and what it names, templates and content; with a mistake in report.toml, that file alone."""
    yield file or Path(places.FILE_NAME)
    try:
        settings = reading.load(file)
    except (InputError, OSError):
        return
    templates, content = places.folders(settings)
    for folder in (*templates, content):
        yield from clutter.files(folder)
    yield from (photo.file for photo in settings.samples.photos)
