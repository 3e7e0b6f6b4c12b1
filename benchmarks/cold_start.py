"""CPU seconds of a cold `vidorch` process: from the shell to a verified file, and to an estimate.

    python benchmarks/cold_start.py [RUNS] [--only NAME ...] [--no-limits]

Each run is a fresh process with a fresh home folder; CPU is user and system time of it and its children
(`getrusage(RUSAGE_CHILDREN)`), which waiting does not add to. Medians are reported, with the fastest and slowest.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 7
PROMPT = "a red ball rolling left"
COMMANDS: dict[str, tuple[list[str], float]] = {
    "generate": (["generate", PROMPT, "-o", "ball.mp4"], 3.0),
    "estimate --json": (["estimate", PROMPT, "--json"], 1.2),
    "estimate --json, hosted": (
        ["estimate", "a lighthouse", "--model", "veo-3.1-fast", "--duration", "8", "--json"],
        1.2,
    ),
}
"""Name to arguments and the most CPU seconds."""


def measure(arguments: list[str]) -> float:
    """CPU seconds of one cold run."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VIDORCH_")}
        environment["VIDORCH_HOME"] = str(Path(folder) / "home")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "vidorch", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if "-o" in arguments and not (Path(folder) / arguments[arguments.index("-o") + 1]).stat().st_size:
            raise SystemExit("No file was made.")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the table; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="?", type=int, default=RUNS)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), metavar="NAME")
    parser.add_argument("--no-limits", action="store_true", help="exit with 0 when a target is missed, too")
    asked = parser.parse_args()
    runs, chosen = asked.runs, {name: COMMANDS[name] for name in asked.only}
    seen: dict[str, list[float]] = {name: [] for name in chosen}
    for arguments, _ in chosen.values():
        measure(arguments)  # warms the file cache and writes bytecode; not counted
    for _ in range(runs):
        for name, (arguments, _) in chosen.items():
            seen[name].append(measure(arguments))
    print(f"Python {platform.python_version()}, {platform.machine()}, {runs} runs each, taking turns\n")
    print("| `vidorch ...` | CPU, s: median | fastest | slowest | at most |\n|---|---|---|---|---|")
    for name, (_, most) in chosen.items():
        print(
            f"| {name} | {statistics.median(seen[name]):.2f} | {min(seen[name]):.2f} | {max(seen[name]):.2f} | {most:.1f} |"
        )
    met = all(statistics.median(seen[name]) <= most for name, (_, most) in chosen.items())
    return 0 if met or asked.no_limits else 1


if __name__ == "__main__":
    raise SystemExit(main())
