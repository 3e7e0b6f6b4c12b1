"""What stands beside Vertex: Google's token endpoint and, of Cloud Storage's JSON API, reading and uploading objects.

Sources: RFC 7523 and google-auth's `oauth2/_client.py` for the token; cloud.google.com/storage/docs/json_api for the objects
(`alt=media`, `uploadType=media`, `resumable` with its 308 and `Content-Range`). Whether a bucket exists is not checked.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from vidorch.testing.missing import needing
from vidorch.testing.servers.base import Answer, Ask, ProtocolServer, VendorError, on

__all__ = ["GoogleStorage", "gs_parts"]

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"
"""What google-auth names as the audience, wherever it sends the assertion."""


@dataclass(slots=True)
class _Session:
    bucket: str
    name: str
    media_type: str
    content: bytes = b""


class GoogleStorage(ProtocolServer):
    """The token endpoint and the objects.

    Attributes:
        objects: content and media type, by bucket and name. token_seconds: how long a token says that it lives.
        accounts: public keys of the service accounts that were made, by their e-mail address.
    """

    project: str = "test-project"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.objects: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.token_seconds = 3599
        self.accounts: dict[str, Any] = {}
        self._sessions: dict[str, _Session] = {}

    # -- tokens ------------------------------------------------------------------------------------------------------

    def service_account(self) -> dict[str, str]:
        """A new service account, as its key file has it; google-auth makes credentials of it that this server takes.

        Raises:
            MissingCredentials: the package cryptography is not installed; names the extra.
        """
        with needing("cryptography", "The key of a service account", "webhooks"):
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import rsa

        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        address = f"{self.new_id('robot')}@{self.project}.iam.gserviceaccount.com"
        self.accounts[address] = private.public_key()
        key = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account", "project_id": self.project, "private_key_id": "test-key-id", "private_key": key.decode(),
            "client_email": address, "client_id": "1", "token_uri": f"{self.url}/token", "universe_domain": "googleapis.com",
        }  # fmt: skip

    @on("POST", "/token", "token")
    def token(self, ask: Ask) -> Answer:
        """A service account's assertion for an access token, which is the server's key."""
        form = parse_qs(ask.body.decode("utf-8", "replace"))
        if form.get("grant_type") != [GRANT]:
            return _denied("unsupported_grant_type", "Invalid grant_type.")
        if why := self._assertion_problem(form.get("assertion", [""])[0]):
            return _denied("invalid_grant", why)
        return Answer(
            json={"access_token": self.key, "expires_in": self.token_seconds, "token_type": "Bearer"}
        )

    def _assertion_problem(self, assertion: str) -> str:
        try:
            head, claims, signature = (_unpadded(part) for part in assertion.split("."))
            header, said = json.loads(head), json.loads(claims)
            begins, ends = float(said["iat"]), float(said["exp"])
        except (ValueError, KeyError, TypeError):
            return "Bad Request: the assertion is no JWT."
        account = self.accounts.get(said.get("iss", ""))
        if account is None:
            return "Invalid grant: account not found"
        if header.get("alg") != "RS256" or said.get("aud") not in (AUDIENCE, f"{self.url}/token"):
            return "Invalid JWT: its algorithm has to be RS256 and its audience the token endpoint."
        if not begins - 300 <= self.now() < ends or ends - begins > 3600:
            return (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            )
        if not said.get("scope"):
            return "Invalid OAuth scope or ID token audience provided."
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        try:
            account.verify(
                signature, assertion.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return "Invalid JWT Signature."
        return ""

    # -- objects -----------------------------------------------------------------------------------------------------

    @on("GET", "/storage/v1/b/{bucket}/o/{object+}", "result")
    def read_object(self, ask: Ask) -> Answer:
        """An object's bytes (`alt=media`), or what it is."""
        key = (ask.params["bucket"], ask.params["object"])
        if key not in self.objects:
            raise VendorError(404, "", f"No such object: {key[0]}/{key[1]}", storage="notFound")
        content, media_type = self.objects[key]
        if ask.query.get("alt") == "media":
            return Answer(body=content, media_type=media_type)
        return Answer(json=self._object(*key))

    @on("POST", "/upload/storage/v1/b/{bucket}/o", "upload")
    def upload_object(self, ask: Ask) -> Answer:
        """An upload in one request, or the start of one in several."""
        bucket, kind = ask.params["bucket"], ask.query.get("uploadType")
        try:
            told = ask.json() if kind == "resumable" and ask.body else {}
        except ValueError:
            told = None
        if not isinstance(told, dict) or kind not in ("media", "resumable"):
            raise VendorError(400, "", "uploadType has to be media or resumable.", storage="invalid")
        name = ask.query.get("name") or told.get("name")
        if not name:
            raise VendorError(400, "", "Required", storage="required")
        if kind == "media":
            self.objects[bucket, name] = (ask.body, ask.media_type or "application/octet-stream")
            return Answer(json=self._object(bucket, name))
        media_type = (
            told.get("contentType") or ask.headers.get("x-upload-content-type") or "application/octet-stream"
        )
        token = self.new_id("session")
        self._sessions[token] = _Session(bucket, name, media_type)
        address = f"{self.url}{ask.path}?uploadType=resumable&upload_id={token}"
        return Answer(body=b"", headers={"Location": address, "X-GUploader-UploadID": token})

    @on("PUT", "/upload/storage/v1/b/{bucket}/o", "upload")
    def upload_part(self, ask: Ask) -> Answer:
        """A part of an upload: 308 until the last one. Its address is its credential."""
        session = self._sessions.get(ask.query.get("upload_id", ""))
        if session is None:
            raise VendorError(404, "", "No such upload session.", storage="notFound")
        ranged = ask.headers.get("content-range", f"bytes 0-{len(ask.body) - 1}/{len(ask.body)}")
        match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", ranged)
        if match is None or (match[1] is not None and int(match[1]) != len(session.content)):
            raise VendorError(
                400, "", f"Failed to parse Content-Range header: {ranged}", storage="badRequest"
            )
        session.content += ask.body
        if match[3] == "*" or len(session.content) < int(match[3]):
            had = {"Range": f"bytes=0-{len(session.content) - 1}"} if session.content else {}
            return Answer(308, body=b"", headers=had)
        self.objects[session.bucket, session.name] = (session.content, session.media_type)
        return Answer(json=self._object(session.bucket, session.name))

    def is_upload(self, ask: Ask) -> bool:
        """Whether a request goes on with an upload that was begun with a credential."""
        return ask.op == "upload" and ask.method == "PUT" and ask.query.get("upload_id") in self._sessions

    def _object(self, bucket: str, name: str) -> dict[str, Any]:
        content, media_type = self.objects[bucket, name]
        path = f"{self.url}/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
        return {
            "kind": "storage#object", "id": f"{bucket}/{name}/1", "name": name, "bucket": bucket, "contentType": media_type,
            "size": str(len(content)), "generation": "1", "selfLink": path, "mediaLink": f"{path}?alt=media",
        }  # fmt: skip


def gs_parts(uri: str) -> tuple[str, str] | None:
    """Bucket and name of a `gs://` URI, or None."""
    match = re.fullmatch(r"gs://([a-z0-9][a-z0-9._-]{1,221}[a-z0-9])(?:/(.*))?", uri)
    return None if match is None else (match[1], match[2] or "")


def _denied(error: str, description: str) -> Answer:
    return Answer(400, {"error": error, "error_description": description})


def _unpadded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from None
