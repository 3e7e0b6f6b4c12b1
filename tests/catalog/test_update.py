"""Newer prices from LiteLLM's map: what is taken out of it, and what is left alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidorch.catalog import shipped
from vidorch.catalog.litellm import rates_in
from vidorch.catalog.prices import conditions, lay
from vidorch.catalog.updating import PriceUpdate, Rates, compare
from vidorch.errors import CatalogError
from vidorch.offer import Offer

DAY = date(2030, 1, 1)


def map_of(name: str, **fields: Any) -> bytes:
    """A map as LiteLLM has it, with one row for video, and beside it one of another mode."""
    other = {"litellm_provider": "openai", "mode": "chat", "output_cost_per_token": 1e-6}
    row = {"litellm_provider": name.partition("/")[0], "mode": "video_generation", **fields}
    return json.dumps({"gpt-4": other, name: row}).encode()


def offers(*names: str) -> list[Offer]:
    return [offer for offer in shipped().offers if not names or offer.name in names]


def update(text: bytes, of: Iterable[Offer] | None = None, *, as_of: date = DAY, **more: Any) -> PriceUpdate:
    below = list(offers() if of is None else of)
    rates, unknown = rates_in(text, "map.json", below)
    return compare(below, rates, source="map.json", as_of=as_of, first_hand=False, unknown=unknown, **more)


def changed(found: PriceUpdate) -> list[tuple[str, str, str, str]]:
    return [(one.offer, one.when, f"{one.old:f}", f"{one.new:f}") for one in found.changes]


def left(found: PriceUpdate) -> dict[str, str]:
    return {one.when: one.reason for one in found.left_alone}


class TestMap:
    def test_one_rate(self) -> None:
        """A base rate is that of an offer with one price, in the offer's own credits."""
        found = update(map_of("runwayml/gen4.5", output_cost_per_second=0.13, source="https://a.page"))
        assert [("runway/gen4.5", "", "0.12", "0.13")] == changed(found)
        row = found.changes[0].row.row
        assert (Decimal(13), DAY, False) == (row.per_second, row.as_of, row.confirmed)
        assert "LiteLLM's map of prices, runwayml/gen4.5, which names https://a.page" == row.source

    def test_other_name_of_the_base_rate(self) -> None:
        """`output_cost_per_video_per_second` is one, too; OpenAI's models stand there without a first part."""
        found = update(map_of("sora-2", output_cost_per_video_per_second=0.2))
        assert [("openai/sora-2", "", "0.10", "0.2")] == changed(found)

    def test_rates_by_resolution(self) -> None:
        """Each row has the rate of its resolutions, and a base rate none of them."""
        found = update(map_of("runwayml/seedance2", output_cost_per_second=0.5, output_cost_per_second_480p=0.3,
                              output_cost_per_second_720p=0.3, output_cost_per_second_1080p=0.4))  # fmt: skip
        assert [("runway/seedance-2.0", "resolution 480p or 720p", "0.36", "0.3")] == changed(found)
        assert (1, {"resolution 4k": "the source gives no rate for 4k"}) == (found.unchanged, left(found))

    def test_row_of_two_resolutions_that_differ(self) -> None:
        """One row cannot say two rates."""
        found = update(
            map_of("runwayml/seedance2", output_cost_per_second_480p=0.2, output_cost_per_second_720p=0.3)
        )
        assert (
            "the source's rates differ by resolution, and here they do not"
            == left(found)["resolution 480p or 720p"]
        )

    def test_one_price_and_many_rates(self) -> None:
        """What the catalog sells at one price is left alone where the map has several."""
        found = update(
            map_of("runwayml/gen4.5", output_cost_per_second=0.12, output_cost_per_second_1080p=0.2)
        )
        assert ([], ["the source's rates differ by resolution, and here they do not"]) == (
            changed(found), list(left(found).values())
        )  # fmt: skip

    def test_minimum_stays(self) -> None:
        """What is billed at least is no matter of the rate."""
        (change,) = update(map_of("runwayml/aleph2", output_cost_per_second=0.30)).changes
        assert (Decimal(30), Decimal(2)) == (change.row.row.per_second, change.row.row.minimum_seconds)

    def test_paths_of_fal(self) -> None:
        """At fal each task has a name of its own; only all of them together are the offer."""
        tasks = ("text-to-video", "image-to-video", "reference-to-video")
        row = {"litellm_provider": "fal_ai", "mode": "video_generation", "output_cost_per_second_480p": 0.2}
        whole = {f"fal_ai/bytedance/seedance-2.0/{task}": dict(row) for task in tasks}
        assert [("fal/seedance-2.0", "resolution 480p", "0.1346", "0.2")] == changed(
            update(json.dumps(whole).encode())
        )
        part = json.dumps({name: whole[name] for name in list(whole)[:2]}).encode()
        assert {"": "the source has rates for some of its tasks alone"} == left(update(part))
        whole[next(iter(whole))]["output_cost_per_second_480p"] = 0.3
        assert {"": "the source's rates differ by task, and here they do not"} == left(
            update(json.dumps(whole).encode())
        )

    def test_numbers_are_as_they_were_written(self) -> None:
        """0.1 is a tenth, and 1e-1 is, too."""
        text = map_of("runwayml/gen4.5", output_cost_per_second="RATE").replace(b'"RATE"', b"1.1e-1")
        assert Decimal("0.11") == update(text).changes[0].new

    def test_end_is_told_and_not_written(self) -> None:
        """`deprecation_date` is somebody's word; nothing of it is confirmed by that."""
        found = update(map_of("runwayml/gen4.5", output_cost_per_second=0.13, deprecation_date="2030-06-01"))
        (ending,) = found.endings
        assert ("runway/gen4.5", date(2030, 6, 1), None) == (ending.offer, ending.day, ending.known)
        assert "2030-06-01" not in str(found.changes)

    def test_names_that_are_no_offers(self) -> None:
        """They are counted by name."""
        assert ("azure/sora-2",) == update(map_of("azure/sora-2", output_cost_per_second=0.1)).unknown

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b'{"a": 1}',
            b'{"a": {}}',
            b"\xff\xfe",
            b'{"a": {"mode": "chat"}}',
            b'{"a": NaN}',
            b"[" * 100_000,
        ],
    )
    def test_that_is_none(self, text: bytes) -> None:
        """What is no JSON, or no map, is told with its name, and nothing is changed."""
        with pytest.raises(CatalogError, match=r"(?s)map\.json.*Nothing was changed"):
            update(text)

    @pytest.mark.parametrize("rate", [-0.1, "0.1", True, 1e9, [], {"a": 1}])
    def test_rate_that_is_none(self, rate: object) -> None:
        """A rate is a number of dollars."""
        with pytest.raises(CatalogError, match=r"runwayml/gen4.5: output_cost_per_second"):
            update(map_of("runwayml/gen4.5", output_cost_per_second=rate))


class TestLeftAlone:
    @pytest.mark.parametrize(
        ("model", "name", "keys"),
        [
            ("runwayml/veo3.1", "runway/veo-3.1", "audio"),
            ("vertex_ai/veo-3.1-generate-001", "vertex/veo-3.1", "audio"),
        ],
    )
    def test_by_sound(self, model: str, name: str, keys: str) -> None:
        """A map that knows no sound changes no price that depends on it."""
        found = update(
            map_of(
                model, output_cost_per_second=9, output_cost_per_second_720p=9, output_cost_per_second_4k=9
            )
        )
        rows = next(offer for offer in offers(name)).price.rows
        assert ([], len(rows)) == (changed(found), len(found.left_alone))
        assert all(keys in one.reason for one in found.left_alone)

    def test_by_references_with_a_part_for_each_clip(self) -> None:
        """Only rows that depend on the resolution alone are changed."""
        found = update(
            map_of("runwayml/hailuo3", output_cost_per_second_768p=0.2, output_cost_per_second_2k=0.3)
        )
        assert [
            ("runway/hailuo-3", "resolution 768p", "0.10", "0.2"),
            ("runway/hailuo-3", "resolution 1440p", "0.15", "0.3"),
        ] == changed(found)
        assert {"resolution 768p, references on", "resolution 1440p, references on"} == left(found).keys()

    def test_by_length_beside_it(self) -> None:
        """A row that is for whatever length is left, beside one for some lengths, is no plain price by resolution."""
        found = compare(
            offers("replicate/veo-3.1-lite"),
            {"replicate/veo-3.1-lite": Rates(None, {"1080p": Decimal(9)})},
            source="map", as_of=DAY, first_hand=True,
        )  # fmt: skip
        assert [] == changed(found)

    def test_for_each_clip(self) -> None:
        """A price of a clip is none of a second."""
        found = compare(
            offers("fal/flux-2-pro"),
            {"fal/flux-2-pro": Rates(Decimal(9))},
            source="m",
            as_of=DAY,
            first_hand=True,
        )
        assert (
            {"": "it is priced for each clip and by the megapixel, which the source does not tell"},
            [],
        ) == (
            left(found),
            changed(found),
        )

    def test_read_after_it(self) -> None:
        """A row that is newer than the source stays."""
        found = update(map_of("runwayml/gen4.5", output_cost_per_second=0.13), as_of=date(2026, 9, 24))
        assert ({"": "what the catalog has was read on 2026-09-25, after it"}, []) == (
            left(found),
            changed(found),
        )

    def test_no_exact_number_of_credits(self) -> None:
        """What does not come out even stays."""
        text = map_of("runwayml/gen4.5", output_cost_per_second=0.13)
        (offer,) = offers("runway/gen4.5")
        third = Offer(
            **{name: getattr(offer, name) for name in offer.__slots__} | {"price": _in_thirds(offer)}
        )
        assert "no exact number of credits" in left(update(text, [third]))[""]

    def test_said_to_be_free(self) -> None:
        """Nought is what a map says that does not know."""
        found = update(map_of("runwayml/gen4.5", output_cost_per_second=0))
        assert ([], True) == (changed(found), "free" in left(found)[""])

    def test_in_a_layer_of_ones_own(self) -> None:
        """What would not show is not written."""
        own = {"runway/gen4.5": "user file catalog.toml"}
        found = update(map_of("runwayml/gen4.5", output_cost_per_second=0.13), own=own)
        assert ([], {"": "your own layer has it: user file catalog.toml"}) == (changed(found), left(found))

    def test_unpriced(self) -> None:
        """Where there is no row there is nothing to change."""
        found = update(map_of("runwayml/kling_4", output_cost_per_second=0.13))
        assert {"": "the catalog has no row of a price for it"} == left(found)


class TestHands:
    """A vendor's own word, and somebody else's."""

    @staticmethod
    def said(rate: str, *, first_hand: bool, as_of: date = DAY) -> PriceUpdate:
        return compare(
            offers("runway/gen4.5"), {"runway/gen4.5": Rates(Decimal(rate), source="s")}, source="s", as_of=as_of, first_hand=first_hand
        )  # fmt: skip

    def test_lower_at_second_hand(self) -> None:
        """Budgets go on reserving the old price until the vendor itself says otherwise."""
        row = self.said("0.10", first_hand=False).changes[0].row.row
        assert (Decimal(10), Decimal(12), False) == (row.per_second, row.high_per_second, row.confirmed)

    def test_lower_at_first_hand(self) -> None:
        """It is what it costs."""
        row = self.said("0.10", first_hand=True).changes[0].row.row
        assert (Decimal(10), None, True) == (row.per_second, row.high_per_second, row.confirmed)

    def test_the_same_at_second_hand(self) -> None:
        """A confirmed price is not made less sure by who repeats it."""
        found = self.said("0.12", first_hand=False)
        assert (0, 1) == (len(found.changes), found.unchanged)

    def test_the_same_at_first_hand(self) -> None:
        """It is read anew, with the day of that."""
        (change,) = self.said("0.12", first_hand=True).changes
        assert (change.old, DAY) == (change.new, change.row.row.as_of)

    def test_the_same_twice_on_a_day(self) -> None:
        """There is nothing more to change."""
        found = self.said("0.12", first_hand=True, as_of=date(2026, 9, 25))
        assert (0, 1) == (len(found.changes), found.unchanged)


RATES = st.decimals("0.000001", "9", places=6)
TIERS = st.dictionaries(st.sampled_from(["480p", "720p", "768p", "1080p", "1440p", "4k"]), RATES)


@given(st.dictionaries(st.sampled_from([one.name for one in shipped().offers]), st.builds(Rates, st.none() | RATES, TIERS, st.just("s")), max_size=6),
       st.booleans())  # fmt: skip
def test_whatever_a_source_says(rates: dict[str, Rates], first_hand: bool) -> None:
    """Taken in, it has nothing more to change; at second hand nothing that budgets reserve falls; and no other row is touched."""
    before = {offer.name: offer for offer in shipped().offers}
    said: dict[str, Rates | str] = {**rates}
    found = compare(before.values(), said, source="s", as_of=DAY, first_hand=first_hand)
    after, warnings = lay(before, [change.row for change in found.changes])
    again = compare(after.values(), said, source="s", as_of=DAY, first_hand=first_hand)
    assert ((), ()) == (warnings, again.changes)
    touched = {(change.offer, conditions(change.row.row)) for change in found.changes}
    for name, offer in before.items():
        for old, new in zip(offer.price.rows, after[name].price.rows, strict=True):
            if (name, conditions(old)) not in touched:
                assert old == new
            elif not first_hand:
                assert (old.high_per_second or old.per_second) <= (new.high_per_second or new.per_second)


def _in_thirds(offer: Offer) -> Any:
    from dataclasses import replace

    return replace(offer.price, usd_per_unit=Decimal("0.03"))
