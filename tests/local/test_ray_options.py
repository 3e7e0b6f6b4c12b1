"""What an endpoint may say of workers on Ray, and what is said where Ray, the cluster or the weights are not there."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local import tiny
from vidorch import Client, Endpoint, InvalidRequest, MissingCredentials, Unsupported
from vidorch.clock import RealClock
from vidorch.contract import Context, Health
from vidorch.hardware import hour_of
from vidorch.naming import offers_at
from vidorch.offer import Offer
from vidorch_local.diffusion.folders import Found
from vidorch_local.diffusion.jobs import Job
from vidorch_local.diffusion.pool import connecting
from vidorch_local.diffusion.pool.maker import Maker
from vidorch_local.diffusion.pool.options import ClusterOptions, split
from vidorch_local.diffusion.worker import Worker
from vidorch_local.provider import Local


@pytest.fixture
def refusing() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def answering() -> Iterator[str]:
    """An address at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield f"127.0.0.1:{door.getsockname()[1]}"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which packages are there."""

    def say(*packages: str) -> None:
        monkeypatch.setattr(connecting, "find_spec", lambda name: object() if name in packages else None)

    return say


def context(options: dict[str, Any], folder: Path) -> Context:
    endpoint = Endpoint("cluster", "local", options=options)
    return Context(endpoint=endpoint, clock=RealClock(), job_id="job_1", folder=folder)


class TestOptions:
    def test_name_a_cluster_and_what_a_worker_takes(self) -> None:
        """The others are left to whoever knows them."""
        given = {"ray": "ray://head:10001", "actors": 4, "gpus_per_actor": 0.5, "cpus_per_actor": 2, "resources": {"h100": 1},
                 "env": {"HF_HOME": "/models"}, "repeats": 0, "start_timeout": 60, "keep_gb": 0}  # fmt: skip
        expected = ClusterOptions(
            "ray://head:10001", 4, 0.5, 2.0, (("h100", 1.0),), (("HF_HOME", "/models"),), 0, 60.0
        )
        assert (expected, {"keep_gb": 0}) == split(given)

    def test_without_ray_are_of_this_process(self) -> None:
        """No cluster then."""
        assert (None, {"keep_gb": 4}) == split({"keep_gb": 4})

    @pytest.mark.parametrize(
        ("address", "place"),
        [
            ("auto", None),
            ("local", None),
            ("ray://head:10001", ("head", 10001)),
            ("10.0.0.5:6379", ("10.0.0.5", 6379)),
            ("[::1]:6379", ("::1", 6379)),
        ],
    )
    def test_take_addresses_as_ray_does(self, address: str, place: tuple[str, int] | None) -> None:
        """Two words, and hosts with a port."""
        cluster, _ = split({"ray": address})
        assert cluster is not None
        assert place == cluster.host_and_port

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"ray": "loacl"}, "Did you mean 'local'?"),
            ({"ray": "head"}, "'host:6379' or 'ray://host:10001'"),
            ({"ray": "head:70000"}, "cannot be used"),
            ({"ray": "http://head:6379"}, "cannot be used"),
            ({"ray": True}, "cannot be used"),
            ({"ray": "auto", "actors": 0}, "Allowed is 1 to 1000"),
            ({"ray": "auto", "actors": 2.5}, "Allowed is 1 to 1000"),
            ({"ray": "auto", "gpus_per_actor": -1}, "Allowed is 0 to 64"),
            ({"ray": "auto", "resources": {"h100": "one"}}, "{ h100 = 1 }"),
            ({"ray": "auto", "env": {"A": 1}}, "table of variables"),
            ({"ray": "auto", "repeats": 99}, "Allowed is 0 to 10"),
            ({"actors": 2}, "no ray is named"),
        ],
    )
    def test_that_are_wrong_are_refused(self, options: dict[str, Any], said: str) -> None:
        """With the option's full name, and what is allowed."""
        with pytest.raises(InvalidRequest, match=r"endpoints\.cluster\.options\.") as caught:
            split(options, "cluster")
        assert said in str(caught.value)

    def test_that_are_not_known_are_told_the_nearest_one(self, tmp_path: Path) -> None:
        """Also where that is one of the workers'."""
        health = asyncio.run(Local().check(context({"ray": "auto", "actor": 2}, tmp_path)))
        assert (False, True) == (health.ok, "Did you mean 'actors'?" in health.detail)


class TestRayThatIsNotInstalled:
    def test_is_said_before_anything_runs(self, installed: Callable[..., None], tmp_path: Path) -> None:
        """With what to type."""
        installed()
        offer = tiny.offer_of("t2v", tmp_path / "elsewhere")
        endpoint = Endpoint("cluster", "local", options={"ray": "ray://head:10001"})
        with (
            Client(
                home=tmp_path / "home", catalog=tiny.catalog_of(offer), endpoints={"cluster": endpoint}
            ) as client,
            pytest.raises(Unsupported, match="package ray") as caught,
        ):
            client.generate("a lighthouse", model="cluster/tiny-t2v", duration=0.5)
        assert 'pip install "vidorch[ray]"' in str(caught.value)

    @pytest.mark.parametrize(
        ("address", "extras"),
        [("ray://head:10001", "ray"), ("local", "local,ray"), ("head:6379", "local,ray")],
    )
    def test_names_torch_only_where_clips_could_be_made(
        self, installed: Callable[..., None], address: str, extras: str
    ) -> None:
        """Who submits to a cluster from outside needs Ray alone."""
        installed()
        with pytest.raises(MissingCredentials) as caught:
            connecting.require("cluster/tiny", ClusterOptions(address))
        assert f'pip install "vidorch[{extras}]"' == caught.value.hint

    def test_is_said_of_the_part_that_an_address_needs(self, installed: Callable[..., None]) -> None:
        """Only ray:// goes by gRPC of Python's."""
        installed("ray")
        connecting.require("cluster/tiny", ClusterOptions("head:6379"))
        with pytest.raises(MissingCredentials, match="grpcio"):
            connecting.require("cluster/tiny", ClusterOptions("ray://head:10001"))


class TestAPlan:
    def test_looks_for_no_weights_here_where_they_are_on_a_cluster(
        self, installed: Callable[..., None], tmp_path: Path
    ) -> None:
        """Neither for torch: the node that makes the clip says what it lacks."""
        installed("ray", "grpc")
        offer = tiny.offer_of("t2v", tmp_path / "elsewhere")
        endpoint = Endpoint("cluster", "local", options={"ray": "ray://head:10001"})
        with Client(
            home=tmp_path / "home", catalog=tiny.catalog_of(offer), endpoints={"cluster": endpoint}
        ) as client:
            plan = client.plan("a lighthouse", model="cluster/tiny-t2v", duration=0.5)
        assert [("cluster/tiny-t2v", ())] == [(entry.offer.name, entry.needs) for entry in plan.entries]

    def test_looks_for_them_here_where_the_workers_are(
        self, installed: Callable[..., None], tmp_path: Path
    ) -> None:
        """A Ray of one's own is on this machine."""
        installed("ray")
        offer = tiny.offer_of("t2v", tmp_path / "elsewhere")
        endpoint = Endpoint("cluster", "local", options={"ray": "local"})
        with (
            Client(
                home=tmp_path / "home", catalog=tiny.catalog_of(offer), endpoints={"cluster": endpoint}
            ) as client,
            pytest.raises(Unsupported, match="elsewhere is not there"),
        ):
            client.generate("a lighthouse", model="cluster/tiny-t2v", duration=0.5)


class TestAnHour:
    @pytest.mark.parametrize(("address", "usd"), [("local", True), ("ray://head:10001", False)])
    def test_costs_what_the_card_here_does_only_where_the_workers_are_here(
        self, tmp_path: Path, address: str, usd: bool
    ) -> None:
        """What a cluster's cards cost, only its endpoint can say."""
        endpoint = Endpoint("cluster", "local", options={"ray": address})
        catalog = tiny.catalog_of(tiny.offer_of("t2v", tmp_path))
        offers = {offer.name: offer for offer in offers_at(catalog, {"cluster": endpoint})}
        hour = hour_of(offers["cluster/tiny-t2v"], endpoint, lambda: ("NVIDIA H100 80GB HBM3",))
        assert usd == (hour.usd is not None)


class TestCheck:
    def check(self, address: str, folder: Path) -> Health:
        return asyncio.run(Local().check(context({"ray": address}, folder)))

    def test_says_that_nobody_answers(
        self, installed: Callable[..., None], refusing: str, tmp_path: Path
    ) -> None:
        """At once, and what to look at."""
        installed("ray")
        health = self.check(refusing, tmp_path)
        assert (False, True, True) == (
            health.ok,
            f"endpoint cluster, {refusing}, cannot be reached: Connection refused" in health.detail,
            "ray status" in health.detail,
        )

    def test_says_that_a_cluster_answers(
        self, installed: Callable[..., None], answering: str, tmp_path: Path
    ) -> None:
        """Nothing is started for it."""
        installed("ray")
        assert Health(True, f"the Ray cluster at {answering} answers") == self.check(answering, tmp_path)

    def test_knows_the_cluster_that_the_environment_names(
        self, installed: Callable[..., None], answering: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the variable that Ray's own tools go by."""
        installed("ray")
        monkeypatch.setenv("RAY_ADDRESS", answering)
        assert f"the Ray cluster at {answering} answers" == self.check("auto", tmp_path).detail

    def test_knows_the_cluster_of_this_machine(
        self, installed: Callable[..., None], answering: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where `ray start` says that it began one."""
        installed("ray")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(answering)
        assert f"the Ray cluster at {answering} answers" == self.check("auto", tmp_path).detail

    def test_takes_a_cluster_that_is_gone_for_none(
        self, installed: Callable[..., None], refusing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One of its own is started then."""
        installed("ray")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(refusing)
        assert Health(True, "a Ray of its own is started with the first clip") == self.check("auto", tmp_path)

    def test_is_what_doctor_says(self, refusing: str, tmp_path: Path) -> None:
        """Of each endpoint with hardware of one's own."""
        config = tmp_path / "config.toml"
        config.write_text(f'[endpoints.cluster]\nprovider = "local"\noptions = {{ ray = "{refusing}" }}\n')
        world = {**os.environ, "VIDORCH_CONFIG": str(config), "VIDORCH_HOME": str(tmp_path), "NO_COLOR": "1"}
        ran = subprocess.run(
            [sys.executable, "-m", "vidorch", "doctor"],
            env=world, capture_output=True, text=True, check=False,
        )  # fmt: skip
        line = next(line for line in ran.stdout.splitlines() if "cluster:" in line)
        assert line.startswith("bad")


class TestANode:
    def test_names_itself_where_it_has_no_weights(self, tmp_path: Path) -> None:
        """ "Here" is another place each time: the error says which, and what to do there."""
        offer: Offer = tiny.offer_of("t2v", "someone/tiny")
        assert offer.weights is not None
        job = Job("job_1", "cluster/tiny-t2v", Found("", ""), offer.weights, "WanPipeline", "", {}, 1, 8.0)
        maker = Maker("cpu", "cluster")
        maker._worker = Worker("cpu")  # as after hello, which loads torch
        maker.start(job, "another")
        state = maker.news("job_1", -1, 0.0).state
        assert state is not None
        assert isinstance(state.ended, MissingCredentials)
        assert (
            f"On node {socket.gethostname()}: cluster/tiny-t2v cannot run: its weights are not there. Nothing was made. "
            "There, and on every node that may make clips: vidorch models pull tiny-t2v"
        ) == str(state.ended)
