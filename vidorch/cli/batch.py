"""`vidorch generate --batch` and `vidorch estimate --batch`: many requests of a file as one call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import typer

from vidorch import storage
from vidorch.cli.books import reading
from vidorch.cli.cancelling import SECONDS_TO_STOP
from vidorch.cli.carrying import SECONDS_TO_THINK, leave
from vidorch.cli.consent import confirmed
from vidorch.cli.display import BatchDisplay, CheckDisplay
from vidorch.cli.exits import Exit, exit_of
from vidorch.cli.lines import read_lines
from vidorch.cli.say import as_json, aside, console, error_document, is_terminal, table_of
from vidorch.cli.signals import CTRL_C, Signals, exit_of_signal
from vidorch.cli.standing import worst
from vidorch.cli.words import many, price_of_cancelling, say_result
from vidorch.client.aio import AsyncClient
from vidorch.client.batch import AT_ONCE, Batch, ToSend
from vidorch.client.completing import begin, completed
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.estimating import BatchEstimate
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.money import show_usd
from vidorch.result import Job, Result

__all__ = ["estimate_batch", "generate_batch", "one_of"]

EVERY = 1.0
"""Seconds until what is shown is looked at again."""
SHOWN = 10
"""Numbers of lines that are said for one reason; all are in the document."""


def one_of(prompt: str | None, batch: str | None) -> None:
    """There is either a prompt or a file of them.

    Raises:
        InvalidRequest: there are both, or none.
    """
    if (prompt is None) == (batch is None):
        both = (
            "PROMPT and --batch were both given"
            if prompt is not None
            else "Neither PROMPT nor --batch was given"
        )
        raise InvalidRequest(
            f"{both}. Allowed is one of them.",
            field="prompt",
            value=prompt,
            allowed="PROMPT, or --batch FILE",
        )


# -- estimating ---------------------------------------------------------------------------------------------------------------


def estimate_batch(name: str, options: dict[str, Any], *, as_document: bool) -> None:
    """Print what the lines of a file would cost, and which cannot be served."""
    lines = read_lines(name)
    found = AsyncClient().estimate_many_now(lines, numbers=lines.numbers, **options)
    show_batch(found, as_document=as_document)
    if found.unserved:
        raise typer.Exit(Exit.UNSUPPORTED)


def show_batch(found: BatchEstimate, *, as_document: bool, stderr: bool = False) -> None:
    """Print the estimate of a batch, as a table or as one JSON document."""
    if as_document:
        as_json(found.to_dict())
        return
    out = console(stderr=stderr)
    rows = [
        [one.offer, str(one.lines), str(one.clips), *_costs(one.cost.low, one.cost.expected, one.cost.high),
         (", ".join(one.needs) or "-") + ("" if one.confirmed else " (price not confirmed)")]
        for one in found.offers
    ]  # fmt: skip
    cost = found.cost
    rows.append(
        [
            "all",
            str(found.lines - found.unserved),
            str(found.clips),
            *_costs(cost.low, cost.expected, cost.high),
            "",
        ]
    )
    columns = ["!offer", ">lines", ">clips", ">low", ">expected", ">high", "needs"]
    out.print(table_of(many(found.lines, "line"), columns, rows))
    for why, places in found.left_out.items():
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        word = "line" if len(places) == 1 else "lines"
        out.print(
            f"cannot be served: {word} {', '.join(map(str, places[:SHOWN]))}{more}: {why}", markup=False
        )
    if found.unserved:
        aside(
            f"{many(found.unserved, 'line')} of {found.lines} cannot be served; a batch is sent only when all can."
        )


def _costs(*amounts: Decimal) -> list[str]:
    return [show_usd(one) if one else "free" for one in amounts]


# -- making --------------------------------------------------------------------------------------------------------------------


def generate_batch(
    name: str, options: dict[str, Any], *, at_once: int | None, yes: bool, as_document: bool, as_lines: bool
) -> None:
    """Estimate all lines of a file, ask where they cost money, make them, and say where each clip is as it comes."""
    if as_document and as_lines:
        raise InvalidRequest(
            "--json and --jsonl were both given. Allowed is one of them.", field="json", value=True, allowed="--json or --jsonl"
        )  # fmt: skip
    lines = read_lines(name)
    if isinstance(output := options.get("output"), str) and _means_a_folder(output):
        options = options | {"output": f"{output}/"}
    client = AsyncClient()
    with CheckDisplay(enabled=not (as_document or as_lines)) as display:
        batch = asyncio.run(
            client.weigh_batch(
                lines, at_once=at_once or AT_ONCE, numbers=lines.numbers, tell=display.show, **options
            )
        )
    with reading() as ledger:
        left = batch.to_send(ledger)
    _agree(batch, left, yes=yes, quiet=as_document or as_lines, capped=options.get("max_cost") is not None)
    run = _Running(client, batch, as_document=as_document, as_lines=as_lines)
    if code := asyncio.run(run.carry()):
        raise typer.Exit(code)


def _means_a_folder(output: str) -> bool:
    return not output.endswith(("/", os.sep)) and not storage.is_url(output) and not Path(output).suffix


def _agree(batch: Batch, left: ToSend, *, yes: bool, quiet: bool, capped: bool) -> None:
    """Nothing is spent unasked, as for one clip. What is paid already needs no word, nor does a `max_cost` that was typed.

    Raises:
        typer.Exit: nobody said yes; the estimate was printed.
    """
    estimate, unpriced = batch.estimate, batch.unpriced and left.lines > 0
    costs = bool(left.most) or unpriced
    if costs and batch.call.key is None:
        aside(
            "Without --key the same command makes and pays for all lines anew. With --key NAME it goes on where it ended."
        )
    if yes or not costs or (capped and batch.call.max_cost is not None and not unpriced):
        return
    if not is_terminal() or quiet:
        show_batch(estimate, as_document=quiet)
        aside("Nobody knows what this costs. Pass --yes to buy it all the same. Nothing was spent." if unpriced
              else "This costs money. Pass --yes, or --max-cost with the most it may cost. Nothing was spent.")  # fmt: skip
        raise typer.Exit(Exit.NOT_CONFIRMED)
    show_batch(estimate, as_document=False, stderr=True)
    if left.lines < estimate.lines:
        aside(f"{left.lines} of {many(estimate.lines, 'line')} are still to be sent.")
    if left.first < left.most:
        aside(
            f"{show_usd(left.first)} at first; the rest is for what you allowed to be bought after that, if it is."
        )
    if not confirmed("Spend what nobody knows?" if unpriced else f"Spend up to {show_usd(left.most)}?"):
        aside("Nothing was spent.")
        raise typer.Exit(Exit.NOT_CONFIRMED)
    if not unpriced:
        agreed, cap = _used(batch) + left.most, batch.call.max_cost
        batch.asks_at_most(agreed if cap is None else min(cap, agreed))


def _used(batch: Batch) -> Decimal:
    """USD that the calls before with this key have used or hold: `max_cost` counts over all of them."""
    from vidorch.money import from_micros

    with reading() as ledger:
        row = (
            None
            if ledger is None or batch.call.key is None
            else ledger.run_by_key(batch.call.scope, batch.call.key)
        )
        return Decimal(0) if ledger is None or row is None else from_micros(ledger.spent(row["id"]).total)


@dataclass(slots=True)
class _Running:
    """One batch while it runs: what came so far, in sums alone unless a document wants it all.

    Attributes:
        paid: USD of this call. earlier: USD of what it joined, paid by those before it.
    """

    client: AsyncClient
    batch: Batch
    as_document: bool
    as_lines: bool
    parent: str = ""
    done: int = 0
    failed: int = 0
    paid: Decimal = Decimal(0)
    imputed: Decimal = Decimal(0)
    earlier: Decimal = Decimal(0)
    codes: set[Exit] = field(default_factory=set)
    results: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    display: BatchDisplay = field(init=False)

    def __post_init__(self) -> None:
        self.display = BatchDisplay(len(self.batch.lines), enabled=not self.as_document)

    async def carry(self) -> Exit:
        """See it through, or let go of it in order.

        Raises:
            VidorchError: it could not be begun. Nothing was sent.
        """
        with Signals() as signals, self.display:
            try:
                work = asyncio.ensure_future(self._follow())
                heard = None
                while heard is None and not work.done():
                    heard = await signals.during(work, EVERY)
                    self._show()
                if heard is None:
                    self.display.stop()
                    await work
                    self._say_all()
                    return worst(self.codes)
                under_way = dict(self.batch.under_way)
                work.cancel()
                await asyncio.wait([work])
                self.display.stop()
                return await self._let_go(signals, heard, under_way)
            finally:
                await self.client.aclose()

    async def _follow(self) -> None:
        self.parent = await begin(self.client, self.batch)
        async for place, outcome in completed(self.client, self.batch, self.parent):
            self._take(self.batch.number(place), outcome)
            self._show()

    def _show(self) -> None:
        under_way = len(self.batch.under_way)
        self.display.show(done=self.done, failed=self.failed, under_way=under_way, cost=self.paid)

    def _take(self, number: int, outcome: Result | VidorchError) -> None:
        if isinstance(outcome, Result):
            self.done += 1
            self.paid += outcome.cost - outcome.paid_earlier
            self.earlier += outcome.paid_earlier
            self.imputed += outcome.imputed
            if not (self.as_document or self.as_lines):
                for place in say_result(outcome)[0]:
                    self.display.put(place)
        else:
            self.failed += 1
            self.codes.add(exit_of(outcome))
            self.display.say(f"Line {number}: {outcome}")
        if self.as_lines or self.as_document:
            document = outcome.to_dict() if isinstance(outcome, Result) else error_document(outcome)
            if self.as_lines:
                print(json.dumps({"line": number} | document, default=str), flush=True)
            else:
                self.results.append((number, document))

    # -- saying it -------------------------------------------------------------------------------------------------------

    def _say_all(self, **more: Any) -> None:
        total = len(self.batch.lines)
        said = [f"{self.done} of {many(total, 'line')} done"] + (
            [f"{self.failed} failed"] if self.failed else []
        )
        said.append(show_usd(self.paid) if self.paid else "nothing was paid" if self.earlier else "free")
        if self.earlier:
            said.append(f"{show_usd(self.earlier)} paid earlier")
        aside(", ".join(said) + ".")
        if self.parent:
            aside(f"Run: {self.parent}")
        if self.as_document:
            as_json(
                {
                    "run_id": self.parent or None, "key": self.batch.call.key, "lines": total, "done": self.done,
                    "failed": self.failed, "cost": str(self.paid), "paid_earlier": str(self.earlier),
                    "imputed": str(self.imputed), "currency": "USD", "estimate": self.batch.estimate.to_dict(),
                    "results": [{"line": number} | document for number, document in sorted(self.results, key=lambda one: one[0])],
                } | more
            )  # fmt: skip

    # -- told to stop ------------------------------------------------------------------------------------------------------

    async def _let_go(self, signals: Signals, heard: int, under_way: dict[int, str]) -> Exit:
        """The first Ctrl-C ends the waiting alone, and no other line is begun; a second one cancels what is at vendors."""
        word = "Interrupted" if heard == CTRL_C else "Told to stop"
        open_jobs = self._open_jobs(under_way.values())
        known = [job for job in open_jobs if job.outlives_caller and job.state != State.UNKNOWN]
        aside(f"{word}. {self._how_to_go_on(len(under_way))}")
        began = asyncio.get_running_loop().time()
        if heard == CTRL_C and known:
            aside(
                f"To cancel what is at vendors, press Ctrl-C again within {SECONDS_TO_THINK:g} s. {price_of_cancelling(known)}"
            )
        pressed = await leave(self.client, signals)  # first of all: what is not sent yet is not sent any more
        left = SECONDS_TO_THINK - (asyncio.get_running_loop().time() - began)
        if heard == CTRL_C and known and not pressed and left > 0:
            pressed = await signals.next(left) == CTRL_C
        if pressed and known:
            aside("Cancelling at the vendors ...")
            await self._cancel(known)
        message = f"{word}. {self._how_to_go_on(len(under_way))}"
        charged = True if self.paid else None if known else False
        self._say_all(error={"type": "Interrupted", "message": message, "charged": charged})
        return exit_of_signal(heard)

    def _how_to_go_on(self, under_way: int) -> str:
        if not self.parent:
            return "Nothing was sent."
        ended, total = self.done + self.failed, len(self.batch.lines)
        said = f"{ended} of {total} lines had ended, {under_way} were under way; the others were not begun and cost nothing."
        if under_way and not self.batch.hosted:
            said += " What ran inside this process ended with it."
        elif under_way:
            said += f" What is at a vendor goes on. Get it back with: vidorch jobs resume {self.parent}"
            said += (
                "."
                if self.batch.call.key is None
                else ", or the same command again, which sends the rest, too."
            )
        elif self.batch.call.key is not None:
            said += " The same command again sends the rest."
        return said

    def _open_jobs(self, run_ids: Any) -> list[Job]:
        wanted = set(run_ids)
        with reading() as ledger:
            jobs = [] if ledger is None or not wanted else ledger.open_jobs()
        return [
            job for job in jobs if job.run_id in wanted and State(job.state) not in (*ENDS, *BEFORE_SENDING)
        ]

    async def _cancel(self, jobs: Sequence[Job]) -> None:
        """Ask every vendor, and wait a little for what they say."""
        runs = list(dict.fromkeys(job.run_id for job in jobs))
        async with AsyncClient() as client:
            asked = await asyncio.gather(*(client.cancel(run_id) for run_id in runs), return_exceptions=True)
            for run_id, error in zip(runs, asked, strict=True):
                if error is not None:
                    aside(f"{run_id} could not be cancelled: {error}")
            handles = [await client.run(run_id) for run_id in runs]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_STOP):
                    await asyncio.gather(*(run.wait() for run in handles), return_exceptions=True)
        with reading() as ledger:
            after = [] if ledger is None else [job for one in jobs if (job := ledger.job(one.id)) is not None]
        for state in dict.fromkeys(job.state for job in after):
            alike = [job for job in after if job.state == state]
            cost = sum((job.cost for job in alike if job.billed and job.cost is not None), Decimal(0))
            known = all(job.cost is not None for job in alike) and State(state) in ENDS
            aside(f"{many(len(alike), 'job')} {state}{f', {show_usd(cost)}' if known else ''}.")
