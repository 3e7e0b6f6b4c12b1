"""Clips of the ledger as inputs of a command, named by their run or job: their vendor may know them by an id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vidorch.errors import InvalidRequest
from vidorch.result import Clip

__all__ = ["with_clip"]

_ID = re.compile(r"(run|job)_[0-9a-z]+")


def with_clip(options: dict[str, Any]) -> dict[str, Any]:
    """The options with the clip itself where `--video` names a run or a job of the ledger, and no file is called so.

    Raises:
        InvalidRequest: there is none, or it made no clip.
    """
    word = options.get("video")
    if not isinstance(word, str) or _ID.fullmatch(word) is None or Path(word).exists():
        return options
    return options | {"video": _clip(word)}


def _clip(word: str) -> Clip:
    from vidorch.cli.books import find_one, reading  # loads the database
    from vidorch.engine.results import read_result

    with reading() as ledger:
        kind, id_ = find_one(ledger, word)
        assert ledger is not None
        job = ledger.job(id_) if kind == "job" else None
        run_id = id_ if job is None else job.run_id
        made = ledger.outputs(run_id)
        if not any(row["state"] == "published" and (job is None or row["job_id"] == job.id) for row in made):
            raise InvalidRequest(
                f"--video {word}: it made no clip.", hint=f"See: vidorch jobs show {word}", field="video", value=word,
                allowed="a file, a URL, or a run or job that made a clip", run_id=run_id,
            )  # fmt: skip
        result = read_result(ledger, run_id)
    return result.clip if job is None else next(clip for clip in result.candidates if clip.job_id == job.id)
