"""Google's Vertex AI ("Gemini Enterprise Agent Platform"): Veo 3.1, and Gemini Omni there.

What decides the design: a Veo operation is polled by `:fetchPredictOperation` (a GET of its name is a 404); `done` without an
error and without a clip is a policy block, and so is a part of several clips; without a bucket the clips come as base64
inside the poll; there is no list, no external id and no cancel, so a submit whose reply was lost cannot be found again.

The credential is a service account's file (`GOOGLE_APPLICATION_CREDENTIALS`, or its content), an API key (express mode), an
OAuth token, or what `gcloud auth application-default login` left; google-auth makes tokens of the files, over vidorch's own
sockets. It comes with the extras `vertex` (google-cloud-aiplatform) and `google` (google-genai, 2.x or 3.x), of which nothing
else is needed.

Options of an endpoint: `project`, `location` (else `GOOGLE_CLOUD_PROJECT`, `GOOGLE_CLOUD_LOCATION`, "us-central1"), and
`bucket` (`gs://bucket/prefix`): where inputs that are too large to go inline, and results, lie.

Sources: google-genai 3.4.0 and 2.34.0 (models.py, _operations_converters.py, _api_client.py), read 2026-11-22. Not confirmed:
the size that may go inline, the price of silent clips, how long operations are kept.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from vidorch.contract import (
    Accepted,
    Cancelled,
    Context,
    Done,
    Failed,
    Health,
    Output,
    Polled,
    Prepared,
    Progress,
)
from vidorch.errors import InvalidRequest, MissingCredentials, ProviderFailed, Refused, VidorchError
from vidorch.hosted import Hosted, Said
from vidorch.http import Reply
from vidorch.inputs import Media
from vidorch.offer import Offer
from vidorch.offloop import in_thread
from vidorch.request import Request
from vidorch.told import kind_of, suffix_of
from vidorch_providers import _interactions as wire

__all__ = ["Vertex"]

MOST = 512_000_000
"""Bytes of a reply: base64 of up to four clips may be in it."""
INLINE_MOST = 20_000_000
"""Bytes of an input that goes inline; the historic limit, unconfirmed today."""
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
STORAGE = "https://storage.googleapis.com"
_KEYS = ("AIza", "AQ.")
"""How API keys begin; an OAuth token begins with `ya29.`."""
_LOCATION = re.compile(r"/locations/([^/]+)/")
_NAME = re.compile(r"projects/[^\s?#]+/operations/[A-Za-z0-9._-]+")
_RPC = {3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED",
        9: "FAILED_PRECONDITION", 10: "ABORTED", 11: "OUT_OF_RANGE", 12: "UNIMPLEMENTED", 13: "INTERNAL", 14: "UNAVAILABLE",
        16: "UNAUTHENTICATED"}  # fmt: skip


class Vertex(Hosted):
    """Speaks to `{location}-aiplatform.googleapis.com`."""

    name = "vertex"
    title = "Google"
    extra = "vertex"
    errors = wire.ERRORS

    def __init__(self) -> None:
        self._tokens: dict[str, Any] = {}
        self._making = asyncio.Lock()

    # -- the wire -----------------------------------------------------------------------------------------------------

    def base(self, context: Context) -> str:
        """The location's host, unless the endpoint has a base URL."""
        return self._host(context, _location(context))

    def at(self, context: Context, path: str) -> str:
        """At the host of the location that the path names: Omni is served at one of its own, "global"."""
        named = _LOCATION.search(path)
        base = self._host(context, named[1] if named else _location(context))
        if "://" not in path:
            return f"{base}/{path.lstrip('/')}"
        return path if urlsplit(path)[:2] == urlsplit(base)[:2] else super().at(context, path)

    def _host(self, context: Context, location: str) -> str:
        if context.endpoint.base_url:
            return context.endpoint.base_url.rstrip("/")
        if not re.fullmatch(
            r"[a-z0-9-]{1,40}", location
        ):  # it becomes part of a host that gets the credential
            raise InvalidRequest(
                f"location={location!r} is no location of Google's. Nothing was sent.", field="location", value=location,
                allowed="a name such as us-central1", provider=self.name,
            )  # fmt: skip
        if location == "global":
            return "https://aiplatform.googleapis.com"
        if location in ("us", "eu"):
            return f"https://aiplatform.{location}.rep.googleapis.com"
        return f"https://{location}-aiplatform.googleapis.com"

    def signed(self, context: Context) -> dict[str, str]:
        """The headers that were made ready by `_ready`, which every call does first."""
        key = context.secret or ""
        if key.startswith(_KEYS):
            return {"x-goog-api-key": key}
        token = self._tokens.get(key)
        if token is None:
            raise MissingCredentials("No token for Google was made yet.", provider=self.name)
        return {"authorization": f"Bearer {token if isinstance(token, str) else token.token}"}

    def finds_credentials(self, offer: Offer) -> bool:
        """Whether `gcloud auth application-default login` left its file."""
        folder = os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud"
        return Path(folder, "application_default_credentials.json").is_file()

    def said(self, reply: Reply) -> Said | None:
        """`{"error": {"code", "message", "status"}}`, sometimes as the only item of a list."""
        return wire.said(reply)

    async def _ready(self, context: Context) -> None:
        """Have a token that is good now.

        Raises:
            MissingCredentials: there is no credential, google-auth is missing, or Google does not take it.
        """
        key = context.secret or ""
        if key.startswith(_KEYS):
            return
        if key and not key.lstrip().startswith("{") and not key.endswith(".json") and os.sep not in key:
            self._tokens[key] = key  # a token as it is
            return
        async with self._making:
            known = self._tokens.get(key)
            if known is None:
                known = await in_thread(_credentials, key)
            assert known is not None
            if not known.valid:
                loop = asyncio.get_running_loop()
                await in_thread(_refreshed, known, _Transport(context, loop))
            self._tokens[key] = known

    # -- inputs ---------------------------------------------------------------------------------------------------------

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        """Hand the inputs over and build the body."""
        await self._ready(context)
        if context.route is not None:
            _filled(context, context.route.path)  # a project that is missing is said before anything is sent
        prepared = await super().prepare(context, request, offer)
        bucket = context.endpoint.options.get("bucket")
        if bucket and context.route is not None and _is_veo(context.route.path):
            prepared.body.setdefault("parameters", {})["storageUri"] = (
                f"{str(bucket).rstrip('/')}/{context.job_id}/"
            )
        return prepared

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """`gs://` as it is, what is small inline, the rest through the endpoint's bucket."""
        veo = context.route is None or _is_veo(context.route.path)
        kind = media.media_type or kind_of(media.url or "") or {
            "image": "image/png", "video": "video/mp4", "audio": "audio/mpeg"
        }[media.kind]  # fmt: skip
        if media.url is not None and media.url.startswith("gs://"):
            return _part(veo, media.kind, field, kind, uri=media.url)
        content = await self.bring(context, media)
        size = len(content) if isinstance(content, bytes) else (await in_thread(content.stat)).st_size
        bucket = context.endpoint.options.get("bucket")
        if size > INLINE_MOST and bucket:
            return _part(
                veo, media.kind, field, kind, uri=await self._put(context, str(bucket), content, kind, field)
            )
        if size > INLINE_MOST:
            raise InvalidRequest(
                f"{field} has {size:,} bytes; inline Google takes {INLINE_MOST:,}. Nothing was sent.",
                hint="Pass a gs:// URL, or give the endpoint the option bucket='gs://...'.", field=field,
                allowed=f"at most {INLINE_MOST:,} bytes", provider=self.name,
            )  # fmt: skip
        data = content if isinstance(content, bytes) else await in_thread(content.read_bytes)
        return _part(veo, media.kind, field, kind, data=base64.b64encode(data).decode())

    async def _put(self, context: Context, bucket: str, content: Path | bytes, kind: str, field: str) -> str:
        name, _, prefix = bucket.removeprefix("gs://").strip("/").partition("/")
        path = "/".join(part for part in (prefix, context.job_id, f"{field}.{suffix_of(kind)}") if part)
        url = f"{self._storage(context)}/upload/storage/v1/b/{quote(name)}/o?uploadType=media&name={quote(path, safe='')}"
        reply = await context.http.upload(
            "POST", url, content, headers={**self.signed(context), "content-type": kind}
        )
        if not reply.ok:
            raise self.wrong(reply)
        return f"gs://{name}/{path}"

    # -- one job's life -------------------------------------------------------------------------------------------------

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST `:predictLongRunning`, or the interaction, once."""
        assert context.route is not None
        path = _filled(context, context.route.path)
        reply = await self.send(context, path, json=prepared.body)
        body = reply.json()
        field = "name" if _is_veo(path) else "id"
        remote_id = self.id_in(body.get(field) if isinstance(body, dict) else None)
        if _is_veo(path) and not _NAME.fullmatch(remote_id):
            raise ProviderFailed(
                f"Google answered with {remote_id!r}, which names no operation. It may have been accepted all the same.",
                charged=None, provider=self.name,
            )  # fmt: skip
        return Accepted(remote_id, details={"path": path})

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """Fetch the operation, or read the interaction."""
        await self._ready(context)
        path = self._path(context, accepted)
        body = await self._read(context, path, accepted.remote_id)
        if not _is_veo(path):
            return wire.standing(self, body, accepted.remote_id, f"{path}|{accepted.remote_id}")
        if not body.get("done"):
            return Progress("running")
        error = body.get("error")
        if isinstance(error, dict):
            words, code = str(error.get("message") or ""), _RPC.get(error.get("code") or 0, "failed")
            known = "refused" if wire.POLICY.search(words) else code
            typed = self.typed(Said(known, words, str(error.get("code") or code)), charged=None)
            if isinstance(typed, Refused):
                typed.charged = False
            typed.remote_id = accepted.remote_id
            return Failed(typed)
        response = body.get("response")
        response = response if isinstance(response, dict) else {}
        inner = response.get("generateVideoResponse")
        filtered_in = inner if isinstance(inner, dict) else response
        outputs: list[Output] = []
        for video in response.get("videos") or ():
            if isinstance(video, dict):
                ref = str(video.get("gcsUri") or f"{wire.INLINE}{path}|{accepted.remote_id}")
                outputs.append(Output(len(outputs), ref, str(video.get("mimeType") or "video/mp4")))
        filtered = filtered_in.get("raiMediaFilteredCount")
        reasons = tuple(str(one) for one in filtered_in.get("raiMediaFilteredReasons") or ())
        count = filtered if isinstance(filtered, int) else len(reasons)
        if not outputs and not count:
            count, reasons = 1, ("done without a clip and without an error",)
        return Done(tuple(outputs), filtered=count, filter_reasons=reasons)

    async def refresh(self, context: Context, accepted: Accepted, output: Output) -> Output:
        """What a result is asked for by does not run out; to look again would only bring the clip along once more."""
        return output

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Write what is inside the operation, or download from the bucket with the credential."""
        await self._ready(context)
        if output.ref.startswith(wire.INLINE):
            where, _, remote_id = output.ref.removeprefix(wire.INLINE).partition("|")
            body = await self._read(context, where, remote_id)
            data = _clip(body, output.index) if _is_veo(where) else wire.inline_of(body, output.index)
            await in_thread(path.write_bytes, data)
            return
        url, own = output.ref, self.base(context)
        if url.startswith("gs://"):
            bucket, _, name = url.removeprefix("gs://").partition("/")
            own = self._storage(context)
            url = f"{own}/storage/v1/b/{quote(bucket)}/o/{quote(name, safe='')}?alt=media"
        await context.http.download(url, path, own=[own], secret=self.signed(context))

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """Interactions can be stopped; Veo's operations cannot."""
        path = self._path(context, accepted)
        if _is_veo(path):
            return await super().cancel(context, accepted)
        await self._ready(context)
        await self.ask(context, "POST", f"{path}/{accepted.remote_id}/cancel")
        return Cancelled(True, None)

    async def check(self, context: Context) -> Health:
        """Have a token made, and ask with it for an operation that is not there: free."""
        try:
            await self._ready(context)
            where = f"projects/{_project(context)}/locations/{_location(context)}"
            model = f"{where}/publishers/google/models/veo-3.1-fast-generate-001"
            reply = await context.http.request(
                "POST", self.at(context, f"v1beta1/{model}:fetchPredictOperation"), headers=self.signed(context),
                json={"operationName": f"{model}/operations/0"},
            )  # fmt: skip
        except VidorchError as error:
            return Health(False, str(error))
        said = self.said(reply)
        if reply.status in (401, 403) or (not reply.ok and said is None):
            return Health(False, str(self.wrong(reply)))
        return Health(
            True, f"Google takes the credential; project {_project(context)}, location {_location(context)}."
        )

    # -- in its own words -----------------------------------------------------------------------------------------------

    def _path(self, context: Context, accepted: Accepted) -> str:
        named = accepted.details.get("path")
        if isinstance(named, str) and named:
            return named
        if (
            _NAME.fullmatch(accepted.remote_id) and "/models/" in accepted.remote_id
        ):  # adopted: the name says where it is
            return f"v1beta1/{accepted.remote_id.partition('/operations/')[0]}:predictLongRunning"
        return "" if context.route is None else _filled(context, context.route.path)

    async def _read(self, context: Context, path: str, remote_id: str) -> dict[str, Any]:
        headers = self.signed(context)
        if _is_veo(path):
            url = self.at(context, re.sub(r":predictLongRunning$", ":fetchPredictOperation", path))
            reply = await context.http.request(
                "POST", url, json={"operationName": remote_id}, headers=headers, timeout=300, most=MOST
            )
        else:
            url = self.at(context, f"{path}/{remote_id}")
            reply = await context.http.request("GET", url, headers=headers, timeout=300, most=MOST)
        if not reply.ok:
            raise self.wrong(reply)
        body = reply.json()
        if not isinstance(body, dict):
            raise ProviderFailed("Google's reply is no object.", charged=None, provider=self.name)
        return body

    def _storage(self, context: Context) -> str:
        return context.endpoint.base_url.rstrip("/") if context.endpoint.base_url else STORAGE


class _Transport:
    """What google-auth makes its calls with: vidorch's own sockets, from a worker thread."""

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop

    def __call__(
        self, url: str, method: str = "GET", body: bytes | str | None = None, headers: Mapping[str, str] | None = None,
        timeout: float | None = None, **_: Any,
    ) -> _Response:  # fmt: skip
        data = body.encode() if isinstance(body, str) else body
        call = self._context.http.request(
            method, url, data=data, headers=dict(headers or {}), timeout=timeout or 60.0
        )
        return _Response(asyncio.run_coroutine_threadsafe(call, self._loop).result())


class _Response:
    """A reply as google-auth reads it."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.data = reply.body


def _credentials(key: str) -> Any:
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import credentials as users
        from google.oauth2 import service_account
    except ImportError:
        raise MissingCredentials(
            "Google's credentials need the package google-auth, which is not installed. Google was not asked for anything.",
            hint="pip install 'vidorch[vertex]' (or the lighter 'vidorch[google]')", extra="vertex", provider="vertex",
        ) from None  # fmt: skip
    try:
        if not key:
            found, _ = google.auth.default(scopes=[SCOPE])
            return found
        told = json.loads(key if key.lstrip().startswith("{") else Path(key).expanduser().read_text("utf-8"))
        kind = told.get("type") if isinstance(told, dict) else None
        if kind == "service_account":
            return service_account.Credentials.from_service_account_info(told, scopes=[SCOPE])
        if kind == "authorized_user":
            return users.Credentials.from_authorized_user_info(told, scopes=[SCOPE])
        with warnings.catch_warnings():  # "may be anybody's file": it is the one that the caller named
            warnings.simplefilter("ignore", DeprecationWarning)
            found, _ = google.auth.load_credentials_from_dict(told, scopes=[SCOPE])
        return found
    except (GoogleAuthError, ValueError, OSError) as error:
        raise MissingCredentials(
            f"Google's credential cannot be used: {type(error).__name__}.", provider="vertex"
        ) from None


def _refreshed(credentials: Any, transport: _Transport) -> None:
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials.refresh(transport)
    except GoogleAuthError as error:
        retryable = bool(getattr(error, "retryable", False))
        raise MissingCredentials(
            f"Google gave no token for this credential ({type(error).__name__}).", hint="Check it, and this machine's clock.",
            retryable=retryable, provider="vertex",
        ) from None  # fmt: skip


def _part(
    veo: bool, kind: str, field: str, media_type: str, *, data: str = "", uri: str = ""
) -> dict[str, Any]:
    if not veo:
        return {"type": kind, "mime_type": media_type, **({"uri": uri} if uri else {"data": data})}
    value = {"mimeType": media_type, **({"gcsUri": uri} if uri else {"bytesBase64Encoded": data})}
    return {"image": value, "referenceType": "ASSET"} if field == "reference_images" else value


def _clip(body: Mapping[str, Any], index: int) -> bytes:
    response = body.get("response")
    videos = response.get("videos") if isinstance(response, dict) else None
    try:
        return base64.b64decode((videos or [])[index]["bytesBase64Encoded"], validate=True)
    except (IndexError, KeyError, ValueError, TypeError):
        raise ProviderFailed(
            "Google's operation holds no such clip any more.", charged=None, provider="vertex"
        ) from None


def _is_veo(path: str) -> bool:
    return path.endswith(":predictLongRunning")


def _filled(context: Context, path: str) -> str:
    return (
        path.replace("{project}", _project(context)).replace("{location}", _location(context))
        if "{" in path
        else path
    )


def _project(context: Context) -> str:
    project = context.endpoint.options.get("project") or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise MissingCredentials(
            "Google needs to know the project, and none is named. Nothing was sent.",
            hint="Set GOOGLE_CLOUD_PROJECT, or the endpoint's option project=.", variable="GOOGLE_CLOUD_PROJECT",
            provider="vertex",
        )  # fmt: skip
    return str(project)


def _location(context: Context) -> str:
    return str(
        context.endpoint.options.get("location") or os.environ.get("GOOGLE_CLOUD_LOCATION") or "us-central1"
    )
