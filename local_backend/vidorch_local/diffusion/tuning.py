"""A loaded pipeline as one job wants it: LoRAs, cache, attention, compiled blocks. Each job says all of them anew, so that
what ran before leaves no trace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from vidorch_local.diffusion import attention, loras
from vidorch_local.diffusion.jobs import Job
from vidorch_local.diffusion.presets import FEW, preset_of

__all__ = ["DENOISERS", "decoding", "guide", "settle", "uncompiled", "was_compiling"]

DENOISERS = ("transformer", "transformer_2")

_CACHED = ("WanPipeline", "WanImageToVideoPipeline")
"""A cache holds for these alone. `WanVideoToVideoPipeline` does not tell which of its two passes it is at, and a
`WanVACETransformer3DModel` adds what it was given between the blocks, which a skipped pass would add twice."""
_GUIDED = (*_CACHED, "WanVACEPipeline", "WanVideoToVideoPipeline")
"""Those that ask before each step whether it is guided."""
_WORTH_COMPILING = 2.8e11
"""Parameters times steps from which one clip is so long that a minute of compiling is made up for: 14 billion, 20 steps."""


def settle(pipe: Any, job: Job, placement: str) -> tuple[str, ...]:
    """Have a pipeline be as a job wants it; says what people should know of that.

    Raises:
        InvalidRequest: attention that is not here. Unsupported, ProviderFailed: a LoRA that does not fit.
    """
    parts = [part for name in DENOISERS if (part := getattr(pipe, name, None)) is not None]
    notes: list[str] = []
    changes = {one.adapter for one in job.loras} != {
        name for part in parts for name in getattr(part, "peft_config", None) or {}
    }
    if changes:
        _cache(parts, None)  # its hooks would hold on to layers that a LoRA replaces
    notes += loras.lay(pipe, job.loras, job.name)
    notes += _attend(pipe, parts, job)
    _compile(parts, _compiles(job, placement))
    config, said = _wanted_cache(pipe, job)
    _cache(parts, config)
    notes += said
    if hasattr(pipe.vae, "enable_tiling") and placement != "group-offload":  # there it is on for good
        pipe.vae.enable_tiling() if job.settings.tiling else pipe.vae.disable_tiling()
    return tuple(notes)


def guide(pipe: Any, job: Job, done: int, total: int) -> None:
    """After so many steps: let the rest go without the second pass, where the preset says so."""
    part = preset_of(job.settings.preset).guided
    if part < 1.0 and total > FEW and done >= part * total and type(pipe).__name__ in _GUIDED:
        pipe._guidance_scale = 1.0


@contextlib.contextmanager
def decoding(pipe: Any, job: Job) -> Iterator[None]:
    """Decode in 16 bits where the preset allows it, on a GPU."""
    if not (preset_of(job.settings.preset).rough and job.device.startswith("cuda")):
        yield
        return
    import torch

    decode = pipe.vae.decode

    def quickly(*args: Any, **named: Any) -> Any:
        with torch.autocast("cuda", torch.bfloat16):
            return decode(*args, **named)

    pipe.vae.decode = quickly
    try:
        yield
    finally:
        del pipe.vae.decode


def was_compiling(error: BaseException) -> bool:
    """Whether what went wrong is torch's compiler: it needs a compiler of C on the machine, among others."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__module__.startswith(("torch._dynamo", "torch._inductor", "triton")):
            return True
        seen = seen.__cause__
    return False


def uncompiled(pipe: Any) -> bool:
    """Take compiled blocks back; whether there were any."""
    parts = [part for name in DENOISERS if (part := getattr(pipe, name, None)) is not None]
    had = any(_is_compiled(part) for part in parts)
    _compile(parts, False)
    return had


# Attention ----------------------------------------------------------------------------------------------------------


def _attend(pipe: Any, parts: list[Any], job: Job) -> tuple[str, ...]:
    asked = job.settings.attention
    notes: tuple[str, ...] = ()
    rough = preset_of(job.settings.preset).rough
    for part in parts:
        # Other models than Wan mask their prompts, which most of the quick ones cannot.
        own = asked if asked or type(pipe).__name__.startswith("Wan") else ("native",)
        name, notes = attention.chosen(own, job.device, part, rough=rough)
        attention.put(part, name)
    return notes if asked or job.device != "cpu" else ()


# Compiled blocks ----------------------------------------------------------------------------------------------------


def _compiles(job: Job, placement: str) -> bool:
    if job.settings.compile is not None:
        return job.settings.compile
    size = sum(job.found.parameters.get(name, 0) for name in DENOISERS)
    steps = int(job.call.get("num_inference_steps") or 0)
    return job.device.startswith("cuda") and placement == "gpu" and size * steps >= _WORTH_COMPILING


def _compile(parts: list[Any], wanted: bool) -> None:
    for part in parts:
        if wanted == _is_compiled(part):
            continue
        if wanted:
            # Not `dynamic`: another size would change the rounding of the sizes before it. Not `fullgraph`: caches break it.
            part.compile_repeated_blocks(dynamic=False)
        else:
            for block in part.modules():
                block._compiled_call_impl = None


def _is_compiled(part: Any) -> bool:
    return any(block._compiled_call_impl is not None for block in part.modules())


# Caches -------------------------------------------------------------------------------------------------------------


def _wanted_cache(pipe: Any, job: Job) -> tuple[Any, tuple[str, ...]]:
    """The cache of a job, None for none, and what is to be said of the preset."""
    preset = preset_of(job.settings.preset)
    name = job.settings.preset
    if not preset.cache:
        return None, ()
    steps = int(job.call.get("num_inference_steps") or 0)
    if steps <= FEW:
        return None, (f"Preset {name} leaves nothing out between {steps} steps: they are too few.",)
    guided = ""
    if preset.guided < 1.0 and type(pipe).__name__ in _GUIDED:
        guided = f" The last {1 - preset.guided:.0%} of the steps go without guidance."
    if type(pipe).__name__ not in _CACHED:
        return None, (
            f"Preset {name} has no cache for {type(pipe).__name__}: every block is computed.{guided}",
        )
    from diffusers import FirstBlockCacheConfig

    said = (
        f"Preset {name} approximates: blocks are not computed anew where the first one changed by less than "
        f"{preset.cache:g} since the step before.{guided}"
    )
    return FirstBlockCacheConfig(threshold=preset.cache), (said,)


def _cache(parts: list[Any], config: Any) -> None:
    """One cache at a time, which remembers nothing of the clip before."""
    for part in parts:
        if not hasattr(part, "enable_cache"):
            continue
        if part.is_cache_enabled and part._cache_config != config:
            part.disable_cache()
        if config is not None and not part.is_cache_enabled:
            part.enable_cache(config)
        elif config is not None:
            part._reset_stateful_cache()
