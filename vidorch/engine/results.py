"""Results, read from the ledger alone: what this process made and what another one made look the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from vidorch import errors
from vidorch.engine.kept import CLOSED_BY_HAND, error_of, where_of
from vidorch.errors import (
    GenerationFailed,
    ProviderFailed,
    Refused,
    SubmissionUnknown,
    TimedOut,
    VidorchError,
)
from vidorch.estimating import Estimate
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import ENDS, State
from vidorch.money import from_micros, show_usd
from vidorch.result import Clip, Job, Result

__all__ = ["clips_of", "published", "read_result", "result_of"]


def read_result(ledger: Ledger, run_id: str, more: Sequence[VidorchError] = ()) -> Result:
    """The result of a run of the ledger whose jobs have ended, or that has at least one clip. See `result_of`."""
    run = ledger.run(run_id)
    if run is None:
        raise errors.InvalidRequest(
            f"There is no run {run_id!r} in this ledger.",
            field="run_id",
            value=run_id,
            allowed="an id from `vidorch jobs list`",
        )
    run["estimate"] = Estimate.from_dict(run["estimate"])
    return result_of(run, ledger.jobs(run_id=run_id), ledger.outputs(run_id), more)


def result_of(
    run: Mapping[str, Any],
    jobs: Sequence[Job],
    outputs: Sequence[Mapping[str, Any]],
    more: Sequence[VidorchError] = (),
) -> Result:
    """The result of a run, from its row and those below it.

    Args:
        run: its columns; `estimate` as an `Estimate`. more: failures that are not ends of jobs, such as a deadline that passed.

    Raises:
        VidorchError: the one cause when a single candidate was asked for and failed.
        GenerationFailed: every candidate failed; holds each cause.
    """
    rows, clips = clips_of(run, jobs, outputs)
    failures = (*_failures(jobs, rows), *more)
    if not clips:
        raise _nothing_came(run, failures)
    chosen = next(
        (clip for row, clip in zip(rows, clips, strict=True) if row["id"] == run["chosen_output"]), clips[0]
    )
    if run["chosen_output"] and run["candidates"] > 1 and not (run["output"] or "/").endswith("/"):
        chosen = _handed_over(chosen, run["output"])  # its original is among the candidates
    return Result(
        clip=chosen,
        candidates=clips,
        failures=failures,
        cost=sum((job.cost for job in jobs if job.billed and job.cost is not None), Decimal(0)),
        imputed=sum((job.cost for job in jobs if not job.billed and job.cost is not None), Decimal(0)),
        estimate=run["estimate"],
        run_id=run["id"],
        notes=_notes(run, jobs),
    )


def _handed_over(clip: Clip, output: str) -> Clip:
    """The clip at the one place that was named, where it got there."""
    if "://" in output:
        return replace(clip, path=None, uri=output)
    return replace(clip, path=Path(output), uri=output) if Path(output).is_file() else clip


def clips_of(
    run: Mapping[str, Any], jobs: Iterable[Job], outputs: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], tuple[Clip, ...]]:
    """The clips of a run in order of candidates, each with its row in the ledger."""
    by_id = {job.id: job for job in jobs}
    rows = published(jobs, outputs)
    return rows, tuple(_clip(row, by_id[row["job_id"]], run) for row in rows)


def published(jobs: Iterable[Job], outputs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of the clips of a run, in order of candidates."""
    by_id = {job.id: job for job in jobs}
    rows = [row for row in outputs if row["state"] == "published"]
    rows.sort(
        key=lambda row: (
            by_id[row["job_id"]].candidate + row["number"],
            by_id[row["job_id"]].attempt,
            row["uri"],
        )
    )
    return rows


def _failures(jobs: Sequence[Job], rows: Sequence[Mapping[str, Any]]) -> list[VidorchError]:
    """Why jobs gave no clip, in order; a rejected submit that was made again at the same offer counts once, by its last."""
    found: list[VidorchError] = []
    for job in jobs:
        state = State(job.state)
        if state is State.SETTLED:
            came = sum(row["job_id"] == job.id for row in rows)
            if job.error_code == CLOSED_BY_HAND and not came:
                found.append(error_of(job))
            elif came < job.samples and job.error_text:
                found.append(Refused(job.error_text, stage="output", charged=job.charged, **where_of(job)))
        elif state in ENDS and not (state is State.REJECTED and _made_again(job, jobs)):
            found.append(error_of(job))
    return found


def _made_again(job: Job, jobs: Sequence[Job]) -> bool:
    return any(
        (one.candidate, one.endpoint, one.model) == (job.candidate, job.endpoint, job.model)
        and one.attempt > job.attempt
        for one in jobs
    )


def _nothing_came(run: Mapping[str, Any], failures: Sequence[VidorchError]) -> VidorchError:
    """The one cause; or what is still open, with what else was tried; or every cause together."""
    run_id = run["id"]
    if len(failures) == 1:
        return failures[0]
    still_open = [error for error in failures if isinstance(error, (SubmissionUnknown, TimedOut))]
    if run["candidates"] == 1 and still_open:
        error = still_open[-1]
        for other in failures:
            if other is not error:
                error.add_note(f"Before that: {type(other).__name__}: {other.message}")
        return error
    count = run["candidates"]
    said = f"None of the {count} candidates came." if count > 1 else f"All {len(failures)} attempts failed."
    return GenerationFailed(said, tuple(failures) or (_nothing(run_id),), run_id=run_id)


def _notes(run: Mapping[str, Any], jobs: Iterable[Job]) -> tuple[str, ...]:
    """Those of the run, and a word on every job that cost more than was reserved."""
    notes = list(run["notes"] or ())
    if run["mock"]:
        notes.insert(0, "mock: nothing of this was made or paid by a real provider.")
    for job in jobs:
        if job.billed and job.cost is not None and job.cost > job.estimate_high:
            reserved = show_usd(job.estimate_high)
            notes.append(
                f"{job.endpoint}/{job.model} cost {show_usd(job.cost)}, more than the {reserved} reserved for it."
            )
    return tuple(dict.fromkeys(notes))


def _clip(row: Mapping[str, Any], job: Job, run: Mapping[str, Any]) -> Clip:
    uri = row["uri"]
    path = None if "://" in uri else Path(uri)
    return Clip(
        path=path, uri=uri, model=job.model, endpoint=job.endpoint, seed=row["seed"],
        cost=from_micros(row["cost"] or 0), cost_basis=job.cost_basis or "computed",
        latency=(job.ended_at or row["created_at"]) - run["created_at"], timings=job.timings,
        width=row["width"], height=row["height"], frames=row["frames"], fps=_rate(row["fps"]) if row["fps"] else None,
        duration=row["duration"], has_audio=bool(row["has_audio"]), media_type=row["media_type"],
        run_id=row["run_id"], job_id=row["job_id"], candidate=job.candidate + row["number"], sha256=row["sha256"] or "",
        report=json.loads(scores) if isinstance(scores := row["scores"], str) else scores,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _rate(text: str) -> Fraction:
    return Fraction(text)


def _nothing(run_id: str) -> VidorchError:
    return ProviderFailed("The run ended without any output.", run_id=run_id, charged=None)
