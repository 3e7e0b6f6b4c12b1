"""`Catalog.check`: what needs a look."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.catalog.test_filter import of, offer
from vidorch.catalog import Catalog
from vidorch.catalog.checking import OLD_AFTER, SOON, Finding

TODAY = date(2030, 6, 1)


def with_row(**row: Any) -> Catalog:
    return of(offer("a", [{"per_second": "0.05", "as_of": TODAY, **row}]))


def with_life(**life: Any) -> Catalog:
    row = {"per_second": "0.05", "as_of": TODAY}
    return of(offer("a", [row], lifecycle={"source": "a page", "confirmed": True, **life}))


def kinds(found: tuple[Finding, ...]) -> list[str]:
    return [one.kind for one in found]


class TestCheck:
    def test_nothing(self) -> None:
        """A confirmed price of today of a model that lives on needs no look."""
        assert () == with_row().check(TODAY)

    @pytest.mark.parametrize(("age", "expected"), [(OLD_AFTER.days, []), (OLD_AFTER.days + 1, ["old price"])])
    def test_old_prices(self, age: int, expected: list[str]) -> None:
        """A price is old after 90 days."""
        assert expected == kinds(with_row(as_of=TODAY - timedelta(days=age)).check(TODAY))

    def test_unconfirmed_prices(self) -> None:
        """What nobody could confirm is named with its conditions, source and day."""
        (found,) = with_row(confirmed=False, when={"resolution": "720p", "audio": True}).check(TODAY)
        assert ("unconfirmed price", "studio/a", "resolution 720p, audio on") == (
            found.kind,
            found.offer,
            found.when,
        )
        assert ("a page", TODAY) == (found.source, found.day)

    @pytest.mark.parametrize("confirmed", [True, False])
    @pytest.mark.parametrize(
        ("days", "expected"), [(SOON.days + 1, []), (SOON.days, ["ending"]), (1, ["ending"]), (0, ["ended"]), (-9, ["ended"])]
    )  # fmt: skip
    def test_ends(self, days: int, expected: list[str], *, confirmed: bool) -> None:
        """An end within 30 days, and one that is past, whoever says so; and who does is told."""
        found = with_life(retires=TODAY + timedelta(days=days), confirmed=confirmed).check(TODAY)
        assert expected == kinds(found)
        assert all(one.confirmed is confirmed for one in found)

    def test_retired_on_no_known_day(self) -> None:
        """A model that is retired has ended, also where nobody says when."""
        (found,) = with_life(state="retired").check(TODAY)
        assert ("ended", None) == (found.kind, found.to_dict()["day"])

    def test_prices_of_what_is_over(self) -> None:
        """Whether a price that nobody can buy by any more is old is nobody's business."""
        catalog = with_life(retires=TODAY)
        assert ["ended"] == kinds(catalog.check(TODAY + OLD_AFTER * 2))
