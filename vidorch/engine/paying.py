"""What must hold before anything that costs money is written down, let alone sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal

from vidorch import price
from vidorch.budget import DEFAULT_CAP
from vidorch.engine.asked import Asked
from vidorch.engine.deciding import nothing_was_sent
from vidorch.engine.purchase import Purchase
from vidorch.engine.services import Services
from vidorch.errors import LedgerUnavailable, OverBudget
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import BEFORE_SENDING
from vidorch.live import must_not_be_a_test
from vidorch.money import from_micros, show_usd
from vidorch.result import Job

__all__ = ["in_its_words", "is_spending", "must_be_payable", "must_fit_again", "sending_nothing", "unwritten"]

SPENT_NOTHING = "Nothing was sent, and nothing was paid by this call."


@contextlib.contextmanager
def sending_nothing() -> Iterator[None]:
    """What a call does before its first byte leaves: should the ledger fail in here, the error says that nothing was paid.

    Raises:
        LedgerUnavailable: with that sentence.
    """
    try:
        yield
    except LedgerUnavailable as error:
        if SPENT_NOTHING in error.message:
            raise
        raise LedgerUnavailable(f"{error.message} {SPENT_NOTHING}", hint=error.hint) from error


def unwritten(error: LedgerUnavailable, job: Job) -> LedgerUnavailable:
    """The ledger's trouble as a job under way meets it: whether any of it was sent, and so may be paid for."""
    said, hint, charged = "", error.hint, None if job.billed else False
    if job.state in BEFORE_SENDING:
        said, charged = f"The job {job.id} was not sent, and nothing was paid for it.", False
    elif job.outlives_caller:
        said = f"The job {job.id} was sent before that, and may be paid for; it is not sent again."
        hint = f"{error.hint} Then: vidorch jobs resume {job.run_id}".lstrip()
    return LedgerUnavailable(
        f"{error.message} {said}".rstrip(), hint=hint, charged=charged, run_id=job.run_id, job_id=job.id,
        remote_id=job.remote_id, provider=job.provider,
    )  # fmt: skip


def is_spending(purchase: Purchase, services: Services) -> bool:
    """Whether what this costs is money, not only electricity: one's own hardware counts when its endpoint says so."""
    offer = purchase.offer
    return price.is_spending(offer, services.endpoint(offer.endpoint, offer.provider))


def must_be_payable(purchase: Purchase, services: Services) -> None:
    """What costs money needs a record that survives us, and is never bought by a test that did not mean to.

    Raises:
        LedgerUnavailable, LiveCallInTest: nothing was sent. Unsupported, MissingCredentials: its provider cannot be loaded.
    """
    provider = services.provider_of(purchase.offer.provider)
    if not is_spending(purchase, services):
        return
    if not services.ledger.durable:
        raise LedgerUnavailable(
            f"Paid work needs a ledger on disk, and none can be written. {SPENT_NOTHING}",
            hint="See `vidorch doctor`.",
        )
    if not provider.simulated:
        must_not_be_a_test(purchase.offer.name)


def must_fit_again(asked: Asked, run_id: str, ledger: Ledger, at: float) -> None:
    """Find out before a run that waits is taken up whether what is left of it can be paid: it could only fail after that.

    Raises:
        OverBudget: nothing was sent, and the run still waits.
    """
    jobs = ledger.jobs(run_id=run_id)
    unsent = [
        candidate for candidate in range(asked.request.candidates)
        if nothing_was_sent([job for job in jobs if job.candidate <= candidate < job.candidate + job.samples])
    ]  # fmt: skip
    firsts = [asked.entries[asked.order(candidate)[0]] for candidate in unsent]
    needed = sum((entry.cost.high for entry in firsts if entry.spending), Decimal(0))
    used = from_micros(ledger.spent(run_id).total)
    budgets = ledger.budgets(at, asked.call.scope)
    limits = [(state.budget.name, state.left) for state in budgets if state.budget.per != "call"]
    limits += [(state.budget.name, state.left - used) for state in budgets if state.budget.per == "call"]
    cap = asked.call.max_cost if asked.call.max_cost is not None else None if budgets else DEFAULT_CAP
    if cap is not None:
        limits.append(("max_cost", cap - used))
    for name, left in limits:
        if needed > left:
            room = max(left, Decimal(0))
            raise OverBudget(
                f"What was not sent of {run_id} may cost up to {show_usd(needed)}, and of "
                f"{'max_cost' if name == 'max_cost' else f'the budget {name!r}'} {show_usd(room)} is left. Nothing was sent; it "
                "still waits.",
                hint="Raise it." if name != "max_cost" else "Pass a higher max_cost; it counts what the run has cost so far.",
                needed=needed, available=room, budget=name, run_id=run_id,
            )  # fmt: skip


def in_its_words(error: OverBudget, asked: Asked, place: int) -> OverBudget:
    """The refusal, in the words of the request: with the offer's name, where one offer was to make it all."""
    planned = asked.entries[place]
    if error.needed != planned.cost.high * asked.request.candidates:
        return error
    return OverBudget(
        f"{planned.offer.name} {error.message.removeprefix('This ')}", hint=error.hint, needed=error.needed,
        available=error.available, budget=error.budget,
    )  # fmt: skip
