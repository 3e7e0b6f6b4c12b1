"""A whole process under the mock: `VIDORCH_MOCK=1`, or `VIDORCH_MOCK=script.toml`."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from vidorch import surroundings as world
from vidorch.home import home_folder
from vidorch.testing.clock import START
from vidorch.testing.kit import FOLDER, Mock
from vidorch.testing.script import follow

__all__ = ["begin"]

DAY = 86_400.0
_lock = threading.Lock()


def begin(value: str) -> None:
    """Put this process under a mock for good. Its files are in the folder `mock` of the home folder, and stay there.

    Args:
        value: "1", or the path of a script.

    Raises:
        InvalidRequest: the script cannot be used.
    """
    with _lock:
        if world.entered():
            return
        home = home_folder()
        home = home if home.name == FOLDER else home / FOLDER
        # On the frozen day, at the time of this one: what several processes write down stays in order.
        start = START // DAY * DAY + time.time() % DAY
        mock = Mock(home=home, free=True, start=start)
        if value != "1":
            follow(mock, Path(value))
        mock.set_up()
