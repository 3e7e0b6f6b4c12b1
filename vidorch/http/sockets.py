"""`Http`: what providers call. It says what may have left this machine, and keeps secrets out of everything it says."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidorch.contract import Rejected
from vidorch.errors import InvalidRequest, ProviderFailed, SubmissionUnknown, VidorchError
from vidorch.http.addresses import Allowed, Lookup, lookup
from vidorch.http.bodies import Body, Part, body_of, file_body
from vidorch.http.downloads import DiskTrouble, Download, WrongStatus, fetch
from vidorch.http.exchange import Exchange, checked_client
from vidorch.http.faults import chain_of, fault_of
from vidorch.http.proxies import checked_proxy
from vidorch.http.replies import Reply
from vidorch.http.urls import Target, escaped, origins_of, target_of
from vidorch.http.wire import Answer, Call, Fault, Watch, Way, too_long
from vidorch.inputs import without_query

__all__ = ["Http"]

MB = 1_000_000
AGAIN_AFTER = 2.0
"""Seconds after which a submit may be made again that never left: a connection refused, a name not looked up."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_PLAIN = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STANDARD = {"accept": "*/*", "accept-encoding": "identity"}
"""Nothing is compressed: lengths are what they say, and no few bytes unfold into many."""


class Http:
    """The sockets of one client, opened at the first call in the loop of that call. Its repr shows nothing.

    Args:
        client: an `httpx.AsyncClient` to go through instead of vidorch's own sockets. `aclose` leaves it open.
        proxy: URL of an HTTP proxy. Default: the environment's (`HTTPS_PROXY`, ...); `""` for none. `NO_PROXY` holds for both.
        ca_bundle: certificates to trust instead of the system's. Default: `SSL_CERT_FILE`, `SSL_CERT_DIR`.
        private_hosts: names, addresses and networks that results may come from although they are not public.
        connect: seconds until a connection stands, with lookup, tunnel and TLS.
        lookup: names to addresses, and monotonic: seconds, for tests.

    Raises:
        InvalidRequest: one of these cannot be used.
    """

    def __init__(
        self,
        client: object = None,
        *,
        proxy: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        private_hosts: Iterable[str] = (),
        connect: float = 20.0,
        lookup: Lookup = lookup,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        injected = checked_client(client)
        for name, value in (("proxy", proxy), ("ca_bundle", ca_bundle)):
            if injected is not None and value is not None:
                allowed = f"httpx.AsyncClient({'verify' if name == 'ca_bundle' else name}=...)"
                raise InvalidRequest(
                    f"{name}= was given beside http=, which has its own. Allowed is {allowed}.",
                    field=name,
                    allowed=allowed,
                )
        bundle = None
        if injected is None:
            from vidorch.http.tls import checked_bundle  # loads ssl

            bundle = checked_bundle(ca_bundle)
        self._exchange = Exchange(
            injected, proxy=checked_proxy(proxy), bundle=bundle, allowed=Allowed.of(private_hosts),
            connect=connect, lookup=lookup, monotonic=monotonic,
        )  # fmt: skip

    def __repr__(self) -> str:
        return "Http()"

    async def submit(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        parts: Sequence[Part] | None = None,
        timeout: float = 300.0,
        most: int = 16 * MB,
    ) -> Reply:
        """Send one paid request, once, on a connection of its own. No redirect is followed and nothing is repeated.

        Args:
            json, data, parts: the body, one of the three. timeout: seconds in all. most: bytes that the reply may have.

        Returns:
            The complete reply, whatever its status: what it means is for the vendor's own code and body to say.

        Raises:
            Rejected: provably nothing of it left this machine. With a `retry_after` where it may well succeed in a moment.
            SubmissionUnknown: some of it may have left, and no complete reply came.
            CancelledError: cancelled after some of it may have left.
        """
        watch = Watch()
        try:
            call = _call(method, target_of(url), headers, body_of(json, data, parts), timeout, most)
            return await self._exchange.run(call, watch, Way.FRESH, _whole(call))
        except asyncio.CancelledError:
            if watch.may_have_left:
                raise
            cancelled = ProviderFailed(
                f"{method} {_shown(url)}: cancelled before anything was sent.", charged=False
            )
            raise Rejected(cancelled) from None
        except Exception as error:
            said, shown = _typed(error), _shown(url)
            fault = fault_of(error)
            if watch.may_have_left:
                words = said.message.rstrip(".") if said is not None else fault.words
                raise SubmissionUnknown(
                    f"{method} {shown}: {words}. It may have been accepted all the same."
                ) from None
            if said is not None:
                raise Rejected(said) from None
            cause = ProviderFailed(
                f"{method} {shown}: {fault.words}. Nothing was sent.", hint=fault.hint, charged=False,
                retryable=not fault.lasting,
            )  # fmt: skip
            raise Rejected(cause, retry_after=None if fault.lasting else AGAIN_AFTER) from None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        parts: Sequence[Part] | None = None,
        timeout: float = 60.0,
        most: int = 16 * MB,
        own: Iterable[str | None] | None = None,
    ) -> Reply:
        """Make a call that buys nothing: a poll, a cancel, a list. On a connection that is kept open; no redirect is followed.

        Nothing is repeated here: the engine looks again.

        Args:
            own: for a URL that a vendor's reply named: base URLs of the endpoint itself. Any other is guarded as that of a
                download is, and has to be https unless the endpoint itself is spoken to in plain. Default: the URL is ours.

        Returns:
            The complete reply, whatever its status.

        Raises:
            ProviderFailed: there is none. What this call cost is nothing, so `charged` is False.
            InvalidRequest, BadMedia: it cannot be sent.
        """
        return await self._plain(method, url, headers, lambda: body_of(json, data, parts), timeout, most, own)

    async def upload(
        self,
        method: str,
        url: str,
        source: str | os.PathLike[str] | bytes,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 1800.0,
        most: int = 16 * MB,
    ) -> Reply:
        """Send a file, or bytes, as the body, with its length. A file is read block by block.

        Returns, Raises: as `request`.
        """
        return await self._plain(method, url, headers, lambda: file_body(source), timeout, most)

    async def download(
        self,
        url: str,
        path: str | os.PathLike[str],
        *,
        headers: Mapping[str, str] | None = None,
        secret: Mapping[str, str] | None = None,
        own: Iterable[str | None] = (),
        most: int = 4_000 * MB,
        timeout: float = 1800.0,
        idle: float = 60.0,
    ) -> Download:
        """Fetch a result into a file; what was there is overwritten. The engine checks and publishes it.

        Private, loopback and link-local addresses are refused, after the name was looked up and on each redirect, unless
        the URL is one of `own` or the client allows its host. At most 5 redirects are followed, none from https to http.

        Args:
            headers: sent to every host on the way. secret: headers that are sent to `own` alone: credentials.
            own: base URLs of the endpoint itself, such as `context.endpoint.base_url`. Scheme, host and port must be equal.
            most: bytes. timeout: seconds in all. idle: seconds without a byte.

        Raises:
            ProviderFailed: it did not arrive whole; `code` is the status where there was one. OSError: the disk said no.
        """
        method = "GET"
        try:
            target = target_of(escaped(url) if isinstance(url, str) else url)
            call = _call(method, target, headers, Body(), timeout, most, idle)
            return await fetch(self._exchange, call, Path(path), _clean(secret), origins_of(own))
        except DiskTrouble as error:
            raise error.cause from None
        except Exception as error:
            raise _failed(error, method, url) from None

    async def aclose(self) -> None:
        """Let go of every connection. Harmless when repeated."""
        await self._exchange.aclose()

    async def _plain(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: Callable[[], Body], timeout: float, most: int,
        own: Iterable[str | None] | None = None,
    ) -> Reply:  # fmt: skip
        try:
            call, way = _call(method, target_of(url), headers, body(), timeout, most), Way.POOLED
            at_home = origins_of(own or ())
            if own is not None and call.target.origin not in at_home:
                if call.target.scheme != "https" and not any(origin[0] == "http" for origin in at_home):
                    raise Fault("it is not https", lasting=True)
                call = replace(call, foreign=True)
                way = way if self._exchange.allowed.name(call.target.host) else Way.GUARDED
            return await self._exchange.run(call, Watch(), way, _whole(call))
        except Exception as error:
            raise _failed(error, method, url) from None


def _shown(url: object) -> str:
    """What may be said of a URL."""
    return without_query(url) if isinstance(url, str) else ""


def _call(
    method: str, target: Target, headers: Mapping[str, str] | None, body: Body, timeout: float, most: int,
    idle: float | None = None,
) -> Call:  # fmt: skip
    if not isinstance(method, str) or not _TOKEN.fullmatch(method):
        raise InvalidRequest(f"method={method!r} cannot be sent.", field="method", allowed="such as 'POST'")
    from vidorch import __version__

    own = {**_STANDARD, "user-agent": f"vidorch/{__version__}"}
    if body.length:
        own["content-length"] = str(body.length)
    if body.media_type is not None:
        own["content-type"] = body.media_type
    return Call(method.upper(), target, own | _clean(headers), body, total=timeout, idle=idle, most=most)


def _clean(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers with their names in lower case.

    Raises:
        InvalidRequest: one could not be sent, or would be two. Its value is not shown.
    """
    clean = {}
    for name, value in (headers or {}).items():
        if not isinstance(value, str) or not _TOKEN.fullmatch(name) or not _PLAIN.fullmatch(value):
            raise InvalidRequest(
                f"The header {name!r} cannot be sent: a value is one line of text in Latin-1.", field="headers",
                allowed="one line of text",
            )  # fmt: skip
        clean[name.lower()] = value.strip()
    return clean


def _whole(call: Call) -> Callable[[Answer], Any]:
    async def use(answer: Answer) -> tuple[Reply, int]:
        body = await answer.read(call.most)
        if len(body) > call.most:
            raise too_long(call.most)
        return Reply(answer.status, answer.headers, body, call.target.shown), len(body)

    return use


def _typed(error: BaseException) -> VidorchError | None:
    """The error of our own that is behind it: a file that changed, a mock that does not allow the host."""
    return next((one for one in chain_of(error) if isinstance(one, VidorchError)), None)


def _failed(error: Exception, method: str, url: object) -> VidorchError:
    if (said := _typed(error)) is not None:
        return said
    fault: Fault = fault_of(error)
    return ProviderFailed(
        f"{method} {_shown(url)}: {fault.words}.", hint=fault.hint, charged=False, retryable=not fault.lasting,
        code=str(fault.status) if isinstance(fault, WrongStatus) else None,
    )  # fmt: skip
