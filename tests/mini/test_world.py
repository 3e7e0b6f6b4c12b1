"""The checker, and what it says of rendered clips and of the shipped weights."""

from __future__ import annotations

import numpy as np
import pytest

from mini_training import checker, world
from vidorch_local.mini.words import describe, understand

# The promise is .95, .9, .7 and .6 at n = 400; at n = 30 chance takes up to a tenth.
LEAST = {"colour": 0.9, "motion": 0.8, "shape": 0.6, "all": 0.5}


def clips(n, background, *, split="held", seed=11):
    rng = np.random.default_rng((seed, background))
    chosen = world.sample(rng, n, split=split, two=0, background=background)
    return chosen, world.sample(rng, n, split="any", two=0, background=background)


@pytest.mark.parametrize("background", [0, 1])
def test_the_checker_knows_rendered_clips_from_others_prompts(background):
    """Rendered clips agree with their own prompts in at least 95 %, and with other clips' in under 1 %."""
    own, others = clips(60, background, split="any")
    videos = np.concatenate([world.render(own.take(slice(i, i + 5))) for i in range(0, len(own), 5)])
    seen = [checker.look(v) for v in videos]
    assert np.mean([s.against(w)["all"] for s, w in zip(seen, own.words, strict=True)]) >= 0.95
    assert np.mean([s.against(w)["all"] for s, w in zip(seen, others.words, strict=True)]) < 0.01


@pytest.mark.parametrize(
    "frames",
    [
        np.full((24, 64, 64, 3), 20, np.uint8),
        np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8),
        np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8)[:, None], (24, 64, 64, 3)),
    ],
    ids=["plain", "noise", "gradient"],
)
def test_the_checker_sees_no_shape_where_there_is_none(frames):
    """Plain frames, noise and gradients have no shape, so they agree with no prompt."""
    assert checker.look(frames).shape is None


def test_held_out_combinations_are_never_sampled_for_training():
    """Training clips and held-out clips share no combination of colour, shape and motion."""
    rng = np.random.default_rng(0)
    train, held = (world.sample(rng, 2000, split=s).words[:, 2:5] for s in ("train", "held"))
    assert not {tuple(w) for w in train.tolist()} & {tuple(w) for w in held.tolist()}
    assert 30 == len({tuple(w) for w in held.tolist()})


def test_clips_are_a_function_of_their_seed():
    """The training set can be rendered again, byte for byte."""
    first, again = (world.render(world.sample(np.random.default_rng(5), 4)) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize(("background", "least"), [(0, LEAST), (1, LEAST)], ids=["dark", "light"])
def test_the_shipped_weights_draw_prompts_they_were_never_trained_on(mini, background, least):
    """30 seeded held-out prompts on each background reach the promised numbers, less what chance may take at n = 30."""
    chosen, _ = clips(30, background)
    videos = np.stack(
        [mini.generate(understand(describe(tokens)), seed=100 + i) for i, tokens in enumerate(chosen.tokens)]
    )
    scores = checker.scores(videos, chosen.words)
    assert {part: score for part, score in scores.items() if score < least.get(part, 0)} == {}
