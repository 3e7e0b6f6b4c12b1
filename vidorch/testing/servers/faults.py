"""What a protocol server can be told to do wrong with one request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from vidorch.errors import InvalidRequest, shown

__all__ = ["FAULTS", "Fault", "by_chance", "fault_of"]

Kind = Literal[
    "error", "gateway", "reset-before", "reset-after", "cut", "silent", "not-json", "redirect", "endless", "drip", "answer"
]  # fmt: skip
STATUSES = (500, 502, 503, 504, 408, 409, 429)
_CHANCES = {
    "submit": ("reset-after", "gateway-503-taken", "gateway-502", "cut", "error-503", "error-429-after"),
    "poll": ("error-500", "gateway-502", "error-503", "error-429-after", "reset-before", "cut", "not-json"),
    "result": ("gateway-503", "reset-after", "cut"),
    "download": ("gateway-503", "reset-after", "cut"),
}
_AFTER_THE_WORK = frozenset({"reset-after", "cut", "silent", "not-json", "drip"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind:
            `error`         the vendor's own structured error with `status` (and `code`, where one is named)
            `gateway`       a page of HTML with `status`, as a proxy in front of the vendor sends it
            `reset-before`  the connection is reset before the body is read
            `reset-after`   the body is read, then the connection is reset without a reply
            `cut`           half of the reply is sent, then the connection is reset
            `silent`        the body is read and no reply ever comes
            `not-json`      200, with a page of HTML
            `redirect`      302 to `location`
            `endless`       200, with a body that never ends
            `drip`          the reply comes one byte at a time, and never whole
            `answer`        200, with `body` as it stands
        taken: whether the server does its work all the same, so that a job exists that nobody was told of. Default: for
            the kinds that come after the body was read.
        retry_after: seconds, for a `Retry-After` header.
    """

    kind: Kind
    status: int = 503
    code: str = ""
    retry_after: float | None = None
    taken: bool | None = None
    location: str = ""
    body: bytes = b""
    media_type: str = "application/json"

    @property
    def works(self) -> bool:
        """Whether the server does its work before it goes wrong."""
        return self.kind in _AFTER_THE_WORK if self.taken is None else self.taken

    def also_taken(self) -> Fault:
        """The same, but the server did its work before."""
        return replace(self, taken=True)


def _all() -> dict[str, Fault]:
    faults = {}
    for status in STATUSES:
        faults[f"error-{status}"] = Fault("error", status)
        faults[f"gateway-{status}"] = Fault("gateway", status)
        faults[f"gateway-{status}-taken"] = Fault("gateway", status, taken=True)
    faults["error-429-after"] = Fault("error", 429, retry_after=2)
    faults["gateway-429-after"] = Fault("gateway", 429, retry_after=2)
    for kind in ("reset-before", "reset-after", "cut", "silent", "not-json", "endless", "drip"):
        faults[kind] = Fault(kind)
    return faults


FAULTS: dict[str, Fault] = _all()
"""By name: `error-503`, `gateway-502-taken`, `reset-after`, `silent`, ..."""


def fault_of(given: str | Fault) -> Fault:
    """A fault by its name, or as it is.

    Raises:
        InvalidRequest: there is none of this name.
    """
    if isinstance(given, Fault):
        return given
    if given not in FAULTS:
        raise InvalidRequest(
            f"fault={shown(given)} is not known. Allowed is one of {', '.join(FAULTS)}.",
            field="fault", value=given, allowed=", ".join(FAULTS),
        )  # fmt: skip
    return FAULTS[given]


def by_chance(seed: int, part: float = 0.25) -> Callable[[str], Fault | None]:
    """Bad weather for `server.weather`: this part of submits, polls and fetches goes wrong, each in a way of its kind.

    The same for the same seed, as long as requests come in the same order.
    """
    dice = Random(seed)  # noqa: S311  (weather, no secret)

    def weather(op: str) -> Fault | None:
        names = _CHANCES.get(op, ())
        return FAULTS[dice.choice(names)] if names and dice.random() < part else None

    return weather
