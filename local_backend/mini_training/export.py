"""Writes what was trained as the one weights file of the run-time package: half precision, with its origin."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidorch_local.mini.model import FORMAT, Mini

from .net import Config


def export(
    out: Path, target: Path, *, base: str = "base.pt", steps: int, guidance: float, command: str
) -> Path:
    """Writes the averaged base model and the decoder found in `out` to `target`."""
    trained = torch.load(out / base, weights_only=False, map_location="cpu")
    decoder = torch.load(out / "decoder.pt", weights_only=False, map_location="cpu")
    arrays = {name: value.numpy().astype(np.float16) for name, value in trained["ema"].items()}
    arrays |= {
        "decoder." + name: value.numpy().astype(np.float16) for name, value in decoder["model"].items()
    }
    meta: dict[str, Any] = {
        "format": FORMAT,
        "config": Config().as_dict(),
        "steps": steps,
        "guidance": guidance,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "command": command,
        "clips_seen": int(trained["seen"]),
        "updates": {
            "base": trained["step"],
            "distil": trained.get("distilled", 0),
            "decoder": decoder["step"],
        },
        "parameters": int(sum(a.size for a in arrays.values())),
        "checksum": Mini.checksum(arrays),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.npz")
    np.savez_compressed(partial, meta=np.array(json.dumps(meta)), **arrays)
    partial.replace(target)
    return target
