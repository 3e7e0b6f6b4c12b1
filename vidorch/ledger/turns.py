"""Turns at a file that several processes write to: whoever has waited longest is next.

SQLite gives its lock to whoever happens to ask at the right moment, which is mostly the one that has just given it back: among
eight busy processes some would wait a second while others write a hundred times. So writers queue here before they ask, on a lock
of the operating system that wakes them in order. Nothing but fairness depends on it: where there is no such lock, or somebody was
stopped while it was their turn, one goes on without, and SQLite's own lock decides as ever.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from weakref import WeakSet

if sys.platform != "win32":
    import fcntl

__all__ = ["Turns"]

PATIENCE = 2.0
"""Seconds that a turn is waited for. Eight processes on a slow disk are through in a tenth of that."""
GRUDGE = 30.0
"""Seconds for which turns are not waited for after one did not come."""


class _Wish:
    """To be next. Granted, or given up, whichever comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._granted = threading.Event()
        self._given_up = False

    def grant(self) -> bool:
        """Whether somebody still wants it."""
        with self._lock:
            if not self._given_up:
                self._granted.set()
            return not self._given_up

    def wait(self, seconds: float) -> bool:
        """Whether it was granted in time."""
        if self._granted.wait(seconds):
            return True
        with self._lock:
            self._given_up = not self._granted.is_set()
            return not self._given_up


class Turns:
    """The turns of one writer. Used by one thread.

    Args:
        path: of the file that is written to; the lock lies beside it. None where nobody else can write.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: int | None = None
        self._mine = False
        self._alone_until = 0.0
        self._wishes: SimpleQueue[_Wish | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        if path is None or sys.platform == "win32":
            return
        with contextlib.suppress(OSError):
            self._file = os.open(f"{path}-turn", os.O_CREAT | os.O_RDWR, 0o600)
            _open.add(self)

    def wait(self) -> None:
        """Wait until it is our turn, or until that makes no sense any more."""
        if self._file is None or time.monotonic() < self._alone_until:
            return
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._mine = True
            except BlockingIOError:
                self._mine = self._queue()
            except OSError:  # a file system without such locks
                self._alone_until = float("inf")

    def over(self) -> None:
        """Let the next one in."""
        if self._mine and self._file is not None and sys.platform != "win32":
            self._mine = False
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Wait for no turn any more."""
        _open.discard(self)
        self._alone_until = float("inf")
        if self._thread is None:
            self.forget()
            return
        self._wishes.put(None)
        self._thread.join(
            PATIENCE
        )  # it may still stand in line; then it lets go of the file when it is through

    def forget(self) -> None:
        """Let go of the file, as a forked child must: it would hold the turn of its parent."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def _queue(self) -> bool:
        """Whether our turn came. The system can only be waited for without end, so another thread does that."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._stand, name="vidorch-ledger-turn", daemon=True)
            self._thread.start()
        wish = _Wish()
        self._wishes.put(wish)
        came = wish.wait(PATIENCE)
        if not came:
            self._alone_until = time.monotonic() + GRUDGE
        return came

    def _stand(self) -> None:
        try:
            while (wish := self._wishes.get()) is not None and (file := self._file) is not None:
                if sys.platform != "win32":
                    fcntl.flock(file, fcntl.LOCK_EX)
                    if not wish.grant():
                        fcntl.flock(file, fcntl.LOCK_UN)
        except OSError:  # no such locks any more: everybody goes on without
            self._alone_until = float("inf")
        finally:
            self.forget()


_open: WeakSet[Turns] = WeakSet()


def _forget_all() -> None:
    for turns in list(_open):
        turns.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
