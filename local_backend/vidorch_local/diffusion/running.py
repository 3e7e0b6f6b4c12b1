"""One clip on a loaded pipeline: progress by step, a stop between any two passes, timings by stage, previews."""

from __future__ import annotations

import contextlib
import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vidorch.errors import ProviderFailed, Unsupported
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion import scheduling, tuning
from vidorch_local.diffusion.jobs import Frames, Job, Made, Stage

__all__ = ["Stopped", "Tell", "preview", "run"]

Tell = Callable[[Stage, int, int, "float | None"], object]
"""Told: stage, steps done, steps in all, seconds left of the denoising (from its pace, after two steps)."""


class Stopped(Exception):
    """Somebody asked for the end."""


class _Watch:
    """What the pipeline's hooks tell of a clip at work: when each stage began, and how many steps are done."""

    def __init__(
        self, job: Job, tell: Tell, should_stop: Callable[[], bool], clock: Callable[[], float]
    ) -> None:
        self._job, self._tell, self._should_stop, self._clock = job, tell, should_stop, clock
        self.began = clock()
        self.first_pass: float | None = None
        self.last_step: float | None = None
        self._first_step = 0.0
        tell("encode", 0, 0, None)

    def before_pass(self, *_: object) -> None:
        """Before each pass through the denoiser, of which a step has one or two."""
        if self._should_stop():
            raise Stopped
        if self.first_pass is None:
            self.first_pass = self._clock()
            self._tell("denoise", 0, 0, None)

    def after_step(self, pipe: Any, step: int, _: object, tensors: dict[str, Any]) -> dict[str, Any]:
        """After each step, before anything is decoded."""
        self.last_step = self._clock()
        if self._should_stop():
            raise Stopped
        done, total = step + 1, max(int(pipe.num_timesteps), step + 1)
        if step == 0:
            self._first_step = self.last_step
        left = None if step == 0 else (self.last_step - self._first_step) / step * (total - done)
        if self._job.settings.previews and done % self._job.settings.previews == 0:
            _keep_preview(self._job, tensors["latents"])
        tuning.guide(pipe, self._job, done, total)
        self._tell("decode" if done == total else "denoise", done, total, left)
        return tensors

    def timings(self) -> dict[str, float]:
        """Seconds by stage, once the clip is done."""
        now = self._clock()
        first = self.first_pass or now
        last = max(self.last_step or now, first)
        return {"encode": first - self.began, "denoise": last - first, "decode": now - last}


def run(
    pipe: Any,
    job: Job,
    *,
    tell: Tell,
    should_stop: Callable[[], bool],
    clock: Callable[[], float] = time.perf_counter,
) -> Made:
    """Make one clip. The same job on the same device gives the same frames, bit for bit, whatever ran before it.

    Raises:
        Stopped: `should_stop` said so. Nothing was decoded.
        Unsupported: the caller gave something that the pipeline has no argument for.
        ProviderFailed: what came out is no picture. Whatever torch raises.
    """
    import torch

    if should_stop():  # loading cannot be interrupted, and reading the prompt may take as long
        raise Stopped
    call = _arguments(pipe, job)
    generator = torch.Generator("cpu").manual_seed(
        job.seed
    )  # of the CPU, so that every device draws the same
    watch = _Watch(job, tell, should_stop, clock)
    try:
        with scheduling.own(pipe, job, generator), _watched(pipe, watch), tuning.decoding(pipe, job):
            output = pipe(
                **call,
                generator=generator,
                output_type="np",
                callback_on_step_end=watch.after_step,
            )
    except BaseException:
        with contextlib.suppress(Exception):  # back to main memory with what lies on the device
            pipe.maybe_free_model_hooks()
        raise
    if should_stop():
        raise Stopped
    frames = _eight_bits(output.frames[0], job)
    notes = (
        ("The model made sound as well, which is not written.",)
        if getattr(output, "audio", None) is not None
        else ()
    )
    return Made(frames[: job.frames], watch.timings(), notes)


@contextlib.contextmanager
def _watched(pipe: Any, watch: _Watch) -> Iterator[None]:
    parts = [getattr(pipe, name, None) for name in ("transformer", "transformer_2", "unet")]
    hooks = [part.register_forward_pre_hook(watch.before_pass) for part in parts if part is not None]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _arguments(pipe: Any, job: Job) -> dict[str, Any]:
    """The arguments that this pipeline has, its pictures as it takes them."""
    known = inspect.signature(type(pipe).__call__).parameters
    lacks = {name for name in job.call if name not in known}
    if "guidance_scale_2" in job.call and pipe.config.get("boundary_ratio") is None:
        lacks.add("guidance_scale_2")  # one expert has no second weight
    for name in sorted(lacks & job.given.keys()):
        raise Unsupported(
            f"{job.given[name]}: {job.name} takes none. Nothing was made.",
            provider=PROVIDER,
            hint="Leave it out.",
        )
    call = {name: _as_pictures(value) for name, value in job.call.items() if name not in lacks}
    if "strength" in known and "num_inference_steps" in call:
        strength = call.get("strength", known["strength"].default)
        if int(call["num_inference_steps"] * strength) < 1:
            raise Unsupported(
                f"strength {strength:g}: of {call['num_inference_steps']} steps that is none, and {job.name} needs at least "
                f"{math.ceil(1 / max(strength, 1e-3))} steps for it. Nothing was made.", provider=PROVIDER,
            )  # fmt: skip
    return call


def _as_pictures(value: Any) -> Any:
    import numpy as np
    from PIL import Image

    if isinstance(value, np.ndarray):
        return Image.fromarray(value) if value.ndim == 3 else [Image.fromarray(frame) for frame in value]
    return [_as_pictures(one) for one in value] if isinstance(value, (list, tuple)) else value


def _eight_bits(frames: Any, job: Job) -> Frames:
    import numpy as np

    made = np.empty(frames.shape, np.uint8)  # (F, H, W, 3)
    for index, frame in enumerate(frames):
        if not np.isfinite(frame).all():
            raise ProviderFailed(
                f"{job.name} gave numbers that are no picture (NaN) in frame {index}. Nothing was paid.", charged=False,
                provider=PROVIDER, hint="Another seed, fewer steps or a lower guidance may do; so may another placement.",
            )  # fmt: skip
        made[index] = (frame * 255.0).round().clip(0, 255)
    return made


def preview(latents: Any) -> Frames | None:
    """The middle frame of latents `(B, C, F, H, W)` as a small picture; None for latents of another form.

    Not decoded: the three directions in which the channels vary most become red, green and blue, so shapes and motion are right
    and hues are not.
    """
    import torch

    if latents.ndim != 5 or latents.shape[1] < 3:
        return None
    middle = latents[0, :, latents.shape[2] // 2].detach().float().cpu()  # (C, H, W)
    flat = middle.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    _, directions = torch.linalg.eigh(flat @ flat.T)  # of rising size
    shown = directions[:, -3:].T @ flat  # (3, H x W)
    low, high = shown.amin(1, keepdim=True), shown.amax(1, keepdim=True)
    shown = (shown - low) / (high - low).clamp_min(1e-6) * 255
    picture: Frames = shown.reshape(3, *middle.shape[1:]).permute(1, 2, 0).round().byte().numpy()
    return picture


def _keep_preview(job: Job, latents: Any) -> None:
    """Write one; a preview that cannot be written is no reason to lose a clip."""
    from vidorch import media

    picture = preview(latents)
    if picture is None or not job.folder:
        return
    folder = Path(job.folder)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        media.save_still(picture, folder / f"{job.id}-preview.png", overwrite=True)


def settings_said(call: Mapping[str, Any]) -> str:
    """What of a call decides how much memory it takes, for messages: "832x480, 81 frames"."""
    parts = []
    if "width" in call and "height" in call:
        parts.append(f"{call['width']}x{call['height']}")
    if "num_frames" in call:
        parts.append(f"{call['num_frames']} frames")
    return ", ".join(parts) or "this clip"
