"""Attention: the best that is here, the one that is asked for, or an error that names what is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.local.lone import Lone
from vidorch.errors import InvalidRequest
from vidorch_local.diffusion import attention

pytestmark = pytest.mark.torch

Lones = Callable[..., Lone]


class TestChosen:
    def test_is_native_on_a_cpu(self, lone: Lones) -> None:
        """Nobody asked, nothing else works there, and there is nothing to say."""
        assert ("native", ()) == attention.chosen((), "cpu", lone("t2v").pipe().transformer)

    def test_tries_in_order_and_falls_back(self, lone: Lones) -> None:
        """A list is an order; what could not be used is said with the reason."""
        name, (note,) = attention.chosen(("flash", "sage", "native"), "cpu", lone("t2v").pipe().transformer)
        assert "native" == name
        assert (
            note.startswith("Attention: native (flash: Flash Attention backend 'flash' is not usable")
            and "sage: " in note
        )

    def test_falls_back_to_native_from_any_list(self, lone: Lones) -> None:
        """Native does not have to be on it."""
        assert "native" == attention.chosen(("flash", "sage"), "cpu", lone("t2v").pipe().transformer)[0]

    def test_of_one_that_is_not_here_is_an_error(self, lone: Lones) -> None:
        """Whoever names one alone wants that one; the error names those that are here."""
        with pytest.raises(
            InvalidRequest, match="attention='sage' cannot be used on cpu: .* There is native"
        ) as caught:
            attention.chosen(("sage",), "cpu", lone("t2v").pipe().transformer)
        assert "math" in caught.value.allowed

    def test_says_which_one_was_asked_for(self, lone: Lones) -> None:
        """It is in the notes of the clip."""
        assert ("Attention: math.",) == lone("t2v").make(lone("t2v").job(steps=1, attention=("math",))).notes


class TestBest:
    def test_has_nothing_of_the_hub_that_is_not_here(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
        """Kernels are code: none is fetched unless its name is asked for."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        assert ("flash_3", "flash", "native") == attention.best("cuda:0")

    def test_has_8_bits_where_they_will_do(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
        """Sage is not the same picture."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        assert ("flash_3", "flash", "sage", "native") == attention.best("cuda:0", rough=True)

    def test_has_a_kernel_of_the_hub_that_is_here(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
        """In its cache, where nothing can be fetched."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        (tmp_path / "models--kernels-community--flash-attn3" / "snapshots" / "main").mkdir(parents=True)
        assert ("flash_3", "flash_3_hub", "flash", "native") == attention.best("cuda:0")


class TestPut:
    def test_gives_the_same_clip_but_for_rounding(self, lone: Lones) -> None:
        """Math and native are two ways of one computation."""
        native = lone("t2v").clip(steps=2)
        assert np.allclose(native, lone("t2v").clip(steps=2, attention=("math",)), atol=1e-3)

    def test_leaves_no_trace(self, lone: Lones) -> None:
        """The next clip is computed natively again, bit for bit."""
        native = lone("t2v").clip(steps=2)
        lone("t2v").clip(steps=2, attention=("math",))
        assert np.array_equal(native, lone("t2v").clip(steps=2))

    def test_changes_no_other_model(self, lone: Lones) -> None:
        """What computes its attention by default does so natively still."""
        from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

        lone("t2v").clip(steps=1, attention=("math",))
        assert AttentionBackendName.NATIVE == _AttentionBackendRegistry.get_active_backend()[0]
