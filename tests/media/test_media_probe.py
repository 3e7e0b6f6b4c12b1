"""Probing: true facts, and plain words for everything that is not media."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vidorch.errors import BadMedia
from vidorch.media import probe, save_still


class TestFacts:
    def test_a_plain_clip(self, clips: Any) -> None:
        """Every field of an ordinary clip with sound."""
        path = clips.make("a.mp4", 48, audio=2, matrix=1, full_range=False)
        info = probe(path)
        assert (path, "mp4", "video", path.stat().st_size) == (
            info.path,
            info.container,
            info.kind,
            info.size_bytes,
        )
        assert (2.0, 64, 48, Fraction(24), 48) == (
            info.duration,
            info.width,
            info.height,
            info.fps,
            info.frames,
        )
        assert (
            info.codec,
            info.pix_fmt,
            info.rotation,
            info.color_range,
            info.color_space,
        ) == ("h264", "yuv420p", 0, "tv", "bt709")
        assert (
            info.has_audio,
            info.audio_codec,
            info.audio_rate,
            info.audio_channels,
        ) == (True, "aac", 48000, 2)

    def test_silence_is_no_sound_track(self, clips: Any) -> None:
        """Without a sound track the four sound fields say so."""
        info = probe(clips.make("a.mp4", 2))
        assert (
            info.has_audio,
            info.audio_codec,
            info.audio_rate,
            info.audio_channels,
        ) == (False, None, None, None)

    def test_the_length_is_the_videos(self, clips: Any) -> None:
        """Sound that goes on for three seconds does not make a clip of one second longer."""
        assert probe(clips.make("a.mp4", 24, audio=3)).duration == 1.0

    def test_hidden_frames_do_not_count(self, clips: Any) -> None:
        """What an edit list cuts off is neither counted nor timed."""
        info = probe(clips.make("a.mp4", 40, options={"bf": "2", "g": "12"}, shift=-14))
        assert (26, pytest.approx(26 / 24)) == (info.frames, info.duration)

    @pytest.mark.parametrize(
        "fps", [8, 24, Fraction(24000, 1001), Fraction(30000, 1001), 60, Fraction(15, 2)]
    )
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_rates_are_exact(self, clips: Any, name: str, fps: Fraction | int) -> None:
        """The rate is the fraction that was written, in containers with fine and with coarse clocks."""
        info = probe(clips.make(name, 60, fps=fps))
        assert (fps, pytest.approx(60 / float(fps))) == (info.fps, info.duration)

    def test_a_variable_rate_is_none(self, clips: Any) -> None:
        """A mean over uneven frames is not a rate, so there is none."""
        assert probe(clips.make("a.mp4", 4, ticks=[0, 40, 100, 300], time_base=Fraction(1, 1000))).fps is None

    def test_one_frame_is_a_video_too(self, clips: Any) -> None:
        """Its length is that of its one frame."""
        info = probe(clips.make("a.mp4", 1, fps=8))
        assert (info.kind, info.frames, info.duration, info.fps) == ("video", 1, 0.125, 8)

    @pytest.mark.parametrize(("name", "codec"), [("a.webm", "vp9"), ("a.mkv", "h264"), ("a.mov", "h264")])
    def test_containers_have_short_names(self, clips: Any, name: str, codec: str) -> None:
        """The container is called as its files end, not by FFmpeg's list of relatives."""
        path = clips.make(name, 3, codec="libvpx-vp9" if codec == "vp9" else "libx264")
        info = probe(path)
        assert (path.suffix[1:], codec) == (info.container, info.codec)

    def test_a_still_has_no_time(self, clips: Any, tmp_path: Path) -> None:
        """A picture file is an image of one frame, without length or rate."""
        info = probe(save_still(clips.corners(), tmp_path / "a.png"))
        assert (
            info.kind,
            info.container,
            info.size,
            info.frames,
            info.duration,
            info.fps,
        ) == ("image", "png", (96, 64), 1, 0, None)

    def test_sound_with_a_cover_is_sound(self, tmp_path: Path) -> None:
        """An attached picture does not make a song a video."""
        path = tmp_path / "a.mp3"
        with av.open(str(path), "w") as file:
            sound = file.add_stream("mp3", rate=44100)
            art = file.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt = 64, 64, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            picture = frame.reformat(format="yuvj420p")
            picture.pts = 0
            file.mux(art.encode(picture))
            file.mux(art.encode(None))
            for start in range(0, 44100, 1152):
                samples = av.AudioFrame.from_ndarray(
                    np.zeros((2, 1152), np.float32), format="fltp", layout="stereo"
                )
                samples.sample_rate, samples.pts = 44100, start
                file.mux(sound.encode(samples))
            file.mux(sound.encode(None))
        info = probe(path)
        assert (info.kind, info.audio_codec, info.width, info.codec) == ("audio", "mp3", 0, None)
        assert pytest.approx(info.duration, abs=0.1) == 1

    def test_bytes_have_no_path(self, clips: Any) -> None:
        """Bytes are probed like a file; only the path is missing."""
        path = clips.make("a.mp4", 5)
        assert (probe(path.read_bytes()).path, probe(path.read_bytes()).frames) == (None, 5)

    def test_names_are_only_names(self, clips: Any) -> None:
        """A name that looks like a pattern, an address or an option is opened as it stands."""
        for name in ("%03d.mp4", "a:b.mp4", "concat:x.mp4", "-i.mp4", "ä ö.mp4", "no ending"):
            path = clips.make(name, 2, muxer="mp4") if ":" not in name else clips.make("x.mp4", 2)
            if ":" in name:
                path = path.rename(path.with_name(name))
            assert probe(path).frames == 2

    def test_tags_in_a_wrong_encoding_do_no_harm(self, clips: Any) -> None:
        """Text that is not UTF-8 in a file's tags is not what is asked for."""
        path = clips.make("a.mp4", 2)
        path.write_bytes(path.read_bytes().replace(b"Lavf", b"\xff\xfe\xff\xfe"))
        assert probe(path).frames == 2


HTML = b"<!DOCTYPE html><html><head><title>403</title></head><body>Forbidden</body></html>"


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "is empty"),
            (b"\0", "only zeros"),
            (bytes(10_000), "only zeros"),
            (HTML * 30, "HTML page"),
            (b'\n{"error": {"code": 403}}', "JSON"),
            (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
            (b"rate limited, try again later\n" * 40, "is text"),
            (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "playlist"),
            (np.random.default_rng(0).bytes(100_000), "not in a media format"),
            (b"\x89PNG\r\n\x1a\n", "cut off"),
        ],
        ids=["empty", "zero", "zeros", "html", "json", "xml", "text", "playlist", "garbage", "head of a PNG"],
    )
    def test_what_is_not_media_is_named(self, tmp_path: Path, data: bytes, words: str) -> None:
        """The error says what the file is instead, which file, and what to do, from a path and from bytes."""
        path = tmp_path / "clip.mp4"
        path.write_bytes(data)
        with pytest.raises(BadMedia, match=words) as caught:
            probe(path)
        assert (str(path), True) == (caught.value.path, bool(caught.value.hint))
        with pytest.raises(BadMedia, match=words):
            probe(data)

    def test_scripts_that_name_other_files_are_not_followed(
        self, clips: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A download cannot make vidorch open a file, or an address, that it lists."""
        clips.make("secret.mp4", 3)
        monkeypatch.chdir(tmp_path)
        script = tmp_path / "clip.mp4"
        script.write_bytes(b"ffconcat version 1.0\nfile secret.mp4\n")
        with pytest.raises(BadMedia, match="is text"):
            probe(script)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        """The error names the path."""
        with pytest.raises(BadMedia, match="does not exist") as caught:
            probe(tmp_path / "no.mp4")
        assert str(tmp_path / "no.mp4") == caught.value.path

    def test_a_folder(self, tmp_path: Path) -> None:
        """A folder is not a file."""
        with pytest.raises(BadMedia, match="is a folder"):
            probe(tmp_path)

    def test_a_pipe_is_refused_without_waiting(self, tmp_path: Path) -> None:
        """A named pipe nobody writes to would be waited on for ever."""
        os.mkfifo(tmp_path / "pipe.mp4")
        with pytest.raises(BadMedia, match="not a regular file"):
            probe(tmp_path / "pipe.mp4")

    def test_a_file_without_permission(self, clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the user may not read is said so; it is not called damaged."""
        path = clips.make("a.mp4", 2)

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("vidorch.media.source.os.open", refuse)
        with pytest.raises(BadMedia, match="permission denied"):
            probe(path)

    @pytest.mark.parametrize("name", ["a\0b.mp4", "x" * 300])
    def test_a_name_no_disk_takes(self, name: str) -> None:
        """Names that the system refuses are `BadMedia` too."""
        with pytest.raises(BadMedia):
            probe(name)

    @pytest.mark.parametrize(
        ("name", "container", "keep"),
        [
            ("a.mp4", {"movflags": "faststart"}, 0.5),
            ("a.mp4", {"movflags": "faststart"}, 0.99),
            ("a.mp4", {}, 0.5),
            ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}, 0.5),
            ("a.mkv", {}, 0.5),
        ],
    )
    def test_a_file_cut_off(self, clips: Any, name: str, container: dict[str, str], keep: float) -> None:
        """Half a download is found out, wherever the container keeps its index."""
        noise = np.random.default_rng(1).integers(0, 256, (48, 48, 64, 3), dtype=np.uint8)
        path = clips.make(name, list(noise), container=container, options={"g": "8"})
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(BadMedia, match="cut off"):
            probe(path)

    def test_a_track_without_frames(self, tmp_path: Path) -> None:
        """A header that announces a video with nothing in it is not a clip."""
        path = tmp_path / "a.mp4"
        with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as file:
            stream = file.add_stream("libx264", rate=24)
            stream.width, stream.height = 64, 48
            file.start_encoding()
        with pytest.raises(BadMedia, match="does not decode"):
            probe(path)

    def test_a_picture_of_gigapixels(self, tmp_path: Path) -> None:
        """A few bytes that claim 100,000 x 100,000 pixels are refused, not allocated."""
        path = save_still(np.zeros((8, 8, 3), np.uint8), tmp_path / "a.png")
        data = bytearray(path.read_bytes())
        data[16:24] = (100_000).to_bytes(4, "big") * 2
        with pytest.raises(BadMedia):
            probe(bytes(data))
