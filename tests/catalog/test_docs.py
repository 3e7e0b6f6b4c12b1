"""The catalog's documentation is executed."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from vidorch.catalog import Catalog, load
from vidorch.catalog.offers import CONDITIONS, CONTEXT_FIELDS
from vidorch.offer import Capabilities, Limits, Offer, PriceRow
from vidorch.price import price_of
from vidorch.request import TASKS, Request

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


@pytest.fixture
def catalog(page: str, tmp_path: Path) -> Catalog:
    (example,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    own = tmp_path / "catalog.toml"
    own.write_text(example, "utf-8")
    return load(environ={}, user_file=own)


def test_example_replaces_a_price_and_keeps_the_rest(catalog: Catalog) -> None:
    """The example's first offer has the user's price and the shipped offer's everything else."""
    offer, shipped = (
        catalog.offer("fal/kling-3.0-pro"),
        load(environ={}, user_file="none").offer("fal/kling-3.0-pro"),
    )
    assert offer is not None
    assert shipped is not None
    assert [row.per_second for row in offer.price.rows] == [Decimal("0.095"), Decimal("0.143")]
    assert offer.price.as_of == date(2026, 12, 1)
    assert (offer.routes, offer.billing, offer.lifecycle) == (
        shipped.routes,
        shipped.billing,
        shipped.lifecycle,
    )


@pytest.mark.parametrize(
    ("seconds", "resolution", "cost"),
    [(2.0, "480p", "0.24"), (6.0, "480p", "0.36"), (4.0, "720p", "0.70"), (5.5, "720p", "1.20")],
)
def test_example_adds_a_server(catalog: Catalog, seconds: float, resolution: str, cost: str) -> None:
    """The example's second offer bills at least 4 s at 480p, and a fee and blocks of 5 s at 720p, in credits."""
    offer = catalog.offer("studio/acme-1")
    assert offer is not None
    request = Request(
        prompt="a boat", duration=seconds, resolution=resolution, aspect_ratio="16:9", audio=False
    )
    priced = price_of(offer, request, offer.routes["text-to-video"])
    assert priced.cost is not None
    assert priced.cost.expected == Decimal(cost)


def test_page_names_every_key(page: str) -> None:
    """Each field of the format, each condition and each task stands on the page."""
    names = {item.name for kind in (Capabilities, Limits, PriceRow) for item in fields(kind)}
    names |= {item.name for item in fields(Offer)} - {"layer"}
    missing = [name for name in sorted({*names, *CONDITIONS, *CONTEXT_FIELDS, *TASKS}) if name not in page]
    assert missing == []
