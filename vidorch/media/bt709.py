"""RGB arrays to the numbers that go into the file: 8-bit 4:2:0, BT.709, limited range, chroma where H.264 puts it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

from vidorch.media.picture import EXACT

if TYPE_CHECKING:
    from vidorch.media.types import Picture


class Bt709:
    """Converts frames of one size. Each result is a new frame; the RGB one before it is used again and again."""

    def __init__(self, width: int, height: int) -> None:
        self._rgb = _left_sited(width, height)
        plane = self._rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        self._pixels = rows[:, : width * 3].reshape(height, width, 3)
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Picture) -> av.VideoFrame:
        """Return the frame as YUV, tagged as what it is."""
        self._pixels[...] = frame
        picture = self._reformatter.reformat(
            self._rgb,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | EXACT,
            threads=1,
        )
        picture.color_primaries, picture.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return picture


def _left_sited(width: int, height: int) -> av.VideoFrame:
    """Return an RGB frame whose conversions put chroma at the left, where H.264 decoders look for it.

    Untold, FFmpeg computes it for the centre between two pixels; each time a clip is made from a clip, colour would move
    another quarter of a pixel. PyAV 18 has no attribute for it, so a filter sets it, once.
    """
    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=Fraction(1)
    )
    site = graph.add("setparams", "chroma_location=left")
    sink = graph.add("buffersink")
    source.link_to(site)
    site.link_to(sink)
    graph.configure()
    blank = av.VideoFrame(width, height, "rgb24")
    blank.pts = 0
    source.push(blank)
    frame = sink.pull()
    assert isinstance(frame, av.VideoFrame)
    frame.make_writable()
    return frame
