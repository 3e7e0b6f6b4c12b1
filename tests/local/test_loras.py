"""LoRAs: each changes the clip as its weight says, several add up, and without them a model is bit for bit what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.local import tiny
from tests.local.lone import Lone
from vidorch import Client
from vidorch.errors import InvalidRequest, MissingCredentials, ProviderFailed, Unsupported
from vidorch.offer import Lora, Offer, Weights
from vidorch.request import Request
from vidorch_local.diffusion.loras import KEPT, Laid, asked, located

pytestmark = pytest.mark.torch

Lones = Callable[..., Lone]
Makes = Callable[..., Path]


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Makes:
    """Make one with peft for the tiny transformer, by name; the same name gives the same file."""
    folder = tmp_path_factory.mktemp("loras")

    def make(name: str, *, rank: int = 4, seed: int = 0, **changes: Any) -> Path:
        import torch
        from diffusers import WanPipeline
        from peft import LoraConfig, get_peft_model_state_dict

        path = folder / f"{name}.safetensors"
        if not path.exists():
            torch.manual_seed(seed or len(name))
            model = tiny._dit(**changes)
            config = LoraConfig(
                r=rank, lora_alpha=rank, target_modules=["to_q", "to_v"], init_lora_weights=False
            )
            model.add_adapter(config, "made")
            layers = get_peft_model_state_dict(model, adapter_name="made")
            WanPipeline.save_lora_weights(folder, transformer_lora_layers=layers, weight_name=path.name)
        return path

    return make


@pytest.fixture
def plain(lone: Lones) -> Iterator[Lone]:
    """A pipeline that has no LoRA before and after the test."""
    yield lone("t2v")
    lone("t2v").clip(steps=1)


def laid(path: Path, weight: float = 1.0, expert: str = "") -> Laid:
    return Laid(str(path), str(path), weight, expert)


def resolve(weights: Weights, request: Request, experts: tuple[str, ...], name: str) -> tuple[Laid, ...]:
    return located(asked(weights, request, experts), name)


def clip(lone: Lone, *loras: Laid, **settings: Any) -> Any:
    return lone.clip(steps=2, loras=loras, **settings)


class TestALora:
    def test_changes_the_clip(self, plain: Lone, lora: Makes) -> None:
        """With it, the latents are others."""
        assert not np.array_equal(clip(plain), clip(plain, laid(lora("one"))))

    def test_changes_it_as_its_weight_says(self, plain: Lone, lora: Makes) -> None:
        """Half the weight is less of a change."""
        bare, half, full = (
            clip(plain),
            clip(plain, laid(lora("one"), 0.5)),
            clip(plain, laid(lora("one"), 1.0)),
        )
        assert 0 < np.abs(half - bare).mean() < np.abs(full - bare).mean()

    def test_gives_the_same_clip_again(self, plain: Lone, lora: Makes) -> None:
        """Same seed, same LoRA, whatever was laid meanwhile."""
        first = clip(plain, laid(lora("one")))
        clip(plain, laid(lora("two")))
        assert np.array_equal(first, clip(plain, laid(lora("one"))))

    def test_that_is_not_asked_for_leaves_no_trace(self, plain: Lone, lora: Makes) -> None:
        """The next clip without it is bit for bit the one before it."""
        bare = clip(plain)
        clip(plain, laid(lora("one")))
        assert np.array_equal(bare, clip(plain))

    def test_leaves_no_trace_beside_a_cache(self, plain: Lone, lora: Makes) -> None:
        """A cache holds on to no layer that the LoRA replaced."""
        bare = plain.clip(preset="fast")
        changed = plain.clip(preset="fast", loras=(laid(lora("one")),))
        assert not np.array_equal(bare, changed)
        assert np.array_equal(bare, plain.clip(preset="fast"))

    def test_is_the_same_beside_a_cache_that_was_there_before(self, plain: Lone, lora: Makes) -> None:
        """It makes no difference whether its file was loaded before the cache or after it."""
        plain.clip(preset="fast")
        then = plain.clip(preset="fast", loras=(laid(lora("one")),))
        clip(plain)
        clip(plain, laid(lora("one")))
        assert np.array_equal(then, plain.clip(preset="fast", loras=(laid(lora("one")),)))

    def test_works_with_weights_in_8_bits(self, lora: Makes, weights: Callable[[str], Path]) -> None:
        """Placed as fp8, a model takes it as well."""
        from vidorch_local.diffusion import placing

        small = Lone("t2v", weights("t2v"), "WanPipeline")
        placing.apply(small.pipe(), "fp8", "cpu")
        bare = clip(small)
        assert not np.array_equal(bare, clip(small, laid(lora("one"))))
        assert np.array_equal(bare, clip(small))

    def test_made_for_text_goes_with_an_image_model(self, lone: Lones, lora: Makes) -> None:
        """A text-to-video LoRA is laid over image-to-video weights that have layers for images beside it."""
        seeing = lone("i2v-clip", "WanImageToVideoPipeline")
        call = {"image": np.full((32, 32, 3), 90, np.uint8)}
        bare = seeing.clip(steps=2, call=call)
        assert not np.array_equal(bare, seeing.clip(steps=2, call=call, loras=(laid(lora("one")),)))


class TestSeveral:
    def test_add_up(self, plain: Lone, lora: Makes) -> None:
        """Two at once are neither of them alone."""
        one, two = laid(lora("one")), laid(lora("two"))
        both = clip(plain, one, two)
        assert not np.array_equal(both, clip(plain, one))
        assert not np.array_equal(both, clip(plain, two))

    def test_of_the_same_file_add_their_weights(self, plain: Lone, lora: Makes) -> None:
        """Twice a half is one whole."""
        half = laid(lora("one"), 0.5)
        assert np.array_equal(clip(plain, half, half), clip(plain, laid(lora("one"))))

    def test_are_loaded_once(self, plain: Lone, lora: Makes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Turns of two load each at its first turn alone."""
        clip(plain)
        pipe, loads = plain.pipe(), []
        load = pipe.load_lora_weights
        monkeypatch.setattr(
            pipe, "load_lora_weights", lambda *args, **named: loads.append(args) or load(*args, **named)
        )
        for name in ("one", "two", "one", "two"):
            clip(plain, laid(lora(name)))
        assert 2 == len(loads)

    def test_do_not_pile_up(self, plain: Lone, lora: Makes) -> None:
        """Of those that nobody asks for now, a few stay."""
        for number in range(KEPT + 3):
            clip(plain, laid(lora(f"{number}", seed=number + 1)))
        assert KEPT + 1 == len(plain.pipe().transformer.peft_config)


class TestExperts:
    @pytest.mark.parametrize(("expert", "there"), [("high", (1, 0)), ("low", (0, 1)), ("", (1, 1))])
    def test_get_what_is_for_them(
        self, lone: Lones, lora: Makes, expert: str, there: tuple[int, int]
    ) -> None:
        """High noise is the first transformer, low noise the second; nothing said is both."""
        two = lone("two-experts")
        clip(two, laid(lora("one"), expert=expert))
        pipe = two.pipe()
        assert there == tuple(
            len(getattr(part, "peft_config", None) or {}) for part in (pipe.transformer, pipe.transformer_2)
        )

    def test_leave_no_trace(self, lone: Lones, lora: Makes) -> None:
        """Both are as before without it."""
        two = lone("two-experts")
        bare = clip(two)
        changed = clip(two, laid(lora("one"), expert="low"))
        assert not np.array_equal(bare, changed)
        assert np.array_equal(bare, clip(two))

    def test_are_told_from_the_names_of_files(self, lora: Makes) -> None:
        """`..._high_noise_lora` is for much noise; a name that says neither is for both."""
        names = ("wan_high_noise_lora", "wan_low_noise_lora", "highway", "high_and_low")
        found = resolve(Weights("x"), Request(prompt="x", loras=[str(lora(name)) for name in names]), (), "m")
        assert ["high", "low", "", ""] == [one.expert for one in found]

    def test_are_told_by_the_call_before_their_names(self, lora: Makes) -> None:
        """`lora_experts` has one for each."""
        request = Request(prompt="x", loras=[str(lora("wan_high_noise_lora"))])
        assert ["low"] == [one.expert for one in resolve(Weights("x"), request, ("low",), "m")]

    def test_have_to_be_as_many_as_loras(self, lora: Makes) -> None:
        """Two experts for one LoRA are a mistake."""
        with pytest.raises(InvalidRequest, match="lora_experts says 2 for 1 LoRAs"):
            resolve(Weights("x"), Request(prompt="x", loras=[str(lora("one"))]), ("high", "low"), "m")


class TestResolve:
    def resolve(self, *sources: Any) -> tuple[Laid, ...]:
        return resolve(Weights("x"), Request(prompt="x", loras=list(sources)), (), "local/m")

    def test_finds_the_only_file_of_a_folder(self, tmp_path: Path) -> None:
        """A folder with one file of safetensors is that file."""
        (tmp_path / "a.safetensors").touch()
        assert str(tmp_path / "a.safetensors") == self.resolve(str(tmp_path))[0].path

    def test_finds_a_file_of_the_hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`owner/name:file` is looked for in the hub's cache, and no further."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        kept = tmp_path / "models--o--n" / "snapshots" / "main"
        kept.mkdir(parents=True)
        (kept / "a.safetensors").touch()
        assert str(kept / "a.safetensors") == self.resolve("o/n:a.safetensors")[0].path

    def test_says_how_one_of_the_hub_comes_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is fetched by surprise."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(MissingCredentials, match="o/n:a.safetensors is not on this machine") as caught:
            self.resolve("o/n:a.safetensors")
        assert "hf download o/n a.safetensors" == caught.value.hint

    def test_says_how_one_of_the_model_itself_comes_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is pulled with the model."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        own = replace(Weights("x"), loras=(Lora("o/n:a.safetensors"),))
        with pytest.raises(MissingCredentials) as caught:
            resolve(own, Request(prompt="x"), (), "local/m")
        assert "vidorch models pull local/m" == caught.value.hint

    def test_names_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        """A missing file is named."""
        with pytest.raises(MissingCredentials, match="no LoRA at .*/nowhere.safetensors"):
            self.resolve(str(tmp_path / "nowhere.safetensors"))

    def test_asks_which_of_several(self, tmp_path: Path) -> None:
        """A folder with two has to be told which."""
        (tmp_path / "a.safetensors").touch()
        (tmp_path / "b.safetensors").touch()
        with pytest.raises(InvalidRequest, match="has 2 of them: name one after a colon"):
            self.resolve(str(tmp_path))

    def test_takes_no_pickle(self, tmp_path: Path) -> None:
        """Unpickling runs whatever code is inside."""
        (tmp_path / "a.pt").touch()
        with pytest.raises(InvalidRequest, match="a.pt is no file of safetensors"):
            self.resolve(str(tmp_path / "a.pt"))

    def test_leaves_out_what_weighs_nothing(self, lora: Makes) -> None:
        """Weight 0 is as if it had not been asked for."""
        assert () == self.resolve((str(lora("one")), 0))

    def test_names_the_package_that_is_missing(self, lora: Makes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without peft there is none."""
        monkeypatch.setattr("vidorch_local.diffusion.loras.find_spec", lambda _: None)
        with pytest.raises(MissingCredentials, match="needs peft") as caught:
            self.resolve(str(lora("one")))
        assert "local" == caught.value.extra


class TestOneThatDoesNotFit:
    def test_is_named_with_its_layer(self, plain: Lone, lora: Makes) -> None:
        """Another width is another model."""
        wide = lora("wide", num_attention_heads=4)
        with pytest.raises(
            ProviderFailed,
            match=r"wide.safetensors does not go .*attn1.to_q is 96 wide, where this model's is 48",
        ):
            clip(plain, laid(wide))

    def test_is_named_where_no_layer_is_the_models(self, plain: Lone, tmp_path: Path) -> None:
        """A LoRA of a picture model has other layers altogether."""
        import torch
        from safetensors.torch import save_file

        path = tmp_path / "other.safetensors"
        layer = "transformer.single_transformer_blocks.0.proj_out"
        save_file(
            {f"{layer}.lora_A.weight": torch.zeros(4, 48), f"{layer}.lora_B.weight": torch.zeros(48, 4)}, path
        )
        with pytest.raises(
            ProviderFailed,
            match=r"none of its layers is one of this model's; its first is single_transformer_blocks",
        ):
            clip(plain, laid(path))

    def test_is_named_where_it_is_damaged(self, plain: Lone, tmp_path: Path) -> None:
        """Half a file is no file."""
        path = tmp_path / "half.safetensors"
        path.write_bytes(b"\x10\0\0\0\0\0\0\0{")
        with pytest.raises(ProviderFailed, match=r"half.safetensors does not go .* cannot be read"):
            clip(plain, laid(path))

    def test_leaves_the_model_as_it_was(self, plain: Lone, lora: Makes) -> None:
        """The next clip is that of the bare model."""
        bare = clip(plain)
        with pytest.raises(ProviderFailed):
            clip(plain, laid(lora("wide", num_attention_heads=4)))
        assert np.array_equal(bare, clip(plain))

    def test_says_which_layers_had_no_place(self, lone: Lones, lora: Makes, plain: Lone) -> None:
        """A LoRA of a deeper model is laid as far as it goes, and the note says so."""
        made = plain.make(plain.job(steps=1, loras=(laid(lora("deep", num_layers=3)),)))
        assert made.notes[0].startswith("4 of the 12 layers of the LoRA")


class TestAClient:
    @pytest.fixture
    def styled(self, offer: Callable[[str], Offer]) -> Offer:
        """An offer whose catalog says that it takes LoRAs."""
        made = offer("t2v")
        routes = {
            task: replace(route, capabilities=replace(route.capabilities, loras=True))
            for task, route in made.routes.items()
        }
        return replace(made, routes=routes)

    def test_lays_what_a_call_asks_for(self, tmp_path: Path, styled: Offer, lora: Makes) -> None:
        """`loras=` of a call changes its clip, and its model's own are laid without being asked for."""
        from vidorch import media

        path = str(lora("one"))
        own = replace(
            styled,
            model="own",
            weights=replace(styled.weights, loras=(Lora(path, 1.0),)) if styled.weights else None,
        )
        with Client(home=tmp_path, catalog=tiny.catalog_of(styled, own)) as client:
            bought = {"seed": 7, "steps": 2, "duration": 0.5, "aspect_ratio": "1:1"}
            clips = [
                client.generate("a lighthouse", model="local/tiny-t2v", **bought),
                client.generate("a lighthouse", model="local/tiny-t2v", loras=[(path, 1.0)], **bought),
                client.generate("a lighthouse", model="local/own", **bought),
            ]
        bare, asked, own_clip = (np.stack(list(media.frames(one.clip.path))) for one in clips)
        assert not np.array_equal(bare, asked)
        assert np.array_equal(asked, own_clip)

    def test_leaves_out_an_offer_whose_lora_is_not_here(self, tmp_path: Path, styled: Offer) -> None:
        """The plan says so before anything runs."""
        with (
            Client(home=tmp_path, catalog=tiny.catalog_of(styled)) as client,
            pytest.raises(Unsupported, match="There is no LoRA at ./nowhere.safetensors"),
        ):
            client.generate("x", model="local/tiny-t2v", loras=["./nowhere.safetensors"], duration=0.5)
