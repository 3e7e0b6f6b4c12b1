"""Which attention a transformer computes with: tried in order on the device, and never fetched without being asked for."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from vidorch.errors import InvalidRequest

__all__ = ["KNOWN", "best", "chosen", "put", "usable"]

KNOWN = {
    "native": "native", "cudnn": "_native_cudnn", "flash": "flash", "flash_3": "_flash_3", "flash_hub": "flash_hub",
    "flash_3_hub": "_flash_3_hub", "flash_4_hub": "flash_4_hub", "sage": "sage", "sage_hub": "sage_hub", "math": "_native_math",
    "xformers": "xformers",
}  # fmt: skip
"""By our name, what diffusers calls it. Those of the hub are kernels that the package `kernels` fetches."""

_EXACT = ("flash_3", "flash_3_hub", "flash", "flash_hub")
"""Of the same result as the native one but for rounding, the fastest first."""
_ROUGH = ("sage",)
"""In 8 bits: quicker and not the same."""
_REPOS = {"flash_hub": "kernels-community/flash-attn2", "flash_3_hub": "kernels-community/flash-attn3"}
_TRIED: dict[tuple[str, ...], str] = {}
"""By back end, device and kind of heads, why it cannot be used there; empty where it can."""


def best(device: str, *, rough: bool = False) -> tuple[str, ...]:
    """What is tried on a device where nobody asked for anything, in order; the last one always works."""
    if not device.startswith("cuda"):
        return ("native",)
    tried = [name for name in (*_EXACT, *(_ROUGH if rough else ())) if name not in _REPOS or _is_here(name)]
    return (*tried, "native")


def chosen(
    asked: Sequence[str], device: str, transformer: Any, *, rough: bool = False
) -> tuple[str, tuple[str, ...]]:
    """The attention for a transformer, and what is to be said of it.

    Args:
        asked: names of `KNOWN`, in the order in which they are tried; empty for the best one that is here.
        rough: whether 8 bits will do.

    Raises:
        InvalidRequest: one alone was asked for and cannot be used here; names those that can.
    """
    wanted = tuple(asked) or best(device, rough=rough)
    lost: list[str] = []
    for name in wanted:
        why = "" if name == "native" else usable(name, device, transformer)
        if not why:
            if name == "native" and not lost and not asked:
                return name, ()
            left = f" ({'; '.join(lost)})" if asked and lost else ""
            return name, (f"Attention: {name}{left}.",)
        lost.append(f"{name}: {why}")
    if len(wanted) > 1:
        return "native", (f"Attention: native ({'; '.join(lost)}).",)
    there = [name for name in KNOWN if name not in _hub() and not usable(name, device, transformer)]
    raise InvalidRequest(
        f"attention={wanted[0]!r} cannot be used on {device}: {lost[0].partition(': ')[2]}. There is {', '.join(there)}. "
        "Nothing was made.", field="attention", value=wanted[0], allowed=", ".join(there),
    )  # fmt: skip


def usable(name: str, device: str, transformer: Any) -> str:
    """Why an attention cannot be used on a device, empty where it can: found out by a small one."""
    heads, size = _heads(transformer)
    key = (name, device, str(transformer.dtype), str(heads), str(size))
    if key not in _TRIED:
        _TRIED[key] = _try(name, device, transformer.dtype, heads, size)
    return _TRIED[key]


def put(transformer: Any, name: str) -> None:
    """Have a transformer compute its attention so, and no other part of this process."""
    from diffusers.models.attention_dispatch import attention_backend

    wanted = KNOWN[name]
    holders = [part.processor for part in transformer.modules() if hasattr(part, "processor")]
    now = [one._attention_backend for one in holders if hasattr(one, "_attention_backend")]
    if all(one == wanted for one in now):
        return
    with (
        _quiet(),
        attention_backend("native"),
    ):  # what is set for one model would else be the default of all others
        transformer.set_attention_backend(wanted)


def _try(name: str, device: str, dtype: Any, heads: int, size: int) -> str:
    import torch
    from diffusers.models.attention_dispatch import attention_backend, dispatch_attention_fn

    try:
        with torch.no_grad(), _quiet():
            some = torch.zeros(1, 128, heads, size, device=device, dtype=dtype)  # (B, S, H, D)
            with attention_backend(KNOWN[name]):
                dispatch_attention_fn(some, some, some)
    except Exception as error:  # each back end has its own way of saying that it is not there
        text = str(error).strip().splitlines()
        return (text[0] if text else type(error).__name__).rstrip(".")
    return ""


def _heads(transformer: Any) -> tuple[int, int]:
    config = transformer.config
    return int(config.get("num_attention_heads") or 1), int(config.get("attention_head_dim") or 64)


def _hub() -> tuple[str, ...]:
    return tuple(name for name in KNOWN if name.endswith("_hub"))


def _is_here(name: str) -> bool:
    """Whether a kernel of the hub is on this machine, and nothing can be fetched for it: it would be code that runs."""
    from huggingface_hub import constants

    from vidorch.weights import Repo

    return bool(constants.HF_HUB_OFFLINE) and Repo(_REPOS[name]).snapshot() is not None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that this part of diffusers may change."""
    log = logging.getLogger("diffusers.models.modeling_utils")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
