"""How workers come: an actor with what the endpoint's options give it, waited for as long as they allow, and looked at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from vidorch.errors import ProviderFailed
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion.pool.connecting import Connection, connect
from vidorch_local.diffusion.pool.maker import Hello, Maker
from vidorch_local.diffusion.pool.options import ClusterOptions
from vidorch_local.diffusion.pool.talking import Line

__all__ = ["Hiring"]

LOOK = 1.0  # seconds between two looks at whether a worker that is still to come is wanted any more
_AT_ONCE = (
    8  # calls of an actor: its clips are made on a thread of its own, and are asked for and stopped meanwhile
)


class Hiring:
    """Of one endpoint.

    Args:
        options: of the cluster. endpoint: its name. device: as the endpoint says it. maker: what each actor is.
    """

    def __init__(
        self,
        options: ClusterOptions,
        endpoint: str,
        device: str | None,
        maker: type[Maker],
        clock: Callable[[], float],
    ) -> None:
        self._options, self._endpoint, self._device = options, endpoint, device
        self._maker, self._clock = maker, clock
        self._connection: Connection | None = None
        self._has_left = False

    def join(self) -> int:
        """Join the cluster, once, and say how many workers there are to be.

        Raises:
            VidorchError: it cannot be joined.
        """
        if self._connection is None:
            self._connection = connect(self._options, self._endpoint)
        if self._has_left:  # meanwhile
            self.leave()
            raise ProviderFailed("The client is closed. Nothing was made.", charged=False, provider=PROVIDER)
        if self._options.actors is not None:
            return self._options.actors
        gpus = self._gpus()
        return max(1, math.floor(_cluster().get("GPU", 0) / gpus)) if gpus else 1

    def hire(self, is_enough: Callable[[], bool]) -> Line | None:
        """A line to a new worker; None once nobody wants one any more.

        Raises:
            VidorchError: the cluster has no room, or what came cannot make clips.
        """
        import ray

        gpus = self._gpus()
        # Neither restarts nor retries of Ray's: whether a clip is begun again is decided in one place.
        settings: dict[str, Any] = {
            "num_cpus": self._options.cpus, "num_gpus": gpus, "resources": dict(self._options.resources) or None,
            "max_restarts": 0, "max_task_retries": 0, "max_concurrency": _AT_ONCE,
            "runtime_env": {"env_vars": dict(self._options.env)} if self._options.env else None,
        }  # fmt: skip
        device = self._device or ("auto" if gpus else "cpu")
        actor = ray.remote(self._maker).options(**settings).remote(device, self._endpoint)
        coming = actor.hello.remote()
        began = self._clock()
        while not ray.wait([coming], timeout=LOOK)[0]:
            late = self._clock() - began > self._options.start_timeout
            if is_enough() or late or self._is_too_small(gpus):
                ray.kill(actor)
                if is_enough():
                    return None
                raise self._no_room(gpus)
        try:
            hello: Hello = ray.get(coming)
        except ray.exceptions.RayError as error:
            raise self._could_not_start(error) from None
        line = Line(actor, hello)
        if (trouble := hello.trouble or _other_version(hello)) is not None:
            line.kill()
            raise trouble
        return line

    def leave(self) -> None:
        """Give the connection back; one that is only being made is given back by whoever makes it."""
        self._has_left = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _gpus(self) -> float:
        """Of each worker."""
        if self._options.gpus is not None:
            return self._options.gpus
        return 1.0 if self._device != "cpu" and _cluster().get("GPU", 0) >= 1 else 0.0

    def _takes(self, gpus: float) -> Mapping[str, float]:
        return {"CPU": self._options.cpus, "GPU": gpus, **dict(self._options.resources)}

    def _is_too_small(self, gpus: float) -> bool:
        """Whether a Ray of our own, which never grows, has less than one worker takes."""
        if self._connection is None or not self._connection.is_own:
            return False
        there = _cluster()
        return any(there.get(name, 0) < amount for name, amount in self._takes(gpus).items())

    def _no_room(self, gpus: float) -> ProviderFailed:
        there = _cluster()
        said = ", ".join(
            f"{name} {amount:g} of {there.get(name, 0):g}"
            for name, amount in self._takes(gpus).items()
            if amount
        )
        return ProviderFailed(
            f"The Ray cluster of the endpoint {self._endpoint} has no room for a worker, which takes {said}. Nothing was made, "
            "and nothing was paid.", charged=False, provider=PROVIDER,
            hint="`ray status` shows what is taken; gpus_per_actor, cpus_per_actor, resources and start_timeout are options of "
            "the endpoint.",
        )  # fmt: skip

    def _could_not_start(self, error: Exception) -> ProviderFailed:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[-1] if lines else type(error).__name__
        return ProviderFailed(
            f"A worker of the endpoint {self._endpoint} could not start on Ray: {said}. Nothing was made, and nothing was paid.",
            hint="Every node needs vidorch[local,ray] in the environment that Ray was started in.",
            charged=False, provider=PROVIDER,
        )  # fmt: skip


def _cluster() -> Mapping[str, float]:
    import ray

    resources: Mapping[str, float] = ray.cluster_resources()
    return resources


def _other_version(hello: Hello) -> ProviderFailed | None:
    ours = version("vidorch")
    if hello.version == ours:
        return None
    return ProviderFailed(
        f"Node {hello.node} has vidorch {hello.version}, and here it is {ours}. Nothing was made.",
        hint="Install the same version on all nodes.", charged=False, provider=PROVIDER,
    )  # fmt: skip
