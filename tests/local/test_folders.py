"""Whether weights are whole: told before anything is loaded, without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.local.boxes import box, safetensors
from vidorch.errors import ProviderFailed
from vidorch_local.diffusion.folders import examine


def said(folder: Path) -> str:
    """What `examine` has against a folder."""
    with pytest.raises(ProviderFailed) as caught:
        examine(folder, "local/wan")
    assert False is caught.value.charged
    return str(caught.value)


class TestExamine:
    def test_tells_what_is_in_a_whole_folder(self, tmp_path: Path) -> None:
        """Pipeline, components, and how many numbers each holds."""
        found = examine(box(tmp_path / "wan"), "local/wan")
        assert ("WanPipeline", "WanTransformer3DModel") == (found.pipeline, found.components["transformer"])
        assert {"text_encoder": 4, "transformer": 4, "vae": 4} == found.parameters

    def test_adds_up_the_shards_of_an_index(self, tmp_path: Path) -> None:
        """Large components come in several files."""
        folder = box(tmp_path / "wan")
        shards(folder, {"a": "one.safetensors", "b": "two.safetensors"})
        assert 8 == examine(folder, "local/wan").parameters["transformer"]

    def test_skips_components_that_a_pipeline_goes_without(self, tmp_path: Path) -> None:
        """An entry of two nulls is no component."""
        folder = box(tmp_path / "wan")
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps({**index, "transformer_2": [None, None]}))
        assert "transformer_2" not in examine(folder, "local/wan").components

    def test_a_folder_of_something_else_is_said_to_be_that(self, tmp_path: Path) -> None:
        """The weights of Wan's own repository are no pipeline of diffusers."""
        (tmp_path / "Wan2.1_VAE.pth").write_bytes(b"1")
        assert "model_index.json is missing; found is Wan2.1_VAE.pth" in said(tmp_path)

    @pytest.mark.parametrize(
        ("content", "why"),
        [("{", "it is no JSON"), ("[]", "it holds no settings"), ("{}", "names no pipeline")],
        ids=["torn", "a list", "empty"],
    )
    def test_a_damaged_index_is_named(self, tmp_path: Path, content: str, why: str) -> None:
        """The first file that is read."""
        (box(tmp_path / "wan") / "model_index.json").write_text(content)
        assert why in said(tmp_path / "wan")

    @pytest.mark.parametrize(
        ("gone", "why"),
        [
            ("vae/config.json", "vae has no configuration"),
            ("vae/diffusion_pytorch_model.safetensors", "vae has no weights"),
            ("scheduler/scheduler_config.json", "scheduler has no configuration"),
        ],
    )
    def test_a_missing_file_is_named(self, tmp_path: Path, gone: str, why: str) -> None:
        """Each component's configuration and weights."""
        (box(tmp_path / "wan") / gone).unlink()
        assert why in said(tmp_path / "wan")

    def test_a_missing_shard_is_named(self, tmp_path: Path) -> None:
        """What the index lists has to be there."""
        folder = box(tmp_path / "wan")
        shards(folder, {"a": "one.safetensors", "b": "two.safetensors"})
        (folder / "transformer" / "two.safetensors").unlink()
        assert "transformer/two.safetensors is missing" in said(folder)

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (safetensors(100)[:-8], "is truncated"),
            (safetensors()[:5], "hold no header"),
            (b"\xff" * 200, "hold no header"),
            (b"\x20" + bytes(7) + b"x" * 40, "header cannot be read"),
            (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ],
        ids=["truncated", "nearly empty", "no header", "garbage", "pointer"],
    )
    def test_damaged_weights_are_named(self, tmp_path: Path, content: bytes, why: str) -> None:
        """A copy that broke off, a download that was a page of text."""
        file = box(tmp_path / "wan") / "transformer" / "diffusion_pytorch_model.safetensors"
        file.write_bytes(content)
        told = said(tmp_path / "wan")
        assert ("transformer/diffusion_pytorch_model.safetensors" in told, why in told) == (True, True), told

    def test_an_interrupted_download_is_named(self, tmp_path: Path) -> None:
        """What the hub's tools leave while a file is on its way."""
        folder = box(tmp_path / "wan")
        (folder / "transformer" / "x.safetensors.incomplete").write_bytes(b"1")
        assert "its download was interrupted" in said(folder)

    def test_a_link_to_nothing_in_the_hubs_cache_says_how_to_mend_it(self, tmp_path: Path) -> None:
        """Somebody tidied the cache."""
        folder = box(tmp_path / "models--a--b" / "snapshots" / "c0ffee")
        file = folder / "vae" / "diffusion_pytorch_model.safetensors"
        file.unlink()
        file.symlink_to(tmp_path / "blobs" / "gone")
        assert "vidorch models pull wan" in said(folder)

    def test_pickles_are_not_loaded(self, tmp_path: Path) -> None:
        """They could run any code."""
        folder = box(tmp_path / "wan")
        (folder / "vae" / "diffusion_pytorch_model.safetensors").rename(
            folder / "vae" / "diffusion_pytorch_model.bin"
        )
        assert "pickle" in said(folder)


def shards(folder: Path, listed: dict[str, str]) -> None:
    """Put the transformer of a folder into several files."""
    part = folder / "transformer"
    (part / "diffusion_pytorch_model.safetensors").unlink()
    (part / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    for shard in listed.values():
        (part / shard).write_bytes(safetensors())
