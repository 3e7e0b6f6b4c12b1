"""The back end on an `httpx.AsyncClient` of the caller's: its proxies, certificates and limits hold, our promises too."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from vidorch.http.wire import Call, Fault, Watch, Way, too_long

if TYPE_CHECKING:
    import httpx

__all__ = ["ByHttpx"]

MOST_CLOSED = 1000
"""Idle connections that are closed in search of a fresh one. httpx keeps 20 by default."""
_LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks",
)  # fmt: skip
_ours: ContextVar[bool] = ContextVar("vidorch.http.ours", default=False)


class ByHttpx:
    """Calls through a client that somebody else made. It stays open."""

    checks_itself = False

    def __init__(self, client: httpx.AsyncClient, *, connect: float) -> None:
        self._client = client
        self._connect = connect
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_not_ours)

    async def open(self, call: Call, watch: Watch, way: Way) -> Answered:
        """See `Backend.open`."""
        if self._client.is_closed:
            raise Fault("the httpx client that was given as http= is closed", lasting=True)
        if way is not Way.FRESH:
            return await self._send(call, None)
        for _ in range(MOST_CLOSED):
            try:
                return await self._send(call, _Events(watch))
            except _Pooled:  # nothing was sent, and that connection is closed now
                continue
        raise Fault("the httpx client that was given as http= gives no fresh connection", lasting=True)

    async def _send(self, call: Call, events: _Events | None) -> Answered:
        import httpx

        whole = call.body.whole
        extensions: dict[str, Any] = {
            "timeout": httpx.Timeout(None, connect=self._connect, read=call.idle).as_dict(),
        }
        if events is not None:
            extensions["trace"] = events.told
        # The client adds headers and parameters of its own, which may be credentials: they are for the vendor alone.
        build = httpx.Request if call.foreign else self._client.build_request
        request = build(
            call.method, call.target.url, headers=dict(call.headers), extensions=extensions,
            content=call.body.blocks() if whole is None else whole or None,
        )  # fmt: skip
        if "cookie" not in call.headers:
            request.headers.pop("cookie", None)
        jar = self._client.cookies.jar
        kept = {(one.domain, one.path, one.name): one for one in jar}
        token = _ours.set(True)
        try:
            if events is not None:
                events.begin()
            response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        finally:
            _ours.reset(token)
        for cookie in response.cookies.jar if "set-cookie" in response.headers else ():
            place = (cookie.domain, cookie.path, cookie.name)
            if place in kept:
                jar.set_cookie(kept[place])
            else:
                with contextlib.suppress(KeyError):
                    jar.clear(*place)
        return Answered(response)

    async def aclose(self) -> None:
        """See `Backend.aclose`. The client is its owner's to close."""


class _Pooled(Exception):
    """The submit was about to go out on a connection that something else had used."""


class _Events:
    """What httpcore tells of one submit (https://www.encode.io/httpcore/extensions/#trace).

    A transport that tells nothing may have sent everything. One that does is believed: up to the headers nothing has left.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._silent = True
        self._connected = False
        self._sent = False

    def begin(self) -> None:
        """Nothing is known from here on, until the first event."""
        self._watch.may_have_left = True

    async def told(self, name: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore before and after every step."""
        if self._silent:
            self._silent = False
            self._watch.may_have_left = False
        step = name.partition(".")[2]
        if step in ("connect_tcp.started", "connect_unix_socket.started"):
            self._connected = True
        # A tunnel's CONNECT carries the proxy's credentials and the host's name, and nothing of the request.
        if (
            step != "send_request_headers.started"
            or getattr(info.get("request"), "method", b"") == b"CONNECT"
        ):
            return
        if self._sent:
            raise Fault("the httpx client that was given as http= was about to send it again", lasting=True)
        if not self._connected and name.startswith("http11."):
            raise _Pooled
        self._sent = self._watch.may_have_left = True


class Answered:
    """An httpx response, as an `Answer`."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)  # in lower case, joined by a comma
        self.peer = _peer(response)

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Answer.chunks`."""
        chunks = self._response.aiter_bytes()
        while True:
            token = _ours.set(True)
            try:
                chunk = await anext(chunks, None)
            finally:
                _ours.reset(token)
            if chunk is None:
                return
            yield chunk

    async def read(self, most: int) -> bytes:
        """See `Answer.read`."""
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > most:
                raise too_long(most)
            parts.append(chunk)
        return b"".join(parts)

    async def close(self) -> None:
        """See `Answer.close`."""
        token = _ours.set(True)
        try:
            await self._response.aclose()
        finally:
            _ours.reset(token)


def _peer(response: httpx.Response) -> str | None:
    stream = response.extensions.get("network_stream")
    address = stream.get_extra_info("server_addr") if stream is not None else None
    return str(address[0]) if isinstance(address, tuple) else None


def _not_ours(record: logging.LogRecord) -> bool:
    """httpx writes whole URLs into its log, tokens in the query included. Of our calls we write our own lines."""
    return not _ours.get()
