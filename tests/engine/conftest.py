from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import Scripted, VirtualClock, catalog
from vidorch.client.aio import AsyncClient


@pytest.fixture
def provider() -> Scripted:
    return Scripted()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def client_of(tmp_path: Path, provider: Scripted, clock: VirtualClock) -> Callable[..., AsyncClient]:
    """Makes a client on the scripted provider; keyword arguments go to `AsyncClient`."""

    def make(*offers: dict[str, Any], **settings: Any) -> AsyncClient:
        settings = {
            "home": tmp_path / "home",
            "catalog": catalog(*offers),
            "providers": {"test": provider},
            "clock": clock,
        } | settings
        return AsyncClient(**settings)

    return make
