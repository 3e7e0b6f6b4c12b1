"""Every open-weight model of the shipped catalog, against the pipelines that diffusers really has. No weights are needed."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidorch import media
from vidorch.catalog import shipped
from vidorch.fitting import fit
from vidorch.offer import Offer, Route
from vidorch.request import Request
from vidorch_local.diffusion.asking import ask
from vidorch_local.diffusion.settings import Settings

ROUTES = [
    pytest.param(offer, route, id=f"{offer.model} {task}")
    for offer in shipped().offers
    if offer.provider == "local" and offer.weights is not None
    for task, route in offer.routes.items()
]


def test_there_are_some() -> None:
    """Wan and LTX-2."""
    assert {"wan", "ltx"} <= {param.values[0].family for param in ROUTES}  # type: ignore[union-attr]


def bought(offer: Offer, route: Route, folder: Path) -> Request:
    """A request for that route, as a plan would buy it."""
    inputs: dict[str, Any] = {}
    picture = media.save_still(np.zeros((64, 64, 3), np.uint8), folder / "picture.png")
    if route.task in ("image-to-video", "first-last-frame"):
        inputs["image"] = picture
        if route.capabilities.last_image:
            inputs["last_image"] = picture
    if route.task == "reference-to-video":
        inputs["reference_images"] = [picture]
    if "video" in route.fields:
        media.write_video(folder / "clip.mp4", [np.zeros((64, 64, 3), np.uint8)] * 5, fps=16)
        inputs |= {"video": folder / "clip.mp4", "task": route.task}
    made = fit(Request(prompt="a lighthouse", **inputs), offer, route, lambda _: (64, 64))
    assert [] == made.reasons
    return made.request


@pytest.mark.parametrize(("offer", "route"), ROUTES)
def test_its_clips_are_legal(offer: Offer, route: Route, tmp_path: Path) -> None:
    """Frames and sizes are on the model's grid, for every size that the catalog names."""
    weights = offer.weights
    assert weights is not None
    request = bought(offer, route, tmp_path)
    for size in route.capabilities.sizes.values() or [None]:
        call = ask(
            replace(request, size=size, resolution=None, aspect_ratio=None), offer, route, Settings()
        ).call
        assert (1, 0, 0) == (
            call["num_frames"] % weights.frame_step,
            call["width"] % weights.size_multiple,
            call["height"] % weights.size_multiple,
        )


@pytest.mark.torch
@pytest.mark.parametrize(("offer", "route"), ROUTES)
def test_its_arguments_are_those_of_its_pipeline(offer: Offer, route: Route, tmp_path: Path) -> None:
    """The class is there, and takes all that is not one of the defaults that another route of the model is for."""
    import diffusers

    weights = offer.weights
    assert weights is not None
    takes = inspect.signature(getattr(diffusers, route.path).__call__).parameters
    call = ask(bought(offer, route, tmp_path), offer, route, Settings()).call
    beside = {"strength", "num_frames"} if route.task != "text-to-video" else {"strength"}
    assert set() == call.keys() - takes.keys() - beside


@pytest.mark.torch
@pytest.mark.parametrize(("offer", "route"), ROUTES)
def test_its_pipeline_stops_and_tells_its_steps(offer: Offer, route: Route) -> None:
    """What progress, cancelling and seeds rest on."""
    import diffusers

    kind = getattr(diffusers, route.path)
    takes = inspect.signature(kind.__call__).parameters
    assert {"callback_on_step_end", "generator", "output_type"} <= takes.keys()
    assert isinstance(kind.num_timesteps, property)
