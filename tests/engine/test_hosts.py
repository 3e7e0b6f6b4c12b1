"""Who still drives a job, told from what its row says of its owner."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from pathlib import Path

import pytest

from tests.engine.scripted import VirtualClock
from vidorch.clock import Ids
from vidorch.engine.hosts import FIRST_SPACE, is_orphan, machine, this_host

HERE = socket.gethostname()
OURS = machine()
NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("owner", "lease_until", "orphan"),
    [
        pytest.param(None, None, True, id="nobody owns it"),
        pytest.param(f"{OURS}:{os.getpid()}:stale", NOW + 30, True, id="our number, of another life"),
        pytest.param(f"{OURS}:{2**22 + 1}:gone", NOW + 30, True, id="no such process on this host"),
        pytest.param(f"{OURS}:1:old", NOW - 1, True, id="a process that lives, a lease that ran out"),
        pytest.param(f"{OURS}:1:other", NOW + 30, False, id="a process that lives, within its lease"),
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_keep_the_work_of_its_parent_alive() -> None:
    """An owner of the parent is judged there like that of any other process: here its lease ran out."""
    host = this_host(Ids(VirtualClock()))
    host.enter()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forks beside threads, such as those of the test runner
        child = os.fork()
    if not child:
        os._exit(int(is_orphan(host.owner, NOW - 1, NOW)))
    host.leave()
    assert 1 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="process namespaces are Linux's")
class TestContainers:
    def test_that_share_a_hosts_name_do_not_judge_each_others_numbers(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A number that nobody has here may well be alive there; only its lease tells."""
        ours = machine()
        monkeypatch.setattr("vidorch.engine.hosts.Path.readlink", lambda _: Path("pid:[1]"))
        inside = f"{HERE}~1:{2**22 + 1}:x"
        assert (f"{HERE}~1", True) == (this_host(Ids(VirtualClock())).name, is_orphan(inside, NOW + 30, NOW))
        assert False is is_orphan(f"{ours}:{2**22 + 1}:x", NOW + 30, NOW)

    def test_do_not_count_on_the_machine_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Outside of any, the host's name is enough."""
        monkeypatch.setattr("vidorch.engine.hosts.Path.readlink", lambda _: Path(f"pid:[{FIRST_SPACE}]"))
        assert HERE == this_host(Ids(VirtualClock())).name
