"""One request and its reply, over whichever back end there is: asked of the mock, guarded, timed and written into the log."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from vidorch import live
from vidorch.errors import InvalidRequest
from vidorch.http.addresses import Allowed, Lookup
from vidorch.http.guards import must_be_written_plainly, must_lead_outside, private
from vidorch.http.proxies import Proxies
from vidorch.http.wire import Answer, Backend, Call, Fault, Watch, Way
from vidorch.offloop import busy, in_thread

__all__ = ["Exchange", "checked_client"]

T = TypeVar("T")
log = logging.getLogger("vidorch.http")
_made_in: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""The process that an injected client came from: its connections are that one's."""


def checked_client(given: object) -> Any:
    """An injected client that can be used, or None.

    Raises:
        InvalidRequest: it is no `httpx.AsyncClient`.
    """
    if given is None:
        return None
    httpx: Any = sys.modules.get("httpx")  # who has a client of it has loaded it
    if httpx is None or not isinstance(given, httpx.AsyncClient):
        allowed = "an httpx.AsyncClient"
        raise InvalidRequest(
            f"http={type(given).__name__} cannot be used. Allowed is {allowed}.",
            field="http",
            value=given,
            allowed=allowed,
        )
    _made_in.setdefault(given, os.getpid())
    return given


class Exchange:
    """Makes the back end at the first call, in the loop of that call, and lets go of it at the end.

    Args:
        client: an `httpx.AsyncClient` to go through; it stays open.
        bundle: certificates to trust instead of the system's. connect: seconds until a connection stands.
    """

    def __init__(
        self,
        client: Any,
        *,
        proxy: str | None,
        bundle: str | None,
        allowed: Allowed,
        connect: float,
        lookup: Lookup,
        monotonic: Callable[[], float],
    ) -> None:
        self.allowed = allowed
        self._client = client
        self._proxy = proxy
        self._bundle = bundle
        self._connect = connect
        self._lookup = lookup
        self._monotonic = monotonic
        self._backend: Backend | None = None
        self._proxies = Proxies()
        self._making = asyncio.Lock()
        self._closed = False

    async def run(
        self, call: Call, watch: Watch, way: Way, use: Callable[[Answer], Awaitable[tuple[T, int]]]
    ) -> T:
        """Make the call, and give what `use` makes of the answer; `use` says beside it how many bytes it read.

        Raises:
            LiveCallInTest: a mock does not allow this host. TimeoutError: `call.total` is over.
            Exception: whatever stopped it; see `fault_of`.
        """
        live.must_not_be_mocked(call.target.host)
        loud = log.isEnabledFor(logging.DEBUG)
        began = self._monotonic() if loud else 0.0
        status: int | None = None
        try:
            with busy():
                async with asyncio.timeout(call.total):
                    answer = await self._open(call, watch, way)
                    status = answer.status
                    try:
                        result, size = await use(answer)
                    finally:
                        await answer.close()
        except BaseException as error:
            if loud:
                log.debug(
                    "%s %s: %s after %.3f s%s", call.method, call.target.shown, type(error).__name__,
                    self._monotonic() - began, f", status {status}" if status is not None else "",
                )  # fmt: skip
            raise
        if loud:
            log.debug(
                "%s %s: %d in %.3f s, %d bytes",
                call.method,
                call.target.shown,
                status,
                self._monotonic() - began,
                size,
            )
        return result

    async def _open(self, call: Call, watch: Watch, way: Way) -> Answer:
        backend = self._backend or await self._make()
        if way is not Way.GUARDED:
            return await backend.open(call, watch, way)
        must_be_written_plainly(call.target, self.allowed)
        if not backend.checks_itself or self._proxies.of_target(call.target) is not None:
            await must_lead_outside(call.target, self.allowed, self._lookup)
        answer = await backend.open(call, watch, way)
        if answer.peer is not None and not self.allowed.address(answer.peer):
            await answer.close()
            raise private(call.target.host)
        return answer

    async def _make(self) -> Backend:
        async with self._making:
            if self._closed:
                raise Fault("the client that it belongs to is closed", lasting=True)
            if self._backend is not None:
                return self._backend
            if self._client is not None:
                if _made_in.get(self._client) != os.getpid():
                    raise Fault(
                        "the httpx client that was given as http= was made before this process was forked", lasting=True,
                        hint="Its connections are the parent's. Make a client in the child.",
                    )  # fmt: skip
                from vidorch.http.by_httpx import ByHttpx

                self._backend = ByHttpx(self._client, connect=self._connect)
                return self._backend
            module: Any = await in_thread(import_module, "vidorch.http.by_aiohttp")
            tls = import_module("vidorch.http.tls")
            context = await in_thread(tls.context, self._bundle)
            self._proxies = Proxies.of(self._proxy)
            made: Backend = module.ByAiohttp(
                context, self._proxies, self.allowed, lookup=self._lookup, connect=self._connect
            )
            self._backend = made
            return made

    async def aclose(self) -> None:
        """Let go of every connection. Harmless when repeated."""
        async with self._making:
            self._closed = True
            backend, self._backend = self._backend, None
        if backend is not None:
            await backend.aclose()
