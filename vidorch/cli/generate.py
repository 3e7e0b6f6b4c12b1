"""`vidorch generate`, and `vidorch jobs proceed`, which goes on with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import typer

from vidorch.cli.books import find_run, reading
from vidorch.cli.carrying import Carrier
from vidorch.cli.consent import agree
from vidorch.cli.display import Display
from vidorch.cli.here import config_here
from vidorch.client.aio import AsyncClient, AsyncRun
from vidorch.engine.asked import Asked
from vidorch.errors import InvalidRequest
from vidorch.money import from_micros, usd

__all__ = ["generate", "proceed"]


def generate(prompt: str, options: dict[str, Any], *, yes: bool, as_document: bool) -> None:
    """Estimate, ask where it costs money, make it, and say where it is."""
    client = AsyncClient()
    request, call = client.parse(prompt, options)
    asked = Asked(request, call, *client.prepare(request, call))
    display = Display(enabled=not as_document)
    agreed = agree(asked, yes=yes, as_document=as_document, capped=options.get("max_cost") is not None)
    call = replace(agreed, on_progress=display.show)
    carrier = Carrier(
        client, display, hosted=_hosted(asked), timeout=call.timeout, detach=call.detach, as_document=as_document
    )  # fmt: skip
    _end(carrier.carry(lambda: client.begin(request, call)))


def proceed(word: str, *, max_cost: str | None, timeout: float | None, yes: bool, as_document: bool) -> None:
    """Send what was not sent of a run that waits: it spends, so it asks as `generate` does."""
    from vidorch.cli.standing import standing_of
    from vidorch.engine.again import request_again

    with reading() as ledger:
        run_id = find_run(ledger, word)
        assert ledger is not None
        row = ledger.run(run_id)
        assert row is not None
        standing, used = standing_of(ledger, run_id), from_micros(ledger.spent(run_id).total)
    if row["state"] != "waiting":
        raise InvalidRequest(
            f"The run {run_id} is {row['state']}, not waiting; there is nothing to send.",
            hint=f"See: vidorch jobs show {run_id}", field="id", value=word, allowed="a run that is waiting", run_id=run_id,
        )  # fmt: skip
    request, call = request_again(row)
    # What it was begun with was agreed to then; now it is asked anew.
    call = replace(call, max_cost=config_here().max_cost if max_cost is None else usd(max_cost, "max_cost"))
    client = AsyncClient()
    left = request.with_(candidates=max(standing.unsent, 1))
    asked = Asked(left, call, *client.prepare(left, call))
    agreed = agree(asked, yes=yes, as_document=as_document, used=used, capped=max_cost is not None)
    display = Display(enabled=not as_document)

    async def go_on() -> AsyncRun:
        run = await client.run(run_id)
        await run.proceed(max_cost=agreed.max_cost, on_progress=display.show)
        return run

    carrier = Carrier(client, display, hosted=_hosted(asked), timeout=timeout, as_document=as_document)
    _end(carrier.carry(go_on))


def _hosted(asked: Asked) -> bool:
    return any(entry.offer.outlives_caller for entry in asked.entries)


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
