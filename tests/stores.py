"""Stores to publish to: a real S3 server on this machine, and wires in front of it that break."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import fsspec


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server of its own port. Gives its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def s3_settings(address: str, key: str = "test") -> dict[str, Any]:
    """What makes fsspec talk to that server, at once or not at all."""
    return {
        "endpoint_url": address,
        "key": key,
        "secret": "test",
        "client_kwargs": {"region_name": "us-east-1"},
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 5, "read_timeout": 5},
    }


def make_bucket(address: str, name: str) -> None:
    """A bucket with nothing in it."""
    fsspec.filesystem("s3", **s3_settings(address)).call_s3("create_bucket", Bucket=name)


@contextlib.contextmanager
def denies_everything() -> Iterator[str]:
    """A server that knows nobody."""

    class Denies(BaseHTTPRequestHandler):
        def _deny(self) -> None:
            body = b"<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = _deny  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Denies)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class DyingWire:
    """Passes bytes on to a server, and drops the connection once it has taken `after` bytes in one direction of it."""

    def __init__(self, address: str, after: int) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._behind = (host, int(port))
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.dropped = 0

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._behind)
                for source, sink, most in ((near, far, self._after), (far, near, None)):
                    thread = threading.Thread(target=self._pass_on, args=(source, sink, most))
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        taken = 0
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                taken += len(data)
                if most is not None and taken > most:
                    self.dropped += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
