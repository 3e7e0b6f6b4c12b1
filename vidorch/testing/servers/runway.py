"""The Runway API of `X-Runway-Version: 2024-11-06`: tasks, ephemeral uploads, the organization's credits and limits.

Sources, read 2026-11-22: the runwayml 5.24.0 package (resources/, types/, lib/polling.py) and copies of docs.dev.runwayml.com
(errors, inputs, uploads, tiers, pricing). Of its endpoints those that make or change video are here, and of text_to_image
three models; what makes sound, HDR, avatars and recipes is not, nor is the router.

Unconfirmed: the body of a 400 (`error`, `issues`, `docUrl`) and of every other error, what the answer to too few credits is,
the third part of moderation codes, which types of video and sound are taken, and whether a task that was cancelled can still
be asked for: the package's types say CANCELLED, its docstring says never again (`forgets=True`).
"""

from __future__ import annotations

import ipaddress
import math
import mimetypes
from base64 import b64decode
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from vidorch.testing.servers.base import (
    Answer,
    Ask,
    Fate,
    FormPart,
    ProtocolServer,
    RemoteJob,
    VendorError,
    on,
)
from vidorch.testing.servers.checks import Check, Problem, problems
from vidorch.testing.servers.runway_models import MODELS, media_of, rule_of
from vidorch.testing.servers.runway_prices import credits_of, seconds_of

__all__ = ["FATES", "TIERS", "VERSION", "Runway"]

VERSION = "2024-11-06"
TIERS = {
    1: (1, 50, 100),
    2: (3, 500, 500),
    3: (5, 1_000, 2_000),
    4: (10, 5_000, 20_000),
    5: (20, 25_000, 100_000),
}
"""Tier: tasks at once and tasks a day, of one video model, and USD a month."""
FATES: Mapping[str, Fate] = {
    "throttled": Fate(more={"throttled": 2}),
    "safety-input": Fate(ending="failed", code="SAFETY.INPUT.TEXT", message="The input was moderated."),
    "safety-output": Fate(ending="failed", code="SAFETY.OUTPUT.IMAGE", message="The output was moderated."),
    "safety-partner": Fate(
        ending="failed", code="INPUT_PREPROCESSING.SAFETY.TEXT", message="The partner refused the text."
    ),
    "bad-output": Fate(
        ending="failed", code="INTERNAL.BAD_OUTPUT.CODE01", message="The output was of too low quality."
    ),
    "asset-invalid": Fate(ending="failed", code="ASSET.INVALID", message="An input could not be read."),
    "no-face": Fate(ending="failed", code="NO_FACE_FOUND", message="No face was found in the character."),
    "internal": Fate(ending="failed", code="INTERNAL", message="An unexpected error occurred."),
    "unexplained": Fate(ending="failed", message="An unexpected error occurred."),
}
"""What the documents say becomes of tasks. `SAFETY.*` is billed like a success, the others are not."""
DAY = 24 * 3600.0
_MB = 1024 * 1024
_INLINE = {"image": 5 * _MB, "video": 16 * _MB, "audio": 16 * _MB}
"""Characters of a data URI. That these count, and not the bytes that it holds, is a reading of the documents."""
_UPLOAD = 200 * _MB
_PICTURES = ("image/jpeg", "image/png", "image/webp")
_STATES = {"running": "RUNNING", "done": "SUCCEEDED", "cancelled": "CANCELLED"}
_DOCS = "https://docs.dev.runwayml.com/api"


class Runway(ProtocolServer):
    """Create a task, poll it, cancel or delete it; upload; ask for the balance.

    A finished task gives new links with every GET, and older ones die after `link_life`. Files are small MP4s whatever
    `outputFormat` was asked for.

    Args:
        tier: 1 to 5; see `TIERS`. What is over the limit is THROTTLED; what is over the day's limit is answered with 429.
        balance: credits. source_seconds: how long every video is that is sent in; the server never fetches one.
        link_life: seconds that a link lives. forgets: whether cancelled tasks are 404 at once. any_url: whether `http:` and hosts
            that are addresses are taken as inputs, such as what other servers of the loopback give out.

    A fate's `more` may hold `throttled` (polls that find it waiting), `credits` (what it costs after all) and `seconds` (of a
    clip whose length the model chooses).
    """

    provider: ClassVar[str] = "runway"
    key_variable: ClassVar[str] = "RUNWAYML_API_SECRET"

    def __init__(
        self, *, tier: int = 5, balance: int = 100_000, source_seconds: float = 5.0, link_life: float = DAY,
        forgets: bool = False, any_url: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.tier = tier
        self.balance: float = balance
        self.source_seconds = source_seconds
        self.link_life = link_life
        self.forgets = forgets
        self.any_url = any_url
        self._awaited: dict[str, str] = {}
        self._uploaded: dict[str, float] = {}

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """`{error}`, with `issues` and `docUrl` for a body that is wrong."""
        return Answer(status, {"error": message, **more})

    def authorized(self, ask: Ask) -> bool:
        if not super().authorized(ask):
            return False
        if ask.headers.get("x-runway-version") != VERSION:
            raise VendorError(
                400, message="The X-Runway-Version header is missing or holds no version that there is."
            )
        return True

    def public(self, ask: Ask) -> bool:
        return ask.op == "upload-file"

    # -- making -------------------------------------------------------------------------------------------------------

    @on("POST", "/v1/text_to_video", "submit")
    @on("POST", "/v1/image_to_video", "submit")
    @on("POST", "/v1/video_to_video", "submit")
    @on("POST", "/v1/character_performance", "submit")
    @on("POST", "/v1/video_upscale", "submit")
    @on("POST", "/v1/text_to_image", "submit")
    def create(self, ask: Ask) -> Answer:
        """A task. The reply names the most that it can cost."""
        endpoint, body = ask.path.rpartition("/")[2], self._json(ask)
        self._must_be_right(endpoint, body)
        model = body["model"]
        seconds = seconds_of(endpoint, body, self.source_seconds)
        estimate = credits_of(endpoint, body, seconds)
        with self.lock:
            if self._today(model) >= TIERS[self.tier][1]:
                raise VendorError(429, message=f"You have reached the daily limit of tasks with {model}.")
            if estimate > self.balance:
                raise VendorError(400, message="You do not have enough credits to run this task.")
            job = self.take(ask, body, job_id=f"{len(self.jobs) + 1:08x}-0000-4000-8000-000000000000")
            job.more |= {"endpoint": endpoint, "seconds": seconds, "estimate": estimate}
            self.balance -= estimate
        return Answer(json={"id": job.id, "estimatedCost": {"credits": estimate}})

    @on("GET", "/v1/tasks/{id}", "poll")
    def retrieve(self, ask: Ask) -> Answer:
        """How a task stands; of one that is done, fresh links."""
        job = self.look(self._job(ask))
        task: dict[str, Any] = {
            "id": job.id,
            "createdAt": self.stamp(job.created),
            "status": self._status(job),
        }
        if not job.over:
            task["estimatedCost"] = {"credits": job.more["estimate"]}
            return Answer(json=task | ({"progress": job.progress} if task["status"] == "RUNNING" else {}))
        task["cost"] = {"credits": job.more["cost"]}
        if task["status"] == "SUCCEEDED":
            job.outputs = self._links(job)
            task["output"] = job.outputs
        elif task["status"] == "FAILED":
            code = self._code(job)
            task |= {"failure": job.fate.message or "The task failed."} | (
                {"failureCode": code} if code else {}
            )
        return Answer(json=task)

    @on("DELETE", "/v1/tasks/{id}", "cancel")
    def delete(self, ask: Ask) -> Answer:
        """Cancel what is not over: refunded unless it is RUNNING. Of what is over, forget it."""
        with self.lock:
            job = self._job(ask)
            if job.over:
                job.more["deleted"] = True
                return Answer(204)
            job.more["charged"] = job.state == "running"
            job.cancelled = True
            self.end(job, "cancelled")
            job.more["deleted"] = self.forgets
        return Answer(204)

    def look(self, job: RemoteJob) -> RemoteJob:
        """As everywhere, but a task over the limit waits, and its polls do not count."""
        with self.lock:
            waits = not job.over and self._waits(job)
            job.more["throttled"] = waits
            return job if waits else super().look(job)

    def _waits(self, job: RemoteJob) -> bool:
        if job.state == "running":
            return False
        waited = job.more.get("waited", 0)
        job.more["waited"] = waited + 1
        earlier = self.jobs[: self.jobs.index(job)]
        ahead = sum(not other.over and other.body["model"] == job.body["model"] for other in earlier)
        return bool(waited < job.fate.more.get("throttled", 0) or ahead >= TIERS[self.tier][0])

    def end(self, job: RemoteJob, how: str) -> None:
        """End it, and give back what was taken too much."""
        super().end(job, how)
        job.more["cost"] = self._cost(job)
        self.balance += job.more["estimate"] - job.more["cost"]

    def _cost(self, job: RemoteJob) -> int:
        if "credits" in job.fate.more:
            return int(job.fate.more["credits"])
        if job.state == "cancelled":
            return math.ceil(job.more["estimate"]) if job.more.get("charged") else 0
        if job.state == "done":
            return math.ceil(credits_of(job.more["endpoint"], job.body, self.seconds(job)))
        return math.ceil(job.more["estimate"]) if self._code(job).startswith("SAFETY.") else 0

    def _code(self, job: RemoteJob) -> str:
        return job.fate.code or ("SAFETY.OUTPUT.IMAGE" if job.state == "refused" else "")

    def _status(self, job: RemoteJob) -> str:
        if job.state == "queued":
            return "THROTTLED" if job.more.get("throttled") else "PENDING"
        return _STATES.get(job.state, "FAILED")

    # -- files --------------------------------------------------------------------------------------------------------

    def made(self, job: RemoteJob) -> list[str]:
        job.more["files"] = [
            self.clip(job, number) for number in range(self.samples(job) - job.fate.filtered)
        ]
        return self._links(job)

    def _links(self, job: RemoteJob) -> list[str]:
        expires_at = self.now() + self.link_life
        return [
            self.put(content, self.media_type(job), expires_at=expires_at) for content in job.more["files"]
        ]

    def media_type(self, job: RemoteJob) -> str:
        return "image/png" if job.more["endpoint"] == "text_to_image" else "video/mp4"

    def seconds(self, job: RemoteJob) -> float:
        seconds = job.more["seconds"]
        return float(job.fate.more.get("seconds", 5.0) if seconds is None else seconds)

    def sounds(self, job: RemoteJob) -> bool:
        silent = job.body["model"].startswith(("gen4", "kling2.5", "aleph2"))
        return bool(
            job.body.get("audio", not silent and not job.body["model"].startswith(("kling3.0", "klingO3")))
        )

    @on("POST", "/v1/uploads", "upload")
    def upload(self, ask: Ask) -> Answer:
        """Where to send a file, and the URI that it will have for a day."""
        body = self._json(ask)
        self._refuse(
            problems(
                body,
                {
                    "filename": Check(required=True, least=1),
                    "type": Check(required=True, choices=("ephemeral",)),
                },
            )
        )
        key = self.new_id("upload")
        with self.lock:
            self._awaited[key] = f"runway://{key}"
        fields = {"key": key, "policy": "test-policy", "x-amz-signature": "test-signature"}
        return Answer(
            json={"uploadUrl": f"{self.files_url}/uploads", "fields": fields, "runwayUri": f"runway://{key}"}
        )

    @on("POST", "/uploads", "upload-file")
    def upload_file(self, ask: Ask) -> Answer:
        """The form itself, as S3 takes it: the file comes last, and no credential with it."""
        if "authorization" in ask.headers:
            with self.lock:
                self.leaks.append(ask)
            return _denied("InvalidArgument")
        try:
            parts = ask.form()
        except ValueError:
            return _denied("MalformedPOSTRequest")
        given = {part.name: part.text for part in parts if part.name != "file"}
        uri = self._awaited.get(given.get("key", ""))
        if (
            uri is None
            or given.get("policy") != "test-policy"
            or given.get("x-amz-signature") != "test-signature"
        ):
            return _denied("AccessDenied")
        if parts[-1].name != "file":
            return _denied("InvalidArgument")
        if len(parts[-1].value) > _UPLOAD:
            return _denied("EntityTooLarge")
        with self.lock:
            self.uploads[uri] = parts[-1]
            self._uploaded[uri] = self.now()
        return Answer(204)

    def _found(self, method: str, path: str, port: int) -> Any:
        uploads = port == self._ports[1] and method == "POST"  # forms go to the files' host, not to the API's
        return super()._found(method, path, self._ports[0] if uploads else port)

    def _media(self, uri: str, kind: str) -> str:
        """What is wrong with an input, or ""."""
        if uri.startswith("runway://"):
            return self._ephemeral(uri, kind)
        if uri.startswith("data:"):
            return _inline(uri, kind)
        parts = urlsplit(uri)
        if parts.scheme not in (("https", "http") if self.any_url else ("https",)) or not parts.hostname:
            return "has to be an HTTPS URL, a data URI or an upload's URI"
        if len(uri) > 2048:
            return "has to be a URL of at most 2048 characters"
        return (
            ""
            if self.any_url or not _is_address(parts.hostname)
            else "has to name a domain, not an IP address"
        )

    def _ephemeral(self, uri: str, kind: str) -> str:
        part = self.uploads.get(uri)
        if part is None:
            return "is not the URI of a finished upload"
        if self.now() - self._uploaded[uri] >= DAY:
            return "is the URI of an upload that has expired"
        media_type = _type_of(part)
        fits = media_type in _PICTURES if kind == "image" else media_type.startswith(f"{kind}/")
        return "" if fits else f"is an upload of type {media_type or 'unknown'}, not of a usable {kind}"

    # -- the organization ---------------------------------------------------------------------------------------------

    @on("GET", "/v1/organization", "account")
    def organization(self, ask: Ask) -> Answer:
        """Credits left, limits, and what was used of them."""
        at_once, a_day, dollars = TIERS[self.tier]
        names = sorted({name for models in MODELS.values() for name in models})
        limits = {name: {"maxConcurrentGenerations": at_once, "maxDailyGenerations": a_day} for name in names}
        with self.lock:
            used = {name: {"dailyGenerations": self._today(name)} for name in names}
            balance = math.floor(self.balance)
        tier = {"maxMonthlyCreditSpend": dollars * 100, "models": limits}
        return Answer(json={"creditBalance": balance, "tier": tier, "usage": {"models": used}})

    @on("POST", "/v1/organization/usage", "usage")
    def usage(self, ask: Ask) -> Answer:
        """Credits by day and model; refunds are taken off."""
        body = self._json(ask) if ask.body else {}
        self._refuse(
            problems(body, {"startDate": Check(rule=_day_rule), "beforeDate": Check(rule=_day_rule)})
        )
        today = datetime.fromtimestamp(self.now(), UTC).date()
        start = date.fromisoformat(body["startDate"]) if "startDate" in body else today - timedelta(days=30)
        before = (
            date.fromisoformat(body["beforeDate"]) if "beforeDate" in body else start + timedelta(days=30)
        )
        if not start <= before <= start + timedelta(days=90):
            self._refuse(
                [
                    Problem(
                        ("beforeDate",),
                        "rule",
                        "has to be at most 90 days after the start",
                        body.get("beforeDate"),
                    )
                ]
            )
        days: defaultdict[date, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        with self.lock:
            for job in self.jobs:
                day = datetime.fromtimestamp(job.created, UTC).date()
                if start <= day < before:
                    days[day][job.body["model"]] += job.more.get("cost", math.ceil(job.more["estimate"]))
        results = [
            {
                "date": day.isoformat(),
                "usedCredits": [{"model": name, "amount": amount} for name, amount in sorted(used.items())],
            }
            for day, used in sorted(days.items())
        ]
        return Answer(
            json={"models": sorted({name for used in days.values() for name in used}), "results": results}
        )

    def _today(self, model: str) -> int:
        return sum(job.body["model"] == model and job.created > self.now() - DAY for job in self.jobs)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _json(self, ask: Ask) -> dict[str, Any]:
        try:
            body = ask.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise VendorError(400, message="The body has to be a JSON object.", issues=[], docUrl=_DOCS)
        return body

    def _must_be_right(self, endpoint: str, body: dict[str, Any]) -> None:
        models = MODELS[endpoint]
        named = {"model": Check(required=True, choices=tuple(models))}
        self._refuse(problems(body, named, extra=True))
        self._refuse(problems(body, {**named, **models[body["model"]]}))
        where, why = rule_of(endpoint, body)
        found = [Problem((where,), "rule", why, body.get(where))] if why else []
        found += [
            Problem((where,), "rule", why, uri)
            for where, uri, kind in media_of(body)
            if (why := self._media(uri, kind))
        ]
        self._refuse(found)
        draft = body.get("draftTaskId")
        if draft is not None:
            job = self.find(draft)
            if (
                job is None
                or job.state != "done"
                or not job.body.get("draft")
                or self.now() - job.created > 7 * DAY
            ):
                self._refuse(
                    [Problem(("draftTaskId",), "rule", "is not a succeeded draft of the last 7 days", draft)]
                )

    def _refuse(self, found: list[Problem]) -> None:
        if found:
            kinds = {
                "missing": "invalid_type",
                "unknown": "unrecognized_keys",
                "type": "invalid_type",
                "choice": "invalid_enum_value",
            }
            issues = [
                {"code": kinds.get(one.kind, "custom"), "path": list(one.where), "message": one.message}
                for one in found
            ]
            raise VendorError(400, message="Validation of body failed", issues=issues, docUrl=_DOCS)

    def _job(self, ask: Ask) -> RemoteJob:
        job = self.find(ask.params["id"])
        if job is None or job.more.get("deleted"):
            raise VendorError(404, message="There is no task of this id.")
        return job


def _denied(code: str) -> Answer:
    """As S3 says no."""
    status = 400 if code in ("EntityTooLarge", "InvalidArgument", "MalformedPOSTRequest") else 403
    return Answer(status, body=f"<Error><Code>{code}</Code></Error>".encode(), media_type="application/xml")


def _type_of(part: FormPart) -> str:
    if part.media_type and part.media_type != "application/octet-stream":
        return part.media_type
    return mimetypes.guess_type(part.filename or "")[0] or ""


def _inline(uri: str, kind: str) -> str:
    head, comma, data = uri.partition(",")
    media_type, _, coding = head.removeprefix("data:").partition(";")
    if not comma or coding != "base64":
        return "has to be a base64 data URI"
    if not (media_type in _PICTURES if kind == "image" else media_type.startswith(f"{kind}/")):
        return f"is of type {media_type or 'unknown'}, not of a usable {kind}"
    if len(uri) > _INLINE[kind]:
        return f"has to be a data URI of at most {_INLINE[kind] // _MB} MB"
    try:
        return "" if b64decode(data, validate=True) else "is an empty data URI"
    except ValueError:
        return "has to be a base64 data URI"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host
    return True


def _day_rule(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        return "has to be a date such as 2026-11-22"
    return ""
