"""What a hosted clip costs in CPU and memory, beside what does the same without vidorch.

One job is a submit on a connection of its own, one poll, and the download of a 64 KB clip to a file; the server (the
`/v1/videos` protocol on the loopback) is another process. Side by side in one run:

    vidorch            AsyncClient.generate: plan, ledger on disk, check and publish; the media check also by itself
    adapter            vidorch's adapter and sockets alone, without engine and ledger
    aiohttp            the same three calls by hand, a fresh connection for each submit
    httpx              the same by hand
    openai             the openai package (with --peers; in an environment of its own)

Usage: python -m benchmarks.overhead [JOBS] [--rounds N] [--peers]
"""

from __future__ import annotations

import argparse
import asyncio
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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

os.environ["VIDORCH_LIVE"] = "1"

KEY = "test-key"
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
    clip += (
        (65_536 - len(clip)).to_bytes(4, "big") + b"free" + bytes(65_528 - len(clip))
        if len(clip) < 65_528
        else b""
    )

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
            path = head.split(b" ", 2)[1]
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
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as pooled:

        async def one(number: int) -> None:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True), headers=headers
            ) as fresh:
                form = aiohttp.MultipartWriter("form-data")
                for name, value in (
                    ("prompt", "x"),
                    ("seconds", "4"),
                    ("size", "1280x720"),
                    ("model", "sora-2"),
                ):
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
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=1000)
    async with httpx.AsyncClient(headers=headers, limits=limits, timeout=600) as pooled:

        async def one(number: int) -> None:
            async with httpx.AsyncClient(headers=headers, timeout=600) as fresh:
                data = {"prompt": "x", "seconds": "4", "size": "1280x720", "model": "sora-2"}
                job = (
                    await fresh.post(
                        f"{url}/v1/videos", files={name: (None, value) for name, value in data.items()}
                    )
                ).json()
            assert (await pooled.get(f"{url}/v1/videos/{job['id']}")).json()["status"] == "completed"
            async with pooled.stream("GET", f"{url}/v1/videos/{job['id']}/content") as reply:
                with (folder / f"{number}.mp4").open("wb") as file:
                    async for block in reply.aiter_bytes():
                        file.write(block)

        results = await asyncio.gather(*(one(number) for number in range(jobs)), return_exceptions=True)
    return sum(isinstance(one, BaseException) for one in results)


OPENAI = """
import asyncio, json, os, time, resource
from openai import AsyncOpenAI
jobs, url, folder = int(os.environ["JOBS"]), os.environ["URL"], os.environ["FOLDER"]
async def go():
    client = AsyncOpenAI(base_url=url + "/v1", api_key="test-key", max_retries=0, timeout=600)
    async def one(n):
        video = await client.videos.create(prompt="x", seconds="4", size="1280x720", model="sora-2")
        await client.videos.retrieve(video.id)
        content = await client.videos.download_content(video.id)
        content.write_to_file(f"{folder}/{n}.mp4")
    await one(0)
    began = time.process_time()
    results = await asyncio.gather(*(one(n) for n in range(jobs)), return_exceptions=True)
    print(json.dumps([(time.process_time() - began) / jobs * 1000, sum(isinstance(r, BaseException) for r in results)]))
asyncio.run(go())
"""
WAYS: dict[str, Callable[[str, int, Path], Awaitable[int]]] = {
    "vidorch": by_vidorch, "adapter": by_adapter, "aiohttp": by_aiohttp, "httpx": by_httpx,
}  # fmt: skip


def measured(way: str, url: str, jobs: int) -> tuple[float, int, float]:
    """Milliseconds of CPU a job, failures, and growth of memory in KB a job, in a process of its own."""
    code = f"import benchmarks.overhead as b; b.child({way!r}, {url!r}, {jobs})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    cpu, failures, memory = json.loads(done.stdout.strip().rsplit("\n", 1)[-1])
    return cpu, failures, memory


def child(way: str, url: str, jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(WAYS[way](url, 8, Path(folder)))  # imports and first connections are not a job's
        gc.collect()
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        with tempfile.TemporaryDirectory() as other:
            failures = asyncio.run(WAYS[way](url, jobs, Path(other)))
        cpu = (time.process_time() - began) / jobs * 1000
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / jobs
    print(json.dumps([cpu, failures, grown]))


def checks(jobs: int) -> float:
    """Milliseconds of CPU that checking one such clip takes: header, first and last frame, hash."""
    from vidorch import media
    from vidorch.testing.clips import clip_bytes

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(clip_bytes((128, 72), 4, sound=True))
        media.verify(path, duration=4)
        began = time.process_time()
        for _ in range(min(jobs, 300)):
            media.verify(path, duration=4)
        return (time.process_time() - began) / min(jobs, 300) * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", nargs="?", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    asked = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-c", "import benchmarks.overhead as b; b.serve()"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        rows: dict[str, list[tuple[float, int, float]]] = {name: [] for name in WAYS}
        for _ in range(asked.rounds):
            for way, row in rows.items():
                row.append(measured(way, url, asked.jobs))
        if asked.peers:
            from tests.servers.packages import run

            with tempfile.TemporaryDirectory() as folder:
                told = [
                    run(
                        "openai==3.54.0",
                        code=OPENAI,
                        URL=url,
                        JOBS=str(asked.jobs),
                        FOLDER=folder,
                        timeout=600,
                    )
                    for _ in range(asked.rounds)
                ]
            rows["openai"] = [(cpu, failures, float("nan")) for cpu, failures in told]
        check = checks(asked.jobs)
        base = statistics.median(cpu for cpu, _, _ in rows["aiohttp"])
        print(f"{asked.jobs} jobs in flight, medians of {asked.rounds}")
        print(f"{'':10} {'ms CPU a job':>14} {'x aiohttp':>10} {'failures':>9} {'KB a job':>9}")
        for name, row in rows.items():
            cpu, memory = statistics.median(one[0] for one in row), statistics.median(one[2] for one in row)
            print(f"{name:10} {cpu:14.2f} {cpu / base:10.2f} {sum(one[1] for one in row):9} {memory:9.1f}")
        print(f"checking a clip takes {check:.2f} ms of vidorch's")
    finally:
        server.kill()


if __name__ == "__main__":
    main()
