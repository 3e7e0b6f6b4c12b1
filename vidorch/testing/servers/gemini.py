"""The Gemini Developer API, as far as it makes video: Omni by the Interactions API, and the Files API beside it.

Sources: as in `google_models` and `google_interactions`. An error of the Interactions API has a word for its code
(`{"error": {"message": ..., "code": "invalid_request"}}`), one of the rest of the API has the number, the message and the
status of google.rpc; both were seen on the wire.

Not confirmed: the words other than `invalid_request`; which of the two shapes a bad key is answered with under
`/interactions` (here the number, as everywhere else); what is said of a file that is gone (here 403, as for any file that
is not one's own), and how long an Omni clip is kept (here the 48 hours of the Files API). No webhook is sent: their
signature is not known.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vidorch.testing.servers.base import Answer, Ask, RemoteJob, VendorError, on
from vidorch.testing.servers.checks import Check, problems
from vidorch.testing.servers.google_interactions import Interactions
from vidorch.testing.servers.google_models import HTTP_OF_RPC, OMNI_GEMINI, RETIRED_OMNI_GEMINI, RETIRED_VEO

__all__ = ["Gemini", "Held"]

KEPT = 48 * 3600
"""Seconds that a file is kept."""
_WORDS = {
    400: "invalid_request", 401: "unauthenticated", 403: "permission_denied", 404: "not_found", 408: "timeout", 409: "conflict",
    429: "rate_limit_exceeded", 503: "unavailable", 504: "timeout",
}  # fmt: skip
_FILE = Check("object", fields={
    "name": Check(rule=lambda name: "" if name.startswith("files/") else "has to start with files/"), "displayName": Check(),
    "display_name": Check(), "mimeType": Check(), "mime_type": Check(), "sizeBytes": Check("any"), "size_bytes": Check("any"),
})  # fmt: skip


@dataclass(slots=True)
class Held:
    """A file of the Files API. `looks` are the requests for it that still find it in PROCESSING."""

    id: str
    content: bytes
    media_type: str
    created: float
    expires: float
    generated: bool = False
    display_name: str = ""
    looks: int = 0


@dataclass(slots=True)
class _Upload:
    id: str
    size: int
    media_type: str
    display_name: str
    content: bytes = b""


class Gemini(Interactions):
    """`/v1/interactions` and `/v1/files`, and the same under `/v1beta`.

    Args:
        file_looks: how many requests for a file of video find it in PROCESSING after its upload.

    Attributes:
        held: the files by id.
    """

    provider: ClassVar[str] = "gemini"
    key_variable: ClassVar[str] = "GEMINI_API_KEY"
    omni = OMNI_GEMINI
    retired_omni = RETIRED_OMNI_GEMINI

    def __init__(self, *, file_looks: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.file_looks = file_looks
        self.held: dict[str, Held] = {}
        self._uploads: dict[str, _Upload] = {}

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """A word in small letters is the Interactions API's; anything else is answered as the rest of the API does."""
        if code.islower():
            return Answer(status, {"error": {"message": message, "code": code}})
        said: dict[str, Any] = {
            "code": status,
            "message": message,
            "status": code or HTTP_OF_RPC.get(status, "UNKNOWN"),
        }
        if "reason" in more:
            info = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": more["reason"],
                "domain": "googleapis.com",
            }
            said["details"] = [info]
        return Answer(status, {"error": said})

    def usual_code(self, status: int) -> str:
        return _WORDS.get(status, "internal")

    def authorized(self, ask: Ask) -> bool:
        if ask.op == "upload" and ask.query.get("upload_id") in self._uploads:
            return True  # the address that an upload was given is its credential
        return [given for given in _credentials(ask) if given is not None] == [self.key]

    def unauthorized(self, ask: Ask) -> Answer:
        """Several credentials, none, or a wrong one: 400, 403, 400."""
        given = _credentials(ask)
        if sum(one is not None for one in given) > 1:
            message = "Multiple authentication credentials received. Please pass only one."
            return self.error(400, "invalid_request", message)
        if not any(given):
            message = "Method doesn't allow unregistered callers (callers without established identity)."
            return self.error(403, "PERMISSION_DENIED", message)
        message = "API key not valid. Please pass a valid API key."
        return self.error(400, "INVALID_ARGUMENT", message, reason="API_KEY_INVALID")

    # -- interactions ------------------------------------------------------------------------------------------------

    @on("POST", "/v1/interactions", "submit")
    @on("POST", "/v1beta/interactions", "submit")
    def create(self, ask: Ask) -> Answer:
        return self.interact(ask)

    @on("GET", "/v1/interactions/{id}", "poll")
    @on("GET", "/v1beta/interactions/{id}", "poll")
    def get(self, ask: Ask) -> Answer:
        return self.interaction_at(ask)

    @on("POST", "/v1/interactions/{id}/cancel", "cancel")
    @on("POST", "/v1beta/interactions/{id}/cancel", "cancel")
    def cancel(self, ask: Ask) -> Answer:
        return self.cancelled(ask)

    @on("DELETE", "/v1/interactions/{id}", "delete")
    @on("DELETE", "/v1beta/interactions/{id}", "delete")
    def delete(self, ask: Ask) -> Answer:
        return self.deleted(ask)

    # -- what is not made by it --------------------------------------------------------------------------------------

    @on("POST", "/v1/models/{model}:predictLongRunning", "veo")
    @on("POST", "/v1beta/models/{model}:predictLongRunning", "veo")
    def predict(self, ask: Ask) -> Answer:
        """Veo, which was shut on 2026-10-22: always 404."""
        model = ask.params["model"]
        if model in RETIRED_VEO:
            message = f"models/{model} is no longer available. Please use gemini-omni-1.1-flash instead."
        else:
            message = f"models/{model} is not found for API version v1beta, or is not supported for predictLongRunning."
        raise VendorError(404, "NOT_FOUND", message)

    @on("POST", "/v1/models/{model}:generateContent", "content")
    @on("POST", "/v1beta/models/{model}:generateContent", "content")
    def generate_content(self, ask: Ask) -> Answer:
        """Text models' request, which Omni refuses."""
        if ask.params["model"] in self.omni:
            raise VendorError(400, "INVALID_ARGUMENT", "This model only supports Interactions API.")
        raise VendorError(
            404, "NOT_FOUND", f"models/{ask.params['model']} is not found for API version v1beta."
        )

    # -- files -------------------------------------------------------------------------------------------------------

    @on("POST", "/upload/v1/files", "upload")
    @on("POST", "/upload/v1beta/files", "upload")
    def upload(self, ask: Ask) -> Answer:
        """Start an upload, or take a part of one, by `X-Goog-Upload-Command`."""
        commands = [word.strip() for word in ask.headers.get("x-goog-upload-command", "").split(",")]
        if commands == ["start"]:
            return self._started(ask)
        upload = self._uploads.get(ask.query.get("upload_id", ""))
        if upload is None or not set(commands) <= {"upload", "finalize"}:
            raise VendorError(
                400, "INVALID_ARGUMENT", "Upload has already been terminated or was not started."
            )
        if ask.headers.get("x-goog-upload-offset") != str(len(upload.content)):
            raise VendorError(400, "INVALID_ARGUMENT", f"The offset has to be {len(upload.content)}.")
        upload.content += ask.body
        if "finalize" not in commands:
            return Answer(json={}, headers={"X-Goog-Upload-Status": "active"})
        if len(upload.content) != upload.size:
            raise VendorError(
                400, "INVALID_ARGUMENT", f"Got {len(upload.content)} bytes instead of {upload.size}."
            )
        del self._uploads[ask.query["upload_id"]]
        looks = self.file_looks if upload.media_type.startswith("video/") else 0
        held = Held(
            upload.id, upload.content, upload.media_type, self.now(), self.now() + KEPT,
            display_name=upload.display_name, looks=looks,
        )  # fmt: skip
        self.held[held.id] = held
        return Answer(json={"file": self._told(held)}, headers={"X-Goog-Upload-Status": "final"})

    @on("GET", "/v1/files/{id}:download", "result")
    @on("GET", "/v1beta/files/{id}:download", "result")
    def content(self, ask: Ask) -> Answer:
        """The bytes of a file that was generated; those of an uploaded one are never given."""
        held = self._mine(ask.params["id"])
        if ask.query.get("alt") != "media":
            raise VendorError(400, "INVALID_ARGUMENT", "Only alt=media is supported.")
        if not held.generated:
            raise VendorError(400, "INVALID_ARGUMENT", "Only generated files can be downloaded.")
        return Answer(body=held.content, media_type=held.media_type)

    @on("GET", "/v1/files/{id}", "file")
    @on("GET", "/v1beta/files/{id}", "file")
    def file(self, ask: Ask) -> Answer:
        """What a file is."""
        held = self._mine(ask.params["id"])
        told = self._told(held)
        held.looks = max(held.looks - 1, 0)
        return Answer(json=told)

    @on("DELETE", "/v1/files/{id}", "file")
    @on("DELETE", "/v1beta/files/{id}", "file")
    def delete_file(self, ask: Ask) -> Answer:
        """Delete a file."""
        del self.held[self._mine(ask.params["id"]).id]
        return Answer(json={})

    def expire(self, url: str) -> None:
        """Let a finished file be over."""
        self.held[_file_id(url)].expires = 0.0

    # -- in its own words --------------------------------------------------------------------------------------------

    def seconds(self, job: RemoteJob) -> float:
        return self.omni_seconds(job)

    def sounds(self, job: RemoteJob) -> bool:
        return True

    def made(self, job: RemoteJob) -> list[str]:
        return self.make_omni(job)

    def delivered(self, job: RemoteJob, clip: bytes, gcs_uri: str | None) -> str:
        held = Held(self._file_name(), clip, "video/mp4", self.now(), self.now() + KEPT, generated=True)
        self.held[held.id] = held
        return f"{self.url}/v1beta/files/{held.id}:download?alt=media"

    def format_problem(self, wanted: Mapping[str, Any]) -> str:
        return "gcs_uri is Vertex's alone" if "gcs_uri" in wanted else ""

    def known_uri(self, uri: str) -> None:
        if not uri.startswith(f"{self.url}/") or "/files/" not in uri:
            raise self.wrong(400, f"Cannot fetch content from the provided URL: {uri}")
        held = self.held.get(_file_id(uri))
        if held is None or self.now() >= held.expires:
            raise self.wrong(403, _NOT_MINE.format(id=_file_id(uri)))
        if held.looks:
            raise self.wrong(400, f"The File {held.id} is not in an ACTIVE state and usage is not allowed.")

    def _started(self, ask: Ask) -> Answer:
        headers = ask.headers
        media_type = headers.get("x-goog-upload-header-content-type", "")
        size = headers.get("x-goog-upload-header-content-length", "")
        try:
            body = ask.json() if ask.body else {}
        except ValueError:
            body = []
        found = problems(body, {"file": _FILE})
        if (
            headers.get("x-goog-upload-protocol") != "resumable"
            or not size.isdigit()
            or not media_type
            or found
        ):
            why = (
                f"{found[0].dotted} {found[0].message}" if found else "The upload's headers are not complete."
            )
            raise VendorError(400, "INVALID_ARGUMENT", f"Invalid upload request: {why}")
        told = body.get("file", {}) if isinstance(body, dict) else {}
        name = str(told.get("name", "")).removeprefix("files/") or self._file_name()
        if name in self.held:
            raise VendorError(409, "ALREADY_EXISTS", f"File {name} already exists.")
        token = f"upload{name}"
        self._uploads[token] = _Upload(
            name, int(size), media_type, told.get("displayName") or told.get("display_name") or ""
        )
        address = f"{self.url}{ask.path}?upload_id={token}&upload_protocol=resumable"
        return Answer(json={}, headers={"X-Goog-Upload-URL": address, "X-Goog-Upload-Status": "active"})

    def _file_name(self) -> str:
        return self.new_id("file").replace("-", "")

    def _mine(self, file_id: str) -> Held:
        held = self.held.get(file_id)
        if held is None or self.now() >= held.expires:
            raise VendorError(403, "PERMISSION_DENIED", _NOT_MINE.format(id=file_id))
        return held

    def _told(self, held: Held) -> dict[str, Any]:
        told: dict[str, Any] = {
            "name": f"files/{held.id}", "mimeType": held.media_type, "sizeBytes": str(len(held.content)),
            "createTime": self.stamp(held.created), "updateTime": self.stamp(held.created),
            "expirationTime": self.stamp(held.expires),
            "sha256Hash": base64.b64encode(hashlib.sha256(held.content).hexdigest().encode()).decode(),
            "uri": f"{self.url}/v1beta/files/{held.id}", "state": "PROCESSING" if held.looks else "ACTIVE",
            "source": "GENERATED" if held.generated else "UPLOADED",
        }  # fmt: skip
        if held.display_name:
            told["displayName"] = held.display_name
        if held.generated:
            told["downloadUri"] = f"{told['uri']}:download?alt=media"
        return told


_NOT_MINE = "You do not have permission to access the File {id} or it may not exist."


def _credentials(ask: Ask) -> list[str | None]:
    return [ask.headers.get("x-goog-api-key"), ask.query.get("key"), ask.headers.get("authorization")]


def _file_id(uri: str) -> str:
    return uri.partition("/files/")[2].partition("?")[0].partition(":")[0]
