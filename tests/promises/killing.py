"""Processes that are killed with -9 at a point of a job's life, and those that come after them.

`python -m tests.promises.killing` is a mother: it loads everything once, and forks a child for each line that it reads. So a
case takes a tenth of a second, and what is killed is a real process with real threads, files and locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import functools
import json
import os
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tests.remote import Books, Fate, Remote, catalog
from tests.remote.provider import clip_bytes
from vidorch import Budget
from vidorch.catalog import load
from vidorch.client.aio import AsyncClient
from vidorch.clock import RealClock
from vidorch.databases import DatabaseUrl
from vidorch.engine.targets import Target
from vidorch.errors import VidorchError
from vidorch.home import ledger_path
from vidorch.ledger.ledger import Ledger

__all__ = ["Case", "Mother"]

MOST_SECONDS = 90.0
"""A child that lives longer says where its threads stand, and ends: what hangs is a finding, not a test run that never ends."""

CALLS = ("prepare", "submit", "poll", "fetch", "refresh", "cancel", "find")
VERBS = ("record", "add_jobs", "end_run", "set_run", "take", "take_run", "release")


@dataclass(frozen=True)
class Case:
    """One process to be made.

    Attributes:
        do: "generate", "resume" (twice, one after the other) or "join" (generate, with the key).
        point: where it is killed, such as `sending>accepted before`, `submit after`; empty to live. nth: at which time.
        fates: what becomes of each submit, in order; the last one is repeated. cancels: whether the caller cancels.
        url: of the ledger, where it is not a file in that home.
    """

    home: str
    do: str = "generate"
    model: tuple[str, ...] = ("north/exact",)
    candidates: int = 1
    key: str | None = None
    point: str = ""
    nth: int = 1
    fates: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    cancels: bool = False
    url: str = ""

    @property
    def books(self) -> Path:
        return Path(self.home) / "vendor.db"

    @property
    def ledger(self) -> Path | DatabaseUrl:
        return ledger_path(self.url or None, Path(self.home))

    def then(self, do: str) -> Case:
        """Whoever comes after it."""
        return replace(self, do=do, point="", cancels=False)


@dataclass(frozen=True)
class Told:
    """How a process ended: its exit status (-9 when killed), the points it passed, and what it said of its runs."""

    status: int
    points: list[str]
    said: list[str]


class Mother:
    """The process that forks the others. A context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.promises.killing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2], env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def run(self, *cases: Case) -> list[Told]:
        """Make these processes, side by side, and wait for all."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([asdict(case) for case in cases]) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError("The mother is dead.")
        return [Told(**told) for told in json.loads(answer)]


class HastyClock(RealClock):
    """The real one, for people in a hurry: no wait is longer than a hundredth of a second."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


class Killer:
    """Ends this process, without a word, when it comes to a point."""

    def __init__(self, case: Case, diary: Path) -> None:
        self._case = case
        self._diary = diary.open("a")
        self._counts: Counter[str] = Counter()

    def pass_by(self, point: str) -> None:
        self._diary.write(point + "\n")
        self._diary.flush()
        self._counts[point] += 1
        if (point, self._counts[point]) == (self._case.point, self._case.nth):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_ledger(self) -> None:
        """Pass by before each write is queued, and after it is on disk."""
        for verb in VERBS:
            setattr(Ledger, verb, self._around(getattr(Ledger, verb), lambda *args, verb=verb: verb))
        Ledger.move = self._around(Ledger.move, lambda ledger, job, target, *_: f"{job.state}>{target.value}")  # type: ignore[method-assign]

    def _around(self, verb: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        @functools.wraps(verb)
        def watched(*args: Any, **kwargs: Any) -> Any:
            point = name(*args)
            self.pass_by(f"{point} before")
            future = verb(*args, **kwargs)
            future.add_done_callback(lambda done: done.exception() or self.pass_by(f"{point} after"))
            return future

        return watched

    def watch_calls(self, remote: Remote) -> None:
        """Pass by before each call leaves, and when its answer is back."""
        for call in CALLS:
            setattr(remote, call, self._round_trip(call, getattr(remote, call)))

    def _round_trip(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(*args: Any) -> Any:
            self.pass_by(f"{name} before")
            try:
                return await call(*args)
            finally:
                self.pass_by(f"{name} after")

        return watched

    def watch_files(self) -> None:
        """Pass by before and after a clip gets its name."""
        publish = Target.publish

        def watched(target: Target, temporary: Path, **kwargs: Any) -> Any:
            self.pass_by("publish before")
            published = publish(target, temporary, **kwargs)
            self.pass_by("publish after")
            return published

        Target.publish = watched  # type: ignore[method-assign]


@functools.cache
def _catalog() -> Any:
    return load(catalog(min_poll=0.01))


async def _live(case: Case, killer: Killer, said: list[str]) -> None:
    fates = [Fate(**fate) for fate in case.fates] or [Fate(latency=0.03)]
    books = Books(case.books)
    remote = Remote(books, lambda number, *_: fates[min(number, len(fates)) - 1], books.now)
    killer.watch_ledger()
    killer.watch_calls(remote)
    killer.watch_files()

    def client() -> AsyncClient:
        made = AsyncClient(
            home=case.home, ledger=case.url or case.ledger, providers={"remote": remote}, clock=HastyClock(),
            budget=Budget("100", name="all"),
        )  # fmt: skip
        made._market.catalog = _catalog()
        return made

    options: dict[str, Any] = {
        "model": list(case.model),
        "candidates": case.candidates,
        "key": case.key,
        **case.options,
    }

    async def hear(work: Any) -> Any:
        try:
            answer = await work
        except VidorchError as error:
            said.append(type(error).__name__)
            return None
        said.append(type(answer).__name__)
        return answer

    if case.do == "resume":
        for _ in range(2):
            async with client() as one:
                for run in await one.resume():
                    await hear(run.wait())
        return
    async with client() as one:
        if not case.cancels:
            await hear(one.generate("a ball", **options))
            return
        run = await one.submit("a ball", **options)
        await run.cancel()
        await hear(run.wait())


def _child(case: Case, diary: Path, words: Path) -> None:
    said: list[str] = []
    status = 0
    faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
    try:
        asyncio.run(_live(case, Killer(case, diary), said))
    except BaseException:
        traceback.print_exc()
        status = 1
    words.write_text(json.dumps(said))
    sys.stderr.flush()
    os._exit(status)


def _mother() -> None:
    clip_bytes("warm")
    _catalog()
    for number, line in enumerate(sys.stdin):
        cases = [Case(**case | {"model": tuple(case["model"])}) for case in json.loads(line)]
        children = []
        for place, case in enumerate(cases):
            notes = Path(case.home).with_name(f"{Path(case.home).name}-notes")
            notes.mkdir(parents=True, exist_ok=True)
            diary, words = notes / f"{number}-{place}-points", notes / f"{number}-{place}-words"
            child = os.fork()
            if not child:
                _child(case, diary, words)
            children.append((child, diary, words))
        told = []
        for child, diary, words in children:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = json.loads(words.read_text()) if words.exists() else []
            points = diary.read_text().splitlines() if diary.exists() else []
            told.append(asdict(Told(status, points, said)))
        print(json.dumps(told), flush=True)  # noqa: T201


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _mother()
