"""Workers of several machines on one ledger, each with a home and a clock of its own: real processes, a vendor over sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.ledger.rows import found
from vidorch.databases import DatabaseUrl
from vidorch.ledger.ledger import Ledger
from vidorch.testing.servers import Fate, serve

ROOT = Path(__file__).parents[2]
HOUR = 3600.0
Worker = subprocess.Popen[str]
Start = Callable[..., Worker]


@pytest.fixture(autouse=True)
def paid_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor is our own."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")


@pytest.fixture
def place() -> DatabaseUrl:
    return postgres.empty()


@pytest.fixture
def vendor() -> Iterator[Any]:
    """A vendor whose jobs go on until the test says otherwise."""
    with serve("openai", dialect="vllm") as server:
        server.default = Fate(looks=10**9)
        yield server


@pytest.fixture
def start(place: DatabaseUrl, vendor: Any, tmp_path: Path) -> Iterator[Start]:
    """Start a worker: what it does, the name of its machine, and how wrong its clock is."""
    started: list[Worker] = []

    def begin(do: str, machine: str, wrong_by: float = 0.0) -> Worker:
        home = tmp_path / machine
        home.mkdir(exist_ok=True)
        more = vendor.variables() | {
            "VIDORCH_LEDGER": postgres.url_of(place), "VIDORCH_HOME": str(home / "vidorch"), "TEST_VENDOR": vendor.url,
            "TEST_MACHINE": machine, "TEST_WRONG_BY": str(wrong_by), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.sharing", do], cwd=home, env=os.environ | more, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.kill()
        worker.communicate(timeout=60)


def said(worker: Worker) -> str:
    """The next thing that it says."""
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def let_time_pass(place: DatabaseUrl, seconds: float) -> None:
    """For leases, as if the database's clock had gone on."""
    for table in ("jobs", "runs"):
        postgres.execute(place, f"UPDATE {table} SET lease_until = lease_until - %s", seconds)


class TestAWorkerThatIsKilled:
    def test_is_followed_by_another_machine_once_its_lease_is_over(
        self, place: DatabaseUrl, vendor: Any, start: Start, tmp_path: Path
    ) -> None:
        """Not before; whoever finishes brings the clip to its own home, and it was submitted once."""
        first = start("submit", "berlin")
        said(first)
        first.kill()
        first.wait(60)
        too_early = said(start("resume", "oslo"))
        let_time_pass(place, 61)
        (job,) = vendor.jobs
        vendor.end(job, "done")
        second = start("resume", "oslo")
        taken, path = said(second), Path(said(second))
        assert ("0", "1", True, True, 1) == (
            too_early, taken, path.is_relative_to(tmp_path / "oslo"), path.is_file(), len(vendor.jobs),
        )  # fmt: skip

    @pytest.mark.slow
    def test_is_followed_at_once_on_its_own_machine(self, vendor: Any, start: Start) -> None:
        """There its process is seen to be gone."""
        first = start("submit", "berlin")
        said(first)
        first.kill()
        first.wait(60)
        vendor.end(vendor.jobs[0], "done")
        assert "1" == said(start("resume", "berlin"))


class TestAClockThatIsWrong:
    @pytest.mark.parametrize("wrong_by", [HOUR, pytest.param(-HOUR, marks=pytest.mark.slow)])
    def test_gives_leases_by_the_databases(self, place: DatabaseUrl, start: Start, wrong_by: float) -> None:
        """What an hour too early or late is to one worker is a minute to all."""
        run = said(start("submit", "berlin", wrong_by))
        ((left, age),) = postgres.execute(
            place,
            "SELECT lease_until - extract(epoch FROM now()), extract(epoch FROM now()) - created_at FROM jobs WHERE run_id = %s",
            run,
        )
        assert (True, True) == (0 < left <= 61, 0 <= age < 60)

    @pytest.mark.parametrize("wrong_by", [HOUR, pytest.param(-HOUR, marks=pytest.mark.slow)])
    def test_takes_nothing_from_others(self, start: Start, wrong_by: float) -> None:
        """A worker whose clock is an hour ahead leaves alone what somebody drives."""
        said(start("submit", "berlin"))
        assert "0" == said(start("resume", "oslo", wrong_by))

    @pytest.mark.slow
    def test_takes_up_what_is_left(self, place: DatabaseUrl, vendor: Any, start: Start) -> None:
        """One whose clock is an hour behind sees that a lease is over."""
        first = start("submit", "berlin")
        said(first)
        first.kill()
        first.wait(60)
        let_time_pass(place, 61)
        vendor.end(vendor.jobs[0], "done")
        assert "1" == said(start("resume", "oslo", -HOUR))


class TestOneKey:
    def test_of_two_machines_pays_once(self, place: DatabaseUrl, vendor: Any, start: Start) -> None:
        """Both are handed the clip; one has paid for it."""
        vendor.default = Fate()
        paid = sorted(
            Decimal(said(worker)) for worker in [start("join", name) for name in ("berlin", "oslo")]
        )
        ledger = Ledger(place)
        (job,) = ledger.jobs()
        ledger.close()
        assert ([Decimal(0), Decimal("0.04")], 1, "settled") == (paid, len(vendor.jobs), job.state)


class TestAServerThatIsRestarted:
    def test_in_the_middle_of_a_job(
        self, vendor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The worker waits for it, and the job ends as if nothing had been."""
        import vidorch
        from tests.sharing import ASKED, STUDIO

        server = postgres.own_server()
        for name, value in vendor.variables().items():
            monkeypatch.setenv(name, value)
        try:
            with vidorch.Client(
                ledger=postgres.url_of(server.at("postgres")), home=tmp_path / "home", catalog=STUDIO,
                endpoints=vendor.endpoints(), private_hosts=["127.0.0.1"],
            ) as client:  # fmt: skip
                run = client.submit(**ASKED)
                server.stop()
                vendor.end(vendor.jobs[0], "done")
                server.start()
                result = run.wait()
            ledger = Ledger(server.at("postgres"))
            state = found(ledger, result.clip.job_id).state
            ledger.close()
        finally:
            server.close()
        assert ("settled", 1) == (state, len(vendor.jobs))
