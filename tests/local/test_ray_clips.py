"""Workers on Ray from end to end: real actors with tiny models on this machine, prompt in, MP4 out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.local import tiny
from tests.local.held import HeldMaker, Theatre
from vidorch import Client, Endpoint, ProviderFailed, media
from vidorch.result import Clip, Progress
from vidorch_local.diffusion.backend import Diffusion
from vidorch_local.diffusion.pool.engine import Pool
from vidorch_local.provider import Local

pytestmark = [pytest.mark.torch, pytest.mark.ray]

HOLD = "hold at 2: a lighthouse at dusk"
T2V: dict[str, Any] = {"duration": 0.5, "aspect_ratio": "1:1", "steps": 4, "seed": 7}
CLUSTER: dict[str, Any] = {"model": "cluster/tiny-t2v", **T2V}


def frames(clip: Clip) -> Any:
    assert clip.path is not None
    return np.stack(list(media.frames(clip.path)))


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with Theatre() as theatre:
        yield theatre


@pytest.fixture(scope="module")
def make_client(
    theatre: Theatre, tmp_path_factory: pytest.TempPathFactory, weights: Callable[[str], Path]
) -> Callable[..., Client]:
    """A client whose endpoint `cluster` has workers that can be held."""

    def make(**options: Any) -> Client:
        endpoint = Endpoint("cluster", "local", options={"ray": "local", "env": theatre.env, **options})
        return Client(
            home=tmp_path_factory.mktemp("home"),
            catalog=tiny.catalog_of(tiny.offer_of("t2v", weights("t2v"))),
            endpoints={"cluster": endpoint},
            providers={"local": Local(Diffusion(pool=partial(Pool, maker=HeldMaker)))},
        )

    return make


@pytest.fixture(scope="module")
def client(make_client: Callable[..., Client]) -> Iterator[Client]:
    """One client with two workers for all tests."""
    with make_client(actors=2) as client:
        yield client


class TestTwoWorkers:
    def test_make_two_clips_at_once_that_are_those_of_this_process(
        self, client: Client, theatre: Theatre
    ) -> None:
        """Each in a process of its own, equal bit for bit to what the same seed gives here."""
        run = client.submit(HOLD, candidates=2, **CLUSTER)
        both = [theatre.next(), theatre.next()]
        assert 2 == len({held.pid for held in both})
        for held in both:
            held.go_on()
        here = client.generate(HOLD, candidates=2, **CLUSTER | {"model": "local/tiny-t2v"})
        for theirs, ours in zip(run.wait().candidates, here.candidates, strict=True):
            assert np.array_equal(frames(ours), frames(theirs))

    def test_let_a_third_clip_see_its_place_and_leave_it(self, client: Client, theatre: Theatre) -> None:
        """Two are at work, so it waits behind two; cancelled there it ends at once, and nothing was charged."""
        run = client.submit(HOLD, candidates=2, **CLUSTER)
        both = [theatre.next(), theatre.next()]
        seen, in_line = [], threading.Event()

        def look(progress: Progress) -> None:
            seen.append(progress.stage)
            if progress.stage == "queued behind 2":
                in_line.set()

        third = client.submit(HOLD, on_progress=look, **CLUSTER)
        assert in_line.wait(60), seen
        third.cancel()
        with pytest.raises(ProviderFailed, match="cancelled") as caught:
            third.wait()
        assert False is caught.value.charged
        for held in both:
            held.go_on()
        assert 2 == len(run.wait().candidates)


class TestProgress:
    def test_is_told_by_step_with_the_seconds_left_and_the_node(
        self, client: Client, theatre: Theatre
    ) -> None:
        """As of a clip in this process."""
        told: list[Progress] = []
        there = threading.Event()

        def look(progress: Progress) -> None:
            if progress.stage.startswith("denoise 3/4, cpu, on "):
                told.append(progress)
                there.set()

        run = client.submit(HOLD.replace("2", "3"), on_progress=look, **CLUSTER)
        held = theatre.next()
        assert there.wait(60)
        held.go_on()
        run.wait()
        assert (pytest.approx(0.7), True) == (told[0].fraction, told[0].eta is not None)


class TestCancelling:
    def test_stops_at_the_next_step_and_keeps_the_worker(self, client: Client, theatre: Theatre) -> None:
        """The job ends as cancelled; the process goes on with the next clip."""
        pools = {process.pid for process in psutil.Process().children(recursive=True)}
        run = client.submit(HOLD, **CLUSTER)
        held = theatre.next()
        held.go_on_when_stopped()
        run.cancel()
        with pytest.raises(ProviderFailed, match="cancelled"):
            run.wait()
        assert ("cancelled", True) == (run.state, psutil.pid_exists(held.pid))
        assert held.pid in pools
        assert 7 == client.generate("a lighthouse at dusk", **CLUSTER).clip.seed


class TestAWorkerThatIsKilled:
    def test_is_followed_by_another_that_makes_the_clip(self, client: Client, theatre: Theatre) -> None:
        """The same clip comes, with a note of what was lost and how long that took."""
        run = client.submit(HOLD, **CLUSTER)
        first = theatre.next()
        first.die()
        second = theatre.next()
        second.go_on()
        result = run.wait()
        here = client.generate(HOLD, **CLUSTER | {"model": "local/tiny-t2v"})
        assert first.pid != second.pid
        assert np.array_equal(frames(here.clip), frames(result.clip))
        assert ["begun again" in note for note in result.notes].count(True) == 1
        assert result.clip.timings.details["lost"] > 0

    def test_each_time_ends_the_job_after_the_bound(self, client: Client, theatre: Theatre) -> None:
        """Once more and not oftener; nothing was charged, and it says what became of the workers."""
        run = client.submit(HOLD, **CLUSTER)
        theatre.next().die()
        theatre.next().die()
        with pytest.raises(
            ProviderFailed, match="lost its worker 2 times: .* died .killed, or crashed.;"
        ) as caught:
            run.wait()
        assert False is caught.value.charged


class TestClosing:
    def test_ends_a_clients_workers_and_leaves_those_of_another(
        self, client: Client, theatre: Theatre, make_client: Callable[..., Client]
    ) -> None:
        """Two clients share one Ray, which stays as long as one of them is open."""
        run = client.submit(HOLD, **CLUSTER)
        others = theatre.next()
        with make_client(actors=1, cpus_per_actor=0) as second:
            second.submit(HOLD, **CLUSTER)
            held = theatre.next()
            process = psutil.Process(held.pid)
        process.wait(60)
        others.go_on()
        assert 7 == run.wait().clip.seed
