"""Which placement of weights fits into the memory there is: figures in, a word out. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from vidorch.errors import InvalidRequest, ProviderFailed
from vidorch.offer import Weights
from vidorch_local.diffusion.folders import Found
from vidorch_local.diffusion.placing import cheaper, choose, needs

GB = 10**9
A14B: Mapping[str, int] = {
    "gpu": 76 * GB, "model-offload": 36 * GB, "group-offload": 13 * GB, "fp8": 48 * GB, "cpu": 140 * GB, "main": 70 * GB,
}  # fmt: skip


class TestChoose:
    @pytest.mark.parametrize(
        ("free", "placement"),
        [(80, "gpu"), (76, "gpu"), (75, "model-offload"), (24, "group-offload"), (13, "group-offload")],
    )
    def test_takes_the_first_that_fits(self, free: int, placement: str) -> None:
        """The fastest of the same picture."""
        assert placement == choose("cuda:0", free * GB, A14B, free_main=200 * GB)

    def test_offloads_only_into_main_memory_that_is_there(self) -> None:
        """Else the machine would swap: then the weights are cast, which changes the picture a little."""
        assert "fp8" == choose("cuda:0", 50 * GB, A14B, free_main=32 * GB)

    def test_says_what_each_would_need_where_none_fits(self) -> None:
        """The CPU is nobody's surprise: it takes hours, so it has to be asked for."""
        with pytest.raises(ProviderFailed, match=r"13 GB as group-offload") as caught:
            choose("cuda:0", 8 * GB, A14B, free_main=200 * GB)
        assert False is caught.value.charged

    @pytest.mark.parametrize(
        ("device", "free", "main", "named"),
        [("cpu", 60, None, "fp8 would fit"), ("cuda:0", 8, 200, "cpu would fit"), ("cuda:0", 8, 8, None)],
    )
    def test_names_what_would_fit_if_it_were_asked_for(
        self, device: str, free: int, main: int | None, named: str | None
    ) -> None:
        """What makes another picture, or takes hours, is named and not taken."""
        with pytest.raises(ProviderFailed) as caught:
            choose(device, free * GB, A14B, free_main=None if main is None else main * GB)
        assert (named is not None) == ("would fit" in caught.value.hint)
        assert named is None or named in caught.value.hint

    def test_obeys_what_is_wanted(self) -> None:
        """Whatever the figures say."""
        assert "gpu" == choose("cuda:0", 1, A14B, wanted="gpu")

    def test_of_the_cpu_is_the_cpu(self) -> None:
        """There is one place."""
        assert "cpu" == choose("cpu", 200 * GB, A14B)

    def test_that_a_device_does_not_have_is_refused(self) -> None:
        """With those that it has."""
        with pytest.raises(InvalidRequest, match="Allowed is 'cpu', 'fp8'"):
            choose("cpu", 200 * GB, A14B, wanted="group-offload")


class TestCheaper:
    @pytest.mark.parametrize(
        ("placement", "less"),
        [
            ("gpu", "model-offload"),
            ("model-offload", "group-offload"),
            ("fp8", "model-offload"),
            ("group-offload", None),
        ],
    )
    def test_is_the_next_that_needs_less(self, placement: str, less: str | None) -> None:
        """Of the same picture, where there is one."""
        assert less == cheaper(placement, "cuda:0", A14B)

    @pytest.mark.parametrize(("placement", "less"), [("cpu", "fp8"), ("fp8", None)])
    def test_on_a_cpu_is_a_cast(self, placement: str, less: str | None) -> None:
        """The weights then take a quarter."""
        assert less == cheaper(placement, "cpu", A14B)


class TestNeeds:
    FOUND = Found(
        "/weights", "WanPipeline", {}, {"transformer": 14 * GB, "text_encoder": 6 * GB, "vae": GB // 8}
    )

    def test_are_the_catalogs(self) -> None:
        """Measured figures go before reckoned ones."""
        assert 9 == needs(Weights("/weights", memory={"gpu": 9}), self.FOUND)["gpu"]

    def test_are_reckoned_from_the_files_else(self) -> None:
        """Two bytes a number, and what a clip itself takes; offloading needs the largest part alone."""
        made = needs(Weights("/weights"), self.FOUND)
        assert (40, 28, 26) == (made["gpu"] // GB - 4, made["model-offload"] // GB - 4, made["fp8"] // GB - 4)

    def test_of_a_toy_are_small(self) -> None:
        """No gigabytes for a few numbers."""
        assert (
            10**8
            > needs(Weights("/weights"), Found("/weights", "WanPipeline", {}, {"transformer": 10**5}))["gpu"]
        )
