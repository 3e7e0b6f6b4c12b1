"""fal's queue: Kling, Veo, Wan, LTX, Seedance, Hailuo, Pika and whatever else fal serves.

What decides the design: there is no FAILED status (COMPLETED means over, well or not); what was billed is the header
`x-fal-billable-units` of the result; the model's own errors are `{"detail": [{"type": ...}]}` and the queue's are
`{"detail": "...", "error_type": "..."}`; the owner of an endpoint is not always `fal-ai`; a path has more segments than its
requests do.

Sources: fal-client 1.0.3 (client.py); fal.ai/docs (queue, errors.md, request-errors, pricing.md, webhooks), read 2026-11-22.
Not confirmed: whether `x-fal-billable-units` of a clip with sound are its seconds, or more of them, weighted by what sound costs
(fal's API of prices has one price for each endpoint): either is read, and the cost is called computed, not reported; how long
results are kept, what a cancelled running job costs, and the listing of requests by endpoint, which
is read defensively and only ever used to look for a submit whose reply was lost.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from vidorch.contract import (
    Accepted,
    Billed,
    Cancelled,
    Context,
    Delivery,
    Done,
    ErrorRow,
    Failed,
    FoundJob,
    Health,
    LookFor,
    Output,
    Polled,
    Prepared,
    Progress,
    UnitPrice,
)
from vidorch.errors import ProviderFailed, VidorchError
from vidorch.hosted import Hosted, Said, is_public
from vidorch.http import Reply
from vidorch.inputs import Media
from vidorch.mapping import was_sent_as
from vidorch.offloop import in_thread
from vidorch.signatures import Keys, ed25519, fresh, token_in, unproven
from vidorch.told import kind_of, moment, number, suffix_of

__all__ = ["Fal"]

_QUEUE = "fal.ai/docs queue and request-errors; fal-client 1.0.3"
_MODEL = "fal.ai/docs errors.md"
_PART = 10 * 1024 * 1024
"""Bytes of one part of a large upload; what is larger than ten of them goes up in parts."""
_KEEP_INPUTS = 86_400
"""Seconds after which fal deletes an input that was uploaded for a job."""
_PRICED_AT_ONCE = 50
"""Endpoints in one question for prices (fal.ai/docs/platform-apis/v1/models/pricing)."""
_OWN_HOSTS = ("fal.run", "fal.ai", "fal.media")


class Fal(Hosted):
    """Speaks to fal's queue, its storage and its platform API; with a `base_url`, all of them are there."""

    name = "fal"
    title = "fal"
    url = "https://queue.fal.run"
    hosts = ("rest.fal.ai", "api.fal.ai")
    errors = (
        ErrorRow("content_policy_violation", "Refused", True, None, False, _MODEL),
        ErrorRow("no_media_generated", "Refused", False, None, False, _MODEL, stage="output"),
        ErrorRow("auth_error", "MissingCredentials", True, False, False, _QUEUE, hint="Check FAL_KEY."),
        ErrorRow("401", "MissingCredentials", True, False, False, _QUEUE, hint="Check FAL_KEY."),
        ErrorRow("403", "Unsupported", True, False, False, _QUEUE, hint="This key may not use this endpoint."),
        ErrorRow("locked", "OverBudget", True, False, False, "gh:68880219000", hint="Fill it up at fal.ai."),
        ErrorRow("not_found", "Unsupported", True, False, False, _QUEUE),
        ErrorRow("404", "Unsupported", True, False, False, _QUEUE),
        ErrorRow("url_error", "InvalidRequest", True, False, False, _QUEUE),
        ErrorRow("bad_request", "InvalidRequest", True, False, False, _QUEUE),
        ErrorRow("400", "InvalidRequest", True, False, False, _QUEUE),
        ErrorRow("422", "InvalidRequest", True, None, False, _MODEL),
        ErrorRow("429", "Throttled", True, False, True, "fal.ai/docs concurrency-limits.md"),
        ErrorRow("client_cancelled", "ProviderFailed", False, None, False, _QUEUE),
        ErrorRow("client_disconnected", "ProviderFailed", False, None, False, _QUEUE),
        ErrorRow("runner_*", "ProviderFailed", False, False, True, f"{_QUEUE}; 5xx is never billed (pricing.md)"),
        ErrorRow("request_timeout", "ProviderFailed", False, False, True, _QUEUE),
        ErrorRow("startup_timeout", "ProviderFailed", False, False, True, _QUEUE),
        ErrorRow("internal_error", "ProviderFailed", False, False, True, _QUEUE),
        ErrorRow("internal_server_error", "ProviderFailed", False, False, True, _MODEL),
        ErrorRow("generation_timeout", "ProviderFailed", False, False, True, _MODEL),
        ErrorRow("downstream_service_error", "ProviderFailed", False, False, True, _MODEL),
        ErrorRow("downstream_service_unavailable", "ProviderFailed", False, False, True, _MODEL),
        *(
            ErrorRow(kind, "InvalidRequest", True, None, False, _MODEL)
            for kind in (
                "missing", "one_of", "greater_than*", "less_than*", "feature_not_supported", "file_*", "image_*", "audio_*",
                "video_*", "string_*", "value_error*", "literal_error", "int_*", "float_*", "bool_*", "enum", "extra_forbidden",
                "type_error*", "list_*", "json_invalid", "url_*", "sequence_*", "unsupported_*",
            )
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self._keys = Keys[list[str]]()

    # -- the wire -----------------------------------------------------------------------------------------------------

    def signed(self, context: Context) -> dict[str, str]:
        """`Authorization: Key ...`."""
        return {"authorization": f"Key {self.secret(context)}"}

    def said(self, reply: Reply) -> Said | None:
        """The model's own list of details, or the queue's word."""
        try:
            body = reply.json()
        except VidorchError:
            return None
        detail = body.get("detail") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(detail, (str, list)):
            return None
        request_id = reply.headers.get("x-fal-request-id")
        word = reply.headers.get("x-fal-retryable", "").lower()
        retryable = {"true": True, "false": False}.get(word)
        kind = str(body.get("error_type") or reply.headers.get("x-fal-error-type") or "")
        if isinstance(detail, list):
            return _of_details(detail, request_id, retryable)
        if reply.status == 403 and any(word in detail.lower() for word in ("balance", "locked", "exhausted")):
            return Said("locked", detail, kind, request_id, retryable)
        return Said(kind, detail, "", request_id, retryable)

    def platform(self, context: Context, host: str) -> str:
        """Base URL of another of fal's hosts: the same one where the endpoint has a base URL of its own."""
        return self.base(context) if context.endpoint.base_url else f"https://{host}"

    # -- inputs ---------------------------------------------------------------------------------------------------------

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """A public URL as it is; everything else goes to fal's CDN, which forgets it after a day."""
        if is_public(media):
            return media.url
        return await self._upload(context, await self.bring(context, media), media)

    async def _upload(self, context: Context, content: Path | bytes, media: Media) -> str:
        given = (await self.ask(
            context, "POST", f"{self.platform(context, 'rest.fal.ai')}/storage/auth/token?storage_type=fal-cdn-v3", json={}
        )).json()  # fmt: skip
        base = str(given.get("base_url") or "")
        if not self._is_own(context, base):  # a token and a private file go to fal's own hosts alone
            raise ProviderFailed(
                f"fal named {urlsplit(base).hostname} for uploads, which is not its own.",
                charged=False,
                provider=self.name,
            )
        kind = media.media_type or f"{media.kind}/*"
        headers = {
            "authorization": f"{given.get('token_type')} {given.get('token')}", "content-type": kind,
            "x-fal-file-name": f"input.{suffix_of(kind)}",
            "x-fal-object-lifecycle-preference": json.dumps({"expiration_duration_seconds": _KEEP_INPUTS}),
        }  # fmt: skip
        size = len(content) if isinstance(content, bytes) else (await in_thread(content.stat)).st_size
        if size <= 10 * _PART:
            reply = await context.http.upload("POST", f"{base}/files/upload", content, headers=headers)
            return str(self._well(reply)["access_url"])
        started = self._well(
            await context.http.request("POST", f"{base}/files/upload/multipart", headers=headers)
        )
        access, upload_id = str(started["access_url"]), started["uploadId"]
        parts = []
        only = {name: headers[name] for name in ("authorization", "content-type")}
        for place in range(1, math.ceil(size / _PART) + 1):
            piece = await in_thread(_piece, content, (place - 1) * _PART)
            url = f"{base}{urlsplit(access).path}/multipart/{upload_id}/{place}"
            reply = await context.http.upload("PUT", url, piece, headers=only)
            if not reply.ok:
                raise self.wrong(reply)
            parts.append({"partNumber": place, "etag": reply.headers.get("etag", "")})
        end = f"{base}{urlsplit(access).path}/multipart/{upload_id}/complete"
        self._well(await context.http.request("POST", end, headers=only, json={"parts": parts}), empty=True)
        return access

    def _well(self, reply: Reply, *, empty: bool = False) -> Any:
        if not reply.ok:
            raise self.wrong(reply)
        return None if empty else reply.json()

    def _is_own(self, context: Context, url: str) -> bool:
        host = urlsplit(url).hostname or ""
        own = urlsplit(context.endpoint.base_url or "").hostname
        if own is not None:
            return host == own
        return url.startswith("https://") and any(
            host == one or host.endswith(f".{one}") for one in _OWN_HOSTS
        )

    # -- one job's life -------------------------------------------------------------------------------------------------

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST the model's input to the queue, once."""
        assert context.route is not None
        path = context.route.path.strip("/")
        query = f"?fal_webhook={quote(context.webhook, safe='')}" if context.webhook else ""
        reply = await self.send(context, f"{path}{query}", json=prepared.body)
        body = reply.json()
        request_id = self.id_in(body.get("request_id") if isinstance(body, dict) else None)
        return Accepted(
            request_id, details={"path": self._requests(context, body.get("response_url"), path, request_id)}
        )

    def _requests(self, context: Context, said: object, path: str, request_id: str) -> str:
        """Where this job is asked for: as fal says, as long as that is at fal; else by its rule."""
        if isinstance(said, str) and self._is_own(context, said):
            named = urlsplit(said).path.strip("/")
            if named.endswith(f"/requests/{request_id}"):
                return named
        return f"{_app(path)}/requests/{request_id}"

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """GET the status; once it is COMPLETED, the result, which may be the model's error."""
        path = self._path(accepted, context)
        status = (await self.ask(context, "GET", f"{path}/status")).json()
        word = str(status.get("status") or "") if isinstance(status, dict) else ""
        if word == "IN_QUEUE":
            place = status.get("queue_position")
            return Progress("queued", detail="" if place is None else f"place {place}")
        if word != "COMPLETED":  # also a word that nobody knows yet: only COMPLETED is an end
            return Progress("running", detail=word.lower().replace("_", " "))
        reply = await context.http.request("GET", self.at(context, path), headers=self.signed(context))
        billed = _billed(reply)
        failed = status.get("error") or status.get("error_type")
        if reply.ok and not failed:
            timings = _timings(status)
            return _done(reply.json(), billed, timings)
        said = None if reply.ok else self.said(reply)
        if failed:
            kind = str(status.get("error_type") or "")
            queue = Said(kind if self.row(kind) else "internal_error", str(status.get("error") or kind), kind)
            if said is not None and self.line(said, reply) is not None:
                return self._failed(accepted, said, reply, billed)
            return self._failed(accepted, queue, None, billed)
        if reply.status == 404 and said is not None:
            raise ProviderFailed(
                f"fal names no result of {accepted.remote_id}, which is over: it keeps them for an hour, large ones 6 minutes.",
                hint="Look for the clip at fal.ai/dashboard.", charged=None, retryable=True, provider=self.name,
            )  # fmt: skip
        if said is None or not _is_final(said, reply):
            raise self.wrong(reply)  # a look that was lost: the result is asked for again
        return self._failed(accepted, said, reply, billed)

    def _failed(self, accepted: Accepted, said: Said, reply: Reply | None, billed: Billed | None) -> Failed:
        error = self.typed(said, reply)
        error.remote_id = accepted.remote_id
        return Failed(error, cancelled=said.code == "client_cancelled", cost=billed)

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download from fal's CDN, which is public: no credential goes there."""
        await context.http.download(output.ref, path, own=[context.endpoint.base_url])

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """PUT .../cancel: out of the queue it is gone and free; at work it is only asked to stop."""
        reply = await self.ask(context, "PUT", f"{self._path(accepted, context)}/cancel", well=(400, 404))
        body = reply.json()
        word = str(body.get("status") or "") if isinstance(body, dict) else ""
        if word == "ALREADY_COMPLETED" or reply.status >= 400:
            return Cancelled(False, None)
        asked = word == "CANCELLATION_REQUESTED" or reply.status == 202
        return Cancelled(not asked, None if asked else False)

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        """Read the requests of the endpoint since the submit, and keep those with the same input. (Unconfirmed wire.)"""
        route = job.offer.routes.get(str(job.settings.get("task") or "text-to-video"))
        if route is None:
            return []
        path = route.path.strip("/")
        base = self.platform(context, "api.fal.ai")
        query = f"endpoint_id={quote(path, safe='')}&limit=100&expand=payloads"
        reply = await self.ask(context, "GET", f"{base}/v1/models/requests/by-endpoint?{query}")
        body = reply.json()
        named = (
            (body.get(name) for name in ("items", "requests", "data")) if isinstance(body, dict) else iter(())
        )
        items: list[Any] = next((one for one in named if isinstance(one, list)), [])
        found = []
        for item in items:
            if not isinstance(item, dict) or not item.get("request_id"):
                continue
            asked: dict[str, Any] = next(
                (
                    item[name]
                    for name in ("json_input", "input", "payload")
                    if isinstance(item.get(name), dict)
                ),
                {},
            )
            if not was_sent_as(asked, job.settings, route):
                continue
            times = (moment(item.get(name)) for name in ("created_at", "sent_at", "started_at"))
            created = next((at for at in times if at is not None), None)
            if created is None or created >= job.sent_at - 60:
                where = f"{_app(path)}/requests/{item['request_id']}"
                found.append(FoundJob(Accepted(str(item["request_id"]), details={"path": where}), created))
        return found

    async def check(self, context: Context) -> Health:
        """Ask for one price: free, and it needs the key."""
        base = self.platform(context, "api.fal.ai")
        try:
            await self.ask(context, "GET", f"{base}/v1/models/pricing?endpoint_id=fal-ai%2Fflux%2Fschnell")
        except VidorchError as error:
            return Health(False, str(error))
        return Health(True, "fal answers and takes the key.")

    async def unit_prices(self, context: Context, paths: Sequence[str]) -> dict[str, UnitPrice]:
        """One price for each endpoint, with the account's discounts. A call that names one that fal does not know is a 404."""
        found: dict[str, UnitPrice] = {}
        waiting = [list(paths[at : at + _PRICED_AT_ONCE]) for at in range(0, len(paths), _PRICED_AT_ONCE)]
        while waiting:
            asked = waiting.pop(0)
            query, cursor = "&".join(f"endpoint_id={quote(path, safe='')}" for path in asked), ""
            for _ in range(_PRICED_AT_ONCE):  # a page has one at least
                url = f"{self.platform(context, 'api.fal.ai')}/v1/models/pricing?{query}{cursor}"
                reply = await self.ask(context, "GET", url, well=(404,))
                if reply.status == 404:
                    half = len(asked) // 2
                    waiting += [asked[:half], asked[half:]] if half else []
                    break
                prices, after = _prices_in(reply)
                found |= prices
                if after is None:
                    break
                cursor = f"&cursor={quote(after, safe='')}"
        return {path: found[path] for path in paths if path in found}

    async def parse_webhook(
        self, context: Context, headers: Mapping[str, str], body: bytes, url: str | None = None
    ) -> Delivery:
        """Verify a delivery: Ed25519 over its id, user, time and the body's hash, with the keys that fal publishes."""
        request_id, user, at, signature = (
            headers.get(f"x-fal-webhook-{name}", "")
            for name in ("request-id", "user-id", "timestamp", "signature")
        )
        if not (request_id and at and signature):
            raise unproven("it is not signed", self.title)
        fresh(at, context.clock.now(), self.title)
        message = "\n".join((request_id, user, at, hashlib.sha256(body).hexdigest())).encode()
        verifies = await in_thread(ed25519, self.title)  # said before fal is asked for its keys

        async def prove(keys: list[str]) -> None:
            if not await in_thread(verifies, keys, signature, message):
                raise unproven("its signature is not that of its content", self.title)

        where = f"{self.platform(context, 'rest.fal.ai')}/.well-known/jwks.json"
        await self._keys.verify(where, context.clock.now(), lambda: self._published(context, where), prove)
        return Delivery(f"{request_id}:{at}", request_id, token_in(url))

    async def _published(self, context: Context, where: str) -> list[str]:
        """The public keys of this moment."""
        reply = await context.http.request("GET", where)
        if not reply.ok:
            raise self.wrong(reply)
        keys = reply.json().get("keys") or ()
        return [str(key["x"]) for key in keys if isinstance(key, dict) and key.get("x")]

    def _path(self, accepted: Accepted, context: Context) -> str:
        named = accepted.details.get("path")
        if isinstance(named, str) and named:
            return named
        route = (
            "" if context.route is None else context.route.path.strip("/")
        )  # adopted: only the id is known
        return f"{_app(route)}/requests/{accepted.remote_id}"


_FINAL = frozenset({
    "internal_server_error", "generation_timeout", "downstream_service_error", "downstream_service_unavailable",
    "client_cancelled", "client_disconnected",
})  # fmt: skip
"""What ends a job whatever its status: a model's own 5xx is its answer, not a trouble of the queue's."""


def _is_final(said: Said, reply: Reply) -> bool:
    """Whether a model answered (by a list), and not the queue, such as 400 "still in progress", which is about the look."""
    own = isinstance(reply.json().get("detail"), list) and reply.status not in (401, 403, 404, 429)
    return said.code in _FINAL or reply.status == 422 or (own and reply.status < 500)


def _app(path: str) -> str:
    """The part of an endpoint's id that its requests are asked for under: two segments, three in some namespaces."""
    segments = path.split("/")
    return "/".join(segments[: 3 if segments[0] in ("workflows", "comfy") else 2])


def _of_details(details: list[Any], request_id: str | None, retryable: bool | None) -> Said:
    lines = [one for one in details if isinstance(one, dict)]
    kinds = [str(one.get("type") or "") for one in lines]
    first = next(
        (kind for kind in kinds if kind in ("content_policy_violation", "no_media_generated")),
        kinds[0] if kinds else "",
    )
    return Said(first, "; ".join(map(_in_words, lines)), "", request_id, retryable)


def _in_words(detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail.get("loc", ()) if part != "body")
    return f"{where}: {detail.get('msg', '')}".lstrip(": ")


def _billed(reply: Reply) -> Billed | None:
    """The header that says how many units this request cost."""
    try:
        units = Decimal(reply.headers["x-fal-billable-units"].strip())
    except (KeyError, InvalidOperation):
        return None
    return Billed(units) if units.is_finite() and units >= 0 else None


def _done(body: Any, billed: Billed | None, timings: dict[str, float]) -> Done:
    if not isinstance(body, dict):
        body = {}
    seed = body.get("seed")
    seed = seed if isinstance(seed, int) and not isinstance(seed, bool) else None
    outputs: list[Output] = []
    withheld = 0
    unsafe = body.get("has_nsfw_concepts")
    for place, file in enumerate(_files(body)):
        if isinstance(unsafe, list) and place < len(unsafe) and unsafe[place] is True:
            withheld += 1
            continue
        outputs.append(Output(len(outputs), str(file["url"]), _kind(file) or "video/mp4", seed))
    reasons = tuple("has_nsfw_concepts" for _ in range(withheld))
    return Done(tuple(outputs), billed, withheld, reasons, timings)


def _files(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The files of a model's output: under `video` or `videos`, else every video in it, else under `image` or `images`."""
    films = [file for file in _nested(body) if _kind(file).startswith("video/")]
    named = [list(_nested(body.get(name))) for name in ("video", "videos", "image", "images")]
    return next((files for files in (*named[:2], films, *named[2:]) if files), [])


def _nested(value: object) -> Iterator[Mapping[str, Any]]:
    """Files and links, however deep."""
    if isinstance(value, str) and value.startswith("http"):
        yield {"url": value}
    elif isinstance(value, dict) and isinstance(value.get("url"), str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _nested(one)


def _kind(file: Mapping[str, Any]) -> str:
    """Its media type: as it says, else by its name."""
    said = str(file.get("content_type") or "")
    if "/" in said and said != "application/octet-stream":
        return said
    return kind_of(file["url"])


def _timings(status: Mapping[str, Any]) -> dict[str, float]:
    metrics = status.get("metrics")
    seconds = number(metrics.get("inference_time")) if isinstance(metrics, dict) else None
    return {} if seconds is None else {"run": seconds}


def _piece(content: Path | bytes, start: int) -> bytes:
    if isinstance(content, bytes):
        return content[start : start + _PART]
    with content.open("rb") as file:
        file.seek(start)
        return file.read(_PART)


def _prices_in(reply: Reply) -> tuple[dict[str, UnitPrice], str | None]:
    """A page of prices, and where the next one begins. Numbers are as they were written, which a float is not."""
    reply.json()  # says in its own words what is no JSON
    try:
        body = json.loads(reply.body, parse_float=Decimal)
        prices = {
            str(one["endpoint_id"]): UnitPrice(
                _amount(one["unit_price"]), str(one["unit"]), str(one["currency"])
            )
            for one in body["prices"]
        }
    except (ArithmeticError, KeyError, TypeError, ValueError):
        raise ProviderFailed(
            "fal answered the question for prices with something else.", charged=False, provider="fal"
        ) from None
    after = body.get("next_cursor") if body.get("has_more", True) else None
    return prices, str(after) if after else None


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not 0 <= value < 10**6:
        raise ValueError(value)
    return Decimal(value)
