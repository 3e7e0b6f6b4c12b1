"""Where clips go: what `output=` means, and that publishing loses and replaces nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.engine.scripted import Scripted, video
from tests.engine.test_runs import Make, generate
from vidorch import media, storage
from vidorch.engine.handover import hand_over, sweep, target_again
from vidorch.engine.targets import Published, Target, target_of
from vidorch.errors import InvalidRequest, VidorchError


@pytest.fixture(autouse=True)
def store() -> Iterator[Any]:
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "home" / "run_1"


OUTPUTS = [None, "file", "folder", "url file", "url folder"]


def output_of(kind: str | None, tmp_path: Path) -> str | None:
    places = {
        "file": f"{tmp_path}/a/b.mp4",
        "folder": f"{tmp_path}/a/",
        "url file": "memory://a/b.mp4",
        "url folder": "memory://a/",
    }
    return None if kind is None else places[kind]


def made(target: Target, content: bytes = b"a clip", job_id: str = "job_1") -> Path:
    temporary = target.workplace(job_id)
    temporary.write_bytes(content)
    return temporary


def publish(
    target: Target, content: bytes = b"a clip", job_id: str = "job_1", candidate: int = 0, candidates: int = 1
) -> Published:
    return target.publish(
        made(target, content, job_id), candidate=candidate, candidates=candidates, endpoint="fal", model="kling/3", job_id=job_id,
    )  # fmt: skip


def content_of(published: Published) -> bytes:
    with fsspec.open(published.uri) as file:
        data: bytes = file.read()
        return data


def left_over(tmp_path: Path) -> list[Path]:
    return list(tmp_path.rglob("*.part"))


class TestReadingOutput:
    @pytest.mark.parametrize(
        "url", ["s3://bucket/ads/", "s3://bucket/a.mp4", "gs://bucket/x/a.M4V", "memory://a/"]
    )
    def test_a_url_is_written_down_as_it_is(self, url: str, own: Path) -> None:
        """A URL is kept whole: it holds no secret."""
        assert url == target_of(url, False, own).written(url)

    @pytest.mark.parametrize("url", ["s3://bucket/ads", "s3://bucket", "gs://bucket/a.txt"])
    def test_a_url_is_a_video_file_or_a_folder_with_a_slash(self, url: str, own: Path) -> None:
        """Nothing is guessed: a name without an ending could be either."""
        with pytest.raises(InvalidRequest, match="a slash at its end"):
            target_of(url, False, own)

    @pytest.mark.parametrize("suffix", [".mov", ".webm", ".gif", ".MOV", ".txt"])
    @pytest.mark.parametrize("place", ["clip", "a.b/clip", "s3://my.bucket/clip"])
    def test_a_name_of_another_kind_of_file(self, place: str, suffix: str, own: Path) -> None:
        """What is made is MP4, so no other suffix is taken; the one that works is named."""
        with pytest.raises(InvalidRequest, match=r"Call it clip\.mp4\.") as caught:
            target_of(f"{place}{suffix}", False, own)
        assert (True, "output") == (f"ends in {suffix}" in str(caught.value), caught.value.field)

    @pytest.mark.parametrize("suffix", [".mp4", ".MP4", ".m4v"])
    def test_a_name_of_an_mp4(self, suffix: str, own: Path, tmp_path: Path) -> None:
        """Every suffix that an MP4 goes by is taken."""
        assert tmp_path / f"clip{suffix}" == target_of(f"{tmp_path}/clip{suffix}", False, own).file

    @pytest.mark.parametrize(
        ("kind", "named"),
        [(None, False), ("file", True), ("folder", False), ("url file", True), ("url folder", False)],
    )
    def test_only_a_file_is_named(self, kind: str | None, named: bool, own: Path, tmp_path: Path) -> None:
        """The chosen of several clips is handed over to a file or a URL of one file."""
        output = output_of(kind, tmp_path)
        assert (output if named else None) == target_of(output, False, own).named

    def test_a_run_that_goes_on_may_find_its_own_file(self, own: Path, tmp_path: Path) -> None:
        """What is there already is only in the way of a new run."""
        (tmp_path / "b.mp4").touch()
        target = target_of(f"{tmp_path}/b.mp4", False, own, again=True)
        assert (tmp_path / "b.mp4", False) == (target.file, target.overwrite)


class TestCheck:
    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_a_place_that_can_be_written(self, kind: str | None, own: Path, tmp_path: Path) -> None:
        """Checking leaves no file behind."""
        target_of(output_of(kind, tmp_path), False, own).check(2)
        assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_a_place_that_cannot(self, kind: str, own: Path, tmp_path: Path) -> None:
        """A file where a folder has to be is said before anything is made."""
        (tmp_path / "a").write_text("in the way")
        with pytest.raises(InvalidRequest):
            target_of(output_of(kind, tmp_path), False, own).check(1)

    def test_a_taken_url(self, own: Path, store: Any) -> None:
        """A file that is there already at the URL stops the call."""
        store.pipe_file("/a/b.mp4", b"precious")
        with pytest.raises(InvalidRequest, match="exists already"):
            target_of("memory://a/b.mp4", False, own).check(1)


class TestPublish:
    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_gives_the_final_name_and_removes_the_temporary(
        self, kind: str | None, own: Path, tmp_path: Path
    ) -> None:
        """The clip is where it was asked for, whole, and nothing else is left."""
        published = publish(target_of(output_of(kind, tmp_path), False, own))
        where = {None: f"{own}/1-fal-kling_3.mp4", "file": f"{tmp_path}/a/b.mp4", "folder": f"{tmp_path}/a/1-fal-kling_3.mp4",
                 "url file": "memory://a/b.mp4", "url folder": "memory://a/1-fal-kling_3.mp4"}[kind]  # fmt: skip
        path = None if where.startswith("memory") else Path(where)
        assert (Published(where, path), b"a clip", []) == (
            published,
            content_of(published),
            left_over(tmp_path),
        )

    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_the_same_content_is_adopted(self, kind: str | None, own: Path, tmp_path: Path) -> None:
        """An owner that died between publishing and settling, or a second one, leads to one file, without a note."""
        target = target_of(output_of(kind, tmp_path), False, own)
        first = publish(target)
        second = publish(target)
        assert (first.uri, "", True, False, []) == (
            second.uri,
            second.note,
            first.ours,
            second.ours,
            left_over(tmp_path),
        )

    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_other_content_is_left_alone(self, kind: str | None, own: Path, tmp_path: Path) -> None:
        """A taken name: the clip goes beside it, under a name with the job's id, and a note says so."""
        target = target_of(output_of(kind, tmp_path), False, own)
        first, second = publish(target, b"precious"), publish(target)
        assert (b"precious", b"a clip") == (content_of(first), content_of(second))
        assert second.uri.endswith("-job_1.mp4") and first.uri in second.note and second.uri in second.note

    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_beside_is_never_replaced_either(self, kind: str | None, own: Path, tmp_path: Path) -> None:
        """However many names are taken, each clip keeps one of its own."""
        target = target_of(output_of(kind, tmp_path), False, own)
        clips = [publish(target, content) for content in (b"one", b"two", b"three", b"four")]
        assert [b"one", b"two", b"three", b"four"] == [content_of(clip) for clip in clips]

    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_replaces_when_asked(self, kind: str | None, own: Path, tmp_path: Path) -> None:
        """`overwrite=True` replaces what is there."""
        target = target_of(output_of(kind, tmp_path), True, own)
        first, second = publish(target, b"old"), publish(target, b"new")
        assert (first.uri, b"new") == (second.uri, content_of(second))

    @pytest.mark.parametrize("kind", ["file", "url file"])
    def test_several_candidates_of_one_file_stay_in_the_runs_folder(
        self, kind: str, own: Path, tmp_path: Path
    ) -> None:
        """Only the chosen one is handed over to the file that was named."""
        target = target_of(output_of(kind, tmp_path), False, own)
        published = publish(target, candidate=2, candidates=3)
        assert own / "3-fal-kling_3.mp4" == published.path

    @pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no second file system")  # noqa: PTH112
    def test_across_file_systems(self, own: Path, tmp_path: Path) -> None:
        """A temporary file that lies elsewhere is copied beside its name first, and gone afterwards."""
        import tempfile

        with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
            temporary = Path(elsewhere) / ".job_1.part"
            temporary.write_bytes(b"a clip")
            published = Target(own, None, False).publish(
                temporary, candidate=0, candidates=1, endpoint="fal", model="m", job_id="job_1"
            )
            assert (b"a clip", False, []) == (content_of(published), temporary.exists(), left_over(own))

    @pytest.mark.parametrize("kind", ["folder", "url folder"])
    def test_what_cannot_be_published_is_still_there(
        self, kind: str, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the place says no, the temporary file is untouched, so that it can go elsewhere."""
        target = target_of(output_of(kind, tmp_path), False, own)
        temporary = made(target)

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("vidorch.media.publish", full)
        monkeypatch.setattr(storage, "_put_object", full)
        with pytest.raises((OSError, VidorchError), match="No space left"):
            target.publish(temporary, candidate=0, candidates=1, endpoint="fal", model="m", job_id="job_1")
        assert b"a clip" == temporary.read_bytes()
        refuge = Target(own, None, False)
        monkeypatch.undo()
        saved = refuge.publish(
            temporary, candidate=0, candidates=1, endpoint="fal", model="m", job_id="job_1"
        )
        assert (b"a clip", []) == (content_of(saved), left_over(tmp_path))


class TestWithdraw:
    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_takes_back_its_own(self, kind: str | None, own: Path, tmp_path: Path) -> None:
        """The loser of a race removes what it alone published; doing it twice is as good."""
        target = target_of(output_of(kind, tmp_path), False, own)
        publish(target, b"the winner's")
        lost = publish(target, b"the loser's", "job_2")
        target.withdraw(lost)
        target.withdraw(lost)
        fresh = publish(target, b"the loser's", "job_2")
        assert (lost.uri, True) == (fresh.uri, fresh.ours)

    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_leaves_what_it_adopted(self, kind: str | None, own: Path, tmp_path: Path) -> None:
        """An adopted file is somebody else's."""
        target = target_of(output_of(kind, tmp_path), False, own)
        first = publish(target)
        target.withdraw(publish(target))
        assert b"a clip" == content_of(first)


class TestHandOver:
    @pytest.fixture
    def clip(self, tmp_path: Path) -> Path:
        path = tmp_path / "3-fal-kling_3.mp4"
        path.write_bytes(b"the best")
        return path

    @pytest.mark.parametrize("kind", ["file", "url file"])
    def test_copies_the_chosen_one(self, kind: str, clip: Path, own: Path, tmp_path: Path) -> None:
        """The chosen clip is where it was asked for, and still among the candidates; doing it again changes nothing."""
        target = target_of(output := output_of(kind, tmp_path), False, own)
        assert [("", output)] * 2 == [
            (one.note, one.uri) for one in (hand_over("run_1", clip, target) for _ in range(2))
        ]
        assert (b"the best", True, []) == (
            content_of(Published(output or "", None)),
            clip.is_file(),
            left_over(tmp_path),
        )

    @pytest.mark.parametrize("kind", ["file", "url file"])
    def test_goes_beside_what_came_meanwhile(self, kind: str, clip: Path, own: Path, tmp_path: Path) -> None:
        """A name that was taken meanwhile is left alone, and the note says where the clip is."""
        target = target_of(output_of(kind, tmp_path), False, own)
        publish(target, b"precious")
        handed = hand_over("run_1", clip, target)
        assert (
            f"was taken meanwhile; the clip is at {handed.uri}" in handed.note and "b-run_1.mp4" in handed.uri
        )

    @pytest.mark.parametrize("kind", ["file", "url file"])
    def test_never_fails_a_run(
        self, kind: str, clip: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clip is safe already: a place that says no is a note that names where it lies."""

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("vidorch.media.publish", full)
        monkeypatch.setattr(storage, "_put_object", full)
        handed = hand_over("run_1", clip, target_of(output_of(kind, tmp_path), False, own))
        assert (True, True, []) == (
            "No space left" in handed.note,
            str(clip) in handed.note,
            left_over(tmp_path),
        )
        assert str(clip) == handed.uri


class TestAgain:
    def run_row(self, output: str | None, tmp_path: Path, **options: Any) -> dict[str, Any]:
        return {
            "id": "run_1",
            "home": str(tmp_path / "home"),
            "created_at": 0.0,
            "output": output,
            "candidates": 1,
            "options": options,
        }

    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_a_run_of_the_ledger_publishes_where_it_did(self, kind: str | None, tmp_path: Path) -> None:
        """What was written down leads to the same place, overwriting only if that was asked for then."""
        output = output_of(kind, tmp_path)
        own = tmp_path / "home" / "runs" / "1970-01" / "run_1"
        first = target_of(output, True, own)
        written = first.written(output)
        again = target_again(self.run_row(written, tmp_path, overwrite=True))
        careful = target_again(self.run_row(written, tmp_path))
        assert careful is not None
        assert (first, False) == (again, careful.overwrite)

    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_sweep_removes_what_a_killed_job_left(self, kind: str | None, tmp_path: Path) -> None:
        """Unfinished files of this job go, those of others stay."""
        from types import SimpleNamespace

        row = self.run_row(output_of(kind, tmp_path), tmp_path)
        target = target_again(row)
        assert target is not None
        made(target, job_id="job_1"), made(target, job_id="job_1-1")
        kept = made(target, job_id="job_2")
        job: Any = SimpleNamespace(id="job_1", run_id="run_1", candidate=0, endpoint="fal", model="m")
        sweep(row, job)
        assert [kept] == left_over(tmp_path)


class TestARun:
    """From the call to the result, on the scripted provider."""

    def test_to_a_folder_at_a_url(self, client_of: Make, own: Path, tmp_path: Path) -> None:
        """The clip is at the URL, whole, and nothing of it stays here; `save` brings it back."""
        result = generate(client_of(), output="memory://ads/spring/", candidates=2)
        assert (["memory://ads/spring/1-test-basic.mp4", "memory://ads/spring/2-test-basic.mp4"], [None, None]) == (
            [clip.uri for clip in result.candidates], [clip.path for clip in result.candidates],
        )  # fmt: skip
        assert 8 == media.probe(result.save(tmp_path / "back.mp4")).frames
        assert [] == [path for path in (tmp_path / "home" / "runs").rglob("*") if path.is_file()]

    def test_to_one_file_at_a_url(self, client_of: Make, store: Any) -> None:
        """One candidate goes straight to the file."""
        clip = generate(client_of(), output="memory://ads/best.mp4").clip
        assert ("memory://ads/best.mp4", True) == (clip.uri, store.exists("/ads/best.mp4"))

    def test_the_chosen_of_several_goes_to_the_url(self, client_of: Make, store: Any) -> None:
        """The candidates stay in the run's folder, the chosen one is at the URL."""
        result = generate(client_of(), output="memory://ads/best.mp4", candidates=2)
        assert ("memory://ads/best.mp4", None) == (result.clip.uri, result.clip.path)
        assert result.candidates[0].path is not None
        assert result.candidates[0].path.read_bytes() == store.cat_file("/ads/best.mp4")

    def test_a_taken_url_stops_it_before_anything_is_made(
        self, client_of: Make, provider: Scripted, store: Any
    ) -> None:
        """What is there already is found out before, not after."""
        store.pipe_file("/ads/best.mp4", b"precious")
        with pytest.raises(InvalidRequest, match="exists already"):
            generate(client_of(), output="memory://ads/best.mp4")
        assert [] == provider.calls

    def test_a_url_that_says_no_in_the_end_loses_no_clip(
        self, client_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clip is kept on this machine, and a note says where and why."""

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(storage, "_put_object", full)
        result = generate(client_of(), output="memory://ads/best.mp4")
        assert result.clip.path is not None and result.clip.path.is_file()
        assert any("No space left" in note and str(result.clip.path) in note for note in result.notes)

    def test_a_handed_over_name_that_was_taken_meanwhile_is_not_claimed(
        self, client_of: Make, provider: Scripted, tmp_path: Path
    ) -> None:
        """The result says where the chosen clip really is."""
        target = tmp_path / "best.mp4"

        def write(path: Path) -> None:
            video(path)
            target.write_text("somebody else's")

        provider.write = write
        clip = generate(client_of(), output=target, candidates=2).clip
        assert clip.path is not None
        assert ("somebody else's", True, 8) == (
            target.read_text(), clip.path.name.startswith("best-run_"), media.probe(clip.path).frames,
        )  # fmt: skip
