"""What `import vidorch` costs, beside `import httpx` and a bare interpreter: CPU seconds and memory of fresh processes.

    python benchmarks/import_cost.py [RUNS] [--no-limits]

The three take turns, so that whatever else the machine does hits all alike; medians are reported. CPU is user and system time
of the whole process, memory its peak resident size, "net" what is left after the bare interpreter.

On Linux memory is `VmHWM`. `ru_maxrss` will not do: it survives `exec`, so a child starts with the size of the process that
started it, and everything smaller than that looks the same.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys

RUNS = 21
CODES = {"bare interpreter": "pass", "import vidorch": "import vidorch", "import httpx": "import httpx"}
MEASURE = """
{code}
import resource, sys
used = resource.getrusage(resource.RUSAGE_SELF)
if sys.platform == "linux":
    with open("/proc/self/status") as status:
        peak = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
else:
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes on macOS, KiB elsewhere
print('{{"cpu": %r, "rss": %r}}' % (used.ru_utime + used.ru_stime, peak))
"""
MOST_OF_HTTPX = 0.25
MOST_MEGABYTES = 5.0


def measure(code: str) -> dict[str, float]:
    """CPU seconds and peak bytes of one fresh process that runs `code`."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", MEASURE.format(code=code)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> int:
    """Print the table; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="?", type=int, default=RUNS)
    parser.add_argument("--no-limits", action="store_true", help="exit with 0 when a target is missed, too")
    asked = parser.parse_args()
    runs = asked.runs
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in CODES}
    for code in CODES.values():
        measure(code)  # warms the file cache and writes bytecode; not counted
    for _ in range(runs):
        for name, code in CODES.items():
            seen[name].append(measure(code))
    cpu = {name: statistics.median(one["cpu"] for one in found) for name, found in seen.items()}
    rss = {name: statistics.median(one["rss"] for one in found) / 1e6 for name, found in seen.items()}
    bare_cpu, bare_rss = cpu["bare interpreter"], rss["bare interpreter"]
    print(
        f"Python {platform.python_version()}, {platform.machine()}, medians of {runs} runs each, taking turns\n"
    )
    print("| | CPU, ms | net, ms | memory, MB | net, MB |\n|---|---|---|---|---|")
    for name in CODES:
        net = f"{(cpu[name] - bare_cpu) * 1e3:.1f} | {rss[name]:.1f} | {rss[name] - bare_rss:.1f}"
        print(f"| {name} | {cpu[name] * 1e3:.1f} | {net} |")
    share = (cpu["import vidorch"] - bare_cpu) / (cpu["import httpx"] - bare_cpu)
    grown = rss["import vidorch"] - bare_rss
    print(f"\nCPU of vidorch over httpx, net: {share:.3f} (at most {MOST_OF_HTTPX})")
    print(f"Memory of vidorch over the bare interpreter: {grown:.1f} MB (at most {MOST_MEGABYTES:.0f})")
    return 0 if asked.no_limits or (share <= MOST_OF_HTTPX and grown <= MOST_MEGABYTES) else 1


if __name__ == "__main__":
    raise SystemExit(main())
