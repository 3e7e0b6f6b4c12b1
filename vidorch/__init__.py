"""vidorch: one call for video from any AI model.

    import vidorch

    result = vidorch.generate("a red ball rolling left")     # no key, no GPU, no download: the built-in model
    result.clip.path                                         # a playable MP4
    vidorch.estimate("...", model="veo-3.1-fast")            # what it would cost, before anything is spent

Importing this package loads next to nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = (
    False  # type checkers take it for true; importing typing for it would be most of the cost of this package
)
if TYPE_CHECKING:
    from vidorch._default import estimate, generate, plan, submit
    from vidorch.budget import Budget
    from vidorch.choice import Choice
    from vidorch.client import AsyncClient, AsyncRun, Client, Run
    from vidorch.contract import Endpoint
    from vidorch.errors import (
        BadMedia,
        CatalogError,
        GenerationFailed,
        InvalidRequest,
        KeyConflict,
        LedgerUnavailable,
        LiveCallInTest,
        MissingCredentials,
        OverBudget,
        ProviderFailed,
        Refused,
        Retired,
        SubmissionUnknown,
        Throttled,
        TimedOut,
        Unsupported,
        VidorchError,
    )
    from vidorch.estimating import Estimate
    from vidorch.planning import Plan
    from vidorch.request import Request
    from vidorch.result import Clip, Event, Job, Progress, Result, Timings

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("estimate", "generate", "plan", "submit"), "vidorch._default"),
    **dict.fromkeys(("AsyncClient", "AsyncRun", "Client", "Run"), "vidorch.client"),
    **dict.fromkeys(
        (
            "BadMedia", "CatalogError", "GenerationFailed", "InvalidRequest", "KeyConflict", "LedgerUnavailable",
            "LiveCallInTest", "MissingCredentials", "OverBudget", "ProviderFailed", "Refused", "Retired",
            "SubmissionUnknown", "Throttled", "TimedOut", "Unsupported", "VidorchError",
        ),
        "vidorch.errors",
    ),
    **dict.fromkeys(("Clip", "Event", "Job", "Progress", "Result", "Timings"), "vidorch.result"),
    "Budget": "vidorch.budget",
    "Choice": "vidorch.choice",
    "Endpoint": "vidorch.contract",
    "Plan": "vidorch.planning",
    "Estimate": "vidorch.estimating",
    "Request": "vidorch.request",
}  # fmt: skip

_ROOMS = frozenset({"contract", "errors", "media"})
"""Modules that are public as they are: `vidorch.errors` works without importing it first."""

__all__ = [
    "AsyncClient",
    "AsyncRun",
    "BadMedia",
    "Budget",
    "CatalogError",
    "Choice",
    "Client",
    "Clip",
    "Endpoint",
    "Estimate",
    "Event",
    "GenerationFailed",
    "InvalidRequest",
    "Job",
    "KeyConflict",
    "LedgerUnavailable",
    "LiveCallInTest",
    "MissingCredentials",
    "OverBudget",
    "Plan",
    "Progress",
    "ProviderFailed",
    "Refused",
    "Request",
    "Result",
    "Retired",
    "Run",
    "SubmissionUnknown",
    "Throttled",
    "TimedOut",
    "Timings",
    "Unsupported",
    "VidorchError",
    "__version__",
    "estimate",
    "generate",
    "plan",
    "submit",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"vidorch.{name}")
    raise AttributeError(f"module 'vidorch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*__all__, *_ROOMS))
