"""The life of a job, as one table: which state may follow which, why, and what must be on disk before going on.

`Ledger.move()` refuses everything that is not in this table; the picture in the docs and the kill tests are drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BEFORE_SENDING", "ENDS", "MOVES", "OPEN", "Move", "State", "find_move", "states_that_may"]


class State(StrEnum):
    """Where a job is. The first seven are the way of a job that succeeds."""

    RESERVED = "reserved"
    UPLOADING = "uploading"
    SENDING = "sending"
    ACCEPTED = "accepted"
    RUNNING = "running"
    DOWNLOADING = "downloading"
    SETTLED = "settled"
    REFUSED = "refused"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    LOST = "lost"
    UNKNOWN = "unknown"


S = State
ENDS = frozenset({S.SETTLED, S.REFUSED, S.REJECTED, S.FAILED, S.CANCELLED, S.ABANDONED, S.LOST})
"""A job in one of these is over: nothing is polled any more and its reservation is settled or released."""

OPEN = frozenset(State) - ENDS
BEFORE_SENDING = frozenset({S.RESERVED, S.UPLOADING})
"""Provably nothing has left yet."""


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed step.

    Attributes:
        waits: whether the step is on disk before the engine goes on; the others ride with the next commit.
        in_process_only: allowed only for work that cannot outlive the process that did it.
        by_hand: made by a person (`jobs adopt`, `jobs settle`), never by the engine alone.
    """

    source: State | None
    target: State
    why: str
    waits: bool = True
    in_process_only: bool = False
    by_hand: bool = False


MOVES: tuple[Move, ...] = (
    Move(None, S.RESERVED, "the job is written down and its high estimate is reserved"),
    Move(S.RESERVED, S.UPLOADING, "inputs are being uploaded and the body is built", waits=False),
    Move(S.RESERVED, S.CANCELLED, "the caller cancelled before anything was sent"),
    Move(S.RESERVED, S.REJECTED, "it could not be made ready; nothing was sent"),
    Move(S.RESERVED, S.ABANDONED, "its process died before anything was sent"),
    Move(S.UPLOADING, S.SENDING, "the first byte of the submit is about to leave"),
    Move(S.UPLOADING, S.CANCELLED, "the caller cancelled before anything was sent"),
    Move(S.UPLOADING, S.REJECTED, "it could not be made ready; nothing was sent"),
    Move(S.UPLOADING, S.ABANDONED, "its process died before anything was sent"),
    Move(S.SENDING, S.ACCEPTED, "the vendor gave an id"),
    Move(S.SENDING, S.REJECTED, "nothing was sent, or the vendor's own error says that nothing was accepted"),
    Move(S.SENDING, S.REFUSED, "the vendor's own error says that the input was refused"),
    Move(S.SENDING, S.UNKNOWN, "bytes may have left and no clear answer came"),
    Move(S.SENDING, S.ABANDONED, "its process died, and the work with it", in_process_only=True),
    Move(S.UNKNOWN, S.ACCEPTED, "it was found at the vendor, or adopted by hand"),
    Move(
        S.UNKNOWN,
        S.REJECTED,
        "closed by hand as not charged, or its sender woke up with the vendor's rejection in hand",
    ),
    Move(S.UNKNOWN, S.REFUSED, "its sender woke up with the vendor's refusal in hand"),
    Move(S.UNKNOWN, S.SETTLED, "closed by hand with what it cost", by_hand=True),
    Move(S.UNKNOWN, S.LOST, "not found within the vendor's result lifetime; booked at its reserved high"),
    Move(S.ACCEPTED, S.UNKNOWN, "the id that it was adopted under by hand is taken back", by_hand=True),
    Move(S.ACCEPTED, S.RUNNING, "the vendor is at work", waits=False),
    Move(S.ACCEPTED, S.DOWNLOADING, "it was finished at the first look", waits=False),
    Move(S.ACCEPTED, S.REFUSED, "refused by policy after it was accepted"),
    Move(S.ACCEPTED, S.FAILED, "the vendor says that it failed"),
    Move(S.ACCEPTED, S.CANCELLED, "cancelled at the vendor"),
    Move(S.ACCEPTED, S.LOST, "no answer within the vendor's result lifetime; booked at its reserved high"),
    Move(S.ACCEPTED, S.ABANDONED, "its process died, and the work with it", in_process_only=True),
    Move(S.RUNNING, S.UNKNOWN, "the id that it was adopted under by hand is taken back", by_hand=True),
    Move(S.RUNNING, S.DOWNLOADING, "finished; the outputs are being fetched", waits=False),
    Move(S.RUNNING, S.REFUSED, "what was made is withheld by policy"),
    Move(S.RUNNING, S.FAILED, "the vendor says that it failed"),
    Move(S.RUNNING, S.CANCELLED, "cancelled at the vendor"),
    Move(S.RUNNING, S.LOST, "no answer within the vendor's result lifetime; booked at its reserved high"),
    Move(S.RUNNING, S.ABANDONED, "its process died, and the work with it", in_process_only=True),
    Move(S.DOWNLOADING, S.SETTLED, "every output is checked and published; the real cost is booked"),
    Move(S.DOWNLOADING, S.FAILED, "the vendor handed over nothing that is a video"),
    Move(
        S.DOWNLOADING, S.LOST, "the result was gone before it could be fetched; booked at its reserved high"
    ),
    Move(S.DOWNLOADING, S.ABANDONED, "its process died, and the work with it", in_process_only=True),
    Move(S.LOST, S.SETTLED, "corrected by hand with what it cost", by_hand=True),
)

_BY_STEP: dict[tuple[str | None, str], Move] = {(move.source, move.target): move for move in MOVES}


def find_move(source: str | None, target: State) -> Move | None:
    """The allowed step between two states, or None."""
    return _BY_STEP.get((source, target))


def states_that_may(target: State) -> frozenset[State | None]:
    """From where a state can be reached."""
    return frozenset(move.source for move in MOVES if move.target is target)
