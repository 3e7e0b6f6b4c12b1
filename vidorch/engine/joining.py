"""What a call is told that joined a run by its key instead of beginning one: that it did, and what it paid itself."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from vidorch.errors import VidorchError
from vidorch.ledger.moves import ENDS
from vidorch.money import show_usd
from vidorch.result import Job, Result

__all__ = ["as_joined", "told_of_joining"]


def as_joined(result: Result, run: Mapping[str, Any], jobs: Iterable[Job], bought: Collection[str]) -> Result:
    """The result, as whoever joined is to read it.

    Args:
        run: its row as it was found. jobs: its jobs. bought: those of them that the joining call bought.
    """
    mine = [job for job in jobs if job.id in bought]
    return replace(
        result, joined=True, paid_earlier=result.cost - _paid(mine), notes=(*result.notes, _said(run, mine))
    )


def told_of_joining(
    error: VidorchError, run: Mapping[str, Any], jobs: Iterable[Job], bought: Collection[str]
) -> VidorchError:
    """The error, with the same word as a note. It is a copy: the call that began the run may be waiting for it too."""
    again = copy.copy(error)
    again.__notes__ = list(getattr(error, "__notes__", ()))
    again.add_note(_said(run, [job for job in jobs if job.id in bought]))
    return again.with_traceback(error.__traceback__)


def _paid(jobs: Iterable[Job]) -> Decimal:
    return sum((job.cost for job in jobs if job.billed and job.cost is not None), Decimal(0))


def _said(run: Mapping[str, Any], mine: Sequence[Job]) -> str:
    made = datetime.fromtimestamp(run["created_at"]).astimezone().strftime("%Y-%m-%d %H:%M")
    if any(job.billed and job.state not in ENDS for job in mine):
        what = "this call pays for what had not been sent of it"
    elif paid := _paid(mine):
        what = f"{show_usd(paid)} of it was paid by this call"
    else:
        what = "nothing was paid by this call"
    return f"Joined run {run['id']} made {made} under key {run['key']!r}: {what}."
