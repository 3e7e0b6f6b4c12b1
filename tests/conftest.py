"""Every test has a home folder of its own and none of the keys of whoever runs it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgres  # looks at the environment before tests change it

# No deadline: a busy machine is not a bug. Derandomized: what fails here fails everywhere.
settings.register_profile("vidorch", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("vidorch")

_KEYS = re.compile(r"^(VIDORCH_.*|.*_API_KEY|.*_API_TOKEN|.*API_SECRET|FAL_KEY|KLING_.*|GOOGLE_.*|AWS_.*)$")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test; not created yet."""
    for name in os.environ:
        if _KEYS.match(name):
            monkeypatch.delenv(name)
    folder = tmp_path / "vidorch-home"
    monkeypatch.setenv("VIDORCH_HOME", str(folder))
    return folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked `databases` runs on both; on PostgreSQL it is among the slow ones, unless the mark says `quick=True`."""
    mark = metafunc.definition.get_closest_marker("databases")
    if mark is None:
        return
    marks = [] if mark.kwargs.get("quick") else [pytest.mark.slow]
    metafunc.fixturenames.append("on_database")
    metafunc.parametrize("on_database", ["sqlite", pytest.param("postgresql", marks=marks)], indirect=True)


@pytest.fixture
def on_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever file a ledger is opened in, on PostgreSQL it is the one database of this test, shared with other machines."""
    if request.param == "sqlite":
        return
    from vidorch.ledger import ledger, store
    from vidorch.ledger.postgres import Postgres

    place, really = postgres.empty(), store.database_of
    monkeypatch.setattr(
        store,
        "database_of",
        lambda of, busy=store.BUSY_SECONDS: really(None) if of is None else Postgres(place, busy),
    )
    monkeypatch.setattr(ledger.Ledger, "shared", True)


@pytest.fixture(autouse=True)
def no_default_client_left(home: Path) -> Iterator[None]:
    """The module-level calls of each test have a client of their own, closed with the test."""
    yield
    default = sys.modules.get("vidorch._default")
    if default is not None and default._client is not None:
        default._client.close()
        default._client = None
