"""A fine-tune becomes a model of one's own: what it is like, what is laid over it, and that its folder can be that."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from vidorch.catalog.layers import Catalog
from vidorch.catalog.own import OwnModel
from vidorch.errors import InvalidRequest, Unsupported
from vidorch.offer import Lora, Offer
from vidorch.pulling import look
from vidorch.request import nearest_name
from vidorch.weights import INDEX, Repo, class_of, components_of, is_folder, locate, locate_lora, parts_of

__all__ = ["lora_of", "new_model"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def new_model(
    source: str, name: str, like: str, loras: Sequence[str], bases: Catalog, *, today: date, taken: Collection[str] = (),
) -> OwnModel:  # fmt: skip
    """A model of one's own, checked. Of a repository of the hub its listing is asked for, and its index alone is fetched.

    Args:
        source: a folder in diffusers' format, or a hub id. name: what it is to be called. like: a local model or offer that it is
            a fine-tune of. loras: what is laid over it, as `lora_of` reads it. bases: what it can be like, as `with_own_models`
            gives it: a file above these may be gone the next time. taken: other names that it must not have.

    Raises:
        InvalidRequest: a name is taken or no name; there is no such model, folder or LoRA. Unsupported: its class, or how many
            experts it has, is another than that model's. What `look` raises.
    """
    if not _NAME.fullmatch(name):
        raise _wrong("as", name, "a name of lower-case letters, digits, '.', '_' and '-'")
    if name in {*taken, *bases.names(), *(offer.endpoint for offer in bases.offers)}:
        raise _wrong("as", name, "a name that nothing else has")
    base = _base(like, bases)
    assert base.weights is not None
    over = (*base.weights.loras, *map(lora_of, loras))
    if folder := _folder_of(source):
        weights = replace(base.weights, source=str(folder), revision="", loras=over)
        if locate(replace(weights, loras=())) is None:
            raise _wrong(
                "source",
                str(folder),
                f"a folder in diffusers' format, with {INDEX} and all parts that it names",
            )
        weights = replace(weights, download_bytes=_bytes_of(folder))
    elif _HUB_ID.fullmatch(source):
        weights = replace(base.weights, source=source, revision="", loras=over, download_bytes=None)
    else:
        raise _wrong("source", source, "a folder that is there, or a hub id such as 'owner/name'")
    for lora in over:
        if is_folder(parts_of(lora.source)[0]) and locate_lora(lora) is None:
            raise _wrong("lora", lora.source, "a file of weights that is there")
    pull = look(replace(base, model=name, weights=weights))
    there = folder or Repo(source).snapshot() or Repo(source, pull.repositories[0].commit).snapshot()
    assert there is not None  # its index was fetched
    _check_fits(there, base, source)
    if weights.download_bytes is None:
        size = sum(one.total for one in pull.repositories) or _bytes_of(there)
        weights = replace(weights, download_bytes=size)
    return OwnModel(name, base.name, weights, today, f"{name}, like {base.title}")


def lora_of(text: str) -> Lora:
    """`"SOURCE[:FILE][:SCALE][@high|@low]"`: a file, a folder or a hub id, how strongly, and for which of two experts.

    Raises:
        InvalidRequest: it is none.
    """
    rest, expert = text, ""
    if found := re.fullmatch(r"(.+)@(high|low)", text):
        rest, expert = found[1], found[2]
    scale = 1.0
    if found := re.fullmatch(r"(.+):(-?[0-9]*\.?[0-9]+)", rest):
        rest, scale = found[1], float(found[2])
    source, colon, name = parts_of(rest)
    if folder := _folder_of(source, file=True):
        source = str(folder)
    elif not _HUB_ID.fullmatch(source) or abs(scale) > 10:
        raise _wrong(
            "lora", text, "a file that is there or a hub id, such as 'owner/name:file.safetensors:0.8'"
        )
    return Lora(f"{source}{colon}{name}", scale, expert)  # type: ignore[arg-type]  # the pattern lets nothing else through


def _base(like: str, bases: Catalog) -> Offer:
    local = [offer for offer in bases.offers if offer.weights is not None]
    found = [offer for offer in local if like in (offer.model, offer.name)]
    if found:
        return found[0]
    near = nearest_name(like, [offer.model for offer in local])
    raise _wrong(
        "like",
        like,
        "a model for one's own hardware that ships with vidorch or was added, as `vidorch models --endpoint local` lists them",
        near,
    )


def _folder_of(source: str, *, file: bool = False) -> Path | None:
    if not source:
        return None
    try:
        path = Path(source).expanduser()
        there = path.is_dir() or (file and path.is_file())
        return path.resolve() if there else None
    except (OSError, ValueError, RuntimeError):
        return None


def _check_fits(folder: Path, base: Offer, source: str) -> None:
    """Another class would fail after minutes of loading, or give noise."""
    kinds = dict.fromkeys(route.path for route in base.routes.values())
    kind = class_of(folder)
    if kind not in kinds:
        raise Unsupported(
            f"{source} is a {kind or 'model without a class'}, and {base.name} runs as {' or '.join(kinds)}. Nothing was added.",
            hint="--like takes a model of the same kind.",
        )  # fmt: skip
    assert base.weights is not None
    experts = "transformer_2" in components_of(json.loads((folder / INDEX).read_text("utf-8")))
    if experts != ("guidance_2" in base.weights.defaults):
        raise Unsupported(
            f"{source} has {'two experts' if experts else 'one transformer'}, and {base.name} has "
            f"{'one transformer' if experts else 'two experts'}. Nothing was added.",
            hint="--like takes a model of the same kind.",
        )  # fmt: skip


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) or 1


def _wrong(field: str, value: str, allowed: str, near: str | None = None) -> InvalidRequest:
    meant = f" Did you mean {near!r}?" if near else ""
    return InvalidRequest(
        f"{field}={value!r} cannot be used. Allowed is {allowed}.{meant} Nothing was added.",
        field=field, value=value, allowed=allowed,
    )  # fmt: skip
