"""`build`: the site, unless nothing has changed since it was built."""

from __future__ import annotations

import argparse
import time

from generator.base import terminal
from generator.base.installation import check_pair, import_matplotlib
from generator.commands.places import build_digest, cache_folder, data_at_hand, out_folder, published_at, tell_own_code
from generator.config import reading
from generator.publishing import check, published, writer


def build_command(options: argparse.Namespace) -> None:
    """`build`: see `build.build`."""
    settings = published_at(reading.load(options.config), options.base_url)
    cache, out = cache_folder(settings), out_folder(options, settings)
    begun = time.perf_counter()
    data = data_at_hand(options, settings)
    digest = build_digest(settings, data)
    if not options.force and writer.unchanged(out, digest):
        if options.strict:
            check.require(published.read(out).files, "it was built before and is still in place", terminal.say)
        terminal.done(f"nothing has changed: {out / 'index.html'} ({time.perf_counter() - begun:.1f} s)")
        return
    tell_own_code(settings)
    check_pair()
    import_matplotlib()
    from generator import build

    index = build.build(settings, data, out, cache, digest, offline=options.offline, strict=options.strict)
    terminal.done(f"built {index} in {time.perf_counter() - begun:.1f} s")
