"""Files at the end of a run: the chosen clip copied to where it was asked for, and what a killed job left swept away."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidorch.engine.targets import Published, Target, target_of
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.home import run_folder
from vidorch.result import Job

__all__ = ["hand_over", "sweep", "target_again"]


def hand_over(run_id: str, clip: Path, target: Target) -> Published:
    """Copy the chosen of several clips to the one file or URL that was named. Blocks.

    The clip itself is safe already, so nothing here may fail the run.

    Returns:
        Where it lies, with a note when it had to go elsewhere or stay where it is.
    """
    assert target.named is not None
    temporary = clip
    try:
        temporary = target.workplace(run_id)
        shutil.copyfile(clip, temporary)
        return target.publish(
            temporary, candidate=0, candidates=1, endpoint="", model="", job_id=run_id, suffix=clip.suffix
        )
    except VidorchError as error:
        return Published(str(clip), clip, f"{error.message} It is at {clip}.")
    except OSError as error:
        why = f"The chosen clip could not be copied to {target.named}: {error.strerror or error}; it is at {clip}."
        return Published(str(clip), clip, why)
    finally:
        if temporary != clip:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def target_again(run: dict[str, Any]) -> Target | None:
    """Where a run of the ledger publishes to; None when that cannot be told any more."""
    if run["home"] is None:
        return None
    own = run_folder(Path(run["home"]), run["id"], run["created_at"])
    try:
        target = target_of(run["output"], False, own, again=True)
    except InvalidRequest:  # what was a folder then is a file now
        return None
    return replace(target, overwrite=bool((run.get("options") or {}).get("overwrite")))


def sweep(run: dict[str, Any], job: Job, *targets: Target) -> None:
    """Remove the unfinished files of a job that nobody will finish; they carry its id, so they are nobody else's.

    Args:
        targets: where else it may have been worked on: whoever took it up before worked in the home of this machine.
    """
    first = target_again(run)
    places = targets if first is None else (first, *targets)
    folders = {place.folder for place in places} | {
        place.file.parent for place in places if place.file is not None
    }
    for folder in folders:
        for word in (job.id, job.run_id):
            for file in folder.glob(f".*{word}*.part"):
                with contextlib.suppress(OSError):
                    file.unlink()
