"""docs/comparison.md says what the shipped catalog says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from vidorch.catalog import shipped

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "comparison.md").read_text("utf-8")


def test_is_up_to_date() -> None:
    """The page is what `python docs/make_comparison.py` writes now."""
    spec = importlib.util.spec_from_file_location("make_comparison", DOCS / "make_comparison.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.page() == PAGE


@pytest.mark.parametrize("family", ["veo", "kling", "runway", "wan"])
def test_each_family_of_the_field_has_a_line(family: str) -> None:
    """Veo, Kling, Runway and hosted Wan are each compared by at least one offer."""
    assert f"| **{family}** |" in PAGE


def test_nothing_retired_is_an_offer() -> None:
    """No row of a table is an offer that is switched off; Sora is told about with its day."""
    rows = set(re.findall(r"^\| ([a-z]+/[^ ]+) \|", PAGE, re.MULTILINE))
    assert not [
        offer.name for offer in shipped().offers if offer.lifecycle.state == "retired" and offer.name in rows
    ]
    assert "openai/sora-2: switched off by its vendor on 2026-09-24" in PAGE


def test_every_unconfirmed_price_is_marked() -> None:
    """A question mark stands at each row of the first table whose price nobody confirmed, such as Seedance's on fal."""
    (row,) = re.findall(r"^\| fal/seedance-2.0 \| 5 s \|.*", PAGE, re.MULTILINE)
    assert "| $1.517 ? |" in row
