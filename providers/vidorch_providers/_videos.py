"""The `/v1/videos` protocol in its own words: what a job says of itself, and how a body becomes a form. Sources: see `openai`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from vidorch.contract import LookFor, RemoteJob
from vidorch.errors import VidorchError
from vidorch.http import Part, Reply
from vidorch.mapping import prompt_of

__all__ = [
    "CANCELLED", "DONE", "FAILED", "QUEUED", "EarlierJob", "File", "is_like", "links_of", "listed", "parts_of", "timings_of",
    "video_in", "wanted_pause", "word_of",
]  # fmt: skip

_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "video/mp4": "mp4",
             "video/quicktime": "mov", "video/webm": "webm", "audio/mpeg": "mp3", "audio/wav": "wav"}  # fmt: skip
QUEUED = frozenset({"queued", "pending", "submitted", "not_started", "starting"})
RUNNING = frozenset({"in_progress", "processing", "running"})
DONE = frozenset({"completed", "succeeded", "success", "succeed", "done"})
FAILED = frozenset({"failed", "failure", "error", "expired"})
CANCELLED = frozenset({"cancelled", "canceled", "deleted"})


class File:
    """A file that becomes a part of the form."""

    def __init__(self, content: Path | bytes, media_type: str, field: str) -> None:
        self.content = content
        self.media_type = media_type
        self.name = f"{field}.{_SUFFIXES.get(media_type, 'bin')}"


class EarlierJob(dict[str, str]):
    """An earlier job, named where a file could stand."""


def parts_of(body: Mapping[str, Any]) -> list[Part]:
    """A body as the fields of a form: what is nested is written as JSON."""
    parts = []
    for name, value in body.items():
        for one in value if isinstance(value, list) and value and isinstance(value[0], File) else [value]:
            if isinstance(one, File):
                parts.append(Part(name, one.content, one.name, one.media_type))
            elif isinstance(one, bool):
                parts.append(Part(name, "true" if one else "false"))
            elif isinstance(one, (dict, list)):
                parts.append(Part(name, json.dumps(one)))
            elif one is not None:
                parts.append(Part(name, str(one)))
    return parts


def video_in(reply: Reply) -> dict[str, Any] | None:
    """The job in a reply, whatever its status; None where it holds none."""
    try:
        body = reply.json()
    except VidorchError:
        return None
    return body if isinstance(body, dict) and "status" in body and "id" in body else None


def listed(video: Mapping[str, Any]) -> RemoteJob:
    """A job of the list, for people."""
    word = word_of(video)
    states = {
        "queued": QUEUED,
        "running": RUNNING,
        "done": DONE,
        "failed": FAILED,
        "cancelled": CANCELLED,
    }
    created, expires = video.get("created_at"), video.get("expires_at")
    return RemoteJob(
        str(video["id"]), word, next((state for state, words in states.items() if word in words), ""),
        float(created) if isinstance(created, (int, float)) else None,
        float(expires) if isinstance(expires, (int, float)) else None,
        str(video.get("model") or ""), str(video.get("prompt") or ""),
    )  # fmt: skip


def word_of(video: Mapping[str, Any]) -> str:
    """Its status."""
    return str(video.get("status") or "").lower()


def links_of(video: Mapping[str, Any]) -> list[str]:
    """Where a job says that its clips are: `url`, `urls`, or NVIDIA Dynamo's `data[].url`."""
    data = video.get("data")
    named = [one.get("url") for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    given = video.get("urls") or ([video["url"]] if video.get("url") else named)
    return [link for link in given if isinstance(link, str) and link.startswith(("https://", "http://"))]


def wanted_pause(reply: Reply) -> float | None:
    """Seconds until the next look, as the server wants it."""
    try:
        return max(float(reply.headers["openai-poll-after-ms"]) / 1000, 0.0)
    except (KeyError, ValueError):
        return reply.retry_after


def timings_of(video: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by stage."""
    seconds = video.get("inference_time_s")
    return (
        {"run": float(seconds)} if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) else {}
    )


def is_like(video: Mapping[str, Any], job: LookFor) -> bool:
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
    if route is not None and route.task == "extend":
        return True  # its seconds are those of the whole, with the source's
    wanted = job.settings.get("size")
    if isinstance(size, str) and wanted and size != "x".join(map(str, wanted)):
        return False
    try:
        seconds = Decimal(str(video.get("seconds") or video.get("duration_s")))
    except InvalidOperation:
        return True
    asked = job.settings.get("duration")
    return asked is None or seconds == Decimal(str(asked))
