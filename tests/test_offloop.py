"""What loops wait for besides time is said in one place."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from vidorch import offloop

CORE = Path(__file__).parents[1] / "vidorch"


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @contextmanager
    def _told(self, word: str) -> Iterator[None]:
        self.heard.append(f"{word} begins")
        try:
            yield
        finally:
            self.heard.append(f"{word} ends")

    def working(self) -> AbstractContextManager[None]:
        return self._told("work")

    def wanted(self) -> AbstractContextManager[None]:
        return self._told("waiting")


@pytest.fixture
def heard() -> Iterator[list[str]]:
    listener = Listener()
    before = offloop.watch(listener)
    yield listener.heard
    offloop.watch(before)


class TestWithoutAListener:
    def test_a_function_runs_on_another_thread(self) -> None:
        """As by `asyncio.to_thread`."""
        assert threading.get_ident() != asyncio.run(offloop.in_thread(threading.get_ident))

    def test_a_future_of_another_thread(self) -> None:
        """As by `asyncio.wrap_future`."""
        future: Future[int] = Future()
        threading.Timer(0, future.set_result, (5,)).start()
        assert 5 == asyncio.run(offloop.written(future))


class TestWithAListener:
    def test_is_told_of_beginnings_and_ends(self, heard: list[str]) -> None:
        """Of work, of waiting, and also where it fails."""
        failed: Future[int] = Future()
        failed.set_exception(ZeroDivisionError())

        async def main() -> None:
            await offloop.awaited(offloop.in_thread(len, "abc"))
            with pytest.raises(ZeroDivisionError):
                await offloop.written(failed)

        asyncio.run(main())
        assert [
            "waiting begins",
            "work begins",
            "work ends",
            "waiting ends",
            "work begins",
            "work ends",
        ] == heard


def test_nobody_waits_for_threads_otherwise() -> None:
    """A clock that jumps would jump over it."""
    # The network is not reached under such a clock, and worker threads of a test kit are its own.
    rooms = [
        path
        for path in CORE.rglob("*.py")
        if path.relative_to(CORE).parts[0] not in ("http", "offloop.py", "testing")
    ]
    wrong = [
        f"{path.relative_to(CORE)}: {line.strip()}"
        for path in rooms
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"asyncio\.(to_thread|wrap_future)\(|run_in_executor\(", line)
    ]
    assert len(rooms) > 50
    assert [] == wrong
