"""How a picture or a clip that lies here comes to each vendor."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.direct import bought, planned
from vidorch.catalog import shipped
from vidorch.errors import InvalidRequest, MissingCredentials
from vidorch.offer import Offer
from vidorch.testing.servers import serve
from vidorch_providers import vertex

PICTURE = samples.png(400, 300)


def offer(name: str) -> Offer:
    found = shipped().offer(name)
    assert found is not None
    return found


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


class TestRunway:
    def test_a_picture_is_uploaded_for_a_day(self, tmp_path: Path) -> None:
        """By an ephemeral upload, whose form carries no credential; the body names its URI."""
        with serve("runway") as server:
            (job,) = bought(server, [planned(offer("runway/gen4-turbo"), image=PICTURE)], tmp_path)
            uri = job.body["promptImage"]
            assert ("runway://", PICTURE) == (uri[:9], server.uploads[uri].value)
        assert [] == server.leaks

    def test_a_clip_is_uploaded_for_a_day(self, tmp_path: Path) -> None:
        """As a picture is."""
        with serve("runway") as server:
            entry = planned(offer("runway/aleph2"), task="restyle", video=samples.MP4)
            (job,) = bought(server, [entry], tmp_path)
            assert samples.MP4 == server.uploads[job.body["videoUri"]].value

    def test_references_are_objects(self, tmp_path: Path) -> None:
        """Each with its URI."""
        with serve("runway") as server:
            entry = planned(offer("runway/wan-3.0"), reference_images=[PICTURE, "https://example.com/b.png"])
            (job,) = bought(server, [entry], tmp_path)
        assert [{"uri"}, {"uri"}] == [set(one) for one in job.body["references"]]
        assert "https://example.com/b.png" == job.body["references"][1]["uri"]


class TestKling:
    def test_a_picture_goes_as_base64(self, tmp_path: Path) -> None:
        """Without `data:` before it."""
        with serve("kling") as server:
            (job,) = bought(server, [planned(offer("kling/kling-3.0-pro"), image=PICTURE)], tmp_path)
        assert {"type": "first_frame", "url": coded(PICTURE)} == job.body["contents"][1]

    def test_references_are_contents(self, tmp_path: Path) -> None:
        """Behind the prompt, each of its own."""
        with serve("kling") as server:
            entry = planned(offer("kling/kling-3.0-omni-pro"), reference_images=[PICTURE, PICTURE])
            (job,) = bought(server, [entry], tmp_path)
        assert [{"type": "refer_image", "url": coded(PICTURE)}] * 2 == job.body["contents"][1:]

    def test_a_clip_has_to_be_a_url(self, tmp_path: Path) -> None:
        """Kling takes none that lies here: said before anything is sent."""
        with serve("kling") as server:
            entry = planned(offer("kling/kling-o1-pro"), task="edit", video=samples.MP4)
            with pytest.raises(InvalidRequest, match="public https URL"):
                bought(server, [entry], tmp_path)
        assert [] == server.requests

    def test_a_pair_of_keys_signs_the_older_line(self, tmp_path: Path) -> None:
        """`ACCESS:SECRET` as the key makes the JWT that `/v1/videos/*` takes."""
        with serve("kling", key="test-access:test-secret") as server:
            entry = planned(
                offer("kling/kling-lipsync"), prompt="", task="lipsync", video="https://example.com/a.mp4",
                audio_track="https://example.com/a.mp3",
            )  # fmt: skip
            (job,) = bought(server, [entry], tmp_path)
        assert "/v1/videos/lip-sync" == job.path
        assert 3 == len(job.headers["authorization"].split("."))


class TestVertex:
    def test_what_is_small_goes_inline(self, tmp_path: Path) -> None:
        """Pictures and clips alike, in Veo's own words."""
        with serve("vertex") as server:
            entries = [
                planned(offer("vertex/veo-3.1"), image=PICTURE),
                planned(offer("vertex/veo-3.1"), task="extend", video=samples.MP4),
            ]
            picture, clip = (job.body["instances"][0] for job in bought(server, entries, tmp_path))
        assert {"bytesBase64Encoded": coded(PICTURE), "mimeType": "image/png"} == picture["image"]
        assert {"bytesBase64Encoded": coded(samples.MP4), "mimeType": "video/mp4"} == clip["video"]

    def test_what_is_large_goes_by_the_bucket(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Into the endpoint's bucket, where the result comes to lie, too."""
        monkeypatch.setattr(vertex, "INLINE_MOST", 10)
        with serve("vertex") as server:
            entry = planned(offer("vertex/veo-3.1"), task="extend", video=samples.MP4)
            (job,) = bought(server, [entry], tmp_path, {"bucket": "gs://studio/clips"})
            uri = job.body["instances"][0]["video"]["gcsUri"]
            bucket, _, name = uri.removeprefix("gs://").partition("/")
            assert ("studio", (samples.MP4, "video/mp4")) == (bucket, server.objects[bucket, name])  # type: ignore[attr-defined]
        assert job.body["parameters"]["storageUri"].startswith("gs://studio/clips/")

    def test_what_is_large_needs_a_bucket(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without one nothing is sent, and the option is named."""
        monkeypatch.setattr(vertex, "INLINE_MOST", 10)
        with serve("vertex") as server, pytest.raises(InvalidRequest, match="takes 10") as caught:
            bought(server, [planned(offer("vertex/veo-3.1"), image=PICTURE)], tmp_path)
        assert (0, True) == (server.count("submit"), "bucket" in caught.value.hint)

    @pytest.mark.parametrize("as_file", [True, False], ids=["its file", "its content"])
    def test_a_service_account_is_enough(self, tmp_path: Path, *, as_file: bool) -> None:
        """A token is had for it over vidorch's own sockets, once for all that is bought with it."""
        pytest.importorskip("google.auth")
        with serve("vertex") as server:
            key = json.dumps(server.service_account())  # type: ignore[attr-defined]
            robot = tmp_path / "robot.json"
            robot.write_text(key)
            entries = [planned(offer("vertex/veo-3.1-fast"))] * 2
            jobs = bought(server, entries, tmp_path, secret=str(robot) if as_file else key)
            assert (2, 1) == (len(jobs), server.count("token"))

    def test_a_broken_credential_is_said(self, tmp_path: Path) -> None:
        """A file that is none of Google's sends nothing."""
        pytest.importorskip("google.auth")
        robot = tmp_path / "robot.json"
        robot.write_text('{"type": "service_account"}')
        with serve("vertex") as server, pytest.raises(MissingCredentials, match="cannot be used"):
            bought(server, [planned(offer("vertex/veo-3.1-fast"))], tmp_path, secret=str(robot))
        assert [] == server.requests

    def test_references_say_what_they_are(self, tmp_path: Path) -> None:
        """Each is an asset."""
        with serve("vertex") as server:
            entry = planned(offer("vertex/veo-3.1-fast"), reference_images=[PICTURE])
            (job,) = bought(server, [entry], tmp_path)
        assert ["ASSET"] == [one["referenceType"] for one in job.body["instances"][0]["referenceImages"]]

    @pytest.mark.parametrize(
        ("model", "host"), [("veo-3.1", "https://europe-west4-aiplatform.googleapis.com"),
                            ("gemini-omni-1.2-flash", "https://aiplatform.googleapis.com")],
    )  # fmt: skip
    def test_omni_has_a_host_of_its_own(self, model: str, host: str) -> None:
        """Omni is served at the location "global" alone, whatever the endpoint's location is."""
        path = offer(f"vertex/{model}").routes["text-to-video"].path
        context: Any = type("Here", (), {})()
        context.endpoint = type("There", (), {"base_url": None, "options": {"location": "europe-west4"}})()
        filled = path.replace("{location}", "europe-west4")
        assert f"{host}{filled}" == vertex.Vertex().at(context, filled)


class TestGemini:
    def test_everything_goes_inline(self, tmp_path: Path) -> None:
        """As parts of the input, behind the words."""
        with serve("gemini") as server:
            entries = [
                planned(offer("gemini/gemini-omni-1.1-flash"), image=PICTURE),
                planned(offer("gemini/gemini-omni-1.1-flash"), task="edit", video=samples.MP4),
            ]
            picture, clip = (job.body["input"] for job in bought(server, entries, tmp_path))
        assert {"type": "image", "mime_type": "image/png", "data": coded(PICTURE)} == picture[1]
        assert {"type": "video", "mime_type": "video/mp4", "data": coded(samples.MP4)} == clip[1]
