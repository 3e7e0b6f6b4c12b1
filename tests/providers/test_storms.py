"""Never more than one paid job, whatever the weather: 200 seeds for each provider here, 1,000 in benchmarks/faults.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.providers.kills import kill
from tests.providers.storms import storm
from tests.providers.test_fal import TestFal
from tests.providers.test_google import TestGemini, TestVertex
from tests.providers.test_kling import TestKling
from tests.providers.test_openai import TestVllm
from tests.providers.test_replicate import TestReplicate
from tests.providers.test_runway import TestRunway
from vidorch.testing.conformance import ProviderConformance

CASES: dict[str, type[ProviderConformance]] = {
    "fal": TestFal, "gemini": TestGemini, "kling": TestKling, "openai": TestVllm, "replicate": TestReplicate, "runway": TestRunway,
    "vertex": TestVertex,
}  # fmt: skip
for _name in ("TestFal", "TestGemini", "TestKling", "TestReplicate", "TestRunway", "TestVertex", "TestVllm"):
    del globals()[_name]  # they are run where they stand


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 50))
@pytest.mark.parametrize("name", CASES)
def test_storms(name: str, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty storms: at most one job paid in each, found again where the vendor can search, and never forgotten."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")
    case = CASES[name]()
    for seed in range(first, first + 50):
        home = tmp_path / str(seed)
        storm(case, seed, home)


@pytest.mark.parametrize("name", CASES)
def test_a_few_storms(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a handful of seeds."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")
    for seed in range(1_000, 1_004):
        storm(CASES[name](), seed, tmp_path / str(seed))


@pytest.mark.slow
@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_a_kill(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, taken: bool) -> None:
    """A process that is killed while its submit is on its way pays at most once, and what it paid for is not forgotten."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")
    passed = kill(CASES[name](), tmp_path, taken=taken)
    assert not passed.broken, passed.broken
