"""Which addresses results may come from: public ones, and those that the client's owner allowed.

A vendor's reply names the URL of a result. Whoever can make it name `http://169.254.169.254/` would otherwise read the
metadata service of the machine that vidorch runs on.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from vidorch.errors import InvalidRequest, shown

__all__ = ["Address", "Allowed", "Lookup", "address_of", "is_on_this_machine", "is_public", "lookup"]

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Lookup: TypeAlias = "Callable[[str, int], Awaitable[list[str]]]"
"""(host, port) -> its addresses as text. Raises OSError where there are none."""

_GLOBAL_UNICAST = ipaddress.IPv6Network(
    "2000::/3"
)  # all that is given out, RFC 4291 section 2.4 and IANA's registry
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is the last 32 bits
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_HIDDEN_ADDRESS = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)", re.IGNORECASE)
"""A last label like this makes the C library read the whole as an IPv4 address: 127.1, 2130706433, 0x7f.0.0.1."""


async def lookup(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system gives them.

    Raises:
        OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def address_of(host: str) -> Address | None:
    """The address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_on_this_machine(url: str | None) -> bool:
    """Whether a URL leads to the loopback, by its name or its address alone."""
    try:
        host = urlsplit(url or "").hostname or ""
    except ValueError:
        return False
    address = address_of(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def hides_an_address(host: str) -> bool:
    """Whether a host is an IPv4 address in one of its odd spellings."""
    return address_of(host) is None and _HIDDEN_ADDRESS.fullmatch(host) is not None


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large, and so does the IPv4 address that it may carry inside."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    inner = address.ipv4_mapped or address.sixtofour
    if inner is not None:
        return is_public(inner)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST and address.is_global


@dataclass(frozen=True, slots=True)
class Allowed:
    """Names and networks whose private addresses are allowed."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str], field: str = "private_hosts") -> Allowed:
        """Read what the client was given: `["minio.internal", "10.0.0.0/8", "127.0.0.1"]`.

        Raises:
            InvalidRequest: an entry is neither a host's name nor a network.
        """
        names: set[str] = set()
        networks: list[Network] = []
        for entry in [entries] if isinstance(entries, (str, bytes)) else entries:
            if not isinstance(entry, str):
                raise _wrong(field, entry)
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
                continue
            except ValueError:
                name = entry.lower().rstrip(".")
            if not _NAME.fullmatch(name) or _HIDDEN_ADDRESS.fullmatch(name):
                raise _wrong(field, entry)
            names.add(name)
        return cls(frozenset(names), tuple(networks))

    def name(self, host: str) -> bool:
        """Whether any address is fine for this host."""
        return host in self.names

    def address(self, text: str) -> bool:
        """Whether results may come from this address."""
        address = address_of(text)
        if address is None:
            return False
        if is_public(address):
            return True
        inner = getattr(address, "ipv4_mapped", None) or address
        return any(inner.version == network.version and inner in network for network in self.networks)


def _wrong(field: str, entry: object) -> InvalidRequest:
    allowed = "names such as 'minio.internal', addresses, and networks such as '10.0.0.0/8'"
    return InvalidRequest(
        f"{field}={shown(entry)} cannot be used. Allowed are {allowed}.",
        field=field,
        value=entry,
        allowed=allowed,
    )
