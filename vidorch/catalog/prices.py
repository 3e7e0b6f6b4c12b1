"""Newer prices: `newer-prices.toml`, a file that vidorch writes, below the user's own layer and above what ships.

It holds single rows of prices, each with its source and day, and nothing else of an offer. A row takes the place of the row with
the same conditions below it, where it was read on the same day or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from vidorch.catalog.offers import read_row
from vidorch.catalog.writing import write_whole
from vidorch.errors import CatalogError
from vidorch.home import config_folder
from vidorch.offer import Offer, PriceRow
from vidorch.tables import Source, Table, parse, quoted

__all__ = ["NewRow", "conditions", "default_prices_file", "lay", "read", "write"]

FORMAT = 1
_HEAD = (
    "# Written by `vidorch models update`, and written anew by the next one. Prices of your own belong into catalog.toml.\n"
    f"format = {FORMAT}\n"
)


@dataclass(frozen=True, slots=True)
class NewRow:
    """One row, and what it counts: an amount in credits is none once a credit costs something else.

    Attributes:
        offer: `"endpoint/model"`. unit, usd_per_unit: as of `Price`.
    """

    offer: str
    unit: str
    usd_per_unit: Decimal
    row: PriceRow


def default_prices_file() -> Path:
    """Where newer prices are kept."""
    return config_folder() / "newer-prices.toml"


def conditions(row: PriceRow) -> frozenset[tuple[str, frozenset[Any]]]:
    """What tells one row of an offer from its others."""
    return frozenset((key, frozenset(values)) for key, values in row.when.items())


def read(path: Path) -> tuple[NewRow, ...]:
    """The file's rows; none where there is no file.

    Raises:
        CatalogError: it cannot be read or is wrong: file, line, field.
    """
    try:
        source = Source(str(path), path.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CatalogError(
            f"{path}: the file of newer prices cannot be read: {why}.",
            hint="Remove it, and then: vidorch models update SOURCE",
            file=str(path),
        ) from None
    top = Table(source, parse(source))
    written_for = top.whole("format", FORMAT, least=1)
    if written_for > FORMAT:
        raise top.error("format", f"{written_for} is newer than this version of vidorch reads, {FORMAT}.")
    tables = top.take("offer", [], "a list of tables", lambda value: isinstance(value, list))
    top.done()
    return tuple(row for index, raw in enumerate(tables) for row in _rows(Table(source, raw, (), index)))


def lay(offers: Mapping[str, Offer], rows: Iterable[NewRow]) -> tuple[dict[str, Offer], tuple[str, ...]]:
    """The offers with these rows in the place of older ones, and what was left out, in words.

    A row that is older than the one below it is left out without a word: what ships was read since.
    """
    laid, said = dict(offers), []
    for new in rows:
        offer = laid.get(new.offer)
        place = None if offer is None else place_of(offer, new)
        if offer is None or place is None:
            said.append(
                f"A newer price of {new.offer} in {default_prices_file().name} has no row any more that it could take the place "
                "of, and was left out. Run `vidorch models update` again."
            )
            continue
        below = offer.price.rows[place]
        if below.as_of is None or new.row.as_of is None or below.as_of <= new.row.as_of:
            rows_now = (*offer.price.rows[:place], new.row, *offer.price.rows[place + 1 :])
            laid[new.offer] = replace(offer, price=replace(offer.price, rows=rows_now))
    return laid, tuple(dict.fromkeys(said))


def place_of(offer: Offer, new: NewRow) -> int | None:
    """Which row of an offer a new one is about; None where there is none that counts the same."""
    if (offer.price.unit, offer.price.usd_per_unit) != (new.unit, new.usd_per_unit):
        return None
    wanted = conditions(new.row)
    return next((at for at, row in enumerate(offer.price.rows) if conditions(row) == wanted), None)


def write(path: Path, rows: Iterable[NewRow]) -> None:
    """Put these rows beside those that the file has, in the place of those with the same conditions; all of it or nothing.

    Raises:
        CatalogError: what is there is broken. OSError: it cannot be written.
    """
    kept = {(one.offer, conditions(one.row)): one for one in (*read(path), *rows)}
    by_offer: dict[str, list[NewRow]] = {}
    for one in kept.values():
        by_offer.setdefault(one.offer, []).append(one)
    text = _HEAD + "".join(_as_toml(name, by_offer[name]) for name in sorted(by_offer))
    write_whole(path, text)


def _rows(table: Table) -> list[NewRow]:
    name, unit = table.text("name"), table.text("unit", "usd")
    usd_per_unit = table.number("usd_per_unit", 1, above=True)
    rows = []
    for row in table.tables("row"):
        as_of: date = row.day("as_of")
        rows.append(NewRow(name, unit, usd_per_unit, read_row(row, row.text("source"), as_of)))
    table.done()
    return rows


def _as_toml(name: str, rows: Iterable[NewRow]) -> str:
    rows = list(rows)
    lines = ["", "[[offer]]", f"name = {quoted(name)}", f"unit = {quoted(rows[0].unit)}"]
    lines.append(f"usd_per_unit = {quoted(rows[0].usd_per_unit)}")
    for one in rows:
        row, empty = one.row, PriceRow()
        lines += ["[[offer.row]]"]
        if row.when:
            when = ", ".join(f"{key} = {quoted(values)}" for key, values in row.when.items())
            lines.append(f"when = {{ {when} }}")
        lines.append(f"per_second = {quoted(row.per_second)}")
        for key in (
            "fixed",
            "per_input_second",
            "minimum_seconds",
            "block_seconds",
            "high_per_second",
            "per_megapixel",
            "per_million_tokens",
            "confirmed",
        ):
            if getattr(row, key) != getattr(empty, key):
                lines.append(f"{key} = {quoted(getattr(row, key))}")
        lines += [f"source = {quoted(row.source)}", f"as_of = {row.as_of}"]
    return "\n".join(lines) + "\n"
