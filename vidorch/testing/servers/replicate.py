"""Replicate: predictions, files, account and webhooks of `api.replicate.com/v1`.

Sources: replicate 1.0.7 (client.py, prediction.py, file.py, webhook.py, account.py), replicate 2.0.0b4 (types/prediction.py), and
Replicate's pages on the prediction lifecycle, data retention, error codes and webhooks; read 2026-11-22 to 2026-11-26.

Not confirmed: the wording of 401, 402, 404 and 422; that a wrong input is a 422 at submit for official models too; that what is
cancelled before it starts is `canceled`; how many seconds a file lives (here a day); what a version looks like for official
models ("hidden"); which metrics a model gives (here `video_output_duration_seconds`, `video_output_count`,
`with_audio` and, where
it is known, `resolution_target`); `E005` as the code of a refusal (widely reported, not on the page of error codes); that the
list gives 100 a page without input and output of predictions that were removed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
from typing import Any, ClassVar
from urllib.parse import urlencode

from vidorch.testing.servers.base import Answer, Ask, FormPart, ProtocolServer, RemoteJob, VendorError, on
from vidorch.testing.servers.checks import Check, Problem, problems
from vidorch.testing.servers.fields import Model
from vidorch.testing.servers.replicate_models import METRICS, MODELS

__all__ = ["Replicate"]

_EVENTS = ("start", "output", "logs", "completed")
_ENVELOPE = {
    "input": Check("object", required=True),
    "webhook": Check(rule=lambda url: "" if url.startswith("https://") else "must be an HTTPS URL"),
    "webhook_completed": Check(), "webhook_events_filter": Check("list", items=Check(choices=_EVENTS)),
    "stream": Check("boolean"),
}  # fmt: skip
_TITLES = {
    400: "Bad request", 401: "Unauthenticated", 402: "Insufficient credit", 403: "Forbidden", 404: "Not found", 409: "Conflict",
    422: "Input validation failed", 429: "Too many requests", 500: "Internal server error", 502: "Bad gateway",
    503: "Service unavailable", 504: "Gateway timeout",
}  # fmt: skip
_STATES = {
    "queued": "starting",
    "running": "processing",
    "done": "succeeded",
    "refused": "failed",
    "cancelled": "canceled",
}
KEPT = 3600
"""Seconds after which input, output, files and logs of a prediction that the API made are removed (docs data-retention)."""
FILE_KEPT = 86400
PAGE = 100


class Replicate(ProtocolServer):
    """`/v1/predictions` and what belongs to it.

    A `Fate` that is "failed" takes for `code` what stands in brackets at the end of the error (`E1001`); "refused" is an error
    with (E005); "aborted" did not start in time and is not charged. In `more`: `output` (instead of the usual), `many` (a list
    although one file was made), `metrics` (added to the usual; None for none at all), `logs`.

    Args:
        credit: whether there is any; without it creating is a 402. page: predictions on one page of the list.

    Attributes:
        secret: of webhooks.
    """

    provider: ClassVar[str] = "replicate"
    sends_webhooks: ClassVar[bool] = True
    key_variable: ClassVar[str] = "REPLICATE_API_TOKEN"
    default_key: ClassVar[str] = "r8_test-key"

    def __init__(self, *, credit: bool = True, page: int = PAGE, **options: Any) -> None:
        super().__init__(**options)
        self.credit = credit
        self.page = page
        self._metadata: dict[str, tuple[FormPart | None, float]] = {}
        self.secret = (
            f"whsec_{base64.b64encode(hashlib.sha256(b'vidorch test webhooks').digest()[:24]).decode()}"
        )

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """Problem details (RFC 7807); of a 429 only the detail."""
        if status == 429:
            return Answer(429, {"detail": "Request was throttled. Your rate limit resets in ~30s."})
        said = {
            "title": _TITLES.get(status, "Error"),
            "detail": message,
            "status": status,
            "type": "about:blank",
            **more,
        }
        return Answer(status, said, media_type="application/problem+json")

    def unauthorized(self, ask: Ask) -> Answer:
        return self.error(401, "", "You did not pass a valid authentication token")

    # -- making --------------------------------------------------------------------------------------------------------

    @on("POST", "/v1/models/{owner}/{name}/predictions", "submit")
    def of_model(self, ask: Ask) -> Answer:
        """By an official model."""
        return self._create(ask, f"{ask.params['owner']}/{ask.params['name']}", "hidden", _ENVELOPE)

    @on("POST", "/v1/deployments/{owner}/{name}/predictions", "submit")
    def of_deployment(self, ask: Ask) -> Answer:
        """By a deployment; any input is taken."""
        name = f"{ask.params['owner']}/{ask.params['name']}"
        return self._create(ask, "", hashlib.sha256(name.encode()).hexdigest(), _ENVELOPE, deployment=name)

    @on("POST", "/v1/predictions", "submit")
    def of_version(self, ask: Ask) -> Answer:
        """By a version: 64 hex digits, `owner/name` or `owner/name:version`."""
        version = self._object(ask).get("version", "")
        model, _, number = str(version).partition(":") if "/" in str(version) else ("", "", version)
        return self._create(
            ask, model, number or "hidden", {**_ENVELOPE, "version": Check(required=True, rule=_version)}
        )

    def _create(
        self, ask: Ask, model: str, version: str, envelope: dict[str, Check], *, deployment: str = ""
    ) -> Answer:
        body = self._object(ask)
        found = problems(body, envelope)
        if not found and model in MODELS:
            found = MODELS[model].problems(body["input"], where=("input",))
        if found:
            said = "".join(f"- {_dotted(one)}: {one.message}\n" for one in found)
            raise VendorError(422, "", said, invalid_fields=[
                {"type": one.kind, "field": _dotted(one), "description": one.message} for one in found
            ])  # fmt: skip
        if not self.credit:
            raise VendorError(402, "", "You have insufficient credit to run this model.")
        wait, within = _wait(ask.headers.get("prefer")), _seconds(ask.headers.get("cancel-after"))
        job = self.take(ask, body["input"], job_id=self._id())
        job.more |= {
            "model": model, "version": version, "deployment": deployment,
            "deadline": None if within is None else job.created + within,
            "webhook": body.get("webhook") or body.get("webhook_completed"), "events": body.get("webhook_events_filter",
            list(_EVENTS)),
        }  # fmt: skip
        if wait:
            self._turn(job)
            if not job.over and not job.fate.seconds:
                self._end_as_fated(job)
        return Answer(202 if wait and not job.over else 201, self._prediction(job))

    # -- looking -------------------------------------------------------------------------------------------------------

    @on("GET", "/v1/predictions/{id}", "poll")
    def get(self, ask: Ask) -> Answer:
        """One prediction."""
        return Answer(json=self._prediction(self._turn(self._job(ask))))

    @on("POST", "/v1/predictions/{id}/cancel", "cancel")
    def cancel(self, ask: Ask) -> Answer:
        """End one; of one that is over nothing changes."""
        job = self._job(ask)
        with self.lock:
            if not job.over:
                job.cancelled = True
                self.end(job, "cancelled")
        return Answer(json=self._prediction(job))

    @on("GET", "/v1/predictions", "find")
    def listing(self, ask: Ask) -> Answer:
        """The newest first, page after page by URLs."""
        jobs = list(reversed(self.jobs))
        first = _place(ask.query.get("cursor"))
        page = jobs[first : first + self.page]

        def url(place: int) -> str:
            cursor = base64.urlsafe_b64encode(f"p={place}".encode()).decode()
            return f"{ask.host}/v1/predictions?{urlencode({'cursor': cursor})}"

        return Answer(json={
            "next": url(first + self.page) if len(jobs) > first + self.page else None,
            "previous": url(max(0, first - self.page)) if first else None,
            "results": [{**self._prediction(job), "source": "api"} for job in page],
        })  # fmt: skip

    def _turn(self, job: RemoteJob) -> RemoteJob:
        with self.lock:
            late = job.more["deadline"] is not None and self.now() >= job.more["deadline"]
            if late and not job.over:
                self.end(job, "aborted" if job.state == "queued" else "cancelled")
        return self.look(job)

    def _end_as_fated(self, job: RemoteJob) -> None:
        with self.lock:
            if not job.over:
                self.end(job, job.fate.ending)

    def _job(self, ask: Ask) -> RemoteJob:
        job = self.find(ask.params["id"])
        if job is None:
            raise VendorError(404, "", "The requested resource could not be found.")
        return job

    # -- in its own words ----------------------------------------------------------------------------------------------

    def _model(self, job: RemoteJob) -> Model:
        return MODELS.get(job.more["model"], Model({}))

    def samples(self, job: RemoteJob) -> int:
        return int(job.body.get("num_outputs", 1))

    def seconds(self, job: RemoteJob) -> float:
        given = job.body.get("seconds")
        return float(given) if isinstance(given, int) else self._model(job).seconds(job.body)

    def sounds(self, job: RemoteJob) -> bool:
        return self._model(job).sounds(job.body)

    def made(self, job: RemoteJob) -> list[str]:
        """Files that are gone with the prediction's data."""
        count, until = self.samples(job) - job.fate.filtered, self.now() + KEPT
        return [
            self.put(self.clip(job, number), self.media_type(job), expires_at=until)
            for number in range(count)
        ]

    def media_type(self, job: RemoteJob) -> str:
        return "image/png" if self._model(job).makes == "images" else "video/mp4"

    def _prediction(self, job: RemoteJob) -> dict[str, Any]:
        at = f"{self.url}/v1/predictions/{job.id}"
        removed = job.ended is not None and self.now() >= job.ended + KEPT
        said: dict[str, Any] = {
            "id": job.id, "model": job.more["model"], "version": job.more["version"], "status": _STATES.get(job.state, job.state),
            "input": {} if removed else job.body, "output": None if removed else self._output(job),
            "logs": "" if removed else self._logs(job),
            "error": self._error(job), "metrics": self._metrics(job), "created_at": self.stamp(job.created),
            "started_at": None if job.state in ("queued", "aborted") else self.stamp(job.created),
            "completed_at": None if job.ended is None else self.stamp(job.ended), "data_removed": removed,
            "urls": {"get": at, "cancel": f"{at}/cancel", "web": f"https://replicate.com/p/{job.id}"},
        }  # fmt: skip
        if job.more["deadline"] is not None:
            said["deadline"] = self.stamp(job.more["deadline"])
        if job.more["deployment"]:
            said["deployment"] = job.more["deployment"]
        return said

    def _output(self, job: RemoteJob) -> Any:
        if job.state != "done":
            return None
        if "output" in job.fate.more:
            return job.fate.more["output"]
        several = job.fate.more.get("many", self._model(job).makes == "images")
        return job.outputs if several else job.outputs[0] if job.outputs else None

    def _error(self, job: RemoteJob) -> str | None:
        if job.state == "refused":
            return job.fate.message or "The input or output was flagged as sensitive. (E005)"
        if job.state != "failed":
            return None
        said = job.fate.message or "Prediction failed."
        return f"{said} ({job.fate.code})" if job.fate.code else said

    def _metrics(self, job: RemoteJob) -> dict[str, Any] | None:
        if job.ended is None or job.state == "aborted":
            return {}
        if "metrics" in job.fate.more and job.fate.more["metrics"] is None:
            return None
        took = job.ended - job.created
        said: dict[str, Any] = {"predict_time": took, "total_time": took}
        if job.state == "done" and self.media_type(job) == "video/mp4":
            said |= {
                "video_output_duration_seconds": self.seconds(job), "video_output_count": len(job.outputs),
                "with_audio": self.sounds(job),
            }  # fmt: skip
            field = METRICS.get(job.more["model"])
            if field is not None and field in job.body:
                said["resolution_target"] = job.body[field]
        elif job.state == "done":
            said["image_output_count"] = len(job.outputs)
        return said | dict(job.fate.more.get("metrics", {}))

    def _logs(self, job: RemoteJob) -> str:
        done = 100 if job.over else math.floor(job.progress * 100)
        return str(job.fate.more.get("logs", f"{done}%|{'#' * (done // 10 + 1)}| {done}/100"))

    # -- files ---------------------------------------------------------------------------------------------------------

    @on("POST", "/v1/files", "upload")
    def upload(self, ask: Ask) -> Answer:
        """A form's part `content`, and `metadata` as JSON."""
        try:
            parts = {part.name: part for part in ask.form()}
            json.loads(parts["metadata"].text if "metadata" in parts else "{}")
        except ValueError:
            raise VendorError(400, "", "The body has to be a form, and metadata JSON") from None
        if "content" not in parts:
            raise VendorError(400, "", "Missing content")
        with self.lock:
            name = self._id()
            self.uploads[name] = parts["content"]
            self._metadata[name] = (parts.get("metadata"), self.now())
        return Answer(201, self._uploaded(ask, name))

    @on("GET", "/v1/files/{id}", "file")
    def file(self, ask: Ask) -> Answer:
        """What is known of one."""
        return Answer(json=self._uploaded(ask, self._file_id(ask)))

    @on("GET", "/v1/files", "files")
    def files(self, ask: Ask) -> Answer:
        """All of them."""
        return Answer(
            json={
                "next": None,
                "previous": None,
                "results": [self._uploaded(ask, name) for name in self.uploads],
            }
        )

    @on("DELETE", "/v1/files/{id}", "delete")
    def delete(self, ask: Ask) -> Answer:
        """Remove one."""
        with self.lock:
            del self.uploads[self._file_id(ask)]
        return Answer(204)

    def _file_id(self, ask: Ask) -> str:
        name = ask.params["id"]
        if name not in self.uploads or self.now() >= self._metadata[name][1] + FILE_KEPT:
            raise VendorError(404, "", "The requested resource could not be found.")
        return name

    def _uploaded(self, ask: Ask, name: str) -> dict[str, Any]:
        part = self.uploads[name]
        metadata, created = self._metadata[name]
        digest = hashlib.sha256(part.value).hexdigest()
        return {
            "id": name, "name": part.filename or "content", "content_type": part.media_type, "size": len(part.value),
            "etag": digest[:32],
            "checksums": {"sha256": digest}, "metadata": json.loads(metadata.text) if metadata else {},
            "created_at": self.stamp(created),
            "expires_at": self.stamp(created + FILE_KEPT), "urls": {"get": f"{ask.host}/v1/files/{name}"},
        }  # fmt: skip

    # -- account and webhooks ------------------------------------------------------------------------------------------

    @on("GET", "/v1/account", "account")
    def account(self, ask: Ask) -> Answer:
        """Whose key it is; costs nothing."""
        return Answer(
            json={"type": "user", "username": "test", "name": "Test", "github_url": None, "avatar_url": None}
        )

    @on("GET", "/v1/webhooks/default/secret", "secret")
    def webhook_secret(self, ask: Ask) -> Answer:
        """What webhooks are signed with."""
        return Answer(json={"key": self.secret})

    def signed(self, job: RemoteJob, *, at: float | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body of a prediction's delivery, as sent `at` (seconds since 1970; default: now): Standard Webhooks."""
        body = json.dumps(self._prediction(job)).encode()
        stamp, name = str(int(self.now() if at is None else at)), f"msg_{job.id}"
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }, body  # fmt: skip

    def deliver(self, job: RemoteJob, url: str | None = None) -> int:
        """POST it to `url`, or to where the submit said; gives the status of the reply."""
        headers, body = self.signed(job)
        return self.post(url or job.more["webhook"], headers, body)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _object(self, ask: Ask) -> dict[str, Any]:
        try:
            body = ask.json()
        except ValueError:
            raise VendorError(400, "", "The request body is not valid JSON") from None
        if not isinstance(body, dict):
            raise VendorError(422, "", "The request body has to be an object")
        return body

    def _id(self) -> str:
        """26 characters, as theirs are."""
        return base64.b32encode(hashlib.sha256(self.new_id().encode()).digest()).decode().lower()[:26]


def _dotted(one: Problem) -> str:
    return ".".join(map(str, one.where))


def _version(text: str) -> str:
    known = re.fullmatch(r"[0-9a-f]{64}|[\w.-]+/[\w.-]+(:[0-9a-f]{64})?", text)
    return "" if known else "has to be a version, owner/name or owner/name:version"


def _wait(prefer: str | None) -> int:
    """Seconds of `Prefer: wait=N`; 60 without N, 0 without the header."""
    if prefer is None or (found := re.fullmatch(r"wait(?:=(\d+))?", prefer.strip())) is None:
        return 0
    seconds = int(found[1] or 60)
    if not 1 <= seconds <= 60:
        raise VendorError(400, "", "Prefer: wait has to be 1 to 60 seconds")
    return seconds


def _seconds(text: str | None) -> float | None:
    """Of `Cancel-After`: `15s`, `1m`, `1h30m`, or a number."""
    if text is None:
        return None
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if found is None or not any(found.groups()):
        raise VendorError(400, "", "Cancel-After has to be a length of time such as 30s or 5m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("p="))
    except ValueError:
        raise VendorError(400, "", "Invalid cursor") from None
