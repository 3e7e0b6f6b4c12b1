"""One model at one endpoint, as data: what it can do, how to ask for it, what it costs, how long it lives.

Offers come from the catalog's files and are never built by a provider; a provider reads the route and speaks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any, Literal

__all__ = [
    "Billing",
    "Capabilities",
    "Durations",
    "FewSteps",
    "FieldMap",
    "Latency",
    "Lifecycle",
    "Limits",
    "Lora",
    "Offer",
    "Price",
    "PriceRow",
    "Route",
    "Support",
    "Weights",
]

Support = Literal["native", "prompt", "absent"]
"""How an offer does a thing: by a field of its own, by words in the prompt, or not at all."""

FindMode = Literal["exact", "list", "none"]
"""How a submit whose reply was lost can be found again: by our own id, by reading a list, or not."""


@dataclass(frozen=True, slots=True)
class Durations:
    """Legal lengths in seconds: either `choices`, or every `step` from `least` to `most`. Empty means: the input's own length."""

    choices: tuple[Decimal, ...] = ()
    least: Decimal | None = None
    most: Decimal | None = None
    step: Decimal = Decimal(1)

    def nearest(self, target: Decimal) -> Decimal | None:
        """The legal length nearest to `target`, the longer of two that are equally near; None where the input decides."""
        if self.choices:
            return min(self.choices, key=lambda choice: (abs(choice - target), -choice))
        below, above = self.on_grid(target, ROUND_FLOOR), self.on_grid(target, ROUND_CEILING)
        if below is None or above is None:
            return None
        return above if abs(above - target) <= abs(below - target) else below

    def on_grid(self, target: Decimal, rounding: str) -> Decimal | None:
        """The step next to `target`, kept between least and most; None where there are no steps."""
        if self.least is None or self.most is None:
            return None
        steps = ((target - self.least) / self.step).to_integral_value(rounding)
        last = ((self.most - self.least) / self.step).to_integral_value(ROUND_FLOOR)
        return self.least + max(Decimal(0), min(steps, last)) * self.step


@dataclass(frozen=True, slots=True)
class Limits:
    """What an offer takes in: sizes in bytes, lengths in seconds or characters. None means that no limit is known."""

    prompt_characters: int | None = None
    image_bytes: int | None = None
    video_bytes: int | None = None
    audio_bytes: int | None = None
    image_types: tuple[str, ...] = ()
    video_seconds: tuple[Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an offer can make for one task.

    Attributes:
        resolutions: names in `vidorch.request.RESOLUTIONS`.
        aspect_ratios: `"16:9"`, ...; empty with an image means the image's own.
        sizes: exact pixels where the vendor fixes them, by `"resolution aspect"`, such as `"256p 1:1"`.
        audio: "off" (silent), "on" (always with sound) or "switch".
        samples: how many clips one submit can yield, at most.
        references: how many reference images it takes.
    """

    durations: Durations = field(default_factory=Durations)
    resolutions: tuple[str, ...] = ()
    aspect_ratios: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    fps: tuple[Fraction, ...] = ()
    audio: Literal["off", "on", "switch"] = "off"
    seed: bool = False
    negative_prompt: Support = "absent"
    camera: Support = "absent"
    last_image: bool = False
    references: int = 0
    audio_track: bool = False
    loras: bool = False
    steps: tuple[int, int] | None = None
    guidance: tuple[Decimal, Decimal] | None = None
    samples: int = 1
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class FieldMap:
    """One field on the wire.

    Attributes:
        to: where it goes in the vendor's body, dotted, such as `"parameters.durationSeconds"` or `"instances.0.prompt"`.
        type: "string", "integer", "number", "boolean", "image", "video", "audio" or "list"; of a source clip also "job", where
            the vendor takes the id of the job that made it and nothing else, and "job_or_video", where it takes either.
        values: our value -> theirs, where names differ. form: a format for strings, such as `"{}s"`.
        add: a format for words that are added to the field that `to` names, such as `" Avoid: {}."` to the prompt.
    """

    to: str
    type: str = "string"
    values: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""
    add: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """How an offer does one task.

    Attributes:
        path: the vendor's path, model id included.
        fields: our field name -> their field. fixed: what is always sent beside them, by dotted name.
        refused: their fields that change price or count and that `extra=` may therefore not set, by dotted name.
        capabilities: what holds for this task, with everything already inherited from the offer.
        frame_step: where numbers of frames are a multiple of it and one, as of Wan (4); 0 where any number will do.
    """

    task: str
    path: str
    capabilities: Capabilities
    fields: Mapping[str, FieldMap] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    frame_step: int = 0


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One line of a price: what it costs when all of `when` holds (`resolution`, `audio`, `task`, ...).

    The amount of one clip is `fixed + per_second x billed seconds + per_input_second x input seconds + per_megapixel x million
    pixels of a frame, rounded up, + per_million_tokens x million tokens`, in the price's unit. Tokens are width x height x fps x
    seconds / 1024, as ByteDance counts them; of a clip that is billed beside what goes into it, the seconds of both.
    Billed seconds are the output's, at least `minimum_seconds`, rounded up to a multiple of `block_seconds` where that is set;
    where only input seconds are billed, the same holds for them.
    `high_per_second` is the most it may be where `per_second` is unconfirmed and a dearer figure is known; budgets reserve it.
    """

    when: Mapping[str, Any] = field(default_factory=dict)
    fixed: Decimal = Decimal(0)
    per_second: Decimal = Decimal(0)
    per_input_second: Decimal = Decimal(0)
    minimum_seconds: Decimal = Decimal(0)
    block_seconds: Decimal = Decimal(0)
    high_per_second: Decimal | None = None
    per_megapixel: Decimal = Decimal(0)
    per_million_tokens: Decimal = Decimal(0)
    source: str = ""
    as_of: date | None = None
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Price:
    """The price rule of an offer.

    Attributes:
        rule: "free", "table" (rows below), "hours" (hours of one's own hardware, at its price) or "unpriced" (no bounded price is
            known).
        unit: what the rows count, "usd" or the vendor's credit. usd_per_unit: USD for one of them.
    """

    rule: Literal["free", "table", "hours", "unpriced"]
    rows: tuple[PriceRow, ...] = ()
    unit: str = "usd"
    usd_per_unit: Decimal = Decimal(1)
    source: str = ""
    as_of: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Billing:
    """What the vendor takes for a job that gave no clip: "free", "full", "part" or "unknown", by how it ended."""

    failed: str = "unknown"
    refused_input: str = "unknown"
    refused_output: str = "unknown"
    cancelled: str = "unknown"
    source: str = ""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Where an offer is in its life. A retirement blocks only when `confirmed` at first hand."""

    state: Literal["live", "preview", "deprecated", "retired"] = "live"
    released: date | None = None
    retires: date | None = None
    confirmed: bool = False
    replacement: tuple[str, ...] = ()
    source: str = ""
    as_of: date | None = None

    def dead_on(self, day: date) -> bool:
        """Whether it is known at first hand to be switched off on that day."""
        return self.confirmed and self.said_dead_on(day)

    def said_dead_on(self, day: date) -> bool:
        """Whether anybody says that it is switched off on that day: by its date, and by its state where it has none."""
        return self.state == "retired" if self.retires is None else self.retires <= day


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from submit to finished file: what the catalog knows until the ledger knows better.

    Attributes:
        per_output_second: seconds more for each second of the clip. device: the class of machines that it holds for, of a model
            for one's own hardware (`vidorch/catalog/hardware.toml`); "" for any card.
    """

    low: float = 0.0
    expected: float = 0.0
    high: float = 0.0
    per_output_second: float = 0.0
    source: str = ""
    confirmed: bool = False
    device: str = ""


@dataclass(frozen=True, slots=True)
class Lora:
    """A small file of weights that is laid over a model's.

    Attributes:
        source: a file, a folder or a hub id, a file inside it after a colon: `"lightx2v/Wan2.1-Distill-Loras:wan.safetensors"`.
        scale: how strongly, 1 for as it was trained. expert: "" for both of a model's experts, else "high" or "low" (noise).
    """

    source: str
    scale: float = 1.0
    expert: Literal["", "high", "low"] = ""


@dataclass(frozen=True, slots=True)
class FewSteps:
    """A distillation that is laid over a model's weights, so that a few steps are enough.

    Attributes:
        loras: its files. defaults: what a call is made with then. flow_shift: of the scheduler, by resolution.
    """

    loras: tuple[Lora, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    flow_shift: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a model that runs on one's own hardware: where its weights are, what they need, how it is asked.

    Attributes:
        source: a hub id such as `"Wan-AI/Wan2.1-T2V-1.3B-Diffusers"`, or a folder. revision: a commit or tag; "" for the newest.
        download_bytes: what pulling it takes, None when unknown.
        memory: bytes of graphics memory by placement ("gpu", "model-offload", "group-offload", "fp8") and of main memory ("cpu").
        frame_step: legal numbers of frames are a multiple of it and one. size_multiple: of width and height, in pixels.
        defaults: what a call is made with unless it is given: `steps`, `guidance`, `guidance_2`, `negative_prompt`, `strength`;
            `sampler` ("unipc", "euler", "lcm") and `sigmas`, the noise level of each step, of a model that was made for them.
        flow_shift: of the scheduler, by resolution ("480p"). loras: that belong to it, as of a few-step variant.
        few_steps: a distillation that drafts are made with where it is on the machine; None where there is none.
        cluster: the Ray cluster whose workers run it, as its endpoint names it; "" for this process.
    """

    source: str
    revision: str = ""
    download_bytes: int | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    frame_step: int = 4
    size_multiple: int = 16
    defaults: Mapping[str, Any] = field(default_factory=dict)
    flow_shift: Mapping[str, float] = field(default_factory=dict)
    loras: tuple[Lora, ...] = ()
    few_steps: FewSteps | None = None
    cluster: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, so that they can be looked for here."""
        return self.cluster in ("", "local")


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at one endpoint.

    Attributes:
        model: our name, such as `"kling-3.0-pro"`. endpoint: such as `"fal"`. `name` is `"fal/kling-3.0-pro"`.
        provider: the code that speaks to it. family: `"kling"`. vendor_model: the vendor's own id.
        routes: by task. min_poll: the least seconds between two polls that the vendor asks for.
        outlives_caller: whether its work goes on when the calling process dies.
        find: how a lost submit can be found again. find_lag: seconds after which the vendor's search shows what it has.
        result_lifetime: seconds until a finished result is gone at the vendor; None when unknown.
        variables: environment variables that hold its credentials, any one of which will do; empty when none is needed.
        weights: of a model for one's own hardware; None for all others.
        as_of: the day its facts were read. pinned: an offer of a higher layer that stays although a newer one lies below.
    """

    model: str
    endpoint: str
    provider: str
    family: str
    routes: Mapping[str, Route]
    price: Price
    title: str = ""
    vendor_model: str = ""
    billing: Billing = field(default_factory=Billing)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    latency: Latency = field(default_factory=Latency)
    min_poll: float = 5.0
    outlives_caller: bool = True
    find: FindMode = "none"
    find_lag: float = 120.0
    result_lifetime: float | None = None
    variables: tuple[str, ...] = ()
    licence: str = ""
    notes: tuple[str, ...] = ()
    as_of: date | None = None
    pinned: bool = False
    layer: str = "shipped"
    weights: Weights | None = None

    @property
    def name(self) -> str:
        """`endpoint/model`, which pins it."""
        return f"{self.endpoint}/{self.model}"
