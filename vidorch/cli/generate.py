"""`vidorch generate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vidorch.call import parse
from vidorch.cli.estimate import show_estimate
from vidorch.cli.exits import Exit
from vidorch.cli.say import as_json, aside, is_terminal
from vidorch.client import Client
from vidorch.money import show_usd

if TYPE_CHECKING:
    from vidorch.result import Progress, Result

__all__ = ["generate"]


def generate(prompt: str, options: dict[str, Any], *, overwrite: bool, yes: bool, as_document: bool) -> None:
    """Estimate, ask where it costs money, make it, and say where it is."""
    if overwrite:
        options["overwrite"] = True
    request, call = parse(prompt, options)
    with Client() as client:
        _, estimate = client.prepare(request, call)
        if estimate.cost is not None and estimate.cost.high > 0 and not yes and call.max_cost is None:
            if not is_terminal() or as_document:
                show_estimate(estimate, as_document=as_document)
                aside("This costs money. Pass --yes, or --max-cost with the most it may cost. Nothing was spent.")
                raise typer.Exit(Exit.NOT_CONFIRMED)
            show_estimate(estimate, as_document=False, stderr=True)
            if not typer.confirm(f"Spend up to {show_usd(estimate.cost.high)}?", err=True):
                aside("Nothing was spent.")
                raise typer.Exit(Exit.NOT_CONFIRMED)
        with _Display(enabled=not as_document) as display:
            run = client.submit(prompt, **options, on_progress=display.show)
            try:
                result = run.wait(call.timeout)
            except KeyboardInterrupt:
                display.stop()
                run.cancel()
                aside(f"Interrupted; the run {run.id} was cancelled.")
                raise typer.Exit(Exit.INTERRUPTED) from None
        if as_document:
            as_json(result.to_dict())
        else:
            _show(result)


def _show(result: Result) -> None:
    clip = result.clip
    fps = f", {float(clip.fps):g} fps" if clip.fps else ""
    cost = "free" if clip.cost == 0 else f"{show_usd(result.cost)} ({clip.cost_basis})"
    seed = "" if clip.seed is None else f" · seed {clip.seed}"
    aside(
        f"{clip.endpoint}/{clip.model} · {clip.duration:.1f} s, {clip.width}x{clip.height}{fps}{seed} · {cost} · made in {clip.latency:.1f} s"
    )
    for note in result.notes:
        aside(f"Note: {note}")
    for failure in result.failures:
        aside(f"A candidate failed: {failure}")
    for one in result.candidates:
        print(_short(one.path) if one.path is not None else one.uri)


def _short(path: Path) -> str:
    """Relative to where the person stands, when it lies below that."""
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)


class _Display:
    """Live progress on a terminal: stage, percent, time left. Silent elsewhere."""

    def __init__(self, *, enabled: bool) -> None:
        self._bar: Any = None
        self._task: Any = None
        if enabled and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            self._bar = Progress(
                TextColumn("{task.description:<12}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}"),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip

    def __enter__(self) -> _Display:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("starting", total=1.0, left="")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, progress: Progress) -> None:
        """Called by the run, from another thread."""
        if self._bar is None:
            return
        left = "" if progress.eta is None else f"{progress.eta:.0f} s left"
        many = f" {progress.done}/{progress.total}" if progress.total > 1 else ""
        self._bar.update(self._task, description=progress.stage + many, completed=progress.fraction or 0.0, left=left)
