"""The back end on aiohttp: the one that vidorch brings. Loaded at the first call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from types import SimpleNamespace
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from vidorch.http.addresses import Allowed, Lookup
from vidorch.http.guards import private
from vidorch.http.proxies import Proxies
from vidorch.http.wire import Call, Fault, Watch, Way, too_long

__all__ = ["ByAiohttp"]

AT_ONCE = {Way.FRESH: 256, Way.POOLED: 256, Way.GUARDED: 64}
"""Calls under way at the same time. 576 sockets fit into the 1,024 files that a process has on most systems."""
NOT_COUNTED_BY_AIOHTTP = 0  # its own limit counts the wait for a place as time to connect

TURNS_TO_CLOSE = 5
"""Of the loop, until a transport whose socket was shut down has closed it."""


class ByAiohttp:
    """Three sessions, one for each way. Cookies, netrc, redirects and repeats are off in all of them."""

    checks_itself = True

    def __init__(
        self, tls: ssl.SSLContext, proxies: Proxies, allowed: Allowed, *, lookup: Lookup, connect: float
    ) -> None:
        self._proxies = proxies
        self._connect = connect
        self._sockets: WeakSet[socket.socket] = WeakSet()
        watched = aiohttp.TraceConfig()
        watched.on_connection_create_end.append(_stands)
        self._sessions = {
            way: _session(
                aiohttp.TCPConnector(
                    ssl=tls, resolver=_Resolver(lookup, allowed if way is Way.GUARDED else None),
                    limit=NOT_COUNTED_BY_AIOHTTP, force_close=way is Way.FRESH, socket_factory=self._socket,
                ),
                [watched] if way is Way.FRESH else [],
            )
            for way in Way
        }  # fmt: skip
        self._places = {way: asyncio.Semaphore(count) for way, count in AT_ONCE.items()}

    async def open(self, call: Call, watch: Watch, way: Way) -> Answered:
        """See `Backend.open`."""
        proxy = self._proxies.of_target(call.target)
        if proxy is not None and way is Way.GUARDED:
            way = (
                Way.POOLED
            )  # the guard would look at the proxy's own address; the caller looked at the target's
        places = self._places[way]
        await places.acquire()
        try:
            response = await self._sessions[way].request(
                call.method,
                URL(
                    call.target.url, encoded=True
                ),  # as it was given: a signature may cover how it is written
                headers=call.headers,
                data=_data(call),
                allow_redirects=False,
                proxy=proxy,
                timeout=_timeout(self._connect, call.idle),
                trace_request_ctx=watch,
            )
        except BaseException:
            places.release()
            raise
        return Answered(response, places)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        for session in self._sessions.values():
            await session.close()
        # TLS says goodbye and waits for an answer, half a minute if need be; the loop may be gone by then.
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for _ in range(TURNS_TO_CLOSE):
            await asyncio.sleep(0)

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        self._sockets.add(made)
        return made


class Answered:
    """An aiohttp response, as an `Answer`."""

    def __init__(self, response: aiohttp.ClientResponse, places: asyncio.Semaphore) -> None:
        self._response = response
        self._places = places
        self.status = response.status
        self.headers = _plain(response)
        self.peer: str | None = None  # the resolver saw to that

    def chunks(self) -> AsyncIterator[bytes]:
        """See `Answer.chunks`."""
        return self._response.content.iter_any()

    async def read(self, most: int) -> bytes:
        """See `Answer.read`."""
        if (self._response.content_length or 0) > most:
            raise too_long(most)
        parts: list[bytes] = []
        size = 0
        async for chunk in self._response.content.iter_any():
            size += len(chunk)
            if size > most:
                raise too_long(most)
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def close(self) -> None:
        """See `Answer.close`."""
        self._response.release()  # closes it where something is left unread
        self._places.release()


class _Resolver(AbstractResolver):
    """Looks names up. With `allowed`, a name with an address that is not allowed is no name: aiohttp goes where this says."""

    def __init__(self, lookup: Lookup, allowed: Allowed | None) -> None:
        self._lookup = lookup
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._lookup(host, port)
        if self._allowed is not None and not all(map(self._allowed.address, found)):
            raise _Private(host)
        return [
            ResolveResult(
                hostname=host, host=one, port=port, family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0, flags=socket.AI_NUMERICHOST,
            )
            for one in found
        ]  # fmt: skip

    async def close(self) -> None:
        pass


class _Private(Fault, OSError):
    """As an OSError aiohttp takes it for a name that does not exist, and goes nowhere."""

    def __init__(self, host: str) -> None:
        fault = private(host)
        Fault.__init__(self, fault.words, lasting=True, hint=fault.hint)


class _NotAgain(Exception):
    """Stands for an error after which aiohttp would send an idempotent request once more, by itself."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NotAgain from error


async def _stands(session: aiohttp.ClientSession, context: SimpleNamespace, event: object) -> None:
    """TCP, the proxy's tunnel and TLS are done, and nothing of the request was written yet: from here on it may be."""
    watch: Watch = context.trace_request_ctx
    watch.may_have_left = True


def _session(connector: aiohttp.TCPConnector, traces: list[aiohttp.TraceConfig]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=traces,
        middlewares=(_once,),
        trust_env=False,
    )


def _data(call: Call) -> bytes | AsyncIterator[bytes] | None:
    whole = call.body.whole
    return call.body.blocks() if whole is None else whole or None


@lru_cache(maxsize=64)
def _timeout(connect: float, idle: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, connect=connect, sock_read=idle
    )  # in all: the caller's own timer


def _plain(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return headers
