"""URLs as they are called: checked, compared by origin, and written down without what may be secret in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from vidorch.errors import InvalidRequest
from vidorch.inputs import without_query

__all__ = ["Origin", "Target", "escaped", "origins_of", "redirected", "target_of"]

Origin: TypeAlias = "tuple[str, str, int]"
"""Scheme, host and port."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """A URL that can be called. Its repr and `shown` hold neither user, password, query nor fragment.

    Attributes:
        url: as it goes to the wire. host: in lower case, without brackets and without a final dot.
    """

    url: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> Origin:
        """Scheme, host and port."""
        return (self.scheme, self.host, self.port)

    @property
    def shown(self) -> str:
        """What may be written down."""
        return without_query(self.url)

    def __repr__(self) -> str:
        return f"Target({self.shown})"


def target_of(url: object, field: str = "url") -> Target:
    """Read a URL.

    Raises:
        InvalidRequest: it is none that can be called over HTTP.
    """
    # A backslash is a slash to browsers and to some servers, and part of a name to others: no such URL is called.
    if isinstance(url, str) and url.isascii() and url.isprintable() and not set(url) & set(' \\"<>^`{|}'):
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host and parts.scheme in PORTS and host.strip("."):
            return Target(url, parts.scheme, host.rstrip("."), port or PORTS[parts.scheme])
    allowed = "an http or https URL with a host, in ASCII, with odd characters as %20"
    said = without_query(url) if isinstance(url, str) else type(url).__name__
    raise InvalidRequest(
        f"{field}={said[:200]!r} cannot be called. Allowed is {allowed}.",
        field=field,
        value=said,
        allowed=allowed,
    )


def escaped(url: str) -> str:
    """The URL with what must not stand in one written as %20; what is written so already stays."""
    return quote(url, safe="!#$%&'()*+,/:;=?@[]~")


def redirected(target: Target, location: str) -> Target:
    """Where a redirect leads, without user and password: a vendor's reply does not choose credentials.

    Raises:
        InvalidRequest: nowhere that can be called.
    """
    url = urljoin(target.url, escaped(location.strip()))
    try:
        parts = urlsplit(url)
        url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, ""))
    except ValueError:
        pass  # said by target_of
    return target_of(url, "location")


def origins_of(urls: Iterable[str | None]) -> frozenset[Origin]:
    """The origins of some base URLs; what is None is left out.

    Raises:
        InvalidRequest: one of them cannot be called.
    """
    many = [urls] if isinstance(urls, str) else urls
    return frozenset(target_of(url, "own").origin for url in many if url is not None)
