"""Presets: each really leaves out what it says, and nothing of a clip stays behind for the next one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.local.lone import Lone, counted

pytestmark = pytest.mark.torch

Lones = Callable[..., Lone]
BLOCK = "WanAttention"
"""A block has two of them, and none is computed where its block is left out."""
PASS = "WanTransformer3DModel"
STEPS, LAYERS = 12, 2
MANY = 40
"""So many steps that two of them are alike whatever numbers the model is made of."""


def blocks(lone: Lone, **settings: object) -> int:
    with counted() as computed:
        lone.clip(**settings)
    return computed(BLOCK) // 2


class TestQuality:
    def test_computes_every_block_of_both_passes(self, lone: Lones) -> None:
        """Nothing is left out: each step is two passes through all layers."""
        assert 2 * LAYERS * STEPS == blocks(lone("t2v"), preset="quality")

    def test_is_what_nobody_asked_for(self, lone: Lones) -> None:
        """Without a preset the clip is that of `quality`, and nothing is said of approximations."""
        assert np.array_equal(lone("t2v").clip(preset="quality"), lone("t2v").clip())
        assert () == lone("t2v").make(lone("t2v").job()).notes


class TestCaches:
    @pytest.mark.parametrize("preset", ["balanced", "fast", "draft"])
    def test_really_leave_blocks_out(self, lone: Lones, preset: str) -> None:
        """Fewer blocks are computed than the passes that are made have."""
        with counted() as computed:
            lone("t2v").clip(preset=preset, steps=MANY)
        assert computed(BLOCK) // 2 < LAYERS * computed(PASS)

    def test_leave_more_out_the_faster_the_preset(self, lone: Lones) -> None:
        """Each preset computes less than the one before it."""
        counts = [
            blocks(lone("t2v"), preset=one, steps=MANY) for one in ("quality", "balanced", "fast", "draft")
        ]
        assert sorted(set(counts), reverse=True) == counts

    def test_are_on_both_experts(self, lone: Lones) -> None:
        """A model of two transformers has a cache on each."""
        pipe = lone("two-experts").pipe()
        lone("two-experts").clip(preset="fast")
        assert (True, True) == (pipe.transformer.is_cache_enabled, pipe.transformer_2.is_cache_enabled)

    def test_say_that_they_approximate(self, lone: Lones) -> None:
        """The note names the preset, how, and how much."""
        (note,) = lone("t2v").make(lone("t2v").job(preset="balanced")).notes
        assert (
            note.startswith("Preset balanced approximates: blocks are not computed anew") and "0.08" in note
        )

    def test_are_left_out_of_few_steps(self, lone: Lones) -> None:
        """No two of four steps are alike: all blocks are computed, and the note says so."""
        made = lone("t2v").make(lone("t2v").job(preset="fast", steps=4))
        assert ("Preset fast leaves nothing out between 4 steps: they are too few.",) == made.notes
        assert 2 * LAYERS * 4 == blocks(lone("t2v"), preset="fast", steps=4)

    def test_are_left_out_where_a_pipeline_does_not_tell_its_passes_apart(self, lone: Lones) -> None:
        """A restyled clip is made whole after one with a cache on the same weights."""
        lone("t2v").clip(preset="fast")
        video = np.zeros((5, 32, 32, 3), np.uint8)
        job = lone("t2v").job(
            preset="balanced", wanted="WanVideoToVideoPipeline", call={"video": video, "strength": 0.8}
        )
        made = lone("t2v").make(job)
        assert (
            "Preset balanced has no cache for WanVideoToVideoPipeline: every block is computed.",
        ) == made.notes

    def test_are_left_out_of_vace(self, lone: Lones) -> None:
        """It adds what it was given between blocks; a skipped pass would add it twice."""
        vace = lone("vace", "WanVACEPipeline")
        assert np.array_equal(vace.clip(), vace.clip(preset="balanced"))
        assert "has no cache for WanVACEPipeline" in vace.make(vace.job(preset="balanced", steps=9)).notes[0]


class TestGuidance:
    @pytest.mark.parametrize(("preset", "guided"), [("balanced", 20), ("fast", 14), ("draft", 10)])
    def test_goes_for_the_last_steps(self, lone: Lones, preset: str, guided: int) -> None:
        """A step without it is one pass instead of two."""
        with counted() as computed:
            lone("t2v").clip(preset=preset, steps=20)
        assert 20 + guided == computed(PASS)

    def test_is_whole_again_for_the_next_clip(self, lone: Lones) -> None:
        """Every clip begins guided."""
        lone("t2v").clip(preset="draft")
        with counted() as computed:
            lone("t2v").clip()
        assert 2 * STEPS == computed(PASS)


class TestASeed:
    @pytest.mark.parametrize("preset", ["quality", "balanced", "fast", "draft"])
    @pytest.mark.parametrize("kind", ["t2v", "two-experts"])
    def test_gives_the_same_frames_whatever_ran_before(self, lone: Lones, kind: str, preset: str) -> None:
        """A cache remembers nothing of another clip, of another preset, or of one that was broken off."""
        first = lone(kind).clip(preset=preset)
        lone(kind).clip(preset="fast" if preset != "fast" else "balanced", seed=8)
        lone(kind).clip(preset=preset, seed=9)
        assert np.array_equal(first, lone(kind).clip(preset=preset))

    def test_gives_the_same_frames_after_a_clip_that_failed(self, lone: Lones) -> None:
        """A clip that breaks off in the middle leaves its cache behind, and the next one empties it."""
        first = lone("t2v").clip(preset="fast")
        with pytest.raises(ZeroDivisionError):
            _break_off(lone("t2v"), after=5)
        assert np.array_equal(first, lone("t2v").clip(preset="fast"))


def _break_off(lone: Lone, after: int) -> None:
    from vidorch_local.diffusion import running, tuning

    job = lone.job(preset="fast", seed=3)
    tuning.settle(lone.pipe(), job, "cpu")

    def told(_stage: str, done: int, _total: int, _left: object) -> None:
        1 / (after - done)

    running.run(lone.pipe(), job, tell=told, should_stop=lambda: False)


class TestTiling:
    def test_is_for_the_clip_that_asked_alone(self, lone: Lones) -> None:
        """It is switched off again."""
        lone("t2v").clip(tiling=True)
        assert lone("t2v").pipe().vae.use_tiling
        lone("t2v").clip()
        assert not lone("t2v").pipe().vae.use_tiling


class TestCompiled:
    def test_is_nothing_on_a_cpu_unless_asked(self, lone: Lones) -> None:
        """It takes longer than a clip."""
        lone("t2v").clip(steps=1)
        assert not _compiled(lone("t2v"))

    def test_comes_and_goes_with_the_call(self, lone: Lones, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blocks are compiled for the call that asks, one by one, and are as before for the next."""
        _compile_by_hand(monkeypatch)
        plain = lone("t2v").clip(steps=2)
        assert np.array_equal(plain, lone("t2v").clip(steps=2, compile=True))
        assert LAYERS == _compiled(lone("t2v"))
        assert np.array_equal(plain, lone("t2v").clip(steps=2))
        assert not _compiled(lone("t2v"))

    def test_works_beside_a_cache(self, lone: Lones, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same blocks are left out, and the clip is the same."""
        _compile_by_hand(monkeypatch)
        plain = lone("t2v").clip(preset="fast")
        assert np.array_equal(plain, lone("t2v").clip(preset="fast", compile=True))


def _compile_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's compiler up to the graph and no further: what inductor makes of it takes a minute, and rounds in its own way."""
    import torch

    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda *args, **named: compile_(*args, **named | {"backend": "eager"})
    )


def _compiled(lone: Lone) -> int:
    return sum(block._compiled_call_impl is not None for block in lone.pipe().transformer.blocks)
