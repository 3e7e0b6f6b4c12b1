"""The two switches of servers: whether inputs may be files, and where URLs may lead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.engine.scripted import Scripted, catalog, offer
from vidorch import Choice, Client, InvalidRequest, Request
from vidorch.client.aio import AsyncClient
from vidorch.client.allowing import AllowedInputs
from vidorch.inputs import Media

CDN = "https://cdn.example.com/ours"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    Image.new("RGB", (64, 64)).save(path)
    return path


class TestLocalInputs:
    def test_files_are_refused(self, picture: Path) -> None:
        """A path is not taken, and the field is named."""
        with pytest.raises(InvalidRequest, match="image= is a file") as caught:
            AllowedInputs.of(False, None).check(Request(prompt="x", image=picture))
        assert "image" == caught.value.field

    @pytest.mark.parametrize(
        "lora", ["/etc/x.safetensors", "./x", "~/x", "x.safetensors", "file:///x.safetensors"]
    )
    def test_loras_by_path_are_refused(self, lora: str) -> None:
        """Neither by themselves nor with a weight, nor before a request is made of them."""
        with pytest.raises(InvalidRequest, match="loras= is a file") as caught:
            AllowedInputs.of(False, None).check(Request(prompt="x", loras=[(lora, 1.0)]))
        assert "loras" == caught.value.field
        with pytest.raises(InvalidRequest, match="loras= is a file"):
            AllowedInputs.of(False, None).check_options({"loras": [lora]})

    def test_loras_by_name_are_not(self) -> None:
        """What is known by its name at a hub or a vendor is no file."""
        AllowedInputs.of(False, None).check(
            Request(prompt="x", loras=["owner/name:x.safetensors", "https://x.test/y"])
        )

    def test_a_mask_is_one_of_them(self) -> None:
        """It is read by models on one's own hardware, and whoever may name none is not told whether it is there."""
        extra = {"local": {"mask": "/etc/passwd"}}
        with pytest.raises(InvalidRequest, match=r"extra\['local'\]\['mask'\]= is a file") as caught:
            AllowedInputs.of(False, None).check(Request(prompt="x", extra=extra))
        assert "extra['local']['mask']" == caught.value.field
        with pytest.raises(InvalidRequest, match="is a file"):
            AllowedInputs.of(False, None).check_options({"extra": extra})

    @pytest.mark.parametrize("spelling", [str, lambda path: f"file://{path}"], ids=["path", "url"])
    def test_in_every_spelling(self, picture: Path, spelling: Any) -> None:
        """Nor as a file URL."""
        with pytest.raises(InvalidRequest):
            AllowedInputs.of(False, None).check(Request(prompt="x", image=spelling(picture)))

    def test_of_every_field(self, picture: Path) -> None:
        """Reference images are inputs as well."""
        with pytest.raises(InvalidRequest) as caught:
            AllowedInputs.of(False, []).check(
                Request(prompt="x", reference_images=[picture.read_bytes(), picture])
            )
        assert "reference_images[1]" == caught.value.field

    def test_bytes_and_pictures_are_taken(self, picture: Path) -> None:
        """What the server itself holds is fine."""
        rules = AllowedInputs.of(False, [])
        rules.check(Request(prompt="x", image=picture.read_bytes()))
        rules.check(Request(prompt="x", image=Image.open(picture)))

    @pytest.mark.parametrize("field", ["image", "last_image", "video", "audio_track", "reference_images"])
    @pytest.mark.parametrize(
        "spelling", [str, Path, lambda path: f"file://{path}", lambda path: f"FILE://{path}"],
        ids=["text", "path", "url", "loud url"],
    )  # fmt: skip
    @pytest.mark.parametrize("where", ["options", "choice", "choices"])
    def test_are_refused_before_the_disk_is_asked(
        self, monkeypatch: pytest.MonkeyPatch, field: str, spelling: Any, where: str
    ) -> None:
        """Whether a file is there is not even looked at, however it is named and wherever it stands."""
        monkeypatch.setattr(Media, "of", None)
        value: Any = spelling(Path("/etc/passwd"))
        inputs = {field: [b"bytes", value] if field == "reference_images" else value}
        choice = Choice("m", **inputs)
        options = {"options": inputs, "choice": {"model": choice}, "choices": {"model": ["n", choice]}}[where]
        with pytest.raises(InvalidRequest, match=r"is a file, and this client takes none") as caught:
            AllowedInputs.of(False, None).check_options(options)
        assert field == caught.value.field.removesuffix("[1]")

    def test_a_clip_of_this_machine_is_a_file(self, tmp_path: Path) -> None:
        """What it was made from lies here; a clip at a URL does not."""
        client = Client(providers={"test": Scripted()}, catalog=catalog())
        with client:
            clip = client.generate("x", model="test/basic").clip
        rules = AllowedInputs.of(False, [CDN])
        rules.check_options({"video": replace(clip, path=None, uri=f"{CDN}/x.mp4")})
        with pytest.raises(InvalidRequest, match="not among the places"):
            rules.check_options({"video": replace(clip, path=None, uri="https://evil.test/x.mp4")})
        with pytest.raises(InvalidRequest, match="is a file"):
            rules.check_options({"video": clip})

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"image": 5, "model": 7},
            {"reference_images": "x.png"},
            {"reference_images": {1}, "model": [None, "m"]},
        ],
    )
    def test_junk_is_left_to_the_request(self, options: dict[str, Any]) -> None:
        """What is no input at all is said by whoever makes the request."""
        AllowedInputs.of(False, []).check_options(options)

    def test_by_default_they_are_taken(self, picture: Path) -> None:
        """At one's own terminal a path is the usual thing."""
        AllowedInputs.of(True, None).check(Request(prompt="x", image=picture))


class TestInputUrls:
    @pytest.mark.parametrize(
        "url",
        [f"{CDN}/cat.png", f"{CDN}/a/b.png?sig=1", "https://cdn.example.com:443/ours/x.png", "https://CDN.example.com/ours/x.png"],
    )  # fmt: skip
    def test_under_one_of_them(self, url: str) -> None:
        """Below the base URL, whatever the query."""
        AllowedInputs.of(True, [CDN]).check(Request(prompt="x", image=url))

    @pytest.mark.parametrize(
        "url",
        [
            "https://cdn.example.com/theirs/x.png", "https://cdn.example.com/ourselves/x.png", "https://cdn.example.com/ours",
            "https://cdn.example.com.evil.test/ours/x.png", "https://evil.test/ours/x.png", f"{CDN}/../theirs/x.png",
            f"{CDN}/%2e%2e/theirs/x.png", f"{CDN}/..%2ftheirs/x.png", f"{CDN}/%252e%252e/x.png", f"{CDN}/..\\theirs/x.png",
            "https://cdn.example.com@evil.test/ours/x.png", "https://evil.test\\@cdn.example.com/ours/x.png",
            "https://me@cdn.example.com/ours/x.png", "https://cdn.example.com:8443/ours/x.png", "s3://cdn.example.com/ours/x.png",
        ],
    )  # fmt: skip
    def test_anywhere_else(self, url: str) -> None:
        """Another place, or one that another reader might take for it."""
        with pytest.raises(InvalidRequest, match="image="):
            AllowedInputs.of(True, [CDN]).check(Request(prompt="x", image=url))

    def test_a_bucket(self) -> None:
        """Other stores have places, too."""
        AllowedInputs.of(True, ["s3://ours/in/"]).check(Request(prompt="x", image="s3://ours/in/x.png"))

    def test_none_at_all(self) -> None:
        """An empty list takes no URL."""
        with pytest.raises(InvalidRequest, match="bytes or a picture"):
            AllowedInputs.of(True, []).check(Request(prompt="x", image=f"{CDN}/x.png"))

    def test_the_query_is_not_shown(self) -> None:
        """A signature in it is a secret."""
        with pytest.raises(InvalidRequest) as caught:
            AllowedInputs.of(True, []).check(Request(prompt="x", image=f"{CDN}/x.png?sig=s3cret"))
        assert "s3cret" not in f"{caught.value!r}{caught.value.value}"


class TestTheClients:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> dict[str, Any]:
        routes = {"text-to-video": {}, "image-to-video": {}}
        return {
            "home": tmp_path / "home", "catalog": catalog(offer(routes=routes)), "providers": {"test": Scripted()},
            "local_inputs": False, "input_urls": [CDN],
        }  # fmt: skip

    @pytest.mark.parametrize("call", ["generate", "submit", "plan", "estimate"])
    @pytest.mark.parametrize("there", [True, False])
    def test_nobody_learns_what_is_there(
        self, settings: dict[str, Any], tmp_path: Path, call: str, there: bool
    ) -> None:
        """A path is refused in the same words whether there is a file or not."""
        path = tmp_path / "x"
        if there:
            path.write_text("no picture")
        with Client(**settings) as client, pytest.raises(InvalidRequest, match=r"^image= is a file, and"):
            getattr(client, call)("x", image=str(path), model="test/basic")

    @pytest.mark.parametrize("call", ["generate", "submit", "plan", "estimate"])
    @pytest.mark.parametrize("image", ["path", "url"])
    def test_the_blocking_one(self, settings: dict[str, Any], picture: Path, call: str, image: str) -> None:
        """Every call that takes a request looks, before it opens anything."""
        value = picture if image == "path" else "https://evil.test/x.png"
        with Client(**settings) as client, pytest.raises(InvalidRequest) as caught:
            getattr(client, call)("x", image=value, model="test/basic")
        assert "image" == caught.value.field

    def test_the_asynchronous_one(self, settings: dict[str, Any], picture: Path) -> None:
        """The same there, for each line of a batch as well."""
        import asyncio

        async def go() -> None:
            async with AsyncClient(**settings) as client:
                await client.generate_many(["x"], image=picture, model="test/basic")

        with pytest.raises(InvalidRequest, match="local_inputs=False"):
            asyncio.run(go())

    def test_what_is_allowed_is_made(self, settings: dict[str, Any], picture: Path) -> None:
        """Bytes go through to a clip."""
        with Client(**settings) as client:
            assert client.generate("x", image=picture.read_bytes(), model="test/basic").clip.path
