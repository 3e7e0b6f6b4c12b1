"""`vidorch jobs list` and `vidorch jobs show`: reading the ledger, changing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from vidorch.cli.books import find_one, find_run, now, reading
from vidorch.cli.say import as_json, aside, console, table_of
from vidorch.cli.standing import tell_unknown
from vidorch.cli.words import amount, clock, lately, took, when
from vidorch.errors import InvalidRequest
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import State
from vidorch.ledger.reading import Reserved
from vidorch.money import from_micros, show_usd
from vidorch.request import nearest_name
from vidorch.result import Event, Job

__all__ = ["list_jobs", "show_job"]

MOST_BELOW = 20
"""Runs of a batch that are listed by themselves; all are in the sums, and in the document."""
RUN_FIELDS = ("id", "state", "scope", "key", "request", "notes", "tags", "candidates", "cost")


def list_jobs(
    *, state: str | None, run: str | None, scope: str | None, limit: int, as_document: bool
) -> None:
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
    with reading() as ledger:
        run_id = None if run is None else find_run(ledger, run)
        found = [] if ledger is None else ledger.jobs(run_id=run_id, state=state, scope=scope, limit=limit)
        if scope is not None:
            found = [job for job in found if job.scope == scope]
        waiting = [] if ledger is None else _waiting(ledger, run_id, scope)
    if as_document:
        as_json([job.to_dict() for job in found])
        return
    if not found:
        everything = state is None and run is None and scope is None
        print(
            "No jobs yet." if everything else f"No job is {state}." if state is not None else "No such jobs."
        )
    else:
        rows = [
            [
                job.id,
                lately(job.created_at, now()),
                f"{job.endpoint}/{job.model}",
                job.state,
                amount(job),
                took(job),
            ]
            for job in found
        ]
        console().print(table_of("", ["!job", "made", "offer", "state", ">cost", ">took"], rows))
    if any(amount(job).startswith("(") for job in found):
        aside("(In brackets: reserved, until it is known.)")
    for job in found:
        if job.state == State.UNKNOWN:
            aside(f"Whether it was accepted is not known; what to do: vidorch jobs show {job.id}")
    for run_id in waiting:
        aside(f"Not all of it was sent; to do so: vidorch jobs proceed {run_id}")


def _waiting(ledger: Ledger, run_id: str | None, scope: str | None) -> list[str]:
    rows = [row for row in ledger.open_runs(scope) if row["state"] == "waiting"]
    return [row["id"] for row in rows if run_id in (None, row["id"])]


def show_job(word: str, *, as_document: bool) -> None:
    """Print one run or job in full."""
    with reading() as ledger:
        kind, id_ = find_one(ledger, word)
        assert ledger is not None
        job = ledger.job(id_) if kind == "job" else None
        run_id = job.run_id if job is not None else id_
        run = ledger.run(run_id)
        assert run is not None
        jobs = [job] if job is not None else ledger.jobs(run_id=run_id)
        names = {one.id for one in jobs}
        outputs = [row for row in ledger.outputs(run_id) if job is None or row["job_id"] == job.id]
        events = ledger.events(run_id, job_id=None if job is None else job.id)
        reserved = [one for one in ledger.reservations(run_id) if one.job_id in names]
        children = ledger.listed_below(run_id, limit=None if as_document else MOST_BELOW)
        below = ledger.sums_below(run_id)
        spent = ledger.spent(run_id)
    totals = {name: from_micros(getattr(spent, name)) for name in ("settled", "held", "unknown")}
    if as_document:
        as_json(
            {
                "run": {name: run[name] for name in RUN_FIELDS}
                | {
                    "mock": bool(run["mock"]),
                    "spent": {name: str(value) for name, value in totals.items()},
                    "runs": [child.id for child in children],
                    "runs_by_state": {
                        state: {"runs": count, "cost": str(cost)} for state, (count, cost) in below.items()
                    },
                },
                "jobs": [one.to_dict() for one in jobs],
                "outputs": outputs,
                "reservations": [_reservation(one) for one in reserved],
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
    held = "".join(
        f"  {show_usd(totals[name])} {word}" for name, word in (("held", "reserved"), ("unknown", "in doubt")) if totals[name]
    )  # fmt: skip
    out = console()
    out.print(
        f"[bold]{run['id']}[/bold]  {run['state']}  {when(run['created_at'])}  {show_usd(run['cost'])}{held}",
        markup=True,
    )
    for line in _about(run):
        out.print(f"  {line}", markup=False)
    for state, (count, cost) in below.items():
        out.print(f"  {count:,} {state}  {show_usd(cost)}", markup=False)
    for child in children:
        out.print(f"  {child.id}  {child.state}  {show_usd(child.cost)}", markup=False)
    if (left := sum(count for count, _ in below.values()) - len(children)) > 0:
        out.print(f"  and {left:,} more: vidorch jobs show {run['id']} --json", markup=False)
    for one in jobs:
        for line in _in_full(one, outputs, reserved, several=run["candidates"] > 1):
            out.print(line, markup=False)
    out.print(table_of("history", ["at", "job", "event"], [_row(event) for event in events]))
    for one in jobs:
        if one.state == State.UNKNOWN:
            tell_unknown(one)
    if run["state"] == "waiting":
        aside(f"To send what was not sent: vidorch jobs proceed {run['id']}")


def _about(run: dict[str, Any]) -> list[str]:
    """What was asked, and what is to be said of it."""
    request: dict[str, Any] = run["request"]
    lines = [f"asked: {request.get('prompt', '')!r}"]
    others = {name: value for name, value in request.items() if name not in ("prompt", "task", "candidates")}
    if others:
        lines.append(f"with: {', '.join(f'{name}={value}' for name, value in others.items())}")
    if run["key"]:
        lines.append(f"key: {run['key']}")
    if run["scope"] != "default":
        lines.append(f"scope: {run['scope']}")
    if run["tags"]:
        lines.append(f"tags: {', '.join(f'{name}={value}' for name, value in run['tags'].items())}")
    if run["mock"]:
        lines.append("mock: nothing of this was made or paid by a real provider")
    return [*lines, *(f"note: {note}" for note in run["notes"] or ())]


def _in_full(
    job: Job, outputs: Sequence[dict[str, Any]], reserved: Sequence[Reserved], *, several: bool
) -> list[str]:
    """One job in lines: where it went and how it is, its words, its files, what it holds."""
    place = [f"candidate {job.candidate + 1}"] if several else []
    place += [f"attempt {job.attempt + 1}"] if job.attempt else []
    seed = [] if job.seed is None else [f"seed {job.seed}"]
    facts = [f"{job.endpoint}/{job.model}", job.state, amount(job), took(job), *place, *seed]
    lines = ["  ".join((job.id, *facts))]
    if job.remote_id:
        lines.append(f"  at {job.endpoint}: {job.remote_id}")
    if job.error_text:
        lines.append(f"  {job.error + ': ' if job.error else ''}{job.error_text}")
    if job.cost_basis == "assumed":
        lines.append(f"  its cost is assumed; when you know it: vidorch jobs settle {job.id} --charged USD")
    for row in outputs:
        if row["job_id"] == job.id:
            size = f"{row['width']}x{row['height']}, {row['duration']:.2f} s, {row['size']:,} bytes"
            lines.append(f"  {row['uri']}  ({size})")
    for one in reserved:
        if one.job_id == job.id and (one.budget is not None or one.state == "held"):
            where = "for the call" if one.budget is None else f"in the budget {one.budget}"
            came_to = "" if one.settled is None else f", {show_usd(one.settled)} spent"
            lines.append(f"  {show_usd(one.amount)} {one.state} {where}{came_to}")
    return lines


def _row(event: Event) -> list[str]:
    what = event.kind if event.kind != "move" else f"{event.source or ''} -> {event.target}"
    if event.data.get("by_hand"):
        what += " (by hand)"
    if event.data.get("from") and event.kind == "move":
        what += (
            f", {event.data['from']} taken back" if "to" not in event.data else f", now {event.data['to']}"
        )
    if event.kind == "copied":
        what += f" to {event.data.get('uri')}"
    if event.kind == "deleted":
        what += f" at the vendor: {event.data.get('remote_id')}"
    if event.kind == "overrun":
        cost, reserved = (show_usd(Decimal(event.data[name])) for name in ("cost", "reserved"))
        what += f": {cost}, reserved {reserved}"
    return [clock(event.at), event.job_id or "", what.strip()]


def _reservation(one: Reserved) -> dict[str, Any]:
    return {
        "job_id": one.job_id, "budget": one.budget, "state": one.state, "amount": str(one.amount),
        "settled": None if one.settled is None else str(one.settled), "period": one.period,
    }  # fmt: skip
