"""Media of a request: what is taken, what is refused and how, and what may be written down of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Literal

import pytest

from tests import samples
from vidorch.errors import BadMedia, InvalidRequest, Unsupported
from vidorch.inputs import Media, without_query
from vidorch.request import Request

Kind = Literal["image", "video", "audio"]
SECRET = "sig-5f1c0ffee"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(samples.PNG)
    return path


def refused(value: Any, kind: Kind = "image") -> InvalidRequest:
    """The error that a value meets."""
    with pytest.raises(InvalidRequest) as caught:
        Media.of(value, kind, kind)
    return caught.value


class TestWhatIsTaken:
    @pytest.mark.parametrize(
        ("data", "kind", "media_type"),
        [
            (samples.PNG, "image", "image/png"), (samples.JPEG, "image", "image/jpeg"), (samples.GIF, "image", "image/gif"),
            (samples.WEBP, "image", "image/webp"), (samples.AVIF, "image", "image/avif"), (samples.MP4, "video", "video/mp4"),
            (samples.MOV, "video", "video/quicktime"), (samples.WEBM, "video", "video/webm"), (samples.AVI, "video", "video/x-msvideo"),
            (samples.WAV, "audio", "audio/wav"), (samples.MP3, "audio", "audio/mpeg"), (samples.FLAC, "audio", "audio/flac"),
            (samples.OGG, "audio", "audio/ogg"), (samples.M4A, "audio", "audio/mp4"), (samples.MP4, "audio", "video/mp4"),
            (samples.TS, "video", "video/mp2t"), (samples.AAC, "audio", "audio/aac"), (samples.MP3_BARE, "audio", "audio/mpeg"),
            (samples.BMP, "image", "image/bmp"),
        ],
    )  # fmt: skip
    def test_bytes(self, data: bytes, kind: Kind, media_type: str) -> None:
        """Bytes are known by their beginning, never by a name."""
        assert media_type == Media.of(data, kind, "field").media_type

    @pytest.mark.parametrize("wrap", [bytearray, memoryview])
    def test_what_is_like_bytes(self, wrap: Any) -> None:
        """A bytearray or memoryview is copied, so that later changes do not matter."""
        assert Media.of(wrap(samples.PNG), "image", "image").data == samples.PNG

    def test_a_path(self, picture: Path) -> None:
        """A path is kept as path, with its size."""
        assert (picture, len(samples.PNG)) == (
            Media.of(picture, "image", "image").path,
            Media.of(str(picture), "image", "image").size,
        )

    def test_home_is_expanded(self, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`~` is the home folder."""
        monkeypatch.setenv("HOME", str(picture.parent))
        monkeypatch.setenv("USERPROFILE", str(picture.parent))
        assert picture == Media.of("~/cat.png", "image", "image").path

    def test_a_file_url(self, picture: Path) -> None:
        """A file:// URL is the path that it names."""
        assert picture == Media.of(picture.as_uri(), "image", "image").path

    def test_a_file_url_with_a_space(self, tmp_path: Path) -> None:
        """A file:// URL is unquoted: %20 is a space."""
        path = tmp_path / "my cat.png"
        path.write_bytes(samples.PNG)
        assert path == Media.of(path.as_uri(), "image", "image").path

    @pytest.mark.parametrize(
        "url",
        [
            "https://example.com/cat.png",
            "HTTPS://example.com/cat.png",
            "s3://bucket/cat.png",
            "gs://bucket/cat.png",
        ],
    )
    def test_a_url(self, url: str) -> None:
        """https and fsspec URLs are kept as they are; nothing is fetched."""
        assert url == Media.of(url, "image", "image").url

    def test_a_picture_of_pillow(self) -> None:
        """A PIL image becomes a PNG in memory."""
        image = pytest.importorskip("PIL.Image")
        media = Media.of(image.new("RGB", (4, 4)), "image", "image")
        assert ("image/png", b"\x89PNG") == (media.media_type, (media.data or b"")[:4])

    def test_a_picture_that_png_cannot_hold(self) -> None:
        """A PIL image in a mode that PNG does not know, such as CMYK, is taken or refused by name, never a foreign error."""
        image = pytest.importorskip("PIL.Image")
        for mode in ("CMYK", "F", "HSV", "LAB", "YCbCr"):
            try:
                Media.of(image.new(mode, (4, 4)), "image", "image")
            except InvalidRequest as error:
                assert error.field == "image"

    def test_a_clip(self, tmp_path: Path) -> None:
        """A clip that vidorch made is its file."""
        path = tmp_path / "made.mp4"
        path.write_bytes(samples.MP4)
        assert path == Media.of(a_clip(path), "video", "video").path

    def test_media(self) -> None:
        """What is media already is taken as it is."""
        media = Media.of(samples.PNG, "image", "image")
        assert media is Media.of(media, "image", "image")


def a_clip(path: Path | None) -> Any:
    """A clip whose file is at `path`, or elsewhere."""
    from decimal import Decimal
    from fractions import Fraction

    from vidorch.result import Clip, Timings

    return Clip(
        path=path, uri=str(path or "s3://bucket/made.mp4"), model="mini", endpoint="local", seed=1, cost=Decimal(0),
        cost_basis="imputed", latency=1.0, timings=Timings(), width=256, height=256, frames=24, fps=Fraction(12), duration=2.0,
    )  # fmt: skip


class TestWhatIsRefused:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        """A file that does not exist is named."""
        assert "There is no such file." in str(refused(tmp_path / "none.png"))

    def test_a_folder(self, tmp_path: Path) -> None:
        """A folder is not a file."""
        assert "This is a folder." in str(refused(tmp_path))

    def test_an_empty_file(self, tmp_path: Path) -> None:
        """A file with nothing in it is said to be empty."""
        (tmp_path / "empty.png").touch()
        assert "It is empty." in str(refused(tmp_path / "empty.png"))

    def test_empty_bytes(self) -> None:
        """No bytes are no picture."""
        assert "It is empty." in str(refused(b""))

    def test_no_path_at_all(self) -> None:
        """An empty text names no file."""
        assert "image" == refused("").field

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
    def test_an_unreadable_file(self, picture: Path) -> None:
        """A file that may not be read says so."""
        picture.chmod(0)
        assert "It cannot be opened" in str(refused(picture))

    def test_an_unreadable_file_in_words(self, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the system says about a file that cannot be opened is passed on."""

        def denied(*args: object, **kwargs: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", denied)
        assert "It cannot be opened: Permission denied." in str(refused(picture))

    @pytest.mark.parametrize("path", ["a\x00b.png", "x" * 5000, "nobody-is-called~this/../\udcff.png"])
    def test_a_name_that_no_file_can_have(self, path: str) -> None:
        """NUL, endless names and lone surrogates are refused, not crashed on."""
        assert "image" == refused(path).field

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_a_pipe(self, tmp_path: Path) -> None:
        """A named pipe, from which reading would never return, is refused at once."""
        os.mkfifo(tmp_path / "pipe.png")
        assert "image" == refused(tmp_path / "pipe.png").field

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
    def test_a_device(self) -> None:
        """A device is not a file."""
        assert "image" == refused("/dev/zero").field

    def test_a_text_file_named_png(self, tmp_path: Path) -> None:
        """A name proves nothing: a text file called .png is refused."""
        (tmp_path / "notes.png").write_bytes(samples.TEXT)
        assert "Its first bytes are not those of any image format." in str(refused(tmp_path / "notes.png"))

    def test_html_named_mp4(self, tmp_path: Path) -> None:
        """An error page saved as .mp4 is refused."""
        (tmp_path / "clip.mp4").write_bytes(samples.HTML)
        assert "Its first bytes are not those of any video format." in str(
            refused(tmp_path / "clip.mp4", "video")
        )

    @pytest.mark.parametrize("kind", ["image", "video", "audio"])
    @pytest.mark.parametrize(
        "text",
        [
            b"BMW is a company in Munich.",
            b"Get free videos at",
            b"Go",
            b"Good morning",
            "Hello".encode("utf-16"),
            b"moovable feast",
        ],
    )
    def test_text_that_begins_like_media(self, text: bytes, kind: Kind) -> None:
        """Words that happen to begin with a format's letters are text all the same."""
        assert "Its first bytes are not those" in str(refused(text, kind))

    @pytest.mark.parametrize(
        ("data", "kind", "found"),
        [
            (samples.PNG, "video", "image/png"), (samples.MP4, "image", "video/mp4"), (samples.WAV, "image", "audio/wav"),
            (samples.WAV, "video", "audio/wav"), (samples.JPEG, "audio", "image/jpeg"), (samples.AVI, "audio", "video/x-msvideo"),
        ],
    )  # fmt: skip
    def test_media_of_another_kind(self, data: bytes, kind: Kind, found: str) -> None:
        """A video is no image, and the error says what it is."""
        assert f"It is {found}." in str(refused(data, kind))

    def test_media_object_of_another_kind(self) -> None:
        """Ready media of another kind is refused too."""
        assert "Allowed is a video, not an image." in str(
            refused(Media.of(samples.PNG, "image", "image"), "video")
        )

    def test_a_picture_of_pillow_as_video(self) -> None:
        """A PIL image is no video."""
        image = pytest.importorskip("PIL.Image")
        assert "video" == refused(image.new("RGB", (4, 4)), "video").field

    def test_a_clip_without_a_local_file(self) -> None:
        """A clip that was published elsewhere is taken by its URL."""
        assert "s3://bucket/made.mp4" == Media.of(a_clip(None), "video", "video").url

    @pytest.mark.parametrize(
        "value", [0, 1.5, True, object(), {"path": "x"}, ["x.png"], ("x.png",), Path, int, {1}, print]
    )
    def test_what_is_no_media(self, value: Any) -> None:
        """Anything else is refused, and the error names its type."""
        assert f"not {type(value).__name__}" in str(refused(value))

    def test_plain_http(self) -> None:
        """Plain http can be changed on its way and is refused."""
        assert "an https URL" in str(refused("http://example.com/cat.png"))

    @pytest.mark.parametrize(
        "url",
        [
            "https://",
            "https:///cat.png",
            "https://[::1/cat.png",
            "https://exa mple/\x00",
            "https://\udcff/cat.png",
        ],
    )
    def test_a_broken_url(self, url: str) -> None:
        """A URL without a host, or one that cannot be read, is refused."""
        assert "image" == refused(url).field

    def test_what_all_errors_carry(self, tmp_path: Path) -> None:
        """The error has field, value and what is allowed; nothing was spent."""
        error = refused(tmp_path / "none.png")
        assert ("image", str(tmp_path / "none.png"), "a file that exists", False) == (
            error.field, error.value, error.allowed, error.charged,
        )  # fmt: skip

    def test_long_values_are_shortened(self) -> None:
        """A message stays readable whatever was given."""
        assert len(str(refused("x" * 100_000))) < 500


class TestSecrets:
    URL = f"https://user:{SECRET}@example.com/cat.png?X-Signature={SECRET}#{SECRET}"

    @pytest.mark.parametrize("show", [repr, str, lambda m: str(m.describe()), lambda m: m.fingerprint()])
    def test_never_shown(self, show: Any) -> None:
        """User, password, query and fragment of a URL appear in no text about it."""
        assert SECRET not in show(Media.of(self.URL, "image", "image"))

    def test_not_in_the_request(self) -> None:
        """Nor in the repr and description of a request that holds it."""
        request = Request(prompt="a cat", image=self.URL)
        assert SECRET not in repr(request) + str(request.describe())

    @pytest.mark.parametrize(
        "url", [URL.replace("https", "http"), f"https://?k={SECRET}", f"https://[::1/?k={SECRET}"]
    )
    def test_not_in_errors(self, url: str) -> None:
        """Nor in the error that refuses one."""
        error = refused(url)
        assert SECRET not in str(error) + repr(error) + str(error.value)

    def test_not_when_fetching_is_refused(self) -> None:
        """Nor in the error that says that inputs are not fetched yet."""
        with pytest.raises(Unsupported) as caught:
            Media.of(self.URL, "image", "image").read()
        assert SECRET not in str(caught.value)

    def test_fingerprint_ignores_the_query(self) -> None:
        """Two signatures of one address are one thing."""
        one, two = (Media.of(f"https://example.com/cat.png?sig={n}", "image", "image") for n in (1, 2))
        assert one.fingerprint() == two.fingerprint()

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("https://a:b@example.com:8443/x/y.png?q=1#f", "https://example.com:8443/x/y.png"),
            ("s3://key:secret@bucket/x", "s3://bucket/x"),
            ("https://a@b@example.com/x", "https://example.com/x"),
        ],
    )
    def test_without_query(self, url: str, shown: str) -> None:
        """What may be written down: scheme, host, port and path."""
        assert shown == without_query(url)

    def test_bytes_are_not_shown(self) -> None:
        """The repr tells the size of bytes, never the bytes."""
        assert f"Media(image, {len(samples.PNG)} bytes)" == repr(Media.of(samples.PNG, "image", "image"))


class TestVanishedFiles:
    def test_fingerprint(self, picture: Path) -> None:
        """A file that went away after the request was made is bad media, by name."""
        media = Media.of(picture, "image", "image")
        picture.unlink()
        with pytest.raises(BadMedia, match="cat.png was there when the request was made"):
            media.fingerprint()

    def test_read(self, picture: Path) -> None:
        """So it is when its content is wanted."""
        media = Media.of(picture, "image", "image")
        picture.unlink()
        with pytest.raises(BadMedia) as caught:
            media.read()
        assert str(picture) == caught.value.path


class TestFingerprint:
    def test_of_content(self, picture: Path) -> None:
        """It is the SHA-256 of the content, the same for a path and for bytes."""
        expected = hashlib.sha256(samples.PNG).hexdigest()
        assert {expected} == {
            Media.of(value, "image", "image").fingerprint() for value in (picture, samples.PNG)
        }

    def test_follows_the_file(self, picture: Path) -> None:
        """When the file changes, so does its fingerprint."""
        before = Media.of(picture, "image", "image").fingerprint()
        picture.write_bytes(samples.png(3, 3))
        assert before != Media.of(picture, "image", "image").fingerprint()

    def test_description_has_no_content(self, picture: Path) -> None:
        """The ledger keeps kind, hash and size: neither the content nor where it lay."""
        expected = {
            "kind": "image",
            "sha256": hashlib.sha256(samples.PNG).hexdigest(),
            "size": len(samples.PNG),
        }
        assert expected == Media.of(picture, "image", "image").describe()

    def test_immutable(self) -> None:
        """Media cannot be changed."""
        with pytest.raises(AttributeError):
            Media.of(samples.PNG, "image", "image").kind = "video"  # type: ignore[misc]
