"""Who still drives a job, told from what its row says of its owner."""

from __future__ import annotations

import os
import socket

import pytest

from tests.engine.scripted import VirtualClock
from vidorch.clock import Ids
from vidorch.engine.hosts import is_orphan, this_host

HERE = socket.gethostname()
NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("owner", "lease_until", "orphan"),
    [
        pytest.param(None, None, True, id="nobody owns it"),
        pytest.param(f"{HERE}:{os.getpid()}:stale", NOW + 30, True, id="our number, of another life"),
        pytest.param(f"{HERE}:{2**22 + 1}:gone", NOW + 30, True, id="no such process on this host"),
        pytest.param(f"{HERE}:1:old", NOW - 1, True, id="a process that lives, a lease that ran out"),
        pytest.param(f"{HERE}:1:other", NOW + 30, False, id="a process that lives, within its lease"),
        pytest.param("elsewhere:1:x", NOW + 30, False, id="another host, within its lease"),
        pytest.param("elsewhere:1:x", NOW - 1, True, id="another host, its lease ran out"),
    ],
)
def test_an_owner_is_judged_by_life_and_lease(
    owner: str | None, lease_until: float | None, orphan: bool
) -> None:
    """A process number alone proves nothing: it is given again after a restart."""
    assert orphan is is_orphan(owner, lease_until, NOW)


def test_an_owner_of_this_process_lives_until_it_leaves() -> None:
    """What this process drives is never an orphan, even when its lease could not be renewed in time."""
    host = this_host(Ids(VirtualClock()))
    host.enter()
    assert False is is_orphan(host.owner, NOW - 1, NOW)
    host.leave()
    assert True is is_orphan(host.owner, NOW + 30, NOW)
