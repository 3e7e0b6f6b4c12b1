"""The commands below `vidorch models`, as they are typed. Without one of them it is `list`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vidorch.cli.options import Json

__all__ = ["models"]


class _ListUnlessSaid(TyperGroup):
    """`vidorch models gen4.5` and `vidorch models --task edit` are `vidorch models list ...`: no model is called `update`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["list", *args]
        return super().parse_args(ctx, args)


models = typer.Typer(
    cls=_ListUnlessSaid, help="The catalog: what each model can do, what it costs, and newer prices."
)


@models.command("list", epilog="`list` may be left out. Newer prices: vidorch models update --help")
def models_list(
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Show one model in full.")] = None,
    task: Annotated[
        str | None, typer.Option(metavar="T", help="Only those that do it: text-to-video, image-to-video, edit, ...")
    ] = None,
    audio: Annotated[
        bool | None, typer.Option("--audio/--no-audio", help="Only those that can make sound, or a silent clip.")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="R", help="Only those that make it: 720p, 1080p, 4k, ...")
    ] = None,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="USD",
            help="Only those of which a second of output costs less. Compared is a clip of 5 s (or of the legal length nearest "
            "to it), bought in the cheapest way that --task, --audio and --resolution leave: its cost divided by its seconds.",
        ),
    ] = None,
    live_on: Annotated[
        str | None,
        typer.Option("--live-on", metavar="DAY", help="Only those that nobody says will have ended by then: 2026-12-31."),
    ] = None,
    family: Annotated[str | None, typer.Option(metavar="NAME", help="Only this family: kling, veo, wan, ...")] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="NAME", help="Only at this endpoint: fal, vertex, ...")] = None,
    ready: Annotated[bool, typer.Option("--ready", help="Only those that can be used here: their key is set.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Retired models, too.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="What needs a look instead: prices read over 90 days ago or confirmed by nobody, models that have ended or will "
            "within 30 days. Ends with 1 if there is anything.",
        ),
    ] = False,
    json_: Json = False,
) -> None:  # fmt: skip
    """List the catalog: what each model can do, what it costs, and whether it can be used here.

    Options hold together, for one and the same way to buy a clip: a model whose 1080p is silent is not listed for
    `--audio --resolution 1080p`.
    """
    from vidorch.cli.models import Wanted
    from vidorch.cli.models import models as command

    wanted = Wanted(task, audio, resolution, under, live_on, family, endpoint, ready)
    if check:
        from vidorch.cli.checking import check as command_of_check

        command_of_check(name, wanted, as_document=json_)
    else:
        command(name, wanted, everything=all_, as_document=json_)


@models.command("update")
def models_update(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file or https URL in the format of LiteLLM's model_prices_and_context_window.json; or fal, which is asked "
            "with your key.",
        ),
    ],
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DAY",
            help="The day that its prices are of. Default: of a file the day it was last changed, else today.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before writing.")] = False,
    json_: Json = False,
) -> None:  # fmt: skip
    """Take in newer prices, after showing what would change and what would not."""
    from vidorch.cli.updating import update

    update(source, as_of=as_of, yes=yes, as_document=json_)
