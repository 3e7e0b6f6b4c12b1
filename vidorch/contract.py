"""What a provider must do: the whole of what the engine asks of it.

A provider speaks one vendor's wire and decides nothing: whether a submit is sent, repeated, given up or looked for is
the engine's business. Providers are found by the entry point group `vidorch.providers`, the built-in ones by the same door:

    [project.entry-points."vidorch.providers"]
    acme = "acme_video:Acme"

A provider class is called without arguments, once per client. Every method but `admit`, `finds_credentials`, `find_mode`,
`outlook` and `takes_webhook` is async and gets a `Context`: the endpoint, the scope's secret at the moment of use, the route, a
clock and our job id.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, cast

from vidorch.errors import Unsupported, VidorchError
from vidorch.offer import FindMode, Offer, Route
from vidorch.request import Request

if TYPE_CHECKING:
    from vidorch.http import Http

__all__ = [
    "Accepted",
    "Admission",
    "Billed",
    "Cancelled",
    "Clock",
    "Context",
    "Delivery",
    "Done",
    "Endpoint",
    "ErrorRow",
    "Failed",
    "FoundJob",
    "Health",
    "LookFor",
    "Output",
    "Polled",
    "Prepared",
    "Progress",
    "Provider",
    "Rejected",
    "RemoteJob",
    "UnitPrice",
]


class Clock(Protocol):
    """Time, from outside, so that a job of three minutes is tested in milliseconds."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds that only go forward, for measuring."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured instance of a provider.

    Attributes:
        name: `"fal"`, `"h100"`. provider: the code that speaks to it.
        base_url: overrides the vendor's own. device: for local ones, such as `"cuda:0"`.
        account: whose limits it shares. concurrency: jobs at once, None for no limit of ours. per_minute: submits a minute.
        tier: the account's at its vendor, whose limits hold where the two above say nothing (`vidorch/catalog/tiers.toml`).
        usd_per_hour: price of one's own hardware; billed: whether that counts as spending.
        variables: environment variables that hold its credential, any one of which will do; empty when it needs none, None
            for those that its provider's offers name.
    """

    name: str
    provider: str
    base_url: str | None = None
    device: str | None = None
    account: str = ""
    concurrency: int | None = None
    usd_per_hour: Decimal | None = None
    billed: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    per_minute: int | None = None
    variables: tuple[str, ...] | None = None
    tier: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Context:
    """What a call to a provider may use. Its repr never shows the secret.

    Attributes:
        secret: the scope's credential for this endpoint, read at this moment; None where none is needed.
        http: the only sockets. A client's contexts always have them; one that is made by hand has none unless it is given some.
        job_id: our id, sent as external id where the vendor takes one. folder: where temporary files may go.
        route: the way this offer does the task, as the plan chose it. samples: how many clips this one submit is to yield.
        webhook: a callback URL with the job's token in it, where one was asked for. scope: whose call it is.
        made_from: by field, the vendor's id of the job that made an input, where the route asks for it.
    """

    endpoint: Endpoint
    clock: Clock
    job_id: str
    folder: Path
    secret: str | None = None
    http: Http = cast("Http", None)  # noqa: RUF009  (a constant)
    route: Route | None = None
    samples: int = 1
    webhook: str | None = None
    scope: str = "default"
    made_from: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Context(endpoint={self.endpoint.name!r}, job_id={self.job_id!r})"


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a request can be served at all, told before anything runs, offline and at no cost.

    Attributes:
        reason: why not; empty when it can. notes: what will be ignored or assumed.
    """

    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request made ready to send: uploads done, body built. Making it again is harmless.

    Attributes:
        request: as bought: every field filled. body: what goes over the wire, or whatever the provider needs.
    """

    request: Request
    offer: Offer
    body: Any = None


@dataclass(frozen=True, slots=True)
class Billed:
    """What the vendor says that it billed, where it counts something else than money. The catalog says what one costs.

    Attributes:
        amount: how many. unit: of what: that of the offer's price ("credit"), "usd", "second", "clip", or "" for whatever
            the price's row counts.
    """

    amount: Decimal
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor took the job.

    Attributes:
        remote_id: the vendor's id; written to disk before the first poll.
        quote: the most it may cost, in USD or in what the vendor counts, where the vendor says so at once.
        details: anything polling needs besides (URLs without secrets); JSON-ready, kept in the ledger.
    """

    remote_id: str
    quote: Decimal | Billed | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Still at work.

    Attributes:
        stage: "queued" or "running". fraction: 0 to 1, None when the vendor tells none.
        eta: seconds left, where the vendor says so. detail: a word for people ("denoise").
        poll_after: seconds the vendor asks to wait before the next poll.
    """

    stage: Literal["queued", "running"]
    fraction: float | None = None
    eta: float | None = None
    detail: str = ""
    poll_after: float | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One finished thing at the vendor, not yet fetched.

    Attributes:
        index: 0, 1, ... within the job. ref: URL or handle to fetch it by; never written with its query.
        media_type: such as `"video/mp4"`. seed: the one really used, where told.
        expires_at: seconds since 1970, where known.
    """

    index: int
    ref: str
    media_type: str = "video/mp4"
    seed: int | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Finished, with zero or more outputs.

    Attributes:
        cost: what it cost as the vendor reports it, in USD or in what it counts; None when the catalog has to say.
        filtered: how many clips were made and withheld by policy, with the vendor's words in `filter_reasons`.
        timings: seconds by stage where the vendor tells (`queue`, `run`, `load`, `encode`, `denoise`, `decode`).
    """

    outputs: tuple[Output, ...]
    cost: Decimal | Billed | None = None
    filtered: int = 0
    filter_reasons: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended without a clip.

    Attributes:
        error: typed, with the vendor's words, code, and whether it was charged.
        cancelled: whether it ended because somebody cancelled it. cost: as of `Done`.
    """

    error: VidorchError
    cancelled: bool = False
    cost: Decimal | Billed | None = None


Polled: TypeAlias = Progress | Done | Failed


class Rejected(VidorchError):
    """Raised by `submit` when provably nothing was accepted: nothing was sent, or the vendor's own structured error says so.

    Attributes:
        cause: the typed error for the caller. retry_after: seconds after which the same submit may be made as a new job;
            None when a repeat makes no sense.
    """

    def __init__(self, cause: VidorchError, *, retry_after: float | None = None) -> None:
        super().__init__(
            cause.message, hint=cause.hint, charged=False, retryable=cause.retryable, provider=cause.provider
        )
        self.cause = cause
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came of asking the vendor to stop: whether it did, and whether it bills (None: it does not say)."""

    stopped: bool
    charged: bool | None = None


@dataclass(frozen=True, slots=True)
class LookFor:
    """A submit whose reply was lost: what is known of it, in whichever process looks.

    Attributes:
        settings: what was bought, as `Request.describe()` writes it: media as hash, size and kind.
        sent_at: seconds since 1970 by our clock, just before the first byte could leave.
    """

    job_id: str
    settings: Mapping[str, Any]
    offer: Offer
    sent_at: float


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job at the vendor that may be the one looked for."""

    accepted: Accepted
    created_at: float | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A job as its vendor lists it, whoever submitted it.

    Attributes:
        id: the vendor's. status: the vendor's word; state: what that means, one of "queued", "running", "done", "failed",
            "cancelled", or "" for a word that is not known.
        created_at, expires_at: seconds since 1970, None where it does not say. model, prompt: as it has them, "" likewise.
        job_id: ours; None where the ledger knows no such job. A provider leaves it out.
    """

    id: str
    status: str
    state: str = ""
    created_at: float | None = None
    expires_at: float | None = None
    model: str = ""
    prompt: str = ""
    job_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What a vendor itself says that one of what it counts costs this account.

    Attributes:
        amount: in `currency`. unit: the vendor's word, such as "seconds".
    """

    amount: Decimal
    unit: str
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Health:
    """Answer of a check that costs nothing."""

    ok: bool
    detail: str = ""
    balance: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A verified webhook: which job it speaks of. Only ever a hint to poll now."""

    delivery_id: str
    remote_id: str | None = None
    token: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One line of an adapter's table of errors.

    Attributes:
        code: the vendor's own code or field value; a `*` at its end stands for anything.
        error: name of the class in `vidorch.errors`.
        rejected: whether it proves that nothing was accepted. charged, retryable: as in the errors.
        source: where the vendor says so. stage: of a refusal, "input" or "output". hint: what to do about it.
    """

    code: str
    error: str
    rejected: bool
    charged: bool | None
    retryable: bool
    source: str
    stage: str = "input"
    hint: str = ""

    def covers(self, code: str) -> bool:
        """Whether this line is about `code`."""
        return code.startswith(self.code[:-1]) if self.code.endswith("*") else code == self.code


class Provider(abc.ABC):
    """Base class of every provider. Optional calls have defaults that say they are not there."""

    name: ClassVar[str]
    errors: ClassVar[tuple[ErrorRow, ...]] = ()
    extra: ClassVar[str] = ""
    """The pip extra it needs, empty when it needs none."""
    simulated: ClassVar[bool] = False
    """Whether it reaches no vendor at all: a mock. Test runs may submit to it without further ado."""
    many_hosts: ClassVar[bool] = False
    """Whether servers of many owners speak it, so that an endpoint of another name than the provider's has to say where it is:
    its key is for that server alone, and never for the vendor whose name the provider bears."""

    def admit(self, request: Request, offer: Offer) -> Admission:
        """Say whether the request, as bought, can be served: offline, at no cost, in milliseconds."""
        return Admission()

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        """Upload what must be uploaded and build the body. May be repeated."""
        return Prepared(request, offer)

    @abc.abstractmethod
    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """Send it, once.

        Raises:
            Rejected: provably nothing was accepted. Any other exception means that nobody can tell.
        """

    @abc.abstractmethod
    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """Look once. Raising means that this look was lost, not that the job failed."""

    async def poll_many(self, context: Context, accepted: Sequence[Accepted]) -> list[Polled]:
        """Look at several at once, where the vendor can."""
        return [await self.poll(context, one) for one in accepted]

    @abc.abstractmethod
    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Write the output's bytes to `path`, a temporary name."""

    async def refresh(self, context: Context, accepted: Accepted, output: Output) -> Output:
        """Give a fresh reference for an output whose URL expired."""
        raise Unsupported(f"{self.name} cannot renew the link of a finished result.", provider=self.name)

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """Ask the vendor to stop."""
        raise Unsupported(f"{self.name} cannot cancel a job; it will run to its end.", provider=self.name)

    def finds_credentials(self, offer: Offer) -> bool:
        """Whether a credential is there that no environment variable holds: a login file, a metadata server. Offline, quick."""
        return False

    def find_mode(self, offer: Offer) -> FindMode:
        """How a lost submit can be found again."""
        return offer.find

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        """Look for a submit whose reply was lost. Never called when `find_mode` is `"none"`."""
        return []

    async def list_jobs(self, context: Context, limit: int) -> Sequence[RemoteJob]:
        """The account's jobs, newest first, at most `limit`: those of others than this ledger, too."""
        raise Unsupported(f"{self.name} does not list its jobs.", provider=self.name)

    async def delete_job(self, context: Context, accepted: Accepted) -> bool:
        """Remove a finished job with its results at the vendor. False when it was gone already; never a way to cancel.

        Raises:
            InvalidRequest: it is still at work there.
        """
        raise Unsupported(f"{self.name} cannot delete a finished job.", provider=self.name)

    async def unit_prices(self, context: Context, paths: Sequence[str]) -> Mapping[str, UnitPrice]:
        """What the vendor's API of prices says of these paths of routes, at no cost; what it does not know is left out."""
        raise Unsupported(f"{self.name} has no API of prices.", provider=self.name)

    async def check(self, context: Context) -> Health:
        """See whether the endpoint answers and takes the credential, at no cost."""
        return Health(True)

    def outlook(self, endpoint: Endpoint, request: Request, offer: Offer) -> tuple[str, ...]:
        """What a plan tells of how it would be made there: offline, in milliseconds. Asked only of offers that can be taken."""
        return ()

    def takes_webhook(self, route: Route) -> bool:
        """Whether a submit on this route can name a URL that the vendor calls when the job ends."""
        return type(self).parse_webhook is not Provider.parse_webhook

    async def parse_webhook(
        self, context: Context, headers: Mapping[str, str], body: bytes, url: str | None = None
    ) -> Delivery:
        """Verify a delivery against the raw body (and, where the vendor signs it, the URL) and say which job it speaks of."""
        raise Unsupported(f"{self.name} sends no webhooks.", provider=self.name)

    async def aclose(self) -> None:  # noqa: B027  (most have nothing to let go of)
        """Let go of threads and processes. In-process work ends here."""
