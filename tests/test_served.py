"""Open models behind a server of one's own: which offers an endpoint gets, and what goes over the wire to each kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vidorch import Client
from vidorch.catalog import shipped
from vidorch.contract import Endpoint
from vidorch.errors import InvalidRequest
from vidorch.offer import Offer
from vidorch.served import SERVERS, served_at
from vidorch.testing import VirtualClock
from vidorch.testing.servers import ProtocolServer, serve

DIALECTS = {"vllm-omni": "vllm", "sglang": "sglang"}
MODEL = "wan-2.2-ti2v-5b"
REPO = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"


@pytest.fixture(autouse=True)
def _may_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDORCH_LIVE", "1")  # it sends to the loopback alone
    monkeypatch.setenv("GPU_KEY", "gpu-key-0123456789")


def endpoint(url: str = "http://gpu.example.com/v1", **options: Any) -> Endpoint:
    return Endpoint("h100", "openai", base_url=url, options=options)


def offers(**options: Any) -> list[Offer]:
    return served_at(endpoint(**options), shipped().offers)


def of_the_catalog(model: str) -> Offer:
    found = shipped().offer(f"local/{model}")
    assert found is not None
    return found


class TestServedAt:
    def test_an_endpoint_that_is_no_server_serves_nothing(self) -> None:
        """Every other endpoint has the offers of its provider."""
        assert [] == offers()

    @pytest.mark.parametrize("server", SERVERS)
    def test_offers_bear_the_endpoints_name(self, server: str) -> None:
        """So that `h100/wan-2.2-ti2v-5b` pins it."""
        assert [f"h100/{MODEL}"] == [offer.name for offer in offers(server=server, serves=[MODEL])]

    def test_sizes_and_lengths_are_those_of_the_weights(self) -> None:
        """The model is the same wherever it runs."""
        here = of_the_catalog(MODEL).routes["text-to-video"].capabilities
        there = offers(server="sglang", serves=[MODEL])[0].routes["text-to-video"].capabilities
        assert (here.sizes, here.durations, here.fps) == (there.sizes, there.durations, there.fps)

    def test_its_work_outlives_the_caller(self) -> None:
        """Unlike that of a model in the calling process."""
        assert offers(server="sglang", serves=[MODEL])[0].outlives_caller

    @pytest.mark.parametrize("server", SERVERS)
    def test_more_steps_may_cost_more(self, server: str) -> None:
        """Twice the steps of the catalog's range, which hours are held by, take up to twice as long."""
        options = {"server": server, "serves": [MODEL]}
        there = Endpoint(
            "h100",
            "openai",
            "http://gpu.example.com/v1",
            usd_per_hour=Decimal(4),
            billed=True,
            options=options,
        )
        usual = int(offers(**options)[0].routes["text-to-video"].fixed["num_inference_steps"])
        with Client(endpoints={"h100": there}) as client:
            costs = [
                client.estimate("a ball", model=f"h100/{MODEL}", steps=steps).cost
                for steps in (usual, 2 * usual)
            ]
        highs = [cost.high for cost in costs if cost is not None]
        assert 2 * highs[0] == highs[1]

    def test_it_needs_no_weights_on_this_machine(self) -> None:
        """They are the server's."""
        assert offers(server="sglang", serves=[MODEL])[0].weights is None

    def test_a_model_goes_by_the_servers_name_for_it(self) -> None:
        """Where it was started on a folder."""
        made = offers(server="vllm-omni", serves={MODEL: "/models/wan"})[0]
        assert "/models/wan" == made.routes["text-to-video"].fixed["model"]

    def test_a_few_step_model_is_asked_for_few_steps(self) -> None:
        """Whatever the server's own default is."""
        made = offers(server="vllm-omni", serves=["fastwan-2.2-ti2v-5b"])[0]
        few = of_the_catalog("fastwan-2.2-ti2v-5b").weights
        assert few is not None
        assert few.defaults["steps"] == made.routes["text-to-video"].fixed["num_inference_steps"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"server": "vllm"}, "Did you mean 'vllm-omni'"),
            ({"server": 3, "serves": [MODEL]}, "server=3"),
            ({"server": "sglang"}, "serves=None"),
            ({"server": "sglang", "serves": []}, r"serves=\[\]"),
            ({"server": "sglang", "serves": ["wan-2.2-ti2v-5"]}, f"Did you mean '{MODEL}'"),
            ({"server": "sglang", "serves": {MODEL: ""}}, "serves="),
        ],
    )
    def test_what_is_not_there_is_told_with_the_nearest_name(
        self, options: dict[str, Any], words: str
    ) -> None:
        """Before anything is sent."""
        with pytest.raises(InvalidRequest, match=words):
            offers(**options)


class TestOnTheWire:
    """Against a server of each kind, over a socket."""

    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock()

    @pytest.fixture(params=DIALECTS)
    def studio(self, request: pytest.FixtureRequest, clock: VirtualClock, tmp_path: Path) -> Iterator[Studio]:
        with serve(
            "openai", dialect=DIALECTS[request.param], clock=clock.now, key="gpu-key-0123456789"
        ) as server:
            studio = Studio(request.param, server, clock, tmp_path)
            yield studio
            studio.client.close()

    def test_a_clip_is_made(self, studio: Studio) -> None:
        """From the words to a file that was looked into."""
        assert studio.generate().clip.path is not None

    def test_frames_are_one_more_than_a_multiple_of_four(self, studio: Studio) -> None:
        """As the model makes them: 5 s at 24 a second are 121."""
        studio.generate()
        assert ("121", "24") == (str(studio.sent["num_frames"]), str(studio.sent["fps"]))

    def test_the_size_is_one_that_the_model_was_made_for(self, studio: Studio) -> None:
        """720p of this model has 704 lines."""
        studio.generate()
        assert "1280x704" == studio.sent["size"]

    def test_what_was_asked_for_goes_along(self, studio: Studio) -> None:
        """Under the server's own names."""
        studio.generate(seed=7, steps=12, guidance=4.5, negative_prompt="fog")
        names = ("seed", "num_inference_steps", "guidance_scale", "negative_prompt")
        assert ["7", "12", "4.5", "fog"] == [str(studio.sent[name]) for name in names]

    def test_an_image_goes_as_a_file(self, studio: Studio, tmp_path: Path) -> None:
        """Which both take as `input_reference`."""
        Image.new("RGB", (1280, 704), "navy").save(tmp_path / "first.png")
        studio.generate(image=tmp_path / "first.png")
        assert "(file)" == studio.sent["input_reference"]

    def test_its_hours_are_imputed(self, studio: Studio) -> None:
        """One's own machine costs, and is no spending unless the endpoint says so."""
        assert Decimal(0) == studio.generate().cost


class Studio:
    """A server of one kind, and a client that knows it as `h100`."""

    def __init__(self, kind: str, server: ProtocolServer, clock: VirtualClock, home: Path) -> None:
        self.server = server
        where = Endpoint(
            "h100", "openai", base_url=self.server.url, usd_per_hour=Decimal("2.10"),
            options={"server": kind, "serves": [MODEL]}, variables=("GPU_KEY",),
        )  # fmt: skip
        self.client = Client(home=home, endpoints={"h100": where}, clock=clock)

    def generate(self, **asks: Any) -> Any:
        """One clip of five seconds."""
        return self.client.generate("a boat", model=f"h100/{MODEL}", duration=5, **asks)

    @property
    def sent(self) -> dict[str, Any]:
        """The fields of the last submit."""
        body: dict[str, Any] = self.server.jobs[-1].body
        return body
