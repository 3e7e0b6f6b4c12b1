"""Google's Interactions API, as far as Omni makes video by it: the part that is the same on the Gemini API and on Vertex.

Sources: the google-genai 3.4.0 and 2.34.0 packages (`_gaos/types/interactions`), Google's pages on Omni and on interactions
(`store=false is incompatible with background=true`), and what was measured against the live API (see `google_models`).

Not confirmed: what is said of a field that Omni has no use for (`seed`, `tools`; here 400), of an id that is well formed
and unknown (here 404), of cancelling what is over and of audio as an input (here 400), what is charged after a cancel.
`stream=true` is not served.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from vidorch.testing.servers.base import Answer, Ask, ProtocolServer, RemoteJob, VendorError
from vidorch.testing.servers.checks import Check, Problem, problems
from vidorch.testing.servers.google_models import (
    NO_VIDEO,
    VIDEO_TOKENS_PER_SECOND,
    Omni,
    decoded,
    duration_of,
)

__all__ = ["Interactions"]

_IMAGES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
_VIDEOS = (
    "video/mp4", "video/mpeg", "video/mpegs", "video/mpg", "video/mov", "video/quicktime", "video/avi", "video/x-flv",
    "video/webm", "video/wmv", "video/3gpp",
)  # fmt: skip
_MEDIA = {"type": Check(required=True), "data": Check(), "uri": Check(), "mime_type": Check(required=True)}
_RESOLUTION = Check(choices=("low", "medium", "high", "ultra_high"))
_CONTENT: dict[str, dict[str, Check]] = {
    "text": {"type": Check(), "text": Check(required=True, least=1)},
    "image": {**_MEDIA, "mime_type": Check(required=True, choices=_IMAGES), "resolution": _RESOLUTION},
    "video": {
        **_MEDIA, "mime_type": Check(required=True, choices=_VIDEOS), "resolution": _RESOLUTION, "name": Check(),
        "processing": Check("any"),
    },
}  # fmt: skip
_FORMAT = {
    "type": Check(required=True, choices=("video",)), "aspect_ratio": Check(choices=("16:9", "9:16")), "resolution": Check(),
    "duration": Check(), "delivery": Check(choices=("inline", "uri")),
    "gcs_uri": Check(rule=lambda uri: "" if uri.startswith("gs://") else "has to start with gs://"),
}  # fmt: skip
_BODY = {
    "model": Check(required=True), "input": Check("any", required=True), "background": Check("boolean"),
    "store": Check("boolean"), "stream": Check("boolean"), "previous_interaction_id": Check(), "response_format": Check("any"),
    "response_modalities": Check("list", items=Check(choices=("text", "image", "audio", "video", "document"))),
    "generation_config": Check("object", fields={
        "video_config": Check("object", fields={"task": Check()}), "temperature": Check("number", least=0, most=2),
        "top_p": Check("number", least=0, most=1), "max_output_tokens": Check("integer", least=1),
    }),
    "safety_settings": Check("list", items=Check("object", fields={
        "type": Check(required=True), "threshold": Check(required=True), "method": Check(),
    })),
    "service_tier": Check(choices=("flex", "standard", "priority", "deferred")), "labels": Check("object"),
    "webhook_config": Check("object", fields={"uris": Check("list", items=Check()), "user_metadata": Check("object")}),
    "system_instruction": Check(),
}  # fmt: skip
_STATUS = {
    "queued": "in_progress",
    "running": "in_progress",
    "done": "completed",
    "refused": "completed",
    "failed": "failed",
}


class Interactions(ProtocolServer):
    """What both surfaces do with an interaction. A fate's `ending` may be any status: "incomplete", "budget_exceeded", ...; its
    `more={"waiting": "queued"}` is the status of an unfinished one instead of "in_progress"; `more={"with_clip": True}` has the
    clip in one that ended otherwise than "done".

    An interaction without `background` is over when it is answered, as the vendor's reply then comes with the clip.
    """

    omni: ClassVar[Mapping[str, Omni]] = {}
    retired_omni: ClassVar[tuple[str, ...]] = ()
    default_delivery: ClassVar[str] = "inline"

    # -- what each surface says for itself ---------------------------------------------------------------------------

    def known_uri(self, uri: str) -> None:
        """Check a URI that is named as an input.

        Raises:
            VendorError: it is none, or nothing is there.
        """
        raise NotImplementedError

    def delivered(self, job: RemoteJob, clip: bytes, gcs_uri: str | None) -> str:
        """Put a clip where a URI leads to it, and give that."""
        raise NotImplementedError

    def format_problem(self, wanted: Mapping[str, Any]) -> str:
        """What is wrong with `delivery` and `gcs_uri` on this surface, or ""."""
        raise NotImplementedError

    # -- the four requests -------------------------------------------------------------------------------------------

    def interact(self, ask: Ask) -> Answer:
        """Take an interaction."""
        body = self.read(ask)
        self._must_be_right(body)
        job = self.take(ask, body, job_id=self.new_id("v1_"))
        if not body.get("background", False):
            self.end(job, job.fate.ending)
        return Answer(json=self.interaction(job))

    def interaction_at(self, ask: Ask) -> Answer:
        """How one stands."""
        job = self.look(self.stored(ask.params["id"]))
        return Answer(json=self.interaction(job, with_input=ask.query.get("include_input") == "true"))

    def cancelled(self, ask: Ask) -> Answer:
        """Cancel one that runs in the background."""
        job = self.stored(ask.params["id"])
        if job.over:
            raise self.wrong(400, "Only background interactions that are still running can be cancelled.")
        job.cancelled = True
        self.end(job, "cancelled")
        return Answer(json=self.interaction(job))

    def deleted(self, ask: Ask) -> Answer:
        """Forget one. Whether its work stops is not confirmed; here it does not matter, as nobody can ask for it again."""
        self.stored(ask.params["id"]).more["deleted"] = True
        return Answer(json={})

    # -- in its own words --------------------------------------------------------------------------------------------

    def wrong(self, status: int, message: str) -> VendorError:
        """An error in the surface's own shape."""
        return VendorError(status, self.usual_code(status), message)

    def stored(self, job_id: str) -> RemoteJob:
        """The interaction of this id.

        Raises:
            VendorError: there is none, or it was deleted or not stored.
        """
        if not job_id.startswith("v1_"):
            raise self.wrong(400, f"Invalid interaction name: interactions/{job_id}")
        job = self.find(job_id)
        if job is None or job.more.get("deleted") or job.body.get("store") is False:
            raise self.wrong(404, f"Interaction {job_id} was not found.")
        return job

    def interaction(self, job: RemoteJob, *, with_input: bool = False) -> dict[str, Any]:
        """The resource. Unfinished it has neither steps nor usage."""
        status = (
            _STATUS.get(job.state, job.state) if job.over else job.fate.more.get("waiting", "in_progress")
        )
        said: dict[str, Any] = {
            "id": job.id, "object": "interaction", "model": job.body["model"], "status": status,
            "created": self.second(job.created), "updated": self.second(job.ended or job.created), "service_tier": "standard",
        }  # fmt: skip
        asked = [{"type": "user_input", "content": _blocks(job.body["input"])}] if with_input else []
        if status == "completed" or (job.over and job.fate.more.get("with_clip")):
            said |= {"role": "model", "steps": [*asked, *self._made_steps(job)], "usage": self._usage(job)}
        elif asked:
            said["steps"] = asked
        if status == "failed":
            said["errors"] = [
                {"code": job.fate.code or "internal", "message": job.fate.message or "An internal error occurred."}
            ]  # fmt: skip
        return said

    def second(self, at: float) -> str:
        """A time as the resource has it: `2026-11-26T01:02:03Z`."""
        return self.stamp(at)[:19] + "Z"

    def omni_seconds(self, job: RemoteJob) -> float:
        """How long its clip is: 10 s unless it was said."""
        return duration_of(_format(job.body).get("duration", "10s")) or 10.0

    def end(self, job: RemoteJob, how: str) -> None:
        super().end(job, how)
        if how != "done" and job.fate.more.get("with_clip"):
            job.outputs = self.made(job)

    def make_omni(self, job: RemoteJob) -> list[str]:
        """Make its clip, unless it is withheld; a clip that is to come inline has no URL."""
        wanted = _format(job.body)
        if job.fate.filtered:
            return []
        clip = self.clip(job, 0)
        if wanted.get("delivery", self.default_delivery) == "uri":
            return [self.delivered(job, clip, wanted.get("gcs_uri"))]
        job.more["inline"] = clip
        return []

    def _made_steps(self, job: RemoteJob) -> list[dict[str, Any]]:
        block: dict[str, Any] = {"type": "video", "mime_type": "video/mp4"}
        if job.outputs:
            block["uri"] = job.outputs[0]
        elif "inline" in job.more:
            block["data"] = base64.b64encode(job.more["inline"]).decode()
        else:
            block = {"type": "text", "text": job.fate.message or NO_VIDEO}
        return [
            {"type": "thought", "signature": "test-signature"},
            {"type": "model_output", "content": [block]},
        ]

    def _usage(self, job: RemoteJob) -> dict[str, Any]:
        blocks = _blocks(job.body["input"])
        words = sum(len(block["text"].split()) for block in blocks if block["type"] == "text")
        images = sum(block["type"] == "image" for block in blocks)
        read = [{"modality": "text", "tokens": words}]
        if images:
            read.append({"modality": "image", "tokens": 124 * images})  # of one image in Google's own example
        wrote = []
        if job.outputs or "inline" in job.more:
            per_second = VIDEO_TOKENS_PER_SECOND[_format(job.body).get("resolution", "720p")]
            wrote.append({"modality": "video", "tokens": round(per_second * self.omni_seconds(job))})
        else:
            wrote.append({"modality": "text", "tokens": len((job.fate.message or NO_VIDEO).split())})
        total_read, total_wrote = (
            sum(int(str(row["tokens"])) for row in read),
            sum(int(str(row["tokens"])) for row in wrote),
        )
        return {
            "input_tokens_by_modality": read, "output_tokens_by_modality": wrote, "total_input_tokens": total_read,
            "total_output_tokens": total_wrote, "total_thought_tokens": 0, "total_cached_tokens": 0, "total_tool_use_tokens": 0,
            "total_tokens": total_read + total_wrote,
        }  # fmt: skip

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, ask: Ask) -> dict[str, Any]:
        """The body as an object.

        Raises:
            VendorError: it is none.
        """
        try:
            body = ask.json()
        except ValueError:
            raise self.wrong(400, "Invalid JSON payload received.") from None
        if not isinstance(body, dict):
            raise self.wrong(400, "Invalid JSON payload received. The root has to be an object.")
        return body

    def _must_be_right(self, body: dict[str, Any]) -> None:
        self._no(problems(body, _BODY))
        model = body["model"]
        if model in self.retired_omni:
            raise self.wrong(
                404, f"Model '{model}' is no longer available. Use gemini-omni-1.1-flash instead."
            )
        if model not in self.omni:
            raise self.wrong(404, f"Model '{model}' was not found.")
        if body.get("stream"):
            raise self.wrong(400, "stream is not served here.")
        if body.get("background") and body.get("store") is False:
            raise self.wrong(400, "store=false is incompatible with background=true.")
        if (before := body.get("previous_interaction_id")) is not None:
            self.stored(before)
        self._format_must_be_right(body, self.omni[model])
        self._input_must_be_right(body, self.omni[model])
        for name, value in body.get("labels", {}).items():
            if not isinstance(value, str) or len(name) > 63 or len(value) > 63 or not name[:1].isalpha():
                raise self.wrong(400, f"Invalid label '{name}'.")

    def _format_must_be_right(self, body: dict[str, Any], model: Omni) -> None:
        given = body.get("response_format", {"type": "video"})
        if isinstance(given, list):
            if len(given) != 1:
                raise self.wrong(400, "response_format has to be one video format.")
            given = given[0]
        self._no(problems(given, _FORMAT, where=("response_format",)))
        if (resolution := given.get("resolution", "720p")) not in model.resolutions:
            raise self.wrong(
                400, f"Invalid value for 'response_format.resolution': '{resolution}' is not supported."
            )
        if "duration" in given:
            seconds = duration_of(given["duration"])
            if seconds is None or (not model.fractions and seconds != int(seconds)):
                raise self.wrong(400, f"Invalid value for 'response_format.duration': '{given['duration']}'.")
            if not model.least <= seconds <= model.most:
                side = f"at least {model.least:g}s" if seconds < model.least else f"at most {model.most:g}s"
                raise self.wrong(400, f"Invalid value for 'response_format.duration': it has to be {side}.")
        if why := self.format_problem(given):
            raise self.wrong(400, f"Invalid value for 'response_format': {why}.")

    def _input_must_be_right(self, body: dict[str, Any], model: Omni) -> None:
        blocks = _blocks(body["input"])
        if not blocks:
            raise self.wrong(400, "Invalid value for 'input': it has to be a string or a list of content.")
        for index, block in enumerate(blocks):
            kind = block.get("type") if isinstance(block, dict) else None
            if kind not in _CONTENT:
                raise self.wrong(400, f"Invalid value for 'input[{index}].type': {kind!r} is not supported.")
            self._no(problems(block, _CONTENT[kind], where=("input", index)))
            if kind != "text":
                self._block_must_be_right(block, index)
        task = body.get("generation_config", {}).get("video_config", {}).get("task")
        if task is not None and task not in model.tasks:
            raise self.wrong(
                400, f"Invalid value for 'generation_config.video_config.task': '{task}' is not supported."
            )
        images = sum(block["type"] == "image" for block in blocks)
        videos = sum(block["type"] == "video" for block in blocks)
        if why := _misfit(task, images, videos, "previous_interaction_id" in body, model):
            raise self.wrong(400, f"Invalid value for 'input': {why}.")

    def _block_must_be_right(self, block: dict[str, Any], index: int) -> None:
        if ("data" in block) == ("uri" in block):
            raise self.wrong(
                400, f"Invalid value for 'input[{index}]': exactly one of data and uri is needed."
            )
        if "uri" in block:
            self.known_uri(block["uri"])
            return
        if not decoded(block["data"]):
            raise self.wrong(400, f"Invalid value for 'input[{index}].data': Base64 decoding failed.")

    def _no(self, found: list[Problem]) -> None:
        if not found:
            return
        first = found[0]
        if first.kind == "unknown":
            raise self.wrong(400, f"Unknown parameter '{first.dotted}'.")
        if first.kind == "missing":
            raise self.wrong(400, f"Missing required parameter '{first.dotted}'.")
        raise self.wrong(400, f"Invalid value for '{first.dotted}': it {first.message}.")


def _format(body: Mapping[str, Any]) -> dict[str, Any]:
    given: Any = body.get("response_format", {})
    wanted: dict[str, Any] = given[0] if isinstance(given, list) else given
    return wanted


def _blocks(given: Any) -> list[Any]:
    """The content of an input: a string, one block, a list of blocks, or a list of steps as the package wraps them."""
    if isinstance(given, str):
        return [{"type": "text", "text": given}] if given else []
    if isinstance(given, dict):
        return [given]
    if not isinstance(given, list):
        return []
    blocks: list[Any] = []
    for item in given:
        if isinstance(item, dict) and item.get("type") == "user_input":
            content = item.get("content", [])
            blocks += content if isinstance(content, list) else [content]
        else:
            blocks.append(item)
    return blocks


def _misfit(task: str | None, images: int, videos: int, follows: bool, model: Omni) -> str:
    """Why these inputs do not suit the task, or ""."""
    if images > model.images or videos > model.videos:
        return f"there are at most {model.images} images and {model.videos} videos"
    if task == "text_to_video" and (images or videos):
        return "text_to_video takes no media"
    if task == "image_to_video" and (videos or images not in (1, 2)):
        return "image_to_video takes one image, or a first and a last one"
    if task == "reference_to_video" and (
        not images + videos or images > model.references or videos > model.references
    ):
        return f"reference_to_video takes up to {model.references} images and {model.references} videos"
    if task in ("edit", "extend", "upscale") and videos != (0 if follows else 1):
        return f"{task} takes one video, or follows an interaction that made one"
    return ""
