"""The sampler of a clip: the folder's own, or the one that a distilled model was made for, at its own noise levels."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidorch_local.diffusion.jobs import Job

__all__ = ["SAMPLERS", "own"]

SAMPLERS: Mapping[str, str] = {
    "unipc": "UniPCMultistepScheduler", "euler": "FlowMatchEulerDiscreteScheduler", "lcm": "FlowMatchLCMScheduler",
}  # fmt: skip
"""By our name, the class of diffusers. `lcm` guesses the finished clip at each step and lays new noise over it, as models
distilled by DMD were trained."""


@contextlib.contextmanager
def own(pipe: Any, job: Job, generator: Any) -> Iterator[None]:
    """Within it a pipeline has a scheduler that has seen no other clip: of the job's sampler, shift and noise levels.

    Args:
        generator: of the noise that some samplers lay over each step; pipelines do not hand theirs on.
    """
    theirs = pipe.scheduler
    sampler = job.settings.sampler or job.weights.defaults.get("sampler", "")
    pipe.scheduler = made = _made(theirs, sampler, job.flow_shift)
    if sampler in ("euler", "lcm"):
        sigmas = tuple(job.weights.defaults.get("sigmas", ()))
        made.set_timesteps = functools.partial(_steps_of_the_model, made, made.set_timesteps, sigmas)
    if "generator" in inspect.signature(made.step).parameters:
        made.step = functools.partial(made.step, generator=generator)
    try:
        yield
    finally:
        pipe.scheduler = theirs


def _made(theirs: Any, sampler: str, shift: float | None) -> Any:
    import diffusers

    settings = dict(theirs.config)
    kind = getattr(diffusers, SAMPLERS[sampler]) if sampler else type(theirs)
    if shift is None and kind is not type(theirs):
        shift = settings.get("flow_shift", settings.get("shift"))
    if kind is not type(theirs) and kind.__name__ == SAMPLERS["unipc"]:
        settings |= {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    known = inspect.signature(kind.__init__).parameters
    if shift is not None:
        settings |= {key: shift for key in ("flow_shift", "shift") if key in known}
    return kind.from_config({key: value for key, value in settings.items() if key in known})


def _steps_of_the_model(
    scheduler: Any, original: Any, sigmas: tuple[float, ...], count: int, device: Any = None, **_: Any
) -> None:
    """Set the noise levels from 1 down in equal parts, which the scheduler shifts: by itself it would begin its last step at
    next to no noise, where these models were trained on 3/4, 1/2, 1/4.
    """
    if len(sigmas) == count:
        unshifted = [_unshifted(one, float(scheduler.config.shift)) for one in sigmas]
    else:
        unshifted = [1 - index / count for index in range(count)]
    original(sigmas=unshifted, device=device)


def _unshifted(sigma: float, shift: float) -> float:
    return sigma / (shift - (shift - 1) * sigma)
