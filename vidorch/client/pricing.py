"""Newer prices: from a public map of prices, or from a vendor's own API of prices. Looking changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vidorch.catalog import with_newer_prices
from vidorch.client.asking import Asking, told
from vidorch.client.opening import closed
from vidorch.contract import UnitPrice
from vidorch.errors import (
    CatalogError,
    InvalidRequest,
    MissingCredentials,
    ProviderFailed,
    shown,
)
from vidorch.inputs import without_query
from vidorch.offer import Offer
from vidorch.offloop import in_thread

if TYPE_CHECKING:
    from vidorch.catalog.updating import PriceUpdate, Rates

__all__ = ["Pricing"]

_SECONDS = frozenset({"second", "seconds"})


class Pricing(Asking):
    """The calls of a client that ask for prices."""

    async def newer_prices(
        self, source: str | os.PathLike[str], *, as_of: date | str | None = None, scope: str = "default"
    ) -> PriceUpdate:
        """What a source would change of the prices below your own layer. Writes nothing: `save()` of what it gives does.

        Rows that a source cannot express (by sound, task, references or length, with a part for each clip) stay as they are,
        and so do rows that were read after it; each is named in `left_alone`.

        Args:
            source: a file or https URL in the format of LiteLLM's `model_prices_and_context_window.json`; or an endpoint whose
                vendor has an API of prices ("fal"), which is asked with the key of `scope`.
            as_of: the day that the prices are of. Default: of a file the day on which it was last changed, else today (UTC).

        Raises:
            CatalogError: it cannot be read, is too large, is no such map, or your own layer is broken.
            InvalidRequest: a source, URL or day that cannot be used. Unsupported: this vendor has no API of prices.
            MissingCredentials: no key for it. ProviderFailed: nobody answered, or not with prices.
        """
        if self._closed:
            raise closed()
        if self._world is not None:
            raise InvalidRequest(
                "In a mock prices are frozen; nothing was read.", hint="Outside of it: vidorch models update SOURCE",
                field="source", value=source, allowed="nothing",
            )  # fmt: skip
        today = datetime.fromtimestamp(self._clock.now(), UTC).date()
        day = None if as_of is None else _day(as_of, today)
        text = os.fspath(source)
        if not isinstance(text, str) or not text:
            raise _no_source(source)
        below = await in_thread(with_newer_prices)
        mine = {
            one.name: one.layer
            for one in (await in_thread(lambda: self._market.catalog)).offers
            if one.layer != "shipped"
        }
        from vidorch.catalog.litellm import rates_in
        from vidorch.catalog.updating import compare

        if isinstance(source, str) and text in {offer.endpoint for offer in below.offers}:
            rates = await self._vendors(text, below.offers, scope)
            return compare(below.offers, rates, source=text, as_of=day or today, first_hand=True, own=mine)
        if "://" in text:
            name, content, read_on = without_query(text), await self._fetched(text), today
        else:
            name = text
            content, read_on = await in_thread(_read, Path(text))
        found, unknown = await in_thread(rates_in, content, name, below.offers)
        return compare(
            below.offers, found, source=name, as_of=day or min(read_on, today), first_hand=False, own=mine, unknown=unknown
        )  # fmt: skip

    async def _vendors(self, endpoint: str, offers: tuple[Offer, ...], scope: str) -> dict[str, Rates | str]:
        where = self._where(endpoint)
        provider = self._able(where.provider, "unit_prices", "has no API of prices")
        there = [offer for offer in offers if offer.endpoint == endpoint and offer.price.rows]
        context = self._asks(where, scope, "prices")
        needed = tuple(dict.fromkeys(name for offer in there for name in offer.variables))
        if context.secret is None and needed:
            raise MissingCredentials(
                f"{endpoint} tells its prices to its customers alone, and there is no key. Nothing was sent.",
                hint=f"Set {' or '.join(needed)}, or: vidorch setup {endpoint}", provider=where.provider,
            )  # fmt: skip
        paths = list(dict.fromkeys(path for offer in there for path in _paths(offer)))
        prices = await told(provider, context, provider.unit_prices(context, paths))
        return {offer.name: _rates(offer, prices) for offer in there}

    async def _fetched(self, url: str) -> bytes:
        from vidorch.catalog.litellm import LARGEST

        if not _is_safe(url):
            raise InvalidRequest(
                f"Prices are read from https alone, and {without_query(url)} is none.", field="source",
                value=without_query(url), allowed="a file, an https URL, or an endpoint such as 'fal'",
            )  # fmt: skip
        reply = await self._http.request("GET", url, most=LARGEST)
        if reply.ok:
            return reply.body
        to = reply.headers.get("location", "")
        raise ProviderFailed(
            f"{without_query(url)} answered {reply.status}, and no prices. Nothing was changed.",
            hint=f"Name the URL that it leads to: {without_query(to)}" if 300 <= reply.status < 400 and to else "",
            charged=False, retryable=reply.status >= 500, code=str(reply.status),
        )  # fmt: skip


def _paths(offer: Offer) -> list[str]:
    return list(dict.fromkeys(route.path.strip("/") for route in offer.routes.values()))


def _rates(offer: Offer, prices: Mapping[str, UnitPrice]) -> Rates | str:
    """The one rate of an offer, where all of its paths have it; else why not."""
    from vidorch.catalog.updating import Rates

    found = [prices.get(path) for path in _paths(offer)]
    known = [one for one in found if one is not None]
    if not known:
        return f"{offer.endpoint} tells no price of {', '.join(_paths(offer))}: it may not know it any more"
    if len(known) < len(found):
        return "the source has a price for some of its tasks alone"
    if len({(one.amount, one.unit, one.currency) for one in known}) > 1:
        return "the source's prices differ by task, and here they do not"
    if known[0].unit.lower() not in _SECONDS or known[0].currency != "USD":
        return f"the source counts {known[0].unit} in {known[0].currency}, not seconds in USD"
    return Rates(known[0].amount, source=f"{offer.endpoint}'s API of prices, for this account")


def _read(path: Path) -> tuple[bytes, date]:
    """A file, and the day (UTC) on which it was last changed.

    Raises:
        CatalogError: it cannot be read, or is too large to be a map of prices.
    """
    from vidorch.catalog.litellm import LARGEST

    try:
        with path.expanduser().open("rb") as file:
            content = file.read(LARGEST + 1)
            changed = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC).date()
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CatalogError(
            f"{path}: the prices cannot be read: {why}. Nothing was changed.",
            hint="Allowed is a file, an https URL, or an endpoint such as fal.",
            file=str(path),
        ) from None
    if len(content) > LARGEST:
        raise CatalogError(
            f"{path}: it has more than {LARGEST} bytes, too many for a map of prices. Nothing was changed.", file=str(path)
        )  # fmt: skip
    return content, changed


def _is_safe(url: str) -> bool:
    """Whether nobody on the way can have changed what comes: https, or this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    try:
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False


def _day(given: date | str, today: date) -> date:
    try:
        day = given if type(given) is date else date.fromisoformat(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        day = None
    if day is None or day > today:
        allowed = f"a day until today, {today}"
        raise InvalidRequest(
            f"as_of={shown(given)} cannot be used. Allowed is {allowed}.", field="as_of", value=given, allowed=allowed
        )  # fmt: skip
    return day


def _no_source(source: object) -> InvalidRequest:
    allowed = "a file, an https URL, or an endpoint such as 'fal'"
    return InvalidRequest(
        f"source={shown(source)} cannot be used. Allowed is {allowed}.", field="source", value=source, allowed=allowed
    )  # fmt: skip
