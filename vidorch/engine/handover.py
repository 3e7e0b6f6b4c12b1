"""Files at the end of a run: the chosen clip copied to where it was asked for, and what a killed job left swept away."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidorch import storage
from vidorch.engine.asked import Asked
from vidorch.engine.targets import Published, Target, target_of
from vidorch.errors import BadMedia, InvalidRequest, VidorchError
from vidorch.home import run_folder
from vidorch.result import Clip, Job

__all__ = ["hand_over", "put_also", "sweep", "target_again", "target_now"]


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


def put_also(clip: Clip, target: Target, name: str, *, beside: bool) -> Published:
    """Copy a clip from where it lies to another place, by the rules of a first publication. Blocks.

    Args:
        name: the id that stands in a name beside one that is taken. beside: whether it may go to such a name.

    Raises:
        FileExistsError: something else is there, and `beside` is False. OSError: the disk said no.
        VidorchError: a store did, or what lies there is not the clip any more.
    """
    temporary = target.workplace(name)
    try:
        if clip.path is not None:
            shutil.copyfile(clip.path, temporary)
        else:
            storage.fetch(clip.uri, temporary)
        with temporary.open("rb") as file:
            if clip.sha256 and hashlib.file_digest(file, "sha256").hexdigest() != clip.sha256:
                raise BadMedia(
                    f"What lies at {clip.uri} is not the clip of the run {clip.run_id} any more. Nothing was paid again.",
                    hint="Put it back, or take another key: that makes the clip anew, and is paid.", run_id=clip.run_id,
                    job_id=clip.job_id, charged=False,
                )  # fmt: skip
        return target.publish(
            temporary, candidate=clip.candidate, candidates=1, endpoint=clip.endpoint, model=clip.model, job_id=name,
            suffix=Path(clip.uri).suffix, beside=beside,
        )  # fmt: skip
    except VidorchError as error:
        if isinstance(error, BadMedia):
            raise
        raise VidorchError(
            f"{error.message} The clip of the run {clip.run_id} lies at {clip.uri}. Nothing was paid again.", hint=error.hint,
            charged=False, retryable=error.retryable, run_id=clip.run_id, job_id=clip.job_id,
        ) from error  # fmt: skip
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def target_again(run: dict[str, Any]) -> Target | None:
    """Where a run of the ledger publishes to; None when that cannot be told any more."""
    if run["home"] is None:
        return None
    own = run_folder(Path(run["home"]), run["id"], run["created_at"])
    try:
        stills = (run.get("request") or {}).get("task") == "image"
        target = target_of(run["output"], False, own, again=True, stills=stills, line=run.get("position"))
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


def target_now(row: Mapping[str, Any], asked: Asked | None, refuge: Target, home: Path) -> Target:
    """Where it publishes now: to a URL, or on the machine where it was asked for; elsewhere to a home of one's own.

    A call that joins it and wants its clips elsewhere gets copies.
    """
    if asked is not None and asked.call.output is not None:
        target = target_of(
            asked.call.output,
            asked.call.overwrite,
            refuge.folder,
            again=True,
            stills=asked.request.task == "image",
            line=asked.position,
        )
        if target.written(asked.call.output) == row["output"]:
            return target
    ours = (row["options"] or {}).get("host") in (
        None,
        socket.gethostname(),
    )  # where several machines share the ledger
    here = (ours and row["home"] == str(home)) or (row["output"] or "").partition("://")[1]
    again = target_again(dict(row)) if here else None
    return again or refuge
