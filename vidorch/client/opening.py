"""What a client stands on, and its engine and ledger, which are opened at first use."""

from __future__ import annotations

import asyncio
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from vidorch.budget import Budget
from vidorch.client.market import Market, Now
from vidorch.clock import Ids, SharedClock
from vidorch.contract import Clock
from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable
from vidorch.http import Http
from vidorch.offloop import in_thread
from vidorch.registry import Registry
from vidorch.surroundings import Surroundings

if TYPE_CHECKING:
    from vidorch.engine.runs import Engine
    from vidorch.ledger.ledger import Ledger

__all__ = ["Opening", "closed"]


class Opening:
    """The ground of `AsyncClient`. Whoever makes one sets what stands here without a value."""

    _home: Path
    _ledger_place: Path | DatabaseUrl
    _registry: Registry
    _budgets: tuple[Budget, ...]
    _resumes: bool
    _http: Http
    _clock: Clock
    _market: Market
    _ids: Ids
    _world: Surroundings | None

    def __init__(self) -> None:
        self._ledger: Ledger | None = None
        self._engine: Engine | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def _open(self, *, free: bool) -> Engine:
        """The engine, with its ledger open. Free work runs without a ledger on disk; nothing else does."""
        async with self._opening:
            if self._closed:
                raise closed()
            if self._engine is not None:
                return self._engine
            from vidorch.engine.bell import Bell
            from vidorch.engine.hosts import this_host
            from vidorch.engine.runs import Engine
            from vidorch.engine.services import Services
            from vidorch.engine.telemetry import opened
            from vidorch.ledger.ledger import Ledger

            home = self._home
            try:
                self._ledger = await in_thread(Ledger, self._ledger_place)
            except LedgerUnavailable as error:
                if not free:
                    raise
                if not _can_write(home):
                    home = Path(tempfile.mkdtemp(prefix="vidorch-"))
                warnings.warn(
                    f"{error} This run costs nothing, so it goes on without a record; files go to {home}.",
                    stacklevel=2,
                )
                self._ledger = Ledger(None)
            ledger = self._ledger
            if isinstance(self._clock, SharedClock):
                self._clock.ahead = lambda: ledger.ahead
            self._engine = Engine(
                Services(
                    ledger=ledger,
                    clock=self._clock,
                    ids=self._ids,
                    host=this_host(self._ids, shared=ledger.shared),
                    home=home,
                    provider_of=self._registry.get,
                    endpoints=Now(
                        self._market.endpoints_even_so
                    ),  # a layer that is broken today may be mended tomorrow
                    secret_of=self._market.secret,
                    hour=self._market.hour,
                    offers=lambda: self._market.offers,
                    http=self._http,
                    bell=Bell(ledger, self._clock, self._ids),
                    budgets=self._budgets,
                    mock=self._world is not None,
                    telemetry=opened(self._clock),
                )
            )
            if self._resumes:
                await self._engine.resume()
            return self._engine

    def _opened_ledger(self) -> Ledger:
        if self._ledger is None:
            raise closed()
        return self._ledger


def closed() -> RuntimeError:
    """What using a closed client raises: a mistake in the program, not in the request."""
    return RuntimeError(
        "This vidorch client is closed. Make a new one; client.run(id) there finds every run of this ledger."
    )


def _can_write(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
