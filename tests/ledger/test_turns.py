"""Who waits longest is next, and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vidorch.ledger import turns
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.turns import Turns

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


@pytest.fixture
def two(path: Path) -> Iterator[tuple[Turns, Turns]]:
    """Two writers of one file."""
    first, second = Turns(path), Turns(path)
    yield first, second
    first.close()
    second.close()


def is_free(path: Path) -> bool:
    """Whether nobody has the turn."""
    import fcntl

    file = os.open(f"{path}-turn", os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


class TestTurns:
    def test_one_after_the_other(self, two: tuple[Turns, Turns]) -> None:
        """The second comes when the first is done."""
        first, second = two
        seen: list[str] = []
        first.wait()

        def come() -> None:
            second.wait()
            seen.append("second")
            second.over()

        waiting = threading.Thread(target=come)
        waiting.start()
        seen.append("first")
        first.over()
        waiting.join(30)
        assert ["first", "second"] == seen

    def test_are_given_back(self, two: tuple[Turns, Turns], path: Path) -> None:
        """Whoever is done leaves nothing behind."""
        two[0].wait()
        taken = is_free(path)
        two[0].over()
        assert (False, True) == (taken, is_free(path))

    def test_that_do_not_come_are_done_without(
        self, two: tuple[Turns, Turns], path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A writer that was stopped while it was its turn holds nobody up for good; what comes too late is given back."""
        monkeypatch.setattr(turns, "PATIENCE", 0.0)
        first, second = two
        first.wait()
        second.wait()
        second.over()
        first.over()
        monkeypatch.undo()
        second.close()  # waits for the thread that was still standing in line
        assert is_free(path)

    def test_are_not_waited_for_again_soon(
        self, two: tuple[Turns, Turns], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After one that did not come, the next are not waited for at all."""
        monkeypatch.setattr(turns, "PATIENCE", 0.0)
        first, second = two
        first.wait()
        second.wait()
        monkeypatch.setattr(second, "_queue", lambda: pytest.fail("it waited again"))
        second.wait()

    def test_need_no_place(self, tmp_path: Path) -> None:
        """Where no lock can be put, everybody goes on without."""
        nowhere = Turns(tmp_path / "nowhere" / "ledger.db")
        nowhere.wait()
        nowhere.over()
        nowhere.close()

    def test_are_not_inherited(self, path: Path) -> None:
        """A forked child holds no turn of its parent: when the parent dies, others come."""
        parent = subprocess.run(
            [sys.executable, "-c", _FORKING, str(path)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert "held, then free\n" == parent.stdout


_FORKING = """
import os, sys
from pathlib import Path
from tests.ledger.test_turns import is_free
from vidorch.ledger.turns import Turns

path = Path(sys.argv[1])
turns = Turns(path)
turns.wait()
(ready, said), (wait, go) = os.pipe(), os.pipe()
if os.fork() == 0:
    os.write(said, b"x")
    os.read(wait, 1)
    os._exit(0)
os.read(ready, 1)
before = is_free(path)
os.close(turns._file)  # as when it dies
print(f"{'free' if before else 'held'}, then {'free' if is_free(path) else 'held'}")
os.write(go, b"x")
os.wait()
"""


def test_a_ledger_writes_without_turns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the lock of the operating system does not work, SQLite's own does."""
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    ledger = Ledger(path)
    ledger.set_run("run_1", 0.0).result()
    ledger.close()
