"""The mock as a world of its own: what clients in it stand on, what it remembers, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import vidorch
from tests.engine.scripted import Scripted, VirtualClock, catalog
from vidorch import _default, live, offloop
from vidorch.testing import Mock, mock
from vidorch.testing.clock import START


class TestAWorldOfItsOwn:
    def test_home_ledger_and_clips(self, m: Mock, home: Path) -> None:
        """Everything lies in the mock's own folder, and nothing in the user's."""
        clip = vidorch.generate("a ball", model="test/basic", seed=1).clip
        assert clip.path is not None
        assert clip.path.is_relative_to(m.home)
        assert (m.home / "ledger.db").is_file()
        assert not home.exists()

    def test_frozen_day_and_prices(self, m: Mock) -> None:
        """The day is that of the shipped prices, whatever the calendar says, and the invented prices are round."""
        assert START == m.now
        assert Decimal("1.00") == vidorch.estimate("a ball", model="test/basic", duration=10).cost.high  # type: ignore[union-attr]

    def test_no_layer_of_the_user(self, m: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A broken or strange catalog of this machine does not reach in."""
        broken = tmp_path / "catalog.toml"
        broken.write_text("nonsense = 1")
        monkeypatch.setenv("VIDORCH_CATALOG", str(broken))
        assert vidorch.estimate("a ball", model="test/basic").lines

    def test_a_layer_for_the_test(self) -> None:
        """`mock(catalog=...)` lays offers on top for every client, and rules may name them."""
        own = {"offer": [{"like": "test/basic", "model": "own", "as_of": _day(), "price": _price("0.2")}]}
        with mock(catalog=own) as m:
            m.on(model="test/own").succeed(latency=3)
            assert Decimal("1.0") == vidorch.generate("a ball", model="test/own", seed=1).cost

    def test_a_layer_of_a_client(self, m: Mock) -> None:
        """Vendors that only its own offers name are scripted as well."""
        own = {
            "like": "test/basic",
            "endpoint": "acme",
            "provider": "acme",
            "as_of": _day(),
            "price": _price("0.3"),
        }
        with vidorch.Client(catalog={"offer": [own]}) as client:
            assert Decimal("1.5") == client.generate("a ball", model="acme/basic", seed=1).cost
        m.on(model="acme/basic")

    @pytest.mark.parametrize("model", ["veo-3.1-fast", "kling-3.0-pro", "gen4.5"])
    def test_shipped_models_are_scripted(self, m: Mock, model: str) -> None:
        """Their real capabilities and prices, and nobody asked."""
        expected = vidorch.estimate("a ball", model=model, duration=8).lines[0].cost.expected
        result = vidorch.generate("a ball", model=model, duration=8, seed=1)
        assert expected == result.cost
        assert model == m.requests[0].model

    def test_the_built_in_model_really_works(self, m: Mock) -> None:
        """It reaches nobody, so it is not scripted; it takes the time it takes, and hardly any of the mock's."""
        start = m.now
        result = vidorch.generate("a red ball rolling left", seed=1)
        assert (256, 256) == (result.clip.width, result.clip.height)
        assert m.now - start < 60
        assert [] == m.requests

    def test_every_result_says_so(self, m: Mock) -> None:
        """A clip of a mock can be told from a real one."""
        result = vidorch.generate("a ball", model="test/basic", seed=1)
        assert any(note.startswith("mock: ") for note in result.notes)

    def test_clients_that_bring_their_own(self, m: Mock, tmp_path: Path) -> None:
        """What a client was given, it keeps."""
        clock = VirtualClock()
        given: dict[str, Any] = {
            "home": tmp_path / "own",
            "catalog": catalog(),
            "providers": {"test": Scripted()},
        }
        with vidorch.Client(clock=clock, **given) as client:
            clip = client.generate("x", model="test/basic").clip
        assert clip.path is not None
        assert clip.path.is_relative_to(tmp_path / "own")
        assert [] == m.requests

    def test_real_keys_are_out_of_reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Variables that offers name read as a mock's credential, and are what they were afterwards."""
        monkeypatch.setenv("FAL_KEY", "real-secret")
        monkeypatch.delenv("RUNWAYML_API_SECRET", raising=False)
        with mock():
            assert "real-secret" not in os.environ.values()
            assert "mock-credential" == os.environ["RUNWAYML_API_SECRET"]
        assert "real-secret" == os.environ["FAL_KEY"]
        assert "RUNWAYML_API_SECRET" not in os.environ

    def test_vidorch_connects_to_nobody(self) -> None:
        """A connection of its own is refused by the host's name; without a mock nothing is said."""
        with mock(), pytest.raises(vidorch.LiveCallInTest, match=r"example\.com"):
            live.must_not_be_mocked("example.com")
        live.must_not_be_mocked("example.com")

    def test_but_to_a_server_of_the_test(self) -> None:
        """One that `allow` names."""
        with mock(allow=["127.0.0.1"]):
            live.must_not_be_mocked("127.0.0.1")
            with pytest.raises(vidorch.LiveCallInTest, match=r"mock\(allow=\['10.0.0.1'\]\)"):
                live.must_not_be_mocked("10.0.0.1")

    def test_clips_go_to_no_real_bucket(self, m: Mock) -> None:
        """It is said before anything is submitted."""
        with pytest.raises(vidorch.LiveCallInTest, match="ads-bucket"):
            vidorch.generate("a ball", model="test/basic", output="s3://ads-bucket/clips/")
        assert [] == m.requests

    def test_memory_is_no_connection(self, m: Mock) -> None:
        """fsspec's own store for tests works as always."""
        clip = vidorch.generate("a ball", model="test/basic", seed=1, output="memory://clips/").clip
        assert clip.uri.startswith("memory://clips/")


class TestWhatItRemembers:
    def test_requests(self, m: Mock) -> None:
        """Every submit, in order, as it was bought."""
        vidorch.generate("one", model="test/basic", seed=1, scope="tenant-a")
        vidorch.generate("two", model="test/slow", seed=1, duration=10)
        first, second = m.requests
        assert ("basic", "test", "one", "tenant-a") == (
            first.model,
            first.endpoint,
            first.prompt,
            first.scope,
        )
        assert (10.0, "1280x720") == (
            second.settings["duration"],
            "x".join(map(str, second.settings["size"])),
        )
        assert [job.id for job in m.jobs] == [first.job_id, second.job_id]
        assert first.at < second.at

    def test_plans_jobs_and_spend(self, m: Mock) -> None:
        """Plans as they were made to be carried out; jobs and money as the ledgers say."""
        vidorch.estimate("one", model="test/basic")
        vidorch.generate("one", model="test/basic", seed=1)
        with vidorch.Client(ledger=m.home / "other.db") as client:
            client.generate("two", model="test/slow", seed=1)
        assert ["test/basic", "test/slow"] == [plan.entries[0].offer.name for plan in m.plans]
        assert ["basic", "slow"] == [job.model for job in m.jobs]
        assert Decimal("1.00") == m.spend

    def test_clients_that_share_a_ledger(self, m: Mock) -> None:
        """Each job counts once."""
        vidorch.generate("one", model="test/basic", seed=1)
        with vidorch.Client() as client:
            client.generate("two", model="test/basic", seed=1)
            assert (2, Decimal("1.00")) == (len(m.jobs), m.spend)

    def test_after_it_was_left(self) -> None:
        """What happened, and the clips, can still be looked at."""
        with mock() as m:
            result = vidorch.generate("one", model="test/basic", seed=1)
        assert ["settled"] == [job.state for job in m.jobs]
        m.assert_never_paid_twice()
        assert result.clip.path is not None
        assert result.clip.path.is_file()


class TestComingAndGoing:
    def test_only_one(self, m: Mock) -> None:
        """A second mock inside the first says so, and leaves the first as it was."""
        with pytest.raises(RuntimeError, match="only one"), mock():
            pass  # pragma: no cover
        assert vidorch.generate("a ball", model="test/basic", seed=1).clip.path is not None

    def test_nothing_of_it_stays(self) -> None:
        """Afterwards, also after an error, everything is what it was: client, clock, environment."""
        before = dict(os.environ)
        with contextlib.suppress(ZeroDivisionError), mock():
            vidorch.generate("a ball", model="test/basic", seed=1)
            inside = _default._client
            raise ZeroDivisionError
        assert before == dict(os.environ)
        assert _default._client is None
        assert offloop._watcher is None
        assert inside is not None
        with pytest.raises(RuntimeError, match="closed"):
            inside.jobs()
        with pytest.raises(vidorch.InvalidRequest):
            vidorch.estimate("a ball", model="test/basic")

    def test_the_default_client_of_before_comes_back(self) -> None:
        """It is put aside for as long as the mock lasts, not closed."""
        vidorch.estimate("a red ball rolling left")
        real = _default._client
        assert real is not None
        with mock():
            vidorch.estimate("a ball", model="test/basic")
            assert _default._client is not real
        assert real is _default._client
        assert vidorch.estimate("a red ball rolling left").lines

    def test_background_work_ends_with_it(self) -> None:
        """Runs that nobody waits for are let go; their threads are gone."""
        before = _own_threads()
        with mock() as m:
            m.on(model="test/basic").hold()
            client = vidorch.Client()
            client.submit("a ball", model="test/basic")
            vidorch.submit("a ball", model="test/basic")
        assert before == _own_threads()
        with pytest.raises(RuntimeError, match="closed"):
            client.jobs()

    def test_one_after_the_other(self) -> None:
        """Each starts from nothing."""
        for _ in range(2):
            with mock() as m:
                vidorch.generate("a ball", model="test/basic", seed=1)
                assert (1, Decimal("0.50"), 1) == (len(m.jobs), m.spend, len(m.requests))


class TestRuns:
    def test_time_stands_between_calls(self, m: Mock) -> None:
        """What happens between two calls of a test is up to the test: time passes where somebody waits."""
        run = vidorch.submit("a ball", model="test/slow", seed=1)
        start = m.now
        assert "open" == run.state
        m.advance(60)
        assert "open" == run.state
        assert start + 60 == m.now
        assert 180 <= run.wait().clip.latency < 240

    def test_advance_alone_brings_it_home(self, m: Mock) -> None:
        """Nobody has to wait for it."""
        run = vidorch.submit("a ball", model="test/slow", seed=1)
        m.advance(300)
        assert "finished" == run.state

    def test_taken_up_by_another_client(self, m: Mock) -> None:
        """A client that went away loses nothing: the next one polls and fetches, and submits nothing."""
        first = vidorch.Client()
        run_id = first.submit("a ball", model="test/slow", seed=1).id
        first.close()
        with vidorch.Client() as second:
            (run,) = second.resume()
            assert run_id == run.id
            assert run.wait().clip.path is not None
        assert 1 == len(m.requests)
        m.assert_never_paid_twice()

    def test_a_key_pays_once(self, m: Mock) -> None:
        """The same key is the same run."""
        one, two = (vidorch.generate("a ball", model="test/basic", seed=1, key="order-1") for _ in range(2))
        assert one.run_id == two.run_id
        assert 1 == len(m.requests)

    def test_many_threads(self, m: Mock) -> None:
        """Calls from several threads share one clock, and their waits do not add up."""
        start = m.now
        results: list[vidorch.Result] = []
        together = threading.Barrier(6)

        def one() -> None:
            together.wait()
            results.append(vidorch.generate("a ball", model="test/slow", seed=1))

        threads = [threading.Thread(target=one) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 6 == len(results)
        assert m.now - start < 6 * 180
        m.assert_never_paid_twice()

    def test_many_clients(self, m: Mock) -> None:
        """So do several clients, each on a loop of its own."""
        results: list[vidorch.Result] = []

        def one() -> None:
            with vidorch.Client() as client:
                results.append(client.generate("a ball", model="test/slow", seed=1))

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 4 == len(results)
        assert all(180 <= result.clip.latency for result in results)


class TestInAnEventLoop:
    def test_plain_with_and_async_with(self) -> None:
        """Both work in async tests; what is left open ends with it."""

        async def main() -> None:
            with mock() as m:
                client = vidorch.AsyncClient()
                assert (await client.generate("a ball", model="test/slow", seed=1)).clip.path is not None
                await client.aclose()
            async with mock() as m:
                left = vidorch.AsyncClient()
                m.on(model="test/basic").hold()
                run = await left.submit("a ball", model="test/basic")
            with pytest.raises(RuntimeError, match="closed"):
                await run.state()

        asyncio.run(main())

    def test_plain_with_closes_what_is_left_open(self) -> None:
        """At the next turn of the loop."""

        async def main() -> None:
            with mock() as m:
                left = vidorch.AsyncClient()
                m.on(model="test/basic").hold()
                await left.submit("a ball", model="test/basic")
            while left._engine is not None:  # noqa: ASYNC110  (that it happens by itself is the point)
                await asyncio.sleep(0)

        asyncio.run(main())

    def test_advance_is_awaited(self) -> None:
        """In a loop, time passes while the test awaits it."""

        async def main() -> None:
            with mock() as m:
                async with vidorch.AsyncClient() as client:
                    run = await client.submit("a ball", model="test/slow", seed=1)
                    start = m.now
                    await m.advance(60)
                    assert ("open", start + 60) == (await run.state(), m.now)
                    assert 180 <= (await run.wait()).clip.latency < 240

        asyncio.run(main())

    def test_many_at_once_take_as_long_as_one(self) -> None:
        """A hundred jobs of three minutes are over after three minutes."""
        took, latencies = asyncio.run(_generate(100))
        assert 100 == len(latencies)
        assert 180 <= min(latencies) <= max(latencies) <= took < 240

    @pytest.mark.slow
    def test_a_thousand_at_once_take_as_long_as_one(self) -> None:
        """Every one of them at its own time."""
        took, latencies = asyncio.run(_generate(1_000))
        assert 1_000 == len(latencies)
        assert 180 <= min(latencies) <= max(latencies) <= took < 240


async def _generate(count: int) -> tuple[float, list[float]]:
    """Seconds that it took in all, and each one."""
    with mock() as m:
        start = m.now
        async with vidorch.AsyncClient() as client:
            prompts = (f"number {number}" for number in range(count))
            results = await asyncio.gather(
                *(client.generate(prompt, model="test/slow", seed=1) for prompt in prompts)
            )
            m.assert_never_paid_twice()
        return m.now - start, [result.clip.latency for result in results]


class TestRules:
    def test_the_last_wins_and_a_certain_call_goes_first(self, m: Mock) -> None:
        """However the rules were ordered."""
        m.on(model="test/basic", call=2).succeed(cost="0.02")
        m.on(model="test/basic").succeed(cost="0.10")
        m.on(prompt="x").succeed(cost="0.30")
        costs = [vidorch.generate(prompt, model="test/basic", seed=1).cost for prompt in ("a", "b", "x", "c")]
        assert [Decimal(cost) for cost in ("0.10", "0.02", "0.30", "0.10")] == costs

    @pytest.mark.parametrize(
        "prompt", ["ball", re.compile(r"^a\s+red"), lambda prompt: prompt.endswith("left")]
    )
    def test_prompts(self, m: Mock, prompt: Any) -> None:
        """By a part, a pattern, or a function."""
        m.on(prompt=prompt).refuse()
        with pytest.raises(vidorch.Refused):
            vidorch.generate("a red ball to the left", model="test/basic")
        assert vidorch.generate("something else", model="test/basic", seed=1).clip.path is not None

    def test_scopes_and_endpoints(self, m: Mock) -> None:
        """A rule for one tenant, or for one endpoint, is for no other."""
        m.on(scope="tenant-a").succeed(cost="0.01")
        m.on(model="test-eu/basic").succeed(cost="0.02")
        costs = [
            vidorch.generate("a ball", model=model, scope=scope, seed=1).cost
            for model, scope in (("test/basic", "tenant-a"), ("test-eu/basic", "b"), ("test/basic", "b"))
        ]
        assert [Decimal("0.01"), Decimal("0.02"), Decimal("0.50")] == costs


def _own_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("vidorch")}


def _day() -> date:
    return date(2026, 11, 22)


def _price(per_second: str) -> dict[str, Any]:
    return {"source": "a test", "row": [{"per_second": Decimal(per_second)}]}
