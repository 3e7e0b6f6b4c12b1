"""Jobs called off from here that another process drives: it will see the end of them, and begin nothing more."""

from __future__ import annotations

import contextlib

from vidorch.contract import Accepted
from vidorch.engine.masking import mask
from vidorch.engine.purchase import Purchase
from vidorch.engine.services import Services
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.home import run_folder
from vidorch.ledger.ledger import MovedMeanwhile
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.offloop import in_thread, written
from vidorch.result import Job

__all__ = ["cancel_elsewhere"]


async def cancel_elsewhere(services: Services, run_id: str, job_id: str | None) -> list[VidorchError]:
    """Call off what another process has at work in a run, and end the run, unless it is one job alone.

    Returns:
        What kept a vendor from being asked, or from cancelling; all the others were asked.

    Raises:
        InvalidRequest: it works inside another process that lives. Nothing was called off.
    """
    now = services.clock.now()
    jobs = await in_thread(lambda: services.ledger.jobs(run_id=run_id))
    at_work = [job for job in jobs if job.state not in ENDS and job_id in (None, job.id)]
    if any(not job.outlives_caller for job in at_work):
        raise InvalidRequest(
            f"The run {run_id} works inside another process and can only be stopped there.", field="run_id", value=run_id,
            allowed="a run of this process, or one of a hosted model",
        )  # fmt: skip
    if job_id is None:
        await written(services.ledger.end_run(run_id, "cancelled", now))  # its owner begins nothing more
    problems: list[VidorchError] = []
    for job in at_work:
        try:
            await _cancel(services, job, now)
        except VidorchError as error:
            problems.append(error)
    return problems


async def _cancel(services: Services, job: Job, now: float) -> None:
    if job.state in BEFORE_SENDING:
        with contextlib.suppress(MovedMeanwhile):
            await written(services.ledger.move(job, State.CANCELLED, now, changes={"charged": 0}))
    elif job.remote_id is not None:
        purchase = Purchase.of_job(job, services.offers())
        accepted = Accepted(job.remote_id, job.quote, dict(job.details))
        folder = run_folder(services.home, job.run_id, job.created_at)
        context = services.context(job, purchase, folder)
        try:
            await services.provider_of(job.provider).cancel(context, accepted)
        except Exception as error:
            mask(error, context.secret)
            raise
