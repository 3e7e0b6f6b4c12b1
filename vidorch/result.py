"""What is given back: clips, the jobs that made them, and the result of a run."""

from __future__ import annotations

import base64
import html
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidorch.errors import InvalidRequest, VidorchError
from vidorch.inputs import usable_path
from vidorch.money import show_usd

if TYPE_CHECKING:
    from vidorch.estimating import Estimate

__all__ = ["Clip", "Event", "Job", "Progress", "Received", "Result", "Timings"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one job went, in seconds.

    Attributes:
        wait: from the call until the submit could be sent. upload: inputs. queue: at the vendor, before work began.
        run: the vendor's work. download: fetch, check and publish.
        details: finer stages where the provider tells them, such as `{"encode": .02, "denoise": .3, "decode": .1}`.
    """

    wait: float = 0.0
    upload: float = 0.0
    queue: float = 0.0
    run: float = 0.0
    download: float = 0.0
    details: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, rounded to milliseconds."""
        plain: dict[str, Any] = {
            name: round(getattr(self, name), 3) for name in ("wait", "upload", "queue", "run", "download")
        }
        return plain | {"details": {name: round(value, 3) for name, value in self.details.items()}}


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished file and what made it.

    Attributes:
        path: the local file; None when it was published elsewhere. uri: where it is, a path or a URL.
        cost: USD. cost_basis: "reported" by the vendor, "computed" from the catalog, "imputed" (one's own hardware),
            "assumed" (booked at its reserved high).
        latency: seconds from the call to the checked file. timings: where they went.
        width, height: pixels. fps: frames a second. duration: seconds. seed: the one used, None where there is none.
        report: what a selection said of it, once one has looked.
    """

    path: Path | None
    uri: str
    model: str
    endpoint: str
    seed: int | None
    cost: Decimal
    cost_basis: str
    latency: float
    timings: Timings
    width: int
    height: int
    frames: int | None
    fps: Fraction | None
    duration: float
    has_audio: bool = False
    media_type: str = "video/mp4"
    run_id: str = ""
    job_id: str = ""
    candidate: int = 0
    sha256: str = ""
    report: Mapping[str, Any] | None = None

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Copy the file to `path`, or into it when it is a folder. Returns where it went: whole, or not at all.

        Raises:
            FileExistsError: something else is there and `overwrite` is False.
            InvalidRequest: a path that this system cannot have, or one that ends like another kind of file: nothing is converted.
            VidorchError: the clip is at a URL that cannot be read.
        """
        from vidorch import media, storage

        target = usable_path(path, "path")
        if target.is_dir():
            target = target / self._name
        self._must_be_called(target)
        if target.exists():
            if self.path is not None and target.samefile(self.path):
                return target
            if not overwrite:
                raise FileExistsError(f"{target} exists already. Pass overwrite=True to replace it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = media.temporary_beside(target)
        try:
            if self.path is not None:
                shutil.copyfile(self.path, temporary)
            else:
                storage.fetch(self.uri, temporary)
            return media.publish(temporary, target, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)

    @property
    def _name(self) -> str:
        return self.path.name if self.path is not None else self.uri.rpartition("/")[2]

    def _must_be_called(self, target: Path) -> None:
        """A name without a suffix promises nothing; any other has to end like what is in the file."""
        from vidorch.media.types import SUFFIXES

        own = Path(self._name).suffix
        endings = SUFFIXES.get(self.media_type, (own,) if own else ())
        if endings and target.suffix and target.suffix.lower() not in (*endings, own.lower()):
            allowed = f"a name ending in {' or '.join(endings)}, or a folder"
            raise InvalidRequest(
                f"path={str(target)!r} ends in {target.suffix}, and the clip is {self.media_type}: saving converts nothing. "
                f"Nothing was written. Allowed is {allowed}.",
                hint=f"Call it {target.with_suffix(endings[0]).name}.", field="path", value=str(target), allowed=allowed,
            )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: money as text, times in seconds."""
        return {
            "path": None if self.path is None else str(self.path),
            "uri": self.uri,
            "model": self.model,
            "endpoint": self.endpoint,
            "seed": self.seed,
            "cost": str(self.cost),
            "cost_basis": self.cost_basis,
            "latency": round(self.latency, 3),
            "timings": self.timings.to_dict(),
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "fps": None if self.fps is None else float(self.fps),
            "duration": round(self.duration, 6),
            "has_audio": self.has_audio,
            "media_type": self.media_type,
            "run_id": self.run_id,
            "job_id": self.job_id,
            "candidate": self.candidate,
            "sha256": self.sha256,
            "report": None if self.report is None else dict(self.report),
        }

    def _repr_html_(self) -> str:
        """A player for notebooks, with the file inside the page up to 32 MB."""
        caption = html.escape(
            f"{self.endpoint}/{self.model} · {self.duration:.1f} s · {self.width}x{self.height} · "
            f"{show_usd(self.cost)} ({self.cost_basis}) · made in {self.latency:.1f} s"
        )
        if self.path is None or not self.path.is_file():
            return f"<p>{caption}<br><code>{html.escape(self.uri)}</code></p>"
        if self.path.stat().st_size > 32 * 2**20:
            return f"<p>{caption}<br>Too large to show here: <code>{html.escape(str(self.path))}</code></p>"
        data = base64.b64encode(self.path.read_bytes()).decode()
        return (
            f'<figure style="margin:0"><video controls loop autoplay muted playsinline width="{max(self.width, 256)}" '
            f'src="data:{html.escape(self.media_type)};base64,{data}"></video><figcaption>{caption}</figcaption></figure>'
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One submission as the ledger has it: a snapshot.

    Attributes:
        state: see the table of moves. charged: True, False, or None when nobody can know.
        candidate: the first one it serves; samples: how many one submit is to yield.
        cost: USD, None until settled. estimate_low, estimate, estimate_high, quote: USD; price_as_of: the day of that price.
        billed: whether it is money; False for one's own hardware, whose cost is imputed.
        error: class name; error_text: the vendor's words. possible_ids: jobs at the vendor that an unknown one may be.
        created_at, ..., ended_at: seconds since 1970. deadline: until then its caller waits; poll_at: the next look.
        token: the unguessable word of its callback URL; in no repr and no JSON.
        trace: where it was begun in a trace, as W3C `traceparent` text; None outside of any.
    """

    id: str
    run_id: str
    candidate: int
    attempt: int
    scope: str
    endpoint: str
    provider: str
    model: str
    task: str
    state: str
    version: int
    seed: int | None
    remote_id: str | None
    outlives_caller: bool
    owner: str | None
    lease_until: float | None
    progress: float | None
    stage: str | None
    estimate: Decimal
    estimate_high: Decimal
    cost: Decimal | None
    cost_basis: str | None
    charged: bool | None
    error: str | None
    error_code: str | None
    error_stage: str | None
    error_text: str | None
    created_at: float
    updated_at: float
    sending_at: float | None
    accepted_at: float | None
    ended_at: float | None
    timings: Timings
    settings: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)
    account: str = ""
    samples: int = 1
    route: str = ""
    settings_hash: str = ""
    token: str = field(default="", repr=False)
    find: str = "none"
    host: str = ""
    process: int = 0
    deadline: float | None = None
    poll_at: float | None = None
    polls: int = 0
    possible_ids: tuple[str, ...] = ()
    quote: Decimal | None = None
    estimate_low: Decimal = Decimal(0)
    billed: bool = True
    running_at: float | None = None
    downloading_at: float | None = None
    price_as_of: str | None = None
    trace: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the token."""
        plain = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in ("timings", "settings", "details", "token")
        }
        for name in ("estimate", "estimate_low", "estimate_high", "quote", "cost"):
            plain[name] = None if plain[name] is None else str(plain[name])
        return plain | {
            "possible_ids": list(self.possible_ids),
            "timings": self.timings.to_dict(),
            "settings": dict(self.settings),
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a run's history: a move of a job, or a note."""

    at: float
    run_id: str
    job_id: str | None
    kind: str
    source: str | None
    target: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: what `on_progress` is called with.

    Attributes:
        state: of the job that moved last. stage: a word for people, such as "denoise".
        fraction: 0 to 1 over all candidates, None while nothing is known. eta: seconds left, None while nothing is known.
        done, total: candidates.
    """

    run_id: str
    state: str
    stage: str
    fraction: float | None
    eta: float | None
    elapsed: float
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a webhook that was handed over.

    Attributes:
        job_id, run_id: what it spoke of; None where this ledger knows no such job, and then nothing is to be done.
        repeated: whether the same delivery had come before; harmless.
    """

    job_id: str | None
    run_id: str | None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run.

    Attributes:
        clip: the chosen one; always there. candidates: all that were made, in order.
        failures: what went wrong with the others. cost: USD of everything this run paid, failures included.
        imputed: USD of one's own hardware, which is not in `cost` unless its endpoint is billed.
        estimate: what was said before. notes: what was assumed, ignored or rounded.
        joined: whether this call joined a run that was there under its key. paid_earlier: USD of `cost` that was not paid by
            this call, but by those before it; 0 unless it joined one.
    """

    clip: Clip
    candidates: tuple[Clip, ...]
    failures: tuple[VidorchError, ...]
    cost: Decimal
    estimate: Estimate
    run_id: str
    notes: tuple[str, ...] = ()
    imputed: Decimal = Decimal(0)
    joined: bool = False
    paid_earlier: Decimal = Decimal(0)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Copy the chosen clip to `path`. See `Clip.save`."""
        return self.clip.save(path, overwrite=overwrite)

    def to_dict(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return {
            "run_id": self.run_id,
            "clip": self.clip.to_dict(),
            "candidates": [clip.to_dict() for clip in self.candidates],
            "failures": [
                {"error": type(e).__name__, "message": str(e), "charged": e.charged} for e in self.failures
            ],
            "cost": str(self.cost),
            "imputed": str(self.imputed),
            "joined": self.joined,
            "paid_earlier": str(self.paid_earlier),
            "currency": "USD",
            "estimate": self.estimate.to_dict(),
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return self.clip._repr_html_() + (f"<ul>{notes}</ul>" if notes else "")
