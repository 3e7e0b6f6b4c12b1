"""The user's file of keys."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from vidorch.config.keys import keep_key, keys_file, stored_keys
from vidorch.errors import InvalidRequest, MissingCredentials

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its folders are the user's own")


def test_holds_what_was_kept(home: Path) -> None:
    """One key beside the others, and the newest of each."""
    keep_key("FAL_KEY", "a:b")
    keep_key("KLING_API_KEY", 'with"quote\\')
    keep_key("FAL_KEY", "c:d")
    assert {"FAL_KEY": "c:d", "KLING_API_KEY": 'with"quote\\'} == stored_keys()


def test_is_only_for_its_owner(home: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        assert 0o600 == stat.S_IMODE(keep_key("FAL_KEY", "a:b").stat().st_mode)
    finally:
        os.umask(before)


def test_is_not_used_when_others_may_read_it(home: Path) -> None:
    """A key that anybody may read is somebody else's already."""
    keep_key("FAL_KEY", "a:b").chmod(0o644)
    with pytest.raises(MissingCredentials, match="others on this machine may read it") as caught:
        stored_keys()
    assert f"chmod 600 {keys_file()}" == caught.value.hint


def test_is_absent(home: Path) -> None:
    """Nothing is kept then, and nothing is made by looking."""
    assert ({}, False) == (stored_keys(), home.exists())


@pytest.mark.parametrize("text", ["FAL_KEY = 3\n", "not toml", "[fal]\nkey = 'x'\n"])
def test_is_broken(home: Path, text: str) -> None:
    """Said without what stands in it."""
    path = keep_key("FAL_KEY", "a:b")
    path.write_text(text, "utf-8")
    with pytest.raises(MissingCredentials, match="Nothing was sent"):
        stored_keys()


@pytest.mark.parametrize("secret", ["", "two words", "new\nline"])
def test_takes_no_key_that_cannot_be_one(home: Path, secret: str) -> None:
    """What a slip of the clipboard brings is refused before anything is written."""
    with pytest.raises(InvalidRequest, match="was not kept"):
        keep_key("FAL_KEY", secret)
    assert not home.exists()


def test_leaves_nothing_behind_when_it_cannot_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a half file nor one under another name; the old keys stay."""
    keep_key("FAL_KEY", "a:b")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep_key("FAL_KEY", "c:d")
    assert ({"FAL_KEY": "a:b"}, ["credentials.toml"]) == (stored_keys(), [one.name for one in home.iterdir()])
