"""What a vendor hands over decides what its file is called, over real sockets."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from tests.providers import test_fal
from vidorch.errors import InvalidRequest
from vidorch.testing.conformance import Outcome
from vidorch.testing.servers import ProtocolServer

STILL = {
    "model": "fal/flux-schnell",
    "task": "image",
    "duration": None,
    "resolution": "1080p",
    "aspect_ratio": "16:9",
}


def webm(seconds: int = 5, fps: int = 4) -> bytes:
    """A WebM of noise."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        pictures = np.random.default_rng(7).integers(0, 255, (seconds * fps, 36, 64, 3), dtype=np.uint8)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(autouse=True)
def may_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the loopback alone."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")


class TestAnotherContainer:
    """A vendor that hands over WebM and calls it MP4."""

    def made(self, home: Path, output: Path | None, candidates: int = 1) -> Outcome:
        def before(server: ProtocolServer) -> None:
            for _ in range(candidates):
                server.next(content=webm())

        asks = {} if output is None else {"output": str(output)}
        outcome, _ = test_fal.TestFal().call(home, before, candidates=candidates, **asks)
        assert outcome.error is None, outcome.error
        return outcome

    def test_is_published_beside_the_name_that_was_asked_for(self, tmp_path: Path) -> None:
        """Under one that says what it is, and a note says where; nothing is converted, and nothing lost."""
        outcome = self.made(tmp_path / "home", tmp_path / "x.mp4")
        assert outcome.result is not None
        clip = outcome.result.clip
        assert (tmp_path / "x.webm", "video/webm", False) == (
            clip.path,
            clip.media_type,
            (tmp_path / "x.mp4").exists(),
        )
        assert any("made WEBM" in note and "x.webm" in note for note in outcome.result.notes)

    def test_has_its_own_suffix_at_home(self, tmp_path: Path) -> None:
        """Where no name was asked for, it needs no note."""
        outcome = self.made(tmp_path, None)
        assert outcome.result is not None
        assert outcome.result.clip.path is not None
        assert ".webm" == outcome.result.clip.path.suffix

    def test_holds_for_the_chosen_of_several(self, tmp_path: Path) -> None:
        """The copy that is handed over, too."""
        self.made(tmp_path / "home", tmp_path / "x.mp4", candidates=2)
        assert ["x.webm"] == [path.name for path in tmp_path.glob("x.*")]


class TestAStill:
    """`task="image"`."""

    def test_is_not_paid_for_under_the_name_of_a_video(self, tmp_path: Path) -> None:
        """The catalog knows that it is none."""
        outcome, server = test_fal.TestFal().call(tmp_path / "home", output=str(tmp_path / "x.mp4"), **STILL)
        assert isinstance(outcome.error, InvalidRequest)
        assert ([], "x.png" in str(outcome.error)) == (server.jobs, True)

    def test_may_be_named(self, tmp_path: Path) -> None:
        """As pictures are."""
        outcome, _ = test_fal.TestFal().call(tmp_path / "home", output=str(tmp_path / "x.png"), **STILL)
        assert outcome.error is None, outcome.error
        assert (tmp_path / "x.png").exists()

    def test_of_another_kind_says_so(self, tmp_path: Path) -> None:
        """What a name asked for is not what every vendor writes."""
        outcome, _ = test_fal.TestFal().call(tmp_path / "home", output=str(tmp_path / "x.jpg"), **STILL)
        assert outcome.error is None, outcome.error
        assert ["x.png"] == [path.name for path in tmp_path.glob("x.*")]
