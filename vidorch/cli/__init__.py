"""The command line: the library's surface, spoken in a terminal."""

from __future__ import annotations

import os

__all__ = ["main"]


def main() -> None:
    """Entry point of the `vidorch` command."""
    # The built-in model's matrices are too small to share out: more threads only burn more CPU. Set before NumPy is loaded,
    # in this process of ours alone; as a library vidorch leaves the application's threads as they are.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from vidorch.cli.app import run

    run()
