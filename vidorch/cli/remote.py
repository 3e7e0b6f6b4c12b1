"""`vidorch jobs remote` and `vidorch jobs delete`: what vendors have of an account's jobs, and taking one away there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from vidorch.cli.books import find_job, now, reading
from vidorch.cli.consent import must_say_yes
from vidorch.cli.say import as_json, aside, console, table_of
from vidorch.cli.words import lately
from vidorch.client.aio import AsyncClient
from vidorch.contract import RemoteJob
from vidorch.ledger.moves import State

__all__ = ["delete", "list_remote"]

WORDS = 40  # of a prompt, in characters


def list_remote(endpoint: str, *, scope: str, limit: int, as_document: bool) -> None:
    """Print what the vendor lists, newest first."""
    found = asyncio.run(_listed(endpoint, scope, limit))
    if as_document:
        as_json([one.to_dict() for one in found])
        return
    if not found:
        print(f"{endpoint} has no jobs of this account.")
        return
    rows = [
        [one.id, "" if one.created_at is None else lately(one.created_at, now()), one.model, one.status, one.job_id or "-",
         _short(one.prompt)]
        for one in found
    ]  # fmt: skip
    console().print(table_of("", ["!vendor's id", "made", "model", "state", "!job", "prompt"], rows))
    if any(one.job_id is None for one in found):
        _say_how_to_adopt(endpoint)


async def _listed(endpoint: str, scope: str, limit: int) -> list[RemoteJob]:
    async with AsyncClient() as client:
        return await client.remote(endpoint, scope=scope, limit=limit)


def _short(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= WORDS else f"{line[: WORDS - 3]}..."


def _say_how_to_adopt(endpoint: str) -> None:
    """Jobs that nobody here knows may be those whose submit lost its reply."""
    aside("(-: this ledger does not know it; it was paid for elsewhere, or its submit lost its reply.)")
    with reading() as ledger:
        unknown = [] if ledger is None else ledger.jobs(state=State.UNKNOWN, limit=1_000)
    for job in unknown:
        if job.endpoint == endpoint:
            aside(f"If one of them is {job.id}: vidorch jobs adopt {job.id} ID")


def delete(word: str, *, yes: bool, only_copy: bool, as_document: bool) -> None:
    """Remove the vendor's copy of a job that has ended, after saying what is left then."""
    with reading() as ledger:
        job_id = find_job(ledger, word)
        assert ledger is not None
        job = ledger.job(job_id)
        assert job is not None
        kept = [row["uri"] for row in ledger.outputs(job.run_id) if row["job_id"] == job_id]
    aside(f"{job.endpoint} removes {job.remote_id or 'it'} with its results, for good; nothing is refunded.")
    for uri in kept:
        gone = "://" not in uri and not Path(uri).exists()
        where = f"is not at {uri} any more: the vendor's copy may be the last" if gone else f"stays at {uri}"
        aside(f"Its clip {where}.")
    if not kept and job.charged is not False:
        aside(
            "Nothing of it lies here, and it may have been paid for: the vendor's copy may be the only one."
        )
    document: dict[str, Any] = {"id": job_id, "remote_id": job.remote_id, "clips": kept}
    must_say_yes(
        "Delete?",
        yes=yes,
        otherwise="Nothing was deleted.",
        document=document | {"deleted": None} if as_document else None,
    )
    there = asyncio.run(_deleted(job_id, only_copy=only_copy))
    if as_document:
        as_json(document | {"deleted": there})
    else:
        aside(f"{job.remote_id} is deleted." if there else f"{job.remote_id} was gone already.")


async def _deleted(job_id: str, *, only_copy: bool) -> bool:
    async with AsyncClient() as client:
        return await client.delete_remote(job_id, only_copy=only_copy)
