"""`vidorch models pull`: the weights of a model, fetched after saying what that takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vidorch.cli.consent import must_say_yes
from vidorch.cli.here import meant_here, offered_here
from vidorch.cli.models import named_of
from vidorch.cli.say import as_json, aside, console
from vidorch.cli.words import many
from vidorch.errors import InvalidRequest, Unsupported
from vidorch.offer import Offer
from vidorch.pulling import OnProgress, Pull, fetch, look
from vidorch.surroundings import surroundings
from vidorch.weights import locate, missing, size_in_words

__all__ = ["pull"]


def pull(name: str, *, yes: bool, as_document: bool) -> None:
    """Show what a model's weights take, ask, and fetch them.

    Raises:
        typer.Exit: nobody said yes; nothing but its index was fetched.
    """
    if surroundings() is not None:
        raise Unsupported("A mock fetches nothing. Nothing was fetched.")
    offer = _offer(name)
    found = look(offer)
    document = {**found.to_dict(), "pulled": False}
    if not as_document:
        _show(found)
    if found.to_fetch:
        must_say_yes(
            f"Fetch {size_in_words(found.to_fetch)}?", yes=yes, otherwise="Nothing was fetched.",
            document=document if as_document else None,
        )  # fmt: skip
    with _bar(found, shown=not as_document) as tell:
        folder = fetch(found, tell)
    assert offer.weights is not None
    lacking = missing(offer.weights, offer.model)
    if as_document:
        as_json({**document, "pulled": True, "path": str(folder), "missing": lacking})
    else:
        aside(f"{offer.model} is in {folder}")
        if lacking:
            aside(f"To run it, {lacking}")


def _offer(name: str) -> Offer:
    catalog = offered_here()
    by_source = [
        offer for offer in catalog.offers if offer.weights is not None and offer.weights.source == name
    ]
    offers = by_source or [offer for one in meant_here(name) for offer in named_of(catalog, one)]
    local = [offer for offer in offers if offer.weights is not None]
    if not local and len(offers) != 1:
        raise InvalidRequest(
            f"{name} runs at its vendors: there are no weights to fetch.", field="model", value=name,
            hint="`vidorch models --endpoint local` lists those that have.", allowed="a model for one's own hardware",
        )  # fmt: skip
    return (local or offers)[0]


def _show(found: Pull) -> None:
    out = console()
    if not found.repositories:
        out.print(f"All of {found.model} is here: {locate(found.weights)}", markup=False)
        return
    for one in found.repositories:
        here = (
            f", {size_in_words(one.total - one.to_fetch)} of it here already"
            if one.to_fetch < one.total and one.absent
            else ""
        )
        out.print(
            f"{one.source}: {many(len(one.files), 'file')}, {size_in_words(one.total)}{here}", markup=False
        )
    out.print(
        f"To fetch: {size_in_words(found.to_fetch)} into {found.folder}, where {size_in_words(found.free)} are free",
        markup=False,
    )


@contextmanager
def _bar(found: Pull, *, shown: bool) -> Iterator[OnProgress | None]:
    """A bar on stderr, where that is a terminal."""
    out = console(stderr=True)
    if not shown or not out.is_terminal or not found.to_fetch:
        yield None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, TimeRemainingColumn(), console=out) as progress:
        task = progress.add_task("", total=found.to_fetch)
        yield lambda name, here: progress.update(
            task, completed=here, description=name.rpartition("/")[2][:40]
        )
