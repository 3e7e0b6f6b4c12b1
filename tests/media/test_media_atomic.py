"""Publishing: whole or not at all, and never over another file."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from vidorch.media import publish, temporary_beside


@pytest.fixture(params=["links", "no links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on a file system with hard links, and on one that refuses them."""
    if request.param == "no links":

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("vidorch.media.atomic.os.link", refuse)


@pytest.mark.usefixtures("file_system")
class TestPublish:
    def test_the_file_gets_its_name(self, tmp_path: Path) -> None:
        """The temporary name is gone, the final one is there, whole."""
        temporary = temporary_beside(tmp_path / "a.mp4")
        temporary.write_bytes(b"clip")
        assert tmp_path / "a.mp4" == publish(temporary, tmp_path / "a.mp4")
        assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]
        assert (tmp_path / "a.mp4").read_bytes() == b"clip"

    def test_a_taken_name_stays(self, tmp_path: Path) -> None:
        """`FileExistsError`; both files are as they were."""
        (tmp_path / "a.mp4").write_bytes(b"first")
        (tmp_path / "b.part").write_bytes(b"second")
        with pytest.raises(FileExistsError, match="overwrite"):
            publish(tmp_path / "b.part", tmp_path / "a.mp4")
        assert (
            (tmp_path / "a.mp4").read_bytes(),
            (tmp_path / "b.part").read_bytes(),
        ) == (b"first", b"second")

    def test_a_dangling_link_is_a_taken_name(self, tmp_path: Path) -> None:
        """A link to nowhere is not written through."""
        (tmp_path / "a.mp4").symlink_to(tmp_path / "elsewhere.mp4")
        (tmp_path / "b.part").write_bytes(b"second")
        with pytest.raises(FileExistsError):
            publish(tmp_path / "b.part", tmp_path / "a.mp4")
        assert not (tmp_path / "elsewhere.mp4").exists()

    def test_overwriting_is_asked_for(self, tmp_path: Path) -> None:
        """`overwrite=True` replaces the file in one step."""
        (tmp_path / "a.mp4").write_bytes(b"first")
        (tmp_path / "b.part").write_bytes(b"second")
        publish(tmp_path / "b.part", tmp_path / "a.mp4", overwrite=True)
        assert (tmp_path / "a.mp4").read_bytes() == b"second"

    def test_of_many_publishers_one_wins(self, tmp_path: Path) -> None:
        """Sixteen race for one name: one succeeds, fifteen are told, and the winner's bytes stay."""
        final = tmp_path / "a.mp4"
        won: list[int] = []
        lost: list[int] = []
        gate = threading.Barrier(16)

        def run(number: int) -> None:
            temporary = temporary_beside(final)
            temporary.write_bytes(b"%d" % number)
            gate.wait()
            try:
                publish(temporary, final)
                won.append(number)
            except FileExistsError:
                lost.append(number)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 15)
        assert b"%d" % won[0] == final.read_bytes()

    def test_it_is_on_disk_before_it_has_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is synced while its name is still temporary, its folder after."""
        temporary, final = tmp_path / "b.part", tmp_path / "a.mp4"
        temporary.write_bytes(b"clip")
        seen: list[tuple[bool, bool]] = []
        real = os.fsync

        def fsync(descriptor: int) -> None:
            seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), final.exists()))
            real(descriptor)

        monkeypatch.setattr("vidorch.media.atomic.os.fsync", fsync)
        publish(temporary, final)
        assert seen == [(False, False), (True, True)]

    def test_a_missing_temporary_file(self, tmp_path: Path) -> None:
        """There is nothing to publish, and no empty file appears."""
        with pytest.raises(FileNotFoundError):
            publish(tmp_path / "no.part", tmp_path / "a.mp4")
        assert not list(tmp_path.iterdir())


class TestTemporaryNames:
    def test_they_lie_beside_and_never_repeat(self, tmp_path: Path) -> None:
        """Same folder, hidden, and a fresh one each time; nothing is created."""
        names = {temporary_beside(tmp_path / "a.mp4") for _ in range(100)}
        assert (100, {tmp_path}) == (len(names), {name.parent for name in names})
        assert all(name.name.startswith(".a.mp4.") and name.suffix == ".part" for name in names)
        assert not list(tmp_path.iterdir())

    def test_long_names_fit(self, tmp_path: Path) -> None:
        """The longest legal name, in two-byte letters too, has a legal temporary one."""
        for name in ("x" * 251 + ".mp4", "ä" * 125 + ".mp4"):
            temporary_beside(tmp_path / name).touch()
