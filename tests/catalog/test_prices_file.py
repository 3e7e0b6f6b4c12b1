"""`newer-prices.toml`: newer prices, below the user's layer and above what ships."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from vidorch.catalog import load, shipped
from vidorch.catalog.prices import NewRow, read, write
from vidorch.errors import CatalogError
from vidorch.offer import Offer, PriceRow

DAY = date(2030, 1, 1)
NOBODYS = "there is no such file"


def offer_of(name: str) -> Offer:
    offer = shipped().offer(name)
    assert offer is not None
    return offer


def new(name: str = "runway/gen4.5", place: int = 0, **row: Any) -> NewRow:
    """A shipped row with something new."""
    offer = offer_of(name)
    changed = replace(offer.price.rows[place], **{"as_of": DAY, "source": "a map", **row})
    return NewRow(name, offer.price.unit, offer.price.usd_per_unit, changed)


def rows(path: Path, name: str = "runway/gen4.5", user: Path | str = NOBODYS) -> tuple[PriceRow, ...]:
    offer = load(environ={}, user_file=user, prices_file=path).offer(name)
    assert offer is not None
    return offer.price.rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "newer-prices.toml"


class TestPrices:
    def test_row_takes_the_place_of_an_older_one(self, path: Path) -> None:
        """Amount, source and day are new, and every other row is the shipped one."""
        write(path, [new("runway/seedance-2.0", 1, per_second=Decimal("41.5"))])
        before, after = offer_of("runway/seedance-2.0").price.rows, rows(path, "runway/seedance-2.0")
        assert (Decimal("41.5"), "a map", DAY) == (after[1].per_second, after[1].source, after[1].as_of)
        assert (before[0], before[2]) == (after[0], after[2])

    def test_nothing_else_of_the_offer_changes(self, path: Path) -> None:
        """Facts stay those of what ships, the day on which they were read too."""
        write(path, [new(per_second=Decimal(13))])
        offer, below = (
            load(environ={}, user_file=NOBODYS, prices_file=path).offer("runway/gen4.5"),
            offer_of("runway/gen4.5"),
        )
        assert offer is not None
        assert replace(offer, price=below.price) == below

    def test_older_row_is_left_out(self, path: Path) -> None:
        """What ships was read since, and nobody is bothered with that."""
        write(path, [new(per_second=Decimal(13), as_of=date(2020, 1, 1))])
        catalog = load(environ={}, user_file=NOBODYS, prices_file=path)
        assert ((), offer_of("runway/gen4.5")) == (catalog.warnings, catalog.offer("runway/gen4.5"))

    def test_the_users_own_layer_is_above(self, path: Path, tmp_path: Path) -> None:
        """A contract of one's own holds, also where a newer list price is known."""
        own = tmp_path / "catalog.toml"
        own.write_text(
            '[[offer]]\nlike = "runway/gen4.5"\nas_of = 2026-11-25\n[offer.price]\nsource = "ours"\n'
            "[[offer.price.row]]\nper_second = 0.05\n"
        )
        write(path, [new(per_second=Decimal(13))])
        assert Decimal("0.05") == rows(path, user=own)[0].per_second

    @pytest.mark.parametrize("stale", [
        new(when={"resolution": ("256p",)}), replace(new(), usd_per_unit=Decimal("0.02")), replace(new(), offer="fal/no-more"),
    ])  # fmt: skip
    def test_row_that_has_no_place_any_more(self, path: Path, stale: NewRow) -> None:
        """It is left out with a word of what to do: conditions or credits are no longer what they were."""
        write(path, [stale])
        catalog = load(environ={}, user_file=NOBODYS, prices_file=path)
        assert offer_of("runway/gen4.5") == catalog.offer("runway/gen4.5")
        assert "vidorch models update" in catalog.warnings[0]

    def test_every_shipped_row_comes_back_as_it_was(self, path: Path) -> None:
        """Whatever a row holds is written and read without loss."""
        priced = [offer for offer in shipped().offers if offer.price.rows]
        written = [
            NewRow(offer.name, offer.price.unit, offer.price.usd_per_unit, row) for offer in priced for row in offer.price.rows
        ]  # fmt: skip
        write(path, written)
        assert sorted(written, key=str) == sorted(read(path), key=str)

    def test_what_stands_there_is_kept(self, path: Path) -> None:
        """Other rows stay; one with the same conditions is replaced."""
        first, other = new(per_second=Decimal(13)), new("fal/kling-3.0-4k", per_second=Decimal("0.4"))
        write(path, [first, other])
        write(path, [again := new(per_second=Decimal(14))])
        assert [other, again] == sorted(read(path), key=lambda one: one.offer)

    @pytest.mark.parametrize("source", ['say "so"', "back\\slash", "two\nlines", "ümlaut \x7f"])
    def test_any_text(self, path: Path, source: str) -> None:
        """A source may have whatever it likes in it."""
        write(path, [new(source=source)])
        assert source == read(path)[0].row.source

    def test_a_write_that_fails_leaves_what_was_there(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of it or nothing, and nothing lies about."""
        write(path, [new(per_second=Decimal(13))])
        before = path.read_bytes()

        def full(*_: object) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="space"):
            write(path, [new(per_second=Decimal(14))])
        assert (before, [path]) == (path.read_bytes(), list(path.parent.iterdir()))

    @pytest.mark.parametrize(
        ("text", "line"),
        [("[[offer]\n", 1), ("format = 9\n", 1), ('[[offer]]\nname = "a/b"\n[[offer.row]]\nper_second = "x"\nsource = "s"\nas_of = 2030-01-01\n', 4),
         ('[[offer]]\nname = "a/b"\n[[offer.row]]\nper_second = 1\nas_of = 2030-01-01\n', 3)],
    )  # fmt: skip
    def test_broken(self, path: Path, text: str, line: int) -> None:
        """File and line are named."""
        path.parent.mkdir()
        path.write_text(text)
        with pytest.raises(CatalogError) as raised:
            rows(path)
        assert (str(path), line) == (raised.value.file, raised.value.line)
