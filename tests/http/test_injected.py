"""An `httpx.AsyncClient` of the caller's: the same promises, whatever it is made of."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.calls import outcome, run, with_http
from tests.http.server import Line, Server
from vidorch.contract import Rejected
from vidorch.errors import SubmissionUnknown
from vidorch.http import Http, exchange


def injected(transport: httpx.AsyncBaseTransport | None = None, **settings: Any) -> Http:
    return Http(httpx.AsyncClient(transport=transport, trust_env=False, **settings))


class Lies(httpx.AsyncBaseTransport):
    """Sends by its own sockets, tells of no event, and calls whatever ends it a connect error, as one such transport does."""

    def __init__(self, error: type[httpx.TransportError]) -> None:
        self.error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reader, writer = await asyncio.open_connection(request.url.host, request.url.port)
        body = await request.aread()
        head = f"{request.method} {request.url.raw_path.decode()} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        try:
            if not await reader.read(1):
                raise self.error("Cannot connect", request=request)
        except ConnectionError as error:
            raise self.error("Cannot connect", request=request) from error
        finally:
            writer.close()
        raise AssertionError("it was to be cut")


class Again(httpx.AsyncBaseTransport):
    """Sends a request again when the server is busy, as many people's transports do."""

    def __init__(self) -> None:
        self.inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        if response.status_code == 503:
            await response.aread()
            response = await self.inner.handle_async_request(request)
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


class TestATransportThatTellsNothing:
    @pytest.mark.parametrize(
        "error", [httpx.ConnectTimeout, httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol]
    )
    @pytest.mark.parametrize("end", [Line.close, Line.reset], ids=["closed", "reset"])
    def test_may_have_sent_everything(
        self, error: type[httpx.TransportError], end: Callable[[Line], None]
    ) -> None:
        """A connection that died after the body was read and is called a connect error: the server has it, nobody can tell."""
        bodies: list[bytes] = []

        def reads(line: Line) -> None:
            asked = line.ask()
            assert asked is not None
            bodies.append(asked.body)
            end(line)

        with Server(take=reads) as server:
            found = outcome(injected(Lies(error)), server.url())
        assert (SubmissionUnknown, [b'{"prompt":"a ball"}']) == (type(found), bodies)

    @pytest.mark.parametrize(
        "error", [httpx.ConnectError("no"), RuntimeError("no"), OSError("no"), httpx.PoolTimeout("no")]
    )
    def test_whatever_it_raises(self, error: Exception) -> None:
        """Of a mock transport, too."""

        def fail(request: httpx.Request) -> httpx.Response:
            raise error

        assert isinstance(
            outcome(injected(httpx.MockTransport(fail)), "https://vendor.test/"), SubmissionUnknown
        )

    def test_its_reply_is_a_reply(self) -> None:
        """Where it answers, all is well."""
        http = injected(httpx.MockTransport(lambda request: httpx.Response(201, json={"id": 1})))
        assert (201, {"id": 1}) == ((reply := run(http, "https://vendor.test/")).status, reply.json())

    def test_its_download(self, tmp_path: Path) -> None:
        """A transport of one's own may know hosts that nobody else does."""

        async def nobody(host: str, port: int) -> list[str]:
            raise OSError("unknown")

        client = httpx.AsyncClient(
            transport=httpx.MockTransport(lambda request: httpx.Response(200, content=b"clip"))
        )
        with_http(Http(client, lookup=nobody), lambda h: h.download("https://cdn.test/x", tmp_path / "clip"))
        assert b"clip" == (tmp_path / "clip").read_bytes()

    def test_its_download_that_is_cut(self, tmp_path: Path) -> None:
        """A length that is not met is noticed also where the transport does not."""
        reply = httpx.Response(200, headers={"content-length": "100"}, stream=httpx.ByteStream(b"abc"))
        http = Http(
            httpx.AsyncClient(transport=httpx.MockTransport(lambda request: reply)),
            private_hosts=["127.0.0.1"],
        )
        with pytest.raises(Exception, match="3 of 100 bytes"):
            with_http(http, lambda h: h.download("http://127.0.0.1/x", tmp_path / "clip"))


class TestATransportThatSendsAgain:
    def test_is_stopped(self) -> None:
        """The second time is stopped before a byte of it: the first may have been accepted, and is not paid twice."""
        with Server(app=lambda line, asked: line.reply(503)) as server:
            found = outcome(injected(Again()), server.url())
            assert (SubmissionUnknown, 1) == (type(found), len(server.requests))

    def test_connecting_again_is_fine(self, server: Server) -> None:
        """httpx's own `retries` are of connections alone."""
        assert 200 == run(injected(httpx.AsyncHTTPTransport(retries=3)), server.url()).status


class TestItsConnections:
    def test_idle_ones_are_passed_over(self, server: Server) -> None:
        """However many are open from polls, a submit gets one of its own."""

        async def use(http: Http) -> None:
            gate = asyncio.Barrier(10)

            async def poll() -> None:
                await gate.wait()
                await http.request("GET", server.url())

            await asyncio.gather(*(poll() for _ in range(10)))
            await http.submit("POST", server.url(), json={})

        with_http(injected(), use)
        submit = server.requests[-1]
        assert ("POST", 1) == (submit.method, sum(asked.line == submit.line for asked in server.requests))

    def test_a_full_pool(self) -> None:
        """Waiting for a place in the pool tells of nothing: nobody can tell, which is the safe side."""
        arrived = threading.Event()
        with Server(app=lambda line, asked: arrived.set()) as server:

            async def use(http: Http) -> Any:
                first = asyncio.ensure_future(http.submit("POST", server.url(), timeout=20.0))
                await asyncio.to_thread(arrived.wait, 20)
                found = await asyncio.gather(
                    http.submit("POST", server.url(), timeout=0.2), return_exceptions=True
                )
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
                return found[0]

            http = injected(limits=httpx.Limits(max_connections=1))
            assert isinstance(with_http(http, use), SubmissionUnknown)


class TestItsHabits:
    def test_redirects_stay_off(self, server: Server) -> None:
        """Also where the client follows them by itself."""
        server.app = lambda line, asked: line.reply(307, b"", location=server.url("/b"))
        assert (307, 1) == (run(injected(follow_redirects=True), server.url()).status, len(server.requests))

    def test_auth_stays_off(self, server: Server) -> None:
        """Its own credentials, netrc's among them, do not go to a vendor."""
        run(injected(auth=("me", "secret")), server.url())
        assert "authorization" not in server.requests[0].headers

    def test_cookies_stay_its_own(self, server: Server) -> None:
        """Its cookies are not sent, those of replies are not kept, and what was in the jar is still there."""
        server.app = lambda line, asked: line.reply(set_cookie="b=2; Path=/")

        async def use(http: Http) -> dict[str, str]:
            await http.submit("POST", server.url())
            return dict(http._exchange._client.cookies)

        kept = with_http(injected(cookies={"a": "1"}), use)
        assert ({"a": "1"}, False) == (kept, "cookie" in server.requests[0].headers)

    def test_headers_stay_on(self, server: Server) -> None:
        """What a company's gateway wants of every request is sent; what vidorch says goes before it."""
        run(injected(headers={"X-Gateway": "1", "User-Agent": "other"}), server.url())
        headers = server.requests[0].headers
        assert ("1", True) == (headers["x-gateway"], headers["user-agent"].startswith("vidorch/"))

    def test_its_log_says_nothing_of_ours(self, server: Server, caplog: pytest.LogCaptureFixture) -> None:
        """httpx writes whole URLs into its log; of our calls it does not, of its owner's it does."""

        async def use(http: Http) -> None:
            await http.submit("POST", server.url("/?token=secret"))
            await http._exchange._client.get(server.url("/own"))

        with caplog.at_level(logging.DEBUG):
            with_http(injected(), use)
        assert (False, True) == ("secret" in caplog.text, "/own" in caplog.text)


class TestItsLife:
    def test_closed(self) -> None:
        """A client that was closed sends nothing."""
        http = injected()

        async def use(h: Http) -> Any:
            await h._exchange._client.aclose()
            return (await asyncio.gather(h.submit("POST", "http://127.0.0.1:9/"), return_exceptions=True))[0]

        error = with_http(http, use)
        assert isinstance(error, Rejected) and "closed" in error.message

    def test_of_another_process(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a fork its connections are the parent's: nothing is sent over them."""
        http = injected()
        monkeypatch.setitem(exchange._made_in, http._exchange._client, os.getpid() + 1)
        error = outcome(http, server.url())
        assert isinstance(error, Rejected) and "forked" in error.message and 0 == server.connections

    def test_its_headers_and_parameters_do_not_follow_a_result_to_a_foreign_host(
        self, server: Server, tmp_path: Path
    ) -> None:
        """They may be credentials, and a parameter would take the place of the signature in the URL."""

        async def use(http: Http) -> Any:
            return await http.download(server.url("/clip?sig=1"), tmp_path / "clip")

        client = httpx.AsyncClient(
            headers={"Authorization": "Bearer k"}, params={"key": "k"}, trust_env=False
        )
        with_http(Http(client, private_hosts=["127.0.0.1", "localhost"]), use)
        (request,) = server.requests
        assert (False, True) == ("authorization" in request.headers, "sig=1" in request.target)

    def test_its_headers_go_to_the_vendors_own_results(self, server: Server, tmp_path: Path) -> None:
        """As to every other call of the vendor."""

        async def use(http: Http) -> Any:
            return await http.download(server.url("/clip"), tmp_path / "clip", own=[server.url()])

        with_http(injected(headers={"X-Gateway": "1"}), use)
        assert "1" == server.requests[0].headers["x-gateway"]
