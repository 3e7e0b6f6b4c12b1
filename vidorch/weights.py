"""Where an open model's weights are on this machine: in a folder of one's own, or in the hub's cache. Offline and quick.

The cache is read by its paths alone, as `huggingface_hub` lays it out (`models--OWNER--NAME/refs/REVISION` names the commit,
`snapshots/COMMIT/` has the files): a plan looks at every local model, and importing that package takes longer than all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vidorch.errors import MissingCredentials
from vidorch.offer import Lora, Weights

__all__ = [
    "EXTRA",
    "INDEX",
    "Repo",
    "class_of",
    "components_of",
    "hub_cache",
    "is_folder",
    "locate",
    "locate_lora",
    "missing",
    "names_a_path",
    "parts_of",
    "require",
    "size_in_words",
]

INDEX = "model_index.json"
"""The file that says which class a folder in diffusers' format is of, and what its parts are."""
EXTRA = ("torch", "diffusers", "transformers", "accelerate")
"""What running such a model needs, all of it in the extra `local`."""

_WEIGHTS = (".safetensors", ".bin")
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.safetensors|\.bin)")
_WITHOUT_WEIGHTS = ("scheduler", "tokenizer", "processor", "feature_extractor", "guider", "image_processor")
_whole: dict[str, int] = {}
"""Folders that were seen whole, by the time their index was last changed: nothing but a deletion makes one incomplete again."""
_installed: set[str] = set()
"""Packages that were found. Those that were not are looked for again: a notebook installs them and goes on."""


class Repo:
    """One repository of the hub in its cache.

    Args:
        source: its id, `"owner/name"`. revision: a commit, branch or tag; "" for the newest that is here.
    """

    def __init__(self, source: str, revision: str = "", environ: Mapping[str, str] | None = None) -> None:
        self.folder = hub_cache(environ) / ("models--" + source.replace("/", "--"))
        self.revision = revision or "main"

    def snapshot(self) -> Path | None:
        """The folder of its revision, whole or not; None where nothing of it is here."""
        if not self.folder.is_dir():
            return None
        commit = self.revision
        with contextlib.suppress(OSError, ValueError):
            commit = (self.folder / "refs" / self.revision).read_text("utf-8").strip() or commit
        if not re.fullmatch(r"[\w.-]+", commit) or commit in (".", ".."):
            return None
        there = self.folder / "snapshots" / commit
        return there if there.is_dir() else None


def hub_cache(environ: Mapping[str, str] | None = None) -> Path:
    """The hub's cache: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else in `huggingface` in the user's cache folder."""
    env = os.environ if environ is None else environ
    named = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE")
    if not named:
        home = env.get("HF_HOME") or f"{env.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
        named = f"{home}/hub"
    return _expanded(named, env.get("HOME", ""))


@lru_cache(maxsize=16)
def _expanded(path: str, _home: str) -> Path:
    """A plan asks for it once for each local model."""
    return Path(os.path.expandvars(path)).expanduser()


def is_folder(source: str) -> bool:
    """Whether a source is a folder or a file of this machine: a path that says so itself, `owner/name` is a hub id."""
    return source.startswith((".", "~", "/", "\\")) or os.path.isabs(source)  # noqa: PTH117


def names_a_path(source: str) -> bool:
    """Whether a LoRA's source is looked for as a file of this machine: a path that says so itself, or a name without a slash."""
    return is_folder(source) or (
        not source.startswith(("http:", "https:")) and "/" not in source.partition(":")[0]
    )


def locate(weights: Weights) -> Path | None:
    """The folder in diffusers' format, where all of it is here, and what is laid over it, too; else None."""
    folder = _folder(weights)
    if folder is None or not _is_whole(folder):
        return None
    return folder if all(locate_lora(lora) is not None for lora in weights.loras) else None


def locate_lora(lora: Lora) -> Path | None:
    """The file of a LoRA, or its folder where it names no file; None where it is not here."""
    source, _, name = parts_of(lora.source)
    if is_folder(source):
        there = Path(source).expanduser() / name
    else:
        snapshot = Repo(source).snapshot()
        if snapshot is None:
            return None
        there = snapshot / name
    if there.is_file():
        return there
    return there if there.is_dir() and any(there.glob("*.safetensors")) else None


def missing(weights: Weights, name: str = "") -> str:
    """What keeps a model from running here, in words, with what to do; empty where nothing does.

    Args:
        name: its name in the catalog, for the command that fetches it; default its source.
    """
    what, do = _missing(weights, name)
    return f"{what}: {do}" if what else ""


def require(weights: Weights, name: str = "") -> Path:
    """The folder of a model that can run here.

    Raises:
        MissingCredentials: packages or weights are not here; its hint says how they come.
    """
    what, do = _missing(weights, name)
    if what:
        raise MissingCredentials(what, hint=do, extra="local" if do.startswith("pip") else "", charged=False)
    there = locate(weights)
    assert there is not None
    return there


def size_in_words(size: int | None) -> str:
    """`"28.9 GB"`, as the hub counts them: powers of ten."""
    if size is None:
        return "size not known"
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def class_of(folder: Path) -> str:
    """The pipeline's class as the folder's index says it; empty where there is none that can be read."""
    name = _index(folder).get("_class_name", "")
    return name if isinstance(name, str) else ""


def components_of(index: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts that a `model_index.json` names and that have a folder of their own."""
    return tuple(
        name
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and value[0] is not None
        and re.fullmatch(r"[\w-]+", name)
    )  # fmt: skip


def parts_of(source: str) -> tuple[str, str, str]:
    """A LoRA's source, the colon, and the file inside it; the drive of a Windows path is no source."""
    if re.match(r"[A-Za-z]:[\\/]", source):
        head, colon, name = source[2:].partition(":")
        return source[:2] + head, colon, name
    return source.partition(":")


def _missing(weights: Weights, name: str) -> tuple[str, str]:
    """What is missing and what to do about it; weights first, for looking for packages takes longer."""
    folder = _folder(weights)
    whole = folder is not None and _is_whole(folder)
    lost = next((lora.source for lora in weights.loras if locate_lora(lora) is None), "") if whole else ""
    if whole and not lost:
        if all(map(_is_installed, EXTRA)):
            return "", ""
        return "it needs packages that are not installed", "pip install 'vidorch[local]'"
    own = f"put it there, or: vidorch models remove {name}" if name else "put it there"
    if lost and is_folder(parts_of(lost)[0]):
        return f"its LoRA {lost} is not there", own
    if is_folder(weights.source) and not whole:
        why = "is not all there" if folder is not None and (folder / INDEX).is_file() else f"has no {INDEX}"
        return f"its folder {weights.source} {why if folder is not None else 'is not there'}", own
    size = f" ({size_in_words(weights.download_bytes)})" if weights.download_bytes else ""
    where = "on this machine only in part" if folder is not None else "not on this machine"
    return f"its weights are {where}", f"vidorch models pull {name or weights.source}{size}"


def _is_installed(package: str) -> bool:
    if package not in _installed and find_spec(package) is not None:
        _installed.add(package)
    return package in _installed


def _folder(weights: Weights) -> Path | None:
    if is_folder(weights.source):
        folder = Path(weights.source).expanduser()
        return folder if folder.is_dir() else None
    return Repo(weights.source, weights.revision).snapshot()


def _is_whole(folder: Path) -> bool:
    """Whether every part that the index names is there, with every shard of its weights."""
    try:
        changed = (folder / INDEX).stat().st_mtime_ns
    except OSError:
        return False
    if _whole.get(str(folder)) == changed:
        return True
    parts = components_of(_index(folder))
    if not parts or not all(_has_part(folder / part, part) for part in parts):
        return False
    _whole[str(folder)] = changed
    return True


def _has_part(folder: Path, name: str) -> bool:
    try:
        files = {
            path.name for path in folder.iterdir() if path.is_file()
        }  # a link whose file is gone is none
    except OSError:
        return False
    if not files:
        return False
    weights = {file for file in files if file.endswith(_WEIGHTS)}
    for file in weights:
        if (shard := _SHARD.fullmatch(file)) and not all(
            f"{shard['stem']}-{number:05}-of-{shard['count']}{shard['end']}" in files
            for number in range(1, int(shard["count"]) + 1)
        ):
            return False
    return bool(weights) or name.startswith(_WITHOUT_WEIGHTS) or name.endswith(_WITHOUT_WEIGHTS)


def _index(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / INDEX).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
