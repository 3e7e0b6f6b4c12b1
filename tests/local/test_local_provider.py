"""The built-in model from end to end, as it is shipped: prompt in, MP4 out, by the door that every provider uses."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidorch import Client, media
from vidorch.catalog import load
from vidorch.clock import RealClock
from vidorch.contract import Accepted, Context, Done, Endpoint, Failed, Health, Polled, Progress, Provider
from vidorch.errors import BadMedia, ProviderFailed, Unsupported
from vidorch.request import Request
from vidorch.result import Clip, Result
from vidorch_local.provider import Local

BALL = "a red ball rolling left on a dark background"
FEW = 2  # the fewest steps that the model takes: these tests are about the way, not about the picture


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client, so that the weights are loaded once."""
    with Client(home=tmp_path_factory.mktemp("home")) as client:
        yield client


@pytest.fixture(scope="module")
def result(client: Client) -> Result:
    """A clip at the default number of steps."""
    return client.generate(BALL, seed=7)


@pytest.fixture(scope="module")
def few(client: Client) -> Clip:
    """A clip of the fewest steps."""
    return client.generate(BALL, seed=7, steps=FEW).clip


def frames(clip: Clip) -> Any:
    assert clip.path is not None
    return np.stack(list(media.frames(clip.path)))


class TestAClip:
    def test_is_two_seconds_of_256_pixels(self, result: Result) -> None:
        """256 x 256, 12 frames a second, 24 frames, H.264 that plays anywhere, no sound."""
        assert result.clip.path is not None
        info = media.verify(result.clip.path, duration=2, size=(256, 256))
        assert (256, 256, 24, 12, False) == (info.width, info.height, info.frames, info.fps, info.has_audio)

    def test_says_what_made_it(self, result: Result) -> None:
        """Model, endpoint, the seed really used, and that it cost nothing."""
        clip = result.clip
        assert ("local", "mini", 7, 0, "imputed") == (
            clip.endpoint,
            clip.model,
            clip.seed,
            clip.cost,
            clip.cost_basis,
        )

    def test_says_where_the_time_went(self, result: Result) -> None:
        """Loading, reading the words, denoising and decoding are told apart."""
        assert {"load", "encode", "denoise", "decode"} == set(result.clip.timings.details)

    def test_moves(self, result: Result) -> None:
        """The frames are not one picture."""
        shown = frames(result.clip).astype(int)
        assert 1 < np.abs(shown[0] - shown[-1]).mean()

    def test_of_the_same_seed_is_the_same(self, client: Client, few: Clip) -> None:
        """Same prompt, seed and steps: the same frames."""
        assert np.array_equal(frames(few), frames(client.generate(BALL, seed=7, steps=FEW).clip))

    def test_of_another_seed_is_another(self, client: Client, few: Clip) -> None:
        """The seed decides."""
        assert not np.array_equal(frames(few), frames(client.generate(BALL, seed=8, steps=FEW).clip))

    def test_two_at_once_do_not_disturb_each_other(self, client: Client, few: Clip) -> None:
        """Candidates run side by side, each as it would alone."""
        both = client.generate(BALL, seed=7, steps=FEW, candidates=2).candidates
        assert [7, 8] == [clip.seed for clip in both]
        assert np.array_equal(frames(few), frames(both[0]))
        assert not np.array_equal(frames(both[0]), frames(both[1]))

    def test_tells_how_far_it_is(self, client: Client) -> None:
        """Progress never falls and ends at one, with a word for the stage."""
        heard: list[tuple[float, str]] = []
        client.generate(
            BALL,
            steps=8,
            on_progress=lambda progress: heard.append((progress.fraction or 0.0, progress.stage)),
        )
        fractions = [fraction for fraction, _ in heard]
        assert (sorted(fractions), 1.0) == (fractions, fractions[-1])


class TestSteps:
    def test_are_honoured(self, client: Client, few: Clip) -> None:
        """Another number of steps gives other frames, and is kept with the job."""
        clip = client.generate(BALL, seed=7, steps=3).clip
        assert 3 == client.job(clip.job_id).settings["steps"]
        assert not np.array_equal(frames(few), frames(clip))

    @pytest.mark.parametrize("steps", [1, 65, 1000])
    def test_out_of_range_are_refused_by_the_plan(self, client: Client, steps: int) -> None:
        """The reason says what it takes, before anything runs."""
        with pytest.raises(Unsupported) as caught:
            client.generate(BALL, steps=steps)
        assert {"local/mini": f"steps {steps}: takes 2 to 64"} == caught.value.reasons


class TestDuration:
    def test_of_five_seconds_is_refused_with_the_reason(self, client: Client) -> None:
        """What you asked is what you get, or nothing."""
        with pytest.raises(Unsupported) as caught:
            client.generate(BALL, duration=5)
        assert {"local/mini": "duration 5 s: makes 2"} == caught.value.reasons

    def test_nearest_gives_two_and_notes_it(self, client: Client) -> None:
        """fit="nearest" takes what there is, and says so."""
        result = client.generate(BALL, duration=5, fit="nearest", steps=FEW)
        assert (2.0, True) == (result.clip.duration, "duration 5 s: 2 s are made" in result.notes)

    def test_exact_is_trimmed(self, client: Client) -> None:
        """fit="exact" makes the next longer and cuts it to the frame."""
        result = client.generate(BALL, duration=1.5, fit="exact", steps=FEW)
        assert (1.5, 18) == (result.clip.duration, result.clip.frames)
        assert any("cut to 1.5 s" in note for note in result.notes)


class TestItsWorld:
    @pytest.mark.parametrize(
        ("prompt", "missing"),
        [
            ("a dragon over Berlin", "no object and no motion"),
            ("a red ball", "no motion"),
            ("rolling left", "no object"),
        ],
    )
    def test_what_it_does_not_understand_is_unsupported(
        self, tmp_path: Path, prompt: str, missing: str
    ) -> None:
        """Before anything runs or is written, with what is missing and what it draws."""
        with Client(home=tmp_path / "home") as client, pytest.raises(Unsupported) as caught:
            client.generate(prompt)
        said = caught.value.reasons["local/mini"]
        assert [True] * (1 + missing.count(" and ")) == [
            f"It found {what} that it can draw." in said for what in missing.split(" and ")
        ]
        assert "ball, square or triangle" in str(caught.value)
        assert not (tmp_path / "home").exists()

    def test_what_it_ignores_is_noted(self, client: Client) -> None:
        """The clip is made, and the words that made no difference are named."""
        notes = " ".join(client.generate("a red ball rolling left over mossy Norway", steps=FEW).notes)
        assert "mossy" in notes
        assert "norway" in notes.lower()

    def test_what_it_understands_whole_is_not_noted(self, result: Result) -> None:
        """Nothing ignored, nothing said of ignoring."""
        assert not [note for note in result.notes if "ignored" in note.lower()]


class TestAnImage:
    @pytest.mark.parametrize("at", [0, -1])
    def test_of_its_own_is_gone_on_from(
        self, client: Client, result: Result, tmp_path: Path, at: int
    ) -> None:
        """The first frame of the new clip is close to the one given."""
        given = frames(result.clip)[at]
        media.save_still(given, tmp_path / "frame.png")
        made = frames(client.generate(BALL, image=tmp_path / "frame.png", seed=1).clip)
        assert 8 > np.abs(made[0].astype(int) - given).mean()

    def test_like_a_photograph_is_refused(self, tmp_path: Path) -> None:
        """Textures are not of its world: Unsupported, nothing written."""
        rows, columns = np.mgrid[0:256, 0:256]
        noise = np.random.default_rng(0).normal(0, 20, (256, 256))
        picture = np.stack([rows + noise, (columns * rows) % 255, 128 + 60 * np.sin(rows / 9) + noise], -1)
        media.save_still(picture.clip(0, 255).astype(np.uint8), tmp_path / "photo.png")
        with (
            Client(home=tmp_path / "home") as client,
            pytest.raises(Unsupported, match="not a frame of its world"),
        ):
            client.generate(BALL, image=tmp_path / "photo.png")
        assert not (tmp_path / "home").exists()

    def test_that_cannot_be_read_is_bad_media(self, client: Client, tmp_path: Path) -> None:
        """A file that starts like a PNG and stops is said to be broken."""
        media.save_still(np.zeros((64, 64, 3), np.uint8), tmp_path / "whole.png")
        (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:50])
        with pytest.raises((BadMedia, Unsupported)):
            client.generate(BALL, image=tmp_path / "half.png")


class TestCancelling:
    def test_half_way_stops_it(self, client: Client, tmp_path: Path) -> None:
        """The run ends as cancelled, no clip appears, and the thread goes away."""
        at_work = threading.Event()
        run = client.submit(
            BALL,
            steps=64,
            output=f"{tmp_path}/out/",
            on_progress=lambda progress: at_work.set() if progress.stage == "denoise" else None,
        )
        assert at_work.wait(60)
        run.cancel()
        with pytest.raises(ProviderFailed, match="cancelled") as caught:
            run.wait()
        assert (False, "cancelled", ["cancelled"]) == (
            caught.value.charged,
            run.state,
            [job.state for job in run.jobs],
        )
        assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]
        for thread in threading.enumerate():
            if thread.name.startswith("local-job_"):
                thread.join(30)
                assert not thread.is_alive()


OFFER = load(environ={}, user_file="none").offer("local/mini")


class TestTheContract:
    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        return Context(
            endpoint=Endpoint("local", "local"), clock=RealClock(), job_id="job_1", folder=tmp_path
        )

    def test_it_comes_in_by_the_entry_point(self) -> None:
        """`vidorch.providers` names it, as it would anybody's."""
        (point,) = entry_points(group="vidorch.providers", name="local")
        assert Local is point.load()

    def test_it_is_a_whole_provider(self) -> None:
        """A Provider, made without arguments; what the contract has as coroutines are coroutines."""
        assert issubclass(Local, Provider)
        for name, theirs in inspect.getmembers(Provider, inspect.isfunction):
            ours = getattr(Local, name)
            assert inspect.iscoroutinefunction(theirs) == inspect.iscoroutinefunction(ours), name
            assert list(inspect.signature(theirs).parameters) == list(inspect.signature(ours).parameters), (
                name
            )

    def test_a_job_from_prepare_to_fetch(self, context: Context, tmp_path: Path) -> None:
        """Each call does its one thing; preparing twice is harmless."""
        assert OFFER is not None

        async def go() -> tuple[Accepted, Done]:
            provider = Local()
            request = Request(prompt=BALL, seed=5, steps=FEW)
            await provider.prepare(context, request, OFFER)
            accepted = await provider.submit(context, await provider.prepare(context, request, OFFER))
            polled: Polled = Progress("queued")
            while isinstance(polled, Progress):
                polled = await provider.poll(context, accepted)
            assert isinstance(polled, Done)
            await provider.fetch(context, polled.outputs[0], tmp_path / "a.part")
            await provider.aclose()
            await provider.aclose()
            return accepted, polled

        accepted, done = asyncio.run(go())
        assert ("local-job_1", [(0, 5)]) == (
            accepted.remote_id,
            [(output.index, output.seed) for output in done.outputs],
        )
        assert 24 == media.probe(tmp_path / "a.part").frames

    def test_work_that_it_does_not_know_has_failed_at_no_cost(self, context: Context) -> None:
        """Asked for another process's work it says that it is gone; cancelling that is harmless."""

        async def go() -> Polled:
            provider = Local()
            await provider.cancel(context, Accepted("local-job_0"))
            return await provider.poll(context, Accepted("local-job_0"))

        found = asyncio.run(go())
        assert isinstance(found, Failed)
        assert False is found.error.charged

    def test_its_health_is_the_weights(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        """`check` loads them, and says why when it cannot."""
        from vidorch_local.mini.model import Mini

        def broken(cls: object) -> None:
            raise ValueError("checksum differs")

        assert Health(True, "the built-in model is loaded") == asyncio.run(Local().check(context))
        monkeypatch.setattr(Mini, "load", classmethod(broken))
        health = asyncio.run(Local().check(context))
        assert (False, True) == (health.ok, "checksum differs" in health.detail)

    def test_broken_weights_reject_the_job(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Nothing runs, nothing is charged, and the hint says how to mend it."""
        from vidorch_local.mini.model import Mini

        def broken(cls: object) -> None:
            raise ValueError("checksum differs")

        monkeypatch.setattr(Mini, "load", classmethod(broken))
        with (
            Client(home=tmp_path / "home") as fresh,
            pytest.raises(ProviderFailed, match="checksum differs") as caught,
        ):
            fresh.generate(BALL)
        assert (False, True) == (caught.value.charged, "pip install" in str(caught.value))

    def test_it_is_free_and_dies_with_the_process(self) -> None:
        """The shipped offer says so, and the ledger relies on it."""
        assert OFFER is not None
        assert ("free", False, ()) == (OFFER.price.rule, OFFER.outlives_caller, OFFER.variables)
