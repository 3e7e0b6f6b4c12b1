"""`credentials=` of a client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vidorch import Client
from vidorch.client.aio import AsyncClient
from vidorch.client.market import credentials_of
from vidorch.errors import InvalidRequest


class TestCredentials:
    """A callable, or a mapping of endpoints to secrets."""

    @pytest.mark.parametrize("client", [Client, AsyncClient])
    @pytest.mark.parametrize(
        "given", ["key", 7, {"fal": None}, {"fal": {"default": "very-secret"}}, [("fal", "very-secret")]]
    )
    def test_what_is_neither_is_said_when_the_client_is_made(
        self, tmp_path: Path, client: Any, given: Any
    ) -> None:
        """With what is expected, and without what may be a secret."""
        with pytest.raises(InvalidRequest, match=r"a callable \(scope, endpoint\) -> secret") as caught:
            client(home=tmp_path, credentials=given)
        assert "very-secret" not in str(caught.value)

    def test_a_mapping_is_for_the_default_scope_alone(self) -> None:
        """As the environment is: the key of the owner is not that of every tenant."""
        of = credentials_of({"fal": "secret"})
        assert of is not None
        assert ["secret", None, None] == [of("default", "fal"), of("default", "kling"), of("tenant-a", "fal")]

    def test_a_mapping_makes_offers_ready(self, tmp_path: Path) -> None:
        """Those of its endpoints, and no others."""
        with Client(home=tmp_path, credentials={"fal": "secret"}) as client:
            plan = client.plan("a boat", model="kling-3.0-pro")
        needs = {entry.offer.endpoint: entry.needs for entry in plan.entries}
        assert ((), True) == (needs["fal"], bool(needs["replicate"]))

    def test_a_callable_is_as_it_is(self) -> None:
        """It is asked anew at each use."""

        def of(scope: str, endpoint: str) -> str | None:
            return f"{scope}:{endpoint}"

        assert of is credentials_of(of)
