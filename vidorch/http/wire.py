"""What the two back ends have in common: a call, what is known of its connection, and the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from vidorch.http.bodies import Body
from vidorch.http.urls import Target

__all__ = ["Answer", "Backend", "Call", "Fault", "Watch", "Way"]


class Way(Enum):
    """Which connection a call may use.

    Attributes:
        FRESH: one of its own, which nothing used before or will use after. POOLED: one that is kept open.
        GUARDED: a pooled one whose address was checked: public, or allowed.
    """

    FRESH = "fresh"
    POOLED = "pooled"
    GUARDED = "guarded"


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One request on the wire. Header names are in lower case.

    Attributes:
        total, idle: seconds at most in all, and without a byte (None: `total` alone).
        most: bytes that the reply may have.
        foreign: whether it goes to a host that is not the vendor's: nothing of anybody's own goes there.
    """

    method: str
    target: Target
    headers: Mapping[str, str]
    body: Body = field(default_factory=Body)
    total: float = 60.0
    idle: float | None = None
    most: int = 0
    foreign: bool = False


@dataclass(slots=True)
class Watch:
    """What the events of a connection have told so far.

    Attributes:
        may_have_left: whether any byte of the request itself may be on its way. Until a back end says so, none is.
    """

    may_have_left: bool = False


class Fault(Exception):
    """Why a call gave no reply, in words that hold no secret.

    Attributes:
        lasting: whether the same call will fail the same way until somebody changes something.
    """

    def __init__(self, words: str, *, lasting: bool = False, hint: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.lasting = lasting
        self.hint = hint


class Answer(Protocol):
    """A reply whose headers are here and whose body is still to be read.

    Attributes:
        headers: names in lower case. peer: the address at the other end, where it is known.
    """

    status: int
    headers: Mapping[str, str]
    peer: str | None

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises whatever says that it was cut."""

    async def read(self, most: int) -> bytes:
        """The whole body.

        Raises:
            Fault: it has more than `most` bytes.
        """

    async def close(self) -> None:
        """Let go of the connection; back into the pool where the body was read to its end."""


class Backend(Protocol):
    """One way to make calls."""

    checks_itself: bool
    """Whether it connects to checked addresses alone on a guarded way, so that nobody has to look before."""

    async def open(self, call: Call, watch: Watch, way: Way) -> Answer:
        """Send the call and return once the headers of the reply are here."""

    async def aclose(self) -> None:
        """Let go of every connection."""


def too_long(most: int) -> Fault:
    """The fault of a body without an end in sight."""
    return Fault(f"the reply is longer than the {most:,} bytes that are allowed", lasting=True)
