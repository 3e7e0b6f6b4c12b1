"""The part that all protocol servers share: real sockets on the loopback, and what goes wrong on them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vidorch.contract import Endpoint
from vidorch.testing.servers.faults import Fault
from vidorch.testing.servers.jobs import Answer, Ask, Fate, FormPart, Jobs, RemoteJob, VendorError, on

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["Answer", "Ask", "Fate", "FormPart", "ProtocolServer", "RemoteJob", "VendorError", "on"]

PAGE = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center><hr><center>nginx</center></body></html>"


class ProtocolServer(Jobs):
    """A vendor's wire on free ports of 127.0.0.1, from `with` until its end: one for the API, one for finished files.

        with Fal() as server:
            server.fail("submit", "reset-after")
            ...
            assert len(server.jobs) == 1

    Args:
        key: the credential that is taken. tls: a server's context; then the URLs are https.
        name: of the host in URLs that the server gives out. port: of the API; 0 for a free one. clock: seconds since 1970.

    Attributes:
        jobs: every job that was taken, in order. requests: every request that came whole.
        default: what becomes of a job unless `next` says otherwise. leaks: requests for finished files that carried a
            credential.
    """

    provider: ClassVar[str] = ""
    default_key: ClassVar[str] = "test-key"
    key_variable: ClassVar[str] = ""
    """The environment variable that the vendor's customers keep their key in."""
    sends_webhooks: ClassVar[bool] = False
    """Whether `deliver` posts to the URL that a submit named."""
    fetches_from_itself: bool = False
    """Whether finished files come from the API itself ("result") rather than from another host ("download")."""

    def __init__(
        self, *, key: str | None = None, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1", port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        super().__init__(self.default_key if key is None else key, clock)
        self._tls = tls
        self._name = name
        self._port = port
        self._ports: tuple[int, int] = (0, 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing: asyncio.Event | None = None

    # -- for tests --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Base URL of the API, without a slash at its end."""
        return self._url(0)

    @property
    def files_url(self) -> str:
        """Base URL of finished files: another origin than the API's."""
        return self._url(1)

    def endpoints(self, **options: Any) -> dict[str, Endpoint]:
        """For `Client(endpoints=...)`: the vendor's endpoint, at this server."""
        return {self.provider: Endpoint(self.provider, self.provider, base_url=self.url, options=options)}

    def variables(self) -> dict[str, str]:
        """Environment variables that a client needs to be taken for a customer: the credential."""
        return {self.key_variable: self.key}

    def layer(self) -> str:
        """A catalog layer (TOML) that a client needs beside what ships, to find a model here; empty where it needs none."""
        return ""

    def __enter__(self) -> Self:
        ready = threading.Event()
        trouble: list[BaseException] = []
        self._thread = threading.Thread(
            target=self._run, args=(ready, trouble), name=f"{type(self).__name__}", daemon=True
        )
        self._thread.start()
        ready.wait()
        if trouble:
            raise trouble[0]
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; what waits for a reply is cut off. Harmless when repeated."""
        loop, closing, thread = self._loop, self._closing, self._thread
        if loop is not None and closing is not None and thread is not None and thread.is_alive():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(closing.set)
            thread.join(10)

    def webhook_of(self, job: RemoteJob) -> str | None:
        """Where the submit asked for a webhook to."""
        url = job.more.get("webhook")
        return None if url is None else str(url)

    def deliver(self, job: RemoteJob, url: str | None = None) -> int:
        """POST the webhook of a job to `url`, or to where the submit said; gives the status of the reply.

        Raises:
            OSError: nobody answered.
        """
        raise NotImplementedError

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a webhook as vendors do, past every proxy; gives the status of the reply.

        Raises:
            OSError: nobody answered.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        ask = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310
        try:
            with opener.open(ask, timeout=15) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    # -- the sockets --------------------------------------------------------------------------------------------------

    def _url(self, which: int) -> str:
        return f"{'https' if self._tls else 'http'}://{self._name}:{self._ports[which]}"

    def _run(self, ready: threading.Event, trouble: list[BaseException]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            trouble.append(error)
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        from aiohttp import web

        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.2)
        await runner.setup()
        ports = []
        for port in (self._port, 0):
            site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=self._tls)
            await site.start()
            assert site._server is not None
            ports.append(site._server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
        self._ports = (ports[0], ports[1])
        ready.set()
        try:
            await self._closing.wait()
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        op, handler, params = self._found(request.method, request.path, _port(request))
        fault = self._fault(op)
        if fault is not None and fault.kind == "reset-before":
            return _gone(request)
        body = await self._body(request)
        ask = Ask(
            op, request.method, request.path, params, dict(request.query),
            {name.lower(): value for name, value in request.headers.items()}, body, self._url(0),
            tuple(request.query.items()),
        )  # fmt: skip
        with self.lock:
            self.requests.append(ask)
        answer = self._answer(ask, handler) if fault is None or fault.works else None
        if fault is not None:
            return await self._go_wrong(request, fault, answer)
        assert answer is not None
        return web.Response(
            status=answer.status,
            body=answer.content(),
            headers={**answer.headers, "Content-Type": answer.media_type},
        )

    async def _body(self, request: web.BaseRequest) -> bytes:
        chunks = []
        async for chunk in request.content.iter_any():
            chunks.append(chunk)
        return b"".join(chunks)

    def _found(
        self, method: str, path: str, port: int
    ) -> tuple[str, Callable[[Ask], Answer], dict[str, str]]:
        if port == self._ports[1]:
            return "download", self._file, {}
        return self._asked(method, path)

    async def _go_wrong(
        self, request: web.BaseRequest, fault: Fault, answer: Answer | None
    ) -> web.StreamResponse:
        from aiohttp import web

        after = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        if fault.kind == "error":
            said = self.error(
                fault.status, fault.code or self.usual_code(fault.status), "Made to fail by the test."
            )
            return web.Response(
                status=said.status,
                body=said.content(),
                headers={**said.headers, **after, "Content-Type": said.media_type},
            )
        if fault.kind in ("gateway", "not-json"):
            status = 200 if fault.kind == "not-json" else fault.status
            return web.Response(
                status=status, body=PAGE % (status, status), headers={**after, "Content-Type": "text/html"}
            )
        if fault.kind == "redirect":
            return web.Response(status=302, headers={"Location": fault.location})
        if fault.kind == "answer":
            return web.Response(body=fault.body, headers={"Content-Type": fault.media_type})
        if fault.kind == "reset-after":
            return _gone(request)
        if fault.kind == "silent":
            assert self._closing is not None
            await self._closing.wait()
            return _gone(request)
        return await self._go_on_and_on(request, fault, (answer or Answer(json={})))

    async def _go_on_and_on(
        self, request: web.BaseRequest, fault: Fault, answer: Answer
    ) -> web.StreamResponse:
        from aiohttp import web

        content = answer.content()
        response = web.StreamResponse(
            status=answer.status, headers={**answer.headers, "Content-Type": answer.media_type}
        )
        if fault.kind == "endless":
            response.enable_chunked_encoding()
        else:
            response.content_length = len(content)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            if fault.kind == "cut":
                await response.write(content[: len(content) // 2])
                return _gone(request)
            for number in itertools.count():
                assert self._closing is not None
                if self._closing.is_set() or (fault.kind == "drip" and number >= len(content) - 1):
                    break
                if fault.kind == "drip":
                    await response.write(content[number : number + 1])
                    await asyncio.sleep(0.05)  # the server's own pace, which is what goes wrong here
                else:
                    await response.write(bytes(65536))
        return _gone(request)


def _port(request: web.BaseRequest) -> int:
    transport = request.transport
    name = None if transport is None else transport.get_extra_info("sockname")
    return 0 if name is None else int(name[1])


def _gone(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection with a reset."""
    from aiohttp import web

    if request.transport is not None:
        if (sock := request.transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()
