"""A fine-tune that was added makes clips, by the command alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command, command
from vidorch import media

__all__ = ["command"]  # the fixture

pytestmark = pytest.mark.torch

SMALL = """
[[offer]]
like = "local/my-wan"
as_of = 2026-11-26
price = { rule = "free", source = "a test" }
weights = { defaults = { steps = 1 }, memory = { cpu = 100_000_000 } }
capabilities.sizes = { "480p 16:9" = [32, 32] }
"""


def test_a_model_that_was_added_makes_a_clip(
    command: Command, weights: Callable[[str], Path], home: Path, tmp_path: Path
) -> None:
    """`models add`, `generate`, `models remove`; a hand-written file makes it smaller."""
    assert 0 == command("models", "add", weights("t2v"), "--as", "my-wan", "--like", "wan-2.1-t2v-1.3b").code
    (home / "catalog.toml").write_text(SMALL)
    clip = tmp_path / "clip.mp4"
    said = command(
        "generate", "a lighthouse at dusk", "-m", "my-wan", "--duration", 0.25, "--seed", 3, "-o", clip
    )
    assert 0 == said.code, said.err
    assert (5, 32, 32) == ((info := media.verify(clip)).frames, info.width, info.height)
    assert 0 == command("models", "remove", "my-wan").code
