"""Fine-tunes as models of one's own: what is checked, what is written, and that they are offers like any other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.servers.hub import Hub
from tests.weights.conftest import change_index, lay_cache, lay_folder
from vidorch.catalog import Catalog, load, shipped
from vidorch.catalog.adding import lora_of, new_model
from vidorch.catalog.own import OwnModel, default_models_file, read, write
from vidorch.errors import CatalogError, InvalidRequest, Unsupported
from vidorch.offer import Lora

LIKE = "wan-2.1-t2v-1.3b"
DAY = date(2026, 11, 26)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fine-tune of Wan."""
    return lay_folder(tmp_path / "tuned")


def made(
    source: object, name: str = "my-wan", like: str = LIKE, *loras: str, catalog: Catalog | None = None
) -> OwnModel:
    return new_model(str(source), name, like, loras, catalog or shipped(), today=DAY)


class TestNewModel:
    def test_folder(self, folder: Path) -> None:
        """Everything but where its weights are is that of the model it is like."""
        model = made(folder)
        base = shipped().offer(f"local/{LIKE}")
        assert base is not None
        assert base.weights is not None
        assert ("local/my-wan", str(folder), "") == (model.name, model.weights.source, model.weights.revision)
        assert base.weights.memory == model.weights.memory

    def test_relative_folder(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is written as the place it is, wherever vidorch is called from later."""
        monkeypatch.chdir(folder.parent)
        assert str(folder) == made("tuned").weights.source

    def test_size_of_a_folder(self, folder: Path) -> None:
        """Is that of its files."""
        assert (
            sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            == made(folder).weights.download_bytes
        )

    def test_hub(self, hub: Hub) -> None:
        """Of a repository the index is fetched, and its size is what its pipeline needs."""
        pytest.importorskip("huggingface_hub")
        model = made("acme/tiny")
        assert ("acme/tiny", ["model_index.json"]) == (model.weights.source, hub.fetched())
        assert model.weights.download_bytes

    def test_hub_that_is_here(self, cache: Path) -> None:
        """Then nobody is asked."""
        folder = lay_cache(cache)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert ("acme/tiny", size) == ((weights := made("acme/tiny").weights).source, weights.download_bytes)

    def test_loras(self, folder: Path, tmp_path: Path) -> None:
        """What is laid over the model that it is like stays."""
        (tmp_path / "style.safetensors").write_bytes(b"l")
        fast = "local/wan-2.1-t2v-14b-lightx2v"
        base = shipped().offer(fast)
        assert base is not None
        assert base.weights is not None
        own = replace(
            base,
            model="fast-here",
            weights=replace(base.weights, loras=(Lora(str(tmp_path / "style.safetensors")),)),
        )
        catalog = Catalog((*shipped().offers, own))
        model = made(folder, "my-wan", "fast-here", f"{tmp_path}/style.safetensors:0.8", catalog=catalog)
        assert [1, 0.8] == [lora.scale for lora in model.weights.loras]

    @pytest.mark.parametrize("name", ["mini", "local/mini", "kling-3.0-pro", "fal", "My Wan", "", LIKE])
    def test_name(self, folder: Path, name: str) -> None:
        """One that another model or an endpoint has, and one that is none, are errors."""
        with pytest.raises(InvalidRequest, match=r"as=.*Nothing was added"):
            made(folder, name)

    def test_taken_name(self, folder: Path) -> None:
        """An alias is a name, too."""
        with pytest.raises(InvalidRequest, match="a name that nothing else has"):
            new_model(str(folder), "quick", LIKE, (), shipped(), today=DAY, taken={"quick"})

    @pytest.mark.parametrize("like", ["wan-2.1-t2v-1.3", "kling-3.0-pro", "mini"])
    def test_like(self, folder: Path, like: str) -> None:
        """A model for one's own hardware, and the nearest name of one."""
        with pytest.raises(InvalidRequest, match=r"like=.*vidorch models --endpoint local"):
            made(folder, like=like)

    def test_no_model(self, tmp_path: Path) -> None:
        """A folder without an index, and what is neither a folder nor a hub id."""
        for source in (tmp_path, "no/such/folder", ""):
            with pytest.raises(InvalidRequest, match="source="):
                made(source)

    def test_in_part(self, folder: Path) -> None:
        """A shard that is not there would fail after minutes of loading."""
        (folder / "transformer" / "diffusion_pytorch_model-00001-of-00002.safetensors").unlink()
        with pytest.raises(InvalidRequest, match="all parts that it names"):
            made(folder)

    def test_another_class(self, tmp_path: Path) -> None:
        """Both are named."""
        with pytest.raises(
            Unsupported, match=r"is a CogVideoXPipeline, and local/wan-2.1-t2v-1.3b runs as WanPipeline"
        ):
            made(lay_folder(tmp_path / "cog", "CogVideoXPipeline"))

    def test_two_experts(self, folder: Path) -> None:
        """A model with one is none with two."""
        with pytest.raises(
            Unsupported, match="has one transformer, and local/wan-2.2-t2v-a14b has two experts"
        ):
            made(folder, like="wan-2.2-t2v-a14b")
        lay_folder(folder / "x")
        (folder / "transformer_2").mkdir()
        (folder / "transformer_2" / "w.safetensors").write_bytes(b"w")
        change_index(folder, transformer_2=["diffusers", "WanTransformer3DModel"])
        assert "local/wan-2.2-t2v-a14b" == made(folder, like="wan-2.2-t2v-a14b").like

    def test_lora_that_is_not_there(self, folder: Path) -> None:
        """Told before anything is written."""
        with pytest.raises(InvalidRequest, match="lora="):
            made(folder, "my-wan", LIKE, "/no/such/file.safetensors")


class TestLoraOf:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("acme/loras", Lora("acme/loras")),
            ("acme/loras:0.8", Lora("acme/loras", 0.8)),
            ("acme/loras:fast.safetensors", Lora("acme/loras:fast.safetensors")),
            ("acme/loras:fast.safetensors:-1.5@high", Lora("acme/loras:fast.safetensors", -1.5, "high")),
            ("acme/loras@low", Lora("acme/loras", 1, "low")),
        ],
    )
    def test_hub(self, text: str, expected: Lora) -> None:
        """Source, file, scale and expert."""
        assert expected == lora_of(text)

    def test_file(self, tmp_path: Path) -> None:
        """By the place where it is."""
        (tmp_path / "style.safetensors").write_bytes(b"l")
        assert Lora(f"{tmp_path}/style.safetensors", 0.5) == lora_of(f"{tmp_path}/style.safetensors:0.5")

    @pytest.mark.parametrize("text", ["", "style", "acme/loras:11", "/no/such.safetensors", "a/b/c"])
    def test_none(self, text: str) -> None:
        """What it may be is said."""
        with pytest.raises(InvalidRequest, match="a file that is there or a hub id"):
            lora_of(text)


class TestFile:
    def test_round_trip(self, tmp_path: Path, folder: Path) -> None:
        """What is written is read back."""
        model = made(folder, "my-wan", LIKE)
        model = replace(
            model, weights=replace(model.weights, loras=(Lora("acme/loras:fast.safetensors", 0.8, "high"),))
        )
        write(tmp_path / "models.toml", [model])
        (back,) = read(tmp_path / "models.toml")
        assert (model.name, model.like, model.as_of, model.title) == (
            back.name,
            back.like,
            back.as_of,
            back.title,
        )
        kept = ("source", "revision", "download_bytes", "loras")
        assert [getattr(model.weights, name) for name in kept] == [
            getattr(back.weights, name) for name in kept
        ]

    def test_is_a_layer(self, tmp_path: Path, folder: Path) -> None:
        """Its models are offers, with everything that the model has which they are like."""
        write(tmp_path / "models.toml", [made(folder)])
        offer = load(environ={}, user_file="none", models_file=tmp_path / "models.toml").offer("local/my-wan")
        base = shipped().offer(f"local/{LIKE}")
        assert offer is not None
        assert base is not None
        assert base.weights is not None
        assert offer.weights is not None
        assert (base.routes, base.latency, base.weights.defaults) == (
            offer.routes,
            offer.latency,
            offer.weights.defaults,
        )
        assert (str(folder), "hours") == (offer.weights.source, offer.price.rule)

    def test_below_ones_own_catalog(self, tmp_path: Path, folder: Path) -> None:
        """A hand-written file may change such a model."""
        write(tmp_path / "models.toml", [made(folder)])
        own = tmp_path / "catalog.toml"
        own.write_text(
            '[[offer]]\nlike = "local/my-wan"\nas_of = 2026-11-26\nprice = { rule = "free" }\nweights.defaults.steps = 9\n'
        )
        offer = load(environ={}, user_file=own, models_file=tmp_path / "models.toml").offer("local/my-wan")
        assert offer is not None
        assert offer.weights is not None
        assert (9, str(folder)) == (offer.weights.defaults["steps"], offer.weights.source)

    def test_path_with_quotes(self, tmp_path: Path) -> None:
        """Whatever a folder is called."""
        folder = lay_folder(tmp_path / 'a "b" \\ c')
        write(tmp_path / "models.toml", [made(folder)])
        assert str(folder) == read(tmp_path / "models.toml")[0].weights.source

    def test_none(self, tmp_path: Path) -> None:
        """No file, no models."""
        assert () == read(tmp_path / "models.toml")

    @pytest.mark.parametrize("text", ["x = 1", "[[offer]]", "[[offer]]\nlike = 1", "offer = 3", "\x00"])
    def test_broken(self, tmp_path: Path, text: str) -> None:
        """With the file's name."""
        path = tmp_path / "models.toml"
        path.write_text(text)
        with pytest.raises(CatalogError, match=r"models\.toml"):
            read(path)

    def test_whole_or_not_at_all(self, tmp_path: Path, folder: Path) -> None:
        """A write that fails leaves what was there."""
        path = tmp_path / "models.toml"
        write(path, [made(folder)])
        before = path.read_text()
        with pytest.raises(AttributeError):
            write(path, [None])  # type: ignore[list-item]
        assert ([path], before) == (list(tmp_path.glob("*models*")), path.read_text())

    def test_place(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Beside the user's own catalog."""
        monkeypatch.setenv("VIDORCH_HOME", str(tmp_path))
        assert tmp_path / "models.toml" == default_models_file()
