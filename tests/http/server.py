"""A server that does what a test says, byte by byte, over a real socket; and a proxy that tunnels."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Asked", "Line", "Proxy", "Server", "answer"]


@dataclass(frozen=True)
class Asked:
    """One request as it came. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    line: int
    """Number of the connection that it came on, from 1."""


class Line:
    """One connection, from the server's side."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._left = b""

    def head(self) -> tuple[str, str, dict[str, str]] | None:
        """Read up to the end of the headers. None: the other side closed."""
        while b"\r\n\r\n" not in self._left:
            more = self.sock.recv(65536)
            if not more:
                return None
            self._left += more
        raw, self._left = self._left.split(b"\r\n\r\n", 1)
        first, *lines = raw.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return method, target, headers

    def body(self, headers: dict[str, str]) -> bytes:
        """Read the body that the headers announce."""
        length = int(headers.get("content-length", "0"))
        while len(self._left) < length:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError("closed inside the body")
            self._left += more
        body, self._left = self._left[:length], self._left[length:]
        return body

    def ask(self) -> Asked | None:
        """Read a whole request. None: the other side closed."""
        head = self.head()
        if head is None:
            return None
        method, target, headers = head
        return Asked(method, target, headers, self.body(headers), self.number)

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.sock.sendall(data)

    def reply(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        """A well-formed reply. `content_type="text/html"` becomes a header."""
        self.send(answer(status, body, **headers))

    def reset(self) -> None:
        """End it with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A TLS socket is closed without its farewell, as a host that crashes does.
        fd = self.sock.detach()
        socket.close(fd)

    def close(self) -> None:
        """End it with FIN."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """The bytes of a reply."""
    lines = {"content-length": str(len(body)), "content-type": "application/json"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def well(line: Line, asked: Asked) -> None:
    """Everything is answered with `{}`."""
    line.reply()


@dataclass
class Server:
    """Listens on a free port of 127.0.0.1 until it is closed.

    Attributes:
        app: called for each request. take: called for each connection instead, before anything is read.
        early: called for each raw connection, before TLS.
        requests: those that came whole, in order. connections: how many were made.
    """

    app: Callable[[Line, Asked], None] = well
    take: Callable[[Line], None] | None = None
    early: Callable[[Line], None] | None = None
    tls: ssl.SSLContext | None = None
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._open: list[Line] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.over = threading.Event()
        """Set when the test is done: for behaviours that wait for nothing else."""
        self._start(self._listen)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            lines = list(self._open)
        for line in lines:
            line.close()
        for thread in self._threads:
            thread.join(10)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """The URL of a path here."""
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}{path}"

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                line = Line(sock, self.connections)
                self._open.append(line)
            self._start(self._serve, line)

    def _serve(self, line: Line) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self.early is not None:
                self.early(line)
                return
            if self.tls is not None:
                line.sock = self.tls.wrap_socket(line.sock, server_side=True)
            if self.take is not None:
                self.take(line)
            else:
                while (asked := line.ask()) is not None:
                    with self._lock:
                        self.requests.append(asked)
                    self.app(line, asked)
                    if asked.headers.get("connection") == "close":
                        break
        line.close()


class Proxy(Server):
    """An HTTP proxy: CONNECT becomes a tunnel, everything else is passed on to where it says.

    `wants` is the Proxy-Authorization that it asks for; without it, 407.
    """

    def __init__(self, wants: str | None = None) -> None:
        super().__init__(take=self._pass)
        self.wants = wants

    def _pass(self, line: Line) -> None:
        head = line.head()
        if head is None:
            return
        method, target, headers = head
        body = line.body(headers)
        self.requests.append(Asked(method, target, headers, body, line.number))
        if self.wants is not None and headers.get("proxy-authorization") != self.wants:
            line.reply(407, b"", proxy_authenticate="Basic", connection="close")
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                line.send(b"HTTP/1.1 200 OK\r\n\r\n")
                self._tunnel(line.sock, far)
            return
        authority, _, path = target.removeprefix("http://").partition("/")
        host, _, port = authority.partition(":")
        with socket.create_connection((host, int(port or 80))) as far:
            lines = "".join(
                f"{name}: {value}\r\n" for name, value in headers.items() if not name.startswith("proxy-")
            )
            far.sendall(f"{method} /{path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode() + body)
            while data := far.recv(65536):
                line.send(data)

    def _tunnel(self, near: socket.socket, far: socket.socket) -> None:
        while not self.over.is_set():
            ready, _, _ = select.select([near, far], [], [], 0.05)
            for sock in ready:
                data = sock.recv(65536)
                if not data:
                    return
                (far if sock is near else near).sendall(data)
