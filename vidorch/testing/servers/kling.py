"""Kling's own API: the line of 2026-07 (a static key, the model in the path) and the legacy line (JWT, `/v1/videos/*`).

Sources, read 2026-11-22: copies of kling.ai/document-api (common information, error codes, callback protocol, account costs,
rate limits), the schemas of docs.comfy.org, ComfyUI's and vercel/ai's clients. There is no cancelling, no progress, no
idempotency key.

Unconfirmed: the reply to `POST /tasks`, what a task that does not exist is answered with (here: left out of the new line,
1203 in the legacy one), which code a used external id gives (here 1201), whether a JWT opens the new line (here it does not),
the HTTP status of 5002, whether amounts in `billing` are strings, the body of a callback in the new line, and whether unknown
fields are refused (here they are).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from vidorch.testing.servers.base import Answer, Ask, ProtocolServer, RemoteJob, VendorError, on
from vidorch.testing.servers.checks import Check, problems
from vidorch.testing.servers.kling_legacy import LEGACY, legacy_problem, legacy_rate
from vidorch.testing.servers.kling_models import (
    CODES,
    MODELS,
    Model,
    contents_rule,
    image_problem,
    shots_rule,
)
from vidorch.testing.servers.kling_tokens import minted, token_problem

__all__ = ["UNIT", "Kling", "refusal"]

F = TypeVar("F", bound=Callable[..., Any])
UNIT = 0.14
"""USD of one prepaid unit, at the list price."""
KEPT = 30 * 24 * 3600.0
"""Seconds that results are kept."""
_OPTIONS = {
    "callback_url": Check(), "external_task_id": Check(least=1),
    "watermark_info": Check("object", fields={"enabled": Check("boolean", required=True)}),
}  # fmt: skip
_USUAL = {
    400: 1201,
    401: 1002,
    403: 1103,
    404: 1203,
    405: 1202,
    429: 1302,
    500: 5000,
    502: 5001,
    503: 5001,
    504: 5002,
}


def refusal(code: int, message: str = "") -> VendorError:
    """An error of Kling's, with its HTTP status: `server.next(rejected=refusal(1102))`."""
    status, usual = CODES[code]
    return VendorError(status, str(code), message or usual)


def _each(method: str, suffix: str, op: str) -> Callable[[F], F]:
    """Mark the handler of all legacy endpoints."""

    def mark(handler: F) -> F:
        for kind in LEGACY:
            handler = on(method, f"/v1/videos/{kind}{suffix}", op)(handler)
        return handler

    return mark


class Kling(ProtocolServer):
    """Both lines of the API on one account.

    Args:
        key: of the new line; the legacy one takes it too. access_key, secret_key: what JWTs are made of.
        units: prepaid; at 0 a submit is answered with 1102. None: tasks are paid in cash. slots: tasks at once; a further one is
            answered with 1303. A task holds its slot until a poll has found its end.
        source_seconds: how long every video is that is sent in; the server never fetches one.
    """

    provider: ClassVar[str] = "kling"
    sends_webhooks: ClassVar[bool] = True
    key_variable: ClassVar[str] = "KLINGAI_API_KEY"

    def __init__(
        self, *, access_key: str = "test-access", secret_key: str = "test-secret", units: float | None = 1000.0,  # noqa: S107
        slots: int = 20, source_seconds: float = 5.0, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.access_key = access_key
        self.secret_key = secret_key
        self.units = units
        self.slots = slots
        self.source_seconds = source_seconds

    def token(self, *, lives: float = 1800, starts: float = -5) -> str:
        """A JWT as the legacy line takes it, `lives` and `starts` in seconds from now."""
        now = int(self.now())
        return minted(self.access_key, self.secret_key, expires=now + lives, starts=now + starts)

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """`{code, message, request_id}`."""
        number = int(code) if code else _USUAL.get(status, 5000)
        return Answer(404 if status == 405 else status, self._said(number, message))

    def usual_code(self, status: int) -> str:
        return str(_USUAL.get(status, 5000))

    def _said(self, code: int, message: str) -> dict[str, Any]:
        return {"code": code, "message": message, "request_id": self.new_id("request")}

    def _good(self, data: Any) -> Answer:
        return Answer(json={**self._said(0, "SUCCEED"), "data": data})

    # -- who asks -----------------------------------------------------------------------------------------------------

    def authorized(self, ask: Ask) -> bool:
        given = ask.headers.get("authorization", "")
        if not given:
            raise refusal(1001)
        scheme, _, token = given.partition(" ")
        if scheme == "Bearer" and token == self.key:
            return True
        if scheme != "Bearer" or not ask.path.startswith(("/v1/", "/account/")):
            raise refusal(1002)
        if code := token_problem(token, self.access_key, self.secret_key, now=self.now()):
            raise refusal(code)
        return True

    # -- the line of 2026-07 --------------------------------------------------------------------------------------------

    @on("POST", "/text-to-video/{model}", "submit")
    @on("POST", "/image-to-video/{model}", "submit")
    @on("POST", "/omni-video/{model}", "submit")
    @on("POST", "/motion-control/{model}", "submit")
    def create(self, ask: Ask) -> Answer:
        """A task of the model in the path."""
        endpoint = ask.path.split("/")[1]
        model = MODELS[endpoint].get(ask.params["model"])
        if model is None:
            raise refusal(1203, f"The model {ask.params['model']} is not served at /{endpoint}.")
        body = self._json(ask)
        self._must_be_right(endpoint, ask.params["model"], model, body)
        seconds = self._length(endpoint, body)
        rate = self._rate(model, body)
        options = body.get("options", {})
        job = self._take(ask, body, options.get("external_task_id"), seconds, rate * seconds)
        job.more |= {
            "endpoint": endpoint, "model": ask.params["model"], "callback_url": options.get("callback_url"),
            "watermark": options.get("watermark_info", {}).get("enabled", False),
            "sound": _sounds(model, body),
        }  # fmt: skip
        return self._good(self._task(job))

    @on("GET", "/tasks", "poll")
    def retrieve(self, ask: Ask) -> Answer:
        """The tasks of some ids, or of some external ids."""
        given = {name: ask.query[name] for name in ("task_ids", "external_task_ids") if ask.query.get(name)}
        if len(given) != 1:
            raise refusal(1201, "one of task_ids and external_task_ids is required")
        ((name, ids),) = given.items()
        wanted = ids.split(",")
        with self.lock:
            found = [
                job
                for job in self._new_ones()
                if (job.id if name == "task_ids" else job.more["external"]) in wanted
            ]
        return self._good([self._task(self.look(job)) for job in found])

    @on("POST", "/tasks", "find")
    def listing(self, ask: Ask) -> Answer:
        """Tasks between two times (ms), the newest first, page after page."""
        body = self._json(ask)
        whole = Check("integer", least=0)
        states = Check("list", items=Check(choices=("submitted", "processing", "succeeded", "failed")))
        filters = {"status": states, "product_type": Check("list", items=Check(choices=tuple(MODELS)))}
        self._refuse(
            body,
            {
                "start_time": whole, "end_time": whole, "cursor": Check(), "filters": Check("object", fields=filters),
                "limit": Check("integer", least=1, most=500),
            },
        )  # fmt: skip
        wanted, after, limit = body.get("filters", {}), body.get("cursor", ""), body.get("limit", 500)
        with self.lock:
            jobs = [
                job
                for job in reversed(self._new_ones())
                if body.get("start_time", 0) <= job.created * 1000 <= body.get("end_time", float("inf"))
                and self._status(job) in wanted.get("status", [self._status(job)])
                and job.more["endpoint"] in wanted.get("product_type", [job.more["endpoint"]])
                and (not after or job.id < after)
            ]
        page = jobs[:limit]
        cursor = page[-1].id if len(jobs) > limit else ""
        return self._good({"tasks": [self._task(job) for job in page], "next_cursor": cursor})

    def _new_ones(self) -> list[RemoteJob]:
        return [job for job in self.jobs if not job.path.startswith("/v1/")]

    def _must_be_right(self, endpoint: str, name: str, model: Model, body: dict[str, Any]) -> None:
        by_text = endpoint == "text-to-video" and "contents" not in body
        fields = {
            "settings": Check("object", fields=model.settings),
            "options": Check("object", fields=_OPTIONS),
        }
        fields["prompt" if by_text else "contents"] = Check("string" if by_text else "list", required=True)
        self._refuse(body, fields)
        contents = [{"type": "prompt", "text": body["prompt"]}] if by_text else body["contents"]
        why = contents_rule(
            endpoint, model, contents, image=lambda given: image_problem(given, model), video=_video
        )
        if why:
            raise refusal(1201, why.replace("contents[0].text", "prompt") if by_text else why)
        settings, options = body.get("settings", {}), body.get("options", {})
        videos = [item for item in contents if item["type"] in ("feature_video", "base_video")]
        if settings.get("audio") == "original" and endpoint == "omni-video" and not videos:
            raise refusal(1201, "settings.audio is original without a video")
        refused = [
            field for field in ("callback_url", "external_task_id") if field in options and model.quiet
        ]
        if refused:
            raise refusal(1201, f"options.{refused[0]} is not supported by {name}")
        words = next((item["text"] for item in contents if item["type"] == "prompt"), "")
        shots = name.startswith("kling-3.0") and settings.get("multi_shot", True)
        if shots and (why := shots_rule(words, settings.get("duration", 5))):
            raise refusal(1201, why)
        self._check_callback(options.get("callback_url"))

    def _length(self, endpoint: str, body: dict[str, Any]) -> float:
        edits = any(item["type"] == "base_video" for item in body.get("contents", ()))
        if edits or endpoint == "motion-control":
            return self.source_seconds
        return float(body.get("settings", {}).get("duration", 5))

    def _rate(self, model: Model, body: dict[str, Any]) -> float:
        resolution = body.get("settings", {}).get("resolution", "720p")
        videos = any(item["type"] in ("feature_video", "base_video") for item in body.get("contents", ()))
        if videos and resolution in model.video_rates:
            return model.video_rates[resolution]
        return model.rates[resolution][_sounds(model, body)]

    def _task(self, job: RemoteJob) -> dict[str, Any]:
        task: dict[str, Any] = {
            "id": job.id, "status": self._status(job), "create_time": int(job.created * 1000),
            "update_time": int((job.ended or job.created) * 1000), "external_id": job.more["external"] or "",
        }  # fmt: skip
        if task["status"] == "succeeded":
            task["outputs"] = [{"type": "video", **video} for video in self._videos(job)]
            task["billing"] = self._billing(job)
        elif task["status"] == "failed":
            task |= {"message": self._reason(job), "billing": []}
        return task

    def _billing(self, job: RemoteJob) -> list[dict[str, str]]:
        if job.more["units"] is not None:
            return [{"charge_type": "unit", "amount": f"{job.more['units']:g}", "package_type": "video"}]
        amount = f"{job.more['dollars']:g}"
        return [{"charge_type": "cash", "amount": amount, "currency": "USD", "list_price": amount}]

    # -- the legacy line ----------------------------------------------------------------------------------------------

    @_each("POST", "", "submit")
    def create_legacy(self, ask: Ask) -> Answer:
        """A task of the endpoint in the path."""
        kind, body = ask.path.removeprefix("/v1/videos/"), self._json(ask)
        code, why = legacy_problem(kind, body, image=lambda given: image_problem(given, _OLD), video=_video)
        if code:
            raise refusal(code, why)
        self._check_callback(body.get("callback_url"))
        parent = self._parent(body)
        seconds = self._legacy_length(kind, body, parent)
        billed = 5.0 if kind == "video-extend" else seconds
        job = self._take(ask, body, body.get("external_task_id"), seconds, legacy_rate(kind, body) * billed)
        job.more |= {
            "endpoint": kind, "callback_url": body.get("callback_url"), "parent": parent, "sound": body.get("sound") == "on",
            "watermark": body.get("watermark_info", {}).get("enabled", False),
        }  # fmt: skip
        return self._good(self._legacy_task(job))

    @_each("GET", "/{id}", "poll")
    def retrieve_legacy(self, ask: Ask) -> Answer:
        """One task, by its id or external id, and only at the endpoint that made it."""
        made_at, _, wanted = ask.path.rpartition("/")
        with self.lock:
            job = next(
                (
                    job
                    for job in self.jobs
                    if job.path == made_at and wanted in (job.id, job.more["external"])
                ),
                None,
            )
        if job is None:
            raise refusal(1203, "Task not found")
        return self._good(self._legacy_task(self.look(job)))

    @_each("GET", "", "find")
    def listing_legacy(self, ask: Ask) -> Answer:
        """Tasks of one endpoint, the newest first."""
        page = _between(ask.query.get("pageNum", "1"), "pageNum", 1000)
        size = _between(ask.query.get("pageSize", "30"), "pageSize", 500)
        with self.lock:
            jobs = [job for job in reversed(self.jobs) if job.path == ask.path]
        return self._good([self._legacy_task(job) for job in jobs[(page - 1) * size : page * size]])

    @on("GET", "/account/costs", "account")
    def costs(self, ask: Ask) -> Answer:
        """Prepaid packs that were bought between two times (ms)."""
        times = [ask.query.get(name, "") for name in ("start_time", "end_time")]
        if not all(time.isdigit() for time in times):
            raise refusal(1201, "start_time and end_time are required, in milliseconds")
        packs = []
        if self.units is not None:
            with self.lock:
                spent = sum(job.more["units"] or 0 for job in self.jobs if job.state == "done")
            month = int(KEPT * 1000)
            now = int(self.now() * 1000)
            packs = [{
                "resource_pack_name": "Video", "resource_pack_id": "pack-1", "resource_pack_type": "decreasing_total",
                "total_quantity": self.units + spent, "remaining_quantity": self.units, "purchase_time": now - month,
                "effective_time": now - month, "invalid_time": now + month, "status": "online" if self.units > 0 else "runOut",
            }]  # fmt: skip
            name = ask.query.get("resource_pack_name", "Video")
            packs = [
                pack for pack in packs if int(times[0]) <= now - month <= int(times[1]) and name == "Video"
            ]
        return self._good({"code": 0, "msg": "", "resource_pack_subscribe_infos": packs})

    def _parent(self, body: dict[str, Any]) -> RemoteJob | None:
        """The task that made the video which is named by its id."""
        video_id = body.get("video_id") or body.get("input", {}).get("video_id")
        if video_id is None:
            return None
        with self.lock:
            for job in self.jobs:
                if (
                    job.state == "done"
                    and video_id == f"{job.id}-video"
                    and self.now() - (job.ended or 0) < KEPT
                ):
                    return job
        raise refusal(1201, "video_id is not that of a video of the last 30 days")

    def _legacy_length(self, kind: str, body: dict[str, Any], parent: RemoteJob | None) -> float:
        if kind == "video-extend" and parent is not None:
            if self.seconds(parent) + 5 > 180:
                raise refusal(1201, "the video would be longer than 3 minutes")
            return self.seconds(parent) + 5
        if parent is not None:
            return self.seconds(parent)
        edits = any(item.get("refer_type", "base") == "base" for item in body.get("video_list", []))
        if edits or kind in ("motion-control", "lip-sync", "avatar/image2video"):
            return self.source_seconds
        return float(body.get("duration", "5"))

    def _legacy_task(self, job: RemoteJob) -> dict[str, Any]:
        info: dict[str, Any] = {"external_task_id": job.more["external"] or ""}
        if parent := job.more.get("parent"):
            info["parent_video"] = {name: self._videos(parent)[0][name] for name in ("id", "url", "duration")}
        status = {"succeeded": "succeed"}.get(self._status(job), self._status(job))
        task: dict[str, Any] = {
            "task_id": job.id, "task_status": status, "task_info": info, "created_at": int(job.created * 1000),
            "updated_at": int((job.ended or job.created) * 1000),
        }  # fmt: skip
        if status == "succeed":
            task["task_result"] = {"videos": self._videos(job)}
            task["final_unit_deduction"] = f"{job.more['dollars'] / UNIT:.4g}"
            task["watermark_info"] = {"enabled": job.more["watermark"]}
        elif status == "failed":
            task |= {"task_status_msg": self._reason(job), "final_unit_deduction": "0"}
        return task

    # -- callbacks ----------------------------------------------------------------------------------------------------

    def webhook_of(self, job: RemoteJob) -> str | None:
        """Where the task was asked to be told to."""
        url = job.more.get("callback_url")
        return None if url is None else str(url)

    def callback(self, job: RemoteJob) -> dict[str, Any]:
        """What is posted to a callback URL when a task changes: the task as it stands. Nothing signs it."""
        return self._legacy_task(job) if job.path.startswith("/v1/") else self._task(job)

    def deliver(self, job: RemoteJob, url: str | None = None) -> int:
        """Post the callback of a job, and give the status that it was answered with.

        Args:
            url: default: the one that the task was made with.

        Raises:
            ValueError: there is no URL. OSError: nobody answers.
        """
        url = url or job.more["callback_url"]
        if not url or not url.startswith(("http://", "https://")):
            raise ValueError("The task was made without callback_url, and none is given.")
        return self.post(url, {"Content-Type": "application/json"}, json.dumps(self.callback(job)).encode())

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _take(
        self, ask: Ask, body: dict[str, Any], external: str | None, seconds: float, dollars: float
    ) -> RemoteJob:
        with self.lock:
            if external and any(job.more["external"] == external for job in self.jobs):
                raise refusal(1201, f"external_task_id {external} is already used")
            if self.units is not None and self.units <= 0:
                raise refusal(1102)
            if sum(not job.over for job in self.jobs) >= self.slots:
                raise refusal(1303)
            job = self.take(ask, body, job_id=str(860_000_000_000_000_001 + len(self.jobs)))
            units = None if self.units is None else round(dollars / UNIT, 4)
            job.more |= {
                "external": external,
                "seconds": seconds,
                "dollars": round(dollars, 6),
                "units": units,
            }
            return job

    def end(self, job: RemoteJob, how: str) -> None:
        """End it; only what succeeds is paid for."""
        super().end(job, how)
        if how == "done" and self.units is not None:
            self.units -= job.more["units"] or 0

    def made(self, job: RemoteJob) -> list[str]:
        marks = 2 if job.more["watermark"] else 1
        return [self.put(self.clip(job, 0), expires_at=self.now() + KEPT) for _ in range(marks)]

    def seconds(self, job: RemoteJob) -> float:
        return float(job.more["seconds"])

    def sounds(self, job: RemoteJob) -> bool:
        return bool(job.more["sound"])

    def _videos(self, job: RemoteJob) -> list[dict[str, str]]:
        video = {"id": f"{job.id}-video", "url": job.outputs[0], "duration": f"{self.seconds(job):g}"}
        return [video | ({"watermark_url": job.outputs[1]} if len(job.outputs) > 1 else {})]

    def _status(self, job: RemoteJob) -> str:
        return {"queued": "submitted", "running": "processing", "done": "succeeded"}.get(job.state, "failed")

    def _reason(self, job: RemoteJob) -> str:
        refused = job.state == "refused"
        return job.fate.message or (
            "Failure to pass the risk control system" if refused else "The task failed."
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def _json(self, ask: Ask) -> dict[str, Any]:
        try:
            body = ask.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise refusal(1200, "The body has to be a JSON object.")
        return body

    def _refuse(self, body: dict[str, Any], fields: dict[str, Check]) -> None:
        for found in problems(body, fields):
            raise refusal(1201, f"{found.dotted} {found.message}")

    def _check_callback(self, url: str | None) -> None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise refusal(1201, "callback_url is not a URL")


_OLD = Model({}, image_mb=10)


def _sounds(model: Model, body: dict[str, Any]) -> bool:
    return model.sounds == "always" or body.get("settings", {}).get("audio", "off") != "off"


def _video(given: str) -> str:
    return "" if given.startswith(("http://", "https://")) else "has to be a URL"


def _between(text: str, name: str, most: int) -> int:
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise refusal(1201, f"{name} has to be 1 to {most}")
    return int(text)
