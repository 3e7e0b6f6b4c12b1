"""Several threads and processes on one ledger, whichever database is under it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import postgres
from tests.ledger.rows import NOW, run_row
from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import State

ROOT = Path(__file__).parents[2]


class TestSideBySide:
    def test_opened_at_once(self, place: Path | DatabaseUrl) -> None:
        """Many who open a ledger that is not there yet make its tables once."""
        ready = threading.Barrier(8)
        opened: list[Ledger] = []
        troubles: list[BaseException] = []

        def open_one() -> None:
            ready.wait()
            try:
                opened.append(Ledger(place))
            except BaseException as error:
                troubles.append(error)

        threads = [threading.Thread(target=open_one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ledger in opened:
            ledger.close()
        assert ([], 8) == (troubles, len(opened))

    def test_two_processes(self, place: Path | DatabaseUrl) -> None:
        """Two processes that write side by side lose nothing and wait for each other."""
        code = (
            "import sys\n"
            "from tests.ledger.rows import NOW, job_row, run_row\n"
            "from vidorch.home import ledger_path\n"
            "from vidorch.ledger.ledger import Ledger\n"
            "from vidorch.ledger.moves import State\n"
            "ledger = Ledger(ledger_path(sys.argv[1], None))\n"
            "for number in range(40):\n"
            "    run, job = f'run_{sys.argv[2]}_{number}', f'job_{sys.argv[2]}_{number}'\n"
            "    ledger.record(run_row(run), [job_row(job, run)], at=NOW).result()\n"
            "    ledger.move(ledger.job(job), State.CANCELLED, NOW).result()\n"
            "ledger.close()\n"
        )
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code, postgres.url_of(place), name],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in "ab"
        ]
        assert ["", ""] == [process.communicate(timeout=120)[1] for process in started]
        ledger = Ledger(place)
        counts = (len(ledger.runs(limit=1000)), len(ledger.jobs(state="cancelled")))
        ledger.close()
        assert (80, 80) == counts

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_not_across_a_fork(self, ledger: Ledger) -> None:
        """A ledger that was open before a fork says in the child that it is closed, and does not hang."""
        child = os.fork()
        if child == 0:
            try:
                failed = isinstance(ledger.record(run_row(), at=NOW).exception(timeout=5), LedgerUnavailable)
                os._exit(0 if failed else 1)
            finally:
                os._exit(2)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_durable(self, place: Path | DatabaseUrl) -> None:
        """What was waited for is on disk though the process is killed the moment after."""
        code = (
            "import os, signal, sys\n"
            "from tests.ledger.rows import NOW, a_job\n"
            "from vidorch.home import ledger_path\n"
            "from vidorch.ledger.ledger import Ledger\n"
            "a_job(Ledger(ledger_path(sys.argv[1], None)))\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        subprocess.run(
            [sys.executable, "-c", code, postgres.url_of(place)], cwd=ROOT, check=False, timeout=60
        )
        ledger = Ledger(place)
        job = ledger.job("job_1")
        moved = None if job is None else ledger.move(job, State.ABANDONED, NOW).result()
        ledger.close()
        assert "abandoned" == (moved.state if moved else None)
