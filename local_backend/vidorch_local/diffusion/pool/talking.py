"""A line to one worker: its calls as plain methods, and one exception for whatever means that it is gone."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import Any

from vidorch_local.diffusion.jobs import Frames, Job
from vidorch_local.diffusion.pool.maker import Hello, News

__all__ = ["Line", "Lost"]

ASK = 5.0  # seconds that a worker keeps a question for news that it has none for
ANSWER = 60.0  # seconds beyond that after which a worker that says nothing is given up, and ended
PIECE = 16_000_000  # bytes of frames at a time: the most that lies in memory twice


class Lost(Exception):
    """The worker is gone, with what it was at; says how it ended."""


class Line:
    """One actor.

    Args:
        actor: Ray's handle. hello: what it said of itself.
    """

    def __init__(self, actor: Any, hello: Hello) -> None:
        self._actor = actor
        self.node, self.pid = hello.node, hello.pid
        self._is_killed = threading.Event()

    def start(self, job: Job, from_node: str) -> None:
        """Give it a clip to make."""
        self._answer(self._actor.start.remote(job, from_node))

    def news(self, job_id: str, seen: int) -> News:
        """How far it is. A worker that cannot be reached for a moment is asked again: nothing is begun by asking."""
        until = time.monotonic() + ANSWER
        while True:
            try:
                news: News = self._answer(self._actor.news.remote(job_id, seen, ASK))
            except _Unavailable as error:
                if time.monotonic() > until:
                    raise
                if self._is_killed.wait(1.0):
                    raise Lost(f"the worker on node {self.node} was ended") from error
            else:
                return news

    def frames(self, job_id: str, shape: tuple[int, ...]) -> Frames:
        """The frames of a clip that is made: one array here, filled by pieces, so that no process ever holds them twice."""
        import numpy as np

        made = np.empty(shape, np.uint8)
        step = max(1, PIECE // max(math.prod(shape[1:]), 1))
        for start in range(0, shape[0], step):
            piece = self._answer(self._actor.piece.remote(job_id, start, start + step))
            if piece is None:
                raise Lost(f"the worker on node {self.node} does not know the clip any more")
            made[start : start + step] = piece
        return made

    def stop(self, job_id: str) -> None:
        """Have it end a clip at its next step; does not wait for that."""
        with contextlib.suppress(Exception):  # a worker that is gone has ended it already
            self._actor.stop.remote(job_id)

    def forget(self, job_id: str) -> None:
        """Have it let go of a clip; does not wait for that."""
        with contextlib.suppress(Exception):
            self._actor.forget.remote(job_id)

    def kill(self) -> None:
        """End its process now, whatever it is at."""
        import ray

        self._is_killed.set()
        with contextlib.suppress(Exception):
            ray.kill(self._actor, no_restart=True)

    def _answer(self, asked: Any) -> Any:
        """What it answers.

        Raises:
            Lost: it is gone, or says nothing. Whatever its method raised: a fault of ours, which a repeat would not mend.
        """
        import ray
        from ray import exceptions

        try:
            return ray.get(asked, timeout=ASK + ANSWER)
        except exceptions.RayTaskError:
            raise
        except exceptions.ActorUnavailableError as error:
            raise _Unavailable(f"the worker on node {self.node} cannot be reached") from error
        except exceptions.GetTimeoutError as error:
            raise Lost(
                f"the worker on node {self.node} said nothing for {ASK + ANSWER:.0f} s and was ended"
            ) from error
        except (exceptions.RayError, ConnectionError) as error:
            raise Lost(f"the worker on node {self.node} {_how(error)}") from error


class _Unavailable(Lost):
    """It may come back."""


def _how(error: Exception) -> str:
    """How a worker ended, in Ray's words as far as they tell."""
    said = str(error)
    lower = said.lower()
    if "low on memory" in lower or "memory pressure" in lower:
        return "was ended by Ray since the memory of the node ran out"
    if any(words in lower for words in ("node died", "node has died", "is dead or unavailable")):
        return "is gone with its node"
    if isinstance(error, ConnectionError):
        return "cannot be reached: the connection to the cluster is gone"
    return "died (killed, or crashed)"
