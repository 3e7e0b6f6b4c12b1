"""When an offer is left alone for a while: a circuit breaker, read off the jobs that the ledger has anyway.

A door is one scope's at one offer. It shuts after so many failures in a row, opens for one job after a while (the probe), and for
all once a clip has come. What says that the account itself is refused (no balance, no key) shuts all doors of that scope at that
endpoint, and nobody else's. Refusals of a prompt, wrong requests and throttling say nothing of a door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["LOOKS_BACK", "MOST", "SHUTS_AFTER", "Door", "Try", "door_of", "says_something"]

SHUTS_AFTER = 4
"""Failures in a row."""
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0
"""Seconds that it stays shut: twice as long with every further failure."""
LOOKS_BACK = 3600.0
"""Seconds: what failed before that says nothing of now."""
MOST = 60
"""Jobs of an endpoint that are looked at, the newest."""

_OF_THE_VENDOR = frozenset({"ProviderFailed", "BadMedia", "TimedOut"})
_OF_THE_ACCOUNT = frozenset({"OverBudget", "MissingCredentials"})
_OPEN = frozenset({"reserved", "uploading", "sending", "accepted", "running", "downloading"})


class Try(NamedTuple):
    """A job at an endpoint, as far as doors go. `at`: when it last moved, seconds since 1970."""

    model: str
    state: str
    error: str | None
    at: float
    created_at: float


@dataclass(frozen=True, slots=True)
class Door:
    """A door that is shut.

    Attributes:
        until: seconds since 1970 when one job may try. failures: how many in a row. error: the class of the last one.
        probed: whether a job is trying already. account: whether it is the account that is refused, at every offer there.
    """

    until: float
    failures: int
    error: str
    probed: bool = False
    account: bool = False

    def lets_in(self, now: float) -> bool:
        """Whether a job may try."""
        return now >= self.until and not self.probed


Failed = Callable[[Try], bool]


def door_of(tries: Iterable[Try], model: str) -> Door | None:
    """The door of a model, from one scope's jobs at its endpoint, newest first. None where it stands open."""
    newest = sorted(tries, key=lambda one: one.created_at, reverse=True)
    return _shut([one for one in newest if one.model == model], _failed) or _shut(newest, _refused_account)


def says_something(one: Try) -> bool:
    """Whether it speaks against a door."""
    return _failed(one) or _refused_account(one)


def _shut(tries: list[Try], failed: Failed) -> Door | None:
    failures: list[Try] = []
    trying: list[Try] = []
    for one in tries:
        if one.state in _OPEN:
            trying.append(one)
        elif failed(one):
            failures.append(one)
        elif one.state == "settled":
            break
    if len(failures) < SHUTS_AFTER:
        return None
    last = max(one.at for one in failures)
    pause = min(FIRST_PAUSE * 2.0 ** (len(failures) - SHUTS_AFTER), LONGEST_PAUSE)
    probed = any(one.created_at >= last for one in trying)
    return Door(last + pause, len(failures), failures[0].error or "", probed, failed is _refused_account)


def _failed(one: Try) -> bool:
    ended = one.state in ("failed", "lost", "rejected") and one.error in _OF_THE_VENDOR
    return ended or one.state == "unknown"


def _refused_account(one: Try) -> bool:
    return one.state == "rejected" and one.error in _OF_THE_ACCOUNT
