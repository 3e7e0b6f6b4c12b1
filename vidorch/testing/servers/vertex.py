"""Vertex AI ("Gemini Enterprise Agent Platform"), as far as it makes video: Veo 3.1, and Omni by the Interactions API.

Sources: as in `google_models`, `google_interactions` and `google_storage`; the paths are those that google-genai 3.4.0 sends.

What Google does beyond its own pages, and so does this server:
- a length that a model does not make is taken, and its operation fails with code 3 (`judges_late=False`: 400 at once, no
  job). LiteLLM's tests hold such a reply, and several others quote its words.
- an input that is refused is a 400 with a support code (`blocked()` as a fate's `rejected`), or an operation that fails
  with code 3 and the same words (`Fate(ending="failed", code="3", message=google_models.BLOCKED...)`).
- a clip that is withheld is no error: the operation is done, and counts it.

Not confirmed: what is said of an unknown parameter (github.com/BerriAI/litellm/issues/16776 saw one ignored in silence;
here 400, as whoever sends one does not get what they asked for), of an object of Cloud Storage that is not there (400), of
an unknown operation (404), which shape an error has under `/interactions` (the same as elsewhere), and how long operations
are kept (for ever here).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from vidorch.testing.servers.base import Answer, Ask, RemoteJob, VendorError, on
from vidorch.testing.servers.checks import Check, problems
from vidorch.testing.servers.google_interactions import Interactions
from vidorch.testing.servers.google_models import (
    AUDIO_TROUBLE,
    BLOCKED,
    HTTP_OF_RPC,
    OMNI_VERTEX,
    RPC,
    VEO,
    Veo,
    decoded,
)
from vidorch.testing.servers.google_storage import GoogleStorage, gs_parts

__all__ = ["Vertex", "blocked"]

_MODELS = "/projects/{project}/locations/{location}/publishers/google/models/{model}"
_OMNI = "/projects/{project}/locations/{location}/interactions"
_GS = Check(rule=lambda uri: "" if gs_parts(uri) else "has to be a gs:// URI")
_MEDIA = {"bytesBase64Encoded": Check(), "gcsUri": _GS, "mimeType": Check(required=True)}
_REFERENCE = Check(required=True, choices=("asset", "ASSET", "style", "STYLE"))
_INSTANCE = {
    "prompt": Check(least=1), "image": Check("object", fields=_MEDIA), "lastFrame": Check("object", fields=_MEDIA),
    "video": Check("object", fields=_MEDIA),
    "referenceImages": Check("list", least=1, items=Check("object", fields={
        "image": Check("object", required=True, fields=_MEDIA), "referenceType": _REFERENCE,
    })),
    "mask": Check("object", fields={**_MEDIA, "maskMode": Check(choices=("INSERT", "REMOVE", "REMOVE_STATIC", "OUTPAINT"))}),
}  # fmt: skip
_UINT32 = 2**32 - 1
_PARAMETERS = {
    "sampleCount": Check("integer", least=1), "storageUri": _GS, "fps": Check("integer", choices=(24,)),
    "durationSeconds": Check("integer"), "seed": Check("integer", least=0, most=_UINT32), "aspectRatio": Check(),
    "resolution": Check(), "personGeneration": Check(choices=("dont_allow", "disallow", "allow_adult", "allow_all")),
    "pubsubTopic": Check(), "negativePrompt": Check(), "enhancePrompt": Check("boolean"), "generateAudio": Check("boolean"),
    "compressionQuality": Check(choices=("OPTIMIZED", "LOSSLESS", "optimized", "lossless")),
    "resizeMode": Check(choices=("CROP", "PAD", "crop", "pad")),
}  # fmt: skip
_BODY = {
    "instances": Check("list", required=True, least=1, most=1, items=Check("object", fields=_INSTANCE)),
    "parameters": Check("object", fields=_PARAMETERS), "labels": Check("object"),
}  # fmt: skip
_UNSUITED = "Your use case is currently not supported. Please refer to Veo documentation for current feature offerings."


def blocked(code: str = "58061214", what: str = "text") -> VendorError:
    """The refusal of an input: a 400 with one of `google_models.SUPPORT_CODES`. `what` is "text", "image" or "video"."""
    return VendorError(400, "INVALID_ARGUMENT", BLOCKED.format(what=what, code=code))


class Vertex(GoogleStorage, Interactions):
    """Veo's operations, Omni's interactions, a token endpoint and Cloud Storage, all on one origin.

    The id of a Veo job is the name of its operation. A fate that is "refused" withholds all of its clips, `filtered` some;
    "failed" has google.rpc's code as its `code`, by number or by name (13 unless said).

    Args:
        project: the only one that the credential may use. judges_late: see the module.
    """

    provider: ClassVar[str] = "vertex"
    key_variable: ClassVar[str] = "GOOGLE_APPLICATION_CREDENTIALS"  # GOOGLE_API_KEY is read for Gemini, too
    default_key: ClassVar[str] = "ya29.test-token"
    omni = OMNI_VERTEX

    def __init__(self, *, project: str = "test-project", judges_late: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.project = project
        self.judges_late = judges_late

    def variables(self) -> dict[str, str]:
        return {**super().variables(), "GOOGLE_CLOUD_PROJECT": self.project}

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """The same shape everywhere; Cloud Storage's has a list of reasons and no status."""
        if "storage" in more:
            reasons = [{"message": message, "domain": "global", "reason": more["storage"]}]
            return Answer(status, {"error": {"code": status, "message": message, "errors": reasons}})
        said = {"code": status, "message": message, "status": code or self.usual_code(status)}
        return Answer(status, {"error": said})

    def usual_code(self, status: int) -> str:
        return HTTP_OF_RPC.get(status, "UNKNOWN")

    def public(self, ask: Ask) -> bool:
        return ask.op == "token" or self.is_upload(ask)

    def unauthorized(self, ask: Ask) -> Answer:
        return self.error(
            401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
            "or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        )  # fmt: skip

    # -- Veo ---------------------------------------------------------------------------------------------------------

    @on("POST", f"/v1{_MODELS}:predictLongRunning", "submit")
    @on("POST", f"/v1beta1{_MODELS}:predictLongRunning", "submit")
    def predict(self, ask: Ask) -> Answer:
        """Take a request of Veo's, and name its operation."""
        self._may(ask, "aiplatform.endpoints.predict")
        model = self._model(ask)
        body = self.read(ask)
        self._veo_must_be_right(body, model)
        late = _wrong_length(body, model)
        if late and not self.judges_late:
            raise VendorError(400, "INVALID_ARGUMENT", late)
        name = f"{_name_of(ask)}/operations/{self.new_id('operation')}"
        job = self.take(ask, body, job_id=name)
        if late:
            job.fate = replace(job.fate, ending="failed", code="3", message=late)
        return Answer(json={"name": job.id})

    @on("POST", f"/v1{_MODELS}:fetchPredictOperation", "poll")
    @on("POST", f"/v1beta1{_MODELS}:fetchPredictOperation", "poll")
    def fetch(self, ask: Ask) -> Answer:
        """How an operation stands; a GET of its name is 404, and so is one of another model's."""
        self._may(ask, "aiplatform.endpoints.predict")
        body = self.read(ask)
        self._no_problem(body, {"operationName": Check(required=True)})
        name = body["operationName"]
        job = self.find(name)
        if job is None or not name.startswith(f"{_name_of(ask)}/operations/"):
            raise VendorError(404, "NOT_FOUND", f"The operation {name} was not found.")
        return Answer(json=self._operation(self.look(job)))

    def _operation(self, job: RemoteJob) -> dict[str, Any]:
        if not job.over:
            return {"name": job.id}
        if job.state not in ("done", "refused"):
            given = job.fate.code or ("CANCELLED" if job.state == "cancelled" else "INTERNAL")
            code = int(given) if given.isdigit() else RPC.get(given, RPC["UNKNOWN"])
            message = job.fate.message or "Internal error. Please try again later."
            return {"name": job.id, "done": True, "error": {"code": code, "message": message}}
        withheld = self.samples(job) if job.state == "refused" else job.fate.filtered
        response: dict[str, Any] = {
            "@type": "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse",
            "raiMediaFilteredCount": withheld,
        }
        if withheld:
            response["raiMediaFilteredReasons"] = [job.fate.message or AUDIO_TROUBLE] * withheld
        videos = [{"gcsUri": uri, "mimeType": "video/mp4"} for uri in job.outputs] or [
            {"bytesBase64Encoded": base64.b64encode(clip).decode(), "mimeType": "video/mp4"}
            for clip in job.more.get("clips", ())
        ]
        if videos:
            response["videos"] = videos
        return {"name": job.id, "done": True, "response": response}

    # -- Omni --------------------------------------------------------------------------------------------------------

    @on("POST", f"/v1{_OMNI}", "submit")
    @on("POST", f"/v1beta1{_OMNI}", "submit")
    def create(self, ask: Ask) -> Answer:
        self._may_interact(ask)
        return self.interact(ask)

    @on("GET", f"/v1{_OMNI}/{{id}}", "poll")
    @on("GET", f"/v1beta1{_OMNI}/{{id}}", "poll")
    def get(self, ask: Ask) -> Answer:
        self._may_interact(ask)
        return self.interaction_at(ask)

    @on("POST", f"/v1{_OMNI}/{{id}}/cancel", "cancel")
    @on("POST", f"/v1beta1{_OMNI}/{{id}}/cancel", "cancel")
    def cancel(self, ask: Ask) -> Answer:
        self._may_interact(ask)
        return self.cancelled(ask)

    @on("DELETE", f"/v1{_OMNI}/{{id}}", "delete")
    @on("DELETE", f"/v1beta1{_OMNI}/{{id}}", "delete")
    def delete(self, ask: Ask) -> Answer:
        self._may_interact(ask)
        return self.deleted(ask)

    def format_problem(self, wanted: Mapping[str, Any]) -> str:
        if wanted.get("delivery") == "uri" and "gcs_uri" not in wanted:
            return "gcs_uri is needed with delivery=uri"
        return ""

    def known_uri(self, uri: str) -> None:
        if gs_parts(uri) not in self.objects:
            raise self.wrong(400, f"The object {uri} does not exist or cannot be read.")

    def delivered(self, job: RemoteJob, clip: bytes, gcs_uri: str | None) -> str:
        return self._stored_at(gcs_uri or "", "sample_0.mp4", clip)

    # -- in its own words --------------------------------------------------------------------------------------------

    def samples(self, job: RemoteJob) -> int:
        return int(_parameters(job).get("sampleCount", 1))

    def seconds(self, job: RemoteJob) -> float:
        if not _is_veo(job):
            return self.omni_seconds(job)
        return float(
            _parameters(job).get("durationSeconds", VEO[_model_of(job)].durations[_feature(job.body)][0])
        )

    def sounds(self, job: RemoteJob) -> bool:
        return bool(_parameters(job).get("generateAudio", True))

    def made(self, job: RemoteJob) -> list[str]:
        if not _is_veo(job):
            return self.make_omni(job)
        clips = [self.clip(job, number) for number in range(self.samples(job) - job.fate.filtered)]
        folder = _parameters(job).get("storageUri")
        if folder is None:
            job.more["clips"] = clips
            return []
        return [self._stored_at(folder, f"sample_{number}.mp4", clip) for number, clip in enumerate(clips)]

    def _stored_at(self, folder: str, name: str, clip: bytes) -> str:
        bucket, prefix = gs_parts(folder) or ("", "")
        path = "/".join(part for part in (prefix.strip("/"), self.new_id("made"), name) if part)
        self.objects[bucket, path] = (clip, "video/mp4")
        return f"gs://{bucket}/{path}"

    # -- reading -----------------------------------------------------------------------------------------------------

    def _may(self, ask: Ask, permission: str) -> None:
        project, location = ask.params["project"], ask.params["location"]
        if project != self.project:
            resource = f"//aiplatform.googleapis.com/projects/{project}/locations/{location}"
            raise VendorError(
                403, "PERMISSION_DENIED", f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
            )  # fmt: skip

    def _may_interact(self, ask: Ask) -> None:
        self._may(ask, "aiplatform.interactions.create")
        if ask.params["location"] != "global":
            raise VendorError(404, "NOT_FOUND", "Interactions are served at the location global alone.")

    def _model(self, ask: Ask) -> Veo:
        if ask.params["model"] not in VEO:
            raise VendorError(
                404, "NOT_FOUND", f"Publisher Model `{_name_of(ask)}` was not found or your project does not have access to it. "
                "Please ensure you are using a valid model version. For more information, see: "
                "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
            )  # fmt: skip
        return VEO[ask.params["model"]]

    def _no_problem(self, body: Any, fields: Mapping[str, Check]) -> None:
        found = problems(body, fields)
        if not found:
            return
        first = found[0]
        if first.kind == "unknown":
            at = f" at '{'.'.join(map(str, first.where[:-1]))}'" if len(first.where) > 1 else ""
            message = (
                f'Invalid JSON payload received. Unknown name "{first.where[-1]}"{at}: Cannot find field.'
            )
        else:
            message = f"Invalid value at '{first.dotted}': it {first.message}."
        raise VendorError(400, "INVALID_ARGUMENT", message)

    def _veo_must_be_right(self, body: dict[str, Any], model: Veo) -> None:
        self._no_problem(body, _BODY)
        instance, parameters = body["instances"][0], body.get("parameters", {})
        for name, allowed in (("aspectRatio", model.aspect_ratios), ("resolution", model.resolutions)):
            if name in parameters and parameters[name] not in allowed:
                raise VendorError(
                    400, "INVALID_ARGUMENT", f"Unsupported {name} '{parameters[name]}', supported are {', '.join(allowed)}."
                )  # fmt: skip
        if parameters.get("sampleCount", 1) > model.samples:
            raise VendorError(400, "INVALID_ARGUMENT", f"sampleCount has to be from 1 to {model.samples}.")
        if why := _exclusion(instance, parameters, model):
            raise VendorError(400, "INVALID_ARGUMENT", why)
        for name in ("image", "lastFrame", "video"):
            if name in instance:
                self._media_must_be_right(name, instance[name], model)
        for number, reference in enumerate(instance.get("referenceImages", ())):
            self._media_must_be_right(f"referenceImages[{number}].image", reference["image"], model)

    def _media_must_be_right(self, name: str, media: dict[str, Any], model: Veo) -> None:
        types = model.video_types if name == "video" else model.image_types
        if media["mimeType"] not in types:
            raise VendorError(
                400, "INVALID_ARGUMENT", f"Unsupported mime type '{media['mimeType']}' of {name}: {', '.join(types)}."
            )  # fmt: skip
        if ("bytesBase64Encoded" in media) == ("gcsUri" in media):
            raise VendorError(
                400, "INVALID_ARGUMENT", f"{name} needs exactly one of bytesBase64Encoded and gcsUri."
            )
        if "gcsUri" in media:
            self.known_uri(media["gcsUri"])
            return
        if not decoded(media["bytesBase64Encoded"]):
            message = f"Invalid value at 'instances[0].{name}' (TYPE_BYTES), Base64 decoding failed."
            raise VendorError(400, "INVALID_ARGUMENT", message)


def _exclusion(instance: Mapping[str, Any], parameters: Mapping[str, Any], model: Veo) -> str:
    """Why these inputs do not go together, or not with the model; or ""."""
    if "mask" in instance:
        return _UNSUITED
    if "referenceImages" in instance:
        references = instance["referenceImages"]
        styled = any(reference["referenceType"].upper() == "STYLE" for reference in references)
        if not model.references or styled:
            return _UNSUITED
        if len(references) > model.references:
            return f"There are at most {model.references} reference images."
        if {"image", "video", "lastFrame"} & instance.keys():
            return "referenceImages cannot be used with image, video or lastFrame."
        if "prompt" not in instance:
            return "referenceImages need a prompt."
    if "image" in instance and "video" in instance:
        return "image and video cannot be used together."
    if "lastFrame" in instance and ("image" not in instance or not model.last_frame):
        return "lastFrame needs an image."
    if "video" in instance:
        if not model.extends:
            return _UNSUITED
        if parameters.get("resolution", "720p") != "720p":
            return "A video is extended in 720p alone."
    if not {"prompt", "image", "video"} & instance.keys():
        return "A prompt, an image or a video is needed."
    return ""


def _feature(body: Mapping[str, Any]) -> str:
    instance = body["instances"][0]
    if "video" in instance:
        return "video_extension"
    if "referenceImages" in instance:
        return "reference_to_video"
    return "image_to_video" if "image" in instance else "text_to_video"


def _wrong_length(body: Mapping[str, Any], model: Veo) -> str:
    feature = _feature(body)
    seconds = body.get("parameters", {}).get("durationSeconds")
    allowed = model.durations[feature]
    if seconds is None or seconds in allowed:
        return ""
    listed = ",".join(map(str, allowed))
    return f"Unsupported output video duration {seconds} seconds, supported durations are [{listed}] for feature {feature}."


def _name_of(ask: Ask) -> str:
    """`projects/P/locations/L/publishers/google/models/M`."""
    return ask.path[ask.path.index("projects/") :].rpartition(":")[0]


def _is_veo(job: RemoteJob) -> bool:
    return job.path.endswith(":predictLongRunning")


def _model_of(job: RemoteJob) -> str:
    return job.path.rpartition("/")[2].partition(":")[0]


def _parameters(job: RemoteJob) -> dict[str, Any]:
    parameters: dict[str, Any] = job.body.get("parameters", {})
    return parameters
