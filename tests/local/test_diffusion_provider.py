"""Open-weight models behind the provider's door: what a client, the engine and the disk may do to them."""

from __future__ import annotations

import asyncio
import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local import tiny
from vidorch import Client, media
from vidorch.clock import RealClock
from vidorch.contract import Accepted, Context, Done, Endpoint, Failed, Polled, Progress
from vidorch.errors import InvalidRequest, ProviderFailed
from vidorch.offer import Offer
from vidorch.request import Request
from vidorch_local.diffusion.jobs import Job
from vidorch_local.provider import Local

pytestmark = pytest.mark.torch

PROMPT = "a lighthouse at dusk"
T2V: dict[str, Any] = {"model": "local/tiny-t2v", "duration": 0.5, "aspect_ratio": "1:1"}
BOUGHT = Request(prompt=PROMPT, duration=0.5, resolution="256p", aspect_ratio="1:1", seed=5)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(endpoint=Endpoint("local", "local"), clock=RealClock(), job_id="job_1", folder=tmp_path)


async def done(provider: Local, context: Context, accepted: Accepted) -> Done | Failed:
    polled: Polled = Progress("queued")
    while isinstance(polled, Progress):
        polled = await provider.poll(context, accepted)
    return polled


class TestAJob:
    def test_goes_from_prepare_to_fetch(
        self, context: Context, offer: Callable[[str], Offer], tmp_path: Path
    ) -> None:
        """Each call does its one thing; preparing twice is harmless; what was fetched is let go."""

        async def go() -> tuple[Done | Failed, Polled]:
            provider = Local()
            await provider.prepare(context, BOUGHT, offer("t2v"))
            prepared = await provider.prepare(context, BOUGHT, offer("t2v"))
            accepted = await provider.submit(context, prepared)
            ended = await done(provider, context, accepted)
            assert isinstance(ended, Done)
            await provider.fetch(context, ended.outputs[0], tmp_path / "a.part")
            after = await provider.poll(context, accepted)
            await provider.aclose()
            await provider.aclose()
            return ended, after

        ended, after = asyncio.run(go())
        assert isinstance(ended, Done)
        assert [(0, 5)] == [(output.index, output.seed) for output in ended.outputs]
        assert (5, True) == (media.probe(tmp_path / "a.part").frames, isinstance(after, Failed))

    def test_is_plain_data(self, context: Context, offer: Callable[[str], Offer]) -> None:
        """What an engine gets has no open file, no client and no torch in it."""
        prepared = asyncio.run(Local().prepare(context, BOUGHT, offer("t2v")))
        job: Job = prepared.body
        assert ("WanPipeline", "cpu", 5, 8.0) == (job.pipeline, job.device, job.seed, job.fps)

    def test_on_a_full_disk_keeps_its_frames(
        self, context: Context, offer: Callable[[str], Offer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Fetched again when there is room, it is not made again."""

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        async def go() -> None:
            provider = Local()
            accepted = await provider.submit(context, await provider.prepare(context, BOUGHT, offer("t2v")))
            ended = await done(provider, context, accepted)
            assert isinstance(ended, Done)
            with monkeypatch.context() as patch:
                patch.setattr(media, "write_video", full)
                with pytest.raises(OSError, match="No space left"):
                    await provider.fetch(context, ended.outputs[0], tmp_path / "a.part")
            await provider.fetch(context, ended.outputs[0], tmp_path / "a.part")
            await provider.aclose()

        asyncio.run(go())
        assert 5 == media.probe(tmp_path / "a.part").frames


class TestCancelling:
    def test_half_way_stops_it(self, client: Client, tmp_path: Path) -> None:
        """The run ends as cancelled at no cost, and no clip appears."""
        at_work = threading.Event()
        run = client.submit(
            PROMPT,
            **T2V,
            steps=50,
            output=f"{tmp_path}/out/",
            on_progress=lambda progress: at_work.set() if progress.stage.startswith("denoise") else None,
        )
        assert at_work.wait(100)
        run.cancel()
        with pytest.raises(ProviderFailed, match="cancelled") as caught:
            run.wait()
        assert (False, "cancelled", ["cancelled"]) == (
            caught.value.charged,
            run.state,
            [job.state for job in run.jobs],
        )
        assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


class TestProgress:
    def test_comes_from_the_steps(self, client: Client) -> None:
        """It never falls, ends at one, and names the stage."""
        heard: list[tuple[float, str]] = []
        client.generate(
            PROMPT,
            **T2V,
            steps=6,
            on_progress=lambda progress: heard.append((progress.fraction or 0.0, progress.stage)),
        )
        fractions = [fraction for fraction, _ in heard]
        assert (sorted(fractions), 1.0) == (fractions, fractions[-1])


class TestBrokenWeights:
    def test_reject_the_job(self, tmp_path: Path, weights: Callable[[str], Path]) -> None:
        """Before it is begun, at no cost, naming the file."""
        folder = tmp_path / "wan"
        shutil.copytree(weights("t2v"), folder)
        file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        catalog = tiny.catalog_of(tiny.offer_of("t2v", folder))
        with (
            Client(home=tmp_path / "home", catalog=catalog) as client,
            pytest.raises(ProviderFailed, match="diffusion_pytorch_model.safetensors is truncated") as caught,
        ):
            client.generate(PROMPT, **T2V)
        assert False is caught.value.charged

    def test_of_another_task_fail_the_job(self, tmp_path: Path, weights: Callable[[str], Path]) -> None:
        """An offer that points at the wrong folder says so."""
        catalog = tiny.catalog_of(tiny.offer_of("t2v", weights("i2v")))
        with (
            Client(home=tmp_path / "home", catalog=catalog) as client,
            pytest.raises(ProviderFailed, match="those of an image-to-video model") as caught,
        ):
            client.generate(PROMPT, **T2V)
        assert False is caught.value.charged


class TestSettings:
    def test_of_a_call_go_before_those_of_its_endpoint(self, client: Client) -> None:
        """The placement that was asked for is the one that is noted."""
        notes = client.generate(PROMPT, extra={"local": {"placement": "fp8"}}, **T2V).notes
        assert "Made on cpu, the weights placed as fp8." in notes

    def test_that_the_device_does_not_have_are_refused(self, client: Client) -> None:
        """With what it has."""
        with pytest.raises(InvalidRequest, match="Allowed is 'cpu', 'fp8'"):
            client.generate(PROMPT, extra={"local": {"placement": "gpu"}}, **T2V)


class TestCheck:
    def check(self, tmp_path: Path, **endpoint: Any) -> tuple[bool, str]:
        context = Context(
            endpoint=Endpoint("rig", "local", **endpoint), clock=RealClock(), job_id="job_1", folder=tmp_path
        )
        health = asyncio.run(Local().check(context))
        return health.ok, health.detail

    def test_tells_the_device_and_what_is_free(self, tmp_path: Path) -> None:
        """At no cost."""
        ok, detail = self.check(tmp_path, device="cpu")
        assert (True, True) == (ok, detail.startswith("cpu, ") and detail.endswith("B free"))

    @pytest.mark.parametrize(
        ("endpoint", "why"),
        [
            ({"device": "cuda:7"}, "is not on this machine"),
            ({"options": {"placment": "cpu"}}, "Did you mean 'placement'"),
        ],
        ids=["device", "option"],
    )
    def test_tells_what_is_wrong(self, tmp_path: Path, endpoint: dict[str, Any], why: str) -> None:
        """A device that is not there, an option that is none."""
        ok, detail = self.check(tmp_path, **endpoint)
        assert (False, True) == (ok, why in detail)
