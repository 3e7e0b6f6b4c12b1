"""What a plan tells of how an open model would run here: by memory that is free, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vidorch.catalog import shipped
from vidorch.contract import Endpoint
from vidorch.request import Request
from vidorch_local.diffusion import cards, placing
from vidorch_local.diffusion.backend import Diffusion

GB = 10**9
HERE = Endpoint("local", "local")


@pytest.fixture(autouse=True)
def _main_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "free_memory", lambda device: 64 * GB)
    monkeypatch.setattr(sys, "platform", "linux")


def told(*free: int, endpoint: Endpoint = HERE, **extra: Any) -> str:
    """Of Wan 2.1 1.3B, which takes 20 GB whole and 8.2 by groups."""
    offer = shipped().offer("local/wan-2.1-t2v-1.3b")
    assert offer is not None
    request = Request(prompt="a boat", extra={"local": extra} if extra else {})
    return " ".join(Diffusion(free=lambda: free).outlook(endpoint, request, offer))


class TestOutlook:
    @pytest.mark.parametrize(
        ("free", "placement"),
        [(80 * GB, "gpu"), (14 * GB, "model-offload"), (9 * GB, "group-offload")],
    )
    def test_the_placement_follows_from_the_memory_that_is_free(self, free: int, placement: str) -> None:
        """The fastest that fits."""
        assert f"would lie as {placement} on cuda:0" in told(free)

    def test_what_would_not_fit_is_told_before_anything_runs(self) -> None:
        """With what each placement needs."""
        assert "2 GB of cuda:0" in told(2 * GB)
        assert "needs 20 GB as gpu" in told(2 * GB)

    def test_without_a_card_it_is_the_processor(self) -> None:
        """Which a machine may have enough memory for."""
        assert "would lie as cpu on cpu, which takes 28 GB; 64 GB are free" in told()

    def test_the_endpoint_says_which_card(self) -> None:
        """Counted as torch counts them."""
        second = Endpoint("local", "local", device="cuda:1")
        assert "on cuda:1" in told(2 * GB, 80 * GB, endpoint=second)

    def test_a_card_that_cannot_be_seen_is_left_to_the_run(self) -> None:
        """Nothing is better than a guess."""
        assert "" == told(endpoint=Endpoint("local", "local", device="cuda:0"))

    def test_a_placement_that_was_asked_for_is_told(self) -> None:
        """By the call, or by the endpoint."""
        by_endpoint = Endpoint("local", "local", options={"placement": "fp8"})
        assert "as fp8" in told(80 * GB, placement="fp8")
        assert "as fp8" in told(80 * GB, endpoint=by_endpoint)

    def test_one_that_the_device_has_not_is_told(self) -> None:
        """As the run would say it."""
        assert "does not go with device 'cpu'" in told(placement="model-offload")

    def test_a_cluster_s_workers_look_for_themselves(self) -> None:
        """Their memory is not seen from here."""
        assert "" == told(80 * GB, endpoint=Endpoint("local", "local", options={"ray": "auto"}))


class TestFreeHere:
    """By the driver's own command, of which a stand-in is on the path."""

    @pytest.fixture
    def asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        command = tmp_path / "bin" / "nvidia-smi"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nprintf "1024\\n2048\\n"\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:/bin:/usr/bin")
        monkeypatch.setattr(cards, "_seen", {})
        return tmp_path / "asked"

    @pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
    def test_it_is_in_bytes_by_card(self, asked: Path) -> None:
        """The command counts in MiB."""
        assert (1024 * 2**20, 2048 * 2**20) == cards.free_here({})

    @pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
    def test_it_is_asked_once_for_many_plans(self, asked: Path) -> None:
        """A batch plans a thousand times in a second; a minute later memory may be another."""
        for now in (0.0, 5.0, 60.0):
            cards.free_here({}, lambda now=now: now)  # type: ignore[misc]
        assert 2 == len(asked.read_text().splitlines())

    @pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
    def test_cards_that_are_hidden_from_torch_do_not_count(self, asked: Path) -> None:
        """Nor does anybody ask where all are."""
        cards.free_here({"CUDA_VISIBLE_DEVICES": "1"})
        assert () == cards.free_here({"CUDA_VISIBLE_DEVICES": ""})
        assert ["-i 1"] == [line[:4] for line in asked.read_text().splitlines()]

    def test_a_command_that_fails_is_no_card(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A driver that was updated and not loaded again answers with an error."""

        def run(*args: Any, **options: Any) -> None:
            raise subprocess.CalledProcessError(9, "nvidia-smi")

        monkeypatch.setattr(cards, "_seen", {})
        monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
        monkeypatch.setattr(subprocess, "run", run)
        assert () == cards.free_here({})
