"""What is kept of a credential that was refused: enough to see that it changed, too little to guess it."""

from __future__ import annotations

import itertools
import stat
import sys
from pathlib import Path

import pytest

from vidorch.engine.fingerprints import NAME, Fingerprints


class TestOf:
    def test_tells_credentials_apart(self, tmp_path: Path) -> None:
        """The same one has the same mark, in every process of this home; another one, and none at all, have others."""
        first, again = Fingerprints(tmp_path), Fingerprints(tmp_path)
        assert first.of("secret-a") == again.of("secret-a")
        assert 3 == len({first.of("secret-a"), first.of("secret-b"), first.of(None)})

    def test_confirms_no_guess(self, tmp_path: Path) -> None:
        """Even with the file beside it: of a few hundred thousand guesses, several have the mark of the right one."""
        marks = Fingerprints(tmp_path)
        wanted = marks.of("secret")
        guesses = (marks.of(f"guess-{number}") for number in range(400_000))
        assert 2 == len(list(itertools.islice((one for one in guesses if one == wanted), 2)))

    def test_differs_from_home_to_home(self, tmp_path: Path) -> None:
        """And says so before its colon, where none may be compared with another's."""
        one, other = (Fingerprints(tmp_path / name).of("secret").partition(":")[0] for name in "ab")
        assert one != other

    def test_without_a_file_to_write(self, tmp_path: Path) -> None:
        """There is none, and nothing is raised."""
        (tmp_path / "home").write_text("not a folder")
        assert "" == Fingerprints(tmp_path / "home").of("secret")

    def test_with_a_file_that_is_damaged(self, tmp_path: Path) -> None:
        """There is none."""
        (tmp_path / NAME).write_bytes(b"short")
        assert "" == Fingerprints(tmp_path).of("secret")

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
    def test_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        """What makes the marks is nobody else's to read, and nothing else is left behind."""
        Fingerprints(tmp_path).of("secret")
        assert 0o600 == stat.S_IMODE((tmp_path / NAME).stat().st_mode)
        assert [NAME] == [one.name for one in tmp_path.iterdir()]
