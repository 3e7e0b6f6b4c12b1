"""The Vertex server takes what Google takes, and says no as Google does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.plain import Reply, send
from vidorch.testing.servers import Fate
from vidorch.testing.servers.google_models import AUDIO_TROUBLE, BLOCKED, RETIRED_VEO, VEO
from vidorch.testing.servers.vertex import Vertex, blocked

PLACE = "projects/test-project/locations/us-central1"
MODEL = "veo-3.1-generate-001"
LITE = "veo-3.1-lite-generate-001"
PNG = {"bytesBase64Encoded": base64.b64encode(b"png").decode(), "mimeType": "image/png"}
MP4 = {"bytesBase64Encoded": base64.b64encode(b"mp4").decode(), "mimeType": "video/mp4"}
REFERENCE = {"image": PNG, "referenceType": "ASSET"}


@pytest.fixture
def server() -> Iterator[Vertex]:
    with Vertex() as server:
        server.default = Fate(content=b"clip", looks=0)
        yield server


def post(server: Vertex, path: str, body: Any, **headers: str) -> Reply:
    return send("POST", f"{server.url}/{path}", body, {"Authorization": f"Bearer {server.key}"} | headers)


def create(
    server: Vertex, instance: dict[str, Any] | None = None, *, model: str = MODEL, place: str = PLACE, **parameters: Any
) -> Reply:  # fmt: skip
    body = {"instances": [instance or {"prompt": "a red ball"}], "parameters": parameters}
    return post(server, f"v1beta1/{place}/publishers/google/models/{model}:predictLongRunning", body)


def poll(server: Vertex, name: str, *, model: str = MODEL) -> Reply:
    path = f"v1beta1/{PLACE}/publishers/google/models/{model}:fetchPredictOperation"
    return post(server, path, {"operationName": name})


def made(server: Vertex, instance: dict[str, Any] | None = None, **parameters: Any) -> Any:
    return poll(server, create(server, instance, **parameters).json()["name"]).json()


class TestVeo:
    """predictLongRunning and fetchPredictOperation."""

    def test_an_operation_has_no_done_until_it_is_over(self, server: Vertex) -> None:
        """`done` is absent, not false."""
        server.next(looks=1, content=b"clip")
        name = create(server).json()["name"]
        first = poll(server, name).json()
        assert [{"name": name}, True] == [first, poll(server, name).json()["done"]]

    def test_its_name_tells_project_location_and_model(self, server: Vertex) -> None:
        """As it has to be given back."""
        name = create(server).json()["name"]
        assert name.startswith(f"{PLACE}/publishers/google/models/{MODEL}/operations/")

    def test_the_clips_come_inline(self, server: Vertex) -> None:
        """One for each sample, in base64."""
        response = made(server, sampleCount=2)["response"]
        assert [b"clip", b"clip"] == [
            base64.b64decode(one["bytesBase64Encoded"]) for one in response["videos"]
        ]

    def test_or_in_the_bucket_that_was_named(self, server: Vertex) -> None:
        """Under the folder of `storageUri`."""
        uri = made(server, storageUri="gs://my-bucket/out/")["response"]["videos"][0]["gcsUri"]
        assert uri.startswith("gs://my-bucket/out/")
        assert (b"clip", "video/mp4") == server.objects["my-bucket", uri.removeprefix("gs://my-bucket/")]

    def test_a_get_of_the_operation_is_not_there(self, server: Vertex) -> None:
        """Whoever polls Veo as other Google operations are polled gets 404."""
        name = create(server).json()["name"]
        headers = {"Authorization": f"Bearer {server.key}"}
        assert 404 == send("GET", f"{server.url}/v1beta1/{name}", headers=headers).status

    def test_another_models_operation_is_not_there(self, server: Vertex) -> None:
        """The path and the name have to agree."""
        assert 404 == poll(server, create(server).json()["name"], model=LITE).status

    def test_the_old_version_is_served_too(self, server: Vertex) -> None:
        """Google's pages say v1, its package v1beta1."""
        path = f"v1/{PLACE}/publishers/google/models/{MODEL}:predictLongRunning"
        assert 200 == post(server, path, {"instances": [{"prompt": "x"}]}).status

    @pytest.mark.parametrize("model", [*RETIRED_VEO, "veo-9"])
    def test_a_retired_model_is_not_found(self, server: Vertex, model: str) -> None:
        """With NOT_FOUND, and nothing is made."""
        reply = create(server, model=model)
        assert (404, "NOT_FOUND", []) == (reply.status, reply.json()["error"]["status"], server.jobs)

    @pytest.mark.parametrize("model", VEO)
    def test_every_live_model_makes_a_clip(self, server: Vertex, model: str) -> None:
        """By its own id."""
        name = create(server, model=model, durationSeconds=4).json()["name"]
        assert 1 == len(poll(server, name, model=model).json()["response"]["videos"])

    @pytest.mark.parametrize(
        "instance",
        [
            {"prompt": "x", "image": PNG, "lastFrame": PNG},
            {"image": PNG},
            {"prompt": "x", "referenceImages": [REFERENCE] * 3},
            {"prompt": "x", "video": MP4},
        ],
    )
    def test_what_goes_together_is_taken(self, server: Vertex, instance: dict[str, Any]) -> None:
        """First and last frame, an image alone, three references, an extension."""
        assert 200 == create(server, instance).status

    @pytest.mark.parametrize(
        "instance",
        [
            {"prompt": "x", "image": PNG, "video": MP4},
            {"prompt": "x", "lastFrame": PNG},
            {"prompt": "x", "image": PNG, "referenceImages": [REFERENCE]},
            {"prompt": "x", "video": MP4, "referenceImages": [REFERENCE]},
            {"prompt": "x", "referenceImages": [REFERENCE] * 4},
            {"prompt": "x", "referenceImages": []},
            {"prompt": "x", "referenceImages": [REFERENCE | {"referenceType": "STYLE"}]},
            {"referenceImages": [REFERENCE]},
            {"prompt": "x", "video": MP4, "mask": PNG | {"maskMode": "INSERT"}},
            {"prompt": ""},
            {"prompt": 5},
            {"text": "x"},
            {"prompt": "x", "seed": 1},
            {"prompt": "x", "image": {"mimeType": "image/png"}},
            {"prompt": "x", "image": PNG | {"gcsUri": "gs://my-bucket/a.png"}},
            {"prompt": "x", "image": PNG | {"mimeType": "image/gif"}},
            {"prompt": "x", "image": {"bytesBase64Encoded": PNG["bytesBase64Encoded"]}},
            {"prompt": "x", "image": PNG | {"bytesBase64Encoded": "#"}},
            {"prompt": "x", "image": {"gcsUri": "gs://my-bucket/none.png", "mimeType": "image/png"}},
            {"prompt": "x", "image": {"gcsUri": "https://example.com/a.png", "mimeType": "image/png"}},
            {"prompt": "x", "video": MP4 | {"mimeType": "video/webm"}},
        ],
    )
    def test_what_does_not_is_refused(self, server: Vertex, instance: dict[str, Any]) -> None:
        """INVALID_ARGUMENT, and nothing is made."""
        reply = create(server, instance)
        assert (400, "INVALID_ARGUMENT", []) == (reply.status, reply.json()["error"]["status"], server.jobs)

    @pytest.mark.parametrize(
        "parameters",
        [
            {"sampleCount": 0}, {"sampleCount": 5}, {"sampleCount": "1"}, {"seed": -1}, {"seed": 2**32}, {"aspectRatio": "1:1"},
            {"resolution": "480p"}, {"fps": 30}, {"personGeneration": "yes"}, {"generateAudio": "true"}, {"durationSeconds": "8"},
            {"durationSeconds": 8.0}, {"storageUri": "my-bucket"}, {"compressionQuality": "best"}, {"resizeMode": "FIT"},
            {"duration_seconds": 4}, {"numberOfVideos": 1},
        ],
    )  # fmt: skip
    def test_a_parameter_out_of_its_range_is_refused(
        self, server: Vertex, parameters: dict[str, Any]
    ) -> None:
        """So is one that has another type, or that nobody knows."""
        assert (400, []) == (create(server, **parameters).status, server.jobs)

    @pytest.mark.parametrize(
        "body", [b"{", b"[]", b"{}", b'{"instances": []}', b'{"instances": [{"prompt": "x"}], "a": 1}']
    )
    def test_a_body_that_is_none_is_refused(self, server: Vertex, body: bytes) -> None:
        """With the same error."""
        reply = post(server, f"v1beta1/{PLACE}/publishers/google/models/{MODEL}:predictLongRunning", body)
        assert (400, "INVALID_ARGUMENT") == (reply.status, reply.json()["error"]["status"])

    def test_lite_knows_neither_4k_nor_references_nor_extension(self, server: Vertex) -> None:
        """What only the larger models have."""
        asked = [
            create(server, model=LITE, resolution="4k"),
            create(server, {"prompt": "x", "referenceImages": [REFERENCE]}, model=LITE),
            create(server, {"prompt": "x", "video": MP4}, model=LITE),
        ]
        assert [400, 400, 400] == [reply.status for reply in asked]

    def test_an_extension_is_in_720p(self, server: Vertex) -> None:
        """Anything more is refused."""
        assert 400 == create(server, {"prompt": "x", "video": MP4}, resolution="1080p").status

    @pytest.mark.parametrize(
        ("instance", "seconds", "allowed"),
        [
            ({"prompt": "x"}, 5, "[8,4,6] for feature text_to_video"),
            ({"prompt": "x", "image": PNG}, 10, "[8,4,6] for feature image_to_video"),
            ({"prompt": "x", "referenceImages": [REFERENCE]}, 6, "[8] for feature reference_to_video"),
        ],
    )
    def test_a_length_that_is_not_made_fails_late(
        self, server: Vertex, instance: dict[str, Any], seconds: int, allowed: str
    ) -> None:
        """The operation is taken, and ends with google.rpc's code 3."""
        said = made(server, instance, durationSeconds=seconds)["error"]
        assert 3 == said["code"]
        assert (
            f"Unsupported output video duration {seconds} seconds, supported durations are {allowed}."
            == said["message"]
        )

    def test_or_at_once_where_that_is_asked_for(self) -> None:
        """`judges_late=False` refuses it before anything is made."""
        with Vertex(judges_late=False) as server:
            assert (400, []) == (create(server, durationSeconds=5).status, server.jobs)


class TestFiltering:
    """What is withheld is no error."""

    def test_all_may_be_withheld(self, server: Vertex) -> None:
        """Done, without error and without videos."""
        server.next(ending="refused", looks=0)
        said = made(server, sampleCount=2)
        assert {"name", "done", "response"} == said.keys()
        assert (2, [AUDIO_TROUBLE] * 2) == (
            said["response"]["raiMediaFilteredCount"],
            said["response"]["raiMediaFilteredReasons"],
        )
        assert "videos" not in said["response"]

    def test_some_may_be_withheld(self, server: Vertex) -> None:
        """The others come, with the count of those that do not."""
        server.next(filtered=3, looks=0, content=b"clip", message="no")
        response = made(server, sampleCount=4)["response"]
        assert (1, 3, ["no"] * 3) == (
            len(response["videos"]), response["raiMediaFilteredCount"], response["raiMediaFilteredReasons"],
        )  # fmt: skip

    def test_an_input_may_be_refused_at_once(self, server: Vertex) -> None:
        """400 with a support code, and nothing is made."""
        server.next(rejected=blocked("15236754", "image"))
        reply = create(server)
        assert (400, []) == (reply.status, server.jobs)
        assert BLOCKED.format(what="image", code="15236754") == reply.json()["error"]["message"]


class TestFailures:
    """Errors of operations and of requests."""

    @pytest.mark.parametrize(
        ("code", "number"), [("", 13), ("8", 8), ("RESOURCE_EXHAUSTED", 8), ("UNAVAILABLE", 14), ("OTHER", 2)]
    )
    def test_an_operation_fails_with_a_number(self, server: Vertex, code: str, number: int) -> None:
        """`error {code, message}`, and no response."""
        server.next(ending="failed", code=code, message="why", looks=0)
        said = made(server)
        assert (True, {"code": number, "message": "why"}) == (said["done"], said["error"])
        assert "response" not in said

    @pytest.mark.parametrize(
        ("fault", "status", "word"),
        [
            ("error-429", 429, "RESOURCE_EXHAUSTED"),
            ("error-503", 503, "UNAVAILABLE"),
            ("error-500", 500, "INTERNAL"),
        ],
    )
    def test_a_request_fails_in_googles_shape(
        self, server: Vertex, fault: str, status: int, word: str
    ) -> None:
        """`{"error": {code, message, status}}`."""
        server.fail("submit", fault)
        error = create(server).json()["error"]
        assert (status, word) == (error["code"], error["status"])

    @pytest.mark.parametrize(
        "headers", [{}, {"Authorization": "Bearer other"}, {"x-goog-api-key": "ya29.test-token"}]
    )
    def test_only_the_token_is_taken(self, server: Vertex, headers: dict[str, str]) -> None:
        """UNAUTHENTICATED otherwise."""
        path = f"{server.url}/v1beta1/{PLACE}/publishers/google/models/{MODEL}:predictLongRunning"
        reply = send("POST", path, {"instances": [{"prompt": "x"}]}, headers)
        assert (401, "UNAUTHENTICATED") == (reply.status, reply.json()["error"]["status"])

    def test_another_project_is_not_ones_own(self, server: Vertex) -> None:
        """PERMISSION_DENIED."""
        reply = create(server, place="projects/other/locations/us-central1")
        assert (403, "PERMISSION_DENIED") == (reply.status, reply.json()["error"]["status"])

    def test_a_lost_reply_leaves_an_operation(self, server: Vertex) -> None:
        """Somebody pays for it, and nobody knows its name."""
        server.fail("submit", "reset-after")
        with pytest.raises(OSError):
            create(server)
        assert 1 == len(server.jobs)


class TestStorage:
    """Cloud Storage, as far as clips and inputs need it."""

    def test_an_object_is_read_by_its_quoted_name(self, server: Vertex) -> None:
        """`alt=media` gives the bytes."""
        uri = made(server, storageUri="gs://my-bucket/out")["response"]["videos"][0]["gcsUri"]
        name = quote(uri.removeprefix("gs://my-bucket/"), safe="")
        headers = {"Authorization": f"Bearer {server.key}"}
        reply = send("GET", f"{server.url}/storage/v1/b/my-bucket/o/{name}?alt=media", headers=headers)
        assert (b"clip", "video/mp4") == (reply.body, reply.headers["content-type"])

    def test_an_object_that_is_not_there_has_storages_own_error(self, server: Vertex) -> None:
        """404, with a list of reasons."""
        headers = {"Authorization": f"Bearer {server.key}"}
        reply = send("GET", f"{server.url}/storage/v1/b/my-bucket/o/none?alt=media", headers=headers)
        assert (404, "notFound") == (reply.status, reply.json()["error"]["errors"][0]["reason"])

    def test_it_wants_the_token(self, server: Vertex) -> None:
        """Objects are not public."""
        assert 401 == send("GET", f"{server.url}/storage/v1/b/my-bucket/o/a?alt=media").status

    def test_an_upload_in_one_request_can_be_used(self, server: Vertex) -> None:
        """Its gs:// URI is an input from then on."""
        path = "upload/storage/v1/b/my-bucket/o?uploadType=media&name=in%2Fa.png"
        told = post(server, path, b"png", **{"Content-Type": "image/png"}).json()
        image = {"gcsUri": "gs://my-bucket/in/a.png", "mimeType": "image/png"}
        assert ("in/a.png", "3", "image/png") == (told["name"], told["size"], told["contentType"])
        assert 200 == create(server, {"prompt": "x", "image": image}).status

    def test_an_upload_in_parts_is_whole_at_the_last(self, server: Vertex) -> None:
        """308 with the range that it has, then the object; its address needs no token."""
        path = "upload/storage/v1/b/my-bucket/o?uploadType=resumable&name=a.mp4"
        address = post(server, path, {"contentType": "video/mp4"}).headers["location"]
        first = send("PUT", address, b"abc", {"Content-Range": "bytes 0-2/5"})
        last = send("PUT", address, b"de", {"Content-Range": "bytes 3-4/5"})
        assert (308, "bytes=0-2", 200) == (first.status, first.headers["range"], last.status)
        assert (b"abcde", "video/mp4") == server.objects["my-bucket", "a.mp4"]

    @pytest.mark.parametrize("query", ["uploadType=media", "uploadType=multipart&name=a", "name=a"])
    def test_an_upload_without_a_name_or_a_kind_is_refused(self, server: Vertex, query: str) -> None:
        """400, and nothing is stored."""
        assert (400, {}) == (
            post(server, f"upload/storage/v1/b/my-bucket/o?{query}", b"x").status,
            server.objects,
        )


class TestToken:
    """A service account's grant."""

    GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

    def grant(self, server: Vertex, account: dict[str, str], **claims: Any) -> Reply:
        """What becomes of an assertion that the account signed."""
        key = serialization.load_pem_private_key(account["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        said = {
            "iss": account["client_email"],
            "scope": "cloud-platform",
            "aud": f"{server.url}/token",
            "iat": 1000,
            "exp": 4600,
        }
        parts = [_packed({"alg": "RS256", "typ": "JWT"}), _packed(said | claims)]
        signature = key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        assertion = ".".join([*parts, base64.urlsafe_b64encode(signature).decode().rstrip("=")])
        return self.send(server, urlencode({"grant_type": self.GRANT, "assertion": assertion}).encode())

    def send(self, server: Vertex, form: bytes) -> Reply:
        return send(
            "POST", f"{server.url}/token", form, {"Content-Type": "application/x-www-form-urlencoded"}
        )

    @pytest.fixture
    def server(self) -> Iterator[Vertex]:
        with Vertex(clock=lambda: 1000.0) as server:
            yield server

    def test_it_gives_the_token(self, server: Vertex) -> None:
        """Which is the server's key."""
        said = self.grant(server, server.service_account()).json()
        assert (server.key, 3599, "Bearer") == (said["access_token"], said["expires_in"], said["token_type"])

    @pytest.mark.parametrize(
        "claims",
        [{"iss": "other"}, {"scope": ""}, {"aud": "other"}, {"exp": 999}, {"exp": 9999}, {"iat": None}],
    )
    def test_an_assertion_that_is_not_right_is_denied(self, server: Vertex, claims: dict[str, Any]) -> None:
        """Another account, no scope, another audience, too old, too long, no time."""
        reply = self.grant(server, server.service_account(), **claims)
        assert (400, "invalid_grant") == (reply.status, reply.json()["error"])

    def test_another_accounts_signature_is_denied(self, server: Vertex) -> None:
        """The key has to be the account's."""
        one, other = server.service_account(), server.service_account()
        reply = self.grant(server, one | {"private_key": other["private_key"]})
        assert "Invalid JWT Signature." == reply.json()["error_description"]

    @pytest.mark.parametrize(
        "form", [b"", b"grant_type=refresh_token", f"grant_type={GRANT}&assertion=a.b".encode()]
    )
    def test_what_is_no_assertion_is_denied(self, server: Vertex, form: bytes) -> None:
        """400 in OAuth's own shape, without a credential being asked for."""
        reply = self.send(server, form)
        assert 400 == reply.status
        assert {"error", "error_description"} == reply.json().keys()


def _packed(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


class TestOmni:
    """Interactions on Vertex."""

    MODEL = "gemini-omni-1.1-flash-preview"

    def ask(self, server: Vertex, *, location: str = "global", **body: Any) -> Reply:
        path = f"v1beta1/projects/test-project/locations/{location}/interactions"
        return post(server, path, {"model": self.MODEL, "input": "a red ball", "background": True} | body)

    def get(self, server: Vertex, interaction: str) -> Any:
        path = f"{server.url}/v1beta1/projects/test-project/locations/global/interactions/{interaction}"
        return send("GET", path, headers={"Authorization": f"Bearer {server.key}"}).json()

    def test_a_clip_comes_inline(self, server: Vertex) -> None:
        """As base64 of the last step."""
        content = self.get(server, self.ask(server).json()["id"])["steps"][-1]["content"]
        assert b"clip" == base64.b64decode(content[0]["data"])

    def test_or_in_the_bucket_that_was_named(self, server: Vertex) -> None:
        """`gcs_uri`; the format may come in a list, as on Google's pages."""
        wanted = [{"type": "video", "delivery": "uri", "gcs_uri": "gs://my-bucket/out/"}]
        said = self.get(server, self.ask(server, response_format=wanted).json()["id"])
        assert said["steps"][-1]["content"][0]["uri"].startswith("gs://my-bucket/out/")

    @pytest.mark.parametrize(
        "wanted",
        [
            {"type": "video", "delivery": "uri"},
            {"type": "video", "duration": "4.5s"},
            {"type": "video", "gcs_uri": "a"},
        ],
    )
    def test_a_format_of_the_other_surface_is_refused(self, server: Vertex, wanted: dict[str, Any]) -> None:
        """A URI needs a bucket, and lengths are whole seconds."""
        reply = self.ask(server, response_format=wanted)
        assert (400, "INVALID_ARGUMENT", []) == (reply.status, reply.json()["error"]["status"], server.jobs)

    def test_it_is_served_at_one_location(self, server: Vertex) -> None:
        """`global`."""
        assert 404 == self.ask(server, location="us-central1").status

    def test_the_other_surfaces_id_is_not_known(self, server: Vertex) -> None:
        """1.1 is called otherwise here."""
        assert 404 == self.ask(server, model="gemini-omni-1.1-flash").status
