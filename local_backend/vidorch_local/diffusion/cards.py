"""What memory is free on the cards of this machine, without loading torch: a plan is made in milliseconds."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping

__all__ = ["Free", "free_here"]

Free = Callable[[], tuple[int, ...]]
"""Gives the bytes that are free on each card, in the order of their numbers; empty without one."""

_FRESH = (
    10.0  # seconds that an answer holds: the command takes a tenth of one, and a batch plans a thousand times
)
_PATIENCE = 5.0
_MIB = 1024 * 1024
_seen: dict[str, tuple[float, tuple[int, ...]]] = {}


def free_here(
    environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
) -> tuple[int, ...]:
    """Bytes that are free on the cards that torch will see, by the driver's own `nvidia-smi`."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return ()
    known = _seen.get(visible or "")
    if known is not None and clock() - known[0] < _FRESH:
        return known[1]
    found = _asked(visible)
    _seen[visible or ""] = (clock(), found)
    return found


def _asked(visible: str | None) -> tuple[int, ...]:
    import shutil

    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    which = [] if visible is None else ["-i", visible]
    asked = [command, *which, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout  # noqa: S603
        return tuple(int(line) * _MIB for line in said.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()
