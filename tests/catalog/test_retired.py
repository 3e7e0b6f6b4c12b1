"""What is said of a model that its vendor switched off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vidorch
from vidorch.errors import Retired


class TestSora:
    def test_nothing_is_sent_and_live_offers_are_named(self, tmp_path: Path) -> None:
        """`generate(model="sora-2")` raises `Retired` before any submit, with up to three live offers and their prices."""
        with vidorch.Client(home=tmp_path) as client:
            with pytest.raises(Retired) as caught:
                client.generate("a red ball rolling left", model="sora-2", duration=4)
            assert [] == list(client.jobs())
        assert 3 == len(caught.value.offers)
        assert all(re.search(r"\(\$\d+\.\d+", offer) for offer in caught.value.offers)
        assert not any("sora" in offer for offer in caught.value.offers)
        assert False is caught.value.charged

    def test_at_the_top(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So does the function of the module itself."""
        monkeypatch.setenv("VIDORCH_HOME", str(tmp_path))
        with pytest.raises(Retired, match="2026-09-24"):
            vidorch.generate("a red ball rolling left", model="sora-2")
