"""The command line: `python -m generator build` and the commands beside it.

Exit codes: 0 done, 1 could not (one line says why), 2 wrong usage, 130 interrupted. torch is imported only by commands
that need it, after a look at whether anything has changed at all.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from generator import (
    __version__,
    check,
    clutter,
    config,
    environment,
    inputs,
    published,
    terminal,
    tiny_imagenet,
    writer,
)
from generator.check.documents import is_page
from generator.classes import Classes, resolve_classes
from generator.config import Config
from generator.errors import MENDS, SHORTAGES, InputError, reason
from generator.installation import check_pair, import_matplotlib

if TYPE_CHECKING:
    from generator.models import Loaded


def program() -> int:
    """What a shell runs: `main`, wherever its words go and whatever surrounds it."""
    terminal.use_lenient_streams()
    try:
        environment.put_right()
    except InputError as error:
        terminal.fail(f"error: {error}")
        return 1
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except InputError as error:
        terminal.fail(f"error: {' '.join(str(error).split())}")
        return 1
    except KeyboardInterrupt:
        terminal.say("interrupted; what was finished before is kept")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except OSError as error:  # what the user can mend; all else that the system says is a mistake of the program
        if error.errno not in (SHORTAGES if error.filename is None else MENDS):
            raise
        what = f"{error.filename}: expected a path that can be used" if error.filename else "expected to go on"
        terminal.fail(f"error: {what}, got: {reason(error)}")
        return 1
    except MemoryError:
        terminal.fail("error: expected to go on, got: no memory left; free some memory")
        return 1
    return 0


def _build(options: argparse.Namespace) -> None:
    settings = _published_at(config.load(options.config), options.base_url)
    root, cache, out = _data_root(options, settings), _cache(settings), _out(options, settings)
    begun = time.perf_counter()
    digest = _build_digest(settings, root)
    if not options.force and writer.unchanged(out, digest):
        if options.strict:
            check.require(published.read(out).files, "it was built before and is still in place", terminal.say)
        terminal.done(f"nothing has changed: {out / 'index.html'} ({time.perf_counter() - begun:.1f} s)")
        return
    _tell_own_code(settings)
    check_pair()
    import_matplotlib()
    from generator import build

    index = build.build(settings, root, out, cache, digest, offline=options.offline, strict=options.strict)
    terminal.done(f"built {index} in {time.perf_counter() - begun:.1f} s")


def _train(options: argparse.Namespace) -> None:
    check_pair()
    from generator import parallel, recipes, workshop

    presets = recipes.PRESETS[options.model]
    if options.preset not in presets:
        known = ", ".join(f'"{preset}"' for preset in presets)
        raise InputError(f"--preset: expected one of {known} for {options.model}, got {options.preset!r}")
    changes = {
        name: getattr(options, name)
        for name in ("epochs", "batch", "learning_rate", "patience", "seed", "precision")
        if getattr(options, name) is not None
    }
    with parallel.group():
        with parallel.one_first():
            settings, root, classes = _with_data(options)
        folder = options.folder or settings.models.folder / options.model
        run = workshop.train_model(
            options.model,
            options.preset,
            root,
            classes,
            folder,
            _cache(settings) / "data",
            resume=options.resume,
            start=options.start,
            teachers=options.teachers,
            changes=changes,
        )
    kept = run.kept_epoch
    accuracy = "" if kept.validation_accuracy is None else f", validation accuracy {kept.validation_accuracy:.1%}"
    terminal.done(f"{folder}: {run.name}, epoch {run.kept} of {len(run.epochs)} kept{accuracy}")


def _compress(options: argparse.Namespace) -> None:
    settings = config.load(options.config)
    check_pair()
    from generator import workshop

    folder = options.folder or settings.models.folder / options.model
    before, after = workshop.compress_model(options.model, folder)
    terminal.done(f"{folder}: {before / 1e6:.1f} MB became {after / 1e6:.1f} MB; evaluate it anew")


def _evaluate(options: argparse.Namespace) -> None:
    check_pair()
    from generator import checkpoints, parallel, workshop

    with parallel.group():
        with parallel.one_first():
            settings, root, classes = _with_data(options)
            loaded = _loaded(options, settings, classes)
        splits = (options.split,) if options.split else tiny_imagenet.SPLITS
        found = workshop.evaluate_model(loaded, root, classes, _cache(settings) / "data", splits)
    if options.json:
        _print_json(checkpoints.plain_evaluation(found))
        return
    unscaled = "" if found.temperature != 1 else " before scaling"  # without validation images nothing was fitted
    for name, scores in found.splits.items():
        low, high = scores.top1_interval
        error = f"calibration error{unscaled} {scores.calibration_scaled.error:.3f}"
        terminal.result(
            f"{loaded.title}, {name}: top-1 {scores.top1:.1%} (95 % interval {low:.1%} to {high:.1%}), "
            f"top-5 {scores.top5:.1%}, {scores.count} images, {error}"
        )


def _predict(options: argparse.Namespace) -> None:
    settings = config.load(options.config)
    classes = resolve_classes(settings.data.classes, _data_root(options, settings))
    check_pair()
    from generator import predict

    loaded = _loaded(options, settings, classes)
    _write_csv(options.csv, None)  # lest an hour's answers find no place
    rows = predict.folder(loaded, options.folder)
    _write_csv(options.csv, rows)
    terminal.done(f"{options.csv}: {len(rows)} images")


def _serve(options: argparse.Namespace) -> None:
    from generator import serve

    settings = config.load(options.config)
    file = settings.path  # it stays this one where it goes for a moment: not the bundled one's report is built then
    folder = _out(options, settings)
    named = settings.report.base_url
    address = _address_of(folder)
    # A process of its own for each build: its memory and its threads go when it is done.
    build = [sys.executable, "-m", "generator", "build", "--out", str(folder)]
    build += ["--config", str(file)] if file else []
    build += ["--data", str(options.data)] if options.data else []
    build += ["--offline"] if options.offline else []
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

    with (
        serve.server(folder, options.port, address) as preview,
        serve.watching(partial(_watched, file), rebuild),
    ):
        _note_change(settings, folder)
        _tell_own_code(settings)
        terminal.say(f"{folder} is at {preview.url}; it follows report.toml, templates and content (Ctrl-C ends it)")
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):  # end it as tidily as Ctrl-C does
            if signal.getsignal(number) == signal.SIG_DFL:  # under nohup SIGHUP ends nothing
                signal.signal(number, lambda number, _: sys.exit(128 + number))
        try:
            preview.serve_forever()
        finally:
            ended.set()


def _tell_own_code(settings: Config) -> None:
    """Say whose code is run, where it is not the program's."""
    if folder := inputs.own_code(settings):
        terminal.say(f"note: runs the templates in {folder}")


def _note_change(settings: Config, folder: Path) -> None:
    """Say that a site is not what report.toml now asks for."""
    if published.report_of(folder) not in ("", inputs.of_report(settings)):
        terminal.say("note: report.toml has changed since the site was built; build first")


def _address_of(folder: Path) -> str:
    """Where the site in a folder says that it is published."""
    start = folder / check.START
    return check.address({check.START: start.read_bytes()}) if start.is_file() else ""


def _named(file: Path | None) -> str | None:
    """The base_url that report.toml names now; None with a mistake in it."""
    try:
        return config.load(file).report.base_url
    except InputError:
        return None


def _watched(file: Path | None) -> Iterator[Path]:
    """report.toml and what it names, templates and content; with a mistake in report.toml, that file alone."""
    yield file or Path(config.FILE_NAME)
    try:
        settings = config.load(file)
    except (InputError, OSError):
        return
    templates, content = inputs.folders(settings)
    for folder in (*templates, content):
        yield from clutter.files(folder)
    yield from (photo.file for photo in settings.samples.photos)


def _check(options: argparse.Namespace) -> None:
    folder = _out(options, config.load(options.config))
    # A copy that was exported has no manifest.
    copied = (folder / check.START).is_file() and not published.is_marked(folder)
    site = published.unmarked(folder) if copied else published.read(folder)
    found = (*check.of_folder(site.missing, site.changed, site.foreign), *check.check(site.files))
    pages = sum(map(is_page, site.files))
    size = sum(map(len, site.files.values()))
    if options.json:
        whole = {"site": str(folder), "pages": pages, "files": len(site.files), "bytes": size}
        whole["findings"] = [asdict(one) for one in found]
        _print_json(whole)
    else:
        for line in check.grouped(found):
            terminal.result(line)
    if found:
        raise InputError(f"{folder}: expected a site without faults, found {len(found)}")
    if not options.json:
        terminal.result(f"{folder}: {pages} pages, {len(site.files)} files, {size / 2**20:.1f} MiB, no faults")


def _export(options: argparse.Namespace) -> None:
    settings = config.load(options.config)
    site = published.read(_out(options, settings))
    _note_change(settings, site.folder)
    from generator import exports

    done = exports.export(options.to, site, settings, options.dest, options.slug or "", force=options.force)
    for path in done.placed.kept:
        terminal.say(f"{path} was edited since the last export and is kept; write over it with: --force")
    for note in done.notes:
        terminal.say(f"note: {note}")
    terminal.done(f"{done.page}: exported ({len(done.placed.written)} files)")


def _deploy(options: argparse.Namespace) -> None:
    from generator import deploy

    settings = config.load(options.config)
    site = published.read(_out(options, settings))
    _note_change(settings, site.folder)
    done = deploy.deploy(
        site,
        _beside(settings),
        options.branch,
        options.remote,
        push=options.push,
        force=options.force,
        say=terminal.say,
    )
    if done.note:
        terminal.say(f"note: {done.note}")
    state = (
        f"{done.files} files are commit {done.commit}" if done.new else f"commit {done.commit} holds this site already"
    )
    onward = f"pushed to {options.remote}" if done.pushed else f"publish it with: {done.onward}"
    terminal.done(f"branch {done.branch}: {state}; {onward}")


def _init(options: argparse.Namespace) -> None:
    from generator import scaffold

    for name in scaffold.init(options.folder):
        terminal.say(f"made {options.folder / name}")
    # The same program in another folder, whichever way it was started.
    terminal.done(f"next: cd {shlex.quote(str(options.folder))} && {shlex.quote(sys.executable)} -m generator build")


def _print_json(value: object) -> None:
    """In ASCII, which every stream takes as it is."""
    for line in json.dumps(value, indent=1).split("\n"):
        terminal.result(line)


def _published_at(settings: Config, address: str | None) -> Config:
    """The settings with another base_url."""
    if address is None:
        return settings
    try:
        base = config.base_address(address)
    except ValueError as error:
        raise InputError(f"--base-url: expected {error}, got {address!r}") from None
    return replace(settings, report=replace(settings.report, base_url=base))


def _out(options: argparse.Namespace, settings: Config) -> Path:
    """The site's folder."""
    out: Path = options.out or _beside(settings) / "site"
    return out


def _loaded(options: argparse.Namespace, settings: Config, classes: Classes) -> Loaded:
    """The network that the command is about, with its weights."""
    from generator import models

    loaded = models.load(options.model, settings, classes, offline=options.offline, say=terminal.say)
    if loaded is None:
        raise InputError(
            f"{settings.models.folder / options.model}: expected weights, found none; "
            f"train them with: python -m generator train {options.model}"
        )
    for note in loaded.notes:
        terminal.say(f"{loaded.title}: {note}")
    return loaded


def _write_csv(path: Path, rows: Sequence[tuple[str, int]] | None) -> None:
    """The course's format: the header Id,Category, then file name and class index; for None only whether it could be.

    Written aside, so that it is there when it is whole; straight into what is no regular file, such as /dev/stdout.
    """
    straight = inputs.exists(path) and not path.is_file()
    place = path if straight else Path(os.path.realpath(path))
    written = place if straight else place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with suppress(FileNotFoundError):
            place.lstat()  # a name that is too long is too long now, too
        with written.open("w", newline="", encoding="utf-8") as file:
            if rows is not None:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(("Id", "Category"))
                table.writerows((_cell(name), target) for name, target in rows)
        if not straight and rows is not None:
            os.replace(written, place)
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, got {reason(error)}") from error
    finally:
        if not straight:
            written.unlink(missing_ok=True)


def _cell(name: str) -> str:
    """A file's name in one printable line, and no formula for a spreadsheet: "=1+1.png" is "./=1+1.png"."""
    return terminal.plain(f"./{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name)


def _with_data(options: argparse.Namespace) -> tuple[Config, Path, Classes]:
    """The settings and a data set, downloaded where none is at hand."""
    settings = config.load(options.config)
    root = _data_root(options, settings)
    if root is None:
        if options.offline:
            raise InputError("a data set is needed: give one with --data DIR, or run it without --offline")
        from generator import download

        root = download.fetch(_cache(settings) / inputs.DOWNLOADED, resolve_classes(settings.data.classes, None))
    return settings, root, resolve_classes(settings.data.classes, root)


def _data_root(options: argparse.Namespace, settings: Config) -> Path | None:
    """--data, the variable TINY_IMAGENET, [data] root, else what was downloaded before."""
    found = tiny_imagenet.find(options.data, settings.data.root, os.environ)
    downloaded = _cache(settings) / inputs.DOWNLOADED
    return downloaded if found is None and downloaded.is_dir() else found


def _build_digest(settings: Config, root: Path | None) -> str:
    classes = resolve_classes(settings.data.classes, root)
    listed = (
        [image for split in tiny_imagenet.SPLITS for image in tiny_imagenet.list_images(root, classes, split)]
        if root
        else []
    )
    templates, content = inputs.folders(settings)
    return inputs.of_build(settings, tiny_imagenet.fingerprint(listed, str(root)), templates, content)


def _beside(settings: Config) -> Path:
    """Where the site and the cache go: beside report.toml, else here."""
    return settings.folder if settings.path else Path.cwd()


def _cache(settings: Config) -> Path:
    return _beside(settings) / ".cache"


class _Parser(argparse.ArgumentParser):
    """Says what it says by `terminal`, so that help that nobody could read is no success."""

    def print_help(self, file: object = None) -> None:  # noqa: ARG002 (it is always standard output)
        for line in self.format_help().rstrip("\n").split("\n"):
            terminal.result(line)

    def error(self, message: str) -> NoReturn:
        super().error(terminal.plain(message))


class _Version(argparse.Action):
    """--version, said as help is."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        terminal.result(f"cnn-report {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m generator",
        description="Show what a convolutional network learnt: a static site with its training, filters, feature maps "
        "and Grad-CAM maps.",
        epilog="Start with: python -m generator build",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the program's version number and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    build = _command(commands, "build", _build, "make the report: site/index.html")
    _data_options(build)
    build.add_argument("--out", type=Path, metavar="DIR", help="where the site goes (default: site beside report.toml)")
    build.add_argument("--force", action="store_true", help="build even if nothing has changed")
    build.add_argument(
        "--strict", action="store_true", help="keep the previous site if `check` finds the new one broken"
    )
    build.add_argument("--base-url", metavar="URL", help="where the site will be (default: [report] base_url)")

    train = _command(commands, "train", _train, "train a network into models/<model>")
    train.add_argument("model", choices=inputs.MODELS)
    _data_options(train)
    train.add_argument(
        "--preset", default="default", help='quick, default, best, distilled, "one batch" or "without augmentation"'
    )
    train.add_argument("--folder", type=Path, metavar="DIR", help="where the model goes (default: models/<model>)")
    train.add_argument("--resume", action="store_true", help="go on with the run that was interrupted")
    train.add_argument("--from", dest="start", type=Path, metavar="DIR", help="a trained model to go on from")
    train.add_argument(
        "--teacher",
        dest="teachers",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a trained model whose answers the preset distilled learns from; may be given again",
    )
    train.add_argument("--epochs", type=_positive, metavar="N", help="instead of the preset's")
    train.add_argument("--batch", type=_positive, metavar="N", help="images a step")
    train.add_argument("--lr", dest="learning_rate", type=_rate, metavar="X", help="peak learning rate")
    train.add_argument(
        "--patience", type=_positive, metavar="N", help="stop after N epochs without a better validation accuracy"
    )
    train.add_argument("--seed", type=_seed, metavar="N", help="of the weights, the order and the augmentation")
    train.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="arithmetic (default: measured)")

    compress = _command(commands, "compress", _compress, "make a model's weights small: 4-bit and 8-bit codes")
    compress.add_argument("model", choices=inputs.MODELS)
    compress.add_argument("--folder", type=Path, metavar="DIR", help="the model's folder (default: models/<model>)")

    evaluate = _command(commands, "evaluate", _evaluate, "score a network: models/<model>/evaluation.json")
    evaluate.add_argument("model", choices=inputs.MODELS)
    _data_options(evaluate)
    evaluate.add_argument("--split", choices=tiny_imagenet.SPLITS, help="only this one; nothing is written or counted")
    evaluate.add_argument("--json", action="store_true", help="print all scores as JSON")

    predict = _command(commands, "predict", _predict, "name the class of each image in a folder, as CSV")
    predict.add_argument("folder", type=Path, metavar="DIR")
    predict.add_argument("--model", choices=inputs.MODELS, default="cnn")
    predict.add_argument("--csv", type=Path, metavar="FILE", required=True, help="header Id,Category")
    _data_options(predict)

    serve = _command(commands, "serve", _serve, "show the site in a browser, on this machine only")
    _data_options(serve)
    _out_option(serve)
    serve.add_argument("--port", type=_positive, metavar="N", help="default: the first free one from 8000 on")

    checking = _command(commands, "check", _check, "look for what is broken in the site, before its visitors do")
    _out_option(checking)
    checking.add_argument("--json", action="store_true", help="print all findings as JSON")

    export = _command(commands, "export", _export, "carry the site into a portfolio, onto a page, into a notebook")
    export.add_argument(
        "--to",
        choices=("jekyll", "hugo", "fragment", "notebook"),
        required=True,
        help="jekyll, hugo: an entry of the portfolio in DEST and the site beside it; "
        "fragment: one piece of HTML for any page; notebook: .ipynb and .html",
    )
    export.add_argument("dest", type=Path, metavar="DEST", help="the Jekyll or Hugo site, the HTML file, the folder")
    _out_option(export)
    export.add_argument("--slug", metavar="NAME", help="of the entry in addresses (default: from the title)")
    export.add_argument("--force", action="store_true", help="write over files that no export made, and edited ones")

    deploy = _command(commands, "deploy", _deploy, "commit the site to a branch for a static host; --push sends it")
    _out_option(deploy)
    deploy.add_argument("--branch", default="gh-pages", metavar="NAME", help="default: gh-pages")
    deploy.add_argument("--remote", default="origin", metavar="NAME", help="default: origin")
    deploy.add_argument("--push", action="store_true", help="send the branch to the remote")
    deploy.add_argument("--force", action="store_true", help="replace a branch that holds other files")

    init = _command(commands, "init", _init, "begin a report of your own in a new folder")
    init.add_argument("folder", type=Path, metavar="DIR")
    return parser


def _out_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="the site (default: site beside report.toml)")


def _command(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    run: Callable[[argparse.Namespace], None],
    words: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    parser.set_defaults(run=run)
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: report.toml here, else the bundled one")
    return parser


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="tiny-imagenet-200 (default: the variable TINY_IMAGENET, else [data] root of report.toml)",
    )
    parser.add_argument("--offline", action="store_true", help="download nothing")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise ValueError(text)
    return number


# argparse's errors speak of these
_positive.__name__, _rate.__name__, _seed.__name__ = "whole number above 0", "number above 0", "seed below 2^32"


if __name__ == "__main__":
    sys.exit(program())
