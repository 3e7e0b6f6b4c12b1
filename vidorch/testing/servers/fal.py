"""fal: the queue, the storage and the platform API, which are hosts of their own there and paths of one server here.

It plays `queue.fal.run`, `rest.fal.ai` (storage tokens, webhook keys), `v3.fal.media` (uploads) and `api.fal.ai` (prices,
requests).

Sources: fal-client 1.0.3 (client.py, auth.py), @fal-ai/client 1.10.1,
and fal's own pages: docs/inference-api/queue (submit, status,
result, cancel), docs/platform-apis/v1/models/pricing, .../pricing/estimate, .../requests/by-endpoint, the pages on errors and
webhooks; read 2026-11-22 to 2026-11-26 from stored copies.

Not confirmed, and as it seems most likely: whether a wrong input is refused at submit or found out by the runner (`late=True`);
HTTP codes of cancel; what a request that was taken out of the queue looks like afterwards; that the result of an open request is
a 400, and that a path of more than two segments is a 405; that a status gives a model error's type as `error_type`; the wording
and type of a missing key (401) and a locked balance (403); the shape of the platform API's errors; whether its list shows
requests that are still open (`lists_open`); how many units a request with sound or of a larger picture is billed as (here:
seconds, videos or megapixels of what was made); that a file withheld of several is left out, where fal may send a black one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from vidorch.testing.missing import needing
from vidorch.testing.servers.base import Answer, Ask, RemoteJob, VendorError, on
from vidorch.testing.servers.checks import Problem
from vidorch.testing.servers.fal_errors import MODEL_ERRORS, REQUEST_ERRORS, USUAL, details, page
from vidorch.testing.servers.fal_models import MODELS, PRICES, megapixels
from vidorch.testing.servers.fal_queries import app_of, cursor, endpoints_in, moment_of, page_of
from vidorch.testing.servers.fal_storage import UPLOADS, FalStorage
from vidorch.testing.servers.fields import Model

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Fal"]

RESULT_SECONDS = 3600
RESULT_SECONDS_LARGE = 360
LARGE = 10 * 1024
"""Bytes of a result from which on it is kept for six minutes instead of an hour (docs/inference-api/queue/result)."""
_PUBLIC = frozenset({"media", "jwks", "put"})


class Fal(FalStorage):
    """`POST /<endpoint id>`, and `/<owner>/<app>/requests/<id>` for its status, result and end.

    A `Fate` that is "failed" takes for `code` a request error (`startup_timeout`) or a model error (`no_media_generated`);
    "refused" is `content_policy_violation`. In `more`: `units` (of the billing header; None for no header), `queue_position`,
    `ignores_cancel` (the runner goes on), `logs`, `output` (instead of the usual JSON).

    Args:
        late: whether a wrong input is taken, and found out only by the runner.
        lists_open: whether requests that are not over are listed.

    Attributes:
        locked: whether the balance is: then submits are a 403. public_key: raw bytes of the key that webhooks are signed with.
        signing: what that key is made of; with another value it is another.
        prices: (USD, unit) by endpoint. prices_per_page: how many of them one reply has.
    """

    provider: ClassVar[str] = "fal"
    sends_webhooks: ClassVar[bool] = True
    key_variable: ClassVar[str] = "FAL_KEY"
    default_key: ClassVar[str] = "test-key-id:test-key-secret"

    def __init__(self, *, late: bool = False, lists_open: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.late = late
        self.lists_open = lists_open
        self.locked = False
        self.signing = b"vidorch test webhooks"
        self.prices = dict(PRICES)
        self.prices_per_page = 50

    # -- who and what went wrong ---------------------------------------------------------------------------------------

    def authorized(self, ask: Ask) -> bool:
        """`Authorization: Key ...`; uploads go by the token that was given for the key."""
        scheme = f"Bearer {self.token}" if ask.op in UPLOADS else f"Key {self.key}"
        return ask.headers.get("authorization") == scheme

    def public(self, ask: Ask) -> bool:
        return ask.op in _PUBLIC

    def unauthorized(self, ask: Ask) -> Answer:
        return self.error(401, "auth_error", "Authentication is required to access this application.")

    def usual_code(self, status: int) -> str:
        return USUAL.get(status, "")

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """A request error; with `detail=[...]` a model error."""
        headers = {"X-Fal-Request-Id": self._uuid()}
        if "detail" in more:
            headers["X-Fal-Retryable"] = "true" if more.get("retryable") else "false"
            return Answer(status, {"detail": more["detail"]}, headers=headers)
        if code:
            headers["X-Fal-Error-Type"] = code
        return Answer(status, {"detail": message, **({"error_type": code} if code else {})}, headers=headers)

    # -- the queue -----------------------------------------------------------------------------------------------------

    @on("POST", "/{path+}", "submit")
    def submit(self, ask: Ask) -> Answer:
        """Take a request; the body is the model's input as it stands."""
        endpoint = ask.params["path"]
        if endpoint.count("/") < 1 or "/requests/" in f"{endpoint}/":
            raise VendorError(404, "not_found", f"Application {endpoint!r} not found")
        if self.locked:
            raise VendorError(
                403,
                "",
                "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
            )
        body = self.body_of(ask)
        wrong = details(self._problems(endpoint, body))
        if wrong and not self.late:
            raise VendorError(422, "", "", detail=wrong)
        job = self.take(ask, body, job_id=self._uuid())
        job.more |= {
            "endpoint": endpoint,
            "webhook": ask.query.get("fal_webhook"),
            "gateway": self._uuid(),
            "wrong": wrong,
        }
        said = {
            **self._urls(ask, job),
            "status": "IN_QUEUE",
            "queue_position": job.fate.more.get("queue_position", 0),
        }
        if job.more["webhook"]:
            said["gateway_request_id"] = job.more["gateway"]
        return Answer(json=said, headers={"X-Fal-Request-Id": job.id})

    @on("GET", "/{app+}/requests/{id}/status", "poll")
    def status(self, ask: Ask) -> Answer:
        """How a request stands. COMPLETED is over, whether it went well or not."""
        job = self._turn(self._job(ask))
        said: dict[str, Any] = self._urls(ask, job)
        logs = self._logs(job) if ask.query.get("logs", "").lower() in ("1", "true") else None
        if job.state == "queued":
            return Answer(
                json={"status": "IN_QUEUE", "queue_position": job.fate.more.get("queue_position", 0), **said}
            )
        if job.state == "running":
            return Answer(json={"status": "IN_PROGRESS", "logs": logs, **said})
        if job.state not in ("done", "failed", "refused", "cancelled"):
            return Answer(json={"status": job.state, "logs": logs, **said})
        said |= {
            "status": "COMPLETED",
            "logs": logs,
            "metrics": {"inference_time": round(self._took(job), 3)},
        }
        failure = self._failure(job)
        if failure is not None:
            said |= {"error": failure.message, "error_type": failure.code}
        return Answer(json=said)

    @on("GET", "/{app+}/requests/{id}", "result")
    def result(self, ask: Ask) -> Answer:
        """What the model answered, with its status and the units that are billed."""
        job = self._job(ask)
        if not job.over:
            raise VendorError(400, "bad_request", "Request is still in progress")
        failure = self._failure(job)
        if failure is not None:
            raise failure
        answer = Answer(json=self._output(job), headers={"X-Fal-Request-Id": job.id, **self._billed(job)})
        kept = RESULT_SECONDS_LARGE if len(answer.content()) >= LARGE else RESULT_SECONDS
        if job.ended is not None and self.now() >= job.ended + kept:
            raise VendorError(404, "not_found", "Request not found")
        return answer

    @on("PUT", "/{app+}/requests/{id}/cancel", "cancel")
    def cancel(self, ask: Ask) -> Answer:
        """Taken out of the queue at once; of one that runs the runner is only told."""
        job = self.find(ask.params["id"])
        if job is None:
            return Answer(404, {"status": "NOT_FOUND"})
        with self.lock:
            if job.over:
                return Answer(400, {"status": "ALREADY_COMPLETED"})
            job.cancelled = True
            if job.state == "queued":
                self.end(job, "cancelled")
                return Answer(200, {"status": "OK"})
        return Answer(202, {"status": "CANCELLATION_REQUESTED"})

    def _urls(self, ask: Ask, job: RemoteJob) -> dict[str, Any]:
        at = f"{ask.host}/{app_of(job.more['endpoint'])}/requests/{job.id}"
        return {
            "request_id": job.id,
            "response_url": at,
            "status_url": f"{at}/status",
            "cancel_url": f"{at}/cancel",
        }

    def _turn(self, job: RemoteJob) -> RemoteJob:
        with self.lock:
            if job.more["wrong"] and not job.over:
                self.end(job, "failed")
            if job.cancelled and not job.over and not job.fate.more.get("ignores_cancel"):
                self.end(job, "cancelled")
        return self.look(job)

    def _job(self, ask: Ask) -> RemoteJob:
        job = self.find(ask.params["id"])
        if job is None:
            raise VendorError(404, "not_found", "Request not found")
        app = app_of(job.more["endpoint"])
        if ask.params["app"] != app:
            wide = ask.params["app"].startswith(f"{app}/")
            raise VendorError(
                405 if wide else 404,
                "" if wide else "not_found",
                "Method Not Allowed" if wide else "Request not found",
            )
        return job

    # -- what became of it ---------------------------------------------------------------------------------------------

    def _failure(self, job: RemoteJob) -> VendorError | None:
        """The error that the result is; its message and code are what the status says."""
        if job.state == "done":
            return None
        if job.more["wrong"]:
            first = job.more["wrong"][0]
            return VendorError(422, first["type"], first["msg"], detail=job.more["wrong"])
        usual = {"refused": "content_policy_violation", "cancelled": "client_cancelled"}.get(
            job.state, "internal_server_error"
        )
        named = "" if job.state == "cancelled" else job.more.get("code") or job.fate.code
        code = named or usual
        if code in REQUEST_ERRORS:
            return VendorError(
                REQUEST_ERRORS[code], code, job.fate.message or code.replace("_", " ").capitalize()
            )
        status, retryable = MODEL_ERRORS.get(code, (422, False))
        said = job.fate.message or {
            "content_policy_violation": "The content was flagged by a content checker.",
            "no_media_generated": "No media was generated by the model.",
        }.get(code, code.replace("_", " ").capitalize())  # fmt: skip
        detail = [
            {"loc": ["body"], "msg": said, "type": code, "ctx": {}, "input": job.body, "url": page(code)}
        ]
        return VendorError(status, code, said, detail=detail, retryable=retryable)

    def end(self, job: RemoteJob, how: str) -> None:
        """Of a request whose every file is withheld nothing is made: `no_media_generated`."""
        if how == "done" and job.fate.filtered and job.fate.filtered >= self.samples(job):
            job.more["code"], how = "no_media_generated", "failed"
        super().end(job, how)

    def _model(self, job: RemoteJob) -> Model:
        return MODELS.get(job.more["endpoint"], Model({}, gives=("seed",)))

    def samples(self, job: RemoteJob) -> int:
        return int(job.body.get("num_images", 1)) if self._model(job).makes == "images" else 1

    def seconds(self, job: RemoteJob) -> float:
        return self._model(job).seconds(job.body)

    def sounds(self, job: RemoteJob) -> bool:
        return self._model(job).sounds(job.body)

    def media_type(self, job: RemoteJob) -> str:
        return "image/png" if self._model(job).makes == "images" else "video/mp4"

    def _output(self, job: RemoteJob) -> Any:
        if "output" in job.fate.more:
            return job.fate.more["output"]
        model = self._model(job)
        files = [{"url": url, "content_type": self.media_type(job)} for url in job.outputs]
        extra = {
            "seed": job.body.get("seed") or self.jobs.index(job) + 1, "duration": self.seconds(job),
            "prompt": job.body.get("prompt", ""),
            "actual_prompt": job.body.get("prompt", ""), "has_nsfw_concepts": [False] * len(files),
            "timings": {"inference": self._took(job)},
        }  # fmt: skip
        given = {name: extra[name] for name in model.gives}
        width, height = self.size
        if model.makes == "images":
            return {"images": [{**file, "width": width, "height": height} for file in files], **given}
        length = len(self._files[files[0]["url"].partition("?")[0].rpartition("/")[2]][0])
        return {"video": {**files[0], "file_name": "output.mp4", "file_size": length}, **given}

    def _billed(self, job: RemoteJob) -> dict[str, str]:
        units = job.fate.more.get("units", self._units(job.more["endpoint"], job))
        return (
            {}
            if units is None
            else {"X-Fal-Billable-Units": f"{units:g}" if isinstance(units, (int, float)) else str(units)}
        )

    def _units(self, endpoint: str, job: RemoteJob) -> float:
        unit = PRICES.get(endpoint, (0, "images" if self._model(job).makes == "images" else "seconds"))[1]
        if unit == "megapixels":
            return megapixels(job.body) * len(job.outputs)
        return self.seconds(job) if unit == "seconds" else float(len(job.outputs))

    def _took(self, job: RemoteJob) -> float:
        return (self.now() if job.ended is None else job.ended) - job.created

    def _logs(self, job: RemoteJob) -> list[dict[str, Any]]:
        lines = job.fate.more.get("logs", [f"look {number + 1}" for number in range(job.looked)])
        return [
            {"timestamp": self.stamp(job.created), "level": "INFO", "source": "USER", "message": line}
            for line in lines
        ]

    # -- inputs --------------------------------------------------------------------------------------------------------

    def _problems(self, endpoint: str, body: dict[str, Any]) -> list[Problem]:
        return MODELS[endpoint].problems(body, where=("body",)) if endpoint in MODELS else []

    # -- the platform API ----------------------------------------------------------------------------------------------

    @on("GET", "/v1/models/pricing", "pricing")
    def pricing(self, ask: Ask) -> Answer:
        """Unit prices, of up to 50 endpoints, `prices_per_page` at a time."""
        number, size = page_of(ask.query.get("cursor")), self.prices_per_page
        asked = self._priced(endpoints_in(ask))
        prices = [
            {
                "endpoint_id": one,
                "unit_price": self.prices[one][0],
                "unit": self.prices[one][1],
                "currency": "USD",
            }
            for one in asked[(number - 1) * size : number * size]
        ]
        more = len(asked) > number * size
        return Answer(
            json={"prices": prices, "next_cursor": cursor(number + 1) if more else None, "has_more": more}
        )

    @on("POST", "/v1/models/pricing/estimate", "estimate")
    def estimate(self, ask: Ask) -> Answer:
        """What so many units cost, or so many calls: a call is taken for five units, where fal takes its history."""
        body = self.body_of(ask)
        amounts = {"unit_price": ("unit_quantity", 1), "historical_api_price": ("call_quantity", 5)}
        if body.get("estimate_type") not in amounts or not isinstance(body.get("endpoints"), dict):
            raise VendorError(400, "bad_request", "estimate_type or endpoints is wrong")
        name, units = amounts[body["estimate_type"]]
        total = 0.0
        for endpoint in self._priced(list(body["endpoints"])):
            given = body["endpoints"][endpoint]
            quantity = given.get(name) if isinstance(given, dict) else None
            if not isinstance(quantity, (int, float)) or isinstance(quantity, bool) or quantity <= 0:
                raise VendorError(400, "bad_request", f"{name} of {endpoint} has to be a positive number")
            total += self.prices[endpoint][0] * quantity * units
        return Answer(
            json={"estimate_type": body["estimate_type"], "total_cost": round(total, 6), "currency": "USD"}
        )

    def _priced(self, endpoints: list[str]) -> list[str]:
        if not 1 <= len(endpoints) <= 50:
            raise VendorError(400, "bad_request", "Name 1 to 50 endpoints")
        unknown = [endpoint for endpoint in endpoints if endpoint not in self.prices]
        if unknown:
            raise VendorError(404, "not_found", f"No price for {', '.join(unknown)}")
        return endpoints

    @on("GET", "/v1/models/requests/by-endpoint", "find")
    def requests_by_endpoint(self, ask: Ask) -> Answer:
        """Requests of the last 24 hours or since `start`, the one that ended last first; open ones before it."""
        endpoints = endpoints_in(ask)
        limit, number = ask.query.get("limit", "50"), page_of(ask.query.get("cursor"))
        if not 1 <= len(endpoints) <= 50 or not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise VendorError(400, "bad_request", "Name 1 to 50 endpoints, and a limit of 1 to 100")
        start, end = (
            moment_of(ask.query.get("start"), self.now() - 86400),
            moment_of(ask.query.get("end"), self.now() + 1),
        )
        asked = ask.query

        def wanted(job: RemoteJob) -> bool:
            if job.more["endpoint"] not in endpoints or not start <= job.created < end:
                return False
            if not (job.over or self.lists_open) or asked.get("request_id", job.id) != job.id:
                return False
            return asked.get("status", self._outcome(job)) == self._outcome(job)

        found = [job for job in self.jobs if wanted(job)]
        found.sort(
            key=lambda job: (float("inf") if job.ended is None else job.ended, job.created), reverse=True
        )
        first = (number - 1) * int(limit)
        more = len(found) > first + int(limit)
        payloads = "payloads" in ask.query.get("expand", "").split(",")
        return Answer(json={
            "items": [self._listed(job, payloads) for job in found[first : first + int(limit)]], "has_more": more,
            "next_cursor": cursor(number + 1) if more else None,
        })  # fmt: skip

    def _outcome(self, job: RemoteJob) -> str:
        if not job.over:
            return "open"
        failure = self._failure(job)
        return "success" if failure is None else "user_error" if failure.status < 500 else "error"

    def _listed(self, job: RemoteJob, payloads: bool) -> dict[str, Any]:
        said = {"request_id": job.id, "endpoint_id": job.more["endpoint"], "sent_at": self.stamp(job.created)}
        if job.state != "queued":
            said["started_at"] = self.stamp(job.created)
        if job.ended is not None:
            failure = self._failure(job)
            said |= {
                "ended_at": self.stamp(job.ended), "duration": self._took(job),
                "status_code": 200 if failure is None else failure.status,
            }  # fmt: skip
        if payloads:
            said["json_input"] = job.body
            if job.over:
                said["json_output"] = self._payload(job)
        return said

    # -- webhooks ------------------------------------------------------------------------------------------------------

    @on("GET", "/.well-known/jwks.json", "jwks")
    def jwks(self, ask: Ask) -> Answer:
        """The key that deliveries are signed with."""
        x = base64.urlsafe_b64encode(self.public_key).decode().rstrip("=")
        return Answer(json={"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "test", "x": x}]})

    @property
    def _private_key(self) -> Ed25519PrivateKey:
        with needing("cryptography", "A webhook of fal's, which is signed,", "webhooks"):
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.signing).digest())

    @property
    def public_key(self) -> bytes:
        """Raw bytes of the Ed25519 key that webhooks are signed with."""
        return self._private_key.public_key().public_bytes_raw()

    def signed(self, job: RemoteJob, *, at: float | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body of a job's delivery, as sent `at` (seconds since 1970; default: now).

        Ed25519 over request id, user id, timestamp and the body's SHA-256 in hex, joined by newlines; the signature in hex.
        """
        body = json.dumps(self._delivery(job)).encode()
        stamp = str(int(self.now() if at is None else at))
        message = "\n".join((job.id, "test-user", stamp, hashlib.sha256(body).hexdigest())).encode()
        return {
            "Content-Type": "application/json", "X-Fal-Webhook-Request-Id": job.id, "X-Fal-Webhook-User-Id": "test-user",
            "X-Fal-Webhook-Timestamp": stamp, "X-Fal-Webhook-Signature": self._private_key.sign(message).hex(),
        }, body  # fmt: skip

    def deliver(self, job: RemoteJob, url: str | None = None) -> int:
        """POST it to `url`, or to where the submit said; gives the status of the reply."""
        headers, body = self.signed(job)
        return self.post(url or job.more["webhook"], headers, body)

    def _delivery(self, job: RemoteJob) -> dict[str, Any]:
        if not job.over:
            self.end(job, job.fate.ending)
        failure = self._failure(job)
        said = {"request_id": job.id, "gateway_request_id": job.more["gateway"], "status": "OK" if failure is None else "ERROR",
                "payload": self._payload(job)}  # fmt: skip
        return said if failure is None else {**said, "error": f"Invalid status code: {failure.status}"}

    def _payload(self, job: RemoteJob) -> Any:
        failure = self._failure(job)
        if failure is None:
            return self._output(job)
        return self.error(failure.status, failure.code, failure.message, **failure.more).json

    def _uuid(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.new_id("fal")))
