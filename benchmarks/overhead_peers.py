"""Packages that do the same three calls as `benchmarks.overhead`, each in an environment that holds nothing else.

Every one gets the same jobs at once, and is warmed up with eight before. Their own limits are left as they are, but for two:
they do not send again (a failure is counted as one), and they wait ten minutes, since a thousand jobs at once take long here.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

from tests.servers.packages import run

__all__ = ["PEERS", "Peer", "measured"]

HEAD = """
import asyncio, gc, json, os, resource, sys, time
JOBS, URL, FOLDER = int(os.environ["JOBS"]), os.environ["URL"], os.environ["FOLDER"]
"""
FOOT = """
async def all_of(count, prefix):
    async with contender() as one:
        return await asyncio.gather(*(one(f"{FOLDER}/{prefix}{n}.mp4") for n in range(count)), return_exceptions=True)

asyncio.run(all_of(8, "warm"))
gc.collect()
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
results = asyncio.run(all_of(JOBS, "job"))
cpu = (time.process_time() - began) / JOBS * 1000
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / JOBS
failed = [one for one in results if isinstance(one, BaseException)]
for one in failed[:1]:
    print(repr(one)[:300], file=sys.stderr)
whole = sum(name.startswith("job") and os.path.getsize(f"{FOLDER}/{name}") == 65536 for name in os.listdir(FOLDER))
print(json.dumps([cpu, JOBS - whole, grown]), flush=True)
os._exit(0)  # litellm has more to say at its exit
"""
OPENAI = """
import contextlib
from openai import AsyncOpenAI

@contextlib.asynccontextmanager
async def contender():
    async with AsyncOpenAI(base_url=URL + "/v1", api_key="test-key", max_retries=0, timeout=600) as client:
        async def one(path):
            video = await client.videos.create(prompt="x", seconds="4", size="1280x720", model="sora-2")
            assert (await client.videos.retrieve(video.id)).status == "completed"
            (await client.videos.download_content(video.id)).write_to_file(path)
        yield one
"""
GENBLAZE = """
import contextlib, shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit
from genblaze_core.models.enums import Modality
from genblaze_core.models.step import Step
from genblaze_openai.provider import SoraProvider
os.environ["OPENAI_BASE_URL"] = URL + "/v1"

@contextlib.asynccontextmanager
async def contender():
    provider = SoraProvider(api_key="test-key", http_timeout=600, output_dir=FOLDER)
    provider._get_client().max_retries = 0
    async def one(path):
        step = Step(provider="openai-sora", model="sora-2", modality=Modality.VIDEO, prompt="x",
                    params={"seconds": 4, "size": "1280x720"})
        done = await provider.ainvoke(step, {"timeout": 600})
        if not done.assets:
            raise RuntimeError(done.error)
        os.rename(unquote(urlsplit(done.assets[0].url).path), path)
    yield one
"""
LITELLM = """
import contextlib
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

@contextlib.asynccontextmanager
async def contender():
    where = dict(custom_llm_provider="openai", api_base=URL + "/v1", api_key="test-key", timeout=600)
    async def one(path):
        video = await litellm.avideo_generation(prompt="x", model="sora-2", seconds="4", size="1280x720", **where)
        assert (await litellm.avideo_status(video.id, **where)).status == "completed"
        content = await litellm.avideo_content(video.id, **where)
        with open(path, "wb") as file:
            file.write(content)
    yield one
"""


@dataclass(frozen=True)
class Peer:
    """Who is measured.

    Attributes:
        given: what it was given to do, for the table. pins: what its environment holds. code: an async context manager
            `contender` that yields a coroutine function of one job.
    """

    given: str
    pins: tuple[str, ...]
    code: str


PEERS = {
    "openai 3.54.0": Peer(
        "AsyncOpenAI: videos.create, retrieve, download_content", ("openai==3.54.0",), OPENAI
    ),
    "genblaze-openai 0.3.4": Peer(
        "SoraProvider.ainvoke: its whole step, in threads",
        ("genblaze-core==0.3.8", "genblaze-openai==0.3.4", "openai==2.54.0"),
        GENBLAZE,
    ),
    "litellm 1.109.1": Peer(
        "avideo_generation, avideo_status, avideo_content", ("litellm==1.109.1",), LITELLM
    ),
}


def measured(peer: Peer, url: str, jobs: int) -> tuple[float, int, float]:
    """Milliseconds of CPU a job, jobs without a whole clip, and growth of memory in KB a job.

    Raises:
        AssertionError: it could not be run; with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        cpu, failures, grown = run(
            *peer.pins, code=HEAD + peer.code + FOOT, timeout=1200, URL=url, JOBS=str(jobs), FOLDER=folder
        )
    return cpu, failures, grown
