"""What the engine tells of runs and jobs to whoever watches a whole system: to nobody, unless OpenTelemetry is installed.

The classes here do nothing, and `vidorch.engine.spans` has those that do something. The engine calls them where a run or a job
begins, gets further and ends, and never looks at what comes of it: none of them may raise, or take the time of paid work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from vidorch.contract import Clock
from vidorch.result import Job, Result

__all__ = ["JobSpan", "RunSpan", "Telemetry", "opened"]

PROMPTS = "VIDORCH_OTEL_PROMPTS"


class JobSpan:
    """One job, from when this process has it until it has it no more."""

    def lap(self, stage: str) -> None:
        """The time since the last lap, or since it began, went into `stage`."""

    def moved(self, job: Job) -> None:
        """It is one step further, by our doing. Where that is an end, it has ended."""

    def end(self, job: Job, error: BaseException | None = None) -> None:
        """It is ours no more, or over. Harmless when repeated.

        Args:
            job: as far as it is known. error: why nothing more is done for it here.
        """


class RunSpan:
    """One run, from when this process has it until it has it no more.

    Attributes:
        trace: its place in the trace, as W3C `traceparent` text (https://www.w3.org/TR/trace-context/); None outside of any.
    """

    trace: str | None = None

    def job(self, row: Mapping[str, Any]) -> str | None:
        """A job that is about to be written down as `row` begins. Its place in the trace, for that row; None outside of any."""
        return None

    def drives(self, job: Job) -> JobSpan:
        """This process drives the job from now on: one that was told to `job`, or one that somebody else began."""
        return _JOB

    def end(self, result: Result | None = None, error: BaseException | None = None) -> None:
        """It is over, or ours no more where there is neither result nor error. Harmless when repeated."""


class Telemetry:
    """What one client tells."""

    def here(self) -> str | None:
        """Where the caller is in a trace, as `traceparent` text; None outside of any."""
        return None

    def run(
        self, run_id: str, scope: str, candidates: int, at: float, *, before: str | None = None
    ) -> RunSpan:
        """A run begins, or is taken up, in the context of whoever calls this.

        Args:
            at: seconds since 1970. before: the place in a trace of those who had it before us.
        """
        return _RUN

    def by_hand(self, verb: str, before: Job, after: Job) -> None:
        """A person has said something of a job that nobody drives: `"adopt"` or `"settle"`."""

    async def aclose(self) -> None:
        """Let what was told go out, as far as that takes no long time."""


_JOB, _RUN, _NOTHING = JobSpan(), RunSpan(), Telemetry()


def opened(clock: Clock) -> Telemetry:
    """What a client that opens its engine tells: nothing where OpenTelemetry is missing, or cannot be loaded."""
    try:
        if find_spec("opentelemetry") is None:
            return _NOTHING
        from vidorch.engine.spans import Recorder

        return Recorder(clock, prompts=os.environ.get(PROMPTS) == "1")
    except Exception:  # whatever its setup raises: no clip is to fail because nobody can watch it
        return _NOTHING
