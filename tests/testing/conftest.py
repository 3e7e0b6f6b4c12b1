from __future__ import annotations

from collections.abc import Iterator

import pytest

from vidorch.testing import Mock, mock


@pytest.fixture
def m() -> Iterator[Mock]:
    """A mock around the test."""
    with mock() as made:
        yield made
