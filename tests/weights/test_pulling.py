"""Fetching weights, from a hub on the loopback with the hub's own package."""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from tests.servers.hub import Hub
from tests.weights.conftest import FAST, TINY, lay_cache
from vidorch.catalog import shipped
from vidorch.errors import InvalidRequest, MissingCredentials, ProviderFailed, Unsupported, VidorchError
from vidorch.offer import Lora, Offer, Price, Weights
from vidorch.pulling import fetch, look, needed_of
from vidorch.weights import locate, locate_lora

SHARDS = [f"transformer/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
NEEDED = {
    "model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json", "tokenizer/spiece.model",
    "text_encoder/config.json", "text_encoder/model.safetensors", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors.index.json", *SHARDS,
}  # fmt: skip


def offer_of(weights: Weights | None, name: str = "tiny") -> Offer:
    return Offer(name, "local", "local", "acme", {}, Price("free"), weights=weights)


def refused(source: str) -> VidorchError:
    with pytest.raises(VidorchError) as caught:
        fetch(look(offer_of(Weights(source))))
    return caught.value


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's package waits a second before it tries again."""
    monkeypatch.setattr("time.sleep", lambda _: None)


class TestLook:
    def test_says_what_will_be_fetched(self, hub: Hub, cache: Path) -> None:
        """Only what the pipeline loads, with its size, where to, and how much room there is; the index alone is here then."""
        pull = look(offer_of(TINY))
        (one,) = pull.repositories
        assert (NEEDED, hub.models["acme/tiny"].commit, cache) == (set(one.files), one.commit, pull.folder)
        assert sum(len(hub.models["acme/tiny"].files[name]) for name in NEEDED) == one.total
        assert one.total - len(hub.models["acme/tiny"].files["model_index.json"]) == pull.to_fetch
        assert pull.free
        assert ["model_index.json"] == hub.fetched()

    def test_of_loras(self, hub: Hub) -> None:
        """The file that is named, of the repository that has it."""
        pull = look(offer_of(FAST))
        assert [{"fast.safetensors": 400}] == [
            one.files for one in pull.repositories if one.source == "acme/loras"
        ]

    def test_all_here(self, hub: Hub, cache: Path) -> None:
        """Then nobody is asked."""
        lay_cache(cache)
        assert (0, []) == (look(offer_of(TINY)).to_fetch, hub.asked)

    def test_hosted(self) -> None:
        """A vendor's model has nothing to fetch, nor has the one inside vidorch."""
        offers = [offer for name in ("fal/kling-3.0-pro", "local/mini") if (offer := shipped().offer(name))]
        for offer in offers:
            with pytest.raises(InvalidRequest, match="no weights to fetch"):
                look(offer)

    def test_folder(self, tmp_path: Path) -> None:
        """What is to be in a folder of one's own cannot be fetched."""
        with pytest.raises(InvalidRequest, match="Nothing can be fetched"):
            look(offer_of(Weights(str(tmp_path / "no"))))

    def test_another_format(self, hub: Hub) -> None:
        """A repository without an index is told by that."""
        assert "it is not in diffusers' format" in str(refused("acme/flat"))

    def test_no_such_lora(self, hub: Hub) -> None:
        """With what there is."""
        with pytest.raises(Unsupported, match=r"no file 'no\.safetensors'") as caught:
            look(offer_of(Weights("acme/tiny", loras=(Lora("acme/loras:no.safetensors"),))))
        assert "fast.safetensors" in caught.value.hint

    def test_as_a_document(self, hub: Hub) -> None:
        """JSON-ready."""
        document = look(offer_of(FAST)).to_dict()
        assert ["acme/tiny", "acme/loras"] == [one["source"] for one in document["repositories"]]


class TestFetch:
    def test_whole(self, hub: Hub, cache: Path) -> None:
        """All of it is here then, byte for byte, and nothing else; its LoRA, too."""
        folder = fetch(look(offer_of(FAST)))
        files = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        assert {name: hub.models["acme/tiny"].files[name] for name in NEEDED} == files
        assert folder == locate(FAST)
        assert locate_lora(FAST.loras[0]) is not None

    def test_the_hubs_package_finds_it_offline(self, hub: Hub, cache: Path) -> None:
        """By its name, without a connection."""
        from huggingface_hub import hf_hub_download

        folder = fetch(look(offer_of(TINY)))
        found = hf_hub_download("acme/tiny", SHARDS[0], cache_dir=cache, local_files_only=True)
        assert folder / SHARDS[0] == Path(found)

    def test_progress(self, hub: Hub) -> None:
        """Rises to what was to be fetched."""
        pull, told = look(offer_of(TINY)), list[int]()
        fetch(pull, lambda _, here: told.append(here))
        assert (sorted(told), pull.to_fetch) == (told, told[-1])

    def test_twice(self, hub: Hub) -> None:
        """The second time nothing is fetched."""
        fetch(look(offer_of(TINY)))
        hub.asked.clear()
        fetch(look(offer_of(TINY)))
        assert [] == hub.asked

    def test_after_a_break(self, hub: Hub, no_waiting: None) -> None:
        """Files that are whole stay, and only the others are fetched the next time."""
        hub.breaks[SHARDS[1]] = 100
        with pytest.raises(ProviderFailed, match="Files that are whole stay") as caught:
            fetch(look(offer_of(TINY)))
        assert caught.value.retryable
        assert locate(TINY) is None
        hub.breaks.clear()
        hub.asked.clear()
        pull = look(offer_of(TINY))
        assert SHARDS[0] not in pull.repositories[0].absent
        assert SHARDS[1] in pull.repositories[0].absent
        assert fetch(pull) == locate(TINY)
        assert SHARDS[0] not in hub.fetched()

    def test_a_connection_that_breaks_once(self, hub: Hub, no_waiting: None) -> None:
        """The file goes on where it was."""
        hub.breaks[SHARDS[0]] = 1
        folder = fetch(look(offer_of(TINY)))
        assert hub.models["acme/tiny"].files[SHARDS[0]] == (folder / SHARDS[0]).read_bytes()

    def test_interrupted(self, hub: Hub) -> None:
        """Ctrl-C ends it at once, and what is whole stays."""

        def interrupt(name: str, _: int) -> None:
            if name == SHARDS[1]:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(look(offer_of(TINY)), interrupt)
        assert SHARDS[0] not in look(offer_of(TINY)).repositories[0].absent

    def test_no_room(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is begun that does not fit."""
        usage = shutil.disk_usage("/")._replace(free=10_000)
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
        pull = look(offer_of(TINY))
        with pytest.raises(ProviderFailed, match="10 kB free") as caught:
            fetch(pull)
        assert ("HF_HOME" in caught.value.hint, ["model_index.json"]) == (True, hub.fetched())

    def test_disk_that_fills_up(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """Told as what it is."""
        pull = look(offer_of(TINY))

        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
        with pytest.raises(ProviderFailed, match="is full"):
            fetch(pull)

    def test_token(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """HF_TOKEN opens what is private and what is gated, and goes to the hub alone."""
        monkeypatch.setenv("HF_TOKEN", hub.token)
        for source in ("acme/private", "acme/gated"):
            assert fetch(look(offer_of(Weights(source)))).is_dir()
        assert ({f"Bearer {hub.token}"}, set()) == (hub.tokens, hub.tokens_at_store)


class TestErrors:
    def test_not_there(self, hub: Hub) -> None:
        """The hub answers 401 to whoever shows no token, for what is not there as for what is private."""
        error = refused("acme/nothing")
        assert isinstance(error, MissingCredentials)
        assert ("HF_TOKEN", "has no acme/nothing, or does not show it" in error.message) == (
            error.variable,
            True,
        )

    def test_gated(self, hub: Hub) -> None:
        """Where the terms are to be agreed to, and the variable."""
        error = refused("acme/gated")
        assert isinstance(error, MissingCredentials)
        assert "gated" in error.message
        assert "https://huggingface.co/acme/gated" in error.hint
        assert "HF_TOKEN" in error.hint

    def test_token_is_never_shown(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not in the message, not in what caused it."""
        monkeypatch.setenv("HF_TOKEN", "hf_wrong-and-secret")
        for source in ("acme/private", "acme/gated", "acme/nothing"):
            error = refused(source)
            assert "hf_wrong" not in f"{error} {error.hint} {error.__cause__}"

    def test_no_such_revision(self, hub: Hub) -> None:
        """Told as that."""
        with pytest.raises(Unsupported, match="no such revision"):
            look(offer_of(Weights("acme/tiny", revision="dev")))

    def test_no_network(self) -> None:
        """Nothing listens there."""
        error = refused("acme/tiny")
        assert isinstance(error, ProviderFailed)
        assert ("could not be fetched" in error.message, True) == (True, error.retryable)

    def test_down(self, hub: Hub, no_waiting: None) -> None:
        """With what it answered."""
        hub.down = True
        assert "503" in refused("acme/tiny").message

    def test_offline(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the user said that the hub is not to be asked."""
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert "HF_HUB_OFFLINE" in refused("acme/tiny").message
        assert [] == hub.asked

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Named."""
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        error = refused("acme/tiny")
        assert ("pip install 'vidorch[local]'", True) == (error.hint, isinstance(error, MissingCredentials))


class TestNeeded:
    def test_without_safetensors(self) -> None:
        """The other format is taken where a part has no other."""
        names = (
            "model_index.json",
            "vae/config.json",
            "vae/diffusion_pytorch_model.bin",
            "unet/x.safetensors",
            "x.bin",
        )
        assert names[:3] == needed_of(names, {"vae": ["diffusers", "V"], "_class_name": "P"})
