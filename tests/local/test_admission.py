"""What an open-weight model says before anything is loaded: what is missing, and what it cannot make. Needs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.local import tiny
from tests.local.boxes import box
from vidorch import Client
from vidorch.errors import InvalidRequest, Unsupported
from vidorch_local.diffusion import packages

PROMPT = "a lighthouse at dusk"


@pytest.fixture
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were there."""
    monkeypatch.setattr(packages, "missing", tuple)


def reasons(home: Path, source: Path | str, **asked: Any) -> dict[str, str]:
    """Why the offer for that folder is left out."""
    offer = tiny.offer_of("t2v", source)
    with Client(home=home, catalog=tiny.catalog_of(offer)) as client, pytest.raises(Unsupported) as caught:
        client.generate(PROMPT, model=offer.name, **asked)
    return caught.value.reasons


class TestPackages:
    @pytest.mark.parametrize("package", packages.NEEDED)
    def test_that_are_missing_name_the_extra(
        self, monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path, package: str
    ) -> None:
        """The offer is left out of the plan with what to type, and nothing is written."""
        for other in packages.NEEDED:
            monkeypatch.setitem(sys.modules, other, None if other == package else sys)
        (why,) = reasons(home, box(tmp_path / "wan")).values()
        assert (True, True) == (package in why, 'pip install "vidorch[local]"' in why)
        assert not home.exists()

    def test_that_are_missing_do_not_hide_the_price(
        self, monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path
    ) -> None:
        """An estimate says what would be needed."""
        monkeypatch.setitem(sys.modules, "torch", None)
        offer = tiny.offer_of("t2v", box(tmp_path / "wan"))
        with Client(home=home, catalog=tiny.catalog_of(offer)) as client:
            (planned,) = client.plan(PROMPT, model=offer.name).entries
        assert ('pip install "vidorch[local]"',) == planned.needs


@pytest.mark.usefixtures("all_installed")
class TestWeights:
    def test_that_are_not_here_name_the_command(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before anything runs."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        (why,) = reasons(home, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers").values()
        assert "vidorch models pull local/tiny-t2v" in why


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
        "import sys; from pathlib import Path; from tests.local import tiny; from vidorch.request import Request;"
        "from vidorch_local.diffusion import packages; packages.missing = tuple;"
        "from vidorch_local.provider import Local;"
        f"Local().admit(Request(prompt='x'), tiny.offer_of('t2v', {str(tmp_path)!r}));"
        "print({'torch', 'diffusers', 'transformers', 'numpy', 'PIL'} & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == ran.stdout.strip()
