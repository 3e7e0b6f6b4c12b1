"""Exit codes, so that scripts can tell what happened without reading the text."""

from __future__ import annotations

from enum import IntEnum

from vidorch import errors

__all__ = ["Exit", "exit_of"]


class Exit(IntEnum):
    """What a command ends with."""

    OK = 0
    FAILED = 1
    """It was accepted and failed, or was refused."""
    USAGE = 2
    """An option or the request is wrong. Nothing was spent."""
    NOT_CONFIRMED = 3
    """It costs money and nobody said yes: the estimate was printed, nothing was spent."""
    OVER_BUDGET = 4
    UNSUPPORTED = 5
    """No offer can do it, or the model is retired."""
    CREDENTIALS = 6
    UNKNOWN = 7
    """A submit may or may not have been accepted: look at `vidorch jobs show`."""
    TIMED_OUT = 8
    """Waiting ended, the job did not: `vidorch jobs resume` gets it back."""
    LEDGER = 9
    WAITING = 10
    """Something was not sent, cost nothing, and waits for `vidorch jobs proceed`."""
    BUG = 70
    HUNG_UP = 129
    """The terminal was closed; what is at a vendor goes on."""
    INTERRUPTED = 130
    """Ctrl-C; what is at a vendor goes on, unless it was pressed twice."""
    TERMINATED = 143
    """SIGTERM; what is at a vendor goes on."""


_BY_ERROR: tuple[tuple[type[errors.VidorchError], Exit], ...] = (
    (errors.InvalidRequest, Exit.USAGE),
    (errors.KeyConflict, Exit.USAGE),
    (errors.BadMedia, Exit.USAGE),
    (errors.OverBudget, Exit.OVER_BUDGET),
    (errors.Unsupported, Exit.UNSUPPORTED),
    (errors.MissingCredentials, Exit.CREDENTIALS),
    (errors.SubmissionUnknown, Exit.UNKNOWN),
    (errors.TimedOut, Exit.TIMED_OUT),
    (errors.LedgerUnavailable, Exit.LEDGER),
    (errors.CatalogError, Exit.USAGE),
)


def exit_of(error: BaseException) -> Exit:
    """The exit code that belongs to an error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)
