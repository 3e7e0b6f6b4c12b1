"""Small files of weights that are laid over a model's: found on this machine, checked, loaded once, taken away again."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vidorch.errors import InvalidRequest, MissingCredentials, ProviderFailed, Unsupported
from vidorch.offer import Lora, Weights
from vidorch.request import Request
from vidorch.weights import locate_lora, names_a_path
from vidorch_local.backend import PROVIDER

__all__ = ["KEPT", "Laid", "asked", "lay", "located"]

KEPT = 4
"""So many that nobody asks for at the moment stay beside those in use, so that turns of two do not load each time anew."""
_EXPERTS = {"high": "transformer", "low": "transformer_2"}
_BY_NAME = re.compile(r"(?:^|[^a-z])(high|low)(?:[^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Laid:
    """One LoRA of a job.

    Attributes:
        source: as it was asked for. path: its file; "" until it was looked for. weight: how strongly.
        expert: "high" or "low" of a model with two; "" for both.
        said_by: who says that: the "model" that it belongs to, the "call", or the "name" of its file.
    """

    source: str
    path: str
    weight: float
    expert: str = ""
    said_by: str = "call"

    @property
    def adapter(self) -> str:
        """What it is called on a model: another name once its file is another one."""
        stat = Path(self.path).stat()
        told = f"{Path(self.path).resolve()} {stat.st_mtime_ns} {stat.st_size}"
        return f"vidorch_{hashlib.sha256(told.encode()).hexdigest()[:16]}"


# Where ------------------------------------------------------------------------------------------------------------


def asked(weights: Weights, request: Request, experts: Sequence[str]) -> tuple[Laid, ...]:
    """The LoRAs of a clip: those that belong to the model, then those that the call names. One of weight 0 is none. No disk is
    looked at.

    Args:
        experts: for each that the call names, "high", "low" or ""; none at all: as their files are called.

    Raises:
        InvalidRequest: experts are not as many as LoRAs.
    """
    if experts and len(experts) != len(request.loras):
        raise InvalidRequest(
            f"lora_experts says {len(experts)} for {len(request.loras)} LoRAs. Nothing was made.", field="lora_experts",
            value=list(experts), allowed="one of 'high', 'low' and '' for each",
        )  # fmt: skip
    made = [Laid(one.source, "", one.scale, one.expert, "model") for one in weights.loras]
    for index, (source, weight) in enumerate(request.loras):
        made.append(
            Laid(source, "", weight, experts[index] if experts else "", "call" if experts else "name")
        )
    return tuple(one for one in made if one.weight)


def located(wanted: Sequence[Laid], name: str) -> tuple[Laid, ...]:
    """The same with their files on this machine.

    Args:
        name: the offer's, for messages.

    Raises:
        MissingCredentials: one is not here, or the package that lays it is not installed.
        InvalidRequest: one is no file of safetensors.
    """
    if wanted and find_spec("peft") is None:
        raise MissingCredentials(
            f"{name} needs peft for the LoRA {wanted[0].source}, which is not installed",
            hint='pip install "vidorch[local]"', extra="local", charged=False, provider=PROVIDER,
        )  # fmt: skip
    made = []
    for one in wanted:
        path = _file(one.source, name, own=one.said_by == "model")
        made.append(
            replace(one, path=str(path), expert=_expert_of(path) if one.said_by == "name" else one.expert)
        )
    return tuple(made)


def _file(source: str, name: str, *, own: bool = False) -> Path:
    """The file of a LoRA. A path begins as one, or is the name of a file alone: anything else with a slash is a hub id."""
    near = Path(source).expanduser()
    there = near if names_a_path(source) and near.exists() else locate_lora(Lora(source))
    if there is None:
        raise _not_here(source, name, own=own)
    if there.is_dir():
        files = sorted(there.glob("*.safetensors"))
        if not files:
            raise _no_lora(source, f"{there} has no file of safetensors")
        if len(files) > 1:
            listed = ", ".join(file.name for file in files[:4])
            raise _no_lora(
                source, f"{there} has {len(files)} of them: name one after a colon, such as {source}:{listed}"
            )
        there = files[0]
    if there.suffix != ".safetensors":
        raise _no_lora(
            source, f"{there.name} is no file of safetensors; other kinds can hold code that would run"
        )
    return there


def _not_here(source: str, name: str, *, own: bool) -> MissingCredentials:
    repo, _, file = source.partition(":")
    if names_a_path(source) or repo.count("/") != 1 or repo.endswith(".safetensors"):
        hint = "Give the path of a file of safetensors, ./ before it, or a hub id such as owner/name:file.safetensors."
        where = f"There is no LoRA at {source}"
    else:
        hint = f"vidorch models pull {name}" if own else f"hf download {repo} {file}".rstrip()
        where = f"The LoRA {source} is not on this machine"
    return MissingCredentials(f"{where}", hint=hint, charged=False, provider=PROVIDER)


def _no_lora(source: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The LoRA {source} cannot be used: {why}. Nothing was made.",
        field="loras",
        value=source,
        allowed="a file of safetensors",
    )


def _expert_of(path: Path) -> str:
    """Which expert a file is for, by its name, as `..._high_noise_lora.safetensors`."""
    named = {one.lower() for one in _BY_NAME.findall(path.stem)}
    return named.pop() if len(named) == 1 else ""


# On a pipeline ------------------------------------------------------------------------------------------------------


def lay(pipe: Any, wanted: Sequence[Laid], name: str) -> tuple[str, ...]:
    """Have exactly these LoRAs laid over a pipeline; says what people should know of it. None: as it was before any.

    Args:
        name: the offer's, for messages.

    Raises:
        Unsupported: this kind of model takes none, or has one expert only.
        ProviderFailed: a file is damaged, or was made for another model; names it.
    """
    parts = {part: getattr(pipe, part, None) for part in _EXPERTS.values()}
    models = {part: model for part, model in parts.items() if model is not None}
    if wanted and not hasattr(pipe, "load_lora_weights"):
        raise Unsupported(
            f"loras: {name} takes none. Nothing was made.", provider=PROVIDER, hint="Leave it out."
        )
    notes: list[str] = []
    for part, model in models.items():
        here = _of_part(part, wanted, models)
        if not here:
            if getattr(model, "peft_config", None):
                model.unload_lora()
            continue
        weights: dict[str, float] = {}
        for one in here:
            weights[one.adapter] = weights.get(one.adapter, 0.0) + one.weight
        _forget_oldest(model, weights)
        for one in here:
            if one.adapter not in _loaded(model):
                notes += _load(pipe, part, model, one, name)
        model.set_adapters(list(weights), list(weights.values()))
    return tuple(dict.fromkeys((*_said(wanted, models), *notes)))


def _of_part(part: str, wanted: Sequence[Laid], models: Mapping[str, Any]) -> list[Laid]:
    """Those for one transformer. A model with one expert takes what is for either: it is all that it has."""
    if len(models) == 1:
        return list(wanted)
    return [one for one in wanted if _EXPERTS.get(one.expert, part) == part]


def _loaded(model: Any) -> list[str]:
    """Adapters on a model, the one loaded first at the start."""
    return list(getattr(model, "peft_config", None) or {})


def _forget_oldest(model: Any, needed: Mapping[str, float]) -> None:
    idle = [one for one in _loaded(model) if one not in needed]
    if len(idle) > KEPT:
        model.delete_adapters(idle[: len(idle) - KEPT])


def _load(pipe: Any, part: str, model: Any, one: Laid, name: str) -> tuple[str, ...]:
    """Load one onto one transformer, once its layers are known to fit there."""
    path = Path(one.path)
    where: dict[str, Any] = {"weight_name": path.name, "local_files_only": True, "use_safetensors": True}
    try:
        layers: Mapping[str, Any] = pipe.lora_state_dict(str(path.parent), **where)
    except Exception as error:  # safetensors, diffusers' converters: each has kinds of its own
        raise _unfit(one, name, f"it cannot be read ({_first_line(error)})") from error
    notes = _check(layers, model, one, name)
    into = {"load_into_transformer_2": True} if part == "transformer_2" else {}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several are what is wanted
            pipe.load_lora_weights(str(path.parent), adapter_name=one.adapter, **where, **into)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        if one.adapter in _loaded(model):
            model.delete_adapters([one.adapter])
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise _unfit(one, name, _first_line(error)) from error
    _in_full(model, layers, one.adapter)
    return notes


def _in_full(model: Any, layers: Mapping[str, Any], adapter: str) -> None:
    """Keep a LoRA in the numbers that are computed with, where the model's own weights lie in 8 bits: diffusers rounds it to
    these, and nothing widens them again for a pass as it does for the model's.
    """
    modules: dict[str, Any] = dict(model.named_modules())
    for key, value in layers.items():
        layer, _, kind = key.removeprefix("transformer.").rpartition(".")
        part = modules.get(f"{layer}.{adapter}")
        held = getattr(part, kind, None)
        if held is not None and held.dtype.itemsize == 1:
            held.data = value.to(held.device, model.dtype)


def _check(layers: Mapping[str, Any], model: Any, one: Laid, name: str) -> tuple[str, ...]:
    """See that its layers are the model's, of the same width; a part of them may have no place."""
    own = {key.removeprefix("transformer."): value for key, value in layers.items()}
    own = {key: value for key, value in own.items() if re.search(r"\.lora_[AB]\.", key)}
    modules: dict[str, Any] = dict(model.named_modules())
    lost: set[str] = set()
    for key, value in own.items():
        layer, _, which = key.rpartition(".lora_")
        module = modules.get(layer)
        if module is None:
            lost.add(layer)
            continue
        weight = getattr(module, "base_layer", module).weight
        if value.ndim != 2 or weight.ndim != 2:
            continue
        side, width = (1, weight.shape[1]) if which.startswith("A") else (0, weight.shape[0])
        if value.shape[side] != width:
            raise _unfit(
                one, name, f"its layer {layer} is {value.shape[side]} wide, where this model's is {width}"
            )
    layers_there = {key.rpartition(".lora_")[0] for key in own} - lost
    if not layers_there:
        seen = next(iter(sorted(lost)), None) or next(iter(layers), "nothing")
        raise _unfit(one, name, f"none of its layers is one of this model's; its first is {seen}")
    if lost:
        return (
            f"{len(lost)} of the {len(lost) + len(layers_there)} layers of the LoRA {one.source} have no place in this model.",
        )
    return ()


def _said(wanted: Sequence[Laid], models: Mapping[str, Any]) -> list[str]:
    """What was laid over which expert, where a model has two."""
    if len(models) < 2:
        return []
    noise = {"high": "of much noise", "low": "of little noise"}
    return [
        f"The LoRA {one.source} was laid over the expert {noise[one.expert]} alone."
        for one in wanted
        if one.expert
    ]


def _unfit(one: Laid, name: str, why: str) -> ProviderFailed:
    return ProviderFailed(
        f"The LoRA {one.source} does not go with {name}: {why}. Nothing was made, and nothing was paid.", charged=False,
        provider=PROVIDER, hint="Take one that was made for this model, or leave it out.",
    )  # fmt: skip


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".:")
