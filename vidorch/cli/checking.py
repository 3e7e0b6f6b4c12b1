"""`vidorch models --check`: what of the catalog needs a look."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from vidorch.catalog.checking import OLD_AFTER, SOON, Finding
from vidorch.catalog.checking import check as look
from vidorch.cli.exits import Exit
from vidorch.cli.here import offered_here
from vidorch.cli.models import Wanted, wanted_of
from vidorch.cli.say import as_json, console, table_of

__all__ = ["check"]


def check(name: str | None, wanted: Wanted, *, as_document: bool) -> None:
    """Print what needs a look of the offers that pass.

    Raises:
        typer.Exit: something does.
    """
    catalog, today = offered_here(), datetime.now(UTC).date()
    offers = [match.offer for match in wanted_of(catalog, name, wanted)]
    found = look(offers, today)
    if as_document:
        as_json(
            {
                "day": str(today), "old_after_days": OLD_AFTER.days, "soon_days": SOON.days, "offers": len(offers),
                "findings": [one.to_dict() for one in found], "warnings": list(catalog.warnings),
            }
        )  # fmt: skip
    else:
        out = console()
        if found:
            rows = [[one.kind, one.offer, one.when, _day(one), one.source] for one in found]
            out.print(table_of("", ["!what", "!offer", "when", "!day", "source"], rows))
        for warning in catalog.warnings:
            out.print(f"Warning: {warning}", markup=False)
        out.print(
            f"{len(offers)} offers on {today}: {_counted(found) or 'nothing needs a look'}. "
            f"A price is old after {OLD_AFTER.days} days; an end is near within {SOON.days}.",
            markup=False,
        )
    if found:
        raise typer.Exit(Exit.FAILED)


def _day(one: Finding) -> str:
    said = "no known day" if one.day is None else str(one.day)
    return said if one.confirmed or one.kind not in ("ending", "ended") else f"{said} (not confirmed)"


def _counted(found: tuple[Finding, ...]) -> str:
    kinds = [one.kind for one in found]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
