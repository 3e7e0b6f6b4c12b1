"""The faces and hosted work: processes that end, are interrupted, or are many, and what becomes of what was paid for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.child import hosted
from tests.remote import Books, Fate, Remote, catalog
from vidorch import AsyncClient, Client
from vidorch.ledger.ledger import Ledger

ROOT = Path(__file__).parents[1]


def child(name: str, home: Path) -> subprocess.CompletedProcess[str]:
    home.mkdir()
    return subprocess.run(
        [sys.executable, "-m", "tests.child", name, str(home)], capture_output=True, text=True, timeout=90, cwd=ROOT,
        check=False,
    )  # fmt: skip


def sent(home: Path) -> int:
    """How many submits reached the vendor."""
    return len(Books(home / "vendor.db").everything())


class TestTheEndOfAProcess:
    def test_leaves_a_hosted_job_to_the_next_one(self, home: Path) -> None:
        """No word to the client, no hang, no noise; another process brings it home, and nothing was sent twice."""
        done = child("leave_hosted", home)
        assert (0, "") == (done.returncode, done.stderr)
        with hosted(str(home)) as client:
            (run,) = client.resume()
            assert (done.stdout.strip(), 1, True) == (run.id, sent(home), run.wait().clip.path.is_file())  # type: ignore[union-attr]

    def test_while_a_thread_waits_loses_nothing(self, home: Path) -> None:
        """A worker thread in `generate` does not keep the process, and the process lets go of its job."""
        done = child("leave_while_waiting", home)
        assert (0, "waiting\n") == (done.returncode, done.stdout), done.stderr
        ledger = Ledger(home / "ledger.db")
        assert [(None, False)] == [(job.owner, job.ended_at is not None) for job in ledger.jobs()]
        ledger.close()


class TestCtrlC:
    @pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way on Windows")
    def test_ends_the_waiting_and_says_how_to_get_it_back(self, home: Path) -> None:
        """The job goes on at its vendor; the exception names the run."""
        done = child("interrupt", home)
        ledger = Ledger(home / "ledger.db")
        (job,) = ledger.jobs()
        ledger.close()
        assert (0, True) == (done.returncode, f"vidorch jobs resume {job.run_id}" in done.stdout), done.stderr
        assert job.ended_at is None

    def test_of_a_task_says_so_too(self, home: Path) -> None:
        """A task that is cancelled lets go of nothing that was paid for."""
        home.mkdir()
        vendor = Remote(Books(home / "vendor.db"), lambda *_: Fate(latency=3600))

        async def ask() -> list[str]:
            async with AsyncClient(
                home=home, catalog=catalog(min_poll=0.01), providers={"remote": vendor}
            ) as client:
                at_work = asyncio.Event()
                loop = asyncio.get_running_loop()
                task = asyncio.create_task(
                    client.generate(
                        "a ball",
                        model="north/exact",
                        on_progress=lambda _: loop.call_soon_threadsafe(at_work.set),
                    )
                )
                await at_work.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError) as caught:
                    await task
                return list(caught.value.__notes__)

        assert "vidorch jobs resume run_" in " ".join(asyncio.run(ask()))


class TestSpawnedWorkers:
    def test_share_an_order_with_whoever_started_them(self, home: Path) -> None:
        """Three processes ask for one key; it is paid once, and each has the clip."""
        done = child("spawn", home)
        lines = sorted(done.stdout.split("\n")[:3])
        assert (0, ["0.25", "0.25", "0.25 [0, 0]"], 1) == (done.returncode, lines, sent(home)), done.stderr


class TestCallbacks:
    def test_may_use_the_client_that_calls_them(self, home: Path) -> None:
        """From within `on_progress` another paid clip is made and waited for."""
        home.mkdir()
        with hosted(str(home)) as client:
            inner = Nested(client)
            client.generate("outer", model="north/exact", on_progress=inner)
            inner.done.wait(30)
            assert (["inner"], 2) == (inner.made, sent(home))


class Nested:
    """Makes a clip of its own at the first sign of life."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.made: list[str] = []
        self.done = threading.Event()
        self.begun = False

    def __call__(self, _: object) -> None:
        if not self.begun:
            self.begun = True
            self.client.generate("inner", model="north/exact")
            self.made.append("inner")
            self.done.set()


class TestALoop:
    def test_may_have_clients_of_several_loops_one_after_the_other(self, home: Path) -> None:
        """`asyncio.run` twice: the second loop joins by key what the first one began."""
        home.mkdir()
        vendor = Remote(Books(home / "vendor.db"), lambda *_: Fate(latency=0.1))

        async def ask() -> str:
            async with AsyncClient(
                home=home, catalog=catalog(min_poll=0.01), providers={"remote": vendor}
            ) as client:
                return (await client.generate("a ball", model="north/exact", key="k")).run_id

        assert asyncio.run(ask()) == asyncio.run(ask())
        assert 1 == sent(home)
