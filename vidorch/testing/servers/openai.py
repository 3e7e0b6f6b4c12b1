"""The `/v1/videos` protocol as OpenAI defined it, and as vLLM-Omni and SGLang speak it.

Sources: the openai 3.54.0 package (resources/videos.py, types/), developers.openai.com/api/reference (videos: an edit or an
extension names its source as a file in a form or by its id in JSON), openai/openai-openapi of 2026-08-21, vLLM-Omni 0.30.0
(entrypoints/openai), SGLang diffusion 0.5.23 (multimodal_gen/runtime/entrypoints/openai/video_api.py), read 2026-11-22.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

from vidorch import media
from vidorch.testing.servers.base import Answer, Ask, FormPart, ProtocolServer, RemoteJob, VendorError, on
from vidorch.testing.servers.checks import Check, Problem, problems

__all__ = ["Dialect", "Openai"]

Dialect = Literal["openai", "vllm", "sglang", "dynamo"]

_REFERENCE = Check("object", fields={"file_id": Check(), "image_url": Check()})
_FIELDS: dict[str, dict[str, Check]] = {
    # seconds is a string, and an integer gave 400; size is one of four (the guide of 2026 adds the pro model's two).
    "openai": {
        "prompt": Check(required=True, least=1, most=32_000),
        "model": Check(choices=("sora-2", "sora-2-pro", "sora-2-2025-10-06", "sora-2-2025-12-08", "sora-2-pro-2025-10-06")),
        "seconds": Check(choices=("4", "8", "12", "16", "20")),
        "size": Check(choices=("720x1280", "1280x720", "1024x1792", "1792x1024", "1920x1080", "1080x1920")),
        "input_reference": _REFERENCE,
    },
    "vllm": {
        "prompt": Check(required=True, least=1),
        "model": Check(),
        "seconds": Check(rule=lambda text: "" if text.isdigit() and int(text) > 0 else "has to be a positive integer"),
        "size": Check(rule=lambda text: "" if _pixels(text) else "has to be WIDTHxHEIGHT"),
        "input_reference": Check("any"), "input_references": Check("any"),
        "image_reference": Check(), "video_reference": Check(), "audio_reference": Check(),
        "negative_prompt": Check(), "lora": Check(), "extra_params": Check(), "user": Check(), "aspect_ratio": Check(),
        "quality": Check(choices=("lossless", "high")),
        **{
            name: Check(rule=lambda text: "" if _is_number(text) else "has to be a number")
            for name in (
                "width", "height", "fps", "num_frames", "num_inference_steps", "guidance_scale", "guidance_scale_2",
                "boundary_ratio", "flow_shift", "true_cfg_scale", "seed", "sound_duration", "num_outputs_per_prompt",
                "short_edge",
            )
        },
        "generate_sound": Check(choices=("true", "false", "True", "False")),
    },
    "sglang": {
        "prompt": Check(required=True, least=1),
        "model": Check(),
        "seconds": Check("integer", least=1),
        "size": Check(rule=lambda text: "" if _pixels(text) else "has to be WIDTHxHEIGHT"),
        "input_reference": Check("any"), "reference_url": Check(), "video_reference": Check("any"), "video_url": Check(),
        "video_path": Check(), "negative_prompt": Check(), "output_path": Check(), "task_type": Check(),
        "seed": Check("any"), "enable_teacache": Check("boolean"), "enhance_prompt": Check("boolean"),
        **{name: Check("integer", least=1) for name in ("fps", "num_frames", "width", "height", "num_inference_steps", "n",
                                                         "num_outputs_per_prompt", "output_quality", "output_compression")},
        **{name: Check("number") for name in ("guidance_scale", "guidance_scale_2", "true_cfg_scale", "flow_shift")},
        "diffusers_kwargs": Check("object"), "extra_body": Check("object"), "extra_json": Check("object"),
    },
    "dynamo": {
        "prompt": Check(required=True, least=1), "model": Check(), "seconds": Check("any"), "size": Check(),
        "response_format": Check(choices=("url", "b64_json")), "nvext": Check("object"),
    },
}  # fmt: skip
_CODES = {
    400: "invalid_request_error", 401: "invalid_api_key", 403: "permission_denied", 404: "not_found", 408: "request_timeout",
    409: "conflict", 429: "rate_limit_exceeded",
}  # fmt: skip


MODEL = "mock-sora"
_LAYER = f'''# What `vidorch mock-server --provider openai` serves: Sora as it was, which its vendor has switched off.
[[offer]]
model = "{MODEL}"
endpoint = "openai"
provider = "openai"
family = "mock"
title = "Sora 2, served by a mock"
vendor_model = "sora-2"
as_of = 2026-11-26
variables = ["OPENAI_API_KEY"]
find = "list"
path = "/v1/videos"
price = {{ source = "a mock: nothing is paid", row = [{{ per_second = 0.10 }}] }}
fixed = {{ model = "sora-2" }}

[offer.capabilities]
durations = {{ choices = [4, 8, 12] }}
resolutions = ["720p"]
aspect_ratios = ["16:9", "9:16"]
audio = "on"

[offer.fields]
prompt = {{ to = "prompt" }}
duration = {{ to = "seconds", type = "string" }}
size = {{ to = "size", form = "{{}}x{{}}" }}

[offer.routes.text-to-video]

[offer.routes.image-to-video]
fields.image = {{ to = "input_reference", type = "image" }}
'''


class Openai(ProtocolServer):
    """`/v1/videos`: create, retrieve, list, delete, content, and what only OpenAI had: remix, edits, extensions.

    Args:
        dialect: "openai", "vllm" (form only; a failed job answers GET with its error's status; DELETE cancels), "sglang"
            (integer seconds; no code in errors; `/content` may be elsewhere) or "dynamo" (NVIDIA Dynamo: JSON only, the reply is
            the finished job without an id, and there is nothing else).
        redirects: whether `/content` sends to another host instead of giving the bytes. links: whether the job names a `url`
            and there is no `/content` (400), as with cloud storage behind SGLang. instant: whether a job is done at once.
    """

    provider: ClassVar[str] = "openai"
    key_variable: ClassVar[str] = "OPENAI_API_KEY"

    def __init__(
        self, *, dialect: Dialect = "openai", redirects: bool = False, links: bool = False, instant: bool = False, **options: Any
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.dialect = dialect
        self.redirects = redirects
        self.links = links
        self.fetches_from_itself = not links
        self.instant = instant
        self._gone: set[str] = set()

    def layer(self) -> str:
        """A row for `mock-sora`: no vendor serves this protocol under a model's name of its own any more."""
        return _LAYER if self.dialect == "openai" else ""

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """OpenAI's error object; FastAPI's `detail` in the other two."""
        if self.dialect != "openai":
            return Answer(status, {"detail": more.get("detail", message)})
        kind = more.get("type", "server_error" if status >= 500 else "invalid_request_error")
        said = {"message": message, "type": kind, "param": more.get("param"), "code": code or None}
        return Answer(status, {"error": said}, headers={"x-request-id": self.new_id("req")})

    def usual_code(self, status: int) -> str:
        return _CODES.get(status, "server_error")

    def unauthorized(self, ask: Ask) -> Answer:
        return self.error(401, "invalid_api_key", "Incorrect API key provided.")

    def authorized(self, ask: Ask) -> bool:
        return self.dialect == "sglang" or super().authorized(ask)  # its routes know no keys

    # -- making -------------------------------------------------------------------------------------------------------

    @on("POST", "/v1/videos", "submit")
    def create(self, ask: Ask) -> Answer:
        """A job from a form, or from JSON where the dialect takes it."""
        body, files = self._read(ask)
        self._must_be_right(body, _FIELDS[self.dialect])
        if "input_reference" not in body and any(part.name == "input_reference" for part in files):
            body["input_reference"] = "(file)"
        job = self.take(ask, body, job_id=self._job_id(), files=files)
        if self.instant or self.dialect == "dynamo":
            self.end(job, job.fate.ending)
        return self._whole(job) if self.dialect == "dynamo" else Answer(json=self._video(job))

    def _whole(self, job: RemoteJob) -> Answer:
        if job.state != "done":
            raise VendorError(500, "", job.fate.message or "The worker failed.")
        return Answer(json={
            "object": "video", "model": job.body.get("model"), "status": "completed", "created": int(job.created),
            "data": [{"url": url} for url in job.outputs],
        })  # fmt: skip

    @on("POST", "/v1/videos/edits", "edit")
    def edit(self, ask: Ask) -> Answer:
        """Change a clip by words."""
        return self._made_of_video(
            ask, {"prompt": Check(required=True), "video": Check("any", required=True)}
        )

    @on("POST", "/v1/videos/extensions", "extend")
    def extend(self, ask: Ask) -> Answer:
        """Make a clip longer: `seconds` are added, and the job's are those of the whole."""
        seconds = Check(required=True, choices=("4", "8", "12", "16", "20"))
        return self._made_of_video(
            ask, {"prompt": Check(required=True), "video": Check("any", required=True), "seconds": seconds}
        )

    def _made_of_video(self, ask: Ask, fields: dict[str, Check]) -> Answer:
        self._only_openai()
        body, files = self._read(ask)
        if any(part.name == "video" for part in files):
            body["video"] = "(file)"
        self._must_be_right(body, fields)
        source = self._source(str(body["video"].get("id"))) if isinstance(body["video"], dict) else None
        job = self.take(ask, body, job_id=self._job_id(), files=files)
        length = float(media.probe(files[0].value).duration) if source is None else self.seconds(source)
        job.more["seconds"] = f"{length + float(body.get('seconds', 0)):g}"
        return Answer(json=self._video(job))

    @on("POST", "/v1/videos/{id}/remix", "remix")
    def remix(self, ask: Ask) -> Answer:
        """The same clip by other words."""
        self._only_openai()
        source = self._source(ask.params["id"])
        body = self._json(ask)
        self._must_be_right(body, {"prompt": Check(required=True)})
        job = self.take(ask, {**source.body, **body}, job_id=self._job_id())
        job.more["remixed_from_video_id"] = source.id
        return Answer(json=self._video(job))

    # -- looking ------------------------------------------------------------------------------------------------------

    @on("GET", "/v1/videos/{id}", "poll")
    def retrieve(self, ask: Ask) -> Answer:
        """How a job stands. vLLM-Omni answers for a failed one with its error's status."""
        job = self.look(self._job(ask))
        status = 500 if job.state == "failed" and self.dialect == "vllm" else 200
        return Answer(
            int(job.fate.code) if status == 500 and job.fate.code.isdigit() else status, self._video(job)
        )

    @on("GET", "/v1/videos", "find")
    def listing(self, ask: Ask) -> Answer:
        """Jobs, the newest first."""
        if self.dialect == "dynamo":
            raise VendorError(404, "", "Not Found")
        jobs = [job for job in self.jobs if job.id not in self._gone]
        jobs.sort(key=lambda job: job.created, reverse=ask.query.get("order", "desc") == "desc")
        after = ask.query.get("after")
        if after is not None:
            ids = [job.id for job in jobs]
            jobs = jobs[ids.index(after) + 1 :] if after in ids else []
        limit = int(ask.query.get("limit", "20"))
        page = jobs[:limit]
        return Answer(json={
            "object": "list", "data": [self._video(job) for job in page], "has_more": len(jobs) > limit,
            "first_id": page[0].id if page else None, "last_id": page[-1].id if page else None,
        })  # fmt: skip

    @on("GET", "/v1/videos/{id}/content", "result")
    def content(self, ask: Ask) -> Answer:
        """The bytes, or a redirect to them; 404 while it runs."""
        job = self._job(ask)
        if job.state != "done":
            status = 422 if job.state == "failed" and self.dialect == "vllm" else 404
            raise VendorError(status, "not_ready", "The video is not ready yet.")
        variant = ask.query.get("variant", "0" if self.dialect == "sglang" else "video")
        number = int(variant) if self.dialect == "sglang" and variant.isdigit() else 0
        url = job.outputs[number]
        if self.links:
            raise VendorError(400, "", f"The file was uploaded to {url}")
        if self.redirects:
            return Answer(302, headers={"Location": url})
        return self._file(Ask(ask.op, "GET", url.partition("?")[0], {}, {}, {}, b"", ask.host))

    @on("DELETE", "/v1/videos/{id}", "cancel")
    def delete(self, ask: Ask) -> Answer:
        """OpenAI: finished jobs only. vLLM-Omni: cancels what runs. SGLang: says "deleted", and the work goes on."""
        job = self._job(ask)
        if self.dialect == "openai" and not job.over:
            raise VendorError(409, "conflict", "The video is not finished.")
        if self.dialect == "vllm" and not job.over:
            job.cancelled = True
            self.end(job, "cancelled")
        else:
            self._gone.add(job.id)
        if self.dialect == "sglang":
            return Answer(json={**self._video(job), "status": "deleted"})
        return Answer(json={"id": job.id, "deleted": True, "object": "video.deleted"})

    # -- in its own words -----------------------------------------------------------------------------------------------

    def seconds(self, job: RemoteJob) -> float:
        return float(job.more.get("seconds") or job.body.get("seconds", 4))

    def sounds(self, job: RemoteJob) -> bool:
        return self.dialect == "openai"

    def samples(self, job: RemoteJob) -> int:
        return int(job.body.get("num_outputs_per_prompt", job.body.get("n", 1)))

    def _video(self, job: RemoteJob) -> dict[str, Any]:
        states = {
            "queued": "queued",
            "running": "in_progress",
            "done": "completed",
            "cancelled": "failed",
            "refused": "failed",
        }
        status = states.get(job.state, job.state)
        seconds: Any = job.body.get("seconds", 4 if self.dialect == "sglang" else "4")
        video = {
            "id": job.id, "object": "video", "model": job.body.get("model", "sora-2"), "status": status,
            "progress": round(job.progress * 100), "created_at": int(job.created), "seconds": seconds,
            "size": job.body.get("size", "720x1280"), "prompt": job.body["prompt"],
        }  # fmt: skip
        if job.ended is not None and status == "completed":
            video |= {"completed_at": int(job.ended), "expires_at": int(job.ended) + 3600}
            if self.links:
                video["url"] = job.outputs[0]
        if status == "failed":
            message = job.fate.message or ("cancelled" if job.cancelled else "The job failed.")
            code: Any = job.fate.code or ("moderation_blocked" if job.state == "refused" else "server_error")
            if self.dialect == "vllm":
                code = int(code) if str(code).isdigit() else 500
            video["error"] = (
                {"message": message} if self.dialect == "sglang" else {"code": code, "message": message}
            )
        return video | job.more

    # -- reading --------------------------------------------------------------------------------------------------------

    def _read(self, ask: Ask) -> tuple[dict[str, Any], list[FormPart]]:
        if ask.media_type == "multipart/form-data" and self.dialect != "dynamo":
            parts = ask.form()
            body: dict[str, Any] = {}
            for part in parts:
                if part.filename is None:
                    name, value = _nested(part)
                    body[name] = (
                        body[name] | value
                        if isinstance(body.get(name), dict) and isinstance(value, dict)
                        else value
                    )
            if self.dialect == "sglang":
                body = {name: _number(value, _NUMBERS.get(name)) for name, value in body.items()}
            return body, [part for part in parts if part.filename is not None]
        if self.dialect == "vllm":
            raise VendorError(
                422, "", "", detail=[{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]
            )
        return self._json(ask), []

    def _json(self, ask: Ask) -> dict[str, Any]:
        try:
            body = ask.json()
        except ValueError:
            raise VendorError(
                400, "invalid_json", "We could not parse the JSON body of your request."
            ) from None
        if not isinstance(body, dict):
            raise VendorError(400, "invalid_json", "The body has to be an object.")
        return body

    def _must_be_right(self, body: dict[str, Any], fields: dict[str, Check]) -> None:
        found = problems(body, fields)
        if not found:
            return
        first: Problem = found[0]
        if self.dialect != "openai":
            kind = {"missing": "missing", "unknown": "extra_forbidden"}.get(first.kind, "value_error")
            raise VendorError(422, "", "", detail=[
                {"loc": ["body", *one.where], "msg": one.message, "type": kind, "input": one.given} for one in found
            ])  # fmt: skip
        code = {
            "missing": "missing_required_parameter",
            "unknown": "unknown_parameter",
            "type": "invalid_type",
        }
        raise VendorError(
            400, code.get(first.kind, "invalid_value"), f"Invalid value for '{first.dotted}': {first.message}.",
            param=first.dotted,
        )  # fmt: skip

    def _job(self, ask: Ask) -> RemoteJob:
        return self._known(ask.params["id"])

    def _known(self, job_id: str) -> RemoteJob:
        job = None if self.dialect == "dynamo" else self.find(job_id)
        if job is None or job_id in self._gone:
            raise VendorError(404, "not_found", f"Video with id '{job_id}' not found.")
        return job

    def _source(self, job_id: str) -> RemoteJob:
        job = self._known(job_id)
        if job.state != "done":
            raise VendorError(400, "invalid_value", f"Video '{job_id}' is not completed.", param="video")
        return job

    def _job_id(self) -> str:
        return self.new_id("video_gen_" if self.dialect == "vllm" else "video")

    def _only_openai(self) -> None:
        if self.dialect != "openai":
            raise VendorError(404, "not_found", "Not Found")


_NUMBERS = {
    name: int if check.type == "integer" else float
    for name, check in _FIELDS["sglang"].items()
    if check.type in ("integer", "number")
}
"""What a form's text is read as: FastAPI goes by the type of the field."""


def _nested(part: FormPart) -> tuple[str, Any]:
    """A form's field; `input_reference[image_url]` is how the openai package writes a nested one."""
    name, bracket, inner = part.name.partition("[")
    return (name, {inner.rstrip("]"): part.text}) if bracket else (name, part.text)


def _number(text: Any, kind: type[int | float] | None) -> Any:
    try:
        return text if kind is None else kind(text)
    except (TypeError, ValueError):
        return text


def _pixels(text: str) -> bool:
    width, _, height = text.partition("x")
    return width.isdigit() and height.isdigit() and int(width) > 0 and int(height) > 0


def _is_number(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return not text.startswith(("{", "[", '"'))
