"""What an account may send: by its endpoint, its tier, or its vendor's default."""

from __future__ import annotations

from datetime import date

import pytest

from vidorch.catalog import shipped
from vidorch.contract import Endpoint
from vidorch.engine.lines import account_of
from vidorch.errors import InvalidRequest
from vidorch.offer import Offer
from vidorch.tiers import Allowed, allowed, check_tier, limits_at

EACH = frozenset({"concurrency", "per_minute", "per_day"})


def offer_of(name: str) -> Offer:
    offer = shipped().offer(name)
    assert offer is not None
    return offer


class TestAllowed:
    @pytest.mark.parametrize(
        ("tier", "concurrency", "per_day"),
        [("1", 1, 50), ("2", 3, 500), ("3", 5, 1000), ("4", 10, 5000), ("5", 20, 25_000)],
    )
    def test_runways_tiers(self, tier: str, concurrency: int, per_day: int) -> None:
        """As Runway's page has them, for each model."""
        found = allowed(Endpoint("runway", "runway", tier=tier), offer_of("runway/gen4.5"))
        assert Allowed(concurrency, None, per_day, EACH) == found

    @pytest.mark.parametrize(
        ("name", "limits"),
        [
            ("vertex/veo-3.1", Allowed(per_minute=50, each_model=EACH)),  # 50 requests a minute and project
            ("vertex/veo-3.1-lite", Allowed()),  # not known
            ("replicate/kling-3.0-pro", Allowed(per_minute=600)),
            ("fal/kling-3.0-pro", Allowed()),  # what is over 2 waits at fal
            ("runway/gen4.5", Allowed()),  # likewise
            ("kling/kling-3.0-pro", Allowed()),  # it depends on what was bought
            ("local/mini", Allowed()),
        ],
    )
    def test_without_a_tier(self, name: str, limits: Allowed) -> None:
        """The vendor's default counts where it refuses what is over it."""
        offer = offer_of(name)
        assert limits == allowed(Endpoint(offer.endpoint, offer.provider), offer)

    def test_the_endpoints_own_go_first(self) -> None:
        """One by one, and for the whole account."""
        where = Endpoint("runway", "runway", concurrency=7, tier="2")
        assert Allowed(7, None, 500, EACH - {"concurrency"}) == allowed(where, offer_of("runway/gen4.5"))

    def test_an_endpoint_of_another_name(self) -> None:
        """The tier is of the vendor behind it."""
        found = allowed(Endpoint("kling-eu", "kling", tier="standard"), offer_of("kling/kling-3.0-pro"))
        assert Allowed(concurrency=20) == found

    def test_a_gateway(self) -> None:
        """A server of one's own that speaks a vendor's wire has none of its limits, unless a tier is named."""
        where = Endpoint("replicate", "replicate", base_url="http://gateway:8000")
        assert Allowed() == allowed(where, offer_of("replicate/kling-3.0-pro"))


class TestCheckTier:
    def test_a_slip(self) -> None:
        """The nearest right one is named."""
        with pytest.raises(InvalidRequest, match=r"Did you mean 'standard'\? Known are trial, standard\."):
            check_tier(Endpoint("kling", "kling", tier="standart"))

    def test_none_there(self) -> None:
        """A vendor without tiers has none."""
        with pytest.raises(InvalidRequest, match="No tiers of local are known"):
            check_tier(Endpoint("local", "local", tier="1"))

    def test_none_named(self) -> None:
        """No tier is right anywhere."""
        check_tier(Endpoint("local", "local"))


class TestLimitsAt:
    @pytest.mark.parametrize("provider", ["runway", "vertex", "fal", "kling", "replicate", "gemini"])
    def test_dated_and_sourced(self, provider: str) -> None:
        """Each has the page that it was read on, and the day."""
        limits = limits_at(provider, "veo-3.1")
        assert limits is not None
        assert limits.as_of is not None
        assert (True, True) == (limits.source.strip() != "", limits.as_of <= date(2026, 11, 26))

    def test_at_most_one_default(self) -> None:
        """A vendor has one kind of account that nobody chose."""
        for provider in ("runway", "vertex", "fal", "kling", "replicate", "gemini"):
            limits = limits_at(provider, "veo-3.1")
            assert limits is not None
            assert sum(tier.default for tier in limits.tiers) <= 1

    def test_in_words(self) -> None:
        """A tier as people read it."""
        limits = limits_at("runway", "gen4.5")
        assert limits is not None
        assert ["1 job at once, 50 submits a day", "3 jobs at once, 500 submits a day"] == [
            tier.in_words() for tier in limits.tiers[:2]
        ]


def test_counted_for_its_model() -> None:
    """An account's jobs of another model leave a tier's room for each model alone."""
    offer = offer_of("runway/gen4.5")
    account = account_of(Endpoint("runway", "runway", tier="1"), "default", offer)
    assert ("gen4.5", 1, 50, frozenset({"at_once", "per_minute", "per_day"})) == (
        *(account.model, account.at_once, account.per_day),
        account.each_model,
    )
