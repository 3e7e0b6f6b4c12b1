"""Hours of one's own hardware: what an hour costs, how long a clip takes, and what that comes to in a plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.scripted import catalog, offer, paid
from vidorch import hardware
from vidorch.catalog import load
from vidorch.client.aio import AsyncClient
from vidorch.contract import Admission, Endpoint
from vidorch.estimating import Estimate
from vidorch.experience import Experience, Past
from vidorch.offer import Offer
from vidorch.planning import PlannedOffer, estimate_of
from vidorch.price import FREE, Range, usd_of_hours
from vidorch.request import Request
from vidorch.routing import make_plan
from vidorch.testing import assert_cost

H100 = "NVIDIA H100 80GB HBM3"
LATENCY = {"low": 60, "expected": 90, "high": 180, "source": "a test"}


def hours(model: str = "basic", **changes: Any) -> dict[str, Any]:
    """An offer for one's own hardware, of which it takes 60 to 180 s, 90 s as a rule."""
    return offer(model, **({"price": {"rule": "hours"}, "latency": LATENCY} | changes))


def loaded(table: dict[str, Any]) -> Offer:
    made = load(catalog(table), environ={}, user_file="none").offer(f"test/{table['model']}")
    assert made is not None
    return made


def no_cards() -> tuple[str, ...]:
    return ()


def plan_of(
    *tables: dict[str, Any], endpoint: Endpoint | None = None, cards: tuple[str, ...] = (H100,), past: tuple[Past, ...] = (),
    **options: Any,
) -> Any:  # fmt: skip
    there = {"test": endpoint or Endpoint("test", "test")}
    route = options.pop("route", None)
    offers = load(catalog(*tables), environ={}, user_file="none")
    return make_plan(
        Request(prompt="a red ball", **options), [f"test/{table['model']}" for table in tables], catalog=offers,
        endpoints=there, installed={"test"}, has_credentials=lambda _: True, admit=lambda *_: Admission(), route=route,
        today=date(2026, 11, 26), to_run=True, took=Experience(lambda: past).of,
        hour=lambda one: hardware.hour_of(one, there.get(one.endpoint), lambda: cards),
    )  # fmt: skip


def entry_of(*tables: dict[str, Any], **options: Any) -> PlannedOffer:
    entry: PlannedOffer = plan_of(*tables, **options).entries[0]
    return entry


def range_of(low: str, expected: str, high: str) -> Range[Decimal]:
    return Range(Decimal(low), Decimal(expected), Decimal(high))


class TestUsdOfHours:
    @pytest.mark.parametrize(
        ("usd_per_hour", "seconds", "usd"),
        [
            ("3.60", 90, "0.09"),  # a tenth of a cent a second
            ("2", 3600, "2.00"),
            ("1", 1, "0.000278"),  # 0.00027777..., rounded up
            ("0", 100, "0.00"),
            ("3.99", 0, "0.00"),
            ("3.99", 391.5, "0.433913"),  # 3.99 x 391.5 / 3600 = 0.4339125
        ],
    )
    def test_by_hand(self, usd_per_hour: str, seconds: float, usd: str) -> None:
        """USD an hour times seconds over 3600, rounded up to a millionth."""
        assert Decimal(usd) == usd_of_hours(Decimal(usd_per_hour), seconds)

    @given(st.decimals(0, 100, places=2), st.floats(0, 1e5), st.floats(0, 1e5))
    def test_longer_is_never_cheaper(self, usd_per_hour: Decimal, one: float, other: float) -> None:
        """Never negative, and more seconds cost no less."""
        less, more = (usd_of_hours(usd_per_hour, seconds) for seconds in sorted((one, other)))
        assert 0 <= less <= more


class TestCards:
    @pytest.mark.parametrize(
        ("card", "name"),
        [
            (H100, "h100"),
            ("NVIDIA H100 PCIe", "h100-pcie"),
            ("NVIDIA H100 NVL", "h100-nvl"),
            ("NVIDIA H200", "h200"),
            ("NVIDIA A100-SXM4-80GB", "a100-80"),
            ("NVIDIA A100 80GB PCIe", "a100-80"),
            ("NVIDIA A100-SXM4-40GB", "a100-40"),
            ("NVIDIA A100-PCIE-40GB", "a100-40"),
            ("NVIDIA L40S", "l40s"),
            ("NVIDIA L4", "l4"),
            ("NVIDIA GeForce RTX 4090", "rtx-4090"),
            ("NVIDIA GeForce RTX 5090", "rtx-5090"),
            ("NVIDIA TITAN V", "nvidia-titan-v"),
            ("NVIDIA L40", "nvidia-l40"),
        ],
    )
    def test_class(self, card: str, name: str) -> None:
        """By the name that the driver gives it; one that is not known is a class of its own."""
        assert name == hardware.class_of(card)

    def test_every_class_has_a_dated_price(self) -> None:
        """With a source, and none of them taken for sure that was not read at its vendor."""
        for one in hardware.devices():
            assert (one.source.strip() != "", one.as_of <= date(2026, 11, 26)) == (True, True)
            assert one.confirmed is (one.name == "cpu")

    def test_by_the_drivers_files(self, tmp_path: Path) -> None:
        """Linux tells the model of each card in a file, in the order of the buses."""
        for bus, card in (("0000:81:00.0", "NVIDIA L4"), ("0000:01:00.0", H100)):
            (tmp_path / bus).mkdir()
            (tmp_path / bus / "information").write_text(
                f"Model: \t\t {card}\nIRQ:   \t\t 42\nGPU UUID: GPU-1\n"
            )
        assert (H100, "NVIDIA L4") == hardware._by_driver(tmp_path)

    def test_no_driver(self, tmp_path: Path) -> None:
        """Without its folder there are no cards."""
        assert () == hardware._by_driver(tmp_path / "none")

    def test_by_the_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else `nvidia-smi -L` is asked, where it is on the path."""
        command = tmp_path / "nvidia-smi"
        command.write_text(f'#!/bin/sh\ntest "$1" = -L && echo "GPU 0: {H100} (UUID: GPU-1)"\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert (H100,) == hardware._by_command()

    def test_no_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine without either has no card."""
        monkeypatch.setenv("PATH", str(tmp_path))
        assert () == hardware._by_command()


class TestHourOf:
    def test_the_endpoints_word_goes_first(self) -> None:
        """`usd_per_hour` of the endpoint, whatever the card costs elsewhere."""
        where = Endpoint("test", "test", usd_per_hour=Decimal("1.25"))
        found = hardware.hour_of(loaded(hours()), where, lambda: (H100,))
        assert (Decimal("1.25"), "h100", None, True) == (
            found.usd,
            found.device,
            found.as_of,
            found.confirmed,
        )

    def test_what_such_a_card_costs(self) -> None:
        """Else the class of the card that is here, dated and not confirmed."""
        found = hardware.hour_of(loaded(hours()), None, lambda: (H100,))
        assert (Decimal("3.99"), "h100", date(2026, 11, 9), False) == (
            *(found.usd, found.device, found.as_of),
            found.confirmed,
        )

    @pytest.mark.parametrize(
        ("device", "name"),
        [("auto", "h100"), ("cuda:1", "l40s"), ("cuda", "h100"), ("cuda:7", "h100"), ("cpu", "cpu")],
    )
    def test_the_endpoints_device(self, device: str, name: str) -> None:
        """The card that the endpoint names."""
        where = Endpoint("test", "test", device=device)
        assert name == hardware.hour_of(loaded(hours()), where, lambda: (H100, "NVIDIA L40S")).device

    def test_without_a_card(self) -> None:
        """A machine without a card costs nothing that is counted."""
        assert (Decimal(0), "cpu") == (
            (found := hardware.hour_of(loaded(hours()), None, no_cards)).usd,
            found.device,
        )

    @pytest.mark.parametrize("where", [{"device": "cuda:0"}, {"usd_per_hour": Decimal(2)}])
    def test_a_card_that_is_not_seen(self, where: dict[str, Any]) -> None:
        """Whoever names a card, or what an hour costs, means no processor."""
        assert "" == hardware.hour_of(loaded(hours()), Endpoint("test", "test", **where), no_cards).device

    def test_an_unknown_card(self) -> None:
        """What a card of no known class costs is not known."""
        assert hardware.hour_of(loaded(hours()), None, lambda: ("NVIDIA TITAN V",)).usd is None

    def test_a_server_elsewhere(self) -> None:
        """The card in this machine says nothing of a server: only its endpoint can."""
        assert hardware.hour_of(loaded(hours(outlives_caller=True)), None, lambda: (H100,)).usd is None


class TestPlan:
    def test_imputed(self) -> None:
        """3.99 an hour for 60, 90 and 180 s: shown, and not spent."""
        entry = entry_of(hours())
        assert (FREE, range_of("0.0665", "0.09975", "0.1995"), False) == (
            entry.cost,
            entry.imputed,
            entry.spending,
        )

    def test_billed(self) -> None:
        """At an endpoint that is billed it is the cost, and nothing is imputed."""
        entry = entry_of(
            hours(), endpoint=Endpoint("test", "test", usd_per_hour=Decimal("3.60"), billed=True)
        )
        assert (range_of("0.06", "0.09", "0.18"), None, True) == (entry.cost, entry.imputed, entry.spending)

    def test_seconds_by_the_length(self) -> None:
        """A catalog's range may grow with the clip."""
        entry = entry_of(hours(latency={**LATENCY, "per_output_second": 30}))
        assert (90.0, 120.0, 210.0) == (entry.seconds.low, entry.seconds.expected, entry.seconds.high)  # type: ignore[union-attr]
        assert Decimal("0.133") == entry.imputed.expected  # type: ignore[union-attr]  # 120 s

    def test_for_all_candidates(self) -> None:
        """The line of an estimate is for all of them."""
        line = entry_of(hours(), candidates=3).line()
        assert (Decimal("0.29925"), Decimal(0)) == (line.imputed.expected, line.cost.high)  # type: ignore[union-attr]

    def test_not_known(self) -> None:
        """Without a range and without clips made here nobody knows what it takes: it is free, and says so."""
        entry = entry_of(hours(latency={}))
        assert (FREE, None, False) == (entry.cost, entry.imputed, entry.unpriced)
        assert "imputed cost not known: how long it takes on this hardware is not known yet" in entry.notes

    def test_not_known_and_billed(self) -> None:
        """Where it would be spent, it is left out for want of a price."""
        where = Endpoint("test", "test", usd_per_hour=Decimal(2), billed=True)
        left = plan_of(hours(latency={}), endpoint=where).left_out[0]
        assert (frozenset({"price"}), "how long it takes on this hardware is not known yet") == (
            left.kinds,
            left.reason,
        )

    def test_an_unknown_card_that_is_billed(self) -> None:
        """What an hour costs has to be said where it is spent."""
        where = Endpoint("test", "test", billed=True)
        left = plan_of(hours(), endpoint=where, cards=("NVIDIA TITAN V",)).left_out[0]
        assert (
            "what an hour of nvidia-titan-v costs is not known; usd_per_hour of its endpoint says it"
            == left.reason
        )

    def test_a_range_of_another_machine(self) -> None:
        """A range that holds for one class of machines says nothing of another."""
        only = hours(latency={**LATENCY, "device": "h200"})
        assert entry_of(only).seconds is None
        assert entry_of(only, cards=("NVIDIA H200",)).seconds is not None

    def test_the_built_in_stays_free(self) -> None:
        """A free offer costs nothing at an endpoint that is billed by the hour, either."""
        entry = entry_of(offer(), endpoint=Endpoint("test", "test", usd_per_hour=Decimal(9), billed=True))
        assert (FREE, None, False) == (entry.cost, entry.imputed, entry.spending)

    def test_cheapest_counts_hours(self) -> None:
        """What hours are imputed at is compared with what others cost: here 0.09975 with 1.00, and with 0.05."""
        row = {"per_second": "0.05", "source": "a test", "as_of": date(2026, 11, 22)}
        cheap = paid("cheap", price={"rule": "table", "source": "a test", "row": [row]})
        found = plan_of(paid("dear"), hours(), cheap, route="cheapest")
        assert ["test/cheap", "test/basic", "test/dear"] == [entry.offer.name for entry in found.entries]

    def test_unit_price_and_its_source(self) -> None:
        """The line says what an hour costs, where that comes from and that nobody confirmed it."""
        line = entry_of(hours()).line()
        assert ("$3.99 per hour of h100", date(2026, 11, 9), False) == (
            *(line.unit_price, line.price_as_of),
            line.confirmed,
        )
        assert line.price_source.startswith("https://www.runpod.io/pricing")
        assert any(note.startswith("price of an hour not confirmed") for note in line.notes)

    def test_json_there_and_back(self) -> None:
        """What the ledger keeps of an estimate has what is imputed."""
        made = estimate_of(plan_of(hours()))
        told = json.loads(json.dumps(made.to_dict()))
        assert {"low": "0.0665", "expected": "0.09975", "high": "0.1995"} == told["imputed"]
        assert made == Estimate.from_dict(told)

    def test_in_words(self) -> None:
        """Free, with what is imputed beside it."""
        assert "free ($0.09975 (up to $0.1995) imputed), about 90 s" in str(estimate_of(plan_of(hours())))

    def test_a_film_of_them(self) -> None:
        """Imputed for all its clips."""
        assert Decimal("0.399") == estimate_of(plan_of(hours())).film(4).imputed.expected  # type: ignore[union-attr]


class Made(NamedTuple):
    """A clip that was made here on an H100, by default in 120 s, of which 100 were work."""

    settings: str
    seconds: float = 120.0
    timings: str = json.dumps({"run": 100.0})
    endpoint: str = "test"
    model: str = "basic"
    task: str = "text-to-video"


def made(count: int = 3, **settings: Any) -> tuple[Made, ...]:
    bought = entry_of(hours()).request.describe() | {"device": "h100"} | settings
    return (Made(json.dumps(bought)),) * count


class TestHistory:
    def test_the_work_alone_is_counted(self) -> None:
        """Of clips made here the time is what they took in all, the cost what the machine worked: 100 s at 3.99 an hour."""
        entry = entry_of(hours(), past=made())
        assert (120.0, 3) == (entry.seconds.expected, entry.seconds_seen)  # type: ignore[union-attr]
        assert Decimal("0.110834") == entry.imputed.expected  # type: ignore[union-attr]  # 0.11083333...

    def test_before_the_catalog(self) -> None:
        """Without them the catalog's range holds, and two are too few."""
        assert 90.0 == entry_of(hours(), past=made(2)).seconds.expected  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        "other", [{"device": "l40s"}, {"device": ""}, {"steps": 8}, {"extra": {"test": {"preset": "fast"}}}]
    )  # fmt: skip
    def test_only_of_the_same_kind(self, other: dict[str, Any]) -> None:
        """Another machine, number of steps or preset says nothing."""
        assert 0 == entry_of(hours(), past=made(9, **other)).seconds_seen

    def test_only_of_the_endpoints_own_preset(self) -> None:
        """A preset that an endpoint has for all of its calls is of the machine's kind."""
        drafts = Endpoint("test", "test", options={"preset": "draft"})
        assert 0 == entry_of(hours(), endpoint=drafts, past=made(9)).seconds_seen
        assert 9 == entry_of(hours(), endpoint=drafts, past=made(9, device="h100/draft")).seconds_seen
        assert 0 == entry_of(hours(), past=made(9, device="h100/draft")).seconds_seen

    @pytest.mark.parametrize(
        ("bought", "asked"),
        [
            ({"steps": 4}, {"steps": 4}),
            ({"extra": {"test": {"preset": "fast"}}}, {"extra": {"test": {"preset": "fast"}}}),
        ],
    )
    def test_of_the_same_kind(self, bought: dict[str, Any], asked: dict[str, Any]) -> None:
        """The same steps or preset do."""
        table = hours(capabilities={**offer()["capabilities"], "steps": [1, 50]})
        assert 3 == entry_of(table, past=made(3, **bought), **asked).seconds_seen


def test_assert_cost_counts_what_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only imputed is nothing that a test could hold to a price; billed, it is."""
    place = tmp_path / "machines.toml"
    monkeypatch.setenv("VIDORCH_CONFIG", str(place))
    asked: dict[str, Any] = {"model": "local/wan-2.2-ti2v-5b", "duration": 5, "resolution": "720p"}
    place.write_text('[endpoints.local]\ndevice = "cuda:0"\nusd_per_hour = "3.60"\n', "utf-8")
    assert FREE == assert_cost("a boat", "0", **asked)
    place.write_text('[endpoints.local]\ndevice = "cuda:0"\nusd_per_hour = "3.60"\nbilled = true\n', "utf-8")
    assert range_of("0.091", "0.17", "0.54") == assert_cost("a boat", "0.54", **asked)


def test_one_clip_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three clips on one card take three times as long, whatever its endpoint lets begin at once."""
    place = tmp_path / "machines.toml"
    place.write_text(
        '[endpoints.local]\ndevice = "cuda:0"\nusd_per_hour = "3.60"\nconcurrency = 4\n', "utf-8"
    )
    monkeypatch.setenv("VIDORCH_CONFIG", str(place))
    found = AsyncClient().estimate_now(
        "a boat", model="local/wan-2.2-ti2v-5b", duration=5, resolution="720p", candidates=3
    )
    assert (273.0, 510.0, 1620.0) == (
        *(found.seconds.low, found.seconds.expected),  # type: ignore[union-attr]
        found.seconds.high,  # type: ignore[union-attr]
    )


def test_only_looked_for_where_it_matters() -> None:
    """A plan without such an offer looks at no hardware."""
    looked: list[str] = []

    def look() -> tuple[str, ...]:
        looked.append("here")
        return ()

    found: Callable[..., Any] = hardware.hour_of
    make_plan(
        Request(prompt="x"), ["test/basic"], catalog=load(catalog(offer()), environ={}, user_file="none"), endpoints={},
        installed={"test"}, has_credentials=lambda _: True, admit=lambda *_: Admission(), today=date(2026, 11, 26),
        to_run=True, hour=lambda one: found(one, None, look),
    )  # fmt: skip
    assert [] == looked
