"""Bringing finished clips home: fetched to a temporary name, checked, published, and described for the ledger."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidorch.contract import Accepted, Clock, Context, Output, Provider
from vidorch.engine.purchase import Purchase
from vidorch.engine.targets import MADE, Published, Target
from vidorch.errors import BadMedia, VidorchError
from vidorch.media.types import SUFFIXES
from vidorch.offloop import in_thread
from vidorch.result import Job

if TYPE_CHECKING:
    from vidorch.media import MediaInfo

__all__ = ["Brought", "Porter"]

TRIES = 5
_KINDS = {
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mkv": "video/x-matroska", "png": "image/png",
    "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Brought:
    """One clip that is home: its row for the ledger, and where it lies."""

    row: dict[str, Any]
    published: Published


@dataclass(frozen=True, slots=True)
class Porter:
    """Brings the outputs of one job home.

    Attributes:
        candidates: of the whole run, for names. context: made anew for every call, with the secret of the moment.
        refuge: where a clip goes that cannot be put where it was asked for: what is paid for is not thrown away.
    """

    provider: Provider
    context: Callable[[], Context]
    purchase: Purchase
    target: Target
    refuge: Target
    candidates: int
    new_id: Callable[[str], str]
    clock: Clock

    async def bring(self, job: Job, accepted: Accepted, output: Output) -> Brought:
        """Fetch one output, again with a renewed link when that fails, check it, and publish it.

        Raises:
            BadMedia: what the vendor hands over is no video, each time. Exception: it cannot be fetched or written now.
        """
        number = job.candidate + output.index
        temporary = self.target.workplace(f"{job.id}-{output.index}", self.candidates)
        delay, here = 1.0, True
        try:
            for left in reversed(range(TRIES)):
                try:
                    await self.provider.fetch(self.context(), output, temporary)
                    # Paid for, and whole: what has another length or size twice is what the vendor made, and no rubbish.
                    strict = left == TRIES - 1 or not job.outlives_caller
                    brought = await in_thread(self._finish, job, output, number, temporary, strict)
                    here = False  # it has its name by now
                    return brought
                except _NotPublished as error:
                    raise error.cause from error
                except Exception as error:
                    # A file cut on its way looks like a bad one: it is fetched once more before the vendor is blamed.
                    if not left or (isinstance(error, BadMedia) and left < TRIES - 1):
                        raise
                with contextlib.suppress(Exception):  # where it cannot be renewed the old link is tried again
                    output = await self.provider.refresh(self.context(), accepted, output)
                await self.clock.sleep(delay)
                delay = min(delay * 2, 30.0)
            raise AssertionError  # the loop returns or raises
        finally:
            if here:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _finish(self, job: Job, output: Output, number: int, temporary: Path, strict: bool) -> Brought:
        seen, unlike = self._look(output, temporary, strict)
        published = self._put(job, number, temporary, SUFFIXES.get(seen["media_type"], MADE)[0])
        if unlike:
            published = replace(published, note=f"{published.note} {unlike}".strip())
        row = {
            "id": self.new_id("out"), "run_id": job.run_id, "job_id": job.id, "number": output.index, "state": "published",
            "uri": published.uri, "ref": None, **seen,
            "seed": output.seed if output.seed is not None else job.seed, "cost": 0, "scores": None, "reason": None,
            "expires_at": output.expires_at, "created_at": 0.0,
        }  # fmt: skip
        return Brought(row, published)

    def _look(self, output: Output, temporary: Path, strict: bool) -> tuple[dict[str, Any], str]:
        """What the file is, as columns of `outputs`; and what about it is not as it was bought, in a sentence.

        Args:
            strict: whether that is an error instead.

        Raises:
            BadMedia: it cannot be read, or it is not what was bought.
        """
        from vidorch import media  # loads PyAV

        purchase, unlike = self.purchase, ""
        frames = fps = duration = None
        has_audio = False
        if output.media_type.startswith("image/"):
            height, width = media.load_still(temporary).shape[:2]
            container = media.probe(temporary).container
        else:
            length = _length(purchase)
            if strict:
                info = media.verify(temporary, duration=length, tolerance=0.5, size=purchase.size)
            else:
                info = media.verify(temporary)
                unlike = _unlike(info, length, purchase.size)
            if purchase.trim_to is not None:
                info = _trim(temporary, purchase.trim_to)
            container = info.container
            width, height, frames, has_audio = info.width, info.height, info.frames, info.has_audio
            fps, duration = None if info.fps is None else str(info.fps), float(info.duration)
        return {
            "size": temporary.stat().st_size, "sha256": _hash(temporary), "width": width, "height": height, "frames": frames,
            "fps": fps, "duration": duration, "has_audio": int(has_audio),
            "media_type": _KINDS.get(container, output.media_type),  # by what is in it, whatever the vendor calls it
        }, unlike  # fmt: skip

    def _put(self, job: Job, number: int, temporary: Path, suffix: str) -> Published:
        """Publish it where it was asked for, or else where it is safe."""
        try:
            return self._publish(self.target, temporary, job, number, suffix)
        except Exception as error:
            try:
                published = self._publish(self.refuge, temporary, job, number, suffix)
            except Exception:
                raise _NotPublished(error) from error
            return replace(published, note=f"{_said(error)} It is at {published.uri} instead.")

    def _publish(self, target: Target, temporary: Path, job: Job, number: int, suffix: str) -> Published:
        return target.publish(
            temporary, candidate=number, candidates=self.candidates, endpoint=job.endpoint, model=job.model, job_id=job.id,
            suffix=suffix,
        )  # fmt: skip


def _length(purchase: Purchase) -> float | None:
    """Seconds that the file has to last. An extension may come alone or behind its source: any length is taken."""
    extends = purchase.route is not None and purchase.route.task == "extend"
    return None if extends else purchase.duration


def _unlike(info: MediaInfo, length: float | None, size: tuple[int, int] | None) -> str:
    """How a whole clip differs from what was bought; empty when it does not."""
    parts = []
    if length is not None and abs(float(info.duration) - length) > 0.5:
        parts.append(f"lasts {float(info.duration):.2f} s, and {length:g} s were bought")
    if size is not None and info.size != size:
        parts.append(f"is {info.width}x{info.height}, and {size[0]}x{size[1]} was bought")
    return f"The clip {' and '.join(parts)}: the vendor made it so." if parts else ""


def _said(error: Exception) -> str:
    if isinstance(error, VidorchError):
        return error.message
    reason = getattr(error, "strerror", None) or error
    return f"The clip could not be put where it was asked for: {reason}."


class _NotPublished(Exception):
    """The clip is fine; it cannot be put where it was asked for. Fetching it again would not help."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trim(path: Path, seconds: float) -> Any:
    """Cut a silent clip to its first `seconds`, in place; what `fit="exact"` buys is the next longer length."""
    from vidorch import media

    before = media.probe(path)
    if (
        before.has_audio
    ):  # cutting sound to the frame belongs to the joins of films; a longer clip is better than a mute one
        return before
    fps = before.fps or media.exact_rate(24)
    if before.width % 2 or before.height % 2:  # H.264 has no odd sizes
        return before
    count = media.frame_at(seconds, fps)
    kept = (frame for _, frame in zip(range(max(count, 1)), media.frames(path), strict=False))
    return media.write_video(path, kept, fps=fps, overwrite=True)
