"""What becomes of workers on Ray: how they come, are lost and end, and whose Ray it is. Without torch, on a Ray of the program's own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.local.light import (
    BrokenMaker,
    LateMaker,
    LightMaker,
    OldMaker,
    PoorMaker,
    end_of,
    frames_of,
    job_of,
)
from vidorch import MissingCredentials, ProviderFailed
from vidorch_local.diffusion.jobs import Made
from vidorch_local.diffusion.pool import connecting, talking
from vidorch_local.diffusion.pool.engine import Pool
from vidorch_local.diffusion.pool.options import ClusterOptions

pytestmark = [pytest.mark.torch, pytest.mark.ray]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def own_ray() -> Iterator[Any]:
    """What a program that uses Ray by itself has done before."""
    ray = pytest.importorskip("ray")
    ray.init(
        address="local", num_cpus=2, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
    yield ray
    ray.shutdown()


@pytest.fixture
def make_pool() -> Iterator[Callable[..., Pool]]:
    """Makes pools that are closed in the end."""
    made: list[Pool] = []

    def make(maker: type[LightMaker] = LightMaker, device: str | None = None, **options: Any) -> Pool:
        made.append(Pool(ClusterOptions("auto", **{"actors": 1, **options}), "cluster", device, maker=maker))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def pid_of(made: Made) -> int:
    (said,) = (note for note in made.notes if note.startswith("pid "))
    return int(said.removeprefix("pid "))


class TestFrames:
    @pytest.mark.parametrize("shape", [(2, 4, 4, 3), (5, 40, 30, 3), (31, 40, 3)], ids=str)
    def test_come_by_pieces_as_they_are(
        self, make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
    ) -> None:
        """Of clips and of stills, whatever a piece holds."""
        monkeypatch.setattr(talking, "PIECE", 8_000)
        job = job_of("job_1", shape=shape)
        made = end_of(make_pool(), job).ended
        assert isinstance(made, Made)
        assert np.array_equal(frames_of(job), made.frames)

    def test_of_a_large_clip_need_no_large_store(self, make_pool: Callable[..., Pool]) -> None:
        """223 MB, as of 81 frames of 720p, through a store of 100 MB."""
        job = job_of("job_1", shape=(81, 720, 1280, 3))
        made = end_of(make_pool(), job).ended
        assert isinstance(made, Made)
        assert np.array_equal(frames_of(job), made.frames)


class TestAWorker:
    def test_stays_for_the_next_clip(self, make_pool: Callable[..., Pool]) -> None:
        """What it has loaded stays with it."""
        pool = make_pool()
        first, second = (end_of(pool, job_of(f"job_{i}")).ended for i in range(2))
        assert isinstance(first, Made)
        assert isinstance(second, Made)
        assert pid_of(first) == pid_of(second)

    def test_that_dies_leaves_its_clip_at_work(self, make_pool: Callable[..., Pool]) -> None:
        """Hours of hardware count from when the first one began, so the clip is never told as waiting for its turn again."""
        pool, seen, ended = make_pool(), [], threading.Event()

        def look() -> None:
            state = pool.state("job_1")
            if state is not None:
                seen.append(state.stage)
                if state.ended is not None:
                    ended.set()

        pool.start(job_of("job_1", die=True), look)
        assert ended.wait(90)
        assert {"load"} == set(seen[seen.index("load") :])

    def test_that_dies_is_not_replaced_where_no_repeats_are_wanted(
        self, make_pool: Callable[..., Pool]
    ) -> None:
        """The clip ends; the next one has another worker."""
        pool = make_pool(repeats=0)
        ended = end_of(pool, job_of("job_1", die=True)).ended
        assert isinstance(ended, ProviderFailed)
        assert "lost its worker once" in ended.message
        assert isinstance(end_of(pool, job_of("job_2")).ended, Made)

    @pytest.mark.parametrize(
        ("maker", "kind", "said"),
        [
            (BrokenMaker, ProviderFailed, "could not start on Ray: RuntimeError: no driver for this card"),
            (PoorMaker, MissingCredentials, "No torch on gpu-2."),
            (OldMaker, ProviderFailed, "Node gpu-2 has vidorch 0.0.1"),
        ],
    )
    def test_that_cannot_make_clips_ends_them_with_the_reason(
        self, make_pool: Callable[..., Pool], maker: type[LightMaker], kind: type[Exception], said: str
    ) -> None:
        """Each that waits, by an attempt of its own."""
        pool = make_pool(maker)
        for name in ("job_1", "job_2"):
            ended = end_of(pool, job_of(name)).ended
            assert isinstance(ended, kind)
            assert said in str(ended)

    def test_for_which_there_is_no_room_is_not_waited_for_for_ever(
        self, make_pool: Callable[..., Pool]
    ) -> None:
        """Says what it takes and what there is."""
        ended = end_of(make_pool(resources=(("h100", 1.0),), start_timeout=1.0), job_of("job_1")).ended
        assert isinstance(ended, ProviderFailed)
        assert "takes CPU 1 of 2, h100 1 of 0" in ended.message

    def test_that_is_still_to_come_keeps_no_clip_that_is_cancelled(
        self, make_pool: Callable[..., Pool]
    ) -> None:
        """It ends at once, as one that waits."""
        import socket

        with socket.create_server(("127.0.0.1", 0)) as door:
            pool = make_pool(LateMaker, str(door.getsockname()[1]))
            ended = threading.Event()
            pool.start(job_of("job_1"), ended.set)
            line, _ = door.accept()
            pool.stop("job_1")
            state = pool.state("job_1")
            line.close()
        assert state is not None
        assert (True, True) == (state.stopped, isinstance(state.ended, ProviderFailed))


class TestARayOfTheProgramsOwn:
    def test_stays_when_all_clients_are_closed(self, make_pool: Callable[..., Pool], own_ray: Any) -> None:
        """And the workers are gone."""
        pools = [make_pool(), make_pool()]
        made = [end_of(pool, job_of("job_1")).ended for pool in pools]
        processes = [psutil.Process(pid_of(one)) for one in made if isinstance(one, Made)]
        for pool in pools:
            pool.close()
        assert (2, [], True) == (
            len(processes),
            psutil.wait_procs(processes, 60)[1],
            own_ray.is_initialized(),
        )

    def test_is_used_where_it_is_the_one_that_is_named(self, own_ray: Any) -> None:
        """By its address."""
        address = own_ray.get_runtime_context().gcs_address
        connecting.connect(ClusterOptions(address), "cluster").release()
        assert own_ray.is_initialized()

    def test_is_not_left_for_another_one(self) -> None:
        """A process has one at most, and whose that is was said first by the program."""
        with pytest.raises(ProviderFailed, match="This program is connected to Ray at"):
            connecting.connect(ClusterOptions("10.0.0.5:6379"), "cluster")


FORKING = """
import os, sys
from tests.local.light import LightMaker, end_of, job_of
from vidorch import ProviderFailed
from vidorch_local.diffusion.pool.engine import Pool
from vidorch_local.diffusion.pool.options import ClusterOptions

options = ClusterOptions("local", actors=1, repeats=0)
pool = Pool(options, "cluster", maker=LightMaker)
first = end_of(pool, job_of("job_1")).ended
child = os.fork()
if child == 0:
    pool.close()
    ended = end_of(Pool(options, "cluster", maker=LightMaker), job_of("job_1")).ended
    os._exit(0 if isinstance(ended, ProviderFailed) and "was forked" in ended.message else 1)
assert 0 == os.waitpid(child, 0)[1]
assert first.notes == end_of(pool, job_of("job_2")).ended.notes
assert isinstance(end_of(pool, job_of("job_3", die=True)).ended, ProviderFailed)
import psutil
print(*(process.pid for process in psutil.Process().children(recursive=True)))
"""


class TestAnInterpreterThatEnds:
    def test_leaves_no_process_behind_and_says_nothing(self, tmp_path: Path) -> None:
        """Though nothing was closed; and a fork of it gets a clear word, and ends nothing of its parent's."""
        script = tmp_path / "script.py"
        script.write_text(FORKING)
        ran = subprocess.run(
            [sys.executable, str(script)],
            cwd=ROOT, env={**connecting.os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert 0 == ran.returncode, ran.stderr
        (line,) = ran.stdout.splitlines()  # nothing of Ray's is on it, though a worker was killed
        left = [psutil.Process(int(pid)) for pid in line.split() if psutil.pid_exists(int(pid))]
        assert (True, []) == (len(line.split()) > 3, psutil.wait_procs(left, 30)[1])


class TestAClusterThatCannotBeReached:
    def test_ends_the_clip_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before ray.init, which would try for minutes."""
        import ray

        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        pool = Pool(ClusterOptions("127.0.0.1:1"), "cluster", maker=LightMaker)
        ended = end_of(pool, job_of("job_1")).ended
        pool.close()
        assert isinstance(ended, ProviderFailed)
        assert "The Ray cluster of the endpoint cluster, 127.0.0.1:1, cannot be reached" in ended.message
