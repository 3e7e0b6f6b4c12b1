"""When an offer is left alone for a while: a circuit breaker, read off the jobs that the ledger has anyway.

A door is one scope's at one offer. It shuts after so many failures in a row, opens for one job after a while (the probe), and for
all once a clip has come. What says that the account itself is refused (no balance, no key) shuts all doors of that scope at that
endpoint, and nobody else's, until its credential there is another one. Refusals of a prompt, wrong requests and throttling say
nothing of a door.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "LOOKS_BACK", "MOST", "OURS", "SHUTS_AFTER", "Door", "Try", "door_of", "refuses_account", "says_something",
    "speaks_of_account", "try_of",
]  # fmt: skip

SHUTS_AFTER = 4
"""Failures in a row."""
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0
"""Seconds that it stays shut: twice as long with every further failure."""
LOOKS_BACK = 3600.0
"""Seconds: what failed before that says nothing of now."""
MOST = 60
"""Jobs of an endpoint that are looked at, the newest."""

OURS = "vidorch"
"""What lies under this name in the details of a job is of us, not of its vendor."""

_OF_THE_VENDOR = frozenset({"ProviderFailed", "BadMedia", "TimedOut"})
_OF_THE_ACCOUNT = frozenset({"OverBudget", "MissingCredentials"})
_OPEN = frozenset({"reserved", "uploading", "sending", "accepted", "running", "downloading"})


class Try(NamedTuple):
    """A job at an endpoint, as far as doors go.

    `at`: when it last moved, seconds since 1970. `credential`: what stands for the one that was refused; empty where that is not
    known.
    """

    model: str
    state: str
    error: str | None
    at: float
    created_at: float
    credential: str = ""


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


def try_of(
    model: str, state: str, error: str | None, at: float, created_at: float, details: str | None
) -> Try:
    """A try from the columns of a job."""
    kept: Any = None
    if details and error in _OF_THE_ACCOUNT:
        kept = json.loads(details).get(OURS)
    credential = kept.get("credential") if isinstance(kept, Mapping) else None
    return Try(model, state, error, at, created_at, credential if isinstance(credential, str) else "")


def door_of(tries: Iterable[Try], model: str, credential: str = "") -> Door | None:
    """The door of a model, from one scope's jobs at its endpoint. None where it stands open.

    Args:
        credential: what stands for that scope's credential there now. What another one was refused says nothing of it.
    """
    newest = sorted(tries, key=lambda one: one.created_at, reverse=True)
    newest = [one for one in newest if not (refuses_account(one) and _is_another(one.credential, credential))]
    return _shut([one for one in newest if one.model == model], _failed) or _shut(newest, refuses_account)


def speaks_of_account(error: BaseException) -> bool:
    """Whether a vendor that rejects a submit with it has refused the account."""
    return type(error).__name__ in _OF_THE_ACCOUNT


def says_something(one: Try) -> bool:
    """Whether it speaks against a door."""
    return _failed(one) or refuses_account(one)


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
    return Door(last + pause, len(failures), failures[0].error or "", probed, failed is refuses_account)


def _failed(one: Try) -> bool:
    ended = one.state in ("failed", "lost", "rejected") and one.error in _OF_THE_VENDOR
    return ended or one.state == "unknown"


def refuses_account(one: Try) -> bool:
    """Whether it is the account that was refused, and not the request."""
    return one.state == "rejected" and one.error in _OF_THE_ACCOUNT


def _is_another(before: str, now: str) -> bool:
    """Whether a credential has changed: only where both were marked by the same hand, which stands before the colon."""
    return bool(before and now) and before.partition(":")[0] == now.partition(":")[0] and before != now
