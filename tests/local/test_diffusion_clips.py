"""Open-weight models from end to end: real pipelines of diffusers with tiny random weights, prompt in, MP4 out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidorch import Client, media
from vidorch.offer import Offer
from vidorch.result import Clip

pytestmark = pytest.mark.torch

PROMPT = "a lighthouse at dusk"
T2V: dict[str, Any] = {"model": "local/tiny-t2v", "duration": 0.5, "aspect_ratio": "1:1"}


def frames(clip: Clip) -> Any:
    assert clip.path is not None
    return np.stack(list(media.frames(clip.path)))


@pytest.fixture(scope="module")
def first(client: Client) -> Clip:
    """A clip that several tests compare with."""
    return client.generate(PROMPT, seed=7, steps=2, **T2V).clip


class TestAClip:
    def test_is_of_the_size_rate_and_length_that_were_bought(self, first: Clip) -> None:
        """Half a second at 8 frames a second is 5 frames: legal numbers are multiples of four and one."""
        assert first.path is not None
        info = media.verify(first.path, duration=0.625, size=(32, 32))
        assert (32, 32, 5, 8, False) == (info.width, info.height, info.frames, info.fps, info.has_audio)

    def test_says_what_made_it(self, first: Clip) -> None:
        """Model, endpoint, the seed really used, and that it cost nothing."""
        assert ("local", "tiny-t2v", 7, 0) == (first.endpoint, first.model, first.seed, first.cost)

    def test_says_where_the_time_went(self, first: Clip) -> None:
        """Waiting, loading, reading the prompt, denoising and decoding are told apart."""
        assert {"queue", "load", "encode", "denoise", "decode"} == set(first.timings.details)

    def test_says_where_the_weights_lay(self, client: Client) -> None:
        """The placement and the device are noted."""
        result = client.generate(PROMPT, **T2V)
        assert "Made on cpu, the weights placed as cpu." in result.notes


class TestASeed:
    def test_gives_the_same_frames_again(self, client: Client, first: Clip) -> None:
        """Same prompt, seed and steps: the same, bit for bit."""
        assert np.array_equal(frames(first), frames(client.generate(PROMPT, seed=7, steps=2, **T2V).clip))

    def test_gives_the_same_frames_from_weights_loaded_anew(
        self, tmp_path: Path, offer: Callable[[str], Offer], first: Clip
    ) -> None:
        """Another client loads the folder again."""
        from tests.local.tiny import catalog_of

        with Client(home=tmp_path / "home", catalog=catalog_of(offer("t2v"))) as fresh:
            again = fresh.generate(PROMPT, seed=7, steps=2, **T2V).clip
        assert np.array_equal(frames(first), frames(again))

    def test_that_is_another_gives_another_clip(self, client: Client, first: Clip) -> None:
        """The seed decides."""
        assert not np.array_equal(frames(first), frames(client.generate(PROMPT, seed=8, steps=2, **T2V).clip))


class TestSettings:
    @pytest.mark.parametrize(
        "changed",
        [{"steps": 3}, {"guidance": 9.0}, {"negative_prompt": "boats"}],
        ids=lambda one: next(iter(one)),
    )
    def test_change_the_clip(self, client: Client, first: Clip, changed: dict[str, Any]) -> None:
        """Steps, guidance and negative prompt are obeyed."""
        again = client.generate(PROMPT, **{"seed": 7, "steps": 2, **T2V, **changed}).clip
        assert not np.array_equal(frames(first), frames(again))


class TestTwoAtOnce:
    def test_give_each_what_it_gives_alone(self, client: Client, first: Clip) -> None:
        """A pipeline is no two things at a time: clips of one device are made one after the other."""
        both = client.generate(PROMPT, seed=7, steps=2, candidates=2, **T2V).candidates
        alone = client.generate(PROMPT, seed=8, steps=2, **T2V).clip
        assert [7, 8] == [clip.seed for clip in both]
        assert np.array_equal(frames(first), frames(both[0]))
        assert np.array_equal(frames(alone), frames(both[1]))


class TestAPreset:
    def test_of_an_endpoint_holds_for_its_calls(self, tmp_path: Path, offer: Callable[[str], Offer]) -> None:
        """It is noted with the clip, and a call that names another one has that."""
        from tests.local.tiny import catalog_of
        from vidorch.contract import Endpoint

        endpoint = Endpoint("local", "local", options={"preset": "fast"})
        with Client(home=tmp_path, catalog=catalog_of(offer("t2v")), endpoints={"local": endpoint}) as client:
            fast = client.generate(PROMPT, steps=9, **T2V)
            whole = client.generate(PROMPT, steps=9, extra={"local": {"preset": "quality"}}, **T2V)
        assert any(note.startswith("Preset fast approximates") for note in fast.notes)
        assert not any("approximates" in note for note in whole.notes)
