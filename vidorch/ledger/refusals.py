"""Why the ledger did not write something. Whoever is told looks again: nothing was changed."""

from __future__ import annotations

from vidorch.errors import VidorchError

__all__ = ["Claimed", "IllegalMove", "KeyTaken", "MovedMeanwhile", "NotOurs"]


class IllegalMove(VidorchError):
    """A step that is not in the table of moves: a mistake in vidorch, never in the request."""


class MovedMeanwhile(VidorchError):
    """Somebody else moved the job or run first. The one who lost the race looks again; nothing is done twice."""

    default_retryable = True


class Claimed(VidorchError):
    """Another job of ours already owns this job at the vendor. Nothing was changed."""


class KeyTaken(VidorchError):
    """The scope already has a run with this key; `run_id` says which. Nothing was written."""


class NotOurs(VidorchError):
    """The run is not open, or another owner drives it: nothing may be added to it here. Nothing was written."""
