"""`vidorch jobs list` and `vidorch jobs show`: reading the ledger, changing nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from vidorch.cli.say import as_json, console, table_of
from vidorch.errors import InvalidRequest
from vidorch.home import home_folder, ledger_path
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import State
from vidorch.money import show_usd
from vidorch.request import nearest_name
from vidorch.result import Job

__all__ = ["list_jobs", "show_job"]


@contextlib.contextmanager
def _open() -> Iterator[Ledger | None]:
    """The ledger, or None when nothing was ever made: looking must not create it."""
    path = ledger_path(None, home_folder())
    if not path.exists():
        yield None
        return
    ledger = Ledger(path)
    try:
        yield ledger
    finally:
        ledger.close()


def list_jobs(*, state: str | None, limit: int, as_document: bool) -> None:
    """Print jobs, newest first."""
    if state is not None and state not in set(State):
        nearest = nearest_name(state, set(State))
        meant = f" Did you mean {nearest}?" if nearest else ""
        raise InvalidRequest(
            f"There is no state {state!r}.{meant} Allowed are: {', '.join(State)}.",
            field="state",
            value=state,
            allowed=", ".join(State),
        )
    with _open() as ledger:
        found = [] if ledger is None else ledger.jobs(state=state, limit=limit)
    if as_document:
        as_json([job.to_dict() for job in found])
    elif not found:
        print("No jobs yet." if state is None else f"No job is {state}.")
    else:
        rows = [
            [job.id, _when(job.created_at), f"{job.endpoint}/{job.model}", job.state, _cost(job), _took(job)]
            for job in found
        ]
        console().print(table_of("", ["!job", "made", "offer", "state", ">cost", ">took"], rows))


def show_job(word: str, *, as_document: bool) -> None:
    """Print one run or job in full."""
    with _open() as ledger:
        found = [] if ledger is None or not word.strip() else ledger.find(word.strip())
        if ledger is None or len(found) != 1:
            many = (
                f"{word!r} is not one run or job. It could be any of: {', '.join(id_ for _, id_ in found)}."
            )
            raise InvalidRequest(
                many if found else f"There is no run or job {word!r} in this ledger.",
                hint="See: vidorch jobs list", field="id", value=word, allowed="the id of a run or job, or its last letters",
            )  # fmt: skip
        kind, id_ = found[0]
        job = ledger.job(id_) if kind == "job" else None
        run_id = job.run_id if job is not None else id_
        run = ledger.run(run_id)
        assert run is not None
        jobs = [job] if job is not None else ledger.jobs(run_id=run_id)
        outputs = [row for row in ledger.outputs(run_id) if job is None or row["job_id"] == job.id]
        events = ledger.events(run_id, job_id=None if job is None else job.id)
    if as_document:
        as_json(
            {
                "run": {
                    name: run[name]
                    for name in (
                        "id",
                        "state",
                        "scope",
                        "key",
                        "request",
                        "notes",
                        "tags",
                        "candidates",
                        "cost",
                    )
                }
                | {"mock": bool(run["mock"])},
                "jobs": [one.to_dict() for one in jobs],
                "outputs": outputs,
                "events": [
                    {
                        "at": e.at,
                        "job_id": e.job_id,
                        "kind": e.kind,
                        "from": e.source,
                        "to": e.target,
                        **e.data,
                    }
                    for e in events
                ],
            }
        )
        return
    out = console()
    request: dict[str, Any] = run["request"]
    out.print(
        f"[bold]{run['id']}[/bold]  {run['state']}  {_when(run['created_at'])}  {show_usd(run['cost'])}",
        markup=True,
    )
    out.print(f"  asked: {request.get('prompt', '')!r}", markup=False)
    others = {name: value for name, value in request.items() if name not in ("prompt", "task", "candidates")}
    if others:
        out.print(f"  with: {', '.join(f'{name}={value}' for name, value in others.items())}", markup=False)
    if run["mock"]:
        out.print("  mock: nothing of this was made or paid by a real provider", markup=False)
    for note in run["notes"] or ():
        out.print(f"  note: {note}", markup=False)
    for one in jobs:
        seed = "" if one.seed is None else f"  seed {one.seed}"
        out.print(
            f"{one.id}  {one.endpoint}/{one.model}  {one.state}  {_cost(one)}  {_took(one)}{seed}",
            markup=False,
        )
        if one.error_text:
            out.print(f"  {one.error}: {one.error_text}", markup=False)
        for row in outputs:
            if row["job_id"] == one.id:
                out.print(
                    f"  {row['uri']}  ({row['width']}x{row['height']}, {row['duration']:.2f} s, {row['size']:,} bytes)",
                    markup=False,
                )
    rows = [
        [_clock(e.at), e.job_id or "", e.kind if e.kind != "move" else f"{e.source or ''} -> {e.target}"]
        for e in events
    ]
    out.print(table_of("history", ["at", "job", "event"], rows))


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _cost(job: Job) -> str:
    if job.cost is None:
        return "-"
    return "free" if job.cost == Decimal(0) else show_usd(job.cost)


def _took(job: Job) -> str:
    return "-" if job.ended_at is None else f"{job.ended_at - job.created_at:.1f} s"
