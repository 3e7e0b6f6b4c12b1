"""What a plan buys of one offer, prepared and submitted to a protocol server without the engine."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from datetime import date
from pathlib import Path
from typing import Any

from vidorch.catalog import shipped
from vidorch.clock import RealClock
from vidorch.contract import Context
from vidorch.http import Http
from vidorch.offer import Offer
from vidorch.planning import PlannedOffer
from vidorch.registry import Registry
from vidorch.request import Request
from vidorch.routing import make_plan
from vidorch.testing.servers import ProtocolServer
from vidorch.testing.servers.base import RemoteJob

__all__ = ["bought", "planned"]

PROVIDERS = Registry()
_numbers = itertools.count(1)


def planned(offer: Offer, **fields: Any) -> PlannedOffer:
    """What would be bought of an offer, whether or not its price is known."""
    made = make_plan(
        Request(**{"prompt": "a red ball", **fields}), [offer.name], catalog=shipped(), endpoints={},
        installed=[offer.provider], has_credentials=lambda _: True, today=date(2026, 11, 26), to_run=True,
        admit=lambda one, request: PROVIDERS.get(one.provider).admit(request, one), image_size=lambda _: (400, 300),
        allow_unpriced=True,
    )  # fmt: skip
    assert made.entries, made.left_out
    return made.entries[0]


def bought(
    server: ProtocolServer, entries: list[PlannedOffer], folder: Path, options: dict[str, Any] | None = None, *,
    secret: str | None = None, **more: Any,
) -> list[RemoteJob]:  # fmt: skip
    """Prepare and submit what the plans would buy, one after the other, and give what the server took."""
    (endpoint,) = server.endpoints(**{"project": "test-project", **(options or {})}).values()
    before = len(server.jobs)

    async def go() -> None:
        http, provider = Http(private_hosts=["127.0.0.1"]), PROVIDERS.get(server.provider)
        async with aclosing(http):
            for entry in entries:
                context = Context(
                    endpoint, RealClock(), f"job-{next(_numbers)}", folder, secret=secret or server.key, http=http,
                    route=entry.route, **more,
                )  # fmt: skip
                await provider.submit(context, await provider.prepare(context, entry.request, entry.offer))

    asyncio.run(go())
    return server.jobs[before:]
