"""The pytest plugin, in test runs of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

PAID = """
import pytest, vidorch
from vidorch import live

def test_paid():
    with pytest.raises(vidorch.LiveCallInTest):
        live.must_not_be_a_test("acme/model")
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest on a file with this content, in a folder of its own."""

    def one(content: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(content)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "test_it.py"],
            cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return one


def test_the_fixture_is_the_mock(run: Run) -> None:
    """Each test has one of its own, also in several processes at once."""
    content = """
import pytest, vidorch

@pytest.mark.parametrize("number", range(6))
def test_one(vidorch_mock, number):
    vidorch_mock.on(model="test/basic", call=1).throttle(retry_after=30)
    assert vidorch.generate("a ball", model="test/basic", seed=1).cost == vidorch_mock.spend
    assert 2 == len(vidorch_mock.requests)
    vidorch_mock.assert_never_paid_twice()
"""
    done = run(content, "-n", "3", "-W", "error")
    assert "6 passed" in done.stdout, done.stdout + done.stderr


def test_the_guide_is_a_test_file(run: Run) -> None:
    """The examples of docs/testing.md run as they stand, those for pytest under pytest."""
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = run("".join(blocks))
    assert "1 passed" in done.stdout, done.stdout


def test_live_calls_need_an_option(run: Run) -> None:
    """Without it a paid submit raises, with it it does not, and it holds in workers, too."""
    assert "1 passed" in run(PAID).stdout
    assert "DID NOT RAISE" in run(PAID, "--vidorch-live").stdout
    assert "DID NOT RAISE" in run(PAID, "--vidorch-live", "-n", "2").stdout


def test_can_be_switched_off(run: Run) -> None:
    """By its name."""
    assert "1 passed" in run("def test_nothing(request): pass", "-p", "no:vidorch").stdout
    assert (
        "fixture 'vidorch_mock' not found" in run("def test(vidorch_mock): pass", "-p", "no:vidorch").stdout
    )


def test_costs_nothing_until_it_is_used(run: Run) -> None:
    """A test run that has nothing to do with video loads the plugin and no more."""
    content = """
import sys

def test_loaded():
    mine = {name for name in sys.modules if name.partition(".")[0] == "vidorch"}
    assert mine == {"vidorch", "vidorch.testing", "vidorch.testing.plugin"}
    assert not {"av", "numpy", "sqlalchemy", "asyncio.windows_events"} & set(sys.modules)
"""
    done = run(content)
    assert "1 passed" in done.stdout, done.stdout
