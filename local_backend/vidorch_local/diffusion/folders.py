"""Whether a folder of weights is whole, told file by file before anything is loaded. Needs no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidorch.errors import ProviderFailed
from vidorch.weights import INDEX
from vidorch_local.backend import PROVIDER

__all__ = ["Found", "broken", "examine"]

_CONFIGS = (
    "config.json",
    "scheduler_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "processor_config.json",
)
_STEMS = ("diffusion_pytorch_model", "model")
_LONGEST_HEADER = 100_000_000  # bytes, as safetensors itself has it
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Found:
    """A folder that is whole.

    Attributes:
        folder: as a plain path. pipeline: the class that `model_index.json` names.
        components: by name, the class of each that is there.
        parameters: how many numbers the weights of each component are.
    """

    folder: str
    pipeline: str
    components: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)


def examine(folder: Path, name: str) -> Found:
    """See to it that everything that `model_index.json` names is there and whole.

    Args:
        name: the offer's, for messages.

    Raises:
        ProviderFailed: something is missing, half downloaded, truncated or no model at all; names the file. Nothing was loaded.
    """
    index = _read_index(folder, name)
    for left in folder.rglob("*.incomplete"):
        raise broken(
            name, folder, f"its download was interrupted, and {left.relative_to(folder)} is a part of a file"
        )
    components: dict[str, str] = {}
    parameters: dict[str, int] = {}
    for component, entry in index.items():
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)):
            continue  # a setting of the pipeline, or a component that it goes without
        components[component] = entry[1]
        part = folder / component
        if not part.is_dir():
            raise broken(name, folder, f"the folder {component} is missing")
        config = next((part / one for one in _CONFIGS if (part / one).is_file()), None)
        if config is None:
            raise broken(
                name, folder, f"{component} has no configuration; expected is {component}/config.json"
            )
        _json(config, folder, name)
        if config.name == "config.json" and "Tokenizer" not in entry[1]:
            parameters[component] = sum(
                _numbers(file, folder, name) for file in _weight_files(part, folder, name)
            )
    return Found(str(folder), str(index["_class_name"]), components, parameters)


def broken(name: str, folder: Path, what: str) -> ProviderFailed:
    """The error for weights that cannot be used: what is wrong with them, and how to get others."""
    hub = folder.parent.name == "snapshots"
    mend = (
        f"Run again: vidorch models pull {name.rpartition('/')[2]}"
        if hub
        else "Download it again, or copy it anew from where it is whole."
    )
    return ProviderFailed(
        f"The weights of {name} in {folder} cannot be used: {what}. Nothing was made, and nothing was paid.",
        charged=False, provider=PROVIDER, hint=mend,
    )  # fmt: skip


def _read_index(folder: Path, name: str) -> dict[str, Any]:
    path = folder / INDEX
    if not path.is_file():
        seen = ", ".join(sorted(one.name for one in folder.iterdir())[:6]) or "nothing"
        raise broken(
            name, folder, f"it is no folder of a diffusers pipeline, for {INDEX} is missing; found is {seen}"
        )
    index = _json(path, folder, name)
    if not isinstance(index.get("_class_name"), str):
        raise broken(name, folder, f"{INDEX} names no pipeline")
    return index


def _json(path: Path, folder: Path, name: str) -> dict[str, Any]:
    try:
        read = json.loads(path.read_bytes())
    except FileNotFoundError:  # a link of the hub's cache to a file that is not there
        raise broken(name, folder, f"{path.relative_to(folder)} is missing") from None
    except OSError as error:
        raise broken(name, folder, f"{path.relative_to(folder)} cannot be read: {error.strerror}") from None
    except ValueError:
        raise broken(name, folder, f"{path.relative_to(folder)} is damaged: it is no JSON") from None
    if not isinstance(read, dict):
        raise broken(name, folder, f"{path.relative_to(folder)} is damaged: it holds no settings")
    return read


def _weight_files(part: Path, folder: Path, name: str) -> Iterator[Path]:
    """The files that hold the weights of one component: those of its index, or the only one."""
    for stem in _STEMS:
        listed = part / f"{stem}.safetensors.index.json"
        if listed.is_file():
            shards = _json(listed, folder, name).get("weight_map")
            if not isinstance(shards, dict) or not shards:
                raise broken(name, folder, f"{listed.relative_to(folder)} is damaged: it lists no files")
            for shard in sorted(set(map(str, shards.values()))):
                if not (part / shard).is_file():
                    raise broken(name, folder, f"{part.name}/{shard} is missing, which its index lists")
                yield part / shard
            return
        if (only := part / f"{stem}.safetensors").is_file():
            yield only
            return
    if any(part.glob("*.bin")) or any(part.glob("*.pt*")):
        raise broken(
            name,
            folder,
            f"{part.name} has its weights as pickle, which could run any code; safetensors are needed",
        )
    raise broken(name, folder, f"{part.name} has no weights; expected is {part.name}/{_STEMS[0]}.safetensors")


def _numbers(path: Path, folder: Path, name: str) -> int:
    """How many numbers a file of safetensors holds, once its header is readable and its length is what that says."""
    called = path.relative_to(folder)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if start + file.read(len(_POINTER) - 8) == _POINTER:
                raise broken(
                    name, folder, f"{called} is a pointer of Git LFS and not the file; git lfs pull brings it"
                )
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise broken(
                    name, folder, f"{called} is truncated or damaged: its {size:,} bytes hold no header"
                )
            file.seek(8)
            header = json.loads(file.read(length))
        tensors = [entry for key, entry in header.items() if key != "__metadata__"]
        expected = 8 + length + max((entry["data_offsets"][1] for entry in tensors), default=0)
        count: int = sum(math.prod(entry["shape"]) for entry in tensors)
    except OSError as error:
        raise broken(name, folder, f"{called} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise broken(name, folder, f"{called} is damaged: its header cannot be read") from None
    if size != expected:
        raise broken(name, folder, f"{called} is truncated: it has {size:,} of {expected:,} bytes")
    return count
