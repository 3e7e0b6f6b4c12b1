"""What an open-weight model says before anything is loaded: what is missing, and what it cannot make. Needs no torch."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.local import tiny
from tests.local.boxes import box
from vidorch import Client, weights
from vidorch.clock import RealClock
from vidorch.contract import Context, Endpoint
from vidorch.errors import InvalidRequest, Unsupported
from vidorch_local.provider import Local

PROMPT = "a lighthouse at dusk"


@pytest.fixture
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were there."""
    monkeypatch.setattr(weights, "_installed", set(weights.EXTRA))


@pytest.fixture
def none_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not."""
    monkeypatch.setattr(weights, "_installed", set())
    for package in weights.EXTRA:
        monkeypatch.setitem(sys.modules, package, None)


def reasons(home: Path, source: Path | str, **asked: Any) -> dict[str, str]:
    """Why the offer for that folder is left out."""
    offer = tiny.offer_of("t2v", source)
    with Client(home=home, catalog=tiny.catalog_of(offer)) as client, pytest.raises(Unsupported) as caught:
        client.generate(PROMPT, model=offer.name, **asked)
    return caught.value.reasons


@pytest.mark.usefixtures("none_installed")
class TestPackages:
    def test_that_are_missing_name_the_extra(self, home: Path, tmp_path: Path) -> None:
        """The offer is left out of the plan with what to type, and nothing is written."""
        (why,) = reasons(home, box(tmp_path / "wan")).values()
        assert "pip install 'vidorch[local]'" in why
        assert not home.exists()

    def test_that_are_missing_do_not_hide_the_price(self, home: Path, tmp_path: Path) -> None:
        """An estimate says what would be needed."""
        offer = tiny.offer_of("t2v", box(tmp_path / "wan"))
        with Client(home=home, catalog=tiny.catalog_of(offer)) as client:
            (planned,) = client.plan(PROMPT, model=offer.name).entries
        assert any("pip install 'vidorch[local]'" in need for need in planned.needs)

    def test_that_are_missing_are_named_by_the_check_of_an_endpoint(self, tmp_path: Path) -> None:
        """`vidorch doctor` says so."""
        endpoint = Endpoint("rig", "local", device="cuda:0")
        context = Context(endpoint=endpoint, clock=RealClock(), job_id="job_1", folder=tmp_path)
        health = asyncio.run(Local().check(context))
        assert (False, True) == (health.ok, "torch and diffusers" in health.detail)


@pytest.mark.usefixtures("all_installed")
class TestWeights:
    def test_that_are_not_here_name_the_command(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before anything runs."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        (why,) = reasons(home, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers").values()
        assert "vidorch models pull tiny-t2v" in why


@pytest.mark.usefixtures("all_installed")
class TestExtra:
    def test_with_an_unknown_key_is_refused(self, home: Path, tmp_path: Path) -> None:
        """With the nearest right one, before anything is written."""
        offer = tiny.offer_of("t2v", box(tmp_path / "wan"))
        with (
            Client(home=home, catalog=tiny.catalog_of(offer)) as client,
            pytest.raises(InvalidRequest, match="Did you mean 'placement'"),
        ):
            client.generate(PROMPT, model=offer.name, extra={"local": {"placment": "gpu"}})
        assert not home.exists()


def test_planning_loads_no_torch(tmp_path: Path) -> None:
    """Neither the provider nor what it says of an offer loads torch, diffusers, numpy or PIL."""
    code = (
        "import sys; from tests.local import tiny; from vidorch.request import Request;"
        "from vidorch import weights; weights._installed |= set(weights.EXTRA);"
        "from vidorch_local.provider import Local;"
        f"Local().admit(Request(prompt='x'), tiny.offer_of('t2v', {str(box(tmp_path / 'wan'))!r}));"
        "print({'torch', 'diffusers', 'transformers', 'numpy', 'PIL'} & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == ran.stdout.strip()
