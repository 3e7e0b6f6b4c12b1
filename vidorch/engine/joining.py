"""A call that joins a run by its key instead of beginning one: what it is told, and its clips put where it wants them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from vidorch.engine.asked import Asked
from vidorch.engine.handover import put_also
from vidorch.engine.services import Services
from vidorch.engine.targets import Target, target_of
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.home import run_folder
from vidorch.ledger.moves import ENDS
from vidorch.money import show_usd
from vidorch.result import Clip, Job, Result

__all__ = ["Joined"]


@dataclass(frozen=True, slots=True)
class Joined:
    """One call that joined.

    Attributes:
        run: its row as it was found. asked: what the call asks for.
    """

    run: Mapping[str, Any]
    asked: Asked
    services: Services

    # -- what it is told ------------------------------------------------------------------------------------------------

    def tell(self, result: Result, jobs: Iterable[Job], bought: Collection[str]) -> Result:
        """The result, as whoever joined is to read it.

        Args:
            jobs: of the run. bought: those of them that this call bought.
        """
        mine = [job for job in jobs if job.id in bought]
        notes = (*result.notes, self._said(mine))
        return replace(result, joined=True, paid_earlier=result.cost - _paid(mine), notes=notes)

    def tell_error(
        self, error: VidorchError, jobs: Iterable[Job] = (), bought: Collection[str] = ()
    ) -> VidorchError:
        """The error, with the same word as a note. It is a copy: the call that began the run may be waiting for it too."""
        again = copy.copy(error)
        again.__notes__ = list(getattr(error, "__notes__", ()))
        again.add_note(self._said([job for job in jobs if job.id in bought]))
        return again.with_traceback(error.__traceback__)

    def _said(self, mine: Sequence[Job]) -> str:
        made = datetime.fromtimestamp(self.run["created_at"]).astimezone().strftime("%Y-%m-%d %H:%M")
        if any(job.billed and job.state not in ENDS for job in mine):
            what = "this call pays for what had not been sent of it"
        elif paid := _paid(mine):
            what = f"{show_usd(paid)} of it was paid by this call"
        else:
            what = "nothing was paid by this call"
        return f"Joined run {self.run['id']} made {made} under key {self.run['key']!r}: {what}."

    # -- where it wants its clips ---------------------------------------------------------------------------------------

    def check(self) -> None:
        """Find out whether clips can be put where this call wants them: before it waits, or pays for what is left. Blocks.

        Raises:
            InvalidRequest, MissingCredentials: they cannot, or something else is there already.
        """
        target = self._target()
        if target is None or self._is_the_runs_own(target):
            return  # looked at when the run began
        if self.asked.call.detach:
            raise self._wrong(
                "goes with a call that waits: with detach=True nobody is left to put the clip there.",
                "Leave one of the two out.", "the output= of the call that began the run",
            )  # fmt: skip
        came = {row["sha256"] for row in self.services.ledger.outputs(self.run["id"])}
        file = target.file
        if file is not None and file.exists() and not (target.overwrite or _is_one_of(came, file)):
            raise self._taken()
        # What lies at a URL is compared with the clip once that is at hand.
        at_url = target.remote and bool(came)
        try:
            replace(target, overwrite=target.overwrite or at_url).check(self.asked.request.candidates)
        except VidorchError as error:
            raise self.tell_error(error) from error.__cause__

    def publish(self, result: Result) -> Result:
        """Put the clips where this call wants them, besides where they lie. Blocks.

        Raises:
            InvalidRequest: they are gone from where they lay, or something else is where they are to go.
            VidorchError: the disk or the store said no.
        """
        target = self._target()
        if target is None:
            return _look_for(result)
        several, own = len(result.candidates) > 1, self._is_the_runs_own(target)
        if not several or target.named is not None:
            clip, notes = self._put(result.clip, target, own, result.candidates)
            candidates = result.candidates if several else (clip,)
        else:
            put = [self._put(one, target, own, result.candidates) for one in result.candidates]
            candidates = tuple(one for one, _ in put)
            notes = [note for _, found in put for note in found]
            chosen = [
                one.job_id == result.clip.job_id and one.candidate == result.clip.candidate
                for one in candidates
            ]
            clip = candidates[chosen.index(True)]
        said = tuple(dict.fromkeys((*result.notes, *notes)))
        return replace(result, clip=clip, candidates=candidates, notes=said)

    def _put(
        self, clip: Clip, target: Target, own: bool, candidates: Sequence[Clip]
    ) -> tuple[Clip, list[str]]:
        """One clip at its new place, and what is to be said of it."""
        alone = target.named is not None
        place = target.place(clip.candidate, 1 if alone else self.asked.request.candidates, clip.endpoint, clip.model,
                             Path(clip.uri).suffix)  # fmt: skip
        here = None if target.remote else Path(place)
        lies = clip.path is None or clip.path.is_file()
        if clip.uri == place and lies:
            return clip, []
        if own and lies and (here is None or here.exists()):
            return clip, []  # the run itself put it beside what was there
        if here is not None and here.is_file() and clip.sha256 and _sha256(here) == clip.sha256:
            return replace(clip, path=here, uri=place), []
        if not lies:
            raise InvalidRequest(
                f"The clip of the run {clip.run_id} lay at {clip.uri} and is not there any more, so it cannot be put at {place}. "
                "Nothing was paid again.",
                hint="Put it back, or take another key: that makes the clip anew, and is paid.", field="output",
                value=self.asked.call.output, allowed="a run whose clip is still there", run_id=clip.run_id, job_id=clip.job_id,
            )  # fmt: skip
        name = clip.run_id if alone and len(candidates) > 1 else clip.job_id
        try:
            put = put_also(clip, target, name, beside=not alone or own or self.asked.parent is not None)
        except FileExistsError as error:
            raise self._taken(f" It lies at {clip.uri}.") from error
        except OSError as error:
            raise self._wrong(
                f"cannot be written: {error.strerror or error}. The clip lies at {clip.uri}. Nothing was paid again.",
                "Make room, or choose another place.", "a place that can be written",
            ) from error  # fmt: skip
        if put.ours:
            self.services.ledger.note(
                clip.run_id, clip.job_id, self.services.clock.now(), "copied", {"uri": put.uri}
            )
        return replace(clip, path=put.path, uri=put.uri), [put.note] if put.note else []

    def _target(self) -> Target | None:
        call = self.asked.call
        if call.output is None:
            return None
        own = run_folder(self.services.home, self.run["id"], self.run["created_at"])
        return target_of(
            call.output, call.overwrite, own, again=True, stills=self.asked.request.task == "image",
            line=self.asked.position,
        )  # fmt: skip

    def _is_the_runs_own(self, target: Target) -> bool:
        return bool(target.written(self.asked.call.output) == self.run["output"])

    def _taken(self, more: str = "") -> InvalidRequest:
        return self._wrong(
            f"exists already, and is not the clip of the run {self.run['id']}, which has the key {self.run['key']!r}.{more} "
            "Nothing was paid again.",
            "Pass overwrite=True (--overwrite), or another name.", "a file that does not exist yet",
        )  # fmt: skip

    def _wrong(self, what: str, hint: str, allowed: str) -> InvalidRequest:
        output = self.asked.call.output
        return InvalidRequest(
            f"output={output!r} {what}", hint=hint, field="output", value=output, allowed=allowed, run_id=self.run["id"]
        )  # fmt: skip


def _paid(jobs: Iterable[Job]) -> Decimal:
    return sum((job.cost for job in jobs if job.billed and job.cost is not None), Decimal(0))


def _look_for(result: Result) -> Result:
    """The result of a call that wants its clips nowhere else, with a word on those that somebody took away."""
    clips = {clip.uri: clip.path for clip in (result.clip, *result.candidates)}
    gone = [uri for uri, path in clips.items() if path is not None and not path.is_file()]
    notes = (f"The clip is not at {uri} any more; it was not made again." for uri in gone)
    return replace(result, notes=(*result.notes, *notes)) if gone else result


def _is_one_of(clips: Collection[str], path: Path) -> bool:
    return path.is_file() and _sha256(path) in clips


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
