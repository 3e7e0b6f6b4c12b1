"""From an exception of a network library to words. The class of an exception chooses words, never whether anything was sent."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from vidorch.http.wire import Fault

__all__ = ["chain_of", "fault_of"]

_WORDS = {
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was reset",
    errno.ECONNABORTED: "the connection was reset",
    errno.EPIPE: "the connection was closed",
    errno.ETIMEDOUT: "the connection timed out",
    errno.EHOSTUNREACH: "there is no way to the host",
    errno.ENETUNREACH: "there is no network",
    errno.EMFILE: "this process has no file descriptors left",
}
_LASTING_NAMES = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)}
_BY_CLASS = (
    ("ConnectionResetError", "the connection was reset"),
    ("ConnectionAbortedError", "the connection was reset"),
    ("BrokenPipeError", "the connection was closed"),
    ("ServerDisconnectedError", "the connection was closed before a reply came"),
    ("ClientPayloadError", "the reply was cut"),
    ("RemoteProtocolError", "the connection was closed, or what came was no whole reply"),
    ("ReadError", "the connection was lost"),
    ("WriteError", "the connection was lost"),
    ("PoolTimeout", "no connection of the pool was free"),
    ("ConnectionTimeoutError", "the connection timed out"),
    ("ConnectTimeout", "the connection timed out"),
    ("SocketTimeoutError", "nothing came for too long"),
    ("ReadTimeout", "nothing came for too long"),
    ("WriteTimeout", "nothing could be sent for too long"),
    ("TimeoutError", "no answer came in time"),
)


def fault_of(error: BaseException) -> Fault:
    """Why a call failed, from the exception and those behind it."""
    chain = chain_of(error)
    for one in chain:
        if isinstance(one, Fault):
            return one
    for one in chain:
        # aiohttp's own errors are of these classes too, without what these tell.
        if isinstance(one, ssl.SSLCertVerificationError) and hasattr(one, "verify_message"):
            return Fault(
                f"its certificate cannot be trusted: {one.verify_message}", lasting=True,
                hint="Where a company's own certificates are in use, name them with SSL_CERT_FILE or ca_bundle=.",
            )  # fmt: skip
        if isinstance(one, ssl.SSLError) and hasattr(one, "reason"):
            return Fault(f"TLS failed: {one.reason or 'the connection was closed'}")
        if isinstance(one, socket.gaierror):
            lasting = one.errno in _LASTING_NAMES
            return Fault(
                "the host is unknown" if lasting else "the host's name could not be looked up",
                lasting=lasting,
            )
    names = [name for one in chain for name in (parent.__name__ for parent in type(one).__mro__)]
    if "ClientHttpProxyError" in names or "ProxyError" in names:
        status = next((found for one in chain if (found := _status(one))), "")
        return Fault(f"the proxy refused the way{f' ({status})' if status else ''}", lasting=True)
    for one in chain:
        if isinstance(one, OSError) and one.errno in _WORDS:
            return Fault(_WORDS[one.errno])
    for name, words in _BY_CLASS:
        if name in names:
            return Fault(words)
    for one in chain:
        if isinstance(one, OSError) and one.errno and one.errno > 0:
            return Fault(os.strerror(one.errno).lower())
    network = any(isinstance(one, OSError) for one in chain)
    return Fault(f"{type(error).__name__} was raised", lasting=not network)


def _status(error: BaseException) -> str:
    """What a proxy answered: aiohttp keeps the number, httpx begins its text with it."""
    said = getattr(error, "status", None) or str(error)[:3]
    return str(said) if str(said).isdecimal() else ""


def chain_of(error: BaseException) -> list[BaseException]:
    """The exception, and what it came from: as cause, context, or (aiohttp) as `os_error`."""
    found: list[BaseException] = []
    left = [error]
    while left and len(found) < 20:
        one = left.pop(0)
        if any(one is known for known in found):
            continue
        found.append(one)
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
        left += [
            behind
            for behind in (getattr(one, "os_error", None), one.__cause__, one.__context__)
            if isinstance(behind, BaseException)
        ]
    return found
