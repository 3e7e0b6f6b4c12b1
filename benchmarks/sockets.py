"""What the sockets cost: CPU of one job (submit on a connection of its own, one poll, a 64 KB download to a file).

`Http` beside raw aiohttp and raw httpx that do the same: a fresh connection for each submit, pooled ones for the rest. The server
is another process on the loopback. Usage: sockets.py [ROUNDS] [--most JOBS]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

IN_FLIGHT = (1, 64, 1000)
JOBS = {1: 200, 64: 640, 1000: 1000}
BODY = os.urandom(65_536)
Job = Callable[[str, Path], Awaitable[None]]


def serve() -> None:
    """A server that answers as little as it can: `{"id": 1}`, or the file."""
    small = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"id": 1}'
    large = b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 65536\r\n\r\n" + BODY

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.seen = b""

        def data_received(self, data: bytes) -> None:
            self.seen += data
            head, end, rest = self.seen.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if end and len(rest) >= length:
                self.seen = b""
                assert isinstance(self.transport, asyncio.Transport)
                self.transport.write(large if head.startswith(b"GET /file") else small)

    async def go() -> None:
        server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(go())


def write(path: Path, blocks: list[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(blocks)


class OfVidorch:
    """`Http`, as a provider calls it."""

    async def __aenter__(self) -> Job:
        from vidorch.http import Http

        self.http = Http(proxy="", private_hosts=["127.0.0.1"])

        async def job(base: str, path: Path) -> None:
            (await self.http.submit("POST", f"{base}/jobs", json={"prompt": "a red ball"})).json()
            (await self.http.request("GET", f"{base}/jobs/1")).json()
            await self.http.download(f"{base}/file", path)

        return job

    async def __aexit__(self, *exc_info: object) -> None:
        await self.http.aclose()


class OfAiohttp:
    """aiohttp alone: a connector that closes for submits, one that pools for the rest."""

    async def __aenter__(self) -> Job:
        import aiohttp

        self.fresh = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256, force_close=True))
        self.pooled = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256))

        async def job(base: str, path: Path) -> None:
            async with self.fresh.post(f"{base}/jobs", json={"prompt": "a red ball"}) as reply:
                await reply.json()
            async with self.pooled.get(f"{base}/jobs/1") as reply:
                await reply.json()
            async with self.pooled.get(f"{base}/file") as reply:
                blocks = [block async for block in reply.content.iter_any()]
                await asyncio.to_thread(write, path, blocks)

        return job

    async def __aexit__(self, *exc_info: object) -> None:
        await self.fresh.close()
        await self.pooled.close()


class OfHttpx:
    """httpx alone: a pool that keeps nothing for submits, one that keeps for the rest."""

    async def __aenter__(self) -> Job:
        import httpx

        patient = httpx.Timeout(60, pool=None)
        self.fresh = httpx.AsyncClient(
            trust_env=False,
            timeout=patient,
            limits=httpx.Limits(max_connections=256, max_keepalive_connections=0),
        )
        self.pooled = httpx.AsyncClient(
            trust_env=False,
            timeout=patient,
            limits=httpx.Limits(max_connections=256, max_keepalive_connections=256),
        )

        async def job(base: str, path: Path) -> None:
            (await self.fresh.post(f"{base}/jobs", json={"prompt": "a red ball"})).json()
            (await self.pooled.get(f"{base}/jobs/1")).json()
            async with self.pooled.stream("GET", f"{base}/file") as reply:
                blocks = [block async for block in reply.aiter_bytes()]
                await asyncio.to_thread(write, path, blocks)

        return job

    async def __aexit__(self, *exc_info: object) -> None:
        await self.fresh.aclose()
        await self.pooled.aclose()


CONTENDERS = {"raw aiohttp": OfAiohttp, "vidorch.http": OfVidorch, "raw httpx": OfHttpx}


async def measure(
    contender: type[OfVidorch | OfAiohttp | OfHttpx], at_once: int, jobs: int, base: str, folder: Path
) -> float:
    """Milliseconds of CPU of this process for one job, after a warm-up."""
    async with contender() as job:
        await job(base, folder / "warm")
        gate = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with gate:
                await job(base, folder / str(number % at_once))

        began = time.process_time()
        await asyncio.gather(*(one(number) for number in range(jobs)))
        return (time.process_time() - began) / jobs * 1000


def child(name: str, at_once: int, jobs: int, base: str) -> None:
    """One measurement in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        print(asyncio.run(measure(CONTENDERS[name], at_once, jobs, base, Path(folder))))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    parser.add_argument(
        "--most", type=int, default=1000, metavar="JOBS", help="in one measurement, for a quick look"
    )
    asked = parser.parse_args()
    rounds = asked.rounds
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = f"http://127.0.0.1:{int(server.stdout.readline())}"
        try:
            found: dict[tuple[str, int], list[float]] = {}
            for number in range(rounds):
                for at_once in IN_FLIGHT:
                    for name in CONTENDERS:
                        if name == "raw httpx" and number:
                            continue  # once: it takes minutes, and its figure is far from the others
                        done = subprocess.run(
                            [sys.executable, __file__, "child", name, str(at_once), str(min(JOBS[at_once], asked.most)), base],
                            capture_output=True, text=True, check=True,
                        )  # fmt: skip
                        found.setdefault((name, at_once), []).append(float(done.stdout))
        finally:
            server.kill()
    print(
        f"| CPU, ms a job: median of {rounds} (fastest) |",
        " | ".join(f"{one} in flight" for one in IN_FLIGHT),
        "|",
    )
    print("|---" * (len(IN_FLIGHT) + 1) + "|")
    for name in CONTENDERS:
        cells = []
        for at_once in IN_FLIGHT:
            mine, raw = found[name, at_once], found["raw aiohttp", at_once]
            ratio = statistics.median(one / other for one, other in zip(mine, raw, strict=False))
            cells.append(f"{statistics.median(mine):.2f} ({min(mine):.2f}), x {ratio:.2f}")
        print(f"| {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
