"""Folders of weights as files alone: what can be told of them before torch is loaded needs none to be tested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["box", "safetensors"]

PARTS = {
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
}


def safetensors(numbers: int = 4) -> bytes:
    """A file of that format that holds so many float32 zeros."""
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * numbers)


def box(folder: Path, *, pipeline: str = "WanPipeline", **parts: Any) -> Path:
    """A folder that looks like a pipeline of diffusers; `parts` replaces entries of its index, None leaves one out."""
    entries = {name: entry for name, entry in {**PARTS, **parts}.items() if entry is not None}
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": pipeline, **entries, "expand_timesteps": False})
    )
    for name, (_, kind) in entries.items():
        part = folder / name
        part.mkdir()
        if "Tokenizer" in kind or "Scheduler" in kind:
            config = "tokenizer_config.json" if "Tokenizer" in kind else "scheduler_config.json"
            (part / config).write_text("{}")
        else:
            stem = "model" if name == "text_encoder" else "diffusion_pytorch_model"
            (part / "config.json").write_text("{}")
            (part / f"{stem}.safetensors").write_bytes(safetensors())
    return folder
