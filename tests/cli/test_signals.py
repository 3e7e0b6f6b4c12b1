"""Ctrl-C, SIGTERM, a closed terminal and `--timeout`, with real processes and real signals under a mock."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Said, start, wait_for_a_job_in, working

fcntl = pytest.importorskip("fcntl", reason="signals are another matter on Windows")
termios = pytest.importorskip("termios")

HELD = """
[[rule]]
model = "test/basic"
hold = true
"""
SLOW = """
import asyncio
from pathlib import Path

def script(m):
    submit, prepare = m._remote.submit, m._remote.prepare

    async def slowly_submitted(context, prepared):
        while "submit" in {folder!r} and not Path({folder!r}, "go").exists():
            await asyncio.sleep(0)
        return await submit(context, prepared)

    async def slowly_prepared(context, request, offer):
        while "prepare" in {folder!r} and not Path({folder!r}, "go").exists():
            await asyncio.sleep(0)
        return await prepare(context, request, offer)

    m._remote.submit, m._remote.prepare = slowly_submitted, slowly_prepared
"""
BUY = ("generate", "a boat", "-m", "test/basic", "--yes", "--seed", 1)


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mock whose vendor never finishes test/basic by itself; gives its ledger."""
    (tmp_path / "held.toml").write_text(HELD)
    monkeypatch.setenv("VIDORCH_MOCK", str(tmp_path / "held.toml"))
    return tmp_path / "vidorch-home" / "mock" / "ledger.db"


@pytest.fixture
def again(process: Command) -> Command:
    """Another process on the same ledger, whose vendor holds nothing back."""

    def run(*words: object) -> Said:
        return process(*words, env={"VIDORCH_MOCK": "1"})

    return run


class TestTheFirstCtrlC:
    def test_only_ends_the_waiting(self, held: Path, again: Command) -> None:
        """Exit 130; the job goes on at the vendor and nobody carries it; stderr has the command that gets it back."""
        with working(*BUY) as child:
            wait_for_a_job_in(held, "accepted", "running")
            child.send(signal.SIGINT)
            child.hear("Interrupted.")
            said = child.end()
        assert (130, "") == (said.code, said.out)
        (job,) = again("jobs", "list", "--json").document
        assert (True, None) == (job["state"] in ("accepted", "running"), job["owner"])
        assert f"vidorch jobs resume {job['run_id']}" in said.err

    def test_loses_nothing(self, held: Path, again: Command) -> None:
        """The command it names brings the clip home, for the one submit that was paid."""
        with working(*BUY) as child:
            wait_for_a_job_in(held, "accepted", "running")
            child.send(signal.SIGINT)
            words = child.hear("Get it back with").partition(": vidorch ")[2].split()
            child.send(signal.SIGTERM)  # do not wait for a second thought
            assert 130 == child.end().code
        said = again(*words)
        assert (0, True) == (said.code, Path(said.lines[0]).is_file())
        assert ["settled"] == [job["state"] for job in again("jobs", "list", "--json").document]

    def test_says_what_a_second_one_costs_before_it_is_pressed(self, held: Path) -> None:
        """The billing rule of the offer for cancelled jobs, with the amount."""
        with working(*BUY, "-n", 2) as child:
            wait_for_a_job_in(held, "accepted", "running")
            child.send(signal.SIGINT)
            line = child.hear("press Ctrl-C again")
            child.send(signal.SIGTERM)
            child.end()
        assert "test/basic bills a cancelled job in full: $1.00." in line

    def test_as_json_is_one_document(self, held: Path) -> None:
        """--json: the run, that it was interrupted, and what to do next."""
        with working(*BUY, "--json") as child:
            wait_for_a_job_in(held, "accepted", "running")
            child.send(signal.SIGINT)
            child.hear("press Ctrl-C again")
            child.send(signal.SIGTERM)
            document = child.end().document
        assert ("open", "Interrupted", None) == (
            document["state"], document["error"]["type"], document["error"]["charged"],
        )  # fmt: skip
        assert [f"vidorch jobs resume {document['run_id']}"] == document["next"]

    def test_waits_for_the_id_of_what_is_on_its_way(
        self, tmp_path: Path, home: Path, process: Command
    ) -> None:
        """While a submit has no answer yet, it waits until its id is on disk."""
        folder, script = _slow(tmp_path, "submit")
        with working(*BUY, env={"VIDORCH_MOCK": script}) as child:
            wait_for_a_job_in(home / "mock" / "ledger.db", "sending")
            child.send(signal.SIGINT)
            child.hear("Waiting for the answer to what was just sent")
            (folder / "go").touch()
            assert 130 == child.end().code
        (job,) = process("jobs", "list", "--json", env={"VIDORCH_MOCK": "1"}).document
        assert ("accepted", f"mock-{job['id']}") == (job["state"], job["remote_id"])

    def test_sends_nothing_more(self, tmp_path: Path, home: Path, again: Command) -> None:
        """What was not sent by then is not: the run waits, and `jobs proceed` sends it."""
        folder, script = _slow(tmp_path, "prepare")
        with working(*BUY, env={"VIDORCH_MOCK": script}) as child:
            wait_for_a_job_in(home / "mock" / "ledger.db", "reserved", "uploading")
            child.send(signal.SIGINT)
            words = child.hear("vidorch jobs proceed").partition(": vidorch ")[2].split()
            said = child.end()
        assert (130, True) == (said.code, "No vendor has anything of" in said.err)
        assert ["abandoned"] == [job["state"] for job in again("jobs", "list", "--json").document]
        proceeded = again(*words, "--yes")
        assert (0, True) == (proceeded.code, Path(proceeded.lines[0]).is_file())
        assert not (folder / "go").exists()


class TestTheSecondCtrlC:
    def test_cancels_at_the_vendor(self, held: Path, again: Command) -> None:
        """Exit 130; the job is cancelled, and what the vendor takes for that is booked and said."""
        with working(*BUY) as child:
            wait_for_a_job_in(held, "accepted", "running")
            child.send(signal.SIGINT)
            child.hear("press Ctrl-C again")
            child.send(signal.SIGINT)
            child.hear("Cancelling at the vendor")
            said = child.end()
        (job,) = again("jobs", "list", "--json").document
        assert (130, "cancelled", "0.50") == (said.code, job["state"], job["cost"])
        assert f"{job['id']} cancelled, $0.50" in said.err


class TestOtherSignals:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_let_go_in_order(self, held: Path, again: Command, number: int, code: int) -> None:
        """SIGTERM and SIGHUP: at once, nothing cancelled, the command that gets it back on stderr, a code of its own."""
        with working(*BUY) as child:
            wait_for_a_job_in(held, "accepted", "running")
            child.send(number)
            said = child.end()
        (job,) = again("jobs", "list", "--json").document
        assert (code, None) == (said.code, job["owner"])
        assert job["state"] in ("accepted", "running")
        assert f"vidorch jobs resume {job['run_id']}" in said.err
        assert "press Ctrl-C again" not in said.err

    def test_a_terminal_that_is_closed(self, held: Path, again: Command) -> None:
        """Nothing can be said any more; the job is let go of all the same."""
        ours, child = _on_a_terminal(*BUY)
        try:
            wait_for_a_job_in(held, "accepted", "running")
        finally:
            os.close(ours)
        assert 129 == child.wait(timeout=60)
        (job,) = again("jobs", "list", "--json").document
        assert (True, None) == (job["state"] in ("accepted", "running"), job["owner"])

    def test_what_is_ignored_stays_ignored(self, held: Path) -> None:
        """`nohup vidorch generate` does not hear that its terminal was closed."""
        quiet = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
        with working(*BUY, **quiet) as child:
            wait_for_a_job_in(held, "accepted", "running")
            child.send(signal.SIGHUP)
            child.send(signal.SIGTERM)
            assert 143 == child.end().code


class TestTimeout:
    def test_lets_go(self, held: Path, again: Command) -> None:
        """--timeout: exit 8, the job goes on at the vendor, and stderr says how to get it back and what is known of its cost."""
        said = again(*BUY, "--timeout", "5")
        (job,) = again("jobs", "list", "--json").document
        assert (8, None) == (said.code, job["owner"])
        assert f"Get it back with: vidorch jobs resume {job['run_id']}" in said.err
        assert "Whether it was charged is not known." in said.err


class TestResume:
    def test_lets_go_again_on_ctrl_c(self, held: Path, again: Command) -> None:
        """`jobs resume` that is interrupted gives back what it took up: exit 130, nothing cancelled."""
        with working(*BUY) as buyer:
            wait_for_a_job_in(held, "accepted", "running")
            buyer.send(signal.SIGTERM)
            buyer.end()
        forgetful = {"VIDORCH_MOCK": str(_for_ever(held.parent))}
        with working("jobs", "resume", "--json", env=forgetful) as child:
            child.hear("Waiting for run_")
            child.send(signal.SIGINT)
            said = child.end()
        assert (130, {"runs": [], "waiting": []}) == (said.code, said.document)
        assert "Traceback" not in said.err
        (job,) = again("jobs", "list", "--json").document
        assert (True, None) == (job["state"] in ("accepted", "running"), job["owner"])


class TestAWorker:
    def test_takes_up_what_comes_until_it_is_told_to_stop(self, held: Path, again: Command) -> None:
        """`jobs resume --watch` brings home what others let go of, and ends well on SIGTERM."""
        with working("jobs", "resume", "--watch", env={"VIDORCH_MOCK": "1"}) as child:
            child.hear("Taking up what nobody carries")
            detached = again(*BUY, "--detach")
            run_id = detached.out.strip()
            child.hear(f"{run_id} finished")
            child.send(signal.SIGTERM)
            said = child.end()
        assert (0, 0, 1) == (detached.code, said.code, len(said.lines))
        assert Path(said.lines[0]).is_file()

    def test_lets_go_of_what_it_had_taken_up(self, held: Path, again: Command) -> None:
        """On Ctrl-C it gives back what it carries: exit 0, nothing cancelled."""
        with working("jobs", "resume", "--watch") as child, working(*BUY) as buyer:
            wait_for_a_job_in(held, "accepted", "running")
            buyer.send(signal.SIGTERM)
            buyer.end()
            child.hear("taken up")
            child.send(signal.SIGINT)
            assert 0 == child.end().code
        (job,) = again("jobs", "list", "--json").document
        assert job["state"] in ("accepted", "running", "downloading", "settled")

    def test_two_side_by_side_are_harmless(self, held: Path, again: Command) -> None:
        """Each run is brought home once, whoever takes it up."""
        watch = ("jobs", "resume", "--watch")
        with (
            working(*watch, env={"VIDORCH_MOCK": "1"}) as one,
            working(*watch, env={"VIDORCH_MOCK": "1"}) as other,
        ):
            for child in (one, other):
                child.hear("Taking up")
            runs = {again(*BUY, "--detach").out.strip() for _ in range(3)}
            assert 0 == again("jobs", "resume").code
            for run_id in runs:
                again("jobs", "resume", run_id)
            for child in (one, other):
                child.send(signal.SIGTERM)
                assert 0 == child.end().code
        jobs = again("jobs", "list", "--json").document
        assert [("settled", "0.50")] * 3 == [(job["state"], job["cost"]) for job in jobs]
        assert runs == {job["run_id"] for job in jobs}


def _for_ever(folder: Path) -> Path:
    """A mock whose vendor never answers a poll."""
    script = folder / "silent.py"
    script.write_text(
        "import asyncio\n"
        "def script(m):\n"
        "    async def poll(context, accepted):\n"
        "        await asyncio.Event().wait()\n"
        "    m._remote.poll = poll\n"
    )
    return script


def _slow(tmp_path: Path, what: str) -> tuple[Path, str]:
    """A mock whose vendor takes until a file `go` is there; gives the folder of that file and the script."""
    folder = tmp_path / what
    folder.mkdir()
    (tmp_path / "slow.py").write_text(SLOW.format(folder=str(folder)))
    return folder, str(tmp_path / "slow.py")


def _on_a_terminal(*words: object) -> tuple[int, subprocess.Popen[str]]:
    """The command with a terminal of its own, which hangs up on it when our end is closed."""
    ours, theirs = os.openpty()

    def take_it() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    child = start(
        *words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=take_it
    )
    os.close(theirs)
    return ours, child
