"""Every error vidorch raises on purpose.

    VidorchError
    ├── InvalidRequest        a field is wrong: says which, what it was, and what is allowed (also a ValueError)
    ├── Unsupported           well-formed, but nothing that may serve it can; or a door that is not open yet
    ├── Retired               the model no longer exists; names live offers for this very request
    ├── MissingCredentials    a key is needed; names the environment variable
    ├── OverBudget            the high estimate does not fit `max_cost` or a budget; nothing was sent
    ├── Refused               a policy refusal, at stage "input" or "output"
    ├── Throttled             the vendor asked for patience; nothing was accepted
    ├── ProviderFailed        the vendor accepted the job and it failed
    ├── TimedOut              waiting ended, the job did not (also a TimeoutError); the message says how to get it back
    ├── SubmissionUnknown     a submit may or may not have been accepted; it is never sent again
    ├── BadMedia              a file is not what it should be: unreadable, truncated, of the wrong kind
    ├── KeyConflict           another request already owns this key
    ├── LedgerUnavailable     the record of what is paid cannot be written, so nothing is paid
    ├── LiveCallInTest        a paid submit was about to leave from inside a test run; nothing was sent
    ├── CatalogError          a price file is broken: file, line, field
    └── GenerationFailed      every attempt failed (also an ExceptionGroup that holds each cause)

Whoever catches `VidorchError` can always ask four things: was it `charged` (True, False, or None when nobody can know),
is it `retryable`, which `run_id` / `job_id` / `remote_id` it concerns, and what to do next (`hint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any, Self

__all__ = [
    "BadMedia",
    "CatalogError",
    "GenerationFailed",
    "InvalidRequest",
    "KeyConflict",
    "LedgerUnavailable",
    "LiveCallInTest",
    "MissingCredentials",
    "OverBudget",
    "ProviderFailed",
    "Refused",
    "Retired",
    "SubmissionUnknown",
    "Throttled",
    "TimedOut",
    "Unsupported",
    "VidorchError",
]


class VidorchError(Exception):
    """Base of every error vidorch raises on purpose.

    Attributes:
        message: what happened, in one or two sentences, without secrets.
        hint: what to do next; empty when there is nothing useful to say.
        charged: True (money was taken), False (none was), None (nobody can tell yet).
        retryable: whether the same call may succeed later without a change.
        provider: the surface it happened on, such as `"fal"`; None inside vidorch.
        run_id, job_id, remote_id: what to quote to `vidorch jobs show` or to the vendor.
        request_id: the vendor's id for the HTTP exchange, where it gives one.
        code: the vendor's own error code.
    """

    default_charged: bool | None = False
    default_retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        charged: bool | EllipsisType | None = ...,
        retryable: bool | None = None,
        provider: str | None = None,
        run_id: str | None = None,
        job_id: str | None = None,
        remote_id: str | None = None,
        request_id: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.charged: bool | None = self.default_charged if isinstance(charged, EllipsisType) else charged
        self.retryable = self.default_retryable if retryable is None else retryable
        self.provider = provider
        self.run_id = run_id
        self.job_id = job_id
        self.remote_id = remote_id
        self.request_id = request_id
        self.code = code

    @property
    def message(self) -> str:
        """What happened, without the hint."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process boundaries (worker pools, pytest-xdist); keyword-only arguments do not by default.
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))


def _rebuild(kind: type[VidorchError], args: tuple[Any, ...], state: dict[str, Any]) -> VidorchError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidRequest(VidorchError, ValueError):
    """A field of the request is wrong. Raised before anything runs, so nothing was spent.

    Attributes:
        field: the name of the argument, such as `"duration"`.
        value: what was given (long values are shortened in the message, never here).
        allowed: what would have been accepted, in words.
    """

    def __init__(
        self, message: str, *, field: str = "", value: Any = None, allowed: str = "", **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.field = field
        self.value = value
        self.allowed = allowed


class Unsupported(VidorchError):
    """The request is well-formed, but no offer that may serve it can do what was asked, or that door is not open yet.

    Attributes:
        reasons: for each offer that was left out, why.
        offers: live offers that could serve this request, cheapest first, as `"endpoint/model ($1.20; needs FAL_KEY)"`.
    """

    def __init__(
        self, message: str, *, reasons: dict[str, str] | None = None, offers: Sequence[str] = (), **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.reasons = dict(reasons or {})
        self.offers = tuple(offers)


class Retired(Unsupported):
    """The model was switched off by its vendor. `offers` names up to three live ones for this very request."""


class MissingCredentials(VidorchError):
    """A key is needed and none was found.

    Attributes:
        variable: the environment variable that would be read, such as `"FAL_KEY"`.
        extra: the pip extra that is missing, such as `"local"`, when a package rather than a key is absent.
    """

    def __init__(self, message: str, *, variable: str = "", extra: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.variable = variable
        self.extra = extra


class OverBudget(VidorchError):
    """The high estimate does not fit the cap of this call or a budget. Nothing was sent.

    Attributes:
        needed: the amount that had to fit, in USD.
        available: what was left, in USD.
        budget: the budget's name, or `"max_cost"`.
    """

    def __init__(
        self,
        message: str,
        *,
        needed: Any = None,
        available: Any = None,
        budget: str = "max_cost",
        **more: Any,
    ) -> None:
        super().__init__(message, **more)
        self.needed = needed
        self.available = available
        self.budget = budget


class Refused(VidorchError):
    """A policy refusal. Never repeated, nor passed to another offer, unless the caller asked for that.

    Attributes:
        stage: `"input"` (the prompt or media was refused) or `"output"` (what was made was withheld).
    """

    def __init__(self, message: str, *, stage: str = "input", **more: Any) -> None:
        super().__init__(message, **more)
        self.stage = stage


class Throttled(VidorchError):
    """The vendor asked for patience and accepted nothing.

    Attributes:
        retry_after: seconds the vendor asked to wait, or None.
    """

    default_retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.retry_after = retry_after


class ProviderFailed(VidorchError):
    """The job was accepted and failed. What it cost, if anything, is in `charged` and in the ledger."""

    default_charged = None


class TimedOut(VidorchError, TimeoutError):
    """Waiting ended; the job did not. `run_id` gets it back: `vidorch.Client().run(run_id).wait()`."""

    default_charged = None
    default_retryable = True


class SubmissionUnknown(VidorchError):
    """A submit may or may not have been accepted. It is looked for, never sent again.

    Attributes:
        possible_ids: jobs at the vendor that could be this one, when there was more than one.
    """

    default_charged = None

    def __init__(self, message: str, *, possible_ids: Sequence[str] = (), **more: Any) -> None:
        super().__init__(message, **more)
        self.possible_ids = tuple(possible_ids)


class BadMedia(VidorchError):
    """A file is not what it should be: unreadable, truncated, empty, or of the wrong kind.

    Attributes:
        path: the file, when there is one.
    """

    def __init__(self, message: str, *, path: str | None = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.path = path


class KeyConflict(VidorchError):
    """This key already belongs to another request. Nothing was sent.

    Attributes:
        differs: the names of the fields that differ from the request that owns the key.
    """

    def __init__(self, message: str, *, differs: Sequence[str] = (), **more: Any) -> None:
        super().__init__(message, **more)
        self.differs = tuple(differs)


class LedgerUnavailable(VidorchError):
    """The ledger cannot be written (read-only, full, locked, corrupt, too new, or its server is away), so nothing is paid."""


class LiveCallInTest(VidorchError):
    """A paid submit was about to leave from inside a test run. Use `vidorch.testing`, or allow it with `--vidorch-live`."""


class CatalogError(VidorchError):
    """A catalog file is broken.

    Attributes:
        file, line, field: where; `line` is None when the parser cannot tell.
    """

    def __init__(
        self, message: str, *, file: str = "", line: int | None = None, field: str = "", **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.file = file
        self.line = line
        self.field = field


def shown(value: object, most: int = 80) -> str:
    """A value as a message shows it: its repr, shortened; never an error of its own, whatever the value is."""
    try:
        text = repr(value)
    except Exception:  # a repr that fails, endless nesting, an int of too many digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else f"{text[: most - 3]}..."


class GenerationFailed(VidorchError, ExceptionGroup[VidorchError]):
    """Every attempt failed. Also an `ExceptionGroup`: `.exceptions` holds each cause, in order, and `except*` works."""

    default_charged = None

    def __new__(cls, message: str, exceptions: Sequence[VidorchError], **more: Any) -> Self:
        return ExceptionGroup.__new__(cls, message, exceptions)

    def __init__(self, message: str, exceptions: Sequence[VidorchError], **more: Any) -> None:
        if "charged" not in more:
            outcomes = [e.charged for e in exceptions]
            more["charged"] = True if True in outcomes else None if None in outcomes else False
        VidorchError.__init__(self, message, **more)
        self.args = (message, list(exceptions))  # what pickle and copy hand to __new__

    def derive(self, excs: Sequence[VidorchError]) -> GenerationFailed:  # type: ignore[override]
        return GenerationFailed(
            self.message, excs, hint=self.hint, run_id=self.run_id, job_id=self.job_id, provider=self.provider
        )

    def __str__(self) -> str:
        causes = "; ".join(f"{i}. {e}" for i, e in enumerate(self.exceptions, 1))
        return f"{VidorchError.__str__(self)} Causes: {causes}"
