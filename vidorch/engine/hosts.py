"""Who drives a job: a name for this process that no other shares, and whether the owner of a job still lives."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

from vidorch.clock import Ids

__all__ = ["HEARTBEAT", "LEASE", "Host", "is_orphan", "machine", "this_host"]

LEASE = 60.0
HEARTBEAT = 20.0  # two beats may be missed on a machine that swaps before anybody takes a lease for given up

FIRST_SPACE = "4026531836"
"""The process numbers of a machine itself: PROC_PID_INIT_INO (0xEFFFFFFC) in Linux's include/linux/proc_ns.h."""

_living: set[str] = set()
"""Owners of this process that still drive; a process that got our number after a restart is not among them."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_living.clear)  # what the parent drives ends with the parent


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


def this_host(ids: Ids, *, shared: bool = False) -> Host:
    """A new owner in this process.

    Args:
        shared: whether owners of other machines are in the same ledger.
    """
    name = machine(shared=shared)
    return Host(name, os.getpid(), f"{name}:{os.getpid()}:{ids.token()[:8]}")


def machine(*, shared: bool = False) -> str:
    """What tells our process numbers from others': the host, and in a container its own count of processes.

    Two containers may share a host's name and a ledger; number 7 of one says nothing of number 7 of the other. On a shared ledger
    two machines may bear the same name, so there the time of their start, by the system's own word, is part of it.
    """
    name = socket.gethostname()
    if shared:
        name = f"{name}~{_boot()}"
    with contextlib.suppress(OSError):
        space = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
        if space != FIRST_SPACE:
            return f"{name}~{space}"
    return name


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
    here = host in (machine(), machine(shared=True))
    if not here or not process.isdigit() or os.name == "nt":  # on Windows os.kill would end it
        return False
    return int(process) == os.getpid() or not _alive(int(process))


def _boot() -> str:
    """A word for this machine since it was started; where the system has none, for its network card."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii")[:8]
    return f"{uuid.getnode():012x}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and somebody else's
        return True
    return True
