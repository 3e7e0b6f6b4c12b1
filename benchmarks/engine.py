"""What the engine and the ledger cost for each job: CPU of all threads, and memory for each job in flight.

    python -m benchmarks.engine [engine] [memory] [media] [--runs 5] [--jobs 1000]

The whole path of a paid call is taken: request, plan, estimate, reservation, the ledger on disk (SQLite, `synchronous=FULL`),
prepare, submit, polls, settling, result. At the other end is a scripted remote in this process, whose own cost is measured by
itself and taken off; time runs faster for jobs, so that one of a minute is over in seconds. What looks at the file (decoding its
first and last frame, hash, sync, rename) is switched out, and is a row of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vidorch import media
from vidorch.call import parse
from vidorch.client import AsyncClient
from vidorch.contract import Accepted, Context, Done, Endpoint, Output, Polled, Prepared, Progress, Provider
from vidorch.engine.fetching import Porter
from vidorch.engine.targets import Published, Target
from vidorch.result import Job

JOBS = 1_000
ALONE = 40
POLLS = 10
FASTER = {"crowd": 20.0, "alone": 200.0}
MODEL = "bench/one"
ASKED = {"engine at 1,000 in flight": 1.5, "engine, alone": 3.0, "memory": 40.0}


class Remote(Provider):
    """A vendor that takes everything and is done after a few looks.

    Args:
        seed: of how often each job is looked at: `POLLS` times on average, from half to half as much again.
    """

    name: ClassVar[str] = "bench"
    simulated: ClassVar[bool] = True

    def __init__(self, seed: int = 0, polls: int = POLLS) -> None:
        self.held = False
        self.running = 0
        self.all_running = asyncio.Event()
        self.wanted = 0
        self._chance = random.Random(seed)
        self._polls = polls
        self.clip: Path | None = None
        self._left: dict[str, list[int]] = {}

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        polls = self._chance.randint(self._polls // 2, self._polls + self._polls // 2)
        remote_id = f"r-{context.job_id}"
        self._left[remote_id] = [polls, polls]
        return Accepted(remote_id)

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        left = self._left[accepted.remote_id]
        left[0] -= 1
        if left[0] == left[1] - 2:
            self.running += 1
            if self.running == self.wanted:
                self.all_running.set()
        if left[0] > 0 or self.held:
            return Progress("running", 1 - max(left[0], 0) / left[1])
        del self._left[accepted.remote_id]
        return Done((Output(0, accepted.remote_id),))

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        if self.clip is not None:
            shutil.copyfile(self.clip, path)


class Faster:
    """A clock on which jobs wait that many times shorter."""

    def __init__(self, times: float) -> None:
        self.times = times
        self._start = time.time()

    def now(self) -> float:
        return self._start + (time.time() - self._start) * self.times

    def monotonic(self) -> float:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.times)


def catalog() -> dict[str, Any]:
    """The remote's offer: $0.50 for a clip of 5 s at 720p."""
    price = {"per_second": "0.10", "source": "the benchmark", "as_of": date(2026, 11, 22)}
    return {
        "offer": [
            {
                "model": "one", "endpoint": "bench", "provider": "bench", "family": "bench", "title": "Scripted",
                "vendor_model": "one", "path": "one", "as_of": date(2026, 11, 22), "min_poll": 5, "outlives_caller": True,
                "price": {"rule": "table", "source": "the benchmark", "row": [price]},
                "capabilities": {
                    "durations": {"choices": [5]}, "resolutions": ["720p"], "aspect_ratios": ["16:9"],
                    "sizes": {"720p 16:9": [1280, 720]}, "fps": [24], "seed": True,
                },
                "routes": {"text-to-video": {}},
            }
        ]
    }  # fmt: skip


@contextlib.contextmanager
def without_files() -> Iterator[None]:
    """Inside, no clip is ever written or looked at: whatever comes is taken for one."""
    seen = {
        "size": 1,
        "sha256": "0" * 64,
        "width": 1280,
        "height": 720,
        "frames": 120,
        "fps": "24",
        "duration": 5.0,
        "has_audio": 0,
        "media_type": "video/mp4",
    }
    real = Porter._look, Porter._put, Target.workplace

    def put(self: Porter, job: Job, number: int, temporary: Path, suffix: str) -> Published:
        return Published(f"{temporary}-{job.id}{suffix}", None)

    Porter._look = lambda self, output, temporary, strict: (dict(seen), "")  # type: ignore[method-assign]
    Porter._put = put  # type: ignore[method-assign]
    Target.workplace = lambda self, job_id, candidates=1: Path("/nowhere")  # type: ignore[method-assign]
    try:
        yield
    finally:
        Porter._look, Porter._put, Target.workplace = real  # type: ignore[method-assign]


@contextlib.asynccontextmanager
async def client(folder: Path, remote: Remote, pace: str, **settings: Any) -> Any:
    """A client on that remote, with its ledger open and everything loaded."""
    clock = Faster(FASTER[pace])
    async with AsyncClient(
        home=folder, catalog=catalog(), providers={"bench": remote}, clock=clock, **settings
    ) as made:
        await made.generate("warm", model=MODEL)
        yield made


def timed(work: Callable[[Path], Awaitable[float]]) -> float:
    """What `work` gives, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, without_files():
        return asyncio.run(work(Path(folder)))  # type: ignore[arg-type]


# -- the whole ------------------------------------------------------------------------------------------------------------


def crowd(jobs: int, seed: int, *, polls: int = POLLS, **more: Any) -> float:
    """Milliseconds of CPU per job, `jobs` at once."""

    async def work(folder: Path) -> float:
        settings = {"budget": more.pop("budget")} if "budget" in more else {}
        async with client(folder, Remote(seed, polls), "crowd", **settings) as made:
            gc.collect()
            began = time.process_time()
            calls = (made.generate(f"a ball {number}", model=MODEL, **more) for number in range(jobs))
            results = await asyncio.gather(*calls)
            spent = time.process_time() - began
            assert jobs == len({result.clip.job_id for result in results})
            return spent / jobs * 1e3

    return timed(work)


def alone(jobs: int, seed: int) -> float:
    """Milliseconds of CPU per job, one after the other."""

    async def work(folder: Path) -> float:
        async with client(folder, Remote(seed), "alone") as made:
            gc.collect()
            began = time.process_time()
            for number in range(jobs):
                await made.generate(f"a ball {number}", model=MODEL)
            return (time.process_time() - began) / jobs * 1e3

    return timed(work)


# -- the parts -------------------------------------------------------------------------------------------------------------


def of_the_remote(jobs: int, seed: int) -> float:
    """Milliseconds of CPU that the remote itself takes for a job."""

    async def work(folder: Path) -> float:
        remote = Remote(seed)
        offer = next(iter(AsyncClient(home=folder, catalog=catalog()).catalog.offers))
        request, _ = parse("a ball", {})
        context = Context(Endpoint("bench", "bench"), Faster(1.0), "job", folder)
        began = time.process_time()
        for number in range(jobs):
            one = Context(context.endpoint, context.clock, f"job_{number}", folder)
            prepared = await remote.prepare(one, request, offer)
            accepted = await remote.submit(one, prepared)
            while not isinstance(found := await remote.poll(one, accepted), Done):
                pass
            await remote.fetch(one, found.outputs[0], folder / f"{number}")
        return (time.process_time() - began) / jobs * 1e3

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(Path(folder)))


def of_the_media(jobs: int, size: tuple[int, int] = (1280, 720)) -> float:
    """Milliseconds of CPU to decode both ends of a clip of 5 s, hash it, sync it and give it its name."""
    frames = (np.full((size[1], size[0], 3), number, np.uint8) for number in range(120))
    with tempfile.TemporaryDirectory() as folder:
        media.write_video(clip := Path(folder) / "clip.mp4", frames, fps=24)
        target = Target(Path(folder) / "run", None, False)
        spent = 0.0
        for number in range(jobs):
            temporary = target.workplace(f"job_{number}", 1)
            shutil.copyfile(clip, temporary)
            began = time.process_time()
            media.verify(temporary, duration=5, tolerance=0.5, size=size)
            with temporary.open("rb") as file:
                hashlib.file_digest(file, "sha256")
            target.publish(
                temporary,
                candidate=number,
                candidates=jobs,
                endpoint="bench",
                model="one",
                job_id=f"job_{number}",
                suffix=".mp4",
            )
            spent += time.process_time() - began
        return spent / jobs * 1e3


def memory(jobs: int, *, traced: bool) -> float:
    """Kilobytes for each job while `jobs` are in flight: of the process, or of Python's own objects when `traced`."""

    async def work(folder: Path) -> float:
        remote = Remote(0)
        async with client(folder, remote, "crowd") as made:
            gc.collect()
            before = _used(traced)
            remote.held, remote.running, remote.wanted = True, 0, jobs
            calls = [
                asyncio.ensure_future(made.generate(f"a ball {number}", model=MODEL))
                for number in range(jobs)
            ]
            await remote.all_running.wait()
            gc.collect()
            grown = _used(traced) - before
            remote.held = False
            await asyncio.gather(*calls)
            return grown / jobs

    if traced:
        tracemalloc.start()
    try:
        return timed(work)
    finally:
        tracemalloc.stop()


def _used(traced: bool) -> float:
    if traced:
        return tracemalloc.get_traced_memory()[0] / 1024
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def elsewhere(name: str, *arguments: int) -> float:
    """A measurement in a fresh process: what ran before it grew the heap."""
    call = f"from benchmarks import engine; print(engine.{name})" % arguments
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
    return float(done.stdout)


def row(name: str, values: list[float], asked: float | None = None) -> str:
    """A line of a table: median, fastest, slowest."""
    limit = "" if asked is None else f"{asked:g}"
    return f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} | {limit} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=["engine", "memory", "media", []])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--alone", type=int, default=ALONE, help="jobs of the row of one after the other")
    asked = parser.parse_args()
    parts = asked.parts or ["engine", "memory", "media"]
    print("| | median | least | most | asked: at most |")
    print("|---|---|---|---|---|")
    if "engine" in parts:
        remote = [of_the_remote(asked.jobs, seed) for seed in range(asked.runs)]
        own = statistics.median(remote)
        many = [elsewhere(f"crowd({asked.jobs}, %d)", seed) - own for seed in range(asked.runs)]
        print(
            row(f"CPU, ms a job: {asked.jobs:,} in flight", many, ASKED["engine at 1,000 in flight"]),
            flush=True,
        )
        one = [elsewhere(f"alone({asked.alone}, %d)", seed) - own for seed in range(asked.runs)]
        print(row("CPU, ms a job: alone, one after the other", one, ASKED["engine, alone"]), flush=True)
        few = [elsewhere(f"crowd({asked.jobs}, %d, polls=2)", seed) - own for seed in range(asked.runs)]
        print(row(f"the same, {asked.jobs:,} in flight, two looks instead of ten", few), flush=True)
        print(row("taken off: the remote's own, ms a job", remote), flush=True)
    if "memory" in parts:
        grown = [elsewhere(f"memory({asked.jobs}, traced=False)") for _ in range(asked.runs)]
        print(
            row(f"memory of the process, KB a job, {asked.jobs:,} in flight", grown, ASKED["memory"]),
            flush=True,
        )
        traced = [elsewhere(f"memory({asked.jobs}, traced=True)")]
        print(row("of that, objects of Python", traced), flush=True)
    if "media" in parts:
        print(
            row(
                "the look at a clip and its place, 5 s at 720p, CPU, ms", [of_the_media(10) for _ in range(3)]
            )
        )


if __name__ == "__main__":
    main()
