"""`vidorch models update`: newer prices, shown before they are taken in."""

from __future__ import annotations

import asyncio

from vidorch.catalog.updating import PriceUpdate
from vidorch.cli.consent import must_say_yes
from vidorch.cli.say import as_json, aside, console, table_of
from vidorch.cli.words import many
from vidorch.client.aio import AsyncClient
from vidorch.errors import CatalogError
from vidorch.money import show_usd

__all__ = ["update"]


def update(source: str, *, as_of: str | None, yes: bool, as_document: bool) -> None:
    """Show what a source would change, ask, and write it.

    Raises:
        typer.Exit: nobody said yes; the changes were printed.
    """
    found = asyncio.run(_look(source, as_of))
    document = {**found.to_dict(), "written": False}
    if not as_document:
        _show(found)
    if not found.changes:
        if as_document:
            as_json(document)
        else:
            aside("There is nothing to change.")
        return
    question = f"Take in {many(len(found.changes), 'price')}?"
    must_say_yes(
        question, yes=yes, otherwise="Nothing was changed.", document=document if as_document else None
    )
    try:
        path = found.save()
    except OSError as error:
        raise CatalogError(
            f"{found.path} cannot be written: {error.strerror or error}. Nothing was changed.", file=str(found.path)
        ) from None  # fmt: skip
    if as_document:
        as_json({**document, "written": True})
    else:
        aside(f"{many(len(found.changes), 'price')} written to {path}")


async def _look(source: str, as_of: str | None) -> PriceUpdate:
    async with AsyncClient() as client:
        return await client.newer_prices(source, as_of=as_of)


def _show(found: PriceUpdate) -> None:
    out = console()
    for left in found.left_alone:
        when = f", {left.when}" if left.when else ""
        out.print(f"Left alone: {left.offer}{when}: {left.reason}", markup=False)
    for end in found.endings:
        known = (
            "the catalog says so, too"
            if end.known == end.day
            else f"the catalog says {end.known or 'nothing of it'}"
        )
        out.print(f"Said to end: {end.offer} on {end.day}; {known}. Not written.", markup=False)
    if found.changes:
        rows = [
            [
                one.offer,
                one.when or "always",
                f"{show_usd(one.old)}/s",
                f"{show_usd(one.new)}/s",
                one.row.row.source,
            ]
            for one in found.changes
        ]
        out.print(table_of("", ["!offer", "when", ">old", ">new", "source"], rows))
    out.print(
        f"{found.source}, of {found.as_of}: {many(len(found.changes), 'price')} to change, {found.unchanged} the same, "
        f"{len(found.left_alone)} left alone; {len(found.unknown)} names in it are no offers here.",
        markup=False,
    )
