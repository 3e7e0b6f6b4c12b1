"""A submit over real sockets: what provably never left is `Rejected`, everything else without a reply is unknown."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.calls import outcome, run, with_http
from tests.http.conftest import Certificates, HttpOf
from tests.http.server import Asked, Line, Proxy, Server, answer
from vidorch.contract import Rejected
from vidorch.errors import InvalidRequest, LiveCallInTest, SubmissionUnknown
from vidorch.http import Http, Part
from vidorch.live import connect_only_to

LARGE = b"x" * 8_000_000
"""More than the sockets' buffers take."""


def closed_at_once(line: Line) -> None:
    line.close()


def reset_at_once(line: Line) -> None:
    line.reset()


def answers_without_tls(line: Line) -> None:
    line.sock.recv(10)
    line.reply(400)
    line.close()


def closed_unread(line: Line) -> None:
    select.select([line.sock], [], [])
    line.close()


def reset_unread(line: Line) -> None:
    select.select([line.sock], [], [])
    line.reset()


def closed_after_headers(line: Line) -> None:
    line.head()
    line.close()


def reset_after_headers(line: Line) -> None:
    line.head()
    line.reset()


def closed_after_body(line: Line) -> None:
    line.ask()
    line.close()


def reset_after_body(line: Line) -> None:
    line.ask()
    line.reset()


def cut(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    line.close()


def cut_by_reset(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    line.reset()


def cut_in_headers(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ncontent-le")
    line.close()


def chunk_missing(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n")
    line.close()


def chunk_broken(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabcde\r\n0\r\n\r\n")
    line.close()


def no_http(line: Line) -> None:
    line.ask()
    line.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    line.close()


def endless(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        line.send(b"x" * 65536)


MAYBE = [
    closed_unread, reset_unread, closed_after_headers, reset_after_headers, closed_after_body, reset_after_body, cut,
    cut_by_reset, cut_in_headers, chunk_missing, chunk_broken, no_http, endless,
]  # fmt: skip


class TestAfterTheConnectionStands:
    @pytest.mark.parametrize("take", MAYBE, ids=lambda one: one.__name__)
    def test_nobody_can_tell(
        self, http_of: HttpOf, tls: ssl.SSLContext | None, take: Callable[[Line], None]
    ) -> None:
        """Whatever ends it without a complete reply: it may have been accepted."""
        with Server(take=take, tls=tls) as server:
            error = outcome(http_of(), server.url(), most=100_000)
            assert (SubmissionUnknown, None, 1) == (
                type(error), getattr(error, "charged", 0), server.connections,
            )  # fmt: skip

    @pytest.mark.parametrize(
        "take", [reset_after_headers, closed_after_headers], ids=lambda one: one.__name__
    )
    def test_half_a_body(
        self, http_of: HttpOf, tls: ssl.SSLContext | None, take: Callable[[Line], None]
    ) -> None:
        """A body of which a part is still here when the other side goes away."""
        with Server(take=take, tls=tls) as server:
            assert isinstance(outcome(http_of(), server.url(), json=None, data=LARGE), SubmissionUnknown)

    def test_no_reply(self, http_of: HttpOf, tls: ssl.SSLContext | None) -> None:
        """A reply that never comes is waited for until `timeout`, and then nobody can tell."""
        with Server(app=lambda line, asked: None, tls=tls) as server:
            assert isinstance(outcome(http_of(), server.url(), timeout=0.3), SubmissionUnknown)

    def test_cancelled(self, http_of: HttpOf) -> None:
        """Cancelled after it went out, the cancellation goes through: nobody can tell."""
        arrived, over = threading.Event(), threading.Event()

        def hold(line: Line, asked: Asked) -> None:
            arrived.set()
            over.wait(20)  # what returns is closed, and that would be an answer

        with Server(app=hold) as server:

            async def use(http: Http) -> Any:
                task = asyncio.ensure_future(http.submit("POST", server.url(), json={}))
                await asyncio.to_thread(arrived.wait, 20)
                task.cancel()
                ended = (await asyncio.gather(task, return_exceptions=True))[0]
                over.set()
                return ended

            assert isinstance(with_http(http_of(), use), asyncio.CancelledError)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
    def test_once_whatever_the_method(self, http_of: HttpOf, method: str) -> None:
        """Not even what HTTP calls idempotent is sent a second time."""
        with Server(take=closed_after_body) as server:

            async def use(http: Http) -> Any:
                return (await asyncio.gather(http.submit(method, server.url()), return_exceptions=True))[0]

            error = with_http(http_of(), use)
            assert (SubmissionUnknown, 1) == (type(error), server.connections)


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose waiting line is full: a connection to it neither stands nor is refused."""
    if sys.platform != "linux":
        pytest.skip("other systems refuse when the waiting line is full")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
        for one in fillers:
            one.close()


def unknown_name(code: int) -> Callable[..., Any]:
    def fail(host: Any, *args: Any, **more: Any) -> Any:
        raise socket.gaierror(code, "no")

    return fail


class TestBeforeTheConnectionStands:
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_refused(self, http_of: HttpOf, closed_port: int, scheme: str) -> None:
        """Nobody listens: nothing was sent, and it may be made again in a moment."""
        error = outcome(http_of(), f"{scheme}://127.0.0.1:{closed_port}/")
        assert isinstance(error, Rejected) and (2.0, False, True) == (
            error.retry_after, error.charged, error.retryable,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("code", "retry_after"),
        [(socket.EAI_NONAME, None), (socket.EAI_AGAIN, 2.0)],
        ids=["never", "not-now"],
    )
    def test_unknown_host(
        self, http_of: HttpOf, monkeypatch: pytest.MonkeyPatch, code: int, retry_after: float | None
    ) -> None:
        """A name that does not exist will not exist in two seconds either; a name server that is down may be up."""
        monkeypatch.setattr(socket, "getaddrinfo", unknown_name(code))
        error = outcome(http_of(), "http://nowhere.invalid/")
        assert isinstance(error, Rejected) and retry_after == error.retry_after

    def test_connect_timeout(self, http_of: HttpOf, full_port: int) -> None:
        """No connection within the time for it."""
        error = outcome(http_of(connect=0.3), f"http://127.0.0.1:{full_port}/")
        assert isinstance(error, Rejected) and 2.0 == error.retry_after

    def test_no_time_left(self, http_of: HttpOf, full_port: int) -> None:
        """No connection within the time for the whole."""
        assert isinstance(outcome(http_of(), f"http://127.0.0.1:{full_port}/", timeout=0.3), Rejected)

    @pytest.mark.parametrize("fault", ["of_another_host", "expired", "untrusted"])
    def test_bad_certificate(self, http_of: HttpOf, certificates: Certificates, fault: str) -> None:
        """A certificate that cannot be trusted will not get better by waiting."""
        with Server(tls=getattr(certificates, fault)()) as server:
            error = outcome(http_of(), server.url())
            assert isinstance(error, Rejected) and (None, []) == (error.retry_after, server.requests)
            assert "certificate cannot be trusted" in error.cause.message

    @pytest.mark.parametrize(
        "early", [closed_at_once, reset_at_once, lambda line: (line.sock.recv(10), line.close())],
        ids=["closed", "reset", "closed-after-hello"],
    )  # fmt: skip
    def test_handshake_cut(self, http_of: HttpOf, certificates: Certificates, early: Any) -> None:
        """The other side goes away while TLS is being set up."""
        with Server(early=early, tls=certificates.good()) as server:
            error = outcome(http_of(), server.url())
            assert isinstance(error, Rejected) and 2.0 == error.retry_after

    def test_handshake_never(self, http_of: HttpOf, certificates: Certificates) -> None:
        """The other side takes the connection and says nothing."""
        with Server(tls=certificates.good()) as server:
            server.early = lambda line: server.over.wait() and None
            assert isinstance(outcome(http_of(connect=0.3), server.url()), Rejected)

    def test_plain_server_behind_https(self, http_of: HttpOf) -> None:
        """A server that does not speak TLS at all."""
        with Server(take=answers_without_tls) as server:
            assert isinstance(outcome(http_of(), server.url().replace("http:", "https:")), Rejected)

    def test_proxy_refuses_the_tunnel(self, http_of: HttpOf, certificates: Certificates) -> None:
        """A proxy that wants a password has passed nothing on."""
        with Server(tls=certificates.good()) as server, Proxy(wants="Basic eDp5") as proxy:
            error = outcome(http_of(proxy=proxy.url()), server.url())
            assert isinstance(error, Rejected) and (None, 0) == (error.retry_after, server.connections)
            assert "407" in error.cause.message

    @pytest.mark.parametrize("take", [closed_after_headers, reset_at_once], ids=lambda one: one.__name__)
    def test_proxy_goes_away(self, http_of: HttpOf, certificates: Certificates, take: Any) -> None:
        """A proxy that dies before the tunnel stands."""
        with Server(tls=certificates.good()) as server, Server(take=take) as proxy:
            assert isinstance(outcome(http_of(proxy=proxy.url()), server.url()), Rejected)

    def test_cancelled(self, http_of: HttpOf, full_port: int) -> None:
        """Cancelled before the connection stood: nothing was sent, and it is not to be made again."""

        async def use(http: Http) -> Any:
            task = asyncio.ensure_future(http.submit("POST", f"http://127.0.0.1:{full_port}/", json={}))
            while not await asyncio.to_thread(connecting_to, full_port, fillers=7):
                pass
            task.cancel()
            return (await asyncio.gather(task, return_exceptions=True))[0]

        error = with_http(http_of(), use)
        assert isinstance(error, Rejected) and error.retry_after is None

    @pytest.mark.parametrize(
        ("url", "more"),
        [
            ("ftp://127.0.0.1/", {}), ("http://", {}), ("http://a b/", {}), ("http://x\\@y/", {}), ("no url", {}),
            ("http://127.0.0.1/", {"headers": {"a": "b\r\nc: d"}}), ("http://127.0.0.1/", {"headers": {"a b": "c"}}),
            ("http://127.0.0.1/", {"json": float("nan")}), ("http://127.0.0.1/", {"json": {1}}),
            ("http://127.0.0.1/", {"data": b"x"}), ("http://127.0.0.1/", {"json": None, "parts": ["x"]}),
        ],
    )  # fmt: skip
    def test_what_cannot_be_sent(self, http_of: HttpOf, url: str, more: dict[str, Any]) -> None:
        """A mistake in the call is said as such, before anything happens."""
        error = outcome(http_of(), url, **more)
        assert isinstance(error, Rejected) and isinstance(error.cause, InvalidRequest)

    def test_a_file_that_is_gone(self, http_of: HttpOf, tmp_path: Any, server: Server) -> None:
        """A form with a file that is not there is not begun."""
        error = outcome(http_of(), server.url(), json=None, parts=[Part("image", tmp_path / "gone.png")])
        assert isinstance(error, Rejected) and 0 == server.connections

    def test_under_a_mock(self, http_of: HttpOf, server: Server) -> None:
        """A mock is asked before anything is connected."""
        before = connect_only_to(frozenset())
        try:
            error = outcome(http_of(), server.url())
        finally:
            connect_only_to(before)
        assert isinstance(error, Rejected) and isinstance(error.cause, LiveCallInTest)
        assert 0 == server.connections

    def test_after_the_end(self, http_of: HttpOf, server: Server) -> None:
        """Nothing goes out through a client that was closed."""

        async def use(http: Http) -> Any:
            await http.aclose()
            return (await asyncio.gather(http.submit("POST", server.url()), return_exceptions=True))[0]

        error = with_http(http_of(), use)
        assert isinstance(error, Rejected) and 0 == server.connections


def open_sockets() -> set[int]:
    """The descriptors of all sockets of this process that somebody holds."""
    sockets = [one for one in gc.get_objects() if type(one) is socket.socket]
    return {one.fileno() for one in sockets} - {-1}


def connecting_to(port: int, *, fillers: int) -> bool:
    """Whether more connections to this port are being made than those of the fixture (Linux)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(f":{port:04X} 02 " in line for line in lines) > fillers


class TestTheReply:
    @pytest.mark.parametrize("status", [200, 201, 204, 400, 401, 402, 429, 500, 502, 503])
    def test_whatever_the_status(self, http_of: HttpOf, tls: ssl.SSLContext | None, status: int) -> None:
        """A complete reply is handed over, good or bad: the provider reads the vendor's own words."""
        body = b"" if status == 204 else b'{"id": 7}'
        with Server(app=lambda line, asked: line.reply(status, body), tls=tls) as server:
            reply = run(http_of(), server.url())
            assert (status, body) == (reply.status, reply.body)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect(self, http_of: HttpOf, server: Server, status: int) -> None:
        """A redirect is a reply like any other, and is not followed."""
        server.app = lambda line, asked: line.reply(status, b"", location=server.url("/else"))
        reply = run(http_of(), server.url("/first"))
        assert (status, server.url("/else"), 1) == (
            reply.status,
            reply.headers["location"],
            len(server.requests),
        )

    def test_chunked(self, http_of: HttpOf) -> None:
        """A reply in chunks is put together."""
        raw = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n'
        with Server(app=lambda line, asked: line.send(raw)) as server:
            assert {"a": 1} == run(http_of(), server.url()).json()

    def test_continue_first(self, http_of: HttpOf) -> None:
        """What a server says on the way to its reply is not the reply."""
        raw = b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, b'{"id": 1}')
        with Server(app=lambda line, asked: line.send(raw)) as server:
            assert 200 == run(http_of(), server.url()).status

    def test_before_the_body_was_read(self, http_of: HttpOf) -> None:
        """A server that answers before it has read everything is heard."""

        def early(line: Line) -> None:
            line.head()
            line.reply(413, b'{"error": "too large"}', connection="close")
            while line.sock.recv(65536):
                pass

        with Server(take=early) as server:
            assert 413 == run(http_of(), server.url(), json=None, data=LARGE).status

    def test_the_cap(self, http_of: HttpOf) -> None:
        """A reply as long as allowed is fine."""
        with Server(app=lambda line, asked: line.reply(200, b"x" * 1000)) as server:
            assert 1000 == len(run(http_of(), server.url(), most=1000).body)


class TestTheConnection:
    def test_is_gone_at_the_end(self, http_of: HttpOf, certificates: Certificates) -> None:
        """Closing leaves no socket open, even where the other side never says goodbye."""

        def stays(line: Line) -> None:
            line.ask()
            line.reply()
            server.over.wait()

        before = open_sockets()
        with Server(take=stays, tls=certificates.good()) as server:
            run(http_of(), server.url())
        assert set() == open_sockets() - before

    def test_is_never_a_pooled_one(self, http_of: HttpOf, tls: ssl.SSLContext | None) -> None:
        """A connection that a poll left open is not used for a submit, nor one submit's for the next."""

        async def use(http: Http) -> None:
            await http.request("GET", server.url("/poll"))
            await http.submit("POST", server.url("/1"), json={})
            await http.submit("POST", server.url("/2"), json={})
            await asyncio.gather(*(http.request("GET", server.url("/poll")) for _ in range(5)))
            await http.submit("POST", server.url("/3"), json={})

        with Server(tls=tls) as server:
            with_http(http_of(), use)
            submits = [asked for asked in server.requests if asked.method == "POST"]
            first = {one.line: asked.target for asked in reversed(server.requests) for one in [asked]}
            assert ["/1", "/2", "/3"] == [first[asked.line] for asked in submits]

    def test_sends_what_was_asked(self, http_of: HttpOf, server: Server) -> None:
        """The method, the path with its query as it is written, the headers and the body."""
        url = server.url("/v1/videos?sig=a%2Fb%7Ec&x=%41")
        run(http_of(), url, headers={"Authorization": "Bearer k"}, json={"prompt": "héllo"})
        (asked,) = server.requests
        assert ("POST", "/v1/videos?sig=a%2Fb%7Ec&x=%41", "Bearer k", '{"prompt":"héllo"}'.encode()) == (
            asked.method, asked.target, asked.headers["authorization"], asked.body,
        )  # fmt: skip

    def test_says_who_calls(self, http_of: HttpOf, server: Server) -> None:
        """The user agent is vidorch, and nothing is asked for in a compressed form."""
        run(http_of(), server.url())
        headers = server.requests[0].headers
        assert (True, "identity", "application/json") == (
            headers["user-agent"].startswith("vidorch/"), headers["accept-encoding"], headers["content-type"],
        )  # fmt: skip

    def test_no_netrc(
        self, http_of: HttpOf, server: Server, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A netrc file that has an entry for the host is not read."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        run(http_of(), server.url())
        assert "authorization" not in server.requests[0].headers

    def test_no_cookies(self, http_of: HttpOf, server: Server) -> None:
        """A cookie that one reply sets is not sent with the next call."""
        server.app = lambda line, asked: line.reply(set_cookie="session=1; Path=/")

        async def use(http: Http) -> None:
            for _ in range(2):
                await http.request("GET", server.url())
                await http.submit("POST", server.url(), json={})

        with_http(http_of(), use)
        assert [False] * 4 == ["cookie" in asked.headers for asked in server.requests]
