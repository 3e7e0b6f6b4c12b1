"""What the vendors' own packages, and others' over them, pay for when a submit goes wrong; and vidorch at the same servers.

One call each, with the package's defaults, in an environment that holds only the package; what it waits between its own attempts
is left out. The servers are the protocol servers of `vidorch.testing`, on real sockets.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.providers.test_storms import CASES
from tests.servers.packages import run
from vidorch.errors import VidorchError
from vidorch.testing import VirtualClock
from vidorch.testing.servers import ProtocolServer, serve

WEATHER: dict[str, tuple[str, int]] = {
    "the reply of every submit is lost": ("reset-after", 20),
    "every submit is taken, and answered by a gateway's 503": ("gateway-503-taken", 20),
    "one reply is lost": ("reset-after", 1),
    "one 503 of the vendor's own, nothing taken": ("error-503", 1),
}
"""What happens, as a fault of the protocol servers and how many times."""

HEAD = """
import json, os, time
time.sleep = lambda seconds: None
def tell(call):
    try:
        call()
        print(json.dumps("clip"))
    except Exception as e:
        print(json.dumps(type(e).__name__))
"""
FAL = """
import fal_client.client as c
client = c.SyncClient(key=os.environ["KEY"])
given = {"prompt": "a red ball", "duration": "5", "generate_audio": False}
tell(lambda: client.subscribe("fal-ai/kling-video/v3/pro/text-to-video", given, interval=0.01)["video"]["url"])
"""
OPENAI = """
from openai import OpenAI
client = OpenAI(base_url=os.environ["URL"] + "/v1", api_key=os.environ["KEY"])
def call():
    video = client.videos.create_and_poll(model="sora-2", prompt="a red ball", seconds="4", size="1280x720", poll_interval_ms=1)
    assert video.status == "completed"
    client.videos.download_content(video.id).read()
tell(call)
"""
REPLICATE = """
os.environ["REPLICATE_POLL_INTERVAL"] = "0.01"
import replicate
tell(lambda: str(replicate.run("kwaivgi/kling-v3-video", input={"prompt": "a red ball", "duration": 5})))
"""
RUNWAY = """
import runwayml
from runwayml.lib import polling
polling.POLL_TIME, polling.POLL_JITTER = 0.01, 0
client = runwayml.RunwayML(api_key=os.environ["KEY"], base_url=os.environ["URL"])
given = dict(model="gen4.5", prompt_text="a red ball", ratio="1280:720", duration=5)
tell(lambda: client.text_to_video.create(**given).wait_for_task_output().output[0])
"""
VERTEX = """
from google import genai
from google.genai import types
from google.auth.credentials import Credentials
class Token(Credentials):
    def refresh(self, request): self.token = os.environ["KEY"]
where = {"base_url": os.environ["URL"]}
client = genai.Client(
    vertexai=True, project="test-project", location="us-central1", credentials=Token(), http_options=where)
def call():
    source = types.GenerateVideosSource(prompt="a red ball")
    operation = client.models.generate_videos(
        model="veo-3.1-generate-001", source=source, config=types.GenerateVideosConfig(duration_seconds=4))
    while not operation.done: operation = client.operations.get(operation)
    operation.response.generated_videos[0].video.video_bytes
tell(call)
"""
GEMINI = """
from google import genai
client = genai.Client(api_key=os.environ["KEY"], http_options={"base_url": os.environ["URL"]})
def call():
    made = client.interactions.create(model="gemini-omni-1.1-flash", input="a red ball", background=True)
    while made.status in ("in_progress", "queued"): made = client.interactions.get(made.id)
    assert made.status == "completed"
tell(call)
"""
GENBLAZE = """
from genblaze_core.models.step import Step
from genblaze_openai.provider import SoraProvider
from genblaze_core.models.enums import Modality
provider = SoraProvider(output_dir=os.environ["FOLDER"], poll_interval=0.01)
def call():
    step = Step(provider="openai-sora", model="sora-2", modality=Modality.VIDEO, prompt="a red ball",
                params={"seconds": 4, "size": "1280x720"})
    done = provider.invoke(step)
    if not done.assets: raise RuntimeError(done.error)
tell(call)
"""
LITELLM = """
import litellm
def call():
    where = dict(custom_llm_provider="openai", api_base=os.environ["URL"] + "/v1", api_key=os.environ["KEY"])
    video = litellm.video_generation(prompt="a red ball", model="sora-2", seconds="4", size="1280x720", **where)
    while video.status not in ("completed", "failed"): video = litellm.video_status(video.id, **where)
    litellm.video_content(video.id, **where)
tell(call)
"""
ROUTER = """
import asyncio
import litellm
where = dict(api_base=os.environ["URL"] + "/v1", api_key=os.environ["KEY"])
router = litellm.Router(model_list=[{"model_name": "video", "litellm_params": {"model": "openai/sora-2", **where}}])
quick = asyncio.sleep
asyncio.sleep = lambda seconds, result=None: quick(0, result)
async def go():
    video = await router.avideo_generation(prompt="a red ball", model="video", seconds="4", size="1280x720")
    while video.status not in ("completed", "failed"):
        video = await litellm.avideo_status(video.id, custom_llm_provider="openai", **where)
    await litellm.avideo_content(video.id, custom_llm_provider="openai", **where)
tell(lambda: asyncio.run(go()))
"""


@dataclass(frozen=True)
class Package:
    """A package, and one call of it.

    Attributes:
        name: as the table shows it. wire: of the protocol server. pins: what its environment holds. code: the call.
        tls: whether it speaks https alone.
    """

    name: str
    wire: str
    pins: tuple[str, ...]
    code: str
    tls: bool = False


GENBLAZE_PINS = ("genblaze-core==0.3.8", "genblaze-openai==0.3.4", "openai==2.54.0")
LITELLM_PINS = ("litellm==1.109.1",)
PACKAGES = (
    Package("fal-client 1.0.3, subscribe", "fal", ("fal-client==1.0.3",), FAL, tls=True),
    Package("openai 3.54.0, create_and_poll", "openai", ("openai==3.54.0",), OPENAI),
    Package("genblaze-openai 0.3.4, SoraProvider.invoke", "openai", GENBLAZE_PINS, GENBLAZE),
    Package("litellm 1.109.1, video_generation", "openai", LITELLM_PINS, LITELLM),
    Package("litellm 1.109.1, Router", "openai", LITELLM_PINS, ROUTER),
    Package("replicate 1.0.7, run", "replicate", ("replicate==1.0.7",), REPLICATE),
    Package("runwayml 5.24.0, wait_for_task_output", "runway", ("runwayml==5.24.0",), RUNWAY),
    Package("google-genai 3.4.0, generate_videos", "vertex", ("google-genai==3.4.0",), VERTEX),
    Package("google-genai 3.4.0, interactions", "gemini", ("google-genai==3.4.0",), GEMINI),
)
Row = list[tuple[int, str]]


@contextmanager
def _vouched() -> Iterator[tuple[ssl.SSLContext, Path]]:
    """A server's context, and the authority that vouches for it."""
    import trustme

    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(path)
        yield context, path


def by_package(package: Package) -> Row:
    """For each weather: jobs that the vendor took, and what the caller has."""
    row = []
    for fault, times in WEATHER.values():
        with _vouched() as (context, path), tempfile.TemporaryDirectory() as folder:
            server = serve(package.wire, tls=context if package.tls else None)
            server.fail("submit", fault, times=times)
            with server:
                variables = {
                    "URL": server.url, "KEY": server.key, "FOLDER": folder, "REPLICATE_BASE_URL": server.url,
                    "REPLICATE_API_TOKEN": server.key, "OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": server.key,
                    "FAL_RUN_HOST": urlsplit(server.url).netloc, "FAL_QUEUE_RUN_HOST": urlsplit(server.url).netloc,
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True", "TMPDIR": folder,
                }  # fmt: skip
                if package.tls:
                    variables["SSL_CERT_FILE"] = str(path)
                told = run(*package.pins, code=HEAD + package.code, timeout=300, **variables)
                row.append((len(server.jobs), str(told)))
    return row


def by_vidorch(wire: str) -> Row:
    """The same for vidorch: one call, with its defaults."""
    case, row = CASES[wire](), []
    for fault, times in WEATHER.values():
        clock = VirtualClock()
        server = case.serve(clock.now)
        server.fail("submit", fault, times=times)

        async def call(home: Path, server: ProtocolServer = server, clock: VirtualClock = clock) -> str:
            async with case.client(server, home, clock) as client:
                try:
                    await client.generate(**{**case.asks, "model": case.model})
                except VidorchError as error:
                    return type(error).__name__
                return "clip"

        with server, tempfile.TemporaryDirectory() as folder:
            told = asyncio.run(call(Path(folder)))
            row.append((len(server.jobs), told))
    return row


def table(line: Callable[..., str], only: list[str]) -> None:
    """Print what each package pays for, and vidorch below those of its wire."""
    os.environ["VIDORCH_LIVE"] = "1"
    chosen = [one for one in PACKAGES if not only or one.wire in only]
    print(line("one call", *WEATHER), "|---" * (len(WEATHER) + 1) + "|", sep="\n", flush=True)
    for number, package in enumerate(chosen):
        _show(line, package.name, lambda package=package: by_package(package))  # type: ignore[misc]
        if package.wire not in [other.wire for other in chosen[number + 1 :]]:
            wire = package.wire
            _show(line, f"**vidorch, {wire}**", lambda wire=wire: by_vidorch(wire))  # type: ignore[misc]


def _show(line: Callable[..., str], name: str, made: Callable[[], Any]) -> None:
    try:
        cells = [f"{paid} paid, {told}" for paid, told in made()]
    except AssertionError as error:  # the package could not be run at all, which is a result too
        print(f"{name}: {error}", file=sys.stderr)
        cells = ["not measured"] * len(WEATHER)
    print(line(name, *cells), flush=True)
