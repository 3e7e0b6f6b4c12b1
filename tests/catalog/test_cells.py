"""Every cell of the catalog that has a price, against a formula that was written down by hand."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest

from tests.catalog.cells import FORMULAS, Cell, cells_of
from vidorch.catalog import shipped
from vidorch.offer import Offer
from vidorch.price import price_at

OFFERS = [offer for offer in shipped().offers if offer.price.rule == "table"]


def cost_of(offer: Offer, cell: Cell) -> tuple[Decimal, Decimal] | None:
    """What the catalog says."""
    own = (
        cell.s is not None
        and cell.s == cell.source
        and not offer.routes[cell.task].capabilities.durations.choices
    )
    facts = {
        "task": cell.task, "resolution": cell.resolution, "audio": cell.audio, "references": cell.references,
        "duration": None if own and offer.routes[cell.task].capabilities.durations.least is None else cell.s,
        "pixels": cell.pixels,
    }  # fmt: skip
    cost = price_at(offer, facts, input_seconds=cell.source).cost
    return None if cost is None else (cost.expected, cost.high)


def micros(usd: Fraction) -> Decimal:
    """Rounded up to a millionth."""
    return Decimal(ceil(usd * 10**6)) / 10**6


def test_each_priced_offer_has_a_formula() -> None:
    """And none has one that is not in the catalog."""
    assert {offer.name for offer in OFFERS} == FORMULAS.keys()


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_every_cell(offer: Offer) -> None:
    """Task, resolution, sound, references and length: what the formula says, to the millionth, and no price where it has none."""
    wrong = []
    for cell in cells_of(offer):
        by_hand = FORMULAS[offer.name](cell)
        expected = None if by_hand is None else (micros(by_hand[0]), micros(by_hand[1]))
        if (found := cost_of(offer, cell)) != expected:
            wrong.append((cell, found, expected))
    assert wrong == []


def test_every_row_is_reached() -> None:
    """Each row of the catalog is the price of some cell: a formula stands behind every one."""
    for offer in OFFERS:
        reached = []
        for cell in cells_of(offer):
            facts = {
                "task": cell.task, "resolution": cell.resolution, "audio": cell.audio, "references": cell.references,
                "duration": cell.s, "pixels": cell.pixels,
            }  # fmt: skip
            reached.append(price_at(offer, facts, input_seconds=cell.source).row)
        assert [] == [row for row in offer.price.rows if row not in reached]
