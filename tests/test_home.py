"""Where files are kept: whatever is given for a folder is a path, or said by its name not to be one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from vidorch.errors import InvalidRequest
from vidorch.home import home_folder, ledger_path

NO_PATHS = [
    "~nosuchuser/x", "n" * 300, "not-there/" + "n" * 300 + "/x", "a/" * 3000, "a\x00b", "\ud800", "", 5, b"x", ["x"], object(),
]  # fmt: skip


def field_of(error: pytest.ExceptionInfo[InvalidRequest]) -> str:
    """The field that an error names, in its words as well."""
    assert error.value.field in str(error.value)
    assert error.value.allowed
    return error.value.field


@pytest.mark.parametrize("given", NO_PATHS)
def test_no_home(given: Any) -> None:
    """A home that cannot be is named as such."""
    with pytest.raises(InvalidRequest) as caught:
        home_folder(given)
    assert "home" == field_of(caught)


@pytest.mark.parametrize("given", [one for one in NO_PATHS if isinstance(one, str) and one])
def test_no_home_by_environment(given: str) -> None:
    """So is one from the environment, by its variable."""
    with pytest.raises(InvalidRequest) as caught:
        home_folder(environ={"VIDORCH_HOME": given})
    assert "VIDORCH_HOME" == field_of(caught)


@pytest.mark.parametrize("below", ["", "a", "a/b"])
@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_a_home_where_something_else_lies(tmp_path: Path, kind: str, below: str) -> None:
    """What is no folder, or lies under what is none, is refused by the name of what is in the way."""
    there = tmp_path / "x"
    if kind == "file":
        there.write_text("")
    else:
        there.symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidRequest, match=re.escape(f"{there} is not a folder")):
        home_folder(there / below)
    with pytest.raises(InvalidRequest, match="^VIDORCH_HOME="):
        home_folder(environ={"VIDORCH_HOME": f"{there / below}"})


@pytest.mark.parametrize("given", [*NO_PATHS, "sqlite:///~nosuchuser/x", "sqlite:///"])
def test_no_ledger(given: Any, tmp_path: Path) -> None:
    """So is a ledger."""
    with pytest.raises(InvalidRequest) as caught:
        ledger_path(given, tmp_path)
    assert "ledger" == field_of(caught)


def test_what_is_a_path(tmp_path: Path) -> None:
    """Everything else is taken as it is, absolute, whether anything is there or not."""
    assert (tmp_path / "a?b", Path.home() / "x", Path.cwd() / "x") == (
        home_folder(tmp_path / "a?b"),
        home_folder("~/x"),
        home_folder(environ={"VIDORCH_HOME": "x"}),
    )
    assert [tmp_path / "ledger.db", tmp_path / "b.db"] == [
        ledger_path(None, tmp_path),
        ledger_path(f"sqlite:///{tmp_path}{os.sep}b.db", tmp_path),
    ]


@pytest.mark.parametrize(
    "given", ["postgresql:/me:s3cret@host/db", "postgres//me:s3cret@host/db", "postgres:me:s3cret@host", "sqlite:a.db"]
)  # fmt: skip
def test_a_mistyped_url_is_no_path(given: str, tmp_path: Path) -> None:
    """Else a worker would write a ledger of its own, and share nothing; what stands in it is not repeated."""
    with pytest.raises(InvalidRequest, match="neither a path nor a URL") as caught:
        ledger_path(given, tmp_path)
    assert "s3cret" not in f"{caught.value} {vars(caught.value)}"
