"""Live progress on a terminal: stage, percent, time left. Silent elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from vidorch.result import Progress

__all__ = ["Display"]


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
