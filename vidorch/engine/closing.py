"""The end of a run: what is chosen among its clips and handed over, and what its caller is told."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidorch.call import SELECTORS
from vidorch.engine.carried import Carried
from vidorch.engine.handover import hand_over
from vidorch.engine.results import clips_of, published, read_result, result_of
from vidorch.engine.rows import as_json
from vidorch.errors import SubmissionUnknown, VidorchError
from vidorch.ledger.moves import ENDS, State
from vidorch.money import show_usd
from vidorch.offloop import in_thread, written
from vidorch.result import Job, Result

__all__ = ["Closing"]


class Closing:
    """Ends one run, or leaves it open for what is still to come."""

    def __init__(self, run: Carried) -> None:
        self._run = run
        self._ledger = run.services.ledger
        self._chosen: str | None = run.row.get("chosen_output")
        self.released = False
        """Whether the ledger knows that this process drives the run no more."""
        self._written = False

    # -- together with the only job ---------------------------------------------------------------------------------

    def with_last(
        self, job: Job, rows: Sequence[Mapping[str, Any]], notes: Sequence[str]
    ) -> Mapping[str, Any] | None:
        """The columns of a run of one clip, when this is it and nothing else is open. None: `close` is to see to the end."""
        run = self._run
        others = (one for one in run.jobs.values() if one.id != job.id)
        if (
            run.candidates > 1
            or len(rows) != 1
            or run.outputs
            or any(one.state not in ENDS for one in others)
        ):
            return None
        self._chosen = rows[0]["id"]
        return {"chosen_output": self._chosen, "notes": as_json(list(dict.fromkeys([*run.notes, *notes])))}

    def is_written(self) -> None:
        """The run has ended."""
        self._written = self.released = True

    # -- by itself --------------------------------------------------------------------------------------------------

    async def close(self, without_clip: str = "failed") -> None:
        """Choose among what came, hand it over, and end the run; or leave it to whoever takes it up.

        Args:
            without_clip: the state of a run that ends with none.
        """
        run = self._run
        if self._written:
            return
        if run.open_jobs():
            await self.release()
        elif self._waits():
            now, owner = run.services.clock.now(), run.services.host.owner
            await written(
                self._ledger.set_run(run.id, now, owner=owner, state="waiting", notes=as_json(run.notes))
            )
            await self.release()
        else:
            cancelled = run.cancelled or any(job.state == State.CANCELLED for job in run.jobs.values())
            await self._end("cancelled" if cancelled else without_clip)

    def _waits(self) -> bool:
        """Whether somebody may still want to send what was not sent. Work inside a process that ended is simply made again."""
        run = self._run
        return run.wants_submit and (
            run.row["key"] is not None or any(job.outlives_caller for job in run.jobs.values())
        )

    async def _end(self, without_clip: str) -> None:
        run = self._run
        chosen = await self._choose()
        self._chosen = chosen["id"] if chosen is not None else None
        handed_over = {}
        if chosen is not None and run.target.named is not None and run.candidates > 1:
            handed = await in_thread(hand_over, run.id, Path(chosen["uri"]), run.target)
            run.notes += [handed.note] if handed.note else []
            handed_over = {"output": handed.uri}
            run.row = {**run.row, **handed_over}
        await written(
            self._ledger.end_run(
                run.id,
                "finished" if chosen else without_clip,
                run.services.clock.now(),
                chosen_output=self._chosen,
                notes=as_json(list(dict.fromkeys(run.notes))),
                **handed_over,
            )
        )
        self.released = True

    async def _choose(self) -> Mapping[str, Any] | None:
        """The output to hand over: the first, unless a selection says otherwise. What it says of each is noted."""
        run = self._run
        rows = published(run.jobs.values(), run.outputs)
        select = run.asked.call.select if run.asked is not None else run.row["options"].get("select")
        if (
            len(rows) < 2
            or select in (None, "first")
            or (isinstance(select, str) and select not in SELECTORS)
        ):
            return rows[0] if rows else None
        from vidorch.selection import select_from

        try:
            image: Any = run.asked.request.image if run.asked is not None else None
            _, clips = clips_of(self._now(), run.jobs.values(), run.outputs)
            selection = await in_thread(select_from, select, clips, image=image)
        except VidorchError as error:
            run.notes.append(f"The first clip was taken, since the selection failed: {error.message}")
            return rows[0]
        run.notes += selection.notes
        said = zip(rows, selection.reports, strict=True)
        scores = {row["id"]: report.to_dict() for row, report in said if report is not None}
        self._ledger.score(scores)
        run.outputs = [{**row, "scores": scores.get(row["id"])} for row in run.outputs]
        return rows[selection.chosen]

    def _now(self) -> dict[str, Any]:
        """The run's row as far as a result needs it."""
        notes = list(dict.fromkeys(self._run.notes))
        return {**self._run.row, "chosen_output": self._chosen, "notes": notes}

    async def result(self) -> Result:
        """What its caller gets.

        Raises:
            VidorchError: no clip came; see `results.result_of`.
        """
        run = self._run
        more: Sequence[VidorchError] = [*run.errors, *self._questions()]
        if run.asked is None:
            return await in_thread(read_result, self._ledger, run.id, more)
        jobs = sorted(run.jobs.values(), key=lambda job: (job.candidate, job.attempt))
        return result_of({**self._now(), "estimate": run.asked.estimate}, jobs, run.outputs, more)

    def _questions(self) -> list[SubmissionUnknown]:
        """One clear word for every submit that nobody can tell about."""
        return [self._question(job) for job in self._run.jobs.values() if job.state == State.UNKNOWN]

    def _question(self, job: Job) -> SubmissionUnknown:
        return SubmissionUnknown(
            f"Whether {job.endpoint}/{job.model} accepted the job {job.id} is not known: "
            f"{(job.error_text or 'no answer came').rstrip('.')}. It is not sent again; its {show_usd(job.estimate_high)} stay "
            "reserved."
            + (f" It may be one of: {', '.join(job.possible_ids)}." if job.possible_ids else ""),
            hint=f"vidorch jobs resume {self._run.id} looks for it again; vidorch jobs adopt {job.id} ID, or "
            f"vidorch jobs settle {job.id} --charged USD (or --not-charged), closes it by hand.",
            possible_ids=job.possible_ids, run_id=self._run.id, job_id=job.id, provider=job.provider, code=job.error_code,
        )  # fmt: skip

    async def release(self) -> None:
        """Give the run and its jobs to whoever takes them up. `released` says whether that could be written."""
        run = self._run
        owner, now = run.services.host.owner, run.services.clock.now()
        with contextlib.suppress(VidorchError):
            await written(self._ledger.release(owner, now, job_ids=list(run.jobs), run_ids=[run.id]))
            self.released = True
