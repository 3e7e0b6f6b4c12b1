from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vidorch.ledger.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger of this test lies; not there yet."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """A fresh ledger on disk."""
    made = Ledger(path)
    yield made
    made.close()
