"""From a folder to a pipeline of the class that a route wants. Pipelines of one folder share their weights."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidorch.errors import ProviderFailed
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion.folders import Found, broken

__all__ = ["bytes_of", "load", "view"]

_IN_FULL = ("vae", "image_encoder")
"""Parts that are kept in float32: in bfloat16 they cost picture quality and save next to nothing."""


def load(found: Found, wanted: str, device: str, name: str) -> Any:
    """Load a folder's pipeline into main memory: bfloat16 for a GPU (its VAE float32), float32 for a CPU.

    Args:
        wanted: the class that the task needs; what the folder holds must be able to be one.
        name: the offer's, for messages.

    Raises:
        ProviderFailed: it is another kind of model, or does not load.
    """
    import diffusers
    import torch

    _check_kind(found, _pipeline_class(wanted, name), name)
    dtypes: Any = torch.float32
    if device != "cpu":
        full = {part: torch.float32 for part in _IN_FULL if part in found.components}
        dtypes = {"default": torch.bfloat16, **full}
    own = getattr(diffusers, found.pipeline, None) or getattr(diffusers, wanted)
    with _quiet():
        try:
            pipe = own.from_pretrained(
                found.folder, dtype=dtypes, use_safetensors=True, local_files_only=True
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"diffusers does not load them ({type(error).__name__}: {error})"
            raise broken(name, Path(found.folder), why) from error
    for part, held in found.parameters.items():
        wanted_numbers = sum(numbers.numel() for numbers in getattr(pipe, part).parameters())
        if (
            held < wanted_numbers
        ):  # what is not in the files would be left as chance had it, with a line in a log
            why = f"{part} holds {held:,} numbers and its configuration asks for {wanted_numbers:,}"
            raise broken(name, Path(found.folder), why)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def view(pipe: Any, wanted: str, name: str) -> Any:
    """The same weights as a pipeline of another class; the pipeline itself where it is one already.

    Raises:
        ProviderFailed: these weights cannot do that.
    """
    kind = _pipeline_class(wanted, name)
    made = pipe
    if type(pipe) is not kind:
        parts: dict[str, Any] = {}
        for part in inspect.signature(kind.__init__).parameters:
            if part in pipe.components:
                parts[part] = pipe.components[part]
            elif part in pipe.config:
                parts[part] = pipe.config[part]
        made = kind(**parts)
        made.set_progress_bar_config(disable=True)
    _check_channels(made, wanted, name)
    return made


def bytes_of(pipe: Any) -> int:
    """What the weights of a pipeline take, wherever they lie."""
    import torch

    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    return sum(
        numbers.numel() * numbers.element_size()
        for part in parts
        for numbers in (*part.parameters(), *part.buffers())
    )


def _pipeline_class(wanted: str, name: str) -> Any:
    import diffusers

    kind = getattr(diffusers, wanted, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise ProviderFailed(
            f"{name} needs the pipeline {wanted!r}, which diffusers {diffusers.__version__} does not have. Nothing was made.",
            charged=False, provider=PROVIDER, hint="pip install -U diffusers, or correct path in the offer's catalog file.",
        )  # fmt: skip
    return kind


def _check_kind(found: Found, kind: Any, name: str) -> None:
    """See that the parts in the folder are those that a pipeline of this class is made of, before any is loaded."""
    import diffusers

    hints = _hints(kind)
    for part, parameter in inspect.signature(kind.__init__).parameters.items():
        hint, there = hints.get(part), found.components.get(part)
        if part == "self" or part == "scheduler":
            continue
        if there is None:
            needed = parameter.default is inspect.Parameter.empty
            if needed or (part == "transformer" and "transformer_2" not in found.components):
                raise _another_kind(found, kind, name, f"it has no {part}")
            continue
        ours = getattr(diffusers, there, None)
        if not (isinstance(hint, type) and issubclass(hint, diffusers.ModelMixin) and isinstance(ours, type)):
            continue
        if not issubclass(ours, hint):
            raise _another_kind(found, kind, name, f"its {part} is a {there}, not a {hint.__name__}")


def _check_channels(pipe: Any, wanted: str, name: str) -> None:
    """Wan's text-to-video and image-to-video weights have the same parts and differ in what the transformer takes in."""
    part = getattr(pipe, "transformer", None) or getattr(pipe, "transformer_2", None)
    if not wanted.startswith("Wan") or part is None or pipe.config.get("expand_timesteps"):
        return
    takes_image = part.config.in_channels != part.config.out_channels
    if takes_image != (wanted == "WanImageToVideoPipeline") and wanted in _WITH_ONE_INPUT:
        have, want = ("image", "text") if takes_image else ("text", "image")
        article = "an" if takes_image else "a"
        raise ProviderFailed(
            f"The weights of {name} are those of {article} {have}-to-video model, and {wanted} needs {want}-to-video. "
            "Nothing was made, and nothing was paid.", charged=False, provider=PROVIDER,
        )  # fmt: skip


_WITH_ONE_INPUT = ("WanPipeline", "WanImageToVideoPipeline", "WanVideoToVideoPipeline")


def _another_kind(found: Found, kind: Any, name: str, why: str) -> ProviderFailed:
    return ProviderFailed(
        f"{name} needs a {kind.__name__}, and what is in {found.folder} is a {found.pipeline}: {why}. Nothing was made, and "
        "nothing was paid.", charged=False, provider=PROVIDER, hint="Correct weights.source, or path, in its catalog file.",
    )  # fmt: skip


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind.__init__)
    except (NameError, TypeError):  # a type that only checkers see
        return {}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars that diffusers and transformers draw on the terminal."""
    import diffusers.utils.logging as ours
    import transformers.utils.logging as theirs

    drawn = [(one, one.is_progress_bar_enabled()) for one in (ours, theirs)]
    for one, _ in drawn:
        one.disable_progress_bar()
    try:
        yield
    finally:
        for one, was in drawn:
            if was:
                one.enable_progress_bar()
