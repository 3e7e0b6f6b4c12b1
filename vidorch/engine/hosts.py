"""Who drives a job: a name for this process that no other shares, and whether the owner of a job still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from vidorch.clock import Ids

__all__ = ["HEARTBEAT", "LEASE", "Host", "is_orphan", "this_host"]

LEASE = 60.0
HEARTBEAT = 20.0  # two beats may be missed on a machine that swaps before anybody takes a lease for given up

_living: set[str] = set()
"""Owners of this process that still drive; a process that got our number after a restart is not among them."""


@dataclass(frozen=True, slots=True)
class Host:
    """Who we are in the ledger: the machine, the process, and a name that no other owner shares."""

    name: str
    process: int
    owner: str

    def enter(self) -> None:
        """From now on this owner drives."""
        _living.add(self.owner)

    def leave(self) -> None:
        """It drives no more; what it left is anybody's."""
        _living.discard(self.owner)


def this_host(ids: Ids) -> Host:
    """A new owner in this process."""
    name = socket.gethostname()
    return Host(name, os.getpid(), f"{name}:{os.getpid()}:{ids.token()[:8]}")


def is_orphan(owner: str | None, lease_until: float | None, now: float) -> bool:
    """Whether nobody drives what `owner` owned: it left, its process on this host is gone, or its lease ran out."""
    if owner is None:
        return True
    if owner in _living:
        return False
    if lease_until is not None and lease_until < now:
        return True
    host, _, rest = owner.partition(":")
    process = rest.partition(":")[0]
    if (
        host != socket.gethostname() or not process.isdigit() or os.name == "nt"
    ):  # on Windows os.kill would end it
        return False
    return int(process) == os.getpid() or not _alive(int(process))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and somebody else's
        return True
    return True
