"""Where weights are and what is missing, told from the disk alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.weights.conftest import FAST, TINY, change_index, lay_cache, lay_folder
from vidorch import weights as knowing
from vidorch.errors import MissingCredentials
from vidorch.offer import Lora, Weights
from vidorch.weights import (
    class_of,
    hub_cache,
    is_folder,
    locate,
    locate_lora,
    missing,
    require,
    size_in_words,
)

SHARD = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors"


class TestHubCache:
    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}, "/c"),
            ({"HF_HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h/hub"),
            ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ],
    )
    def test_follows_its_variables(self, environ: dict[str, str], expected: str) -> None:
        """HF_HUB_CACHE before HF_HOME before XDG_CACHE_HOME."""
        assert Path(expected) == hub_cache(environ)

    @pytest.mark.parametrize(
        "variables", [{}, {"HF_HOME": "~/h"}, {"HF_HUB_CACHE": "$HOME/c"}, {"XDG_CACHE_HOME": "/x"}]
    )
    def test_is_where_the_hubs_package_has_it(self, variables: dict[str, str]) -> None:
        """Asked in a process of its own, which reads its variables once."""
        pytest.importorskip("huggingface_hub")
        environ = {"PATH": os.environ["PATH"], "HOME": "/somebody", **variables}
        code = "from huggingface_hub.constants import HF_HUB_CACHE as there; from vidorch.weights import hub_cache; print(there, hub_cache())"
        said = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=60
        )
        theirs, ours = said.stdout.split()
        assert theirs == ours


class TestIsFolder:
    @pytest.mark.parametrize(
        "source", ["/models/wan", "~/wan", "./wan", "../wan", "C:\\wan" if os.name == "nt" else "/w"]
    )
    def test_paths(self, source: str) -> None:
        """What begins as a path is one."""
        assert is_folder(source)

    def test_hub_id(self) -> None:
        """`owner/name` is none."""
        assert not is_folder("acme/tiny")


class TestLocate:
    def test_folder(self, tmp_path: Path) -> None:
        """A folder in diffusers' format is where its source says."""
        folder = lay_folder(tmp_path / "mine")
        assert folder == locate(Weights(str(folder)))

    def test_cache(self, cache: Path) -> None:
        """A model of the hub is the snapshot of the commit that `main` was at when it was fetched."""
        assert lay_cache(cache) == locate(TINY)

    def test_revision(self, cache: Path) -> None:
        """A commit names its snapshot by itself; a branch that was never fetched is not here."""
        folder = lay_cache(cache)
        assert [folder, None] == [locate(replace(TINY, revision=one)) for one in ("c" * 40, "dev")]

    def test_nothing_there(self, tmp_path: Path) -> None:
        """None, for the hub as for a folder."""
        assert [None, None] == [locate(TINY), locate(Weights(str(tmp_path / "no")))]

    @pytest.mark.parametrize(
        "lost", [SHARD, "vae/diffusion_pytorch_model.safetensors", "tokenizer", "scheduler"]
    )
    def test_in_part(self, cache: Path, lost: str) -> None:
        """A download that broke off is not taken for a model: every part has to be there, with every shard."""
        folder = lay_cache(cache)
        for path in [folder / lost] if (folder / lost).is_file() else list((folder / lost).iterdir()):
            path.unlink()
        if lost.startswith("vae"):
            (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink()
        assert locate(TINY) is None

    def test_dangling_link(self, cache: Path) -> None:
        """A name in the cache whose content was deleted is no file."""
        folder = lay_cache(cache)
        (folder / SHARD).unlink()
        (folder / SHARD).symlink_to(cache / "gone")
        assert locate(TINY) is None

    def test_part_without_weights(self, cache: Path) -> None:
        """What the index marks as empty, as the second expert of a model with one, need not be there."""
        folder = lay_cache(cache)
        change_index(folder, transformer_2=["diffusers", "WanTransformer3DModel"])
        assert locate(TINY) is None

    @pytest.mark.parametrize(
        "content", ["", "[]", "{", '{"_class_name": "WanPipeline"}', '{"../x": ["a", "b"]}']
    )
    def test_broken_index(self, cache: Path, content: str) -> None:
        """What cannot be read is no model."""
        (lay_cache(cache) / "model_index.json").write_text(content)
        assert locate(TINY) is None

    def test_reference_that_leads_elsewhere(self, cache: Path) -> None:
        """The name of a commit is no path."""
        lay_cache(cache)
        (cache / "models--acme--tiny" / "refs" / "main").write_text("../../..")
        assert locate(TINY) is None

    def test_lora_belongs_to_it(self, cache: Path) -> None:
        """A few-step model is here when what is laid over it is, too."""
        folder = lay_cache(cache)
        assert locate(FAST) is None
        lora = lay_cache(cache, "acme/loras") / "fast.safetensors"
        lora.write_bytes(b"l")
        assert (folder, lora) == (locate(FAST), locate_lora(FAST.loras[0]))

    def test_lora_of_ones_own(self, tmp_path: Path) -> None:
        """A file, a folder with one in it, and a file inside a folder."""
        file = tmp_path / "style.safetensors"
        file.write_bytes(b"l")
        found = [
            locate_lora(Lora(one))
            for one in (str(file), str(tmp_path), f"{tmp_path}:style.safetensors", f"{tmp_path}:no")
        ]
        assert [file, tmp_path, file, None] == found

    def test_loads_no_package_of_the_hub(self, cache: Path) -> None:
        """A plan looks at every local model, so that has to be quick."""
        lay_cache(cache)
        code = (
            "import sys; from vidorch.offer import Weights; from vidorch.weights import locate; assert locate(Weights('acme/tiny')); "
            "assert not {'huggingface_hub', 'torch', 'httpx'} & sys.modules.keys()"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class TestMissing:
    def test_nothing(self, cache: Path, packages: None) -> None:
        """Where all is here, nothing is said, and the folder is given."""
        folder = lay_cache(cache)
        assert ("", folder) == (missing(TINY, "tiny"), require(TINY, "tiny"))

    def test_not_pulled(self) -> None:
        """The command that fetches it, and how much that is."""
        expected = "its weights are not on this machine: vidorch models pull tiny (12 kB)"
        assert expected == missing(TINY, "tiny")

    def test_in_part(self, cache: Path) -> None:
        """The same command goes on."""
        (lay_cache(cache) / SHARD).unlink()
        assert "its weights are on this machine only in part: vidorch models pull tiny (12 kB)" == missing(
            TINY, "tiny"
        )

    def test_without_its_packages(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The extra, once the weights are here."""
        lay_cache(cache)
        monkeypatch.setattr(knowing, "EXTRA", ("no_such_package",))
        assert "it needs packages that are not installed: pip install 'vidorch[local]'" == missing(
            TINY, "tiny"
        )

    def test_folder(self, tmp_path: Path) -> None:
        """Nothing can be fetched into a folder of one's own."""
        gone = Weights(str(tmp_path / "gone"))
        assert (
            f"its folder {gone.source} is not there: put it there, or: vidorch models remove mine"
            == missing(gone, "mine")
        )
        half = lay_folder(tmp_path / "half")
        (half / SHARD).unlink()
        assert f"its folder {half} is not all there: put it there" == missing(Weights(str(half)))

    def test_lora_of_ones_own(self, cache: Path, packages: None) -> None:
        """Named by where it was."""
        lay_cache(cache)
        assert "its LoRA /no/style.safetensors is not there: put it there" == missing(
            replace(TINY, loras=(Lora("/no/style.safetensors"),))
        )

    def test_require(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same as an error whose hint is what to do."""
        with pytest.raises(MissingCredentials, match="its weights are not on this machine") as caught:
            require(TINY, "tiny")
        assert ("vidorch models pull tiny (12 kB)", False) == (caught.value.hint, caught.value.charged)


def test_class_of(tmp_path: Path) -> None:
    """As the index says it."""
    assert ["WanVACEPipeline", ""] == [
        class_of(lay_folder(tmp_path / "one", "WanVACEPipeline")),
        class_of(tmp_path),
    ]


@pytest.mark.parametrize(
    ("size", "words"),
    [(28_940_000_000, "28.9 GB"), (400, "400 bytes"), (126_200_000_000, "126 GB"), (None, "size not known"), (1_500_000, "1.5 MB")],
)  # fmt: skip
def test_size_in_words(size: int | None, words: str) -> None:
    """Three figures."""
    assert words == size_in_words(size)
