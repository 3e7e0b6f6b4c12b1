"""Trains the base model: rectified flow, prediction of the clean clip, Muon with AdamW, an average of the weights."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .data import Stream
from .net import Base, Config, shifted


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. The budget is `steps`, or `minutes` of wall time where that is zero."""

    minutes: float = 75.0
    steps: int = 0
    batch: int = 24
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    warm_up: int = 100  # steps
    decay: float = 0.6  # the last part of the budget, in which the rates go linearly to zero
    ema: float = 0.998
    drop_words: float = 0.1  # share of samples that train the null prompt, for guidance
    with_image: float = 0.2  # share of samples that see their first frame
    shards: int = 32
    compile: bool = True
    seed: int = 0
    save_every: float = 120.0  # seconds


class Muon:
    """Momentum, then the nearest orthogonal matrix, for the square d x d pieces of the hidden matrices.

    AdamW alone stays at "background only" for hundreds of steps; this leaves that plateau at about step 200.
    """

    def __init__(self, params: list[nn.Parameter], side: int) -> None:
        self.params, self.side = params, side
        self.momentum = [torch.zeros_like(p) for p in params]

    def _split(self, m: Tensor) -> Tensor:
        rows, columns = m.shape
        d = self.side
        return m.view(rows // d, d, columns // d, d).permute(0, 2, 1, 3).reshape(-1, d, d)

    def _join(self, pieces: Tensor, rows: int, columns: int) -> Tensor:
        d = self.side
        return pieces.view(rows // d, columns // d, d, d).permute(0, 2, 1, 3).reshape(rows, columns)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        pieces = []
        for p, m in zip(self.params, self.momentum, strict=True):
            assert p.grad is not None
            m.lerp_(p.grad, 0.05)
            pieces.append(self._split(p.grad.lerp(m, 0.95)))
        x = torch.cat(pieces)
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(4):  # Newton-Schulz, with the usual quintic
            a = x @ x.mT
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
        start = 0
        for p, piece in zip(self.params, pieces, strict=True):
            p.mul_(1 - lr * 0.02).add_(self._join(x[start : start + len(piece)], *p.shape), alpha=-lr)
            start += len(piece)
            p.grad = None


def noised(
    model: Base, clips: Any, tokens: Any, plan: Plan, generator: torch.Generator, device: str
) -> tuple[Tensor, ...]:
    """x0, xt, t, tokens, image, has_image for one batch of uint8 clips."""
    x0 = torch.from_numpy(clips).to(device).float() / 127.5 - 1
    words = torch.from_numpy(tokens).to(device)
    B = len(x0)

    def chance(p: float) -> Tensor:
        return (torch.rand(B, generator=generator) < p).to(device)

    words = torch.where(chance(plan.drop_words)[:, None], 0, words)
    # A little noise on the image, so that compressed or rescaled frames are taken too.
    grain = torch.randn(x0[:, :1].shape, generator=generator).to(device)
    image = model.patchify(x0[:, :1] + 0.02 * grain)
    has_image = chance(plan.with_image).float()
    x0 = model.patchify(x0)
    t = shifted(torch.sigmoid(torch.randn(B, generator=generator)).to(device))
    noise = torch.randn(x0.shape, generator=generator).to(device)
    xt = torch.lerp(x0, noise, t[:, None, None])
    return x0, xt, t, words, image, has_image


def train(out: Path, config: Config, plan: Plan, device: str = "cpu") -> Path:
    """Trains or goes on training; returns the checkpoint, which `resume` finds by its name."""
    path = out / "base.pt"
    torch.manual_seed(plan.seed)
    model = Base(config).to(device)
    ema = copy.deepcopy(model).requires_grad_(False)
    d = config.dim
    square = [
        p
        for n, p in model.named_parameters()
        if n.startswith("blocks.") and p.ndim == 2 and p.shape[0] % d == 0 and p.shape[1] % d == 0
    ]
    chosen = {id(p) for p in square}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    muon = Muon(square, d)
    adam = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": 0.01},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=plan.adam_lr,
        betas=(0.9, 0.98),
    )
    stream = Stream(out / "data", plan.shards)
    step, spent = 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=False, map_location=device)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        adam.load_state_dict(state["adam"])
        muon.momentum = [m.to(device) for m in state["muon"]]
        stream.seen, step, spent = state["seen"], state["step"], state["spent"]
    count = sum(p.numel() for p in model.parameters())
    print(
        f"base: {count / 1e6:.2f} M parameters, {sum(p.numel() for p in square) / 1e6:.2f} M under Muon; "
        f"step {step}, {stream.seen} clips, {spent:.0f} s",
        flush=True,
    )

    def save() -> None:
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "config": config.as_dict(),
                "model": model.state_dict(),
                "ema": ema.state_dict(),
                "step": step,
                "adam": adam.state_dict(),
                "muon": muon.momentum,
                "seen": stream.seen,
                "spent": spent,
            },
            partial,
        )
        partial.replace(path)

    forward = torch.compile(model) if plan.compile else model
    losses: list[float] = []
    before = saved = time.monotonic()
    while True:
        done = step / plan.steps if plan.steps else spent / (60 * plan.minutes)
        if done >= 1:
            break
        rate = min(1.0, (step + 1) / plan.warm_up, (1 - done) / plan.decay)
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
        x0, xt, t, *given = noised(model, *stream.batch(plan.batch), plan, generator, device)
        error = (forward(xt, t, *given) - x0).square().mean((1, 2))
        loss = (error / t.clamp(min=0.5) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in adam.param_groups:
            group["lr"] = max(plan.adam_lr * rate, 1e-6)
        muon.step(plan.muon_lr * rate)
        adam.step()
        adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(
                list(ema.parameters()), list(model.parameters()), 1 - min(plan.ema, (1 + step) / (10 + step))
            )
        step += 1
        losses.append(loss.item())
        now = time.monotonic()
        spent, before = spent + now - before, now
        if step % 50 == 0:
            mean = sum(losses) / len(losses)
            losses.clear()
            line = {
                "step": step,
                "seconds": round(spent),
                "clips": stream.seen,
                "loss": round(mean, 5),
                "rate": round(rate, 3),
                "clips_per_s": round(stream.seen / spent, 1),
            }
            print(json.dumps(line), flush=True)
        if now - saved > plan.save_every:
            saved = now
            save()
    save()
    return path
