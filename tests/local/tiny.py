"""Video models of a quarter of a million random numbers, saved as real folders: the whole way of a Wan in tenths of a second.

Built offline: the tokenizer has the 256 letters of bytes and no merges, so it needs no corpus and reads any language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from vidorch.catalog import Catalog, load
from vidorch.offer import Offer, Weights

__all__ = ["BUILDERS", "catalog_of", "offer_of"]

DIT = {
    "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 24, "in_channels": 16, "out_channels": 16,
    "text_dim": 32, "freq_dim": 32, "ffn_dim": 96, "num_layers": 2, "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 64,
}  # fmt: skip


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(
        models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[], unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _parts() -> dict[str, Any]:
    """What all of them have."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(
        vocab_size=259, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    return {
        "tokenizer": _tokenizer(),
        "text_encoder": UMT5EncoderModel(config).eval(),
        "vae": AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ).eval(),
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    }


def _dit(**changes: Any) -> Any:
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(**{**DIT, **changes}).eval()


def t2v() -> Any:
    """Wan 2.1 text to video."""
    from diffusers import WanPipeline

    return WanPipeline(**_parts(), transformer=_dit())


def two_experts() -> Any:
    """Wan 2.2 A14B text to video: one transformer for much noise, one for little."""
    from diffusers import WanPipeline

    return WanPipeline(**_parts(), transformer=_dit(), transformer_2=_dit(), boundary_ratio=0.875)


def ti2v() -> Any:
    """Wan 2.2 TI2V-5B: one set of weights for text and image."""
    from diffusers import WanPipeline

    return WanPipeline(**_parts(), transformer=_dit(), expand_timesteps=True)


def i2v() -> Any:
    """Wan 2.2 image to video."""
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(**_parts(), transformer=_dit(in_channels=36))


def flf() -> Any:
    """Wan 2.1 first and last frame: with places for what CLIP sees of two images."""
    return i2v_clip(pos_embed_seq_len=2 * 17)


def i2v_clip(pos_embed_seq_len: int | None = None) -> Any:
    """Wan 2.1 image to video, which looks at its image with CLIP, too."""
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    seer = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )  # fmt: skip
    return WanImageToVideoPipeline(
        **_parts(),
        transformer=_dit(
            in_channels=36, image_dim=16, added_kv_proj_dim=48, pos_embed_seq_len=pos_embed_seq_len
        ),
        image_encoder=CLIPVisionModel(seer).eval(),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )


def vace() -> Any:
    """Wan 2.1 VACE."""
    from diffusers import WanVACEPipeline, WanVACETransformer3DModel

    return WanVACEPipeline(
        **_parts(),
        transformer=WanVACETransformer3DModel(**DIT, vace_layers=[0, 1], vace_in_channels=96).eval(),
    )


def ltx2() -> Any:
    """LTX-2, which makes sound as well: a Gemma that reads, connectors for picture and sound, a vocoder."""
    from diffusers import (
        AutoencoderKLLTX2Audio,
        AutoencoderKLLTX2Video,
        FlowMatchEulerDiscreteScheduler,
        LTX2Pipeline,
        LTX2VideoTransformer3DModel,
    )
    from diffusers.pipelines.ltx2 import LTX2TextConnectors
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    words = {
        "vocab_size": 259, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 16, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1,
    }  # fmt: skip
    sight = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
        "patch_size": 14,
    }  # fmt: skip
    reader = Gemma3Config(
        text_config=words, vision_config=sight, mm_tokens_per_image=4, image_token_index=2, boi_token_index=2, eoi_token_index=2
    )  # fmt: skip
    rope: dict[str, Any] = {"rope_double_precision": False, "rope_type": "split"}
    heads = {
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 1,
        "num_learnable_registers": None,
    }
    connectors = {
        f"{kind}_connector_{name}": value for kind in ("video", "audio") for name, value in heads.items()
    }
    return LTX2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKLLTX2Video(
            latent_channels=4, block_out_channels=(8,), decoder_block_out_channels=(8,), layers_per_block=(1,),
            decoder_layers_per_block=(1, 1), spatio_temporal_scaling=(True,), decoder_spatio_temporal_scaling=(True,),
            decoder_inject_noise=(False, False), downsample_type=("spatial",), upsample_residual=(False,),
            upsample_factor=(1,), patch_size=1,
        ).eval(),
        audio_vae=AutoencoderKLLTX2Audio(
            base_channels=4, ch_mult=(1,), num_res_blocks=1, resolution=32, latent_channels=2, mel_bins=8,
            attn_resolutions=None, causality_axis="height", mid_block_add_attention=False,
        ).eval(),
        text_encoder=Gemma3ForConditionalGeneration(reader).eval(),
        tokenizer=_tokenizer(),
        connectors=LTX2TextConnectors(
            caption_channels=16, text_proj_in_factor=3, connector_rope_base_seq_len=32, rope_theta=10000.0,
            causal_temporal_positioning=False, **rope, **connectors,
        ).eval(),
        transformer=LTX2VideoTransformer3DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
            audio_in_channels=4, audio_out_channels=4, audio_num_attention_heads=2, audio_attention_head_dim=4,
            audio_cross_attention_dim=8, num_layers=2, caption_channels=16, **rope,
        ).eval(),
        vocoder=LTX2Vocoder(
            in_channels=16, hidden_channels=32, out_channels=2, upsample_kernel_sizes=[4, 4], upsample_factors=[2, 2],
            resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]], output_sampling_rate=16000,
        ).eval(),
    )  # fmt: skip


def loud(build: Callable[[], Any]) -> Callable[[], Any]:
    """Random weights whisper: without this no input would be seen in the eight bits of a frame."""

    def built() -> Any:
        import torch

        torch.manual_seed(1)
        pipe = build()
        with torch.no_grad():
            for name in ("transformer", "transformer_2"):
                if (part := getattr(pipe, name, None)) is not None:
                    part.proj_out.weight.mul_(30)
            if hasattr(pipe.vae.decoder.conv_out, "weight"):  # LTX-2's is loud enough
                pipe.vae.decoder.conv_out.weight.mul_(4)
        return pipe

    return built


_KINDS = {
    "t2v": t2v, "two-experts": two_experts, "ti2v": ti2v, "i2v": i2v, "i2v-clip": i2v_clip, "flf": flf, "vace": vace, "ltx2": ltx2,
}  # fmt: skip
BUILDERS: Mapping[str, Callable[[], Any]] = {kind: loud(build) for kind, build in _KINDS.items()}
"""By name, what makes a pipeline, of the same weights each time."""

_TEXT = {"prompt": {"to": "prompt"}, "negative_prompt": {"to": "negative_prompt"}}
_NUMBERS = {
    "steps": {"to": "num_inference_steps", "type": "integer"}, "guidance": {"to": "guidance_scale", "type": "number"},
    "width": {"to": "width", "type": "integer"}, "height": {"to": "height", "type": "integer"},
    "frames": {"to": "num_frames", "type": "integer"},
}  # fmt: skip
_FIELDS = {**_TEXT, **_NUMBERS}
_RATE = {**_FIELDS, "fps": {"to": "frame_rate", "type": "number"}}
_IMAGE = {**_FIELDS, "image": {"to": "image", "type": "image"}}
_LAST = {**_IMAGE, "last_image": {"to": "last_image", "type": "image"}}
_VIDEO = {**_FIELDS, "video": {"to": "video", "type": "video"}}
_ROUTES: Mapping[str, Mapping[str, Any]] = {
    "t2v": {
        "text-to-video": {"path": "WanPipeline", "fields": _FIELDS},
        "restyle": {"path": "WanVideoToVideoPipeline", "fields": _VIDEO, "capabilities": {"durations": {}}},
    },
    "two-experts": {"text-to-video": {"path": "WanPipeline", "fields": _FIELDS}},
    "ti2v": {
        "text-to-video": {"path": "WanPipeline", "fields": _FIELDS},
        "image-to-video": {"path": "WanImageToVideoPipeline", "fields": _IMAGE},
    },
    "i2v": {
        "image-to-video": {
            "path": "WanImageToVideoPipeline", "fields": _LAST, "capabilities": {"last_image": True},
        },
    },
    "i2v-clip": {"image-to-video": {"path": "WanImageToVideoPipeline", "fields": _IMAGE}},
    "flf": {
        "first-last-frame": {
            "path": "WanImageToVideoPipeline", "fields": _LAST, "capabilities": {"last_image": True},
        },
    },
    "ltx2": {
        "text-to-video": {"path": "LTX2Pipeline", "fields": _RATE},
        "image-to-video": {"path": "LTX2ImageToVideoPipeline", "fields": {**_IMAGE, **_RATE}},
    },
    "vace": {
        "text-to-video": {"path": "WanVACEPipeline", "fields": _FIELDS},
        "first-last-frame": {
            "path": "WanVACEPipeline", "fields": _LAST, "capabilities": {"last_image": True},
        },
        "reference-to-video": {
            "path": "WanVACEPipeline", "capabilities": {"references": 2},
            "fields": {**_FIELDS, "reference_images": {"to": "reference_images", "type": "list"}},
        },
        "edit": {"path": "WanVACEPipeline", "fields": _VIDEO, "capabilities": {"durations": {}}},
    },
}  # fmt: skip


def offer_of(kind: str, folder: str | Path, *, model: str = "", **weights: Any) -> Offer:
    """The offer `local/tiny-KIND` for a folder: 32x32 or 48x32 pixels, 5 or 9 frames at 8 a second, one step unless asked."""
    table = {
        "model": model or f"tiny-{kind}", "endpoint": "local", "provider": "local", "family": "tiny", "title": "tiny",
        "as_of": date(2026, 11, 22), "min_poll": 0.02, "outlives_caller": False,
        "price": {"rule": "free", "source": "runs on this machine"},
        "capabilities": {
            "durations": {"choices": ["0.5", 1]}, "resolutions": ["256p"], "aspect_ratios": ["1:1", "3:2"],
            "sizes": {"256p 1:1": [32, 32], "256p 3:2": [48, 32]}, "fps": [8], "seed": True, "negative_prompt": "native",
            "steps": [1, 50], "guidance": [1, 20],
        },
        "routes": _ROUTES[kind],
    }  # fmt: skip
    made = load({"offer": [table]}, environ={}, user_file="none").offer(f"local/{table['model']}")
    assert made is not None
    defaults = {"steps": 1, "guidance": 5.0, "max_sequence_length": 16}
    return replace(made, weights=Weights(**{"source": str(folder), "defaults": defaults, **weights}))


def catalog_of(*offers: Offer) -> Catalog:
    """A catalog of these offers alone."""
    return Catalog(offers)
