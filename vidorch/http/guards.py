"""The look before a guarded hop: where a host would lead to."""

from __future__ import annotations

from vidorch.http.addresses import Allowed, Lookup, address_of, hides_an_address
from vidorch.http.urls import Target
from vidorch.http.wire import Fault

__all__ = ["must_be_written_plainly", "must_lead_outside", "private"]


def private(host: str) -> Fault:
    """The fault of a host that leads into a private network."""
    return Fault(
        f"{host} leads to an address that is not public", lasting=True,
        hint=f"If results are to come from there, allow it: Client(private_hosts=[{host!r}]).",
    )  # fmt: skip


def must_be_written_plainly(target: Target, allowed: Allowed) -> None:
    """Refuse a host that is a private address, or one in a spelling that hides it.

    Raises:
        Fault: nothing was called.
    """
    literal = address_of(target.host)
    if hides_an_address(target.host) or (literal is not None and not allowed.address(target.host)):
        raise private(target.host)


async def must_lead_outside(target: Target, allowed: Allowed, lookup: Lookup) -> None:
    """Look the host up, and refuse it when one of its addresses is private. A name that is unknown here may be known to a proxy.

    Raises:
        Fault: nothing was called.
    """
    try:
        found = await lookup(target.host, target.port)
    except OSError:
        return
    if not all(map(allowed.address, found)):
        raise private(target.host)
