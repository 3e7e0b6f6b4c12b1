"""A way to a database that is cut at a word."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal, Self

from vidorch.databases import DatabaseUrl

__all__ = ["Wire"]

COMMIT = b"COMMIT\0"


class Wire:
    """Passes bytes on to a server. A context manager.

    Attributes:
        place: the database, by way of this wire. cuts: how often it was cut so far.
    """

    def __init__(self, place: DatabaseUrl) -> None:
        self._behind = (place.settings["host"], int(place.settings["port"]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: list[socket.socket] = []
        self._how: Literal["before", "after"] | None = None
        self._stays = False
        self.down = False
        self.cuts = 0
        self.place = DatabaseUrl({**place.settings, "port": str(self._listener.getsockname()[1])})

    def cut(self, how: Literal["before", "after"], *, stays: bool = False) -> None:
        """Have it cut at the next commit: before it reaches the server, or after, so that its answer is lost.

        Args:
            stays: nobody comes through after that, until `mend`.
        """
        self._how, self._stays = how, stays

    def mend(self) -> None:
        """Let everybody through again."""
        self.down = False

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            _shut(one)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.down:
                    near.close()
                    continue
                far = socket.create_connection(self._behind)
                self._open += [near, far]
                lost = threading.Event()
                for work in (self._to_the_server, self._back):
                    thread = threading.Thread(target=work, args=(near, far, lost), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _to_the_server(self, near: socket.socket, far: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65_536):
                if self._how is not None and COMMIT in data:
                    how, self._how = self._how, None
                    self.down, self.cuts = self._stays, self.cuts + 1
                    if how == "before":
                        break
                    lost.set()
                far.sendall(data)
        if not lost.is_set():
            _shut(near, far)

    def _back(self, near: socket.socket, far: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65_536):
                if lost.is_set():
                    break
                near.sendall(data)
        _shut(near, far)


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
