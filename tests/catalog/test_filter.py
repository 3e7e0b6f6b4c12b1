"""`Catalog.filter`: which offers do what is wanted, by one and the same way of buying."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from vidorch.catalog import Catalog, load, shipped
from vidorch.errors import InvalidRequest

NOBODYS = "there is no such file"


def offer(model: str, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    capabilities = {
        "durations": {"choices": [4, 6, 8]}, "resolutions": ["720p", "1080p"], "aspect_ratios": ["16:9"], "audio": "switch",
    } | more.pop("capabilities", {})  # fmt: skip
    return {
        "model": model, "endpoint": "studio", "provider": "openai", "family": "acme", "title": model, "as_of": date(2030, 1, 1),
        "path": "/v1", "capabilities": capabilities, "routes": {"text-to-video": {}},
        "price": {"source": "a page", "row": rows}, **more,
    }  # fmt: skip


def of(*offers: Mapping[str, Any]) -> Catalog:
    whole = load({"offer": list(offers)}, environ={}, user_file=NOBODYS)
    return Catalog(tuple(one for one in whole.offers if one.endpoint == "studio"))


def names(catalog: Catalog, **wanted: Any) -> list[str]:
    return [match.offer.model for match in catalog.filter(**wanted)]


def rate(catalog: Catalog, **wanted: Any) -> Decimal | None:
    (match,) = catalog.filter(**wanted)
    assert match.way is not None
    return match.way.rate


SILENT_1080P = offer(
    "half-silent",
    [
        {"when": {"resolution": "720p"}, "per_second": "0.05"},
        {"when": {"resolution": "1080p", "audio": False}, "per_second": "0.10"},
    ],
)


class TestFilter:
    def test_nothing_wanted(self) -> None:
        """Every offer passes, in the order of the catalog."""
        assert [one.name for one in shipped().offers] == [one.offer.name for one in shipped().filter()]

    def test_one_and_the_same_way(self) -> None:
        """A model that makes 1080p only silently, and sound only in 720p, does not make 1080p with sound."""
        catalog = of(SILENT_1080P)
        assert ["half-silent"] == names(catalog, audio=True)
        assert ["half-silent"] == names(catalog, resolution="1080p")
        assert [] == names(catalog, audio=True, resolution="1080p")

    def test_price_of_that_very_way(self) -> None:
        """`under` holds for the way that the rest asks for, not for the model's cheapest."""
        catalog = of(SILENT_1080P)
        assert ["half-silent"] == names(catalog, under="0.06")
        assert [] == names(catalog, under="0.06", resolution="1080p")

    def test_tasks_of_other_capabilities(self) -> None:
        """What one task can do is nothing that another can."""
        catalog = of(
            offer(
                "by-image",
                [{"per_second": "0.05"}],
                routes={
                    "text-to-video": {"capabilities": {"resolutions": ["720p"]}},
                    "image-to-video": {"capabilities": {"resolutions": ["1080p"]}},
                },
            )
        )
        assert ["by-image"] == names(catalog, task="image-to-video", resolution="1080p")
        assert [] == names(catalog, task="text-to-video", resolution="1080p")

    @pytest.mark.parametrize(
        ("audio", "wanted", "passes"),
        [("off", True, False), ("off", False, True), ("on", True, True), ("on", False, False),
         ("switch", True, True), ("switch", False, True)],
    )  # fmt: skip
    def test_sound(self, audio: str, wanted: bool, passes: bool) -> None:
        """One that always has sound makes no silent clip."""
        catalog = of(offer("a", [{"per_second": "0.05"}], capabilities={"audio": audio}))
        assert passes is bool(names(catalog, audio=wanted))

    def test_under_is_less(self) -> None:
        """Ten cents are not under ten cents."""
        catalog = of(offer("a", [{"per_second": "0.10"}]))
        assert ([], ["a"]) == (names(catalog, under="0.10"), names(catalog, under="0.11"))

    def test_a_price_of_a_clip_by_its_seconds(self) -> None:
        """30 cents for a clip of 6 s, the legal length nearest to 5, are 5 cents a second."""
        assert Decimal("0.05") == rate(of(offer("a", [{"fixed": "0.30"}])), audio=False)

    def test_blocks_count(self) -> None:
        """6 s that are billed as 10 cost what 10 do."""
        assert Decimal("0.1") == rate(of(offer("a", [{"per_second": "0.06", "block_seconds": 5}])))

    def test_length_that_is_sold_in_that_resolution(self) -> None:
        """What is sold in 8 s alone is compared in 8 s."""
        rows = [
            {"when": {"resolution": "720p"}, "per_second": "0.05"},
            {"when": {"resolution": "1080p", "duration": 8}, "fixed": "0.80"},
        ]
        assert Decimal("0.1") == rate(of(offer("a", rows)), resolution="1080p")

    def test_as_long_as_its_source(self) -> None:
        """What takes its length from a clip is compared with one of 5 s."""
        catalog = of(
            offer("a", [{"per_input_second": "0.03"}], routes={"edit": {}}, capabilities={"durations": {}})
        )
        (match,) = catalog.filter(task="edit")
        assert match.way is not None
        assert (Decimal(5), Decimal("0.03")) == (match.way.seconds, match.way.rate)

    def test_credits_are_compared_in_dollars(self) -> None:
        """Rates are USD, whatever the vendor counts."""
        price = {"source": "a", "unit": "credit", "usd_per_unit": "0.01", "row": [{"per_second": 12}]}
        assert Decimal("0.12") == rate(of(offer("a", [], price=price)))

    def test_unpriced_is_under_nothing(self) -> None:
        """What nobody knows the price of passes, but not as cheap."""
        catalog = of(offer("a", [], price={"rule": "unpriced"}))
        assert (["a"], []) == (names(catalog, resolution="1080p"), names(catalog, under="100"))

    def test_stills_have_no_seconds(self) -> None:
        """A still costs nothing a second, so it is under no rate."""
        catalog = of(offer("a", [{"fixed": "0.01"}], routes={"image": {}}, capabilities={"durations": {}}))
        assert (["a"], []) == (names(catalog, task="image"), names(catalog, under="1"))

    @pytest.mark.parametrize("confirmed", [True, False])
    def test_live_on(self, *, confirmed: bool) -> None:
        """Out is what anybody says will have ended by that day, that day included."""
        life = {
            "state": "deprecated",
            "retires": date(2030, 6, 1),
            "confirmed": confirmed,
            "source": "a page",
        }
        catalog = of(offer("a", [{"per_second": "0.05"}], lifecycle=life))
        assert ["a"] == names(catalog, live_on="2030-05-31")
        assert [] == names(catalog, live_on=date(2030, 6, 1))

    def test_family_endpoint_and_ready(self) -> None:
        """Who made it, where it is, and whatever the caller calls ready."""
        found = shipped().filter(family="kling", endpoint="fal", ready=lambda offer: "4k" in offer.model)
        assert {"fal/kling-3.0-4k", "fal/kling-3.0-omni-4k"} == {one.offer.name for one in found}

    def test_other_names_of_a_resolution(self) -> None:
        """A resolution may be called as in a request."""
        assert shipped().filter(resolution="2160p") == shipped().filter(resolution="4k")

    @pytest.mark.parametrize(
        ("wanted", "said"),
        [({"task": "edti"}, "edit"), ({"family": "klin"}, "kling"), ({"endpoint": "fall"}, "fal"), ({"resolution": "1081p"}, "1080p"),
         ({"under": "cheap"}, "under"), ({"under": 0.1}, "under"), ({"live_on": "soon"}, "2026-12-31"), ({"live_on": 5}, "live_on")],
    )  # fmt: skip
    def test_mistakes_are_named(self, wanted: dict[str, Any], said: str) -> None:
        """A name that is none is told with the nearest right one."""
        with pytest.raises(InvalidRequest, match=said):
            shipped().filter(**wanted)

    def test_every_way_of_a_shipped_price_has_a_rate(self) -> None:
        """No shipped table of prices leaves a clip without a rate, and no rate is below zero."""
        ways = [one.way for one in shipped().filter() if one.offer.price.rule == "table"]
        assert not [way for way in ways if way is None or (way.seconds is not None and not way.rate)]
