"""What is kept of an error in the row of its job, and the error made again from it: the same to whoever reads it later.

Its class, code, stage and words have columns. The rest lies in `details`, under a name of our own. Never kept is what a caller
gave (`InvalidRequest.value`), since it may be media or a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from vidorch import errors
from vidorch.doors import OURS
from vidorch.errors import GenerationFailed, ProviderFailed, Refused, VidorchError
from vidorch.ledger.moves import State
from vidorch.result import Job

__all__ = ["CLOSED_BY_HAND", "error_of", "kept_of", "where_of"]

CLOSED_BY_HAND = "closed_by_hand"
"""Error code of a job that gave no clip, and that a person closed."""

_TEXTS = ("hint", "request_id", "variable", "extra", "field", "allowed", "budget", "path")
_LISTS = ("possible_ids", "offers")
_ENDED = {
    State.CANCELLED: "The job was cancelled.",
    State.ABANDONED: "The process that did the work ended before it was done; it cost nothing.",
    State.LOST: "The result was gone before it could be fetched.",
}


def kept_of(job: Job, error: VidorchError, credential: str | None = None) -> str:
    """The column `details` of a job that ends with this error.

    Args:
        credential: what stands for the one that its account was refused with. See `Fingerprints`.
    """
    kept: dict[str, Any] = {"error": type(error).__name__, "retryable": error.retryable}
    kept |= {name: value for name in _TEXTS if isinstance(value := getattr(error, name, None), str) and value}
    kept |= {name: list(value) for name in _LISTS if (value := getattr(error, name, None))}
    if isinstance(reasons := getattr(error, "reasons", None), Mapping) and reasons:
        kept["reasons"] = dict(reasons)
    if isinstance(seconds := getattr(error, "retry_after", None), int | float):
        kept["retry_after"] = seconds
    if credential is not None:
        kept["credential"] = credential
    return json.dumps({**job.details, OURS: kept}, default=str)


def error_of(job: Job) -> VidorchError:
    """The typed error of a job that gave no clip, made again from its row."""
    where = where_of(job)
    kind = getattr(errors, job.error or "", ProviderFailed)
    if not (isinstance(kind, type) and issubclass(kind, VidorchError)) or kind is GenerationFailed:
        kind = ProviderFailed
    text = job.error_text or _how_it_ended(job)
    charged = (
        job.charged if job.error else (None if job.state == State.LOST else (job.cost or Decimal(0)) > 0)
    )
    if kind is Refused and job.error_stage:
        where["stage"] = job.error_stage
    kept = _kept(job)
    hint = kept.pop("hint", "")
    if hint and text.endswith(f" {hint}"):  # what a person said of it since then stands behind it
        text, where["hint"] = text.removesuffix(f" {hint}"), hint
    error = kind(text, charged=charged, **where)
    for name, value in kept.items():
        if hasattr(error, name):
            setattr(error, name, tuple(value) if isinstance(value, list) else value)
    return error


def _how_it_ended(job: Job) -> str:
    if job.state == State.ABANDONED and job.cost:
        return "The process that did the work ended before it was done; the seconds that its hardware worked are billed."
    return _ENDED.get(State(job.state), f"The job ended as {job.state}.")


def where_of(job: Job) -> dict[str, Any]:
    """Which job an error is of, as errors take it."""
    return {
        "run_id": job.run_id, "job_id": job.id, "remote_id": job.remote_id, "provider": job.provider, "code": job.error_code,
    }  # fmt: skip


def _kept(job: Job) -> dict[str, Any]:
    """What was kept of the error that the row has now; nothing of one that a person's word has replaced."""
    kept = job.details.get(OURS)
    if not isinstance(kept, Mapping) or kept.get("error") != job.error or job.error_code == CLOSED_BY_HAND:
        return {}
    known = (*_TEXTS, *_LISTS, "reasons", "retry_after", "retryable")
    return {name: value for name, value in kept.items() if name in known}
