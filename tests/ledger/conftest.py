from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from vidorch.databases import DatabaseUrl
from vidorch.ledger.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger of this test lies; not there yet."""
    return tmp_path / "ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, path: Path) -> Path | DatabaseUrl:
    """The same on both databases: a file that is not there yet, and a database without a row."""
    return path if request.param == "sqlite" else postgres.empty()


@pytest.fixture
def ledger(place: Path | DatabaseUrl) -> Iterator[Ledger]:
    """A fresh ledger."""
    made = Ledger(place)
    yield made
    made.close()
