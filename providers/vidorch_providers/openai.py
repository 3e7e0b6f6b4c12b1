"""The `/v1/videos` protocol: what OpenAI defined for Sora, and what vLLM-Omni, SGLang, LiteLLM's proxy and gateways speak now.

OpenAI itself switched it off on 2026-09-24; the catalog's `sora-2` rows are retired. Every other server is reached by an
endpoint's `base_url` (with or without `/v1` at its end) and a catalog row of one's own.

One adapter serves all dialects by sending what the openai package sends, which every server of the protocol has to take: a
multipart form, in which an integer and a string are the same. `options={"body": "json"}` of an endpoint sends JSON to
gateways that take nothing else; the types are then those of the route's field maps.

Sources: the openai 3.54.0 package (resources/videos.py); vLLM-Omni 0.30.0 (entrypoints/openai); SGLang diffusion 0.5.23
(runtime/entrypoints/openai/video_api.py); LiteLLM 1.109.1, all read 2026-11-22. What is not confirmed: whether a failed job
was billed, and whether an unlisted error proves that nothing was accepted; both are left open.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vidorch.contract import (
    Accepted,
    Cancelled,
    Context,
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
    RemoteJob,
)
from vidorch.errors import ProviderFailed, VidorchError
from vidorch.hosted import Hosted, Said, data_uri, is_public
from vidorch.http import Part, Reply
from vidorch.inputs import Media
from vidorch.mapping import prompt_of

__all__ = ["Openai"]

_PACKAGE = "openai 3.54.0, _exceptions.py and types/video_create_error.py"
_FASTAPI = "vLLM-Omni 0.30.0 and SGLang 0.5.23: FastAPI's {'detail': ...}"
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "video/mp4": "mp4",
             "video/quicktime": "mov", "video/webm": "webm", "audio/mpeg": "mp3", "audio/wav": "wav"}  # fmt: skip
_QUEUED = frozenset({"queued", "pending", "submitted", "not_started", "starting"})
_RUNNING = frozenset({"in_progress", "processing", "running"})
_DONE = frozenset({"completed", "succeeded", "success", "succeed", "done"})
_FAILED = frozenset({"failed", "failure", "error", "expired"})
_CANCELLED = frozenset({"cancelled", "canceled"})
GONE_AFTER = 60.0
"""Seconds for which a server has to say that it knows no such job before that is believed."""


class Openai(Hosted):
    """Speaks `/v1/videos`."""

    name = "openai"
    title = "The video server"
    url = "https://api.openai.com/v1"
    sends_files = True
    many_hosts = True
    errors = (
        ErrorRow("moderation_blocked", "Refused", True, False, False, _PACKAGE),
        ErrorRow("content_policy_violation", "Refused", True, False, False, _PACKAGE),
        ErrorRow("sentinel_block", "Refused", True, False, False, "gh:TheSmallHanCat/sora2api#59"),
        ErrorRow(
            "invalid_api_key", "MissingCredentials", True, False, False, _PACKAGE, hint="Check the key."
        ),
        ErrorRow("401", "MissingCredentials", True, False, False, _PACKAGE, hint="Check the key."),
        ErrorRow("403", "Unsupported", True, False, False, _PACKAGE, hint="This key may not use this model."),
        ErrorRow(
            "404", "Unsupported", True, False, False, _PACKAGE, hint="Check base_url and the model's name."
        ),
        ErrorRow(
            "model_not_found", "Unsupported", True, False, False, _PACKAGE, hint="Check the model's name."
        ),
        ErrorRow(
            "insufficient_quota", "OverBudget", True, False, False, _PACKAGE, hint="Fill the account up."
        ),
        ErrorRow(
            "billing_hard_limit_reached",
            "OverBudget",
            True,
            False,
            False,
            _PACKAGE,
            hint="Fill the account up.",
        ),
        ErrorRow("400", "InvalidRequest", True, False, False, _PACKAGE),
        ErrorRow("422", "InvalidRequest", True, False, False, _FASTAPI),
        ErrorRow("429", "Throttled", True, False, True, _PACKAGE),
        ErrorRow("409", "ProviderFailed", False, None, True, _PACKAGE),
        ErrorRow("5*", "ProviderFailed", False, None, True, _PACKAGE),
        ErrorRow("server_error", "ProviderFailed", False, None, True, _PACKAGE),
    )
    """By `error.code` where it is listed here, else by the status of a reply that is an error object of the protocol."""

    def __init__(self) -> None:
        self._deleted: set[str] = set()
        self._missing: dict[str, float] = {}

    # -- the wire -----------------------------------------------------------------------------------------------------

    def base(self, context: Context) -> str:
        """Base URL with `/v1` at its end, as the openai package has it."""
        base = super().base(context)
        return base if re.search(r"/v\d+$", base) else f"{base}/v1"

    def signed(self, context: Context) -> dict[str, str]:
        """`Authorization: Bearer`; nothing for a server of one's own that has no key."""
        if context.secret is None and context.endpoint.base_url is not None:
            return {}
        key = self.secret(context)
        return (
            {"api-key": key}
            if ".openai.azure.com" in self.base(context)
            else {"authorization": f"Bearer {key}"}
        )

    def said(self, reply: Reply) -> Said | None:
        """`{"error": {...}}` or FastAPI's `{"detail": ...}`. LiteLLM wraps the first into the second."""
        try:
            body = reply.json()
        except VidorchError:
            return None
        error = body.get("error", body.get("detail")) if isinstance(body, dict) else None
        if isinstance(error, dict) and isinstance(error.get("error"), dict):
            error = error["error"]
        request_id = reply.headers.get("x-request-id")
        if isinstance(error, dict):
            code, kind = (str(error.get(name) or "") for name in ("code", "type"))
            known = next(
                (word for word in (code, kind) if word and not word.isdigit() and self.row(word)), None
            )
            return Said(known or str(reply.status), str(error.get("message") or ""), code or kind, request_id)
        if isinstance(error, list):
            lines = [
                f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}"
                for one in error
                if isinstance(one, dict)
            ]
            return Said(str(reply.status), "; ".join(lines), "", request_id)
        return Said(str(reply.status), error, "", request_id) if isinstance(error, str) else None

    # -- one job's life -------------------------------------------------------------------------------------------------

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """A file goes as a part of the form; a public URL as `{"image_url": ...}` where the body is JSON."""
        if context.endpoint.options.get("body") == "json":
            link = media.url if is_public(media) else await data_uri(await self.bring(context, media), media)
            return {f"{media.kind}_url": link}
        return _File(await self.bring(context, media), media.media_type or f"{media.kind}/*", field)

    def by_id(self, context: Context, remote_id: str) -> Any:
        """`{"id": ...}`, which a form writes as `video[id]`."""
        return {"id": remote_id} if context.endpoint.options.get("body") == "json" else _Job(remote_id)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST the form, once."""
        assert context.route is not None
        path, body = self._path(context, prepared.body)
        of_a_job = (
            path.count("/") > 1
        )  # what is done with an earlier job takes JSON alone, as the openai package has it
        try:
            if of_a_job or context.endpoint.options.get("body") == "json":
                reply = await self.send(context, path, json=body)
            else:
                reply = await self.send(context, path, parts=list(_parts(body)))
        finally:
            if any(prepared.request.media()):
                await self.tidy(context)
        video = reply.json()
        remote_id = self.id_in(video.get("id") if isinstance(video, dict) else None)
        return Accepted(remote_id, details={"path": "videos"})

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """GET the job. vLLM-Omni answers for a failed one with an HTTP error whose body is the job."""
        reply = await context.http.request(
            "GET", self.at(context, f"videos/{accepted.remote_id}"), headers=self.signed(context)
        )
        video = _video(reply)
        if video is not None and not reply.ok and str(video["id"]) != accepted.remote_id:
            video = None  # an error that has an id and a status of its own
        if video is None:
            error = self.wrong(reply)
            if self._is_missing(context, accepted, reply):
                return self._gone(accepted, error)
            raise error
        self._missing.pop(accepted.remote_id, None)
        status = str(video.get("status") or "").lower()
        if status in _DONE:
            return Done(tuple(self._outputs(context, accepted, video)), timings=_timings(video))
        if status in _FAILED or status in _CANCELLED:
            return self._failed(accepted, video, cancelled=status in _CANCELLED)
        percent = video.get("progress")
        fraction = (
            float(percent) / 100
            if isinstance(percent, (int, float)) and not isinstance(percent, bool)
            else None
        )
        return Progress(
            "queued" if status in _QUEUED else "running", fraction, detail=status, poll_after=_after(reply)
        )

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download the bytes, from `/content` or from where the job says that they are."""
        await context.http.download(output.ref, path, own=[self.base(context)], secret=self.signed(context))

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """DELETE, where that ends what runs: vLLM-Omni (ids begin with `video_gen_`), and endpoints with `{"cancel": True}`.

        A finished job would be deleted with its clip, so it is looked at first. OpenAI deletes finished jobs only, and
        SGLang forgets the job while its work goes on; neither is asked.
        """
        if not (accepted.remote_id.startswith("video_gen_") or context.endpoint.options.get("cancel")):
            return await super().cancel(context, accepted)
        if isinstance(await self.poll(context, accepted), Done | Failed):
            return Cancelled(False, None)
        await self.ask(context, "DELETE", f"videos/{accepted.remote_id}")
        self._deleted.add(accepted.remote_id)
        return Cancelled(True, None)

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        """Read the list, the newest first, back to a minute before the submit."""
        found: list[FoundJob] = []
        async for video in self._listed(context, 100):
            created = video.get("created_at")
            if isinstance(created, (int, float)) and created < job.sent_at - 60:
                break
            if _is_like(video, job):
                found.append(FoundJob(Accepted(str(video["id"]), details={"path": "videos"}), created))
        return found

    async def _listed(self, context: Context, size: int) -> AsyncIterator[dict[str, Any]]:
        """The jobs of the list, the newest first, from at most 20 pages."""
        after = ""
        for _ in range(20):
            page = (await self.ask(context, "GET", f"videos?limit={size}&order=desc{after}")).json()
            data = page.get("data") if isinstance(page, dict) else None
            videos = [one for one in data or () if isinstance(one, dict) and one.get("id")]
            for video in videos:
                yield video
            if not videos or not page.get("has_more"):
                return
            after = f"&after={quote(str(videos[-1]['id']), safe='')}"

    async def list_jobs(self, context: Context, limit: int) -> list[RemoteJob]:
        """The list, page after page."""
        found: list[RemoteJob] = []
        async for video in self._listed(context, min(limit, 100)):
            found.append(_listed(video))
            if len(found) >= limit:
                break
        return found

    async def delete_job(self, context: Context, accepted: Accepted) -> bool:
        """DELETE, once it is seen to be over: vLLM-Omni would end what runs."""
        path = f"videos/{accepted.remote_id}"
        reply = await context.http.request("GET", self.at(context, path), headers=self.signed(context))
        video = _video(reply)
        if video is None or str(video["id"]) != accepted.remote_id:
            if reply.status == 404 and self.said(reply) is not None:
                return False
            raise self.wrong(reply)
        if str(video.get("status") or "").lower() not in _DONE | _FAILED | _CANCELLED:
            raise self.still_at_work(accepted.remote_id)
        return (await self.ask(context, "DELETE", path, well=(404,))).ok

    async def check(self, context: Context) -> Health:
        """List one job: free, and it needs the key."""
        try:
            await self.ask(context, "GET", "videos?limit=1")
        except VidorchError as error:
            return Health(False, str(error))
        return Health(True, f"{self.base(context)} answers and takes the key.")

    # -- in its own words -----------------------------------------------------------------------------------------------

    def _path(self, context: Context, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The route's path with what it names of the body in it (`/v1/videos/{video_id}/remix`), and the rest of the body."""
        assert context.route is not None
        body = dict(given)
        path = re.sub(r"^/?(v\d+/)?", "", context.route.path) or "videos"
        return re.sub(r"\{(\w+)\}", lambda name: quote(str(body.pop(name[1], "")), safe=""), path), body

    def _outputs(self, context: Context, accepted: Accepted, video: Mapping[str, Any]) -> list[Output]:
        links = video.get("urls") or ([video["url"]] if video.get("url") else [])
        expires = video.get("expires_at")
        until = float(expires) if isinstance(expires, (int, float)) else None
        links = [link for link in links if isinstance(link, str) and link.startswith(("https://", "http://"))]
        if not links:
            content = self.at(context, f"videos/{accepted.remote_id}/content")
            count = video.get("num_outputs") or 1
            links = (
                [content] if count == 1 else [f"{content}?variant={number}" for number in range(int(count))]
            )
        return [Output(number, link, expires_at=until) for number, link in enumerate(links)]

    def _failed(self, accepted: Accepted, video: Mapping[str, Any], *, cancelled: bool) -> Failed:
        error = video.get("error")
        error = error if isinstance(error, dict) else {"message": str(error or "")}
        code = str(error.get("code") or error.get("type") or "")
        row = self.row(code) if code and not code.isdigit() else None
        # The status in it speaks of the work, not of the submit, which was taken.
        said = Said(
            code if row is not None and row.error == "Refused" else "server_error",
            str(error.get("message") or ""),
            code,
        )
        typed = self.typed(said, charged=None)
        typed.remote_id = accepted.remote_id
        return Failed(typed, cancelled=cancelled or accepted.remote_id in self._deleted)

    def _is_missing(self, context: Context, accepted: Accepted, reply: Reply) -> bool:
        """Whether a server of one's own knows the job no more. One look proves nothing: a replica may not know it yet."""
        said = self.said(reply)
        if reply.status != 404 or said is None or context.endpoint.base_url is None:
            return False
        if said.message == "Not Found" and not said.shown:  # FastAPI's word for a path, not for a job
            return False
        now = context.clock.now()
        since = self._missing.setdefault(accepted.remote_id, now)
        return accepted.remote_id in self._deleted or now - since >= GONE_AFTER

    def _gone(self, accepted: Accepted, error: VidorchError) -> Failed:
        cancelled = accepted.remote_id in self._deleted
        why = (
            "It was deleted."
            if cancelled
            else "Such servers keep jobs in memory: it was restarted, or the job was deleted."
        )
        return Failed(
            ProviderFailed(
                f"{error.message} {why}", charged=None, provider=self.name, remote_id=accepted.remote_id
            ),
            cancelled=cancelled,
        )


class _File:
    """A file that becomes a part of the form."""

    def __init__(self, content: Path | bytes, media_type: str, field: str) -> None:
        self.content = content
        self.media_type = media_type
        self.name = f"{field}.{_SUFFIXES.get(media_type, 'bin')}"


class _Job:
    """An earlier job, named where a file could stand."""

    def __init__(self, remote_id: str) -> None:
        self.remote_id = remote_id


def _parts(body: Mapping[str, Any]) -> list[Part]:
    """A body as the fields of a form: what is nested is written as JSON."""
    parts = []
    for name, value in body.items():
        for one in value if isinstance(value, list) and value and isinstance(value[0], _File) else [value]:
            if isinstance(one, _File):
                parts.append(Part(name, one.content, one.name, one.media_type))
            elif isinstance(one, _Job):
                parts.append(Part(f"{name}[id]", one.remote_id))
            elif isinstance(one, bool):
                parts.append(Part(name, "true" if one else "false"))
            elif isinstance(one, (dict, list)):
                parts.append(Part(name, json.dumps(one)))
            elif one is not None:
                parts.append(Part(name, str(one)))
    return parts


def _video(reply: Reply) -> dict[str, Any] | None:
    """The job in a reply, whatever its status; None where it holds none."""
    try:
        body = reply.json()
    except VidorchError:
        return None
    return body if isinstance(body, dict) and "status" in body and "id" in body else None


def _listed(video: Mapping[str, Any]) -> RemoteJob:
    word = str(video.get("status") or "").lower()
    states = {
        "queued": _QUEUED,
        "running": _RUNNING,
        "done": _DONE,
        "failed": _FAILED,
        "cancelled": _CANCELLED,
    }
    created, expires = video.get("created_at"), video.get("expires_at")
    return RemoteJob(
        str(video["id"]), word, next((state for state, words in states.items() if word in words), ""),
        float(created) if isinstance(created, (int, float)) else None,
        float(expires) if isinstance(expires, (int, float)) else None,
        str(video.get("model") or ""), str(video.get("prompt") or ""),
    )  # fmt: skip


def _after(reply: Reply) -> float | None:
    try:
        return max(float(reply.headers["openai-poll-after-ms"]) / 1000, 0.0)
    except (KeyError, ValueError):
        return reply.retry_after


def _timings(video: Mapping[str, Any]) -> dict[str, float]:
    seconds = video.get("inference_time_s")
    return (
        {"run": float(seconds)} if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) else {}
    )


def _is_like(video: Mapping[str, Any], job: LookFor) -> bool:
    """Whether a job of the list may be the one: equal in whatever both sides name."""
    prompt, size = video.get("prompt"), video.get("size")
    route = job.offer.routes.get(str(job.settings.get("task")))
    source = (job.settings.get("made_from") or {}).get("video")
    told = video.get("remixed_from_video_id")
    if (told or (route is not None and route.path.endswith("/remix"))) and told != source:
        return False
    if isinstance(prompt, str) and prompt != prompt_of(job.settings, route):
        return False
    if video.get("model") and job.offer.vendor_model and video["model"] != job.offer.vendor_model:
        return False
    wanted = job.settings.get("size")
    if isinstance(size, str) and wanted and size != "x".join(map(str, wanted)):
        return False
    try:
        seconds = Decimal(str(video.get("seconds") or video.get("duration_s")))
    except InvalidOperation:
        return True
    asked = job.settings.get("duration")
    return asked is None or seconds == Decimal(str(asked))
