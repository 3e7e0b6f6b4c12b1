"""A hub on the loopback, a cache of its own, and models of it in a catalog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers.hub import Hub, Model, pipeline
from vidorch import weights as knowing
from vidorch.offer import Lora, Weights

TINY = Weights("acme/tiny", download_bytes=12_000)
FAST = Weights("acme/tiny", loras=(Lora("acme/loras:fast.safetensors"),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache of this test; no token, no hub but ours."""
    for name in (
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_HOME",
        "XDG_CACHE_HOME",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if find_spec("huggingface_hub"):  # it read that when it was loaded
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path / "hf" / "hub"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """With acme/tiny, acme/loras, acme/gated, acme/private and acme/flat, which is in no format of ours."""
    with Hub() as server:
        server.models = {
            "acme/tiny": Model(pipeline()),
            "acme/loras": Model(
                {"fast.safetensors": b"l" * 400, "slow.safetensors": b"L" * 400, "README.md": b"#"}
            ),
            "acme/gated": Model(pipeline(), gated=True),
            "acme/private": Model(pipeline(), private=True),
            "acme/flat": Model({"model.safetensors": b"f" * 100}),
        }
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `local` were installed, whatever is."""
    monkeypatch.setattr(knowing, "EXTRA", ("json",))


def lay_folder(folder: Path, kind: str = "WanPipeline") -> Path:
    """A model's folder in diffusers' format."""
    for name, content in pipeline(kind).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def lay_cache(cache: Path, source: str = "acme/tiny", commit: str = "c" * 40) -> Path:
    """A model in the hub's cache, laid out as the hub's package does it."""
    repo = cache / ("models--" + source.replace("/", "--"))
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    return lay_folder(repo / "snapshots" / commit)


def change_index(folder: Path, **parts: object) -> None:
    """Change parts of a folder's index."""
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))
