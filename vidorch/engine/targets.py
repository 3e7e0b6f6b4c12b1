"""Where files go: the run's own folder, or what `output=` says. Decided, and checked, before anything runs."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from vidorch.errors import InvalidRequest
from vidorch.inputs import usable_path

__all__ = ["Published", "Target", "target_of"]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov"})


@dataclass(frozen=True, slots=True)
class Published:
    """Where a clip is: its URI, its path where it is here, and a note when it is not where it was to be."""

    uri: str
    path: Path | None
    note: str = ""


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

    @property
    def remote(self) -> bool:
        """Whether it lies elsewhere."""
        return False

    def workplace(self, job_id: str) -> Path:
        """A temporary name beside the final one, which carries the job's id."""
        from vidorch import media

        place = self.folder if self.file is None else self.file.parent
        place.mkdir(parents=True, exist_ok=True)
        return media.temporary_beside(place / job_id)

    def publish(
        self, temporary: Path, *, candidate: int, candidates: int, endpoint: str, model: str, job_id: str, suffix: str = ".mp4"
    ) -> Published:  # fmt: skip
        """Give a checked clip its final name. What is there already is never overwritten unasked."""
        from vidorch import media

        final = self.path(candidate, candidates, endpoint, model, suffix)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            published = media.publish(temporary, final, overwrite=self.overwrite)
        except FileExistsError:
            if _digest(final) == _digest(temporary):
                return Published(str(final), final)
            final = final.with_name(f"{final.stem}-{job_id}{final.suffix}")
            published = media.publish(temporary, final)
        return Published(str(published), published)

    def withdraw(self, published: Published) -> None:
        """Take back what the loser of a race published."""
        Path(published.uri).unlink(missing_ok=True)

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


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _legal(name: str) -> str:
    """A part of a file name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "x"
