"""fal's storage: tokens of `rest.fal.ai`, and files at `v3.fal.media`, whole or in parts.

Source: fal-client 1.0.3 (client.py: CDNTokenManager, MultipartUpload, _upload_via_storage), read 2026-11-26. Not confirmed: the
errors, and that a part may have any size.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from vidorch.testing.servers.base import Answer, Ask, FormPart, ProtocolServer, VendorError, on
from vidorch.testing.servers.fal_errors import page

__all__ = ["UPLOADS", "FalStorage"]

UPLOADS = frozenset({"upload", "multipart", "part", "complete"})
"""What goes by the token instead of the key."""


class FalStorage(ProtocolServer):
    """Uploads, and the files that came of them.

    Attributes:
        token: that uploads go by. uploads: by name, what came.
    """

    token = "test-cdn-token"  # noqa: S105

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._parts: dict[str, dict[int, bytes]] = {}

    def body_of(self, ask: Ask) -> dict[str, Any]:
        """The body, which has to be an object.

        Raises:
            VendorError: it is none.
        """
        try:
            body = ask.json()
        except ValueError:
            raise _wrong("json_invalid", "JSON decode error", {}) from None
        if not isinstance(body, dict):
            raise _wrong("dict_type", "Input should be an object", body)
        return body

    @on("POST", "/storage/auth/token", "token")
    def grant(self, ask: Ask) -> Answer:
        """A token for uploads."""
        if ask.query.get("storage_type") != "fal-cdn-v3":
            raise VendorError(400, "bad_request", "Unknown storage type")
        until = datetime.fromtimestamp(self.now() + 3600, UTC).isoformat()
        return Answer(
            json={"token": self.token, "token_type": "Bearer", "base_url": ask.host, "expires_at": until}
        )

    @on("POST", "/files/upload", "upload")
    def upload(self, ask: Ask) -> Answer:
        """A whole file as the body."""
        return Answer(json={"access_url": self._keep(ask, ask.body)})

    @on("POST", "/files/upload/multipart", "multipart")
    def multipart(self, ask: Ask) -> Answer:
        """Begin a file that comes in parts: fal-client sends those above 100 MiB so, 10 MiB at a time."""
        url = self._keep(ask, b"")
        upload_id = self.new_id("upload")
        self._parts[upload_id] = {}
        return Answer(json={"access_url": url, "uploadId": upload_id})

    @on("PUT", "/files/{name}/multipart/{upload}/{number}", "part")
    def part(self, ask: Ask) -> Answer:
        """One part, told apart by its number."""
        parts = self._upload(ask)
        number = ask.params["number"]
        if not number.isdigit() or int(number) < 1:
            raise VendorError(400, "bad_request", "Part numbers begin at 1")
        parts[int(number)] = ask.body
        return Answer(200, headers={"ETag": _etag(ask.body)})

    @on("POST", "/files/{name}/multipart/{upload}/complete", "complete")
    def complete(self, ask: Ask) -> Answer:
        """Put the parts together; every one has to be named with its etag."""
        parts = self._upload(ask)
        named, kept = (
            self.body_of(ask).get("parts"),
            [{"partNumber": n, "etag": _etag(parts[n])} for n in sorted(parts)],
        )
        if not isinstance(named, list) or len(named) != len(kept) or any(one not in kept for one in named):
            raise VendorError(400, "bad_request", "The parts named are not the parts uploaded")
        self._fill(ask.params["name"], b"".join(parts[number] for number in sorted(parts)))
        return Answer(200, {})

    @on("POST", "/storage/upload/initiate", "initiate")
    def initiate(self, ask: Ask) -> Answer:
        """The older way: a signed URL to PUT to."""
        body = self.body_of(ask)
        media_type = str(body.get("content_type", "application/octet-stream"))
        url = self._keep(ask, b"", media_type=media_type, filename=str(body.get("file_name", "")))
        return Answer(
            json={
                "upload_url": f"{ask.host}/storage/put/{url.rpartition('/')[2]}?signature=test-signature",
                "file_url": url,
            }
        )

    @on("PUT", "/storage/put/{name}", "put")
    def put_signed(self, ask: Ask) -> Answer:
        """The bytes, without a credential."""
        name = ask.params["name"]
        if name not in self.uploads or ask.query.get("signature") != "test-signature":
            raise VendorError(403, "", "Access denied")
        self._fill(name, ask.body)
        return Answer(200)

    @on("GET", "/files/{name}", "media")
    def media(self, ask: Ask) -> Answer:
        """What was uploaded; public."""
        file = self.uploads.get(ask.params["name"])
        if file is None:
            raise VendorError(404, "not_found", "File not found")
        return Answer(body=file.value, media_type=file.media_type)

    def _keep(
        self, ask: Ask, content: bytes, *, media_type: str | None = None, filename: str | None = None
    ) -> str:
        media_type = media_type or ask.headers.get("content-type", "application/octet-stream")
        filename = ask.headers.get("x-fal-file-name", "") if filename is None else filename
        with self.lock:
            name = self.new_id("file")
            self.uploads[name] = FormPart(name, content, filename, media_type)
        return f"{ask.host}/files/{name}"

    def _fill(self, name: str, content: bytes) -> None:
        with self.lock:
            self.uploads[name] = replace(self.uploads[name], value=content)

    def _upload(self, ask: Ask) -> dict[int, bytes]:
        if ask.params["upload"] not in self._parts:
            raise VendorError(404, "not_found", "Upload not found")
        return self._parts[ask.params["upload"]]


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _wrong(kind: str, said: str, given: Any) -> VendorError:
    detail = {"loc": ["body"], "msg": said, "type": kind, "ctx": {}, "input": given, "url": page(kind)}
    return VendorError(422, "", "", detail=[detail])
