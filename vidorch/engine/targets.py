"""Where files go: the run's own folder, or what `output=` says. Decided, and checked, before anything runs."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from vidorch import storage
from vidorch.errors import InvalidRequest
from vidorch.inputs import usable_path
from vidorch.media.types import SUFFIXES

__all__ = ["Published", "Target", "target_of"]

MADE = SUFFIXES["video/mp4"]
"""What a named file may end in: models make MP4, and nothing here turns one container into another."""
STILLS = tuple(suffix for kind, many in SUFFIXES.items() if kind.startswith("image/") for suffix in many)
"""The same for stills, of which only the vendor knows in which of these ways it writes them."""
_MEDIA_TYPES = {suffix: media_type for media_type, many in SUFFIXES.items() for suffix in many}


@dataclass(frozen=True, slots=True)
class Published:
    """Where one clip lies for good.

    Attributes:
        uri: a path or a URL. path: the local file, None at a URL.
        note: a sentence for the caller when it is not where it was asked for, else "".
        ours: False when the same content lay there already and was adopted.
    """

    uri: str
    path: Path | None
    note: str = ""
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """Where the clips of one run are published.

    Attributes:
        folder: every candidate goes here, under its own name, unless `url` is a folder.
        file: where the chosen clip goes besides, or instead when there is only one; None when no local file was named.
        overwrite: whether what is there may be replaced.
        url: the same at an fsspec URL: a folder when it ends in a slash, else one file. Then `folder` is the run's own.
        line: which line of a batch it is, counted from 0: in a folder that all share, the names begin with it. None for others.
    """

    folder: Path
    file: Path | None
    overwrite: bool
    url: str | None = None
    line: int | None = None

    @property
    def remote(self) -> bool:
        """Whether clips go to a URL."""
        return self.url is not None

    @property
    def named(self) -> str | None:
        """The one file that was named, as path or URL: where the chosen of several clips goes. None without one."""
        if self.url is not None:
            return None if self.url.endswith("/") else self.url
        return None if self.file is None else str(self.file)

    def written(self, output: str | None) -> str | None:
        """`output=` as it is written down: absolute, for whoever reads it from another directory."""
        if output is None:
            return None
        return self.url or self.named or f"{self.folder}/"

    def path(self, candidate: int, candidates: int, endpoint: str, model: str, suffix: str) -> Path:
        """The final local path of one candidate (counted from 0)."""
        if self.file is not None and candidates == 1:
            return self.file
        return self.folder / self._name(candidate, endpoint, model, suffix)

    def place(self, candidate: int, candidates: int, endpoint: str, model: str, suffix: str) -> str:
        """The final place of one candidate (counted from 0), as path or URL, wherever that is."""
        if self.url is None:
            return str(self.path(candidate, candidates, endpoint, model, suffix))
        if self.named is not None and candidates > 1:  # the chosen one goes to the URL when it is known
            return str(self.folder / self._name(candidate, endpoint, model, suffix))
        return self.named or f"{self.url}{self._name(candidate, endpoint, model, suffix)}"

    def _name(self, candidate: int, endpoint: str, model: str, suffix: str) -> str:
        line = "" if self.line is None else f"{self.line + 1:05d}-"
        return f"{line}{candidate + 1}-{_legal(endpoint)}-{_legal(model)}{suffix}"

    def check(self, candidates: int) -> None:
        """Find out whether clips can be put there: before anything is made, not after. Blocks.

        Raises:
            InvalidRequest: they cannot, or the named file is there already.
            MissingCredentials: a package for this kind of URL, or a credential for it, is not there.
        """
        if self.url is not None:
            storage.check(self.url, may_exist=self.overwrite)
        folders = {self.folder} if self.file is None or candidates > 1 else set()
        for folder in folders | ({self.file.parent} if self.file is not None else set()):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=folder, prefix=".vidorch-"):
                    pass
            except OSError as error:
                raise InvalidRequest(
                    f"Nothing can be written to {folder}: {error.strerror or error}. Nothing was made.",
                    hint="Choose another place with output= or VIDORCH_HOME.",
                    field="output", value=str(folder), allowed="a folder that can be written",
                ) from error  # fmt: skip

    def workplace(self, job_id: str, candidates: int = 1) -> Path:
        """A fresh local name for an unfinished file of this job; beside its final name where that is local.

        The folder is made, the file is not. `sweep` finds it again by the job's id should we be killed.

        Raises:
            OSError: there is no room for a folder.
        """
        from vidorch import media

        folder = self.file.parent if self.file is not None and candidates == 1 else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        return media.temporary_beside(folder / job_id)

    def publish(
        self, temporary: Path, *, candidate: int, candidates: int, endpoint: str, model: str, job_id: str, suffix: str = ".mp4",
        beside: bool = True,
    ) -> Published:  # fmt: skip
        """Give a finished, checked file its final name, and remove the temporary one. Blocks.

        What is there already is never replaced unasked. Exactly the same content is adopted: an owner published it that
        did not live to settle, or that is settling now. Other content is left alone, and the clip goes beside it, under a
        name with the job's id.

        Args:
            beside: whether it may go to such a name.

        Raises:
            FileExistsError: other content is there, and `beside` is False.
            OSError: the disk said no. VidorchError: the store did. `temporary` is still there.
        """
        asked = self.place(candidate, candidates, endpoint, model, suffix)
        place = _ending_in(asked, suffix)
        publish = _publish_there if storage.is_url(place) else _publish_here
        published = publish(temporary, place, job_id if beside else None, self.overwrite)
        if place == asked:
            return published
        note = f"The vendor made {suffix[1:].upper()}, so the clip is not called {asked}: it is at {published.uri}."
        return replace(published, note=f"{note} {published.note}".strip())

    def withdraw(self, published: Published) -> None:
        """Remove what `publish` put there, unless it was there before: somebody else's copy is the one that counts.

        Raises:
            OSError, VidorchError: it could not be removed.
        """
        if not published.ours:
            return
        if published.path is not None:
            published.path.unlink(missing_ok=True)
        else:
            storage.remove(published.uri)


def target_of(
    output: str | None, overwrite: bool, own_folder: Path, *, again: bool = False, stills: bool = False,
    line: int | None = None,
) -> Target:  # fmt: skip
    """Read `output=`: a file that ends as what is made does, an existing folder, a new one with a slash at its end; or a URL.

    Args:
        own_folder: of the run, where clips go that are not asked for elsewhere.
        again: the run goes on, so a file that is there may be its own. stills: what is made are pictures, and no clips.
        line: of a batch, counted from 0.

    Raises:
        InvalidRequest: none of these, or a file that is there already. (A URL is looked at by `Target.check`.)
    """
    if output is None:
        return Target(own_folder, None, overwrite)
    made = STILLS if stills else MADE
    file = f"a file ending in {'.png, .jpg or .webp' if stills else '.mp4'}"
    allowed = f"{file}, an existing folder, or a new folder written with a slash at its end"

    def wrong(why: str, hint: str = "") -> InvalidRequest:
        return InvalidRequest(
            f"output={output!r} {why}", hint=hint, field="output", value=output, allowed=allowed
        )

    def not_a_video(path: Path) -> InvalidRequest:
        if not path.suffix:
            return wrong(f"cannot be used. Allowed is {allowed}.")
        return wrong(
            f"ends in {path.suffix}, and what is made is {'a still' if stills else 'MP4'}. Nothing was made. "
            f"Allowed is {allowed}.",
            hint=f"Call it {path.with_suffix(made[0]).name}.",
        )

    if storage.is_url(output):
        url = storage.usable_url(output)
        if not url.endswith("/") and Path(url).suffix.lower() not in made:
            raise not_a_video(
                Path(url.partition("://")[2].partition("/")[2])
            )  # a dot in a bucket is no suffix
        return Target(own_folder, None, overwrite, url, line)
    path = usable_path(output, "output")
    if path.is_dir() or output.endswith(("/", os.sep)):
        if path.exists() and not path.is_dir():
            raise wrong("is a file, not a folder.")
        return Target(path.absolute(), None, overwrite, line=line)
    if path.suffix.lower() not in made:
        raise not_a_video(path)
    if path.exists() and not overwrite and not again:
        raise InvalidRequest(
            f"output={output!r} exists already. Nothing was made.", hint="Pass overwrite=True (--overwrite), or another name.",
            field="output", value=output, allowed="a file that does not exist yet",
        )  # fmt: skip
    if path.parent.exists() and not path.parent.is_dir():
        raise wrong("lies in something that is not a folder.")
    return Target(own_folder, path.absolute(), overwrite)


def _publish_here(temporary: Path, place: str, job_id: str | None, overwrite: bool) -> Published:
    from vidorch import media

    first = Path(place)
    if temporary.parent != first.parent:
        first.parent.mkdir(parents=True, exist_ok=True)
    with _beside(temporary, first) as near:
        for name in _names(first.stem, first.suffix, job_id):
            final = first.with_name(name)
            try:
                media.publish(near, final, overwrite=overwrite)
                ours = True
            except FileExistsError:
                if not final.is_file() or not _same(near, final):
                    continue
                ours = False
            if near != temporary or not ours:  # else it has its name by now
                temporary.unlink(missing_ok=True)
            return Published(str(final), final, _note(str(first), str(final)), ours)
    raise FileExistsError(errno.EEXIST, "exists already", str(first))


def _publish_there(temporary: Path, first: str, job_id: str | None, overwrite: bool) -> Published:
    folder, _, name = first.rpartition("/")
    stem, suffix = Path(name).stem, Path(name).suffix
    for name in _names(stem, suffix, job_id):
        url = f"{folder}/{name}"
        try:
            storage.put(temporary, url, overwrite=overwrite, media_type=_MEDIA_TYPES.get(suffix.lower(), ""))
            ours = True
        except FileExistsError:
            if not storage.holds(url, temporary):
                continue
            ours = False
        temporary.unlink(missing_ok=True)
        return Published(url, None, _note(first, url), ours)
    raise FileExistsError(errno.EEXIST, "exists already", first)


def _ending_in(place: str, suffix: str) -> str:
    """A place under a name that says what is in it: its own, unless that says something else."""
    own = Path(place).suffix
    kinds = [many for many in SUFFIXES.values() if suffix in many]
    return place if any(own.lower() in many for many in kinds) else f"{place.removesuffix(own)}{suffix}"


def _names(stem: str, suffix: str, job_id: str | None) -> Iterator[str]:
    yield f"{stem}{suffix}"
    if job_id is None:
        return
    yield f"{stem}-{job_id}{suffix}"
    yield from (f"{stem}-{job_id}-{number}{suffix}" for number in count(2))


def _note(asked: str, got: str) -> str:
    return "" if got == asked else f"{asked} was taken meanwhile; the clip is at {got}."


@contextlib.contextmanager
def _beside(temporary: Path, final: Path) -> Iterator[Path]:
    """The file on the file system of `final`: itself, or else a copy that is gone afterwards."""
    if temporary.parent == final.parent:
        yield temporary
        return
    from vidorch import media

    near = media.temporary_beside(final.with_name(temporary.name.strip(".")))
    try:
        try:
            os.link(temporary, near)  # the same file under two names: nothing is copied
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            shutil.copyfile(temporary, near)
        yield near
    finally:
        with contextlib.suppress(OSError):
            near.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and _sha256(one) == _sha256(other)


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _legal(name: str) -> str:
    """A part of a file name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "x"
