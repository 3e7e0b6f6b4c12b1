"""Files at the end of a run: the chosen clip copied to where it was asked for, and what a killed job left swept away."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from vidorch.engine.targets import Target, target_of
from vidorch.errors import InvalidRequest
from vidorch.home import run_folder
from vidorch.result import Job

__all__ = ["hand_over", "sweep", "target_again"]


def hand_over(run_id: str, clip: Path, target: Target) -> str:
    """Copy the chosen of several clips to the one file that was named. Returns a note when it had to go elsewhere, else "".

    The clip itself is safe already, so nothing here may fail the run.
    """
    assert target.file is not None
    from vidorch import media

    temporary = media.temporary_beside(target.file.with_name(run_id))
    try:
        target.file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, temporary)
        try:
            media.publish(temporary, target.file, overwrite=target.overwrite)
        except FileExistsError:
            beside = target.file.with_name(f"{target.file.stem}-{run_id}{target.file.suffix}")
            media.publish(temporary, beside, overwrite=True)
            return f"{target.file} was taken meanwhile; the chosen clip is at {beside}."
    except OSError as error:
        return f"The chosen clip could not be copied to {target.file}: {error.strerror or error}; it is at {clip}."
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return ""


def target_again(run: dict[str, Any]) -> Target | None:
    """Where a run of the ledger publishes to; None when that cannot be told any more."""
    if run["home"] is None:
        return None
    own = run_folder(Path(run["home"]), run["id"], run["created_at"])
    try:
        return target_of(run["output"], True, own)
    except InvalidRequest:  # what was a folder then is a file now
        return None


def sweep(run: dict[str, Any], job: Job) -> None:
    """Remove the unfinished files of a job that nobody will finish; they carry its id, so they are nobody else's."""
    target = target_again(run)
    if target is None:
        return
    folders = {target.path(job.candidate, run["candidates"], job.endpoint, job.model, ".mp4").parent}
    if target.file is not None:
        folders.add(target.file.parent)
    for folder in folders:
        for word in (job.id, job.run_id):
            for file in folder.glob(f".*{word}*.part"):
                with contextlib.suppress(OSError):
                    file.unlink()
