"""`assert_cost`: what code asks for, held to a price in a test, before anything is bought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, Unpack, cast

from vidorch.call import EstimateOptions
from vidorch.catalog import shipped
from vidorch.client import AsyncClient
from vidorch.errors import InvalidRequest, VidorchError, shown
from vidorch.estimating import EstimateLine, Range
from vidorch.money import show_usd, usd
from vidorch.price import FREE
from vidorch.request import Request
from vidorch.surroundings import surroundings

__all__ = ["Asked", "assert_cost"]

Asked: TypeAlias = "str | Request | Mapping[str, Any]"
"""A prompt, a ready request, or a mapping with a `prompt` and options of its own, which go before the common ones."""


def assert_cost(
    requests: Asked | Iterable[Asked], at_most: Decimal | str | int, **options: Unpack[EstimateOptions]
) -> Range[Decimal]:
    """Hold one request, or all of many together, to an amount. Spends nothing, needs no key and no network.

    Prices are those of this version of vidorch: inside `mock()` the mock's, outside what ships, without anybody's own layer, so
    that a test says the same on every machine.

    Args:
        requests: one or many. at_most: USD that their highest estimates may come to together.
        options: as `vidorch.estimate` takes them (`model=`, `duration=`, `candidates=`, ...), for every request that says
            nothing else.

    Returns:
        Low, expected and high in USD, of all together.

    Raises:
        AssertionError: they may cost more; with a line for each request: its offer, what it costs, and the day of that price.
        VidorchError: one cannot be served at all; a note says which.
    """
    most = usd(at_most, "at_most")
    client = AsyncClient() if surroundings() is not None else AsyncClient(catalog=shipped())
    lines = [_line(client, number, one, options) for number, one in enumerate(_all(requests), 1)]
    low, expected, high = (
        sum((getattr(line.cost, part) for line, _ in lines), Decimal(0))
        for part in ("low", "expected", "high")
    )
    total = Range(low, expected, high) if lines else FREE
    if total.high > most:
        raise AssertionError(_in_words(lines, total, most))
    return total


def _all(requests: Asked | Iterable[Asked]) -> list[Asked]:
    if isinstance(requests, (str, Request, Mapping)):
        return [requests]
    if isinstance(requests, Iterable):
        return list(requests)
    raise _no_request(requests)


def _line(client: AsyncClient, number: int, one: Asked, options: EstimateOptions) -> tuple[EstimateLine, str]:
    if isinstance(one, Mapping):
        own = dict(one)
        prompt, given = own.pop("prompt", ""), {**options, **own}
    elif isinstance(one, (str, Request)):
        prompt, given = one, {**options}
    else:
        raise _no_request(one)
    try:
        estimate = client.estimate_now(prompt, **cast("EstimateOptions", given))
    except VidorchError as error:
        error.add_note(f"It was request {number}: {shown(one)}")
        raise
    return estimate.lines[0], prompt.prompt if isinstance(prompt, Request) else str(prompt)


def _in_words(lines: list[tuple[EstimateLine, str]], total: Range[Decimal], most: Decimal) -> str:
    head = ("#", "offer", "low", "expected", "high", "price of", "prompt")
    rows = [head]
    for number, (line, prompt) in enumerate(lines, 1):
        sure = "" if line.confirmed else ", not confirmed"
        dated = f"{line.price_as_of}{sure}" if line.price_as_of else "no price needed"
        rows.append((str(number), line.offer, *_amounts(line.cost), dated, shown(prompt, 40)))
    rows.append(("", "all", *_amounts(total), "", ""))
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    table = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    count = "1 request" if len(lines) == 1 else f"{len(lines)} requests"
    first = f"{count} may cost up to {show_usd(total.high)}, which is {show_usd(total.high - most)} more than {show_usd(most)}."
    return "\n".join((first, *table))


def _amounts(cost: Range[Decimal]) -> tuple[str, str, str]:
    return show_usd(cost.low), show_usd(cost.expected), show_usd(cost.high)


def _no_request(given: object) -> InvalidRequest:
    allowed = "prompts, Requests, or mappings with a prompt and options"
    return InvalidRequest(
        f"requests={shown(given)} cannot be used. Allowed are {allowed}, one or many.", field="requests", value=given,
        allowed=allowed,
    )  # fmt: skip
