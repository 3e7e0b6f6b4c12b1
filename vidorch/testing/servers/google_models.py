"""What Google's video models take, as tables for the servers `vertex` and `gemini`, and what Google says when they do not.

Sources, read 2026-11-26: Google's pages on Veo and Omni at docs.cloud.google.com/gemini-enterprise-agent-platform/models
(copies from after 2026-11-05: extend-videos, responsible-ai-and-usage-guidelines, veo/3-1-generate,
gemini/omni-flash-preview), the google-genai 3.4.0 and 2.34.0 packages, github.com/TanStack/ai issue 871 (measured against
the live Gemini API), github.com/Bike4Mind/bike4mind (GeminiOmniVideoProvider.ts, written from recordings). Where the
sources disagree, the narrower one holds here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "AUDIO_TROUBLE",
    "BLOCKED",
    "HTTP_OF_RPC",
    "NO_VIDEO",
    "OMNI_GEMINI",
    "OMNI_VERTEX",
    "RETIRED_OMNI_GEMINI",
    "RETIRED_VEO",
    "RPC",
    "SUPPORT_CODES",
    "TASKS",
    "VEO",
    "VIDEO_TOKENS_PER_SECOND",
    "Omni",
    "Veo",
    "decoded",
    "duration_of",
]


@dataclass(frozen=True, slots=True)
class Veo:
    """What a Veo model takes on Vertex.

    Attributes:
        durations: seconds by feature, in the order in which Google's own error lists them. resolutions: for all but
            extension. references: most images of type ASSET. extends: whether it takes a video.
    """

    durations: Mapping[str, tuple[int, ...]]
    resolutions: tuple[str, ...]
    references: int = 0
    last_frame: bool = True
    extends: bool = False
    samples: int = 4
    aspect_ratios: tuple[str, ...] = ("16:9", "9:16")
    image_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp")
    video_types: tuple[str, ...] = ("video/mp4",)


_LENGTHS = {
    "text_to_video": (8, 4, 6),
    "image_to_video": (8, 4, 6),
    "reference_to_video": (8,),
    "video_extension": (7,),
}
VEO: dict[str, Veo] = {
    "veo-3.1-generate-001": Veo(_LENGTHS, ("720p", "1080p", "4k"), references=3, extends=True),
    "veo-3.1-fast-generate-001": Veo(_LENGTHS, ("720p", "1080p", "4k"), references=3, extends=True),
    "veo-3.1-lite-generate-001": Veo(_LENGTHS, ("720p", "1080p")),
}
"""Veo on Vertex, by model id.

Not confirmed: image/webp; whether 1080p and 4k force 8 s, as the Gemini API's page had it (here they do not); the name of
the feature `video_extension`; that an extension takes no length but 7 (Google's page names 7 as what is added). Google's
page on extension lists Lite among the models that extend and leaves it out of the ids to send; it is refused here. The same
page lets an extension come out in 1080p and 4k, the model's page in 720p alone; 720p it is. An image of `referenceType`
STYLE was Veo 2's alone.
"""

RETIRED_VEO = (
    "veo-3.1-generate-preview", "veo-3.1-fast-generate-preview", "veo-3.1-lite-generate-preview", "veo-3.0-generate-001",
    "veo-3.0-fast-generate-001", "veo-3.0-generate-preview", "veo-3.0-fast-generate-preview", "veo-2.0-generate-001",
    "veo-2.0-generate-exp",
)  # fmt: skip
"""Shut on both surfaces: the previews on Vertex on 2026-04-02 and on the Gemini API on 2026-10-22, 3.0 and 2.0 on 2026-06-30."""


TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale")
"""Of `generation_config.video_config.task`; without it the model decides."""


@dataclass(frozen=True, slots=True)
class Omni:
    """What a Gemini Omni model takes.

    Attributes:
        least, most: seconds; any number between, a fraction too where `fractions`. images, videos: most of each in one
            prompt. references: most images and most videos to refer to.
    """

    least: float = 3
    most: float = 10
    fractions: bool = True
    resolutions: tuple[str, ...] = ("360p", "720p", "1080p", "4k")
    images: int = 10
    videos: int = 3
    references: int = 3
    tasks: tuple[str, ...] = TASKS


OMNI_GEMINI: dict[str, Omni] = {"gemini-omni-1.1-flash": Omni(), "gemini-omni-1.2-flash": Omni()}
"""Omni on the Gemini API, by model id.

Not confirmed: how long 1.2 makes its clips (3 to 10 s by one page, up to 15 by another); three images and three videos to
refer to (a reseller's page for 1.1); `upscale` (the package names it and no page does).
"""

OMNI_VERTEX: dict[str, Omni] = {
    "gemini-omni-1.1-flash-preview": Omni(fractions=False),
    "gemini-omni-1.2-flash": Omni(fractions=False),
    "gemini-omni-flash-preview": Omni(
        fractions=False,
        resolutions=("720p",),
        tasks=("text_to_video", "image_to_video", "reference_to_video", "edit"),
    ),
}
"""Omni on Vertex: 1.1 has another id than on the Gemini API, lengths are whole seconds, and the first preview is not shut."""

RETIRED_OMNI_GEMINI = ("gemini-omni-flash-preview",)
"""Shut on the Gemini API on 2026-09-30."""

VIDEO_TOKENS_PER_SECOND = {"360p": 1738, "720p": 5792, "1080p": 8688, "4k": 17376}
"""Output tokens. 5,792 at 720p was measured; the others are not confirmed: they follow its price (0.03, 0.10, 0.15, 0.30 USD)."""

RPC = {
    "CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10, "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "DATA_LOSS": 15, "UNAUTHENTICATED": 16,
}  # fmt: skip
"""google.rpc.Code, which an operation's error carries as a number."""

HTTP_OF_RPC = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 408: "DEADLINE_EXCEEDED",
    409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 502: "UNAVAILABLE",
    503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
"""Which of them goes with an HTTP status, as in google/rpc/code.proto; 408 and 502 are proxies', and the nearest is taken."""

SUPPORT_CODES = {
    "child": ("58061214", "17301594"), "celebrity": ("29310472", "15236754"), "video safety violation": ("64151117", "42237218"),
    "dangerous content": ("62263041",), "hate": ("57734940", "22137204"), "other": ("74803281", "29578790", "42876398"),
    "prohibited content": ("89371032", "49114662", "63429089", "72817394", "60599140"),
    "third-party content": ("35561574", "35561575"), "sexual": ("90789179", "43188360"), "toxic": ("78610348",),
    "violence": ("61493863", "56562880"), "vulgar": ("32635315",),
}  # fmt: skip
"""What Veo's support codes mean, by Google's table (responsible-ai-and-usage-guidelines)."""

BLOCKED = (
    "Veo could not generate videos because the input {what} violates Vertex AI's usage guidelines. If you think this was an "
    "error, send feedback. Support codes: {code}"
)
"""What Google says of an input that it refuses: with HTTP 400 at once, or as an operation's error of code 3."""

AUDIO_TROUBLE = (
    "We encountered an issue with the audio for your prompt, which means we could not create your video. This can sometimes "
    "happen due to our safety filters or other processing issues. Please modify your request and try again. You have not been "
    "charged for this attempt."
)
"""One of `raiMediaFilteredReasons` that often passes when it is asked again (github.com/googleapis/js-genai/issues/1272)."""

NO_VIDEO = "I can't create that video."
"""What stands in the place of a clip that Omni withholds. The words are ours: text and no video is what was seen."""


def duration_of(text: str) -> float | None:
    """Seconds of a `"5s"`, or None where it is written otherwise: a bare number is refused."""
    match = re.fullmatch(r"(\d+(?:\.\d{1,9})?)s", text)
    return None if match is None else float(match[1])


def decoded(text: str) -> bytes:
    """The bytes of a base64 string, or none where it is broken; Google takes both alphabets, with padding and without."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        return b""
