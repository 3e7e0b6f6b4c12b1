"""What an endpoint's `options` say of Ray: which cluster, how many workers, and what each of them takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vidorch.errors import InvalidRequest, shown
from vidorch.request import is_real, nearest_name

__all__ = ["NAMES", "ClusterOptions", "split"]

WORDS = ("auto", "local")
_ADDRESS = re.compile(r"(?:ray://)?(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):(?P<port>\d{1,5})")
MOST_ACTORS = 1_000


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The workers of one endpoint.

    Attributes:
        address: "local" for a Ray of this program's own, "auto" for the one that `RAY_ADDRESS` or this machine has and one of
            its own where there is none, `"host:6379"` from a machine of the cluster, `"ray://host:10001"` from any other.
        actors: how many workers; None for as many as the cluster has GPUs for, one where it has none.
        gpus: of each worker, a fraction for several on one; None for one where there are any and the endpoint's device is no CPU.
        cpus: likewise. resources: Ray's own, by name. env: variables of the workers' environment.
        repeats: how often a clip is begun again whose worker died. start_timeout: seconds that a worker may take to come.
    """

    address: str
    actors: int | None = None
    gpus: float | None = None
    cpus: float = 1.0
    resources: tuple[tuple[str, float], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    repeats: int = 1
    start_timeout: float = 600.0

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """Where a connection has to be possible; None where the address is a word."""
        if self.address in WORDS:
            return None
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        return host.strip("[]"), int(port)


def split(
    options: Mapping[str, Any], endpoint: str = "local"
) -> tuple[ClusterOptions | None, dict[str, Any]]:
    """What concerns the cluster, None where no `ray` is named, and the other options as they are.

    Raises:
        InvalidRequest: a value that cannot be used, or an option of workers without `ray`.
    """
    ours = {key: value for key, value in options.items() if key in _KINDS}
    rest = {key: value for key, value in options.items() if key not in _KINDS}
    if not ours:
        return None, rest
    if "ray" not in ours:
        first = next(iter(ours))
        raise InvalidRequest(
            f"endpoints.{endpoint}.options.{first} is about workers on Ray, and no ray is named. Nothing was made.",
            hint='Name the cluster: ray = "auto", "local", "host:6379" or "ray://host:10001".',
            field=f"endpoints.{endpoint}.options.{first}", value=ours[first], allowed="with ray",
        )  # fmt: skip
    made = ClusterOptions("")
    for key, value in ours.items():
        right, read, allowed, name = _KINDS[key]
        if not right(value):
            called = f"endpoints.{endpoint}.options.{key}"
            near = nearest_name(value, WORDS) if key == "ray" and isinstance(value, str) else None
            meant = f" Did you mean {near!r}?" if near else ""
            raise InvalidRequest(
                f"{called}={shown(value)} cannot be used. Allowed is {allowed}.{meant} Nothing was made.",
                field=called, value=value, allowed=allowed,
            )  # fmt: skip
        made = replace(made, **{name: read(value)})
    return made, rest


def _is_address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    found = _ADDRESS.fullmatch(value)
    return value in WORDS or (found is not None and 0 < int(found["port"]) < 65_536)


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _number(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: is_real(value) and least <= value <= most


def _table(right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(isinstance(key, str) and right(one) for key, one in value.items())
    )


_KINDS: Mapping[str, tuple[Callable[[Any], bool], Callable[[Any], Any], str, str]] = {
    "ray": (_is_address, str, "'auto', 'local', 'host:6379' or 'ray://host:10001'", "address"),
    "actors": (_whole(1, MOST_ACTORS), int, f"1 to {MOST_ACTORS}", "actors"),
    "gpus_per_actor": (_number(0, 64), float, "0 to 64", "gpus"),
    "cpus_per_actor": (_number(0, 1024), float, "0 to 1024", "cpus"),
    "resources": (
        _table(_number(0.0001, 1e9)),
        lambda value: tuple((key, float(one)) for key, one in sorted(value.items())),
        "a table of Ray's own resources, such as { h100 = 1 }",
        "resources",
    ),
    "env": (
        _table(lambda value: isinstance(value, str)),
        lambda value: tuple(sorted(value.items())),
        'a table of variables, such as { HF_HOME = "/models" }',
        "env",
    ),
    "repeats": (_whole(0, 10), int, "0 to 10", "repeats"),
    "start_timeout": (_number(1, 86_400), float, "1 to 86400 seconds", "start_timeout"),
}
NAMES = tuple(_KINDS)
