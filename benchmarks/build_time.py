"""How long a build takes, cold and unchanged, and how much memory: the README's figures.

Runs `python -m generator build` in processes of its own, into a scratch folder with an empty cache, from the models
that are shipped; prints a Markdown table. Usage: python benchmarks/build_time.py [--data DIR]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a data set; without one the bundled photos alone are shown")
    options = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if name != "TINY_IMAGENET"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = (REPOSITORY / "models").as_posix()
        (folder / "report.toml").write_text(
            f'[models]\nfolder = "{models}"\n[models.cnn]\n[models.alexnet]\nweights = "bundled"\n', encoding="utf-8"
        )
        command = [sys.executable, "-m", "generator", "build", "--offline"]
        if options.data:
            command += ["--data", str(options.data.resolve())]
        rows = [(name, *_run([*command, *extra], folder, environment)) for name, extra in RUNS]
    print("| build | seconds | peak memory, MB |\n|---|---|---|")
    for name, seconds, megabytes in rows:
        print(f"| {name} | {seconds:.1f} | {megabytes:.0f} |")


# In this order: the second finds what the first has made, the third the first's cache.
RUNS = (("cold", ()), ("unchanged", ()), ("again, from the cache (--force)", ("--force",)))


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds on the clock and the largest resident set of one process, in MB."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return seconds, usage.ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
