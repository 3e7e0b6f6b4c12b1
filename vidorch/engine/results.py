"""Results, read from the ledger alone: what this process made and what another one made look the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidorch import errors
from vidorch.errors import GenerationFailed, ProviderFailed, Refused, VidorchError
from vidorch.estimating import Estimate
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import ENDS, State
from vidorch.money import from_micros
from vidorch.result import Clip, Job, Result

__all__ = ["chosen_output", "read_result"]


def read_result(ledger: Ledger, run_id: str, more: Sequence[VidorchError] = ()) -> Result:
    """The result of a run whose jobs have ended, or that has at least one clip.

    Args:
        more: failures that are not ends of jobs, such as a deadline that passed.

    Raises:
        VidorchError: the one cause when a single candidate was asked for and failed.
        GenerationFailed: every candidate failed; holds each cause.
    """
    run = ledger.run(run_id)
    if run is None:
        raise errors.InvalidRequest(
            f"There is no run {run_id!r} in this ledger.",
            field="run_id",
            value=run_id,
            allowed="an id from `vidorch jobs list`",
        )
    jobs = {job.id: job for job in ledger.jobs(run_id=run_id)}
    rows = [row for row in ledger.outputs(run_id) if row["state"] == "published"]
    clips = sorted(
        (_clip(row, jobs[row["job_id"]], run) for row in rows), key=lambda clip: (clip.candidate, clip.uri)
    )
    failures = (*(_error(job) for job in jobs.values() if State(job.state) in ENDS - {State.SETTLED}), *more)
    if not clips:
        if len(failures) == 1:
            raise failures[0]
        raise GenerationFailed(
            f"None of the {run['candidates']} candidates came.",
            failures or (_nothing(run_id),),
            run_id=run_id,
        )
    by_uri = {row["uri"]: row["id"] for row in rows}
    chosen = next((clip for clip in clips if by_uri[clip.uri] == run["chosen_output"]), clips[0])
    named = Path(run["output"]) if run["output"] and not run["output"].endswith("/") else None
    if named is not None and run["candidates"] > 1 and named.is_file():
        chosen = replace(
            chosen, path=named, uri=str(named)
        )  # where it was asked for; its original is among the candidates
    return Result(
        clip=chosen,
        candidates=tuple(clips),
        failures=failures,
        cost=run["cost"],
        imputed=run["imputed"],
        estimate=Estimate.from_dict(run["estimate"]),
        run_id=run_id,
        notes=tuple(run["notes"] or ()),
    )


def chosen_output(ledger: Ledger, run_id: str) -> dict[str, Any] | None:
    """The output that a run hands over: the first of its first candidate that came. None when none came."""
    candidate_of = {job.id: job.candidate for job in ledger.jobs(run_id=run_id)}
    rows = [row for row in ledger.outputs(run_id) if row["state"] == "published"]
    return min(rows, key=lambda row: (candidate_of[row["job_id"]], row["number"]), default=None)


def _clip(row: dict[str, Any], job: Job, run: dict[str, Any]) -> Clip:
    uri = row["uri"]
    path = None if "://" in uri else Path(uri)
    return Clip(
        path=path, uri=uri, model=job.model, endpoint=job.endpoint, seed=row["seed"],
        cost=from_micros(row["cost"] or 0), cost_basis=job.cost_basis or "computed",
        latency=(job.ended_at or row["created_at"]) - run["created_at"], timings=job.timings,
        width=row["width"], height=row["height"], frames=row["frames"], fps=Fraction(row["fps"]) if row["fps"] else None,
        duration=row["duration"], has_audio=bool(row["has_audio"]), media_type=row["media_type"],
        run_id=row["run_id"], job_id=row["job_id"], candidate=job.candidate, sha256=row["sha256"] or "",
    )  # fmt: skip


_ENDED = {
    State.CANCELLED: "The job was cancelled.",
    State.ABANDONED: "The process that did the work ended before it was done; it cost nothing.",
    State.LOST: "The result was gone before it could be fetched.",
}


def _error(job: Job) -> VidorchError:
    """The typed error of a job that gave no clip, made again from its row."""
    where: dict[str, Any] = {
        "run_id": job.run_id,
        "job_id": job.id,
        "remote_id": job.remote_id,
        "provider": job.provider,
        "code": job.error_code,
    }
    kind = getattr(errors, job.error or "", ProviderFailed)
    if not (isinstance(kind, type) and issubclass(kind, VidorchError)) or kind is GenerationFailed:
        kind = ProviderFailed
    text = job.error_text or _ENDED.get(State(job.state), f"The job ended as {job.state}.")
    charged = (
        job.charged if job.error else (None if job.state == State.LOST else (job.cost or Decimal(0)) > 0)
    )
    if kind is Refused and job.error_stage:
        where["stage"] = job.error_stage
    return kind(text, charged=charged, **where)


def _nothing(run_id: str) -> VidorchError:
    return ProviderFailed("The run ended without any output.", run_id=run_id, charged=None)
