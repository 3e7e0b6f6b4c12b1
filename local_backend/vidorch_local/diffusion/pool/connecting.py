"""The one connection to Ray that a process can have: shared by its clients, and never taken from a program that made it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vidorch.errors import MissingCredentials, ProviderFailed
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion.pool.options import ClusterOptions

__all__ = ["Connection", "connect", "look", "require"]

KNOCK = 5.0  # seconds that an address may take to answer: ray.init itself tries a dead one for a minute and longer
START = 120.0  # seconds for all of ray.init; a Ray of one's own takes 5 to 20
LEAVE = 30.0
STORE = 200_000_000  # bytes of shared memory of a Ray of our own; frames pass through it by pieces of a few megabytes

_TOKENS = "RAY_AUTH_MODE"

_lock = threading.RLock()
_shared: _Shared | None = None
_is_forked = False


def require(name: str, options: ClusterOptions) -> None:
    """See to it that Ray is installed.

    Raises:
        MissingCredentials: it is not; names the extra.
    """
    lacking = [package for package in ("ray", "grpc") if find_spec(package) is None]
    if "ray" in lacking or (lacking and options.address.startswith("ray://")):
        what = "ray" if "ray" in lacking else "grpcio, which addresses of ray:// need"
        extras = (
            "ray" if options.address.startswith("ray://") else "local,ray"
        )  # who only submits needs no torch
        raise MissingCredentials(
            f"{name} runs on a Ray cluster, by the package {what}. It is not installed. Nothing was made.",
            hint=f'pip install "vidorch[{extras}]"', extra="ray", provider=PROVIDER,
        )  # fmt: skip


def look(options: ClusterOptions, endpoint: str) -> str:
    """Where the cluster is, in words, once somebody answers there. Nothing is started for that.

    Raises:
        MissingCredentials: Ray is not installed. ProviderFailed: nobody answers.
    """
    require(f"endpoint {endpoint}", options)
    address = _resolved(options)
    if address == "local":
        return "a Ray of its own is started with the first clip"
    _knock(address, endpoint)
    return f"the Ray cluster at {address} answers"


class Connection:
    """A claim on the shared connection, to be given back once."""

    def __init__(self, shared: _Shared) -> None:
        self._shared: _Shared | None = shared
        self.is_own = shared.is_own

    def release(self) -> None:
        """The last one ends what was connected here, with all that runs on it; what the program itself connected stays."""
        global _shared
        with _lock:
            shared, self._shared = self._shared, None
            if shared is None or shared is not _shared:  # given back already, or the parent's, in a fork
                return
            shared.users -= 1
            if shared.users == 0:
                _shared = None
                shared.end()


def connect(options: ClusterOptions, endpoint: str) -> Connection:
    """Join the cluster, or the connection that this process has.

    Raises:
        MissingCredentials: Ray is not installed. ProviderFailed: nobody answers there, this process is connected to another
            cluster, or it was forked from one that is connected.
    """
    global _shared
    require(f"endpoint {endpoint}", options)
    import ray

    with _lock:
        if _is_forked:
            raise _failed(
                "This process was forked from one that is connected to Ray, which does not survive that. Nothing was made.",
                'Start processes by "spawn", or fork before the first clip.',
            )
        if _shared is not None and not _shared.is_alive():
            _shared = None
        if _shared is None and ray.is_initialized():
            _check_theirs(options, endpoint)
            _shared = _Shared("theirs")
        elif _shared is None:
            _shared = _begun(_resolved(options), options, endpoint)
        elif _shared.is_theirs:
            _check_theirs(options, endpoint)
        elif (wanted := _resolved(options)) not in (_shared.address, "local" if _shared.is_own else ""):
            raise _failed(
                f"This process is connected to {_shared}, and the endpoint {endpoint} wants {wanted}. Ray allows a process "
                "one cluster. Nothing was made.",
                "Use the other one from a process of its own.",
            )
        _shared.users += 1
        return Connection(_shared)


class _Shared:
    """What is connected.

    Attributes:
        address: as it was resolved, or "theirs" for what the program itself connected.
    """

    def __init__(self, address: str) -> None:
        self.address, self.users = address, 0
        self.is_theirs, self.is_own = address == "theirs", address == "local"
        self.ready, self.error = threading.Event(), None
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None

    error: BaseException | None

    def __str__(self) -> str:
        return "a Ray of its own" if self.is_own else f"the Ray cluster at {self.address}"

    def is_alive(self) -> bool:
        import ray

        return bool(ray.is_initialized())

    def begin(self, settings: dict[str, Any]) -> None:
        """Connect on a thread that stays: the kernel ends the processes of a Ray of our own with the thread that began them."""
        self._thread = threading.Thread(target=self._hold, args=(settings,), name="vidorch-ray", daemon=True)
        self._thread.start()

    def _hold(self, settings: dict[str, Any]) -> None:
        import ray

        before = os.environ.get(_TOKENS)
        try:
            ray.init(**settings)
        except BaseException as error:
            self.error = error
            return
        finally:
            self.ready.set()
        with _quietly():
            self._leave.wait()
            ray.shutdown()
        if before is None:  # Ray switches it on for a cluster of its own, and leaves it so for the next one
            os.environ.pop(_TOKENS, None)

    def end(self) -> None:
        """Leave the cluster, which ends every worker of this process there."""
        self._leave.set()
        if self._thread is not None:
            self._thread.join(LEAVE)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what Ray prints on stdout of each worker that dies, though it is told to keep logs from its driver: `--json` is one
    document there.
    """
    from ray._private import worker

    had = getattr(worker, "_worker_logs_enabled", True)
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = had


def _begun(address: str, options: ClusterOptions, endpoint: str) -> _Shared:
    if address != "local":
        _knock(address, endpoint)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # without it Ray tells its makers of each cluster
    # By this word alone Ray takes the token of this machine for a cluster of this machine.
    is_found = options.address == "auto" and address != "local" and not os.environ.get("RAY_ADDRESS")
    settings: dict[str, Any] = {
        "address": "auto" if is_found else address, "log_to_driver": False, "logging_level": logging.ERROR,
    }  # fmt: skip
    if address == "local":
        wanted = math.ceil((options.actors or 1) * options.cpus)
        settings |= {
            "num_cpus": max(os.cpu_count() or 1, wanted), "object_store_memory": STORE, "include_dashboard": False,
        }  # fmt: skip
    shared = _Shared(address)
    shared.begin(settings)
    if not shared.ready.wait(START):
        shared.end()
        raise _failed(
            f"Connecting to {shared} took longer than {START:.0f} s. Nothing was made.", _outside(address)
        )
    if shared.error is not None:
        said = str(shared.error).strip().partition("\n")[0].rstrip(".") or type(shared.error).__name__
        raise _failed(f"{shared} cannot be used: {said}. Nothing was made.", _outside(address))
    return shared


def _resolved(options: ClusterOptions) -> str:
    """The address that is meant. "auto" is what Ray's own tools go by, but never what another program started for itself."""
    if options.address != "auto":
        return options.address
    if named := os.environ.get("RAY_ADDRESS", ""):
        return named
    kept = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    try:
        found = kept.read_text("utf-8").strip()
        _knock(found, "")
    except (OSError, ProviderFailed):  # none was started here, or it is gone
        return "local"
    return found


def _knock(address: str, endpoint: str) -> None:
    try:
        place = ClusterOptions(address).host_and_port
        if place is None:
            return
        socket.create_connection(place, KNOCK).close()
    except (OSError, ValueError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or str(error)
        raise _failed(
            f"The Ray cluster of the endpoint {endpoint}, {address}, cannot be reached: {why}. Nothing was made, and nothing was "
            "paid.",
            _outside(address),
        ) from None


def _outside(address: str) -> str:
    if address in ("local", "theirs"):
        return "What Ray says of it stands in /tmp/ray/session_latest/logs."
    locked = "Where it wants a token, RAY_AUTH_MODE=token is needed here, and that in ~/.ray/auth_token."
    if address.startswith("ray://"):
        return f"See `ray status` there: is it up, is this its client port (10001), has it the same Ray and Python? {locked}"
    return f"See `ray status` there: is it up? From outside of the cluster its address is ray://HOST:10001. {locked}"


def _check_theirs(options: ClusterOptions, endpoint: str) -> None:
    """A program that has a Ray of its own gets its clips made there, unless it names another place."""
    place = options.host_and_port
    if place is None or options.address.startswith("ray://"):
        return
    import ray

    there = str(ray.get_runtime_context().gcs_address)
    host, _, port = there.rpartition(":")
    if str(place[1]) == port and (place[0] == host or _ip(place[0]) in (host, "127.0.0.1")):
        return
    raise _failed(
        f"This program is connected to Ray at {there}, and the endpoint {endpoint} wants {options.address}. Ray allows a process "
        "one cluster. Nothing was made.",
        'ray = "auto" takes the one that it has.',
    )


def _ip(host: str) -> str:
    try:
        return socket.gethostbyname(host)
    except OSError:
        return ""


def _failed(said: str, hint: str) -> ProviderFailed:
    return ProviderFailed(said, hint=hint, charged=False, provider=PROVIDER)


def _after_fork() -> None:
    """The parent's connection is no use here, and what is given back here must not end it there."""
    global _shared, _lock, _is_forked
    _lock, _shared = threading.RLock(), None
    ray = sys.modules.get("ray")
    _is_forked = _is_forked or (ray is not None and bool(ray.is_initialized()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
