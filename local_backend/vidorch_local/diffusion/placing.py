"""Where a pipeline's weights lie while it runs: chosen by the memory there is, said in words, applied to a pipeline."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidorch.errors import InvalidRequest, ProviderFailed
from vidorch.offer import Weights
from vidorch.weights import size_in_words
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion.folders import Found

__all__ = [
    "EXACT", "OFFLOADING", "apply", "cheaper", "choose", "device_of", "foreseen", "free_memory", "is_out_of_memory", "legal",
    "needs", "possible", "release",
]  # fmt: skip

EXACT = ("gpu", "model-offload", "group-offload")
"""The weights as they are, each slower than the one before it. By groups a clip is decoded in tiles, which overlap."""

OFFLOADING = ("model-offload", "group-offload")
"""The weights lie in main memory and go to the device by parts."""

_ACTIVATIONS = 4_000_000_000  # bytes beside the weights; what 81 frames of 480p take in Wan's own figures
_DENOISERS = ("transformer", "transformer_2", "unet")


def device_of(wanted: str | None) -> str:
    """The device that is meant by an endpoint's `device`: "cpu", "mps" or "cuda:N"; None and "auto" take the best there is.

    Raises:
        InvalidRequest: it is not on this machine.
    """
    import torch

    have = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    have += ["mps"] if torch.backends.mps.is_available() else []
    have += ["cpu"]
    if wanted in (None, "", "auto"):
        return have[0]
    device = "cuda:0" if wanted == "cuda" else str(wanted)
    if device not in have:
        raise InvalidRequest(
            f"device {wanted!r} is not on this machine. There is {', '.join(have)}. Nothing was made.",
            field="device", value=wanted, allowed=", ".join(["auto", *have]),
        )  # fmt: skip
    return device


def possible(device: str) -> tuple[str, ...]:
    """The placements that a device has, in the order in which they are tried."""
    if device == "cpu":
        return ("cpu", "fp8")
    return ("gpu", "cpu") if device == "mps" else (*EXACT, "fp8", "cpu")


def legal(placement: str, device: str) -> str:
    """The placement, where the device has it.

    Raises:
        InvalidRequest: it has not.
    """
    there = possible(device)
    if placement not in there:
        raise InvalidRequest(
            f"placement={placement!r} does not go with device {device!r}. Allowed is {', '.join(map(repr, there))}. "
            "Nothing was made.",
            field="placement", value=placement, allowed=", ".join(there),
        )  # fmt: skip
    return placement


def needs(weights: Weights, found: Found) -> Mapping[str, int]:
    """Bytes by placement: what the catalog says, and where it says nothing, what follows from the files. "main" is what an
    offloading placement takes of main memory.
    """
    denoisers = [count for name, count in found.parameters.items() if name in _DENOISERS]
    vae = 4 * found.parameters.get("vae", 0)
    rest = 2 * sum(found.parameters.values()) + vae // 2
    single = found.parameters.values() or (0,)
    small = min(_ACTIVATIONS, 20 * rest)  # a toy needs no gigabytes
    reckoned = {
        "gpu": rest + small,
        "model-offload": 2 * max(single) + small,
        "group-offload": vae + small,
        "fp8": rest - sum(denoisers) + small,
        "cpu": 4 * sum(found.parameters.values()) + small,
        "main": rest,
    }
    return {**reckoned, **weights.memory}


def choose(
    device: str, free: int, need: Mapping[str, int], *, wanted: str = "", free_main: int | None = None
) -> str:
    """The first placement that fits; or the one that is wanted, whatever it needs.

    Args:
        free: bytes of the device that are free, or that pipelines hold which can go. need: bytes by placement.
        free_main: bytes of main memory, likewise; None where the device is the CPU.

    Raises:
        ProviderFailed: none fits; says what each needs. InvalidRequest: the device has no such placement.
    """
    there = possible(device)
    if wanted:
        return legal(wanted, device)
    for placement in there:
        if placement == "cpu" and device != "cpu":
            continue  # hours instead of minutes are nobody's surprise: it has to be asked for
        if placement == "fp8" and device == "cpu":
            continue  # the same: it changes the picture
        if placement in OFFLOADING and free_main is not None and need["main"] > free_main:
            continue
        if need[placement] <= free:
            return placement
    listed = ", ".join(f"{size_in_words(need[one])} as {one}" for one in there)
    main = "" if free_main is None else f" and {size_in_words(free_main)} of main memory"
    other = _asked_for(device, free if free_main is None else free_main, need)
    raise ProviderFailed(
        f"{size_in_words(free)} of {device}{main} are free, and this model needs {listed}. Nothing was made and nothing paid.",
        charged=False, provider=PROVIDER,
        hint='Free some memory, or choose which one to try all the same: extra={"local": {"placement": ...}}, or '
        f"placement = ... in [endpoints.NAME.options] of config.toml.{other}",
    )  # fmt: skip


def _asked_for(device: str, main: int, need: Mapping[str, int]) -> str:
    """The placement that would fit into main memory, and is taken by nobody who has not asked for it."""
    one, why = ("fp8", "the picture is a little different") if device == "cpu" else ("cpu", "it takes hours")
    return f" {one} would fit, and is not taken by itself: {why}." if need[one] <= main else ""


def cheaper(placement: str, device: str, need: Mapping[str, int]) -> str | None:
    """The next placement that needs less memory, of the same picture where there is one; None after the last."""
    if device == "cpu":
        return "fp8" if placement == "cpu" else None
    less = [one for one in possible(device) if one != "cpu" and need[one] < need[placement]]
    exact = [one for one in less if one in EXACT]
    return next(iter(exact or less), None)


def foreseen(weights: Weights, device: str | None, wanted: str, free: tuple[int, ...]) -> str:
    """Where the weights would lie, in words, by what the catalog says that they need; empty for a device that cannot be
    looked at. Torch is not loaded for it.

    Args:
        device: the endpoint's. free: bytes that are free on each card.

    Raises:
        ProviderFailed: no placement fits. InvalidRequest: the device has no such placement.
    """
    kind, _, number = (device or "auto").partition(":")
    at = int(number) if number.isdecimal() else 0
    on_card = kind in ("auto", "cuda") and at < len(free)
    if not on_card and (kind not in ("auto", "cpu") or sys.platform == "darwin" or Path("/dev/kfd").exists()):
        return ""  # a Mac's, an AMD's, or a card of another machine
    where, main = f"cuda:{at}" if on_card else "cpu", free_memory("cpu")
    there, need = free[at] if on_card else main, needs(weights, Found("", ""))
    placement = choose(where, there, need, wanted=wanted, free_main=main if on_card else None)
    takes = f", which takes {size_in_words(need[placement])}" if need[placement] else ""
    return f"its weights would lie as {placement} on {where}{takes}; {size_in_words(there)} are free"


def free_memory(device: str) -> int:
    """Bytes that are free on a device now."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def apply(pipe: Any, placement: str, device: str, *, again: bool = False) -> None:
    """Put a pipeline that was just loaded, and lies in main memory, where it is to be.

    Args:
        again: its parts lie there already, for another pipeline that shares them.
    """
    import torch

    if placement == "model-offload":
        pipe.enable_model_cpu_offload(
            device=device
        )  # its hooks are the pipeline's own, so each has to set them
        return
    if again:
        return
    if placement == "group-offload":
        pipe.enable_group_offload(
            onload_device=torch.device(device), offload_device=torch.device("cpu"), offload_type="leaf_level",
            use_stream=device.startswith("cuda"),
        )  # fmt: skip
        if hasattr(pipe.vae, "enable_tiling"):  # else decoding alone takes more than all that was saved
            pipe.vae.enable_tiling()
        return
    if placement == "fp8":
        for name in _DENOISERS:
            if (part := getattr(pipe, name, None)) is not None:
                part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=part.dtype)
    pipe.to("cpu" if placement == "cpu" else device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch, on any device, means that memory ran out."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)


def release(device: str) -> None:
    """Give back to the device what nothing holds any more."""
    import gc

    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
