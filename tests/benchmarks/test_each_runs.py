"""Every benchmark still runs, at its smallest size. What it measures is nobody's business here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = {"faults_packages", "local_models", "overhead_peers"}
"""Belong to others; those of packages need what is installed for them."""
QUICK = {
    "import_cost": "1 --no-limits",
    "mini": "--n 1 --steps 1 --held-only --backgrounds 0",
    "polling": "--seeds 1 --jobs 2 --learned 1",
    "routing": "--turns 1 --jobs 100",
    "selection": "1",
}
SLOW = {
    "batch": "--lines 4 8 --at-once 2 --runs 1",
    "cold_start": "1 --only estimate\\ --json --no-limits",
    "engine": "engine memory --runs 1 --jobs 2 --alone 1",
    "faults": "--storms 2 --kills 1 --processes 1 replicate",
    "histories": "--count 1 --processes 1",
    "ledger": "--moves 8 --processes 2 --jobs 1001 --latency 0.1",
    "overhead": "2 --rounds 1",
    "prices": "",
    "sockets": "1 --most 2",
    "spending": "--processes 1 --reservations 2",
    "testkit": "1 --alone 1 --crowds 2",
}
TORCH = {
    "local": "--size 16x16 --frames 1 --steps 9 --presets quality fast --layer 1",
}
SIZES = [*QUICK.items(), *(pytest.param(*size, marks=pytest.mark.slow) for size in SLOW.items()),
         *(pytest.param(*size, marks=(pytest.mark.torch, pytest.mark.timeout(520))) for size in TORCH.items())]  # fmt: skip
"""The smallest size of each, as one would type it."""


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_it_runs_and_prints_a_table(name: str, size: str) -> None:
    """`python -m benchmarks.NAME` ends well, and what it found is on stdout."""
    arguments = [word.replace("\\ ", " ") for word in re.split(r"(?<!\\) ", size)]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=110 if name not in TORCH else 500,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("|") or re.search(r"\d", line)]
    assert len(rows) >= 2, done.stdout


def test_none_is_left_out() -> None:
    """Whoever adds a benchmark gives it a size here."""
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__"}
    assert there == PARTS | set(QUICK) | set(SLOW) | set(TORCH)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("model", "dit", "vae"),
    [
        ("wan-1.3b", 1_418_996_800, 126_892_531),
        ("wan-5b", 4_999_787_712, 704_688_668),
        ("wan-14b", 14_288_491_584, 126_892_531),
    ],
)
def test_local_models_are_of_their_real_size(model: str, dit: int, vae: int) -> None:
    """The architectures that are built have as many parameters as the repositories' weights."""
    from benchmarks.local_models import build

    pipe = build(model, "meta")
    counts = [sum(one.numel() for one in part.parameters()) for part in (pipe.transformer, pipe.vae)]
    assert [dit, vae] == counts


class TestPackages:
    """What is run where the packages of others are can at least be read."""

    def test_the_peers_of_the_overhead(self) -> None:
        """Each is a program."""
        from benchmarks import overhead_peers

        for peer in overhead_peers.PEERS.values():
            compile(overhead_peers.HEAD + peer.code + overhead_peers.FOOT, peer.given, "exec")

    def test_the_packages_of_the_faults(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each is a program, and pinned."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")
        from benchmarks import faults_packages

        for package in faults_packages.PACKAGES:
            compile(faults_packages.HEAD + package.code, package.name, "exec")
            assert all("==" in pin for pin in package.pins), package.name
