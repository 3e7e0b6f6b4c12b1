"""What a preset asks of a model, and where it may be said. Needs no torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidorch.errors import InvalidRequest
from vidorch.offer import FewSteps, Lora, Weights
from vidorch_local.diffusion.presets import PRESETS, laid
from vidorch_local.diffusion.settings import of_endpoint, of_request


def weights(steps: int | None = 50, lora: str = "") -> Weights:
    few = FewSteps((Lora(lora),), {"steps": 4, "guidance": 1}, {"480p": 5.0}) if lora else None
    defaults = {"guidance": 5.0} | ({} if steps is None else {"steps": steps})
    return Weights("x", defaults=defaults, flow_shift={"480p": 3.0}, few_steps=few)


class TestLaid:
    @pytest.mark.parametrize("preset", ["", "quality", "balanced", "fast"])
    def test_leaves_the_steps_of_all_but_drafts(self, preset: str) -> None:
        """Their steps are the model's own."""
        assert weights() == laid(weights(), preset)

    @pytest.mark.parametrize(("usual", "drafted"), [(50, 20), (40, 16), (12, 8), (8, 8), (4, 4)])
    def test_has_fewer_steps_for_a_draft(self, usual: int, drafted: int) -> None:
        """Two fifths of them, no fewer than eight, and none fewer for a model that needs few."""
        assert drafted == laid(weights(usual), "draft").defaults["steps"]

    def test_takes_the_distillation_that_is_here(self, tmp_path: Path) -> None:
        """Its LoRA, steps, guidance and shift, in place of the model's own."""
        path = tmp_path / "few.safetensors"
        path.touch()
        made = laid(weights(lora=str(path)), "draft")
        assert ((Lora(str(path)),), {"steps": 4, "guidance": 1}, {"480p": 5.0}) == (
            made.loras,
            made.defaults,
            made.flow_shift,
        )

    def test_makes_do_without_a_distillation_that_is_not_here(self, tmp_path: Path) -> None:
        """Nothing is fetched for a draft: it has fewer of the model's own steps."""
        made = laid(weights(lora=str(tmp_path / "few.safetensors")), "draft")
        assert ((), 20) == (made.loras, made.defaults["steps"])

    def test_makes_do_without_a_distillation_of_another_machine(self, tmp_path: Path) -> None:
        """What lies here is not what lies on the machine that makes the clip."""
        path = tmp_path / "few.safetensors"
        path.touch()
        assert () == laid(weights(lora=str(path)), "draft", here=False).loras

    def test_leaves_steps_alone_that_nobody_knows(self) -> None:
        """A model whose usual number is not in the catalog keeps its pipeline's."""
        assert {"guidance": 5.0} == laid(weights(None), "draft").defaults


class TestSettings:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_take_a_preset_for_an_endpoint_and_for_a_call(self, preset: str) -> None:
        """The call's goes before the endpoint's."""
        endpoint = of_endpoint({"preset": "fast"})
        assert (
            "fast",
            preset,
        ) == (endpoint.preset, of_request({"local": {"preset": preset}}, endpoint).preset)

    def test_name_the_preset_that_was_meant(self) -> None:
        """A slip is told with the nearest right name."""
        with pytest.raises(InvalidRequest, match="Did you mean 'quality'"):
            of_request({"local": {"preset": "qualty"}})

    @pytest.mark.parametrize("asked", ["flash", ["flash", "native"]])
    def test_take_one_attention_or_several(self, asked: str | list[str]) -> None:
        """One alone has to be there, of several the first that is."""
        assert "flash" == of_endpoint({"attention": asked}).attention[0]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"attention": ["flesh"]},
            {"attention": 3},
            {"attention": [3]},
            {"compile": 1},
            {"tiling": "yes"},
            {"sampler": "ddim"},
            {"lora_experts": ["middle"]},
        ],
    )
    def test_refuse_what_cannot_be_used(self, wrong: dict[str, object]) -> None:
        """Each says what is allowed."""
        with pytest.raises(InvalidRequest, match="cannot be used. Allowed is"):
            of_request({"local": wrong})
