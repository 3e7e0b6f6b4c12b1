"""`[offer.weights]`: what it says, how it is inherited, and that every mistake in it is told with its line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.catalog.test_broken import broken, write
from vidorch.catalog import load, shipped
from vidorch.catalog.weights import PLACEMENTS
from vidorch.offer import FewSteps, Lora, Offer, Weights

GOOD = """\
family = "acme"

[[offer]]
model = "one"
endpoint = "local"
provider = "local"
title = "One"
as_of = 2026-12-01
path = "WanPipeline"
[offer.price]
rule = "free"
[offer.weights]
source = "acme/one"
revision = "v1"
download_bytes = 28_940_000_000
memory = { gpu = 20_000_000_000, cpu = 28_000_000_000 }
frame_step = 4
size_multiple = 16
defaults = { steps = 50, guidance = 5.5, negative_prompt = "blur", strength = 0.8, sampler = "lcm", sigmas = [1, 0.75] }
flow_shift = { 480p = 3 }
loras = [{ source = "acme/loras:fast.safetensors", scale = 0.5, expert = "high" }]
few_steps = { defaults = { steps = 4 }, flow_shift = { 480p = 5 }, loras = [{ source = "acme/few" }] }
[offer.capabilities]
durations = { least = 0.25, most = 8, step = 0.25 }
resolutions = ["480p"]
aspect_ratios = ["16:9"]
sizes = { "480p 16:9" = [832, 480] }
fps = [16]
[offer.routes.text-to-video]
[offer.routes.restyle]
capabilities.durations = {}

[[offer]]
like = "local/one"
model = "two"
title = "Two"
as_of = 2026-12-01
[offer.price]
rule = "free"
[offer.weights]
defaults.steps = 4
loras = []
"""

LOCAL = tuple(offer for offer in shipped().offers if offer.weights is not None)
each_local = pytest.mark.parametrize("offer", LOCAL, ids=lambda offer: offer.model)


def weights_of(path: Path, name: str) -> Weights:
    offer = load(path, environ={}, user_file="none").offer(name)
    assert offer is not None
    return needs_of(offer)


def needs_of(offer: Offer) -> Weights:
    assert offer.weights is not None
    return offer.weights


class TestReading:
    def test_every_field(self, tmp_path: Path) -> None:
        """Each value stands in the offer as it was written."""
        expected = Weights(
            source="acme/one", revision="v1", download_bytes=28_940_000_000,
            memory={"gpu": 20_000_000_000, "cpu": 28_000_000_000}, frame_step=4, size_multiple=16,
            defaults={
                "steps": 50, "guidance": 5.5, "negative_prompt": "blur", "strength": 0.8, "sampler": "lcm", "sigmas": (1.0, 0.75),
            },
            flow_shift={"480p": 3.0}, loras=(Lora("acme/loras:fast.safetensors", 0.5, "high"),),
            few_steps=FewSteps((Lora("acme/few"),), {"steps": 4}, {"480p": 5.0}),
        )  # fmt: skip
        assert expected == weights_of(write(tmp_path, GOOD), "local/one")

    def test_like(self, tmp_path: Path) -> None:
        """What is said anew takes the place of what is inherited, key by key; a list as a whole."""
        two = weights_of(write(tmp_path, GOOD), "local/two")
        assert ("acme/one", 4, 5.5, ()) == (
            two.source,
            two.defaults["steps"],
            two.defaults["guidance"],
            two.loras,
        )

    def test_none(self) -> None:
        """A hosted offer has no weights, and neither has the built-in model."""
        catalog = shipped()
        assert [None, None] == [
            offer.weights for name in ("fal/kling-3.0-pro", "local/mini") if (offer := catalog.offer(name))
        ]

    @pytest.mark.parametrize(
        ("right", "wrong", "line", "field", "says"),
        [
            ('source = "acme/one"\n', "", 12, "weights.source", "is missing"),
            ('source = "acme/one"', 'source = "https://hub/acme"', 13, "weights.source", "a hub id"),
            ('source = "acme/one"', 'sorce = "acme/one"', 13, "weights.sorce", "Did you mean 'source'?"),
            ("= 28_940_000_000", "= 28.94", 15, "weights.download_bytes", "a whole number of bytes"),
            ("= 28_940_000_000", "= 0", 15, "weights.download_bytes", "over 0"),
            ("= 28_940_000_000", "= 28_940_000_000_000_000", 15, "weights.download_bytes", "cannot be used"),
            ("gpu = 20", "gqu = 20", 16, "weights.memory.gqu", "Did you mean 'gpu'?"),
            ("gpu = 20_000_000_000", "gpu = -1", 16, "weights.memory.gpu", "over 0"),
            ("frame_step = 4", "frame_step = 0", 17, "weights.frame_step", "from 1"),
            ("size_multiple = 16", "size_multiple = 1.5", 18, "weights.size_multiple", "a whole number"),
            ("steps = 50", "steps = 0", 19, "weights.defaults.steps", "from 1 to 1000"),
            ("steps = 50", "stpes = 50", 19, "weights.defaults.stpes", "Did you mean 'steps'?"),
            ("guidance = 5.5", "guidance = 101", 19, "weights.defaults.guidance", "from 0 to 100"),
            ("strength = 0.8", "strength = 1.2", 19, "weights.defaults.strength", "at most 1"),
            ('sampler = "lcm"', 'sampler = "ddim"', 19, "weights.defaults.sampler", "unipc, euler or lcm"),
            ("[1, 0.75]", "[0.75, 1]", 19, "weights.defaults.sigmas", "each below the one before it"),
            ("few_steps = { defaults", "few_steps = { defualts", 22, "weights.few_steps.defualts", "Did you mean 'defaults'?"),
            ('[{ source = "acme/few" }]', "[]", 22, "weights.few_steps.loras", "at least one file"),
            ("480p = 3", "480 = 3", 20, "weights.flow_shift.480", "no resolution"),
            ("480p = 3", "480p = 0", 20, "weights.flow_shift.480p", "over 0"),
            ("source = \"acme/loras", "sauce = \"acme/loras", 21, "weights.loras.1.sauce", "Did you mean 'source'?"),
            ("loras:fast.safe", "loras:../fast:safe", 21, "weights.loras.1.source", "a file"),
            ("scale = 0.5", "scale = 11", 21, "weights.loras.1.scale", "from -10 to 10"),
            ('expert = "high"', 'expert = "both"', 21, "weights.loras.1.expert", "high, low"),
            ("[832, 480]", "[854, 480]", 27, "capabilities.sizes.480p 16:9", "no multiple of size_multiple, 16"),
            ("step = 0.25 }", "step = 0.1 }", 24, "capabilities.durations", "no multiple of frame_step, 4"),
            ("least = 0.25, most = 8, step = 0.25", "choices = [2.1]", 24, "capabilities.durations", "33.6 frames"),
            ("durations = {}", "durations = { choices = [0.1] }", 31, "routes.restyle.capabilities.durations", "1.6 frames"),
        ],
    )  # fmt: skip
    def test_one_mistake(
        self, tmp_path: Path, right: str, wrong: str, line: int, field: str, says: str
    ) -> None:
        """It is told with the line it stands in, its field and what is allowed."""
        assert right in GOOD
        error = broken(write(tmp_path, GOOD.replace(right, wrong, 1)))
        assert (line, field) == (error.line, error.field)
        assert says in str(error)


class TestShipped:
    def test_there_are_some(self) -> None:
        """Wan 2.1, 2.2 and LTX-2, and few-step models of their own."""
        assert {"wan-2.1-t2v-1.3b", "wan-2.2-ti2v-5b", "wan-2.2-i2v-a14b-lightx2v", "ltx-2"} <= {
            offer.model for offer in LOCAL
        }

    @each_local
    def test_runs_here_and_costs_nothing_at_a_vendor(self, offer: Offer) -> None:
        """Its provider is `local`, it needs no key, it dies with its caller, and no end of a job is billed."""
        assert ("local", "local", (), False) == (
            offer.provider,
            offer.endpoint,
            offer.variables,
            offer.outlives_caller,
        )
        assert {"free"} == {
            getattr(offer.billing, end) for end in ("failed", "refused_input", "refused_output", "cancelled")
        }

    @each_local
    def test_says_all_that_running_it_needs(self, offer: Offer) -> None:
        """Licence, size, memory for every placement, steps and guidance within what it takes, a pipeline for each task."""
        weights = needs_of(offer)
        assert offer.licence
        assert weights.download_bytes
        assert set(PLACEMENTS) == weights.memory.keys()
        for route in offer.routes.values():
            able = route.capabilities
            for name, legal in (("steps", able.steps), ("guidance", able.guidance)):
                assert legal is not None
                assert legal[0] <= weights.defaults[name] <= legal[1]
            assert route.path.endswith("Pipeline")
            assert able.sizes.keys() == {
                f"{one} {ratio}" for one in able.resolutions for ratio in able.aspect_ratios
            }

    @each_local
    def test_without_guidance_a_negative_prompt_does_nothing(self, offer: Offer) -> None:
        """So a model that takes no guidance takes no negative prompt either."""
        for route in offer.routes.values():
            without = route.capabilities.guidance == (1, 1)
            assert ("absent" if without else "native") == route.capabilities.negative_prompt

    def test_a_draft_is_made_as_its_distillation_is_sold(self) -> None:
        """What a model's draft takes is, field by field, what the few-step model beside it is made of."""
        named = {offer.model: needs_of(offer) for offer in LOCAL}
        pairs = [
            (named[name.removesuffix("-lightx2v")], named[name])
            for name in named
            if name.endswith("-lightx2v")
        ]
        assert 4 == len(pairs)
        for usual, few in pairs:
            assert usual.few_steps is not None
            assert (few.loras, few.flow_shift) == (usual.few_steps.loras, usual.few_steps.flow_shift)
            assert few.defaults.items() >= usual.few_steps.defaults.items()

    @each_local
    def test_two_experts(self, offer: Offer) -> None:
        """What has two says the guidance of both, and its LoRAs which is whose."""
        assert ("a14b" in offer.model) == ("guidance_2" in needs_of(offer).defaults)
        assert [] == [lora for lora in needs_of(offer).loras if bool(lora.expert) != ("a14b" in offer.model)]
