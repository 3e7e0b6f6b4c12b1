"""What a plan tells of models on one's own hardware, in the words of their provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.scripted import Scripted, offer
from vidorch import AsyncClient
from vidorch.errors import InvalidRequest

Make = Callable[..., AsyncClient]
OPEN = {"weights": {"source": "owner/name"}}


def planned(client: AsyncClient) -> tuple[str, ...]:
    """The notes of the only offer."""

    async def go() -> tuple[str, ...]:
        async with client:
            return (await client.plan("a ball", model="test/basic")).entries[0].notes

    return asyncio.run(go())


class TestOutlook:
    def test_it_is_told_by_a_plan(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where weights would lie is worth knowing before a model is loaded."""
        monkeypatch.setattr(provider, "outlook", lambda *asked: ("it would lie on the card",))
        assert ("it would lie on the card",) == planned(client_of(offer(**OPEN)))

    def test_hosted_models_have_none(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody is asked of them: a market is planned over in milliseconds."""

        def never(*asked: Any) -> tuple[str, ...]:
            raise AssertionError(asked)

        monkeypatch.setattr(provider, "outlook", never)
        assert () == planned(client_of(offer()))

    def test_what_is_wrong_with_its_options_is_told_as_well(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:  # fmt: skip
        """The run says it in full; a plan does not end by it."""

        def wrong(*asked: Any) -> tuple[str, ...]:
            raise InvalidRequest("placement='gpuu' is none.", field="placement", value="gpuu", allowed="gpu")

        monkeypatch.setattr(provider, "outlook", wrong)
        assert ("placement='gpuu' is none.",) == planned(client_of(offer(**OPEN)))
