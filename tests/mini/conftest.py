"""The training package is not installed; its folder is put on the path for these tests only."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

LOCAL_BACKEND = Path(__file__).resolve().parents[2] / "local_backend"
if str(LOCAL_BACKEND) not in sys.path:
    sys.path.insert(0, str(LOCAL_BACKEND))


@pytest.fixture(scope="session")
def mini():
    from vidorch_local.mini.model import Mini

    return Mini.load()


@pytest.fixture(scope="session")
def rolling(mini):
    """A clip that several tests look at."""
    from vidorch_local.mini.words import understand

    return mini.generate(understand("a red ball rolling left"), seed=1)
