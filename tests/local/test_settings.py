"""What can be set of a local model in an endpoint's options and in `extra={"local": {...}}`."""

from __future__ import annotations

from typing import Any

import pytest

from vidorch.errors import InvalidRequest
from vidorch_local.diffusion.settings import Settings, of_endpoint, of_request


class TestOfEndpoint:
    def test_reads_what_it_knows(self) -> None:
        """Placement, previews and the memory that is kept."""
        made = of_endpoint({"placement": "fp8", "previews": True, "keep_gb": 20})
        assert Settings(placement="fp8", previews=5, keep_gb=20.0) == made

    def test_has_no_settings_of_one_clip(self) -> None:
        """A strength for all clips of an endpoint means nothing."""
        with pytest.raises(InvalidRequest, match=r"endpoints.h100.options.strength is not known"):
            of_endpoint({"strength": 0.5}, "h100")


class TestOfRequest:
    def test_lies_on_the_endpoints(self) -> None:
        """What a call says goes before what its endpoint says; the rest stays."""
        made = of_request({"local": {"placement": "cpu"}}, of_endpoint({"placement": "gpu", "keep_gb": 1}))
        assert Settings(placement="cpu", keep_gb=1.0) == made

    @pytest.mark.parametrize(
        ("key", "near"), [("placment", "placement"), ("preview", "previews"), ("flow_shfit", "flow_shift")]
    )
    def test_names_the_nearest_key(self, key: str, near: str) -> None:
        """A mistyped key is no silent default."""
        with pytest.raises(InvalidRequest, match=f"Did you mean '{near}'") as caught:
            of_request({"local": {key: 1}})
        assert False is caught.value.charged

    @pytest.mark.parametrize(
        ("key", "value", "allowed"),
        [
            ("placement", "gpu-offload", "'model-offload'"),
            ("placement", ["gpu"], "'gpu'"),
            ("strength", 1.5, "0 to 1"),
            ("strength", True, "0 to 1"),
            ("previews", -1, "true, false, or a number of steps"),
            ("mask", "/no/such/file.png", "the path of a picture"),
            ("flow_shift", float("nan"), "0.01 to 100"),
            ("max_sequence_length", 0, "1 to 1000"),
        ],
    )
    def test_refuses_wrong_values(self, key: str, value: Any, allowed: str) -> None:
        """With what is allowed."""
        with pytest.raises(InvalidRequest, match=allowed):
            of_request({"local": {key: value}})
