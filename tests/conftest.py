"""Every test has a home folder of its own and none of the keys of whoever runs it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

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


@pytest.fixture(autouse=True)
def no_default_client_left(home: Path) -> Iterator[None]:
    """The module-level calls of each test have a client of their own, closed with the test."""
    yield
    default = sys.modules.get("vidorch._default")
    if default is not None and default._client is not None:
        default._client.close()
        default._client = None
