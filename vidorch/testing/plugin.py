"""The pytest plugin `vidorch`: the fixture `vidorch_mock`, and the option `--vidorch-live`. Loads nothing until they are used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vidorch.testing.kit import Mock

__all__ = ["pytest_addoption", "pytest_configure", "vidorch_mock"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("vidorch").addoption(
        "--vidorch-live",
        action="store_true",
        help="let tests pay for clips of real models (outside vidorch_mock)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--vidorch-live"):
        before = os.environ.get("VIDORCH_LIVE")
        os.environ["VIDORCH_LIVE"] = "1"
        config.add_cleanup(lambda: _restore(before))


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop("VIDORCH_LIVE", None)
    else:
        os.environ["VIDORCH_LIVE"] = before


@pytest.fixture
def vidorch_mock() -> Iterator[Mock]:
    """`vidorch.testing.mock()` around the test: vendors are scripted, time costs nothing, nothing is paid."""
    from vidorch.testing import mock

    with mock() as m:
        yield m
