"""The commands, and what happens when one fails: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any

import typer

from vidorch.cli.exits import Exit, exit_of
from vidorch.cli.options import (
    AspectRatio,
    Audio,
    AudioTrack,
    Camera,
    Candidates,
    Duration,
    Fit,
    Guidance,
    Image,
    Json,
    LastImage,
    MaxCost,
    Model,
    NegativePrompt,
    Prompt,
    Reference,
    Resolution,
    Seed,
    Size,
    Steps,
    Task,
    Video,
    given,
)
from vidorch.cli.say import as_json, aside, error_document, print_anything, show_error
from vidorch.errors import VidorchError
from vidorch.surroundings import surroundings

__all__ = ["app", "run"]

app = typer.Typer(
    name="vidorch",
    help="Make video with any AI model: know the price first, pay once, lose nothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
jobs = typer.Typer(help="What was made, by the ledger.", no_args_is_help=True)
app.add_typer(jobs, name="jobs")


@app.command()
def generate(
    prompt: Prompt,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File ending in .mp4, a folder, or a URL of one."
        ),
    ] = None,
    model: Model = None,
    task: Task = None,
    image: Image = None,
    last_image: LastImage = None,
    reference: Reference = None,
    video: Video = None,
    audio_track: AudioTrack = None,
    duration: Duration = None,
    resolution: Resolution = None,
    aspect_ratio: AspectRatio = None,
    size: Size = None,
    audio: Audio = None,
    seed: Seed = None,
    negative_prompt: NegativePrompt = None,
    camera: Camera = None,
    steps: Steps = None,
    guidance: Guidance = None,
    fit: Fit = None,
    candidates: Candidates = None,
    select: Annotated[
        str | None, typer.Option(metavar="NAME", help="How to choose among candidates (not open yet).")
    ] = None,
    max_cost: MaxCost = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="K", help="Name of this run, so that it is made once (not open yet)."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="S", help="Seconds to wait at most.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output file if it is there.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")] = False,
    json_: Json = False,
) -> None:
    """Make a clip. With no --model the built-in one runs: no key, no GPU, no download, no cost."""
    from vidorch.cli.generate import generate as command

    options = given(
        model=model, task=task, image=image, last_image=last_image, reference=reference, video=video, audio_track=audio_track,
        duration=duration, resolution=resolution, aspect_ratio=aspect_ratio, size=size, audio=audio, seed=seed,
        negative_prompt=negative_prompt, camera=camera, steps=steps, guidance=guidance, fit=fit, candidates=candidates,
        select=select, max_cost=max_cost, key=key, timeout=timeout, output=output,
    )  # fmt: skip
    command(prompt, options, overwrite=overwrite, yes=yes, as_document=json_)


@app.command()
def estimate(
    prompt: Prompt,
    model: Model = None,
    task: Task = None,
    image: Image = None,
    last_image: LastImage = None,
    reference: Reference = None,
    video: Video = None,
    audio_track: AudioTrack = None,
    duration: Duration = None,
    resolution: Resolution = None,
    aspect_ratio: AspectRatio = None,
    size: Size = None,
    audio: Audio = None,
    seed: Seed = None,
    negative_prompt: NegativePrompt = None,
    camera: Camera = None,
    steps: Steps = None,
    guidance: Guidance = None,
    fit: Fit = None,
    candidates: Candidates = None,
    max_cost: MaxCost = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Every model that can serve the request, cheapest first.")
    ] = False,
    json_: Json = False,
) -> None:
    """Say what a clip would cost and how long it would take. Spends nothing, needs no key and no network."""
    from vidorch.cli.estimate import estimate as command

    options = given(
        model=model, task=task, image=image, last_image=last_image, reference=reference, video=video, audio_track=audio_track,
        duration=duration, resolution=resolution, aspect_ratio=aspect_ratio, size=size, audio=audio, seed=seed,
        negative_prompt=negative_prompt, camera=camera, steps=steps, guidance=guidance, fit=fit, candidates=candidates,
        max_cost=max_cost,
    )  # fmt: skip
    command(prompt, options, compare=compare, as_document=json_)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Show one model in full.")] = None,
    task: Task = None,
    all_: Annotated[bool, typer.Option("--all", help="Retired models, too.")] = False,
    json_: Json = False,
) -> None:
    """List the catalog: what each model can do, what it costs, and whether it can be used here."""
    from vidorch.cli.models import models as command

    command(name, task=task, everything=all_, as_document=json_)


@jobs.command("list")
def jobs_list(
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Only jobs in this state.")] = None,
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

    list_jobs(state=state, limit=limit, as_document=json_)


@jobs.command("show")
def jobs_show(
    id_: Annotated[
        str, typer.Argument(metavar="ID", help="A run or a job; the last letters of its id will do.")
    ],
    json_: Json = False,
) -> None:
    """Show one run or job: what was asked, what it cost, where the file is, and its history."""
    from vidorch.cli.jobs import show_job

    show_job(id_, as_document=json_)


@app.command()
def doctor(json_: Json = False) -> None:
    """Check this installation: files, ledger, video codecs, the built-in model, catalog, providers and keys. Costs nothing."""
    from vidorch.cli.doctor import doctor as command

    command(as_document=json_)


def _version(wanted: bool) -> None:
    if wanted:
        import vidorch

        print(f"vidorch {vidorch.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command that was typed and exit with its code."""
    print_anything()
    warnings.showwarning = _warn
    wants_json = "--json" in sys.argv[1:]
    try:
        try:
            surroundings()  # VIDORCH_MOCK holds for commands that make no client, too
            app(prog_name="vidorch")
        finally:
            sys.stdout.flush()  # here, where a closed pipe is caught; at exit Python would print a traceback
    except VidorchError as error:
        if wants_json:
            as_json(error_document(error))
        else:
            show_error(error)
        sys.exit(exit_of(error))
    except KeyboardInterrupt:
        aside("Interrupted.")
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # `vidorch models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
    except Exception as error:
        if os.environ.get("VIDORCH_DEBUG"):
            raise
        aside(f"vidorch failed in a way it should not: {type(error).__name__}: {error}")
        aside("Set VIDORCH_DEBUG=1 to see where, and please report it.")
        sys.exit(Exit.BUG)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    aside(f"Warning: {message}")
