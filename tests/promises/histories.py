"""Histories drawn by chance: callers, crashes, sleep, clocks that jump, vendors that lose replies. What must hold, holds.

One number makes one history. A broken promise is an exception that says how to see it again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.promises.sim import Process, World, budget, simulated
from tests.remote import Fate, random_fate
from tests.remote.audit import audit
from vidorch.errors import VidorchError
from vidorch.ledger.moves import ENDS, State
from vidorch.result import Job, Result

__all__ = ["BrokenPromise", "History", "play"]

MODELS = ("exact", "listed", "blind", "many-exact", "many-listed", "many-blind", "lagging")
HOUR, DAY = 3600.0, 86_400.0


class BrokenPromise(AssertionError):
    """A history in which something happened that must not."""

    def __init__(self, seed: int, findings: list[str], trace: list[str]) -> None:
        self.seed = seed
        self.findings = list(findings)
        self.trace = list(trace)
        lines = "\n".join(f"  {finding}" for finding in findings)
        super().__init__(
            f"Promises broken:\n{lines}\nAgain with: python -m benchmarks.histories --seed {seed} --trace"
        )


@dataclass
class History:
    """What happened in one history.

    Attributes:
        jobs: as they were in the end. outcomes: what callers were told. kills, sleeps, resumes: how often.
    """

    seed: int
    trace: list[str]
    jobs: list[Job] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    submits: int = 0
    kills: int = 0
    sleeps: int = 0


def play(seed: int, *, trace: bool = False) -> History:
    """Play one history.

    Raises:
        BrokenPromise: it ended as none may.
    """
    with simulated():
        story = _Story(seed, trace)
        try:
            return story.play()
        finally:
            story.world.close()


class _Story:
    def __init__(self, seed: int, trace: bool) -> None:
        self.seed = seed
        self.chance = chance = random.Random(seed)
        self.calm = False
        self.world = World(seed, self._fate, disk_trouble=chance.choice((0, 0, 0, 2, 10)))
        self.world.trace = [] if trace else None
        self.history = History(seed, [] if self.world.trace is None else self.world.trace)
        self.findings: list[str] = []
        self.runs: dict[str, set[str]] = {}
        """By key, the runs that callers were handed."""
        self.trouble = chance.choice((0, 1, 1, 2))

    def _fate(self, number: int, offer: str, samples: int) -> Fate:
        return random_fate(self.chance, samples) if self.trouble else Fate()

    # -- what is asked ------------------------------------------------------------------------------------------------------

    def _call(self) -> dict[str, Any]:
        chance = self.chance
        models = [
            f"{chance.choice(('north', 'south'))}/{chance.choice(MODELS)}"
            for _ in range(chance.choice((1, 1, 2, 3)))
        ]
        call: dict[str, Any] = {
            "model": list(dict.fromkeys(models)),
            "candidates": chance.choice((1, 1, 1, 2, 3, 6)),
            "retries": chance.choice((0, 0, 1, 2)),
            "refill": chance.choice((0, 0, 1)),
            "retry_refused": chance.choice((0, 0, 1)),
            "fallback_on_refusal": chance.random() < 0.3,
            "on_unknown": "next" if chance.random() < 0.2 else "stop",
        }
        if chance.random() < 0.6:
            call["key"] = chance.choice(("k1", "k2"))
        if chance.random() < 0.3:
            call["max_cost"] = chance.choice(("0.25", "0.50", "1.00", "3.00"))
        if chance.random() < 0.2:
            call["timeout"] = chance.choice((1.0, 10.0, 300.0))
        if len(models) > 1 and chance.random() < 0.2:
            call["spread"] = True
        if chance.random() < 0.2:
            call["seed"] = 7
        return call

    # -- who asks -----------------------------------------------------------------------------------------------------------

    def _process(self) -> Process:
        chance = self.chance
        process = self.world.process(chance.choice(("a", "a", "b")))
        process.skew = chance.choice((0.0, 0.0, 0.0, -20.0, 20.0))
        if self.calm:
            process.skew = 0.0
            return process
        draw = chance.random()
        if draw < 0.45:
            self._befall(process, chance.randint(1, 60), self._kill)
        elif draw < 0.65:
            self._befall(process, chance.randint(1, 40), self._sleep)
        elif draw < 0.75:
            self._befall(process, chance.randint(1, 40), self._jump)
        return process

    def _befall(self, process: Process, when: int, what: Callable[[Process], None]) -> None:
        def look(name: str) -> None:
            if process.steps == when:
                what(process)

        process.on_step = look

    def _kill(self, process: Process) -> None:
        self.history.kills += 1
        process.crash()

    def _sleep(self, process: Process) -> None:
        self.history.sleeps += 1
        process.sleep(self.chance.choice((30.0, 90.0, 600.0, 2 * HOUR)))

    def _jump(self, process: Process) -> None:
        process.skew += self.chance.choice((-50.0, 50.0, 2 * HOUR))

    async def _caller(self, process: Process, call: dict[str, Any]) -> None:
        """Somebody who wants a clip, and may lose interest."""
        chance = self.chance
        async with process.client(budget=budget()) as client:
            how = chance.choice(("generate", "generate", "submit", "cancel", "detach", "leave"))
            if how == "generate":
                self._note(call.get("key"), await self._asked(client.generate("a ball", **call)))
                return
            run = await self._asked(client.submit("a ball", **call))
            if isinstance(run, Exception):
                return
            self._known(call.get("key"), run.id)
            if how == "submit":
                self._note(call.get("key"), await self._asked(run.wait()))
            elif how == "cancel":
                await process.clock.sleep(chance.choice((0.0, 1.0, 10.0)))
                await self._asked(run.cancel())
                await self._asked(run.wait())
            elif how == "detach":
                await process.clock.sleep(chance.choice((0.0, 1.0, 10.0)))
                await self._asked(run.detach())
            else:
                await process.clock.sleep(chance.choice((0.0, 1.0, 10.0)))

    async def _resumer(self, process: Process) -> None:
        """Somebody who takes up what is left."""
        async with process.client() as client:
            runs = await self._asked(client.resume())
            if isinstance(runs, Exception):
                return
            for run in runs:
                self._note(None, await self._asked(run.wait()))

    async def _looker(self, process: Process) -> None:
        """Somebody who waits for a run by its id, or has it go on."""
        async with process.client(budget=budget()) as client:
            ids = [run["id"] for run in self.world.ledger.runs(limit=1000)]
            if not ids:
                return
            run = await self._asked(client.run(self.chance.choice(ids)))
            if isinstance(run, Exception):
                return
            if self.chance.random() < 0.5:
                await self._asked(run.proceed())
            await self._asked(run.wait(timeout=500.0))

    async def _asked(self, work: Any) -> Any:
        """What came of it, or the error; any but the library's own is a broken promise."""
        try:
            return await work
        except VidorchError as error:
            self.history.outcomes.append(type(error).__name__)
            return error
        except (Exception, asyncio.CancelledError) as error:
            self.findings.append(f"a caller got {type(error).__name__}: {error}")
            return error

    def _note(self, key: str | None, result: Any) -> None:
        if isinstance(result, Result):
            self.history.outcomes.append("Result")
            self._known(key, result.run_id)
            if any(clip.path is None or not clip.path.is_file() for clip in result.candidates):
                self.findings.append(f"{result.run_id} was handed over without its file")

    def _known(self, key: str | None, run_id: str) -> None:
        if key is not None:
            self.runs.setdefault(key, set()).add(run_id)

    # -- how it goes --------------------------------------------------------------------------------------------------------

    def play(self) -> History:
        world = self.world
        main = world.process("main")
        world.run(main.spawn(self._live()))
        world.run(main.spawn(self._settle()))
        self._judge()
        return self._told()

    async def _live(self) -> None:
        chance = self.chance
        calls = [self._call() for _ in range(chance.choice((1, 1, 2, 3)))]
        by_key: dict[str, dict[str, Any]] = {}
        for _ in range(chance.randint(1, 6)):
            process, draw = self._process(), chance.random()
            if draw < 0.65:
                call = chance.choice(calls)
                if key := call.get("key"):
                    call = by_key.setdefault(key, call)
                process.spawn(self._caller(process, call))
            elif draw < 0.85:
                process.spawn(self._resumer(process))
            else:
                process.spawn(self._looker(process))
            await asyncio.sleep(chance.choice((0.0, 0.002, 1.0, 5.0, 70.0, 1000.0)))
        await asyncio.sleep(chance.choice((0.0, 100.0, 3 * HOUR)))

    async def _settle(self) -> None:
        """Trouble is over. Whoever was killed stays dead; others end; then everything is taken up, again and again."""
        world = self.world
        self.calm, world.disk_trouble = True, 0.0
        await asyncio.sleep(5 * HOUR)
        for _ in range(3):
            await self._take_up()
            await asyncio.sleep(HOUR)
        self._within_the_day = world.ledger.jobs()
        await asyncio.sleep(10 * DAY)
        for _ in range(2):
            await self._take_up()
            await asyncio.sleep(HOUR)

    async def _take_up(self) -> None:
        for host in ("a", "b"):
            process = self.world.process(host)
            await process.spawn(self._resumer(process))

    # -- what must hold -----------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        world = self.world
        self.findings += world.troubles
        self.findings += audit(world.books, world.ledger)
        self.findings += self._open_ends()
        self.findings += [
            f"the key {key} led to {len(ids)} runs" for key, ids in self.runs.items() if len(ids) > 1
        ]
        if self.findings:
            raise BrokenPromise(self.seed, self.findings, self.history.trace)

    def _open_ends(self) -> list[str]:
        found = []
        for job in self._within_the_day:
            sent = (
                [one for one in world_sent if one.remote_id]
                if (world_sent := self.world.books.of_job(job.id))
                else []
            )
            if job.state == State.UNKNOWN:
                if job.find == "exact" and sent:
                    found.append(f"{job.id} is unknown, and the vendor would have told")
            elif job.state not in ENDS and not _out_of_reach(self.world.books.job(job.remote_id or "")):
                found.append(f"{job.id} was still {job.state} after three times of taking up")
        for job in self.world.ledger.jobs():
            if job.state not in ENDS:
                found.append(f"{job.id} is still {job.state} after its vendor's results are long gone")
        for run in self.world.ledger.runs(limit=1000):
            if run["state"] == "open":
                found.append(f"{run['id']} is open, and nothing is to come")
        return found

    def _told(self) -> History:
        self.history.jobs = self.world.ledger.jobs()
        self.history.submits = len(self.world.books.everything())
        return self.history


def _out_of_reach(sent: Any) -> bool:
    """Whether its result cannot be had, so that it may wait for its end."""
    return sent is not None and (sent.fate.ending == "gone" or sent.fate.link == "dead")
