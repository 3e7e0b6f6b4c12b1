"""What a hosted clip costs in CPU and memory, beside what does the same without vidorch.

One job is a submit on a connection of its own, one poll, and the download of a 64 KB clip to a file; the server (the
`/v1/videos` protocol on the loopback) is another process. Side by side in one run:

    raw aiohttp        the three calls by hand: a pool that keeps nothing for the submits, one that keeps for the rest
    vidorch, sockets   vidorch's adapter and sockets alone, without engine and ledger
    vidorch, whole     AsyncClient.generate: plan, ledger on disk, hash and publish; but for the check of the clip, which depends
                       on the clip and is measured apart
    raw httpx          the same by hand
    openai, genblaze, litellm   (with --peers; each in an environment of its own)

All take turns, round after round. A job without its whole clip is a failure.

Usage: python -m benchmarks.overhead [JOBS] [--rounds N] [--peers] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["VIDORCH_LIVE"] = "1"

KEY = "test-key"
SIZE = 65_536
"""Bytes of a clip."""
LAYER: dict[str, Any] = {
    "family": "bench",
    "offer": [
        {
            "model": "one", "endpoint": "openai", "provider": "openai", "title": "One", "vendor_model": "sora-2",
            "as_of": dt.date(2026, 11, 26), "variables": ["KEY"], "path": "/v1/videos", "min_poll": 1,
            "price": {"source": "here", "row": [{"fixed": "0.001"}]},
            "latency": {"low": 1, "expected": 1, "high": 2, "source": "here"},
            "capabilities": {"durations": {"choices": [4]}, "resolutions": ["720p"], "aspect_ratios": ["16:9"], "audio": "on"},
            "fields": {"prompt": {"to": "prompt"}, "duration": {"to": "seconds"}, "size": {"to": "size", "form": "{}x{}"}},
            "fixed": {"model": "sora-2"},
            "routes": {"text-to-video": {}},
        }
    ],
}  # fmt: skip


def serve() -> None:
    """A lean server of the protocol: every job is done at its first poll."""
    from vidorch.testing.clips import clip_bytes

    clip = clip_bytes((128, 72), 4, sound=True)
    clip += (SIZE - len(clip)).to_bytes(4, "big") + b"free" + bytes(SIZE - 8 - len(clip))

    def answer(body: bytes, kind: str = "application/json") -> bytes:
        return (
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )

    content, numbers = answer(clip, "video/mp4"), iter(range(10**9))

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport, self.seen = transport, b""

        def data_received(self, data: bytes) -> None:
            self.seen += data
            head, end, rest = self.seen.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if not end or len(rest) < length:
                return
            self.seen = b""
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            if path.endswith(b"/content"):
                reply = content
            else:
                made = head.startswith(b"POST")
                name = f"video-{next(numbers)}" if made else path.rpartition(b"/")[2].decode()
                reply = answer(json.dumps({
                    "id": name, "object": "video", "status": "queued" if made else "completed", "progress": 0, "model": "sora-2",
                    "created_at": 0, "seconds": "4", "size": "1280x720",
                }).encode())  # fmt: skip
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.write(reply)

    async def go() -> None:
        server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(go())


async def by_vidorch(url: str, jobs: int, folder: Path) -> int:
    import vidorch
    from vidorch.contract import Endpoint

    endpoints = {"openai": Endpoint("openai", "openai", base_url=url)}
    async with vidorch.AsyncClient(
        home=folder, catalog=LAYER, endpoints=endpoints, credentials=lambda scope, endpoint: KEY
    ) as client:
        results = await asyncio.gather(
            *(client.generate(f"job {number}", model="openai/one", max_cost=1) for number in range(jobs)),
            return_exceptions=True,
        )
    return sum(isinstance(one, BaseException) for one in results)


async def by_adapter(url: str, jobs: int, folder: Path) -> int:
    from vidorch.catalog import load
    from vidorch.clock import RealClock
    from vidorch.contract import Context, Done, Endpoint, Prepared
    from vidorch.http import Http
    from vidorch.request import Request
    from vidorch_providers.openai import Openai

    offer = next(one for one in load(LAYER).offers if one.name == "openai/one")
    request = Request(prompt="x", duration=4, resolution="720p", aspect_ratio="16:9")
    provider, http, clock = Openai(), Http(private_hosts=["127.0.0.1"]), RealClock()

    async def one(number: int) -> None:
        context = Context(
            endpoint=Endpoint("openai", "openai", base_url=url), clock=clock, job_id=f"job{number}", folder=folder, secret=KEY,
            http=http, route=offer.routes["text-to-video"],
        )  # fmt: skip
        prepared: Prepared = await provider.prepare(context, request, offer)
        accepted = await provider.submit(context, prepared)
        done = await provider.poll(context, accepted)
        assert isinstance(done, Done)
        await provider.fetch(context, done.outputs[0], folder / f"{number}.mp4")

    results = await asyncio.gather(*(one(number) for number in range(jobs)), return_exceptions=True)
    await http.aclose()
    return sum(isinstance(one, BaseException) for one in results)


async def by_aiohttp(url: str, jobs: int, folder: Path) -> int:
    import aiohttp

    headers = {"authorization": f"Bearer {KEY}"}
    asked = {"prompt": "x", "seconds": "4", "size": "1280x720", "model": "sora-2"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as pooled,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), headers=headers
        ) as fresh,
    ):

        async def one(number: int) -> None:
            form = aiohttp.MultipartWriter("form-data")
            for name, value in asked.items():
                form.append(value).set_content_disposition("form-data", name=name)
            async with fresh.post(f"{url}/v1/videos", data=form) as reply:
                job = await reply.json()
            async with pooled.get(f"{url}/v1/videos/{job['id']}") as reply:
                assert (await reply.json())["status"] == "completed"
            async with pooled.get(f"{url}/v1/videos/{job['id']}/content") as reply:
                with (folder / f"{number}.mp4").open("wb") as file:
                    async for block in reply.content.iter_any():
                        file.write(block)

        results = await asyncio.gather(*(one(number) for number in range(jobs)), return_exceptions=True)
    return sum(isinstance(one, BaseException) for one in results)


async def by_httpx(url: str, jobs: int, folder: Path) -> int:
    import httpx

    headers = {"authorization": f"Bearer {KEY}"}
    asked = {
        "prompt": (None, "x"),
        "seconds": (None, "4"),
        "size": (None, "1280x720"),
        "model": (None, "sora-2"),
    }
    kept = httpx.Limits(max_connections=None, max_keepalive_connections=1000)
    closed = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(headers=headers, limits=kept, timeout=600) as pooled,
        httpx.AsyncClient(headers=headers, limits=closed, timeout=600) as fresh,
    ):

        async def one(number: int) -> None:
            job = (await fresh.post(f"{url}/v1/videos", files=asked)).json()
            assert (await pooled.get(f"{url}/v1/videos/{job['id']}")).json()["status"] == "completed"
            async with pooled.stream("GET", f"{url}/v1/videos/{job['id']}/content") as reply:
                with (folder / f"{number}.mp4").open("wb") as file:
                    async for block in reply.aiter_bytes():
                        file.write(block)

        results = await asyncio.gather(*(one(number) for number in range(jobs)), return_exceptions=True)
    return sum(isinstance(one, BaseException) for one in results)


WAYS: dict[str, tuple[str, Callable[[str, int, Path], Awaitable[int]]]] = {
    "raw aiohttp": ("the three calls by hand", by_aiohttp),
    "vidorch, sockets": ("the adapter over `vidorch.http`, no engine, no ledger", by_adapter),
    "vidorch, whole": ("`AsyncClient.generate`: plan, ledger on disk, hash, publish", by_vidorch),
    "raw httpx": ("the three calls by hand", by_httpx),
}
"""What is measured here: what it was given to do, and how."""
Measured = tuple[float, int, float]
"""Milliseconds of CPU a job, failures, and growth of memory in KB a job."""


def measured(way: str, url: str, jobs: int) -> Measured:
    """One way, in a process of its own."""
    code = f"import benchmarks.overhead as b; b.child({way!r}, {url!r}, {jobs})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    cpu, failures, memory = json.loads(done.stdout.strip().rsplit("\n", 1)[-1])
    return cpu, failures, memory


def child(way: str, url: str, jobs: int) -> None:
    _, made = WAYS[way]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(made(url, 8, Path(folder)))  # imports and first connections are not a job's
        with unchecked(Path(folder) / "example.mp4") as taken, tempfile.TemporaryDirectory() as other:
            gc.collect()
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            failures = asyncio.run(made(url, jobs, Path(other)))
            cpu = (time.process_time() - began) / jobs * 1000
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / jobs
            whole = sum(path.stat().st_size == SIZE for path in Path(other).rglob("*.mp4"))
        if made is by_vidorch:
            assert len(taken) == jobs - failures, f"{len(taken)} checks were left out of {jobs - failures}"
    print(json.dumps([cpu, max(failures, jobs - whole), grown]))


@contextlib.contextmanager
def unchecked(example: Path) -> Iterator[list[None]]:
    """Inside, every clip is taken for the whole one that it is; gives how often that was done."""
    from vidorch import media
    from vidorch.testing.clips import clip_bytes

    example.write_bytes(clip_bytes((128, 72), 4, sound=True))
    real, taken = media.verify, list[None]()
    info = real(example, duration=4)

    def take(*_: object, **__: object) -> media.MediaInfo:
        taken.append(None)
        return info

    media.verify = take
    try:
        yield taken
    finally:
        media.verify = real


def checks(count: int) -> float:
    """Milliseconds of CPU that checking one such clip takes: header, first and last frame, length."""
    from vidorch import media
    from vidorch.testing.clips import clip_bytes

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(clip_bytes((128, 72), 4, sound=True))
        media.verify(path, duration=4)
        began = time.process_time()
        for _ in range(count):
            media.verify(path, duration=4)
        return (time.process_time() - began) / count * 1000


def table(rows: dict[str, tuple[str, list[Measured]]], check: list[float]) -> None:
    """Print it, with what was measured in each round as medians, and the fastest round beside."""
    raw = rows.get("raw aiohttp", ("", []))[1]
    print(
        "| | what it was given to do | ms of CPU a job: median | fastest | times raw aiohttp | KB a job | failures |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, (given, row) in rows.items():
        cpu = [one[0] for one in row]
        if not cpu:
            print(f"| {name} | {given} | could not be run | | | | |")
            continue
        times = (
            f"{statistics.median(mine / one[0] for mine, one in zip(cpu, raw, strict=False)):.2f}"
            if raw
            else ""
        )
        memory, failures = statistics.median(one[2] for one in row), sum(one[1] for one in row)
        print(
            f"| {name} | {given} | {statistics.median(cpu):.2f} | {min(cpu):.2f} | {times} | {memory:.0f} | {failures} |"
        )
    print(
        f"| the check of a clip, apart | `media.verify` | {statistics.median(check):.2f} | {min(check):.2f} | | | |"
    )


def main() -> None:
    from benchmarks import overhead_peers as peers

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("jobs", nargs="?", type=int, default=1000, help="in flight at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows whose name begins so")
    asked = parser.parse_args()
    names = [*WAYS, *(peers.PEERS if asked.peers else ())]
    if asked.only:
        names = [name for name in names if name.startswith(tuple(asked.only))]
    server = subprocess.Popen(
        [sys.executable, "-c", "import benchmarks.overhead as b; b.serve()"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        given = {name: WAYS[name][0] if name in WAYS else peers.PEERS[name].given for name in names}
        rows: dict[str, tuple[str, list[Measured]]] = {name: (given[name], []) for name in names}
        check = []
        for number in range(asked.rounds):
            for name, (_, row) in rows.items():
                if name == "raw httpx" and number:
                    continue  # once: it takes minutes at a thousand, and its figure is far from the others
                try:
                    if name in WAYS:
                        row.append(measured(name, url, asked.jobs))
                    else:
                        row.append(peers.measured(peers.PEERS[name], url, asked.jobs))
                    print(f"round {number + 1}, {name}: {row[-1]}", file=sys.stderr, flush=True)
                except (AssertionError, subprocess.SubprocessError) as error:
                    if name in WAYS:
                        raise
                    print(f"{name}: {error}", file=sys.stderr, flush=True)
            check.append(checks(min(asked.jobs, 100)))
    finally:
        server.kill()
    print(f"{asked.jobs} jobs in flight, {asked.rounds} rounds")
    table(rows, check)


if __name__ == "__main__":
    main()
