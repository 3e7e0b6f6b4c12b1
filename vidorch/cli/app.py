"""The commands, and what happens when one fails: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Annotated, Any

import typer

from vidorch.cli.exits import Exit, exit_of
from vidorch.cli.groups import budget, jobs
from vidorch.cli.market import models
from vidorch.cli.options import (
    AspectRatio,
    Audio,
    AudioTrack,
    BatchFile,
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
    Route,
    Seed,
    Size,
    Steps,
    Task,
    Video,
    Yes,
    given,
    tags_of,
)
from vidorch.cli.say import as_json, aside, error_document, mute, print_anything, show_error
from vidorch.errors import InvalidRequest, VidorchError
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
app.add_typer(models, name="models")
app.add_typer(jobs, name="jobs")
app.add_typer(budget, name="budget")


@app.command()
def generate(
    prompt: Prompt = None,
    batch: BatchFile = None,
    at_once: Annotated[
        int | None,
        typer.Option(
            "--at-once",
            metavar="N",
            min=1,
            max=10_000,
            help="Lines of a batch under way at the same time. Default: 256.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File ending in .mp4, a folder, or a URL of one."
        ),
    ] = None,
    model: Model = None,
    route: Route = None,
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
        str | None,
        typer.Option(
            metavar="NAME", help="Which of several clips to hand over: first (default) or consistency."
        ),
    ] = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Start the candidates on different models of the list.")
    ] = False,
    max_cost: MaxCost = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="K", help="Name of this run: the same call with it, from anywhere, pays nothing twice."
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(metavar="N", help="Jobs that may be bought again after one that failed. Default: 0."),
    ] = None,
    refill: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="The same with another seed, also for clips that were withheld. Default: 0."
        ),
    ] = None,
    retry_refused: Annotated[
        int | None,
        typer.Option(metavar="N", help="How often a refused candidate is tried again. Default: 0."),
    ] = None,
    on_unknown: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="stop (default), or next: pay the next model although a lost submit may still bring its clip.",
        ),
    ] = None,
    fallback_on_refusal: Annotated[
        bool, typer.Option("--fallback-on-refusal", help="Go on to the next model after a refusal.")
    ] = False,
    allow_unpriced: Annotated[
        bool,
        typer.Option(
            "--allow-unpriced", help="Also take models whose price nobody knows; no cap holds for them."
        ),
    ] = False,
    scope: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Whose budgets and keys. Keys of the environment are those of 'default'."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="K=V", help="Kept with the run; repeat for more.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds to wait at most; what is at a vendor goes on after that."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="Print the run's id once everything is sent, and let go; `jobs resume` gets it back.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output file if it is there.")
    ] = False,
    yes: Yes = False,
    json_: Json = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="With --batch: print a JSON line for each result, as it comes.")
    ] = False,
) -> None:
    """Make a clip. With no --model the built-in one runs: no key, no GPU, no download, no cost."""
    from vidorch.cli.clips import with_clip
    from vidorch.cli.generate import generate as command

    options = given(
        model=model, route=route, task=task, image=image, last_image=last_image, reference=reference, video=video,
        audio_track=audio_track, duration=duration, resolution=resolution, aspect_ratio=aspect_ratio, size=size,
        audio=audio, seed=seed,
        negative_prompt=negative_prompt, camera=camera, steps=steps, guidance=guidance, fit=fit, candidates=candidates,
        select=select, spread=spread or None, max_cost=max_cost, key=key, retries=retries, refill=refill,
        retry_refused=retry_refused, on_unknown=on_unknown, fallback_on_refusal=fallback_on_refusal or None,
        allow_unpriced=allow_unpriced or None, scope=scope, tags=tags_of(tag), timeout=timeout, detach=detach or None,
        overwrite=overwrite or None, output=output,
    )  # fmt: skip
    if batch is not None or prompt is None:
        from vidorch.cli.batch import generate_batch, one_of

        one_of(prompt, batch)
        generate_batch(
            str(batch), with_clip(options), at_once=at_once, yes=yes, as_document=json_, as_lines=jsonl
        )
        return
    if at_once is not None or jsonl:
        raise InvalidRequest(
            "--at-once and --jsonl go with --batch.",
            field="at_once",
            value=at_once,
            allowed="--batch FILE with it",
        )
    command(prompt, with_clip(options), yes=yes, as_document=json_)


@app.command()
def estimate(
    prompt: Prompt = None,
    batch: BatchFile = None,
    model: Model = None,
    route: Route = None,
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
        bool,
        typer.Option(
            "--compare",
            help="Every model that can serve the request, cheapest first; what makes only longer clips, cut (--fit exact).",
        ),
    ] = False,
    family: Annotated[
        list[str] | None,
        typer.Option("--family", metavar="F", help="With --compare: kling, veo, wan, ...; repeat for more."),
    ] = None,
    clips: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="A film of N clips like this one: cost of all, time of one."),
    ] = 1,
    everything: Annotated[
        bool,
        typer.Option("--all", help="With --compare: each note, and why each of the others was left out."),
    ] = False,
    json_: Json = False,
) -> None:
    """Say what a clip would cost and how long it would take. Spends nothing, needs no key and no network."""
    from vidorch.cli.clips import with_clip
    from vidorch.cli.comparing import compare as comparison
    from vidorch.cli.estimate import estimate as command

    options = given(
        model=model, route=route, task=task, image=image, last_image=last_image, reference=reference, video=video,
        audio_track=audio_track, duration=duration, resolution=resolution, aspect_ratio=aspect_ratio, size=size,
        audio=audio, seed=seed,
        negative_prompt=negative_prompt, camera=camera, steps=steps, guidance=guidance, fit=fit, candidates=candidates,
        max_cost=max_cost,
    )  # fmt: skip
    if (family or everything) and not compare:
        raise InvalidRequest(
            "--family and --all go with --compare.", hint="Add --compare, or leave them out."
        )
    if batch is not None or prompt is None:
        from vidorch.cli.batch import estimate_batch, one_of

        one_of(prompt, batch)
        if compare or clips > 1:
            name = "compare" if compare else "clips"
            raise InvalidRequest(
                f"--{name} goes with one PROMPT.",
                field=name,
                value=True if compare else clips,
                allowed="PROMPT with it",
            )
        estimate_batch(str(batch), with_clip(options), as_document=json_)
        return
    if not compare:
        command(prompt, with_clip(options), clips=clips, as_document=json_)
        return
    comparison(
        prompt,
        with_clip(options),
        families=family or (),
        clips=clips,
        everything=everything,
        as_document=json_,
    )


@app.command()
def doctor(json_: Json = False) -> None:
    """Check files, ledger, codecs, built-in model and catalog, and ask vendors whether they take the keys that are set. Free."""
    from vidorch.cli.doctor import doctor as command

    command(as_document=json_)


@app.command()
def spend(
    by: Annotated[str, typer.Option(metavar="WHAT", help="day, model, endpoint, scope or tag.")] = "model",
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="From this day on, such as 2026-11-01 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="Until the day before this one.")] = None,
    scope: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tenant's.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="One row for each line, for a spreadsheet.")] = False,
    json_: Json = False,
) -> None:
    """Say what was spent, how right the estimates were, and how long clips took."""
    from vidorch.cli.spend import spend as command

    command(by, since=since, until=until, scope=scope, as_csv=csv, as_document=json_)


@app.command()
def config(
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Let this project's vidorch.toml say anything, as long as it stays as it is now."
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Show each setting and where it came from: your own file, the project's vidorch.toml, or the environment."""
    from vidorch.cli.config import config as command

    command(trusts=trust, as_document=json_)


@app.command()
def setup(
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="fal, gemini, kling, replicate, runway, ...")
    ],
    variable: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of its variables to keep. Default: its first.")
    ] = None,
) -> None:
    """Ask for a vendor's key, try it by a call that costs nothing, and keep it in a file that only you can read."""
    from vidorch.cli.config import setup as command

    command(provider, variable=variable)


@app.command("mock-server")
def mock_server(
    provider: Annotated[
        str,
        typer.Option(
            "--provider", metavar="NAME", help="fal, gemini, kling, openai, replicate, runway or vertex."
        ),
    ],
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Default: a free one.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[OP=]FAULT[xN]",
            help="What goes wrong with the next request for something, or the next N: submit=reset-after, poll=gateway-502x3. "
            "A bare status is the vendor's own error at the submit: 503x2.",
        ),
    ] = None,
    ending: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help="Of every job: done, failed, refused (withheld after it was made), cancelled, slow (never over) or rejected "
            "(the submit is not taken).",
        ),
    ] = "done",
    after: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="How long every job takes. Default: two looks.")
    ] = 0.0,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Let a quarter of all requests go wrong by chance, the same each time for the same N.",
        ),
    ] = None,
    forward_to: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Post webhooks here instead of to where submits say; their query is kept."
        ),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With openai: whose dialect is spoken, vllm-omni or sglang. Default: OpenAI's own.",
        ),
    ] = "",
    json_: Json = False,
) -> None:
    """Serve a vendor's wire on this machine, strict and with faults, to develop against without a key and without paying."""
    from vidorch.cli.mockserver import Behaviour
    from vidorch.cli.mockserver import mock_server as command

    behaviour = Behaviour(ending, after, tuple(fault or ()), seed, forward_to, server)
    command(provider, behaviour, port=port, as_document=json_)


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
    except KeyboardInterrupt:  # before anything was begun, or after its end
        aside("Interrupted.")
        if wants_json:
            as_json({"error": {"type": "Interrupted", "message": "Interrupted.", "charged": None}})
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:
        if _is_nobody_reading(error):  # `vidorch models | head`, or a terminal that was closed
            mute(sys.stdout)
            sys.exit(Exit.FAILED)
        if os.environ.get("VIDORCH_DEBUG"):
            raise
        aside(f"vidorch failed in a way it should not: {type(error).__name__}: {error}")
        aside("Set VIDORCH_DEBUG=1 to see where, and please report it.")
        sys.exit(Exit.BUG)


def _is_nobody_reading(error: Exception) -> bool:
    return isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EIO)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    aside(f"Warning: {message}")
