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
    cls=_ListUnlessSaid,
    help="The catalog: what each model can do and costs, newer prices, and models of your own hardware.",
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


@models.command("show", hidden=True)
def models_show(name: Annotated[str, typer.Argument(metavar="MODEL")], json_: Json = False) -> None:
    """Show one model in full: `vidorch models MODEL`."""
    from vidorch.cli.models import Wanted
    from vidorch.cli.models import models as command

    command(name, Wanted(), everything=True, as_document=json_)


@models.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A model for your own hardware: wan-2.1-t2v-1.3b, ...")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before fetching.")] = False,
    json_: Json = False,
) -> None:  # fmt: skip
    """Fetch the weights of a model, after showing how much that is and where it goes.

    They come from the hub of open models (huggingface.co, or HF_ENDPOINT) into its own cache (HF_HOME), only the files that the
    model's pipeline loads. What is whole stays when it breaks off, and the same again goes on after it. Nothing is asked of the
    hub when the model runs. HF_TOKEN opens what is private, and what is gated once its terms were agreed to.
    """
    from vidorch.cli.pulling import pull

    pull(name, yes=yes, as_document=json_)


@models.command("add")
def models_add(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder in diffusers' format, or a hub id such as owner/name.")
    ],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="What it is called from then on.")],
    like: Annotated[
        str, typer.Option(metavar="MODEL", help="What it is a fine-tune of: sizes, lengths, settings and memory are its.")
    ],
    lora: Annotated[
        list[str] | None,
        typer.Option(
            "--lora",
            metavar="L",
            help="Laid over it: SOURCE[:FILE][:SCALE][@high|@low], such as style.safetensors:0.8. May be said several times.",
        ),
    ] = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Make a fine-tune a model of your own, written to models.toml in the configuration folder."""
    from vidorch.cli.adding import add

    add(source, name, like, lora or [], as_document=json_)


@models.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model that `vidorch models add` was given.")],
    json_: Json = False,
) -> None:  # fmt: skip
    """Forget a model of your own. Its weights stay where they are."""
    from vidorch.cli.adding import remove

    remove(name, as_document=json_)
