"""Options that `generate` and `estimate` share, declared once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from vidorch.errors import InvalidRequest

__all__ = [
    "AspectRatio", "Audio", "AudioTrack", "BatchFile", "Camera", "Candidates", "Duration", "Fit", "Guidance", "Image", "Json",
    "LastImage", "MaxCost", "Model", "NegativePrompt", "Prompt", "Reference", "Resolution", "Route", "Seed", "Size",
    "Steps", "Task", "Video", "Yes", "given", "tags_of",
]  # fmt: skip

Prompt = Annotated[
    str | None, typer.Argument(metavar="[PROMPT]", help="What to show; or a file of requests, with --batch.")
]
BatchFile = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="FILE",
        help="Many requests as one call: JSON lines with options of their own, or one prompt a line; - for stdin.",
    ),
]
Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="Model or endpoint/model; repeat for an order. Default: the built-in model.",
    ),
]
Route = Annotated[
    str | None,
    typer.Option(
        metavar="HOW", help="cheapest or fastest: which of the models that can do it. Without -m, of all."
    ),
]
Task = Annotated[
    str | None, typer.Option(metavar="T", help="extend, edit, restyle, lipsync, motion, upscale or image.")
]
Image = Annotated[str | None, typer.Option(metavar="F", help="First frame: a file or https URL.")]
LastImage = Annotated[str | None, typer.Option(metavar="F", help="Last frame, with --image.")]
Reference = Annotated[
    list[str] | None, typer.Option("--reference", metavar="F", help="Reference image; repeat for more.")
]
Video = Annotated[
    str | None,
    typer.Option(metavar="F", help="Source video, with --task: a file, a URL, or a run or job by its id."),
]
AudioTrack = Annotated[str | None, typer.Option(metavar="F", help="Driving sound.")]
Duration = Annotated[
    float | None, typer.Option(metavar="S", help="Seconds. Default: the legal length nearest to 5.")
]
Resolution = Annotated[
    str | None, typer.Option(metavar="R", help="480p, 720p, 1080p, 4k, ... Default: nearest to 720p.")
]
AspectRatio = Annotated[
    str | None, typer.Option(metavar="A", help="16:9, 9:16, 1:1, ... Default: the image's, else 16:9.")
]
Size = Annotated[
    str | None, typer.Option(metavar="WxH", help="Pixels, instead of --resolution and --aspect-ratio.")
]
Audio = Annotated[
    bool | None, typer.Option("--audio/--no-audio", help="Native sound. Default: off where it can be chosen.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Candidate i gets N + i.")]
NegativePrompt = Annotated[str | None, typer.Option(metavar="TEXT", help="What to avoid.")]
Camera = Annotated[str | None, typer.Option(metavar="TEXT", help="How the camera moves.")]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Denoising steps, for models that take them.")]
Guidance = Annotated[float | None, typer.Option(metavar="X", help="Prompt weight, for models that take it.")]
Fit = Annotated[
    str | None,
    typer.Option(metavar="HOW", help="strict, exact (longer, trimmed) or nearest. Default: within 0.5 s."),
]
Candidates = Annotated[
    int | None, typer.Option("--candidates", "-n", metavar="N", help="How many clips to make.")
]
MaxCost = Annotated[str | None, typer.Option(metavar="USD", help="The most this may cost. Default: 5.00.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def given(**options: Any) -> dict[str, Any]:
    """Only what was given on the command line, under the library's names."""
    if references := options.pop("reference", None):
        options["reference_images"] = references
    return {name: value for name, value in options.items() if value is not None and value != []}


def tags_of(words: Sequence[str] | None) -> dict[str, str] | None:
    """`K=V` words as a mapping.

    Raises:
        InvalidRequest: a word without a name or an equals sign, or one name twice.
    """
    if not words:
        return None
    tags: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip() or name.strip() in tags:
            raise InvalidRequest(
                f"--tag {word!r} cannot be used. Allowed is NAME=VALUE, each name once.", field="tags", value=word,
                allowed="NAME=VALUE, each name once",
            )  # fmt: skip
        tags[name.strip()] = value
    return tags
