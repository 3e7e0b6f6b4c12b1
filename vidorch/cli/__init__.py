"""The command line: the library's surface, spoken in a terminal."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the `vidorch` command."""
    from vidorch.cli.app import run

    run()
