"""`vidorch generate`."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import typer

from vidorch.call import parse
from vidorch.cli.estimate import show_estimate
from vidorch.cli.exits import Exit
from vidorch.cli.say import as_json, aside, is_terminal
from vidorch.client import Client
from vidorch.errors import TimedOut, VidorchError
from vidorch.money import show_usd

if TYPE_CHECKING:
    from vidorch.result import Progress, Result

__all__ = ["generate"]

SECONDS_TO_STOP = 10.0  # a step of the built-in model takes a tenth of one


def generate(prompt: str, options: dict[str, Any], *, overwrite: bool, yes: bool, as_document: bool) -> None:
    """Estimate, ask where it costs money, make it, and say where it is."""
    if overwrite:
        options["overwrite"] = True
    request, call = parse(prompt, options)
    with Client() as client:
        plan, estimate = client.prepare(request, call)
        if estimate.cost is not None and estimate.cost.high > 0 and not yes and call.max_cost is None:
            if not is_terminal() or as_document:
                show_estimate(estimate, as_document=as_document)
                aside(
                    "This costs money. Pass --yes, or --max-cost with the most it may cost. Nothing was spent."
                )
                raise typer.Exit(Exit.NOT_CONFIRMED)
            show_estimate(estimate, as_document=False, stderr=True)
            if not _confirmed(f"Spend up to {show_usd(estimate.cost.high)}?"):
                aside("Nothing was spent.")
                raise typer.Exit(Exit.NOT_CONFIRMED)
            options["max_cost"] = estimate.cost.high  # what was said yes to, and no more
        with _Display(enabled=not as_document) as display:
            try:
                result = client.generate(prompt, **options, on_progress=display.show)
            except KeyboardInterrupt:
                display.stop()
                if (done := _cancel(client, display.run_id)) is not None:
                    aside("Interrupted, but it was nearly done:")
                    _show(done, as_document=as_document)
                else:
                    which = f"the run {display.run_id}" if display.run_id else "what was begun"
                    aside(f"Interrupted; {which} was cancelled.")
                raise typer.Exit(Exit.INTERRUPTED) from None
            except TimedOut as error:
                if plan.entries[0].offer.outlives_caller:
                    raise
                if (done := _cancel(client, display.run_id)) is not None:
                    aside(f"Done at the last moment, after {call.timeout or 0:g} s:")
                    _show(done, as_document=as_document)
                    raise typer.Exit(Exit.TIMED_OUT) from error
                raise TimedOut(
                    f"Not finished after {call.timeout or 0:g} s. "
                    "The work ran inside this process and was cancelled; it cost nothing.",
                    hint="Give it more time, or leave --timeout out.", charged=False, run_id=error.run_id,
                ) from error  # fmt: skip
        _show(result, as_document=as_document)


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-D, Ctrl-C
        aside("")
        return False


def _cancel(client: Client, run_id: str) -> Result | None:
    """Work inside this process ends with it; here it ends in order, and the ledger says that somebody wished it.

    Returns what was made all the same, if anything was.
    """
    if run_id:
        run = client.run(run_id)
        with contextlib.suppress(VidorchError):
            run.cancel()
        with contextlib.suppress(VidorchError):
            return run.wait(SECONDS_TO_STOP)
    return None


def _show(result: Result, *, as_document: bool) -> None:
    if as_document:
        as_json(result.to_dict())
        return
    clip = result.clip
    fps = f", {float(clip.fps):g} fps" if clip.fps else ""
    cost = "free" if clip.cost == 0 else f"{show_usd(result.cost)} ({clip.cost_basis})"
    seed = "" if clip.seed is None else f" · seed {clip.seed}"
    aside(
        f"{clip.endpoint}/{clip.model} · {clip.duration:.1f} s, {clip.width}x{clip.height}{fps}{seed} · {cost}"
        f" · made in {clip.latency:.1f} s"
    )
    for note in result.notes:
        aside(f"Note: {note}")
    for failure in result.failures:
        aside(f"A candidate failed: {failure}")
    if clip.path is not None and clip.path not in {one.path for one in result.candidates}:
        print(_short(clip.path))
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
        self.run_id = ""
        if enabled and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            self._bar = Progress(
                TextColumn("{task.description:<12}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}"),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
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
        self.run_id = progress.run_id
        if self._bar is None:
            return
        left = "" if progress.eta is None else f"{progress.eta:.0f} s left"
        many = f" {progress.done}/{progress.total}" if progress.total > 1 else ""
        self._bar.update(
            self._task, description=progress.stage + many, completed=progress.fraction or 0.0, left=left
        )
