"""Live progress on a terminal: stage, percent, time left. Silent elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from vidorch.cli.say import aside
from vidorch.money import show_usd

if TYPE_CHECKING:
    from vidorch.result import Progress

__all__ = ["BatchDisplay", "CheckDisplay", "Display"]


class Display:
    """A bar on stderr while it is entered."""

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

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("starting", total=1.0, left="")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar off the screen."""
        bar, self._bar = self._bar, None
        if bar is not None:
            with contextlib.suppress(OSError):  # the terminal was closed
                bar.stop()

    def show(self, progress: Progress) -> None:
        """Called by the run, from another thread."""
        bar = self._bar
        if bar is None:
            return
        left = "" if progress.eta is None else f"{progress.eta:.0f} s left"
        many = f" {progress.done}/{progress.total}" if progress.total > 1 else ""
        bar.update(
            self._task, description=progress.stage + many, completed=progress.fraction or 0.0, left=left
        )


class CheckDisplay:
    """How many lines of a long batch are checked, before any of it is sent: on one line of a terminal, which goes away again.

    Args:
        enabled: whether anybody wants to see it; on a terminal alone.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._shown:
            print(f"\r{' ' * self._shown}\r", end="", file=sys.stderr, flush=True)

    def show(self, checked: int, total: int) -> None:
        """How far it is. A batch that is checked in one go shows nothing."""
        if self._enabled and (checked < total or self._shown):
            said = f"{checked:,} of {total:,} lines checked"
            self._shown = len(said)
            print(f"\r{said}", end="", file=sys.stderr, flush=True)


class BatchDisplay:
    """One bar for all lines of a batch: how many are done, under way and failed, what they cost, and the time left.

    Args:
        total: lines. enabled: whether anybody wants to see it; on a terminal alone.
    """

    def __init__(self, total: int, *, enabled: bool) -> None:
        self._total = total
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        if enabled and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"), console=Console(stderr=True),
                transient=True, redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total, said="starting")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar off the screen."""
        bar, self._bar = self._bar, None
        if bar is not None:
            with contextlib.suppress(OSError):  # the terminal was closed
                bar.stop()

    def show(self, *, done: int, failed: int, under_way: int, cost: Decimal) -> None:
        """How far it is. Time left is what the lines so far took, for those that are left."""
        if self._bar is None:
            return
        ended = done + failed
        said = [f"{under_way} running"] + ([f"{failed} failed"] if failed else [])
        said += [show_usd(cost)] if cost else []
        if 0 < ended < self._total:
            left = (time.monotonic() - self._began) / ended * (self._total - ended)
            said.append(f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left")
        self._bar.update(self._task, completed=ended, said=", ".join(said))

    def put(self, line: str) -> None:
        """A line of what was asked for, on stdout; where that is the same terminal, above the bar."""
        if self._bar is not None and sys.stdout.isatty():
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, flush=True)

    def say(self, line: str) -> None:
        """A line for people, on stderr."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            aside(line)
