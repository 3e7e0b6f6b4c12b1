"""Torch's own outputs on the shipped weights: kept in a file for the tests, or compared live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vidorch_local.mini.network import Network
from vidorch_local.mini.words import NULL_TOKENS, understand

from .net import Base, Config, Decoder
from .world import Array

TIME = 0.7


def outputs(network: Network) -> dict[str, Array]:
    """Inputs from a seed, and what the torch network with `network`'s weights makes of them."""
    state = {name: torch.from_numpy(value) for name, value in network.weights.items()}
    base, decoder = Base(Config()).eval(), Decoder(Config()).eval()
    base.load_state_dict({k: v for k, v in state.items() if not k.startswith("decoder.")})
    decoder.load_state_dict(
        {k.removeprefix("decoder."): v for k, v in state.items() if k.startswith("decoder.")}
    )
    rng = np.random.default_rng(6)
    x = rng.standard_normal((1, network.tokens, network.patch_numbers)).astype(np.float32)
    image = rng.standard_normal((1, 16, network.patch_numbers // network.patch[0])).astype(np.float32)
    low = rng.uniform(-1, 1, (24, 16, 16, 3)).astype(np.float32)
    tokens = np.array([understand("a red ball rolling left").tokens, NULL_TOKENS])[:1]
    words, t = torch.from_numpy(tokens), torch.full((1,), TIME)
    around = np.clip(np.arange(24)[:, None] + (-1, 0, 1), 0, 23)  # the decoder sees each frame's neighbours
    near = torch.from_numpy(low[around].transpose(0, 1, 4, 2, 3).reshape(24, 9, 16, 16))
    with torch.no_grad():
        without = base(
            torch.from_numpy(x), t, words, torch.zeros_like(torch.from_numpy(image)), torch.zeros(1)
        )
        with_image = base(torch.from_numpy(x), t, words, torch.from_numpy(image), torch.ones(1))
        sharp = decoder(near, words.repeat(24, 1)).movedim(1, -1)
    return {
        "x": x,
        "image": image,
        "low": low,
        "tokens": tokens,
        "t": np.float64(TIME),
        "without_image": without[0].numpy(),
        "with_image": with_image[0].numpy(),
        "sharp": sharp[::6].numpy(),
    }


def compare(network: Network) -> float:
    """The largest difference between the two networks, over all outputs."""
    kept = outputs(network)
    crossed, pooled = network.encode(kept["tokens"])
    pairs = [
        (network.denoise(kept["x"], TIME, crossed, pooled)[0], kept["without_image"]),
        (network.denoise(kept["x"], TIME, crossed, pooled, kept["image"])[0], kept["with_image"]),
        (network.decode(kept["low"], kept["tokens"][0])[::6], kept["sharp"]),
    ]
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def write(network: Network, path: Path) -> None:
    """Writes what `outputs` gives, for a test that needs no torch."""
    np.savez_compressed(path, **outputs(network))
