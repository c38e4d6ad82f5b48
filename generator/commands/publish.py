"""`check`, `export`, `deploy` and `init`: a finished site on its way to its readers, and a new report."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import asdict

from generator.base import terminal
from generator.base.errors import PROGRAM, InputError
from generator.base.installation import check_pair
from generator.commands import own
from generator.commands.build import as_read
from generator.commands.places import beside, cache_folder, data_at_hand, out_folder, print_json, tell_own_code
from generator.commands.serve import follows, note_change
from generator.config import reading
from generator.config.places import FILE_NAME
from generator.publishing import check, published
from generator.publishing.check.documents import is_page
from generator.report.overview.reading import doubts


def check_command(options: argparse.Namespace) -> None:
    """`check`: what is broken in a built site."""
    folder = out_folder(options, reading.load(options.config))
    # A copy that was exported has no manifest.
    copied = (folder / check.START).is_file() and not published.is_marked(folder)
    site = published.unmarked(folder) if copied else published.read(folder)
    found = (*check.of_folder(site.missing, site.changed, site.foreign), *check.check(site.files))
    pages = sum(map(is_page, site.files))
    size = sum(map(len, site.files.values()))
    if options.json:
        whole = {"site": str(folder), "pages": pages, "files": len(site.files), "bytes": size}
        whole["findings"] = [asdict(one) for one in found]
        print_json(whole)
    else:
        for line in check.grouped(found):
            terminal.result(line)
    if found:
        raise InputError(f"{folder}: expected a site without faults, found {len(found)}")
    if not options.json:
        terminal.result(f"{folder}: {pages} pages, {len(site.files)} files, {size / 2**20:.1f} MiB, no faults")


def export_command(options: argparse.Namespace) -> None:
    """`export`: the site in a portfolio, on a page, in a notebook."""
    settings = reading.load(options.config)
    site = published.read(out_folder(options, settings))
    if not follows(settings, site.folder):
        raise InputError(
            f"{site.folder}: expected the report.toml that says how the site was made, there is none here; where "
            f"options made it, write it with {PROGRAM} init and the same options; else build the site again"
        )
    note_change(settings, site.folder)
    from generator.publishing import exports

    done = exports.export(options.to, site, settings, options.dest, options.slug or "", force=options.force)
    for path in done.placed.kept:
        terminal.say(f"{path} was edited since the last export and is kept; write over it with: --force")
    for note in done.notes:
        terminal.say(f"note: {note}")
    terminal.done(f"{done.page}: exported ({len(done.placed.written)} files)")


def deploy_command(options: argparse.Namespace) -> None:
    """`deploy`: the site on a branch for a static host."""
    from generator.publishing import deploy

    settings = reading.load(options.config)
    site = published.read(out_folder(options, settings))
    note_change(settings, site.folder)
    done = deploy.deploy(
        site,
        beside(settings),
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


def _read(options: argparse.Namespace) -> own.Found | None:
    """How the network that the options tell of is read; None: there is none, its answers alone are known."""
    if options.predictions:
        return None
    settings = own.settings_in(options, options.folder)
    data = data_at_hand(options, settings)
    tell_own_code(settings)
    check_pair()
    from generator.data import decoded
    from generator.inspection.network import facts

    if data is not None:
        data = decoded.whole(data, cache_folder(settings) / "data")
    (wanted,) = settings.models.networks
    loaded, tried = as_read(wanted, settings, data, offline=False)
    assert loaded is not None  # for it is from a file
    for line in (*loaded.notes, *doubts(loaded.title, tried)):
        terminal.say(f"{loaded.title}: {line}" if line in loaded.notes else line)
    return own.found(loaded.class_names, loaded.input, loaded.layer, facts(loaded))


def init_command(options: argparse.Namespace) -> None:
    """`init`: a new report; of a network of one's own where the options tell of one."""
    from generator.publishing import scaffold

    if own.is_told(options):
        if (there := options.folder / FILE_NAME).exists():
            raise scaffold.there_is_one(there)
        file = scaffold.begin(options.folder, own.text(options, options.folder, _read(options)))
        terminal.say(f"made {file}")
        terminal.done(f"next: cd {shlex.quote(str(options.folder))} && cnn-report build")
        return
    for name in scaffold.init(options.folder):
        terminal.say(f"made {options.folder / name}")
    # The same program in another folder, whichever way it was started.
    terminal.done(f"next: cd {shlex.quote(str(options.folder))} && {shlex.quote(sys.executable)} -m generator build")
