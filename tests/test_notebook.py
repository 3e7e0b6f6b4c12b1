"""How results show themselves in a notebook: a player with the file inside the page."""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.engine.scripted import Scripted, catalog, offer
from vidorch import Client, media
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.result import Clip, Result


@pytest.fixture
def result() -> Result:
    with Client(catalog=catalog(offer(min_poll=0.01)), providers={"test": Scripted()}) as client:
        return client.generate("x", model="test/basic", seed=1)


class Seen(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data

    def __getitem__(self, tag: str) -> dict[str, str | None]:
        return next(attributes for name, attributes in self.tags if name == tag)


class TestAClip:
    def test_is_a_player_with_the_file_inside(self, result: Result, tmp_path: Path) -> None:
        """A <video> whose source is the very file, whole and playable."""
        source = Seen(result.clip._repr_html_())["video"]["src"]
        kind, data = re.fullmatch(r"data:([^;]+);base64,(.+)", source or "").groups()  # type: ignore[union-attr]
        (tmp_path / "again.mp4").write_bytes(base64.b64decode(data))
        assert result.clip.path is not None
        assert ("video/mp4", result.clip.path.read_bytes()) == (kind, (tmp_path / "again.mp4").read_bytes())
        assert 8 == media.verify(tmp_path / "again.mp4").frames

    def test_plays_by_itself_and_silently(self, result: Result) -> None:
        """Controls, loop, autoplay, and muted, without which no browser plays by itself."""
        assert {"controls", "loop", "autoplay", "muted", "playsinline"} <= Seen(result.clip._repr_html_())[
            "video"
        ].keys()

    def test_is_shown_large_enough_to_see(self, result: Result) -> None:
        """At least 256 pixels wide, however small the clip is."""
        assert "256" == Seen(result.clip._repr_html_())["video"]["width"]

    def test_says_what_made_it(self, result: Result) -> None:
        """Model, length, size, cost and how it is known, time."""
        text = Seen(result.clip._repr_html_()).text
        for words in ("test/basic", "1.0 s", "64x64", "$0.00 (imputed)", "made in"):
            assert words in text

    def test_is_well_formed(self, result: Result) -> None:
        """Every tag that is opened is closed."""
        assert [] == Seen(result._repr_html_()).open

    def test_escapes_its_text(self, result: Result) -> None:
        """Names never become markup."""
        clip = replace(result.clip, model='<script>alert("x")</script>')
        seen = Seen(clip._repr_html_())
        assert "script" not in {tag for tag, _ in seen.tags}
        assert '<script>alert("x")</script>' in seen.text

    def test_escapes_its_media_type(self, result: Result) -> None:
        """What a provider calls the type cannot leave the attribute."""
        seen = Seen(replace(result.clip, media_type='x" onerror="alert(1)')._repr_html_())
        assert "onerror" not in seen["video"]

    @pytest.mark.parametrize("path", [Path("/nowhere/gone <b>.mp4"), None])
    def test_without_a_file_says_where_it_should_be(self, result: Result, path: Path | None) -> None:
        """A file that is gone, or elsewhere, is named; the page stays small."""
        clip = replace(result.clip, path=path, uri="/nowhere/gone <b>.mp4")
        page = clip._repr_html_()
        assert "/nowhere/gone <b>.mp4" in Seen(page).text
        assert 1000 > len(page)

    def test_too_large_for_a_page_is_named_instead(self, result: Result, tmp_path: Path) -> None:
        """Over 32 MB the file is not put into the page."""
        big = tmp_path / "big.mp4"
        with big.open("wb") as file:
            file.truncate(32 * 2**20 + 1)
        page = replace(result.clip, path=big)._repr_html_()
        assert (True, True) == (len(page) < 1000, str(big) in page)


class TestAResult:
    def test_is_its_clip_with_the_notes(self, result: Result) -> None:
        """The player of the chosen clip, then what was assumed or ignored, escaped."""
        page = replace(result, notes=("Ignored: <b>mossy</b>.",))._repr_html_()
        assert page.startswith(result.clip._repr_html_())
        assert "Ignored: <b>mossy</b>." in Seen(page).text

    def test_without_notes_is_the_clip_alone(self, result: Result) -> None:
        """No empty list."""
        assert result.clip._repr_html_() == replace(result, notes=())._repr_html_()


def test_saving_never_overwrites_unasked(result: Result, tmp_path: Path) -> None:
    """`save` copies to a file or into a folder, and leaves what is there."""
    assert tmp_path / "a" / "x.mp4" == result.save(tmp_path / "a" / "x.mp4")
    assert tmp_path / "1-test-basic.mp4" == result.save(tmp_path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        result.save(tmp_path)
    assert tmp_path / "1-test-basic.mp4" == result.save(tmp_path, overwrite=True)


def test_saving_to_itself_changes_nothing(result: Result) -> None:
    """Saved to where it is, also by another name of the same file, it stays as it is."""
    path = result.clip.path
    assert path is not None
    before = path.read_bytes()
    assert path == result.save(path, overwrite=True)
    assert path == result.save(path.parent)
    assert before == path.read_bytes()


def test_saving_is_all_or_nothing(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that breaks off leaves what was there, and nothing half-written beside it."""
    (tmp_path / "x").mkdir()
    target = tmp_path / "x" / "a.mp4"
    target.write_bytes(b"precious")

    def break_off(source: Path, copy: Path) -> None:
        copy.write_bytes(b"ha")
        raise OSError("the disk is full")

    monkeypatch.setattr(shutil, "copyfile", break_off)
    with pytest.raises(OSError, match="full"):
        result.save(target, overwrite=True)
    assert ([target], b"precious") == (list(target.parent.iterdir()), target.read_bytes())


def test_saving_never_overwrites_what_came_meanwhile(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that appears while the copy is made is left as it is."""
    target, copy = tmp_path / "a.mp4", shutil.copyfile

    def meanwhile(source: Path, to: Path) -> None:
        copy(source, to)
        target.write_bytes(b"precious")

    monkeypatch.setattr(shutil, "copyfile", meanwhile)
    with pytest.raises(FileExistsError):
        result.save(target)
    assert b"precious" == target.read_bytes()


@pytest.mark.parametrize("path", ["~nosuchuser/x.mp4", "n" * 300 + ".mp4", "a\x00.mp4"])
def test_saving_to_no_path(result: Result, path: str) -> None:
    """A path that cannot be is an InvalidRequest."""
    with pytest.raises(InvalidRequest, match="path="):
        result.save(path)


@pytest.mark.parametrize("name", ["x.mov", "x.WEBM", "x.gif"])
def test_saving_converts_nothing(result: Result, tmp_path: Path, name: str) -> None:
    """A name of another kind of file is refused with the one that works, and nothing is written."""
    with pytest.raises(InvalidRequest, match=r"Call it x\.mp4\."):
        result.save(tmp_path / "new" / name)
    assert [] == list(tmp_path.rglob("new"))


@pytest.mark.parametrize("name", ["x.m4v", "x.MP4", "x"])
def test_saving_under_every_name_of_an_mp4(result: Result, tmp_path: Path, name: str) -> None:
    """A name that says MP4, or nothing, is taken as it is."""
    assert tmp_path / name == result.save(tmp_path / name)


@pytest.mark.parametrize(
    ("media_type", "own", "name", "fits"),
    [
        ("image/png", "a.png", "x.png", True),
        ("image/png", "a.png", "x.mp4", False),
        ("video/webm", "a.webm", "x.webm", True),
        ("video/x-odd", "a.odd", "x.odd", True),
        ("video/x-odd", "a.odd", "x.mp4", False),
        ("video/x-odd", "a", "x.mp4", True),
    ],
)
def test_saving_goes_by_what_is_in_the_file(
    result: Result, tmp_path: Path, media_type: str, own: str, name: str, fits: bool
) -> None:
    """The suffix has to be one of the clip's kind; of a kind that nobody here knows, the clip's own."""
    (tmp_path / own).write_bytes(b"a file")
    clip = replace(result.clip, path=tmp_path / own, media_type=media_type)
    with contextlib.nullcontext() if fits else pytest.raises(InvalidRequest, match="saving converts nothing"):
        clip.save(tmp_path / name)
    assert fits == (tmp_path / name).exists()


def test_a_clip_elsewhere_is_fetched_to_be_saved(result: Result, tmp_path: Path) -> None:
    """A clip at a URL is brought here; one that is gone says where it was, and leaves nothing behind."""
    import fsspec

    fsspec.filesystem("memory").pipe_file("/bucket/a.mp4", b"a clip")
    clip: Clip = replace(result.clip, path=None, uri="memory://bucket/a.mp4", cost=Decimal("1.5"))
    assert b"a clip" == clip.save(tmp_path).read_bytes()
    fsspec.filesystem("memory").rm_file("/bucket/a.mp4")
    with pytest.raises(VidorchError, match="memory://bucket/a.mp4 could not be read"):
        clip.save(tmp_path / "b.mp4")
    assert [tmp_path / "a.mp4"] == [*tmp_path.glob("*.mp4"), *tmp_path.glob("*.part")]
