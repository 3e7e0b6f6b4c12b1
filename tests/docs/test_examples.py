"""Every example of the README and the guide is executed, page by page, as a reader would type it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "docs/configuration.md",
    "docs/guide.md",
    "docs/hosted.md",
    "docs/http.md",
    "docs/local.md",
    "docs/providers.md",
    "docs/ray.md",
    "docs/selection.md",
    "docs/testing.md",
]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [code for found, code in _BLOCK.findall((ROOT / page).read_text()) if found == language]


@pytest.mark.parametrize("page", PAGES)
def test_python_examples_run(page: str, tmp_path: Path) -> None:
    """The blocks of a page run one after the other in one fresh process, from another directory."""
    (tmp_path / "page.py").write_text("\n".join(blocks(page, "python")))
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)


def test_shell_examples_run(tmp_path: Path) -> None:
    """Each line that starts with a dollar sign in the README succeeds."""
    lines = [
        line.removeprefix("$ ")
        for block in blocks("README.md", "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    assert lines
    for line in lines:
        command = shlex.split(line)
        assert "vidorch" == command[0]
        done = subprocess.run(
            [sys.executable, "-m", "vidorch", *command[1:]],
            cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert 0 == done.returncode, f"{line}\n{done.stderr}"


def test_links_lead_somewhere() -> None:
    """Every relative link of the pages is a file in the repository."""
    missing = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
        if "://" not in link and not (ROOT / page).parent.joinpath(link).exists()
    ]
    assert [] == missing


def test_the_life_of_a_job_is_the_table() -> None:
    """docs/life.md is what the table of moves gives today."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("make_life", ROOT / "docs" / "make_life.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == (ROOT / "docs" / "life.md").read_text()
