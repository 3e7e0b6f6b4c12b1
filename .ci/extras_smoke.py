"""Do what an extra opens, in an environment that has vidorch and that extra alone. Usage: extras_smoke.py [EXTRA]

Without an extra: what works without any, and what is said where one is missing. Prints one line; a failure is an exception.
Vendors are `vidorch.testing.servers` on the loopback; their own packages look at the jobs that vidorch made there.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import vidorch
from vidorch.testing import VirtualClock, mock
from vidorch.testing.servers import serve

MODELS = {
    "fal": "fal/kling-3.0-standard", "gemini": "gemini/gemini-omni-1.1-flash", "kling": "kling/kling-3.0-standard",
    "openai": "openai/wan-2.2", "replicate": "replicate/kling-3.0-standard", "runway": "runway/gen4.5",
    "vertex": "vertex/veo-3.1-fast",
}  # fmt: skip
STUDIO = {
    "family": "wan",
    "offer": [
        {
            "model": "wan-2.2", "endpoint": "openai", "provider": "openai", "title": "Wan 2.2", "vendor_model": "wan-2.2",
            "as_of": dt.date(2026, 11, 26), "path": "/v1/videos", "find": "list", "variables": ["OPENAI_API_KEY"],
            "price": {"source": "our own hardware", "row": [{"per_second": "0.01"}]},
            "capabilities": {"durations": {"choices": [4]}, "resolutions": ["720p"], "aspect_ratios": ["16:9"]},
            "fields": {
                "prompt": {"to": "prompt"}, "size": {"to": "size", "form": "{}x{}"},
                "duration": {"to": "seconds", "type": "integer"},
            },
            "fixed": {"model": "wan-2.2"}, "routes": {"text-to-video": {}},
        }
    ],
}  # fmt: skip
"""What a server of one's own makes stands in one's own catalog."""
PACKAGES = ("accelerate", "cryptography", "diffusers", "fal_client", "fsspec", "google", "httpx", "opentelemetry", "psycopg",
            "pytest", "ray", "replicate", "runwayml", "torch", "transformers")  # fmt: skip
HOOK = "https://example.com/hooks"


class Wire:
    """A vendor on the loopback, and a client that has its key from the environment, as its users have.

    Args:
        standing: no time passes, so that only the webhook can end the wait. todays: the vendor has the machine's clock.
    """

    def __init__(self, provider: str, *, standing: bool = False, todays: bool = False) -> None:
        self.clock = VirtualClock(free=not standing)
        options: dict[str, Any] = {"dialect": "vllm"} if provider == "openai" else {}
        if not todays:
            options["clock"] = self.clock.now
        self.server: Any = serve(provider, **options)
        self.home = tempfile.mkdtemp(dir=".")
        self.ledger: str | None = None
        self.model = MODELS[provider]
        self.asked = {"prompt": "a red ball rolling left", "model": self.model, "duration": 4}

    def __enter__(self) -> Self:
        self.server.__enter__()
        os.environ.update(self.server.variables())
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    def client(self) -> vidorch.AsyncClient:
        return vidorch.AsyncClient(
            home=self.home, ledger=self.ledger, endpoints=self.server.endpoints(), clock=self.clock, private_hosts=["127.0.0.1"],
            catalog=STUDIO if self.server.provider == "openai" else None,
        )  # fmt: skip

    def generate(self) -> Any:
        """Plan, estimate and generate; gives the vendor's job."""

        async def go() -> None:
            async with self.client() as client:
                plan = await client.plan(**self.asked)
                estimate = await client.estimate(**self.asked)
                result = await client.generate(**self.asked)
            assert [self.model] == [entry.offer.name for entry in plan.entries]
            assert estimate.cost is not None
            assert estimate.cost.low <= result.cost <= estimate.cost.high
            assert result.clip.path is not None
            assert result.clip.path.stat().st_size > 0

        asyncio.run(go())
        (job,) = self.server.jobs
        return job

    def webhook(self) -> None:
        """Submit with a webhook, and hand over what the vendor sends: changed on its way, and then as it is."""

        async def go() -> None:
            async with self.client() as client:
                run = await client.submit(**self.asked, webhook=HOOK)
                (job,) = await client.jobs()
                remote = self.server.find(job.remote_id)
                self.server.end(remote, remote.fate.ending)
                headers, body = self.server.signed(remote)
                url = f"{HOOK}?token={job.token}"
                with refused(vidorch.InvalidRequest, "not believed"):
                    await client.handle_webhook(self.server.provider, headers, body + b" ", url)
                received = await client.handle_webhook(self.server.provider, headers, body, url)
                assert run.id == received.run_id
                assert (await run.wait()).clip.path is not None

        asyncio.run(go())


@contextlib.contextmanager
def refused(kind: type[vidorch.VidorchError], *words: str, extra: str | None = None) -> Iterator[None]:
    """What is inside raises this error, with these words; one that names an extra says how to install it, and is free."""
    try:
        yield
    except kind as error:
        said, charged = str(error), error.charged
    else:
        raise AssertionError(f"{kind.__name__} was not raised")
    if extra is not None:
        words = (*words, f"pip install 'vidorch[{extra}]'")
    assert [] == [word for word in words if word not in said], said
    assert charged is False, said


def nothing() -> str:
    """Every vendor's model, and the errors for what an extra is needed for."""
    assert [] == [name for name in PACKAGES if _there(name)]
    for provider in MODELS:
        with Wire(provider) as wire:
            wire.generate()
    with Wire("replicate", standing=True) as wire:
        wire.webhook()
    missing = vidorch.MissingCredentials

    signed = {f"x-fal-webhook-{name}": "00" for name in ("request-id", "user-id", "signature")}
    with Wire("fal") as wire, refused(missing, "nothing is lost", extra="webhooks"):
        asyncio.run(_delivered(wire, {**signed, "x-fal-webhook-timestamp": str(wire.clock.now())}))
    with Wire("vertex") as wire:
        _sign_in_with('{"type": "service_account"}')
        with refused(missing, "not asked", "vidorch[google]", extra="vertex"):
            wire.generate()
        assert [] == wire.server.requests
    with Wire("openai") as wire, refused(vidorch.LedgerUnavailable, "Nothing was sent", extra="postgres"):
        wire.ledger = "postgresql://localhost/vidorch"
        wire.generate()
    with refused(missing, "Nothing was sent", extra="storage"):
        vidorch.generate("a red ball rolling left", output="s3://bucket/ads/")
    with refused(missing, "Nothing was sent", extra="testing"):
        importlib.import_module("vidorch.testing").ProviderConformance  # noqa: B018
    return f"{len(MODELS)} vendors' models; what needs an extra names it"


def fal() -> str:
    webhooks()
    with Wire("fal") as wire:
        job = wire.generate()
        assert "fal_client" not in sys.modules
        import fal_client.client

        fal_client.client.QUEUE_URL_FORMAT = f"{wire.server.url}/"  # it speaks https only
        looked = fal_client.client.SyncClient(key=wire.server.key).status(job.path.strip("/"), job.id)
        assert isinstance(looked, fal_client.client.Completed)
    return f"a model, its webhook, and fal-client {_version('fal-client')} sees the job"


def replicate() -> str:
    with Wire("replicate") as wire:
        job = wire.generate()
        assert "replicate" not in sys.modules
        import replicate

        client = replicate.Client(api_token=wire.server.key, base_url=wire.server.url)
        assert "succeeded" == client.predictions.get(job.id).status
    return f"a model, and replicate {_version('replicate')} sees the job"


def runway() -> str:
    with Wire("runway") as wire:
        job = wire.generate()
        assert "runwayml" not in sys.modules
        import runwayml

        client = runwayml.RunwayML(api_key=wire.server.key, base_url=wire.server.url, max_retries=0)
        assert "SUCCEEDED" == client.tasks.retrieve(job.id).status
    return f"a model, and runwayml {_version('runwayml')} sees the job"


def google() -> str:
    with Wire("vertex", todays=True) as wire:  # google-auth has no other clock
        _sign_in_with(json.dumps(wire.server.service_account()))
        job = wire.generate()
        assert 1 == wire.server.count("token")
        assert "google.genai" not in sys.modules
        from google import genai
        from google.auth.credentials import AnonymousCredentials

        credentials = AnonymousCredentials()
        credentials.token = wire.server.key
        client = genai.Client(
            vertexai=True, project=wire.server.project, location="us-central1", credentials=credentials,
            http_options={"base_url": wire.server.url},
        )  # fmt: skip
        assert client.operations.get(genai.types.GenerateVideosOperation(name=job.id)).done
    return f"Veo with a service account's file, and google-genai {_version('google-genai')} sees the job"


def vertex() -> str:
    return f"{google()}; google-cloud-aiplatform {_version('google-cloud-aiplatform')} beside it"


def webhooks() -> str:
    with Wire("fal", standing=True) as wire:
        wire.webhook()
    return "fal's signature"


def storage() -> str:
    folder = Path.cwd() / "published"
    folder.mkdir()
    with mock():
        clips = [
            vidorch.generate("a ball", model="test/basic", output=where).clip
            for where in ("memory://ads/", f"file://{folder}/")
        ]
        import fsspec

        sizes = [fsspec.open(clip.uri).fs.size(clip.uri) for clip in clips]
    assert all(size > 1000 for size in sizes), sizes
    return "clips at memory:// and file://"


def testing() -> str:
    content = """
import pytest, vidorch
from vidorch.testing import ProviderConformance
from vidorch.testing.servers import serve

def test_the_mock(vidorch_mock):
    assert vidorch.generate("a ball", model="test/basic", seed=1).cost == vidorch_mock.spend

class TestRunway(ProviderConformance):
    model = "runway/gen4.5"
    asks = {"prompt": "a red ball", "duration": 5}

    def serve(self, clock):
        return serve("runway", clock=clock, key=self.key)
"""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "mock or clip_is_made", _written("test_it.py", content)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
    return "the fixture vidorch_mock and a test of ProviderConformance"


def local() -> str:
    """A clip by a Wan of random numbers, saved as a real folder: loaded by diffusers, run by torch, written as MP4."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    tiny = _of_tests("local/tiny.py")
    folder = Path("weights").resolve()
    tiny.BUILDERS["t2v"]().save_pretrained(folder)
    catalog = tiny.catalog_of(tiny.offer_of("t2v", folder))
    with vidorch.Client(catalog=catalog) as client:
        clip = client.generate("a lighthouse at dusk", model="local/tiny-t2v", duration=0.5).clip
    assert (5, 0) == (clip.frames, clip.cost), clip
    versions = ", ".join(f"{name} {_version(name)}" for name in ("torch", "diffusers", "transformers"))
    return f"a clip by a tiny Wan, by {versions}"


def ray() -> str:
    """What a driver does: a clip by a worker in a process of its own, and the word of a node that lacks torch."""
    light = _of_tests("local/light.py")
    from vidorch_local.diffusion.pool.engine import Pool
    from vidorch_local.diffusion.pool.maker import Maker
    from vidorch_local.diffusion.pool.options import ClusterOptions

    assert "ray" not in sys.modules
    ended = {}
    for maker in (light.LightMaker, Maker):
        os.environ["PYTHONPATH"] = str(Path(light.__file__).parent)  # workers load it, too
        pool = Pool(ClusterOptions("local", actors=1), "cluster", maker=maker)
        ended[maker] = light.end_of(pool, light.job_of("job_1")).ended
        pool.close()
    assert light.frames_of(light.job_of("job_1")).tolist() == ended[light.LightMaker].frames.tolist()
    assert "torch and diffusers and transformers and accelerate are not there" in str(ended[Maker]), ended[
        Maker
    ]
    return f"a clip by a worker of ray {_version('ray')}, and the word of one that lacks torch"


def postgres() -> str:
    with Wire("openai") as wire, refused(vidorch.LedgerUnavailable, "cannot be reached"):
        wire.ledger = "postgresql://127.0.0.1:1/vidorch"
        wire.generate()
    url = os.environ.get("VIDORCH_TEST_POSTGRES")
    assert url, "No PostgreSQL: check_extras.py starts one, or takes VIDORCH_TEST_POSTGRES."
    with Wire("openai") as wire:
        wire.ledger = url
        wire.generate()
        import psycopg

        with psycopg.connect(url) as db:
            states = db.execute("SELECT state FROM jobs").fetchall()
    assert [("settled",)] == states, states
    assert "binary" == psycopg.pq.__impl__
    return f"a model, and its job in PostgreSQL by psycopg {_version('psycopg')}"


def otel() -> str:
    """With the interface alone, whose SDK is its user's: the caller's place in a trace is kept with the job."""
    from opentelemetry import context, trace

    caller = trace.SpanContext(0xCA11, 0xE4, is_remote=True, trace_flags=trace.TraceFlags(1))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(caller)))
    with Wire("openai") as wire:
        wire.generate()

        async def kept() -> str | None:
            async with wire.client() as client:
                (job,) = await client.jobs()
                return job.trace

        assert f"00-{0xCA11:032x}-{0xE4:016x}-01" == asyncio.run(kept())
    context.detach(token)
    return "a job that keeps its caller's place in a trace"


def everything() -> str:
    for one in (fal, replicate, runway, vertex):
        one()
    return "all that the hosted extras open, in one process"


# -- what they share -------------------------------------------------------------------------------------------------------


async def _delivered(wire: Wire, headers: dict[str, str]) -> None:
    async with wire.client() as client:
        await client.handle_webhook(wire.server.provider, headers, b"{}", HOOK)


def _sign_in_with(account: str) -> None:
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = _written("robot.json", account)
    os.environ.pop("GOOGLE_API_KEY", None)  # it would be taken instead


def _to_come(*modules: str) -> str:
    """They can be imported; that vidorch has no code for them is looked up, so that this is not said for longer than it is so."""
    for module in modules:
        importlib.import_module(module)
    names = {module.partition(".")[0] for module in modules}
    for package in ("vidorch", "vidorch_local", "vidorch_providers"):
        for file in Path(str(importlib.import_module(package).__file__)).parent.rglob("*.py"):
            used = re.findall(r"^\s*(?:import|from) (\w+)", file.read_text("utf-8"), re.MULTILINE)
            assert not names & set(used), f"{file} uses {names & set(used)}: have that done here"
    return f"{', '.join(modules)} imported; vidorch has no code for it yet"


def _there(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    return True


def _of_tests(path: str) -> Any:
    """A module of the tests that is used here, too; nothing else of them is on the path."""
    file = Path(__file__).resolve().parents[1] / "tests" / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def _version(distribution: str) -> str:
    return importlib.metadata.version(distribution)


def _written(name: str, content: str) -> str:
    Path(name).write_text(content, "utf-8")
    return str(Path(name).absolute())


SMOKES: dict[str, Callable[[], str]] = {
    "": nothing, "all": everything, "fal": fal, "google": google, "local": local, "otel": otel, "postgres": postgres, "ray": ray,
    "replicate": replicate, "runway": runway, "storage": storage, "testing": testing, "vertex": vertex, "webhooks": webhooks,
}  # fmt: skip

if __name__ == "__main__":
    print(SMOKES[sys.argv[1] if len(sys.argv) > 1 else ""]())
