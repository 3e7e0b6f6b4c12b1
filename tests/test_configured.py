"""What a client takes from the configuration, and what is stronger than that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

import vidorch
import vidorch.testing
from tests.engine.scripted import Scripted, VirtualClock, catalog, paid
from vidorch.catalog.layers import load, shipped
from vidorch.client.configured import configured_endpoints
from vidorch.config import load_config
from vidorch.config.keys import keep_key
from vidorch.contract import Accepted, Context, Endpoint, Polled, Prepared
from vidorch.errors import InvalidRequest, MissingCredentials, OverBudget


class Keyed(Scripted):
    """Remembers which endpoint was called with which key."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str, str | None]] = []

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        self.seen.append(("submit", context.endpoint.name, context.secret))
        return await super().submit(context, prepared)

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        self.seen.append(("poll", context.endpoint.name, context.secret))
        return await super().poll(context, accepted)


@pytest.fixture
def provider() -> Keyed:
    return Keyed()


@pytest.fixture
def client_of(home: Path, provider: Keyed) -> Callable[..., vidorch.Client]:
    def make(config: str = "", **settings: object) -> vidorch.Client:
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(config, "utf-8")
        offers = catalog(*(paid(model, variables=["TEST_KEY"]) for model in ("basic", "other")))
        return vidorch.Client(
            **{"catalog": offers, "providers": {"test": provider}, "clock": VirtualClock(), **settings}
        )  # type: ignore[arg-type]

    return make


Make = Callable[..., vidorch.Client]


class TestModels:
    def test_the_default_model(self, client_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """It runs where no model is named, is paid for, and gives way to an argument."""
        monkeypatch.setenv("TEST_KEY", "k")
        with client_of('model = ["test/other"]') as client:
            assert "other" == client.generate("x").clip.model
            assert "basic" == client.generate("x", model="basic").clip.model

    def test_an_alias(self, client_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wherever a model is named; the result says both names."""
        monkeypatch.setenv("TEST_KEY", "k")
        with client_of('[aliases]\nsora-2 = "test/other"\n') as client:
            result = client.generate("x", model="sora-2")
            assert ("other", "test/other") == (
                result.clip.model,
                client.estimate("x", model="sora-2").lines[0].offer,
            )
            assert "sora-2 stands for test/other here" in result.notes
            assert "other" == client.generate("x", model=vidorch.Choice("sora-2")).clip.model

    def test_an_alias_of_several(self, client_of: Make) -> None:
        """In its order; an alias in an alias is followed, and its own name means the model itself."""
        with client_of('[aliases]\nbasic = ["two", "basic"]\ntwo = "test/other"\n') as client:
            plan = client.plan("x", model="basic")
            assert ["test/other", "test/basic"] == [entry.offer.name for entry in plan.entries]
            assert ["basic", ""] == [entry.alias for entry in plan.entries]

    def test_an_alias_of_nothing(self, client_of: Make) -> None:
        """Said with the name that is not there."""
        with (
            client_of('[aliases]\nbest = "test/othre"\n') as client,
            pytest.raises(InvalidRequest, match="'test/other'"),
        ):
            client.estimate("x", model="best")

    def test_of_the_same_key_under_another_default(
        self, client_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was asked is compared, not what the configuration made of it: the same run is joined."""
        monkeypatch.setenv("TEST_KEY", "k")
        with client_of('model = "test/other"') as client:
            first = client.generate("x", key="one")
        with client_of('model = "test/basic"') as client:
            again = client.generate("x", key="one")
        assert (first.run_id, True) == (again.run_id, again.joined)


class TestDefaults:
    def test_max_cost(self, client_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """It caps a call that says none, and no other."""
        monkeypatch.setenv("TEST_KEY", "k")
        with client_of('max_cost = "0.50"') as client:
            with pytest.raises(OverBudget):
                client.generate("x", model="basic")
            assert Decimal(1) == client.generate("x", model="basic", max_cost=2).cost

    def test_output(self, client_of: Make, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder, relative to the file that names it."""
        monkeypatch.setenv("TEST_KEY", "k")
        with client_of('output = "ads"') as client:
            path = client.generate("x", model="basic").clip.path
        assert path is not None
        assert home / "ads" == path.parent

    def test_ledger(self, client_of: Make, home: Path, tmp_path: Path) -> None:
        """Where the runs are written down, unless the client says so itself."""
        with client_of('ledger = "books.db"') as client:
            client.jobs()
        assert (True, False) == ((home / "books.db").is_file(), (home / "ledger.db").exists())
        with client_of('ledger = "other.db"', ledger=tmp_path / "mine.db") as client:
            client.jobs()
        assert (True, False) == ((tmp_path / "mine.db").is_file(), (home / "other.db").exists())

    def test_a_broken_file(self, client_of: Make) -> None:
        """Nothing goes on past it."""
        with pytest.raises(InvalidRequest, match=r"config.toml, line 1: modle"):
            client_of('modle = "x"')


class TestKeys:
    def test_of_a_named_endpoint(
        self, client_of: Make, provider: Keyed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two accounts at one vendor, each with its own key; also for whoever takes a job up later."""
        monkeypatch.setenv("TEST_KEY", "first")
        monkeypatch.setenv("SECOND", "second")
        config = '[endpoints.second]\nprovider = "test"\nkey = "SECOND"\n'
        with client_of(config) as client:
            client.submit("x", model="second/basic", detach=True)
        with client_of(config) as client:
            (resumed,) = client.resume()
            assert "second" == resumed.wait().clip.endpoint
        assert {("second", "second")} == {where[1:] for where in provider.seen}

    def test_without_its_key(self, client_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key of the provider's own name is not taken instead."""
        monkeypatch.setenv("TEST_KEY", "first")
        with client_of('[endpoints.second]\nprovider = "test"\nkey = "SECOND"\n') as client:
            with pytest.raises(MissingCredentials, match="needs SECOND"):
                client.generate("x", model="second/basic")
            assert "test" == client.generate("x", model="basic").clip.endpoint

    def test_of_an_endpoint_of_ones_own_in_code(
        self, client_of: Make, provider: Keyed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`Endpoint(variables=...)` says the same as `key` in a file; empty means that it needs none."""
        monkeypatch.setenv("MINE", "mine")
        mine = Endpoint("mine", "test", variables=("MINE",))
        open_to_all = Endpoint("open", "test", variables=())
        with client_of(endpoints={"mine": mine, "open": open_to_all}) as client:
            client.generate("x", model="mine/basic")
            client.generate("x", model="open/basic")
        assert [("mine", "mine"), ("open", None)] == [
            where[1:] for where in provider.seen if where[0] == "submit"
        ]

    def test_of_a_scope(self, client_of: Make, provider: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each tenant's own; a scope that has none gets nobody else's."""
        monkeypatch.setenv("TEST_KEY", "ours")
        monkeypatch.setenv("A_TEST", "theirs")
        with client_of('[scopes.a]\ntest = "A_TEST"\n') as client:
            client.generate("x", model="basic", scope="a")
            with pytest.raises(MissingCredentials):
                client.generate("x", model="basic", scope="b")
            client.generate("x", model="basic")
        assert ["theirs", "ours"] == [where[2] for where in provider.seen if where[0] == "submit"]

    def test_that_was_kept(self, client_of: Make, provider: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
        """`vidorch setup` keeps it; a variable of the environment is stronger."""
        keep_key("TEST_KEY", "kept")
        with client_of() as client:
            client.generate("x", model="basic")
            monkeypatch.setenv("TEST_KEY", "set")
            client.generate("x", model="basic")
        assert ["kept", "set"] == [where[2] for where in provider.seen if where[0] == "submit"]

    def test_of_a_provider_that_is_none(self, client_of: Make) -> None:
        """An endpoint has to be of a provider that some offer has; said with file and nearest name."""
        said = r"config.toml, line 2.*Did you mean 'test'"
        with (
            client_of('[endpoints.gpu]\nprovider = "tets"\n') as client,
            pytest.raises(InvalidRequest, match=said),
        ):
            client.generate("x", model="basic")


class TestEndpoints:
    def laid(self, place: Path, text: str, below: Endpoint) -> Endpoint:
        """An endpoint with what a file says of it."""
        place.write_text(f"[endpoints.test]\n{text}", "utf-8")
        config = load_config(environ={"VIDORCH_CONFIG": str(place)}, start=place.parent)
        return configured_endpoints(config, load(catalog(paid())), {"test": below})["test"]

    def test_what_is_said_holds(self, tmp_path: Path) -> None:
        """Also where it is the default of a field, and what lies below says otherwise."""
        below = Endpoint("test", "test", account="a", billed=True, options={"region": "x"}, concurrency=3)
        found = self.laid(tmp_path / "c.toml", "billed = false\noptions = {}\nconcurrency = 1\n", below)
        assert (False, {}, 1) == (found.billed, found.options, found.concurrency)

    def test_a_tier_that_its_vendor_does_not_have(self, tmp_path: Path) -> None:
        """Said with the place that names it, before anything is planned."""
        place = tmp_path / "c.toml"
        with pytest.raises(InvalidRequest, match=r"c\.toml.*tier='2'.*No tiers of test are known"):
            self.laid(place, 'tier = "2"\n', Endpoint("test", "test"))

    def test_a_tier(self, tmp_path: Path) -> None:
        """An account's tier at its vendor, whose limits hold then."""
        place = tmp_path / "c.toml"
        place.write_text('[endpoints.runway]\ntier = "3"\n', "utf-8")
        config = load_config(environ={"VIDORCH_CONFIG": str(place)}, start=tmp_path)
        found = configured_endpoints(config, shipped(), {"runway": Endpoint("runway", "runway")})["runway"]
        assert "3" == found.tier

    def test_what_is_not_said_stays(self, tmp_path: Path) -> None:
        """Each field by itself."""
        below = Endpoint("test", "test", account="a", billed=True, options={"region": "x"}, concurrency=3)
        assert replace(below, per_minute=9) == self.laid(tmp_path / "c.toml", "per_minute = 9\n", below)


class TestUnderAMock:
    def test_goes_by_the_projects_file_alone(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its aliases hold, so that a test runs what the program runs; nothing in it leads out of the mock."""
        home.mkdir()
        (home / "config.toml").write_text('model = "kling-3.0-pro"\n', "utf-8")
        (tmp_path / "vidorch.toml").write_text(
            'ledger = "real.db"\noutput = "real"\n[aliases]\nmine = "test/basic"\n', "utf-8"
        )
        monkeypatch.chdir(tmp_path)
        with vidorch.testing.mock():
            assert "basic" == vidorch.generate("a ball", model="mine").clip.model
            assert "mini" == vidorch.generate("a red ball rolling left").clip.model
        assert (False, False) == ((tmp_path / "real.db").exists(), (tmp_path / "real").exists())
