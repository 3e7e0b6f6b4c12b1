"""Nothing is spent unasked: the estimate, and the question, or the word that stands for it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import typer

from vidorch.call import Call
from vidorch.cli.books import reading
from vidorch.cli.estimate import show_estimate
from vidorch.cli.exits import Exit
from vidorch.cli.say import as_json, aside, is_terminal
from vidorch.engine.asked import Asked
from vidorch.engine.deciding import has_unsent
from vidorch.money import show_usd

__all__ = ["agree", "confirmed", "must_say_yes"]


def agree(
    asked: Asked, *, yes: bool, as_document: bool, used: Decimal = Decimal(0), capped: bool = True
) -> Call:
    """The call as it may be carried out: with the amount that somebody said yes to as its cap.

    Args:
        used: USD that its run has cost or holds already. capped: whether its `max_cost` was typed, which is a word of consent;
            one of the configuration is none.

    Raises:
        typer.Exit: nobody said yes; the estimate was printed.
    """
    call, plan, estimate = asked.call, asked.plan, asked.estimate
    unpriced = any(entry.unpriced for entry in plan.entries)
    needed = asked.at_most
    if (
        yes
        or not (needed or unpriced)
        or (capped and call.max_cost is not None and not unpriced)
        or _is_paid_already(call)
    ):
        return call
    if not is_terminal() or as_document:
        show_estimate(estimate, as_document=as_document)
        aside("Nobody knows what this costs. Pass --yes to buy it all the same. Nothing was spent." if unpriced
              else "This costs money. Pass --yes, or --max-cost with the most it may cost. Nothing was spent.")  # fmt: skip
        raise typer.Exit(Exit.NOT_CONFIRMED)
    show_estimate(estimate, as_document=False, stderr=True)
    question = "Spend what nobody knows?" if unpriced else f"Spend up to {show_usd(needed)}?"
    if needed and (first := asked.at_first) < needed:
        aside(
            f"{show_usd(first)} at first; the rest is for what you allowed to be bought after that, if it is."
        )
    if not confirmed(question):
        aside("Nothing was spent.")
        raise typer.Exit(Exit.NOT_CONFIRMED)
    if unpriced:
        return call
    agreed = used + needed  # what was said yes to, and no more
    return replace(call, max_cost=agreed if call.max_cost is None else min(call.max_cost, agreed))


def _is_paid_already(call: Call) -> bool:
    """Whether the run of this call's key has nothing left to send: joining it spends nothing."""
    if call.key is None:
        return False
    with reading() as ledger:
        run = None if ledger is None else ledger.run_by_key(call.scope, call.key)
        if ledger is None or run is None:
            return False
        jobs = ledger.jobs(run_id=run["id"])
    return not has_unsent(run["candidates"], jobs)


def must_say_yes(question: str, *, yes: bool, otherwise: str, document: Any = None) -> None:
    """Ask before something that cannot be taken back; off a terminal, `--yes` has to be there.

    Args:
        otherwise: what is said when nobody says yes. document: what `--json` prints then.

    Raises:
        typer.Exit: nobody said yes.
    """
    if yes:
        return
    if is_terminal() and document is None:
        if confirmed(question):
            return
        aside(otherwise)
    else:
        if document is not None:
            as_json(document)
        aside(f"{otherwise} Pass --yes to do it.")
    raise typer.Exit(Exit.NOT_CONFIRMED)


def confirmed(question: str) -> bool:
    """Whether a person says yes."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-D, Ctrl-C
        aside("")
        return False
