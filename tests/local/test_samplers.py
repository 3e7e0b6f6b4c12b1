"""Samplers and models of few steps: the noise levels they were made for, one pass a step, and the same clip for a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.local.lone import Lone, counted

pytestmark = pytest.mark.torch

Lones = Callable[..., Lone]


class TestASampler:
    @pytest.mark.parametrize("sampler", ["", "unipc", "euler", "lcm"])
    def test_begins_its_steps_where_few_step_models_were_trained(self, lone: Lones, sampler: str) -> None:
        """Equal parts of 1, shifted: 1, 3/4, 1/2 and 1/4, by 3."""
        lone("t2v").clip(steps=4, sampler=sampler)
        assert [1.0, 0.9, 0.75, 0.5, 0.0] == pytest.approx(lone("t2v").sigmas, abs=2e-3)

    @pytest.mark.parametrize("sampler", ["euler", "lcm"])
    def test_takes_the_shift_that_is_wanted(self, lone: Lones, sampler: str) -> None:
        """By 5 instead of the folder's 3."""
        lone("t2v").clip(steps=4, sampler=sampler, flow_shift=5.0)
        assert [1.0, 0.938, 0.833, 0.625, 0.0] == pytest.approx(lone("t2v").sigmas, abs=2e-3)

    @pytest.mark.parametrize("sampler", ["", "euler", "lcm"])
    def test_gives_the_same_clip_for_a_seed(self, lone: Lones, sampler: str) -> None:
        """Also where it lays new noise over each step."""
        lone("t2v").clip(steps=1)
        first = lone("t2v").clip(steps=4, sampler=sampler)
        lone("t2v").clip(steps=2, sampler=sampler, seed=8)
        assert np.array_equal(first, lone("t2v").clip(steps=4, sampler=sampler))

    def test_is_for_the_clip_that_asked_alone(self, lone: Lones) -> None:
        """The folder's own is back for the next one, with its own settings."""
        own = lone("t2v").clip(steps=4)
        lone("t2v").clip(steps=4, sampler="lcm", flow_shift=8.0)
        assert np.array_equal(own, lone("t2v").clip(steps=4))


class TestAModelOfFewSteps:
    def job(self, lone: Lone, **changes: Any) -> Any:
        """As of a model distilled by DMD, such as FastWan."""
        weights = replace(lone.weights, defaults={"sampler": "lcm", "sigmas": (1.0, 0.757, 0.522)})
        return lone.job(steps=3, guidance=1.0, weights=weights, flow_shift=8.0, **changes)

    def test_steps_at_the_noise_it_was_trained_on(self, lone: Lones) -> None:
        """The catalog's noise levels are taken as they are, whatever the shift."""
        lone("t2v").make(self.job(lone("t2v")))
        assert [1.0, 0.757, 0.522, 0.0] == pytest.approx(lone("t2v").sigmas, abs=1e-4)

    def test_needs_one_pass_a_step(self, lone: Lones) -> None:
        """Without guidance nothing is computed for the negative prompt."""
        with counted() as computed:
            lone("t2v").make(self.job(lone("t2v")))
        assert 3 == computed("WanTransformer3DModel")

    def test_reads_its_prompt_alone(self, lone: Lones) -> None:
        """The text encoder does not read the negative prompt either."""
        with counted() as computed:
            lone("t2v").make(self.job(lone("t2v")))
        assert 1 == computed("UMT5EncoderModel")
