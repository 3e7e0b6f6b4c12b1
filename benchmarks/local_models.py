"""Wan in its real sizes, of random numbers: for what an architecture costs, nothing has to be downloaded.

The settings are those of the repositories that the catalog names (`transformer/config.json`, `vae/config.json`,
`text_encoder/config.json`), and a test holds the number of parameters to theirs. What such a model makes is noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.local import tiny

__all__ = ["SIZES", "Size", "build"]

_DIT = {
    "patch_size": (1, 2, 2), "attention_head_dim": 128, "in_channels": 16, "out_channels": 16, "text_dim": 4096,
    "freq_dim": 256, "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 1024,
}  # fmt: skip
_VAE = {
    "base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "temperal_downsample": [False, True, True],
}  # fmt: skip
_VAE_22 = _VAE | {
    "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "in_channels": 12, "out_channels": 12,
    "patch_size": 2, "scale_factor_spatial": 16, "scale_factor_temporal": 4, "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}  # fmt: skip
TEXT = {
    "vocab_size": 256_384, "d_model": 4096, "d_kv": 64, "d_ff": 10_240, "num_layers": 24, "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """A model, and the clip that it is measured with.

    Attributes:
        dit, vae, text: what its parts are built with. size: width and height. frames: of a clip. steps: as its makers have it.
        expand: whether each frame has a time step of its own, as in TI2V.
    """

    dit: Mapping[str, Any]
    vae: Mapping[str, Any]
    text: Mapping[str, Any]
    size: tuple[int, int]
    frames: int
    steps: int
    expand: bool = False


SIZES: Mapping[str, Size] = {
    "tiny": Size(
        {**tiny.DIT, "num_layers": 4},
        {
            "base_dim": 8,
            "z_dim": 16,
            "dim_mult": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "temperal_downsample": [False, True, True],
        },
        {
            "vocab_size": 259,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 2,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
        },
        (64, 64),
        17,
        20,
    ),
    "wan-1.3b": Size(
        _DIT | {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
        _VAE,
        TEXT,
        (832, 480),
        81,
        50,
    ),
    "wan-5b": Size(
        _DIT
        | {
            "num_attention_heads": 24,
            "ffn_dim": 14_336,
            "num_layers": 30,
            "in_channels": 48,
            "out_channels": 48,
        },
        _VAE_22,
        TEXT,
        (1280, 704),
        121,
        50,
        expand=True,
    ),
    "wan-14b": Size(
        _DIT | {"num_attention_heads": 40, "ffn_dim": 13_824, "num_layers": 40},
        _VAE,
        TEXT,
        (832, 480),
        81,
        50,
    ),
}


def build(name: str, device: str, *, text: bool = True) -> Any:
    """A pipeline on a device, in 32 bits on a CPU, else in bfloat16 with its VAE in 32.

    Args:
        text: whether it has a text encoder; without one, a call is given what it would have read.
    """
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    size = SIZES[name]
    kind = torch.float32 if device == "cpu" else torch.bfloat16
    torch.manual_seed(1)
    with torch.device(device):
        dit = _in(kind, lambda: WanTransformer3DModel(**size.dit))
        vae = _in(torch.float32, lambda: AutoencoderKLWan(**size.vae))
        encoder = _in(kind, lambda: UMT5EncoderModel(UMT5Config(**size.text))) if text else None
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    pipe = WanPipeline(
        tokenizer=tiny._tokenizer() if text else None, text_encoder=encoder, vae=vae, scheduler=scheduler, transformer=dit,
        expand_timesteps=size.expand,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _in(kind: Any, make: Any) -> Any:
    """Built in a type of numbers from the start: a model of 14 billion in 32 bits would not fit before it is narrowed."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        return make().eval()
    finally:
        torch.set_default_dtype(before)
