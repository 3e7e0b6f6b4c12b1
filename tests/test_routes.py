"""`route=`: which model is taken where the caller leaves that to vidorch."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import vidorch
from tests.engine.scripted import Scripted, catalog, paid
from vidorch.contract import Accepted, Done, Failed, Output, Progress, Rejected
from vidorch.errors import (
    InvalidRequest,
    MissingCredentials,
    OverBudget,
    ProviderFailed,
    Throttled,
    Unsupported,
)
from vidorch.testing import VirtualClock


def price(per_second: str) -> dict[str, Any]:
    return {"source": "here", "row": [{"per_second": per_second}]}


def latency(seconds: int) -> dict[str, Any]:
    return {"low": seconds, "expected": seconds, "high": seconds, "source": "here", "confirmed": True}


CHEAP = paid("cheap", price=price("0.10"), latency=latency(90))
QUICK = paid("quick", price=price("0.40"), latency=latency(20))
UNTIMED = paid("untimed", price=price("0.20"))
Make = Callable[..., vidorch.Client]


@pytest.fixture
def provider() -> Scripted:
    return Scripted()


@pytest.fixture
def client_of(home: Any, provider: Scripted) -> Make:
    def make(*offers: dict[str, Any], **settings: Any) -> vidorch.Client:
        layer = catalog(*(offers or (CHEAP, QUICK, UNTIMED)))
        return vidorch.Client(
            **{"catalog": layer, "providers": {"test": provider}, "clock": VirtualClock(), **settings}
        )

    return make


def order(plan: vidorch.Plan) -> list[str]:
    return [entry.offer.name for entry in plan.entries if entry.offer.endpoint == "test"]


class TestOrder:
    def test_cheapest(self, client_of: Make) -> None:
        """By expected cost, over every model that can do it."""
        with client_of() as client:
            assert ["test/cheap", "test/untimed", "test/quick"] == order(client.plan("x", route="cheapest"))

    def test_fastest(self, client_of: Make) -> None:
        """By expected seconds; what nobody has timed comes last."""
        with client_of() as client:
            assert ["test/quick", "test/cheap", "test/untimed"] == order(client.plan("x", route="fastest"))

    def test_over_the_models_that_are_named(self, client_of: Make) -> None:
        """A list is no order of preference then, but what there is to choose from."""
        with client_of() as client:
            plan = client.plan("x", model=["quick", "cheap"], route="cheapest")
            assert ["test/cheap", "test/quick"] == [entry.offer.name for entry in plan.entries]

    def test_is_not_the_built_in_model_by_itself(self, client_of: Make) -> None:
        """It would be the cheapest and the fastest of all, and is not what somebody wants who chooses in a market."""
        with client_of() as client:
            found = client.plan("a red ball rolling left", route="cheapest")
            assert "local/mini" not in {entry.offer.name for entry in found.entries}
            named = client.plan("a red ball rolling left", model=["local/mini", "quick"], route="cheapest")
            assert "local/mini" == named.entries[0].offer.name

    def test_every_other_has_its_reason(self, client_of: Make) -> None:
        """What cannot serve the request is left out of the plan, with why."""
        with client_of() as client:
            plan = client.plan("x", duration=1, aspect_ratio="1:1", resolution="256p", route="cheapest")
            reasons = {one.offer_name: one.reason for one in plan.left_out}
            assert "duration" in reasons["runway/gen4.5"]
            assert not any(name.endswith("/any") for name in reasons)

    def test_of_the_configuration(self, client_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """`route` there holds for calls that name no model."""
        monkeypatch.setenv("VIDORCH_ROUTE", "fastest")
        with client_of() as client:
            assert "test/quick" == order(client.plan("x"))[0]
            assert ["test/cheap", "test/quick"] == order(client.plan("x", model=["cheap", "quick"]))

    def test_of_another_name(self, client_of: Make) -> None:
        """Refused before anything is looked at."""
        with client_of() as client, pytest.raises(InvalidRequest, match="'cheapest' or 'fastest'"):
            client.plan("x", route="best")


class TestByExperience:
    def test_goes_before_the_catalog(self, client_of: Make, provider: Scripted) -> None:
        """Three clips that took 200 s each outweigh a page that says 20 s; the estimate says of how many it knows."""
        provider.polls = [Progress("running")] * 60 + [Done((Output(0, "x"),))]
        clock = VirtualClock()
        with client_of(clock=clock) as client:
            for _ in range(3):
                client.generate("x", model="quick")
        with client_of(clock=clock) as client:
            assert "test/cheap" == order(client.plan("x", route="fastest"))[0]
            (line,) = client.estimate("x", model="quick").lines
            assert line.seconds is not None
            assert (3, True) == (line.seconds_seen, line.seconds.expected > 90)


class TestMaking:
    def test_takes_the_first(self, client_of: Make) -> None:
        """And pays for nothing else."""
        with client_of() as client:
            result = client.generate("x", route="cheapest", max_cost=1)
            assert ("cheap", 1) == (result.clip.model, len(client.jobs()))

    def test_goes_on_where_nothing_was_sent(self, client_of: Make, provider: Scripted) -> None:
        """A rejected submit is free: the next one is tried."""

        def reject(number: int) -> Accepted | None:
            if number == 0:
                raise Rejected(Throttled("full", charged=False, retryable=False))
            return None

        provider.on_submit = reject
        with client_of() as client:
            assert "untimed" == client.generate("x", route="cheapest", max_cost=1).clip.model

    def test_pays_for_no_other_after_a_failure(self, client_of: Make, provider: Scripted) -> None:
        """Nobody gave a list to fall back on."""
        provider.polls = [Failed(ProviderFailed("broken", charged=True))]
        with client_of() as client:
            with pytest.raises(ProviderFailed):
                client.generate("x", route="cheapest", max_cost=1)
            assert 1 == len(client.jobs())

    def test_over_the_cap(self, client_of: Make) -> None:
        """What is told is the one that needs least, not the last one that was tried."""
        with client_of() as client, pytest.raises(OverBudget, match="test/cheap may cost") as caught:
            client.generate("x", route="cheapest", max_cost="0.05")
        assert Decimal("0.10") == caught.value.needed

    def test_without_any_key(self, client_of: Make) -> None:
        """The first one that would do with its key is named; a market's reasons do not fill the screen."""
        locked = [paid(name, variables=[f"KEY_{name.upper()}"]) for name in ("a", "b")]
        with client_of(*locked) as client, pytest.raises(MissingCredentials) as caught:
            client.generate("x", route="cheapest")
        assert len(str(caught.value)) < 500

    def test_of_what_nobody_makes(self, client_of: Make) -> None:
        """Some reasons, and how to see the others."""
        with (
            client_of() as client,
            pytest.raises(Unsupported, match="others, which `vidorch estimate --compare` tells") as caught,
        ):
            client.generate("x", route="cheapest", duration=3000)
        assert len(str(caught.value)) < 3000

    def test_joins_whatever_the_route(self, client_of: Make) -> None:
        """How a model was chosen is not what was asked."""
        with client_of() as client:
            first = client.generate("x", route="cheapest", max_cost=1, key="k")
            assert first.run_id == client.generate("x", route="fastest", max_cost=1, key="k").run_id
