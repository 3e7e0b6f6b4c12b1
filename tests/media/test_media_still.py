"""Stills: every value kept, upright, and never larger than allowed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from vidorch.errors import BadMedia, InvalidRequest
from vidorch.media import load_still, save_still
from vidorch.media.exif import exif_orientation

NOISE = np.random.default_rng(7).integers(0, 256, (33, 47, 3), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


class TestSaving:
    def test_png_keeps_every_value(self, tmp_path: Path) -> None:
        """A frame saved as PNG comes back bit for bit, here and in Pillow, odd sizes too."""
        path = save_still(NOISE, tmp_path / "a.png")
        assert np.array_equal(NOISE, load_still(path))
        assert np.array_equal(NOISE, np.asarray(Image.open(path)))

    @pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
    def test_jpeg_keeps_the_colours(self, clips: Any, tmp_path: Path, name: str) -> None:
        """JPEG is close to the original in any reader."""
        path = save_still(clips.corners(), tmp_path / name)
        for read in (load_still(path), np.asarray(Image.open(path))):
            assert np.abs(read.astype(int) - clips.corners()).max() <= 4

    def test_other_endings_are_refused(self, tmp_path: Path) -> None:
        """The ending decides the format, so it has to be one of the two."""
        with pytest.raises(InvalidRequest) as caught:
            save_still(NOISE, tmp_path / "a.tiff")
        assert caught.value.field == "path"

    def test_what_is_not_a_frame_is_refused(self, tmp_path: Path) -> None:
        """Floats are not silently cut to 0 and 1."""
        with pytest.raises(InvalidRequest, match="255"):
            save_still(NOISE / 255, tmp_path / "a.png")
        assert not list(tmp_path.iterdir())

    def test_a_taken_name_is_kept(self, tmp_path: Path) -> None:
        """Nothing is overwritten unasked."""
        (tmp_path / "a.png").write_bytes(b"mine")
        with pytest.raises(FileExistsError):
            save_still(NOISE, tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes() == b"mine"
        save_still(NOISE, tmp_path / "a.png", overwrite=True)
        assert np.array_equal(NOISE, load_still(tmp_path / "a.png"))


class TestLoading:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_photographs_are_upright(self, clips: Any, kind: str, orientation: int) -> None:
        """All eight EXIF orientations are undone, as Pillow undoes them."""
        picture = Image.fromarray(clips.corners())
        tags = picture.getexif()
        tags[0x0112] = orientation
        options = (
            {"lossless": True}
            if kind == "WEBP"
            else {"subsampling": 0, "quality": 98}
            if kind == "JPEG"
            else {}
        )
        data = encoded(picture, kind, exif=tags.tobytes(), **options)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
        assert expected.shape == load_still(data).shape
        assert np.abs(expected.astype(int) - load_still(data)).max() <= 3

    @pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "AVIF"])
    def test_formats(self, clips: Any, kind: str) -> None:
        """Every common format gives the colours that Pillow sees."""
        data = encoded(Image.fromarray(clips.corners()), kind)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        # Lossy formats differ at the edges, where readers spread halved colour differently.
        assert np.median(np.abs(expected - load_still(data))) <= 2

    def test_modes(self) -> None:
        """Grey, two-colour, palette, 16-bit and CMYK pictures all become RGB."""
        grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
        for picture, kind in (
            (grey, "PNG"),
            (grey, "JPEG"),
            (grey.convert("1"), "PNG"),
            (grey.convert("P"), "PNG"),
            (Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257), "PNG"),
        ):
            expected = np.asarray(
                picture.convert("1").convert("RGB") if picture.mode == "1" else grey.convert("RGB")
            )
            loaded = load_still(encoded(picture, kind))
            assert np.abs(expected.astype(int) - loaded).max() <= 2, (picture.mode, kind)

    def test_transparency_is_laid_on_white(self) -> None:
        """Hidden pixels stay hidden, half-transparent ones are mixed."""
        picture = np.zeros((2, 2, 4), np.uint8)
        picture[0] = (255, 0, 0, 0)
        picture[1] = (0, 0, 0, 128)
        loaded = load_still(encoded(Image.fromarray(picture), "PNG"))
        assert loaded[0, 0].tolist() == [255, 255, 255]
        assert loaded[1, 1].tolist() == [127, 127, 127]

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_half_a_picture_is_none(self, kind: str) -> None:
        """A cut-off picture is `BadMedia`, not one with a grey lower half."""
        data = encoded(Image.fromarray(NOISE), kind)
        with pytest.raises(BadMedia):
            load_still(data[: len(data) // 2])

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_a_bomb_is_refused(self, kind: str) -> None:
        """More pixels than allowed are refused before there is memory for them."""
        data = encoded(Image.new("RGB", (400, 300)), kind)
        assert load_still(data, max_pixels=120_000).shape == (300, 400, 3)
        with pytest.raises(BadMedia):
            load_still(data, max_pixels=119_999)

    def test_a_video_is_not_a_still(self, clips: Any) -> None:
        """The error names what to use."""
        with pytest.raises(BadMedia, match="first_frame"):
            load_still(clips.make("a.mp4", 3))

    @pytest.mark.parametrize("data", [b"", b"<html></html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1\x00"])
    def test_what_is_not_a_picture(self, data: bytes) -> None:
        """Never an error of the library below."""
        with pytest.raises(BadMedia):
            load_still(data)

    def test_tags_after_an_odd_chunk_are_found(self) -> None:
        """WebP pads chunks to an even length, and keeps its tags after all of them."""
        tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + bytes(4)
        chunks = (
            b"VP8 " + (3).to_bytes(4, "little") + b"abc\0" + b"EXIF" + len(tiff).to_bytes(4, "little") + tiff
        )
        assert exif_orientation(b"RIFF" + len(chunks).to_bytes(4, "little") + b"WEBP" + chunks) == 6

    def test_nonsense_in_the_tags_is_ignored(self, clips: Any) -> None:
        """Broken EXIF leaves the picture as it is stored."""
        data = encoded(Image.fromarray(clips.corners()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        assert clips.corners().shape == load_still(data).shape
