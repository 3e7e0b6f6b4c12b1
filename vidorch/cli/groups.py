"""The commands below `vidorch jobs` and `vidorch budget`, as they are typed."""

from __future__ import annotations

from typing import Annotated

import typer

from vidorch.cli.options import Json, Yes

__all__ = ["budget", "jobs"]

jobs = typer.Typer(help="What was made, what is open, and what to do about it.", no_args_is_help=True)
budget = typer.Typer(
    help="Limits on spending that hold for every process on this ledger.", no_args_is_help=True
)

RunOrJob = Annotated[
    str, typer.Argument(metavar="ID", help="A run or a job; the last letters of its id will do.")
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="A job; the last letters of its id will do.")]
YesToIt = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Scope = Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this scope.")]
OfScope = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose calls it holds for. Default: everybody's.")
]


@jobs.command("list")
def jobs_list(
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Only jobs in this state.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="Only jobs of this run.")] = None,
    scope: Scope = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", metavar="N", min=1, max=10_000, help="At most this many, newest first."
        ),
    ] = 20,
    json_: Json = False,
) -> None:
    """List jobs, newest first."""
    from vidorch.cli.jobs import list_jobs

    list_jobs(state=state, run=run, scope=scope, limit=limit, as_document=json_)


@jobs.command("show")
def jobs_show(id_: RunOrJob, json_: Json = False) -> None:
    """Show one run or job: what was asked, what it cost or holds, where the file is, and its history."""
    from vidorch.cli.jobs import show_job

    show_job(id_, as_document=json_)


@jobs.command("resume")
def jobs_resume(
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One run; the last letters will do. Default: all.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and take up whatever comes, until Ctrl-C or SIGTERM.")
    ] = False,
    json_: Json = False,
) -> None:
    """Take up runs that nobody carries: wait, fetch, settle. It never sends anything that costs."""
    from vidorch.cli.resume import resume

    resume(id_, watch=watch, as_document=json_)


@jobs.command("proceed")
def jobs_proceed(
    id_: RunOrJob,
    max_cost: Annotated[
        str | None,
        typer.Option(metavar="USD", help="The most the whole run may cost, with what it has cost so far."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="S", help="Seconds to wait at most.")] = None,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Send what was not sent of a run that waits, because its process ended before. It asks before it spends."""
    from vidorch.cli.generate import proceed

    proceed(id_, max_cost=max_cost, timeout=timeout, yes=yes, as_document=json_)


@jobs.command("cancel")
def jobs_cancel(id_: RunOrJob, yes: YesToIt = False, json_: Json = False) -> None:
    """Cancel a run or one job at its vendor. Says what that costs, and asks."""
    from vidorch.cli.acting import cancel

    cancel(id_, yes=yes, as_document=json_)


@jobs.command("adopt")
def jobs_adopt(
    id_: JobId,
    remote_id: Annotated[
        str, typer.Argument(metavar="REMOTE_ID", help="The vendor's id, as the vendor shows it.")
    ],
    json_: Json = False,
) -> None:
    """Say which job at the vendor an unknown one is; once more, if the id was wrong. `jobs resume` fetches it then."""
    from vidorch.cli.acting import adopt

    adopt(id_, remote_id, as_document=json_)


@jobs.command("settle")
def jobs_settle(
    id_: JobId,
    charged: Annotated[str | None, typer.Option(metavar="USD", help="What the vendor took for it.")] = None,
    not_charged: Annotated[
        bool,
        typer.Option(
            "--not-charged", help="The vendor took nothing; of an unknown job: its call may send it again."
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Close by hand a job that is unknown or lost, or whose cost was assumed: with what it cost, or as not charged."""
    from vidorch.cli.acting import settle

    settle(id_, charged=charged, not_charged=not_charged, as_document=json_)


@jobs.command("remote")
def jobs_remote(
    endpoint: Annotated[
        str, typer.Argument(metavar="ENDPOINT", help="Such as replicate, or a server of one's own.")
    ],
    scope: Annotated[str, typer.Option(metavar="NAME", help="Whose account.")] = "default",
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", metavar="N", min=1, max=2_000, help="At most this many, newest first."),
    ] = 20,
    json_: Json = False,
) -> None:
    """List what the vendor itself has of the account's jobs, those of others than this ledger, too. Costs nothing."""
    from vidorch.cli.remote import list_remote

    list_remote(endpoint, scope=scope, limit=limit, as_document=json_)


@jobs.command("delete")
def jobs_delete(
    id_: JobId,
    only_copy: Annotated[
        bool, typer.Option("--only-copy", help="Also where nothing of it was ever brought here.")
    ] = False,
    yes: YesToIt = False,
    json_: Json = False,
) -> None:
    """Delete the vendor's copy of a job that has ended. The clip here stays, nothing is refunded; it asks."""
    from vidorch.cli.remote import delete

    delete(id_, yes=yes, only_copy=only_copy, as_document=json_)


@jobs.command("prune")
def jobs_prune(
    before: Annotated[
        str,
        typer.Option("--before", metavar="WHEN", help="A day, such as 2027-01-31, or so many days ago."),
    ],
    yes: YesToIt = False,
    json_: Json = False,
) -> None:
    """Forget runs that ended before a day. Clips stay, what is open stays, and what was spent stays counted."""
    from vidorch.cli.acting import prune

    prune(before, yes=yes, as_document=json_)


@budget.command("set")
def budget_set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    amount: Annotated[str, typer.Argument(metavar="USD", help="What may be spent, such as 20.00.")],
    per: Annotated[
        str, typer.Option("--per", metavar="PERIOD", help="call, day, month (UTC) or total.")
    ] = "total",
    scope: OfScope = None,
    json_: Json = False,
) -> None:
    """Write a budget down, or change the one of that name."""
    from vidorch.cli.budget import set_budget

    set_budget(name, amount, per=per, scope=scope, as_document=json_)


@budget.command("list")
def budget_list(scope: Scope = None, json_: Json = False) -> None:
    """List the budgets: what is spent of each, held by what is open, and left."""
    from vidorch.cli.budget import list_budgets

    list_budgets(scope=scope, as_document=json_)


@budget.command("remove")
def budget_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    scope: OfScope = None,
    json_: Json = False,
) -> None:
    """Take a budget away."""
    from vidorch.cli.budget import remove_budget

    remove_budget(name, scope=scope, as_document=json_)
