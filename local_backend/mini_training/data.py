"""Shards of pooled clips on disk: rendered once, from a seed, so that training never waits for the renderer."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from . import world

SHARD = 4096


def shard(folder: Path, number: int) -> tuple[world.Array, world.Array]:
    """Pooled clips uint8 (4096, 24, 16, 16, 3) and tokens (4096, 7) of one shard; rendered if it is not there."""
    clips, tokens = folder / f"clips-{number:04d}.npy", folder / f"tokens-{number:04d}.npy"
    if not clips.exists():
        folder.mkdir(parents=True, exist_ok=True)
        chosen = world.sample(np.random.default_rng((1, number)), SHARD)
        pooled = np.concatenate(
            [world.pool(world.render(chosen.take(slice(i, i + 4)))) for i in range(0, SHARD, 4)]
        )
        for path, array in (
            (tokens, chosen.tokens),
            (clips, pooled),
        ):  # the clips last: they say that both are there
            partial = path.with_suffix(f".{os.getpid()}")
            with partial.open("wb") as file:
                np.save(file, array)
            partial.replace(path)
    return np.load(clips, mmap_mode="r"), np.load(tokens)


def render_ahead(folder: Path, shards: int) -> None:
    """Renders all shards but the first, which the training makes itself; runs in a process of its own."""
    for number in range(1, shards):
        shard(folder, number)


class Stream:
    """Batches in a fixed order that depends only on how many clips were seen: a resumed run goes on where it was."""

    def __init__(self, folder: Path, shards: int, seen: int = 0) -> None:
        self.folder, self.shards, self.seen = folder, shards, seen
        self._turn = -1

    def batch(self, n: int) -> tuple[world.Array, world.Array]:
        turn, place = divmod(self.seen, SHARD)
        if place + n > SHARD:  # the remainder of a shard smaller than a batch is passed over
            turn, place = turn + 1, 0
        if turn != self._turn:
            self._clips, self._tokens = shard(self.folder, turn % self.shards)
            self._order = np.random.default_rng((2, turn)).permutation(SHARD)
            self._turn = turn
        rows = np.sort(self._order[place : place + n])
        self.seen = turn * SHARD + place + n
        return np.asarray(self._clips[rows]), self._tokens[rows]
