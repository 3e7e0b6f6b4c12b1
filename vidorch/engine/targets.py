"""Where files go: the run's own folder, or what `output=` says. Decided, and checked, before anything runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from vidorch.errors import InvalidRequest
from vidorch.inputs import usable_path

__all__ = ["Target", "target_of"]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov"})


@dataclass(frozen=True, slots=True)
class Target:
    """Where the clips of one run are published.

    Attributes:
        folder: every candidate goes here, under its own name.
        file: where the chosen clip goes besides, or instead when there is only one; None when no file was named.
        overwrite: whether what is there may be replaced.
    """

    folder: Path
    file: Path | None
    overwrite: bool

    def written(self, output: str | None) -> str | None:
        """`output=` as it is written down: absolute, for whoever reads it from another directory."""
        if output is None:
            return None
        return str(self.file) if self.file is not None else f"{self.folder}/"

    def path(self, candidate: int, candidates: int, endpoint: str, model: str, suffix: str) -> Path:
        """The final path of one candidate (counted from 0)."""
        if self.file is not None and candidates == 1:
            return self.file
        return self.folder / f"{candidate + 1}-{_legal(endpoint)}-{_legal(model)}{suffix}"


def target_of(output: str | None, overwrite: bool, own_folder: Path) -> Target:
    """Read `output=`: a file ending in .mp4, an existing folder, or a new folder written with a slash at its end.

    Raises:
        InvalidRequest: none of these, or a file that is there already.
    """
    if output is None:
        return Target(own_folder, None, overwrite)
    path = usable_path(output, "output")
    allowed = "a file ending in .mp4, an existing folder, or a new folder written with a slash at its end"
    if path.is_dir() or output.endswith(("/", os.sep)):
        if path.exists() and not path.is_dir():
            raise InvalidRequest(
                f"output={output!r} is a file, not a folder.", field="output", value=output, allowed=allowed
            )
        return Target(path.absolute(), None, overwrite)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InvalidRequest(
            f"output={output!r} cannot be used. Allowed is {allowed}.",
            field="output",
            value=output,
            allowed=allowed,
        )
    if path.exists() and not overwrite:
        raise InvalidRequest(
            f"output={output!r} exists already. Nothing was made.", hint="Pass overwrite=True (--overwrite), or another name.",
            field="output", value=output, allowed="a file that does not exist yet",
        )  # fmt: skip
    if path.parent.exists() and not path.parent.is_dir():
        raise InvalidRequest(
            f"output={output!r} lies in something that is not a folder.",
            field="output",
            value=output,
            allowed=allowed,
        )
    return Target(own_folder, path.absolute(), overwrite)


def _legal(name: str) -> str:
    """A part of a file name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "x"
