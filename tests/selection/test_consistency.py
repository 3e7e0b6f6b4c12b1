"""The selector "consistency" on made-up clips with known faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from tests.selection.clips import KINDS, broken, clip_of, scene
from vidorch import Client, media
from vidorch.inputs import Media
from vidorch.result import Clip
from vidorch.selection import Report, select_from
from vidorch.selection.consistency import BLIND

SEEDS = range(6)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Report]]:
    """For each scene, the report of it and of its broken versions."""
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for seed in SEEDS:
        frames = scene(seed)
        clips = [clip_of(folder / f"{seed}-{kind}.mp4", broken(frames, kind, seed)) for kind in KINDS]
        reports = select_from("consistency", clips).reports
        found.append(
            {kind: report for kind, report in zip(KINDS, reports, strict=True) if report is not None}
        )
    return found


def score(report: Report) -> float:
    assert report.score is not None
    return report.score


class TestRanking:
    @pytest.mark.parametrize("kind", KINDS[1:])
    def test_a_clip_beats_its_broken_version(self, looked_at: list[dict[str, Report]], kind: str) -> None:
        """Whatever the scene, the version without the fault scores higher."""
        assert [True] * len(SEEDS) == [score(one["good"]) > score(one[kind]) for one in looked_at]

    def test_worse_faults_cost_more(self, looked_at: list[dict[str, Report]]) -> None:
        """A good clip, then one that flickers, one with a cut, a frozen one, a black one."""
        kinds = ("good", "flicker", "cut", "frozen", "black")
        for one in looked_at:
            assert list(kinds) == sorted(kinds, key=lambda kind: -score(one[kind]))

    def test_a_frozen_picture_is_not_rewarded(self, looked_at: list[dict[str, Report]]) -> None:
        """What stands still is perfectly steady, and that is not what was asked for."""
        assert all(score(one["frozen"]) < 0.2 for one in looked_at)

    @pytest.mark.parametrize(
        ("kind", "part"),
        [("flicker", "steady"), ("local flicker", "steady"), ("cut", "whole"), ("held", "moving"), ("stutter", "moving"),
         ("frozen", "moving"), ("black", "visible")],
    )  # fmt: skip
    def test_the_right_part_sees_it(self, looked_at: list[dict[str, Report]], kind: str, part: str) -> None:
        """Each fault shows in the part that is named for it."""
        seen = [one[kind].parts[part] < one["good"].parts[part] for one in looked_at]
        assert sum(seen) >= len(SEEDS) - 1

    def test_parts_and_score_are_from_0_to_1(self, looked_at: list[dict[str, Report]]) -> None:
        """The score is the product of the parts."""
        for one in looked_at:
            for report in one.values():
                assert all(0 <= part <= 1 for part in report.parts.values())
                assert score(report) == pytest.approx(np.prod(list(report.parts.values())))


class TestWords:
    def test_a_cut_is_named_with_its_time(self, looked_at: list[dict[str, Report]]) -> None:
        """Frame 15 of a clip at 12 frames a second."""
        assert all("A cut at 1.2 s." in one["cut"].notes for one in looked_at)

    def test_a_good_clip_has_nothing_to_say(self, looked_at: list[dict[str, Report]]) -> None:
        """Nothing is found where nothing is."""
        assert [(BLIND,)] * len(SEEDS) == [one["good"].notes for one in looked_at]

    def test_what_it_does_not_see_is_said(self, looked_at: list[dict[str, Report]]) -> None:
        """Every report says that prompt and beauty are not judged."""
        assert all(BLIND in report.notes for one in looked_at for report in one.values())
        assert "prompt" in BLIND and "beauty" in BLIND

    @pytest.mark.parametrize(
        ("kind", "words"),
        [("frozen", "It stands still"), ("black", "frames are blank"), ("strong flicker", "brightness flickers by")],
    )  # fmt: skip
    def test_other_faults_are_named(self, looked_at: list[dict[str, Report]], kind: str, words: str) -> None:
        """In words that a person can check against the clip."""
        named = [any(words in note for note in one[kind].notes) for one in looked_at]
        assert sum(named) >= len(SEEDS) - 1


class TestClipsOfAllKinds:
    def test_sizes_rates_and_lengths_may_differ(self, tmp_path: Path) -> None:
        """Each clip is looked at by its own measure; the one with a cut loses among any."""
        clips = [
            clip_of(tmp_path / "0.mp4", broken(scene(1, count=40, width=128, height=72), "cut", 1), fps=24),
            clip_of(tmp_path / "1.mp4", scene(1, count=16, width=64, height=112), fps=8),
            clip_of(tmp_path / "2.mp4", broken(scene(1, count=60, width=96, height=96), "frozen", 1), fps=30),
        ]
        selection = select_from("consistency", clips)
        assert (1, 3) == (selection.chosen, len(selection.reports))

    def test_the_same_answer_every_time(self, tmp_path: Path) -> None:
        """Nothing is drawn by lot."""
        clips = [clip_of(tmp_path / f"{n}.mp4", broken(scene(n), "flicker", n)) for n in range(3)]
        assert select_from("consistency", clips) == select_from("consistency", clips)

    def test_clips_that_are_as_good_as_each_other(self, tmp_path: Path) -> None:
        """Differences that encoding makes decide nothing: the first is taken, and a note says so."""
        frames = scene(2)
        clips = [clip_of(tmp_path / f"{n}.mp4", frames) for n in range(2)]
        clips.append(clip_of(tmp_path / "2.mp4", broken(frames, "cut", 2)))
        selection = select_from("consistency", clips)
        assert 0 == selection.chosen
        assert any(
            note.startswith("The clips 1, 2 are as consistent as each other") for note in selection.notes
        )

    @pytest.mark.parametrize("content", [b"", b"not a video", None])
    def test_one_that_cannot_be_read(self, tmp_path: Path, content: bytes | None) -> None:
        """It has no score and says why; the others are ranked all the same."""
        frames = scene(3)
        clips = [clip_of(tmp_path / "0.mp4", broken(frames, "cut", 3)), clip_of(tmp_path / "1.mp4", frames)]
        assert clips[0].path is not None
        broken_path = tmp_path / "broken.mp4"
        if content is not None:
            broken_path.write_bytes(content)
        unread = replace(clips[0], path=broken_path, uri=str(broken_path))
        selection = select_from("consistency", [unread, *clips])
        assert selection.reports[0] is not None
        assert (2, None) == (selection.chosen, selection.reports[0].score)
        assert "could not be looked at" in selection.reports[0].notes[0]
        assert any("cannot be read: clip 1" in note for note in selection.notes)

    def test_none_that_can_be_read(self, tmp_path: Path) -> None:
        """Then the first is taken, with a note: a clip is not lost because nobody could look at it."""
        clip = clip_of(tmp_path / "0.mp4", scene(4, count=4))
        gone = [replace(clip, path=tmp_path / f"gone{n}.mp4") for n in range(2)]
        selection = select_from("consistency", gone)
        assert (0, True) == (selection.chosen, "None of the clips could be looked at" in selection.notes[0])

    def test_one_frame(self, tmp_path: Path) -> None:
        """Too short to see it move: said, not guessed."""
        report = select_from("consistency", [clip_of(tmp_path / "0.mp4", scene(5, count=1))]).reports[0]
        assert report is not None
        assert ({"visible": 1.0}, True) == (report.parts, "too few" in report.notes[0])

    def test_at_a_url(self, tmp_path: Path) -> None:
        """A clip that was published elsewhere is fetched to be looked at, and no copy stays."""
        clip = clip_of(tmp_path / "0.mp4", scene(6))
        assert clip.path is not None
        fsspec.filesystem("memory").pipe_file("/ads/0.mp4", clip.path.read_bytes())
        there = replace(clip, path=None, uri="memory://ads/0.mp4")
        gone = replace(clip, path=None, uri="memory://ads/gone.mp4")
        here, reports = (
            select_from("consistency", [clip]).reports,
            select_from("consistency", [there, gone]).reports,
        )
        assert reports[1] is not None
        assert (here[0], None) == (reports[0], reports[1].score)

    def test_a_long_clip_is_looked_at_evenly(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """However long it is, its end is seen too."""
        frames = scene(7, count=64)
        frames[48:] = 0
        monkeypatch.setattr("vidorch.selection.consistency.MOST_FRAMES", 16)
        report = select_from("consistency", [clip_of(tmp_path / "0.mp4", frames)]).reports[0]
        assert report is not None
        assert 0.75 == report.parts["visible"]


class TestFirstFrame:
    def given(self, path: Path, frame: Any) -> Media:
        media.save_still((frame * 255).round().astype(np.uint8), path)
        return Media.of(path, "image", "image")

    @pytest.fixture
    def two(self, tmp_path: Path) -> list[Clip]:
        return [clip_of(tmp_path / "0.mp4", scene(8)), clip_of(tmp_path / "1.mp4", scene(9))]

    def test_the_clip_that_begins_with_the_image_wins(self, tmp_path: Path, two: list[Clip]) -> None:
        """Of two good clips, the one that keeps to what was given."""
        selection = select_from("consistency", two, image=self.given(tmp_path / "i.png", scene(9)[0]))
        assert 1 == selection.chosen
        assert selection.reports[0] is not None and selection.reports[1] is not None
        assert selection.reports[1].parts["first_frame"] > 0.9 > selection.reports[0].parts["first_frame"]

    @pytest.mark.parametrize(("width", "height"), [(192, 128), (48, 32), (31, 21)])
    def test_whatever_the_size_of_the_image(
        self, tmp_path: Path, two: list[Clip], width: int, height: int
    ) -> None:
        """It is scaled to the clip's."""
        frame = scene(9, count=1, width=192, height=128)[0]
        rows = np.linspace(0, 127, height).round().astype(int)
        columns = np.linspace(0, 191, width).round().astype(int)
        clip = clip_of(tmp_path / "large.mp4", scene(9, width=192, height=128))
        image = self.given(tmp_path / "i.png", frame[rows][:, columns])
        report = select_from("consistency", [clip], image=image).reports[0]
        assert report is not None and report.parts["first_frame"] > 0.85

    def test_a_wider_image_is_cut_at_its_sides(self, tmp_path: Path) -> None:
        """As vendors do, when the clip has another shape."""
        wide = scene(9, count=20, width=192, height=64)
        clip = clip_of(tmp_path / "0.mp4", wide[:, :, 64:128])
        report = select_from("consistency", [clip], image=self.given(tmp_path / "i.png", wide[0])).reports[0]
        assert report is not None and report.parts["first_frame"] > 0.9

    def test_an_image_that_is_not_here_is_said(self, two: list[Clip]) -> None:
        """An image at a URL is not fetched for this; the clips are ranked without it."""
        image = Media.of("https://example.com/a.png", "image", "image")
        report = select_from("consistency", two, image=image).reports[0]
        assert report is not None
        assert ("first_frame" in report.parts, "was not compared" in report.notes[0]) == (False, True)


class TestInARun:
    def test_the_result_says_what_was_found(self, tmp_path: Path) -> None:
        """Each clip carries its report, at once and when it is read from the ledger later."""
        with Client(home=tmp_path / "home") as client:
            run = client.submit("a red ball rolling left", candidates=2, seed=1, select="consistency")
            result = run.wait()
        with Client(home=tmp_path / "home") as client:
            again = client.run(run.id).wait()
        assert result.clip.report is not None
        assert ("consistency", result.candidates) == (result.clip.report["selector"], again.candidates)
