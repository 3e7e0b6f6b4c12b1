"""`Client`: the blocking face, from threads, callbacks, running loops and forks, and how it ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import vidorch
from tests.engine.scripted import Scripted, catalog, offer
from vidorch import AsyncClient, Client, _default
from vidorch.client import blocking
from vidorch.contract import Accepted, Admission, Context, Done, Failed, Output, Prepared, Progress
from vidorch.errors import InvalidRequest, ProviderFailed, TimedOut
from vidorch.ledger.ledger import Ledger

ENDLESS: list[Any] = [Progress("running", 0.25, eta=8.0)]
ROOT = Path(__file__).parents[1]


@pytest.fixture
def provider() -> Scripted:
    return Scripted()


@pytest.fixture
def client(provider: Scripted) -> Iterator[Client]:
    with made(Client, provider) as client:
        yield client


def made(kind: Callable[..., Any], provider: Scripted) -> Any:
    return kind(catalog=catalog(offer(min_poll=0.01)), providers={"test": provider})


def child(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.child", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )


class TestGenerate:
    def test_gives_a_clip(self, client: Client) -> None:
        """The same result as the async face gives, without a loop in sight."""
        assert "test/basic" == "/".join(
            ((clip := client.generate("x", model="test/basic").clip).endpoint, clip.model)
        )

    def test_from_eight_threads_at_once(self, client: Client) -> None:
        """One client serves any number of threads; each gets the run it asked for."""
        together = threading.Barrier(8)

        def one(number: int) -> tuple[int, int | None]:
            together.wait(30)
            return number, client.generate("x", model="test/basic", seed=number).clip.seed

        with ThreadPoolExecutor(8) as pool:
            assert [(n, n) for n in range(8)] == list(pool.map(one, range(8)))
        assert 8 == len(client.jobs(state="settled"))

    def test_from_a_callback(self, client: Client) -> None:
        """`on_progress` runs off the loop, so a callback may call the client."""
        seen: list[int] = []
        client.generate("x", model="test/basic", on_progress=lambda progress: seen.append(len(client.jobs())))
        assert {1} == set(seen)

    def test_a_whole_run_from_a_callback(self, client: Client) -> None:
        """Even making another clip from a callback works."""
        inner: list[str] = []

        def again(progress: vidorch.Progress) -> None:
            if not inner:
                inner.append("...")
                inner[0] = client.generate("y", model="test/basic").run_id

        outer = client.generate("x", model="test/basic", on_progress=again)
        assert {outer.run_id, inner[0]} == {job.run_id for job in client.jobs()}

    def test_opens_nothing_until_it_is_used(self, home: Path) -> None:
        """Making, estimating, planning and closing touch neither disk nor threads."""
        before = set(threading.enumerate())  # others may end meanwhile
        with Client() as client:
            client.estimate("a boat", model="gen4.5")
            client.plan("a red ball rolling left")
        assert (set(), False) == (set(threading.enumerate()) - before, home.exists())


class TestInsideALoop:
    def test_warns_once_and_works(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """The blocking face in a running loop names AsyncClient, once."""
        monkeypatch.setattr(blocking, "_warned_of_loop", False)

        async def go() -> int:
            client.generate("x", model="test/basic")
            client.generate("x", model="test/basic")
            return len(client.jobs())

        with pytest.warns(UserWarning, match="AsyncClient") as said:
            assert 2 == asyncio.run(go())
        assert [__file__] == [one.filename for one in said]

    def test_says_nothing_in_a_notebook(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """Notebooks always run a loop, and there a blocking call is what is meant."""
        monkeypatch.setattr(blocking, "_warned_of_loop", False)
        monkeypatch.setitem(sys.modules, "IPython", threading)

        async def go() -> None:
            client.jobs()

        asyncio.run(go())

    def test_on_the_loop_of_the_client_it_raises_instead_of_hanging(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A provider that calls the client that drives it would wait for itself: RuntimeError, and the job ends."""

        class Nested(Scripted):
            async def submit(self, context: Context, prepared: Prepared) -> Accepted:
                client.jobs()
                raise AssertionError

        monkeypatch.setattr(blocking, "_warned_of_loop", True)
        with (
            made(Client, Nested()) as client,
            pytest.raises(ProviderFailed, match="would wait for itself") as caught,
        ):
            client.generate("x", model="test/basic")
        assert False is caught.value.charged


class TestRun:
    def test_is_handed_back_while_it_is_at_work(self, client: Client, provider: Scripted) -> None:
        """`submit` returns at once; the handle tells state, jobs, how far it is and when it will be done."""
        provider.polls = ENDLESS
        heard = threading.Event()
        run = client.submit(
            "x", model="test/basic", on_progress=lambda progress: heard.set() if progress.eta else None
        )
        assert heard.wait(30)
        assert ("open", 0.25, 8.0) == (run.state, run.progress, run.eta)
        assert [run.id] == [job.run_id for job in run.jobs]
        run.cancel()
        with pytest.raises(ProviderFailed, match="cancelled"):
            run.wait()
        assert "cancelled" == run.state

    def test_result_waits(self, client: Client) -> None:
        """`run.result` is the result, whether it is there yet or not, and the same each time."""
        run = client.submit("x", model="test/basic")
        assert run.result == run.wait()
        assert ("finished", f"Run({run.id!r})") == (run.state, repr(run))

    def test_events_are_its_history(self, client: Client) -> None:
        """Every move, oldest first."""
        run = client.submit("x", model="test/basic")
        run.wait()
        assert ["reserved", "settled"] == [[event.target for event in run.events()][at] for at in (0, -1)]

    def test_wait_with_a_timeout_leaves_it_running(self, client: Client, provider: Scripted) -> None:
        """The waiting ends, the run does not, and the error says how to get it back."""
        provider.polls = ENDLESS
        run = client.submit("x", model="test/basic")
        with pytest.raises(TimedOut) as caught:
            run.wait(0.01)
        assert (run.id, "open") == (caught.value.run_id, client.run(run.id).state)
        assert run.id in caught.value.hint
        run.cancel()

    def test_of_a_finished_run_is_read_from_the_ledger(self, client: Client, provider: Scripted) -> None:
        """Another client of the same ledger sees the same result."""
        first = client.generate("x", model="test/basic")
        with made(Client, provider) as other:
            assert (first, None) == ((run := other.run(first.run_id)).wait(), run.progress)

    def test_that_is_not_there(self, client: Client) -> None:
        """Unknown ids of runs and jobs are typed errors."""
        with pytest.raises(InvalidRequest, match="no run 'run_nope'"):
            client.run("run_nope")
        with pytest.raises(InvalidRequest, match="no job 'job_nope'"):
            client.job("job_nope")

    def test_of_another_owner_cannot_be_cancelled_from_here(self, client: Client, provider: Scripted) -> None:
        """Work inside a process can only be ended by whoever drives it."""
        provider.polls = [Progress("running", 0.1)]
        run = client.submit("x", model="test/basic")
        with (
            made(Client, provider) as other,
            pytest.raises(InvalidRequest, match="works inside another process"),
        ):
            other.run(run.id).cancel()
        run.cancel()


class TestClose:
    def test_twice_is_harmless(self, provider: Scripted) -> None:
        """Closing what is closed does nothing."""
        client = made(Client, provider)
        client.generate("x", model="test/basic")
        client.close()
        client.close()

    def test_ends_the_thread_of_the_loop(self, provider: Scripted) -> None:
        """After closing neither the loop's nor the ledger's thread is left."""
        before = set(threading.enumerate())
        client = made(Client, provider)
        client.generate("x", model="test/basic")
        client.close()
        left = {thread.name for thread in set(threading.enumerate()) - before}
        assert not {"vidorch-loop", "vidorch-ledger"} & left

    def test_using_it_afterwards_is_a_clear_error(self, provider: Scripted) -> None:
        """RuntimeError for whatever opens something, from the client and its handles; what computes still works."""
        client = made(Client, provider)
        run = client.submit("x", model="test/basic")
        run.wait()
        client.close()
        uses: list[Callable[[], object]] = [
            lambda: client.generate("x", model="test/basic"),
            client.jobs,
            lambda: client.run(run.id),
            lambda: run.state,
            run.wait,
        ]
        for use in uses:
            with pytest.raises(RuntimeError, match="client is closed"):
                use()
        assert 0 == client.estimate("x", model="test/basic").cost.high

    def test_the_async_face_says_the_same(self, provider: Scripted) -> None:
        """AsyncClient agrees, use by use."""

        async def go() -> None:
            client = made(AsyncClient, provider)
            run = await client.submit("x", model="test/basic")
            await run.wait()
            await client.aclose()
            await client.aclose()
            for use in (
                client.generate("x", model="test/basic"),
                client.jobs(),
                client.run(run.id),
                client.check("test"),
                run.state(),
            ):
                with pytest.raises(RuntimeError, match="client is closed"):
                    await use
            assert 0 == (await client.estimate("x", model="test/basic")).cost.high

        asyncio.run(go())

    def test_wakes_whoever_waits(self, client: Client, provider: Scripted, home: Path) -> None:
        """A thread that waits for a run hears that the client was closed; the job is written down as abandoned."""
        provider.polls = ENDLESS
        run = client.submit("x", model="test/basic")
        with ThreadPoolExecutor(1) as pool:
            begun = threading.Event()

            def wait() -> None:
                begun.set()
                run.wait()

            waiting = pool.submit(wait)
            assert begun.wait(30)
            client.close()
            with pytest.raises((ProviderFailed, RuntimeError), match="closed"):
                waiting.result(30)
        ledger = Ledger(home / "ledger.db")
        assert ("abandoned", "cancelled") == (ledger.jobs()[0].state, (ledger.run(run.id) or {})["state"])
        ledger.close()


class TestTheProcess:
    def test_that_ends_during_a_job_ends_cleanly(self, home: Path) -> None:
        """No hang, no noise, exit 0; nothing stays open."""
        done = child("leave")
        assert (0, "submitted\n", "") == (done.returncode, done.stdout, done.stderr)
        ledger = Ledger(home / "ledger.db")
        assert [("abandoned", False)] == [(job.state, job.charged) for job in ledger.jobs()]
        ledger.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_that_forks(self, home: Path) -> None:
        """The child has a loop and a ledger connection of its own; the parent goes on as if nothing had been."""
        done = child("fork")
        expected = [
            "child made True", "child sees finished True", "child ended 0", "parent goes on True",
            "parent sees 3 jobs, threads kept True",
        ]  # fmt: skip
        assert (0, expected) == (done.returncode, done.stdout.splitlines()), done.stderr


class TestTheModule:
    @pytest.fixture(autouse=True)
    def _scripted(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_default, "_client", client)

    def test_generates(self) -> None:
        """`vidorch.generate` is the default client's."""
        assert "basic" == vidorch.generate("x", model="test/basic").clip.model

    def test_submits(self) -> None:
        """`vidorch.submit` hands back a run."""
        run = vidorch.submit("x", model="test/basic")
        assert run.id == run.result.run_id

    def test_estimates_and_plans(self, provider: Scripted) -> None:
        """`vidorch.estimate` and `vidorch.plan` spend nothing and send nothing."""
        provider.admission = Admission(notes=("noted",))
        assert ("test/basic", 0) == (
            vidorch.plan("x", model="test/basic").entries[0].offer.name,
            vidorch.estimate("x", model="test/basic").cost.high,
        )
        assert [] == provider.calls

    def test_has_one_client_for_all_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many threads come first, one client is made."""
        monkeypatch.setattr(_default, "_client", None)
        together = threading.Barrier(8)

        def one(_: int) -> int:
            together.wait(30)
            return id(_default._default())

        with ThreadPoolExecutor(8) as pool:
            assert 1 == len(set(pool.map(one, range(8))))
        _default._default().close()


def test_a_failure_keeps_its_type(client: Client, provider: Scripted) -> None:
    """Errors cross from the loop's thread unchanged."""
    provider.polls = [Failed(ProviderFailed("boom", charged=False, code="E1"))]
    with pytest.raises(ProviderFailed, match="boom") as caught:
        client.generate("x", model="test/basic")
    assert "E1" == caught.value.code


def test_candidates_that_came_are_kept(client: Client, provider: Scripted) -> None:
    """Partial success through the blocking face."""
    provider.script_of = lambda number: (
        [Done((Output(0, "r"),))] if number else [Failed(ProviderFailed("boom", charged=False))]
    )
    assert (1, 1) == (
        len((result := client.generate("x", model="test/basic", candidates=2)).candidates),
        len(result.failures),
    )
