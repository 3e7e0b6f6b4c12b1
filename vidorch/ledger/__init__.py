"""The durable record of runs, jobs, outputs, events and reservations. SQLite by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidorch.ledger.ledger import Ledger
    from vidorch.ledger.moves import ENDS, MOVES, Move, State

__all__ = ["ENDS", "MOVES", "Ledger", "Move", "State"]


def __getattr__(name: str) -> object:
    # SQLAlchemy costs a third of a second; the table of moves costs nothing. Each is loaded by whoever asks for it.
    if name == "Ledger":
        from vidorch.ledger.ledger import Ledger

        return Ledger
    if name in __all__:
        from vidorch.ledger import moves

        return getattr(moves, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
