"""A process that is killed in the middle of work of its own: what the next one finds, and what it makes of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from tests.child import client_of
from tests.engine.scripted import Scripted
from vidorch.contract import Failed
from vidorch.errors import ProviderFailed, TimedOut
from vidorch.ledger.moves import ENDS, State

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are killed in another way on Windows")
ROOT = Path(__file__).parents[1]
STATES = ["uploading", "sending", "accepted", "running", "downloading"]


def killed_at(state: str, output: Path) -> None:
    """Starts a process, waits until its job says that it is at `state`, and kills it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.child", "stay", state, str(output)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert f"{state}\n" == process.stdout.readline()
        process.kill()
        assert -signal.SIGKILL == process.wait(timeout=60)


@pytest.mark.parametrize("state", STATES)
def test_work_that_died_with_its_process_is_abandoned(state: str, tmp_path: Path) -> None:
    """`wait()` in another process says so at no cost, ends job and run, and clears what was half written."""
    output = tmp_path / "out" / "clip.mp4"
    killed_at(state, output)
    with client_of(Scripted()) as client:
        (job,) = client.jobs()
        before = State(job.state)
        run = client.run(job.run_id)
        with pytest.raises(ProviderFailed, match="ended before it was done; it cost nothing") as caught:
            run.wait()
        after = client.job(job.id)
        assert (False, job.run_id, job.id) == (caught.value.charged, caught.value.run_id, caught.value.job_id)
        assert ("abandoned", None, False, "failed") == (after.state, after.cost, after.charged, run.state)
        assert ("move", before.value, "abandoned") == (
            (last := run.events()[-1]).kind,
            last.source,
            last.target,
        )
        assert [] == [path for path in tmp_path.rglob("*") if path.suffix in (".part", ".mp4")]


def test_before_anybody_waits_nothing_is_touched(tmp_path: Path) -> None:
    """Merely making a client, listing and looking leaves the job and its half-written file where they were."""
    killed_at("downloading", tmp_path / "clip.mp4")
    with client_of(Scripted()) as client:
        (job,) = client.jobs()
        assert ("open", False) == (client.run(job.run_id).state, State(job.state) is State.ABANDONED)
    assert 1 == len(list(tmp_path.glob(".*.part")))


def test_work_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    """Another client that waits does not take what somebody is still working on; nor its half-written file."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.child", "stay", "downloading", str(tmp_path / "clip.mp4")],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert "downloading\n" == process.stdout.readline()
            with client_of(Scripted()) as client:
                (job,) = client.jobs()
                assert [] == client.resume() == client.resume(job.run_id)
                assert State(client.job(job.id).state) not in ENDS
            assert 1 == len(list(tmp_path.glob(".*.part")))
        finally:
            process.kill()


def test_a_run_that_is_just_being_closed_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the end of the last job and the end of the run, whoever waits elsewhere goes on waiting."""
    from vidorch.engine.closing import Closing

    close, closing, free = Closing.close, threading.Event(), threading.Event()

    async def slowly(self: Closing, without_clip: str = "failed") -> None:
        closing.set()
        await asyncio.to_thread(free.wait, 30)
        await close(self, without_clip)

    monkeypatch.setattr(Closing, "close", slowly)
    with (
        client_of(Scripted([Failed(ProviderFailed("no", charged=False), cancelled=True)])) as owner,
        client_of(Scripted()) as other,
    ):
        run = owner.submit("x", model="test/basic")
        assert closing.wait(30)
        with pytest.raises(TimedOut):
            other.run(run.id).wait(0.05)
        assert "open" == other.run(run.id).state
        free.set()
        with pytest.raises(ProviderFailed):
            other.run(run.id).wait()
        assert "cancelled" == other.run(run.id).state


def test_the_same_may_be_made_again(tmp_path: Path) -> None:
    """After that the same output is free, and what was abandoned cost nothing."""
    killed_at("running", tmp_path / "clip.mp4")
    with client_of(Scripted()) as client:
        result = client.generate("x", model="test/basic", output=tmp_path / "clip.mp4")
        assert (tmp_path / "clip.mp4", Decimal(0)) == (result.clip.path, result.cost)
