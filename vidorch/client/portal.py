"""One event loop on one background thread, for blocking code: started at first use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from typing import Any, TypeVar

__all__ = ["Portal"]

T = TypeVar("T")
SLICE = 0.2  # seconds until Ctrl-C is noticed at the latest
LAST_WORDS = 2.0  # seconds that an interrupted call has for saying what goes on without it


class Portal:
    """Runs coroutines on a loop of its own and waits for them. Not for use after a fork: make a new one there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether anything was ever called."""
        return self._loop is not None

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        """Run `function(*args, **kwargs)` on the loop and return what it returns.

        Ctrl-C cancels the waiting only: the coroutine is told, what it shields goes on, and what it notes on its
        `CancelledError` (how to get back what was paid for) is noted on the `KeyboardInterrupt`.

        Raises:
            RuntimeError: called from the loop itself, or closed by another thread meanwhile.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "A blocking vidorch call was made from vidorch's own event loop, which would wait for itself. "
                "Use AsyncClient there."
            )
        notes: list[str] = []
        ended = threading.Event()

        async def work() -> T:
            try:
                return await function(*args, **kwargs)
            except asyncio.CancelledError as cancelled:
                notes.extend(getattr(cancelled, "__notes__", ()))
                raise
            finally:
                ended.set()

        with self._lock:  # scheduled before a close can ask the loop to stop, so nobody is left waiting
            future: Future[T] = asyncio.run_coroutine_threadsafe(work(), self._running())
        try:
            # In slices: a wait without an end cannot be interrupted on Windows, nor where a signal reaches another thread.
            while not wait([future], timeout=SLICE).done:
                pass
            return future.result()
        except CancelledError:
            raise RuntimeError("This client was closed by another thread before the call was done.") from None
        except BaseException as error:
            if future.cancel():
                ended.wait(LAST_WORDS)
            for note in notes:
                error.add_note(note)
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run, args=(self._loop,), name="vidorch-loop", daemon=True)
            self._thread.start()
        return self._loop

    def close(self) -> None:
        """Stop the loop and its thread; whoever still waits for a call gets a RuntimeError."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    while left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left))
    loop.close()  # does not wait for worker threads: one of them may be the caller
