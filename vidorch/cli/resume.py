"""`vidorch jobs resume`: take up what nobody carries, once or as a worker that stays. It never submits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import typer

from vidorch.cli.books import find_run, reading
from vidorch.cli.exits import Exit
from vidorch.cli.say import as_json, aside
from vidorch.cli.signals import Signals, exit_of_signal
from vidorch.cli.standing import Standing, standing_of, tell, worst
from vidorch.cli.words import many
from vidorch.client.aio import AsyncClient, AsyncRun
from vidorch.errors import ProviderFailed, VidorchError

__all__ = ["resume"]

LOOK_EVERY = 1.0
"""Seconds between two looks of a worker, in real time: it is other processes that it waits for."""
REST = 60.0
"""Seconds that a run is left alone which could not be brought home: no credential here, no answer, not found yet."""


def resume(word: str | None, *, watch: bool, as_document: bool) -> None:
    """Take up every run that nobody carries, or one, and wait until it is done; with `watch`, go on until told to stop."""
    with reading() as ledger:
        run_id = None if word is None else find_run(ledger, word)
        if ledger is None and not watch:
            if as_document:
                as_json({"runs": [], "waiting": []})
            else:
                aside("Nothing to take up: no jobs yet.")
            return
    resumer = Resumer(AsyncClient(), run_id, as_document=as_document)
    code = asyncio.run(resumer.watch() if watch else resumer.once())
    if code:
        raise typer.Exit(code)


@dataclass(slots=True)
class Resumer:
    """Takes runs up and tells how each came out.

    Attributes:
        only: one run, or all that there are. told: how they came out, in order. resting: until when a run is left alone.
    """

    client: AsyncClient
    only: str | None
    as_document: bool
    told: dict[str, Standing] = field(default_factory=dict)
    resting: dict[str, float] = field(default_factory=dict)
    works: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def once(self) -> Exit:
        """Take up what there is, and wait until it is done."""
        with Signals() as signals:
            try:
                runs = await self.client.resume(self.only)
                if self.only is not None and not runs and self._is_carried(self.only):
                    runs = [await self.client.run(self.only)]  # by somebody else: their result is waited for
                for run in runs:
                    self._wait_for(run)
                if self.works:
                    aside(
                        f"Waiting for {_named(list(self.works))}. Ctrl-C lets go of {_it(len(self.works))}."
                    )
                    # With exceptions as results, since the works are cancelled on a signal and nobody asks for them then.
                    everything = asyncio.gather(*self.works.values(), return_exceptions=True)
                    heard = await signals.during(everything)
                    if heard is not None:
                        self._say_what_is_left()
                        await self._leave(signals)
                        self._print_document()
                        return exit_of_signal(heard)
                    for trouble in await everything:
                        if trouble is not None:
                            raise trouble
            finally:
                await self.client.aclose()
        waiting = self._waiting()
        if self.only is not None and self.only not in self.told:
            self._tell(self.only)
        for run_id in waiting:
            if run_id not in self.told and self.only is None:
                self._tell(run_id)
        if not self.told:
            aside("Nothing to take up: no run is open.")
        self._print_document()
        return worst(_code(standing) for standing in self.told.values())

    async def watch(self) -> Exit:
        """Take up whatever there is, again and again, until told to stop."""
        with Signals() as signals:
            try:
                aside(f"Taking up {self.only or 'what nobody carries'}, until Ctrl-C or SIGTERM.")
                while True:
                    for run in await self.client.resume(self.only, without=self._left_alone()):
                        aside(f"{run.id} taken up")
                        self._wait_for(run)
                    if await signals.next(LOOK_EVERY) is not None:
                        break
                self._say_what_is_left()
                await self._leave(signals)
            finally:
                await self.client.aclose()
        self._print_document()
        return Exit.OK

    def _wait_for(self, run: AsyncRun) -> None:
        work = asyncio.ensure_future(self._follow(run))
        self.works[run.id] = work
        work.add_done_callback(lambda _: self.works.pop(run.id, None))

    async def _follow(self, run: AsyncRun) -> None:
        error = None
        try:
            await run.wait()
        except VidorchError as why:
            error = why
        except Exception as bug:  # one run's trouble is not to end the worker, nor to be kept quiet
            error = ProviderFailed(
                f"Waiting for it failed in a way it should not: {type(bug).__name__}: {bug}", run_id=run.id
            )
        self._tell(run.id, error)
        if not self.told[run.id].over:
            self.resting[run.id] = asyncio.get_running_loop().time() + REST

    async def _leave(self, signals: Signals) -> None:
        """Let go in order, whatever is pressed meanwhile."""
        leaving = asyncio.ensure_future(self._close())
        while not leaving.done():
            await signals.during(leaving)
        await leaving

    async def _close(self) -> None:
        works = list(self.works.values())
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)
        await self.client.aclose()

    def _left_alone(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        self.resting = {run_id: until for run_id, until in self.resting.items() if until > now}
        return list(self.resting)

    def _is_carried(self, run_id: str) -> bool:
        with reading() as ledger:
            row = None if ledger is None else ledger.run(run_id)
            return row is not None and row["state"] == "open"

    def _waiting(self) -> list[str]:
        with reading() as ledger:
            return (
                []
                if ledger is None
                else [row["id"] for row in ledger.open_runs() if row["state"] == "waiting"]
            )

    def _tell(self, run_id: str, error: VidorchError | None = None) -> None:
        with reading() as ledger:
            assert ledger is not None
            standing = self.told[run_id] = standing_of(ledger, run_id, error)
        aside(f"{run_id} {standing.state}")
        tell(standing, quiet=self.as_document)

    def _say_what_is_left(self) -> None:
        if self.works:
            aside(f"Let go of {_named(list(self.works))}; what is at a vendor goes on there. "
                  f"Get {_it(len(self.works))} back with: vidorch jobs resume")  # fmt: skip

    def _print_document(self) -> None:
        if self.as_document:
            documents = {run_id: standing.document() for run_id, standing in self.told.items()}
            as_json({
                "runs": [one for one in documents.values() if one["state"] != "waiting"],
                "waiting": [one for one in documents.values() if one["state"] == "waiting"],
            })  # fmt: skip


def _code(standing: Standing) -> Exit:
    """What is left to do: nothing of what somebody called off, although that gave nothing."""
    return Exit.OK if standing.state == "cancelled" and standing.over else standing.code


def _named(run_ids: list[str]) -> str:
    return run_ids[0] if len(run_ids) == 1 else many(len(run_ids), "run")


def _it(count: int) -> str:
    return "it" if count == 1 else "them"
