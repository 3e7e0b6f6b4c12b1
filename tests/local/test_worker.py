"""The engine of open-weight models by itself: queue, progress, stops, memory that runs out, pipelines that are kept."""

from __future__ import annotations

import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.local.boxes import box, safetensors
from vidorch import media
from vidorch.errors import InvalidRequest, ProviderFailed, Unsupported, VidorchError
from vidorch.offer import Weights
from vidorch_local.diffusion import loading, placing, running
from vidorch_local.diffusion.folders import examine
from vidorch_local.diffusion.jobs import Job, Made, State
from vidorch_local.diffusion.settings import Settings
from vidorch_local.diffusion.worker import Worker

pytestmark = pytest.mark.torch

CALL = {
    "prompt": "a lighthouse", "width": 32, "height": 32, "num_frames": 5, "num_inference_steps": 4, "guidance_scale": 5.0,
    "max_sequence_length": 16,
}  # fmt: skip


class Heard:
    """Starts jobs and keeps what is told of each; calls `at` on the worker's thread, where a test may stop or hold it."""

    def __init__(self, worker: Worker, at: Callable[[State], object] = lambda _: None) -> None:
        self.worker, self.at = worker, at
        self.states: list[State] = []
        self.ended = threading.Event()

    def start(self, job: Job) -> Heard:
        def tell() -> None:
            state = self.worker.state(job.id)
            assert state is not None
            self.states.append(state)
            self.at(state)
            if state.ended is not None:
                self.ended.set()

        self.worker.start(job, tell)
        return self

    def result(self) -> Made | VidorchError:
        assert self.ended.wait(100)
        ended = self.states[-1].ended
        assert ended is not None
        return ended

    def made(self) -> Made:
        ended = self.result()
        if isinstance(ended, VidorchError):
            raise ended
        return ended


@pytest.fixture
def worker() -> Iterator[Worker]:
    """On the CPU."""
    worker = Worker("cpu")
    yield worker
    worker.close()


@pytest.fixture
def job(weights: Callable[[str], Path]) -> Callable[..., Job]:
    """A job of four steps; what is given replaces what it has."""

    def of(number: int = 1, kind: str = "t2v", *, call: dict[str, Any] | None = None, **changes: Any) -> Job:
        folder = weights(kind)
        made = Job(
            id=f"job_{number}", name=f"local/tiny-{kind}", found=examine(folder, kind), weights=Weights(str(folder)),
            pipeline="WanPipeline", device="cpu", call={**CALL, **(call or {})}, seed=7, fps=8,
        )  # fmt: skip
        return replace(made, **changes)

    return of


class TestProgress:
    def test_tells_each_stage_in_turn(self, worker: Worker, job: Callable[..., Job]) -> None:
        """Fractions never fall; steps are counted; the seconds left are told from the second step on."""
        heard = Heard(worker).start(job())
        heard.made()
        stages = dict.fromkeys(state.stage for state in heard.states if state.stage != "queued")
        assert ["load", "encode", "denoise", "decode"] == list(stages)
        fractions = [state.fraction for state in heard.states]
        assert sorted(fractions) == fractions
        told = {state.detail: state.eta for state in heard.states}
        assert (None, True) == (told["denoise 1/4, cpu"], (told["denoise 2/4, cpu"] or -1) > 0)

    def test_keeps_previews_where_they_are_asked_for(
        self, worker: Worker, job: Callable[..., Job], tmp_path: Path
    ) -> None:
        """A small picture of the latents after every second step, beside the clip to come."""
        folder = tmp_path / "run"
        Heard(worker).start(job(settings=Settings(previews=2), folder=str(folder))).made()
        assert (4, 4, 3) == media.load_still(folder / "job_1-preview.png").shape

    def test_survives_a_preview_that_cannot_be_written(
        self, worker: Worker, job: Callable[..., Job], tmp_path: Path
    ) -> None:
        """The clip is worth more."""
        (tmp_path / "file").write_text("")
        made = Heard(worker).start(job(settings=Settings(previews=1), folder=str(tmp_path / "file"))).made()
        assert 5 == len(made.frames)


class TestAJob:
    def test_goes_through_a_pickle(self, worker: Worker, job: Callable[..., Job]) -> None:
        """So that it can be made in another process, and gives the same clip there."""
        first = Heard(worker).start(job()).made()
        second = Heard(worker).start(pickle.loads(pickle.dumps(job(2)))).made()
        assert np.array_equal(first.frames, second.frames)

    def test_of_numbers_that_are_no_picture_fails(
        self, weights: Callable[[str], Path], job: Callable[..., Job]
    ) -> None:
        """Half precision can overflow: no black clip is handed on for good."""
        import torch

        pipe = loading.load(job().found, "WanPipeline", "cpu", "local/wan")
        with torch.no_grad():
            pipe.transformer.proj_out.bias.fill_(float("nan"))
        with pytest.raises(ProviderFailed, match="NaN") as caught:
            running.run(pipe, job(), tell=lambda *_: None, should_stop=lambda: False)
        assert False is caught.value.charged

    def test_with_something_that_the_pipeline_does_not_take_fails(
        self, worker: Worker, job: Callable[..., Job]
    ) -> None:
        """What was asked for is not dropped."""
        ended = Heard(worker).start(job(call={"strength": 0.5}, given={"strength": "strength"})).result()
        assert (Unsupported, True) == (type(ended), "strength: local/tiny-t2v takes none" in str(ended))

    def test_drops_defaults_that_the_pipeline_does_not_take(
        self, worker: Worker, job: Callable[..., Job]
    ) -> None:
        """A catalog has one set of defaults for all routes of a model."""
        assert 5 == len(
            Heard(worker).start(job(call={"strength": 0.5, "guidance_scale_2": 3.0})).made().frames
        )

    def test_is_cut_to_the_frames_that_were_asked_for(self, worker: Worker, job: Callable[..., Job]) -> None:
        """What was only made for the sake of a legal number goes."""
        assert 3 == len(Heard(worker).start(job(frames=3)).made().frames)

    def test_obeys_its_flow_shift(self, worker: Worker, job: Callable[..., Job]) -> None:
        """And the next one without has the folder's own again."""
        before, shifted, after = (
            Heard(worker).start(job(i, flow_shift=shift)).made().frames
            for i, shift in enumerate((None, 8.0, None))
        )
        assert (False, True) == (np.array_equal(before, shifted), np.array_equal(before, after))

    def test_says_why_it_failed(
        self, worker: Worker, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever torch raises becomes an error of ours, and the next job is made."""

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("shapes differ")

        with monkeypatch.context() as patch:
            patch.setattr(running, "run", broken)
            ended = Heard(worker).start(job()).result()
        assert (ProviderFailed, True) == (type(ended), "RuntimeError: shapes differ" in str(ended))
        assert 5 == len(Heard(worker).start(job(2)).made().frames)


class TestStopping:
    def test_at_a_step_decodes_nothing(self, worker: Worker, job: Callable[..., Job]) -> None:
        """And the next clip is what it would have been."""
        undisturbed = Heard(worker).start(job()).made()

        def at(state: State) -> None:
            if state.detail.startswith("denoise 1/"):
                worker.stop("job_2")

        heard = Heard(worker, at).start(job(2))
        assert "cancelled" in str(heard.result())
        assert (True, False) == (
            heard.states[-1].stopped,
            any(state.stage == "decode" for state in heard.states),
        )
        assert not any(state.detail.startswith("denoise 2/") for state in heard.states)
        again = Heard(worker).start(job(3)).made()
        assert np.array_equal(undisturbed.frames, again.frames)

    def test_of_one_that_waits_is_at_once(self, worker: Worker, job: Callable[..., Job]) -> None:
        """While another is at work; whoever is behind it moves up."""
        reached, go_on = threading.Event(), threading.Event()

        def hold(state: State) -> None:
            if state.stage == "encode":
                reached.set()
                assert go_on.wait(100)

        first = Heard(worker, hold).start(job(1))
        assert reached.wait(100)
        second, third = Heard(worker).start(job(2)), Heard(worker).start(job(3))
        assert ("queued behind 1", "queued behind 2") == (second.states[-1].detail, third.states[-1].detail)
        worker.stop("job_2")
        assert ("cancelled" in str(second.result()), "queued behind 1") == (True, third.states[-1].detail)
        go_on.set()
        assert np.array_equal(first.made().frames, third.made().frames)

    def test_of_what_is_over_or_unknown_is_harmless(self, worker: Worker, job: Callable[..., Job]) -> None:
        """Nothing happens."""
        Heard(worker).start(job()).made()
        worker.stop("job_1")
        worker.stop("job_9")
        state = worker.state("job_1")
        assert state is not None
        assert isinstance(state.ended, Made)

    def test_by_closing_ends_what_is_at_work(
        self, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At its next step; the thread is gone, the weights are let go, and nothing more is taken."""
        worker = Worker("cpu")
        reached, told = threading.Event(), threading.Event()
        stop = worker.stop

        def stopping(job_id: str) -> None:
            stop(job_id)
            told.set()

        def hold(state: State) -> None:
            if state.stage == "encode":
                reached.set()
                assert told.wait(100)

        monkeypatch.setattr(worker, "stop", stopping)
        heard = Heard(worker, hold).start(job())
        assert reached.wait(100)
        worker.close()
        assert "cancelled" in str(heard.result())
        assert ((), []) == (
            worker.shelf.kept,
            [one for one in threading.enumerate() if one.name == "vidorch-cpu"],
        )
        with pytest.raises(ProviderFailed, match="closed"):
            worker.start(job(2), lambda: None)


class TestMemory:
    def no_room(self, patch: pytest.MonkeyPatch, tries: int) -> list[str]:
        """Let it run out as often as that; gives the placements that were tried."""
        import torch

        tried: list[str] = []
        apply = placing.apply

        def noted(pipe: Any, placement: str, *args: Any, **kwargs: Any) -> None:
            tried.append(placement)
            apply(pipe, placement, *args, **kwargs)

        run = running.run

        def full(*args: Any, **kwargs: Any) -> Made:
            if len(tried) <= tries:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return run(*args, **kwargs)

        patch.setattr(placing, "apply", noted)
        patch.setattr(running, "run", full)
        return tried

    def test_that_runs_out_is_tried_once_with_less(
        self, worker: Worker, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next placement, noted with the clip."""
        tried = self.no_room(monkeypatch, 1)
        made = Heard(worker).start(job()).made()
        assert ["cpu", "fp8"] == tried
        assert "Memory ran out with the weights as cpu, so they were placed as fp8." in made.notes

    def test_that_runs_out_again_fails_with_what_may_fit(
        self, worker: Worker, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not a third time; nothing was paid; what it took is free again."""
        tried = self.no_room(monkeypatch, 2)
        ended = Heard(worker).start(job()).result()
        assert (["cpu", "fp8"], ()) == (tried, worker.shelf.kept)
        assert isinstance(ended, ProviderFailed)
        assert (
            "ran out of memory on cpu at 32x32, 5 frames, with the weights placed as cpu, then fp8"
            in ended.message
        )
        assert ("A smaller size or a shorter clip may fit", False) == (ended.hint.rstrip("."), ended.charged)

    @pytest.mark.parametrize(
        ("words", "is_it"),
        [
            ("MPS backend out of memory (MPS allocated: 9 GB)", True),
            (
                "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to",
                True,
            ),
            ("mat1 and mat2 shapes cannot be multiplied", False),
        ],
        ids=["mps", "cpu", "shapes"],
    )
    def test_that_runs_out_is_known_on_any_device(self, words: str, is_it: bool) -> None:
        """CUDA has a class for it, the others have words."""
        assert is_it == placing.is_out_of_memory(RuntimeError(words))


class TestPlacements:
    def test_of_eight_bits_is_applied(self, worker: Worker, job: Callable[..., Job]) -> None:
        """Weights lie in float8 and are cast layer by layer, which changes the clip a little."""
        import torch

        exact = Heard(worker).start(job()).made()
        cast = Heard(worker).start(job(2, settings=Settings(placement="fp8"))).made()
        assert not np.array_equal(exact.frames, cast.frames)
        assert "Made on cpu, the weights placed as fp8." in cast.notes
        kept = worker.shelf.take(job(settings=Settings(placement="fp8")), "fp8", {"fp8": 0})
        assert torch.float8_e4m3fn == kept.transformer.blocks[0].attn1.to_q.weight.dtype

    def test_by_groups_gives_the_same_clip(self, job: Callable[..., Job]) -> None:
        """What comes and goes by parts is the same numbers. (Here from main memory to main memory.)"""
        usual, moved = (loading.load(job().found, "WanPipeline", "cpu", "local/wan") for _ in range(2))
        placing.apply(moved, "group-offload", "cpu")
        moved.vae.disable_tiling()
        first, second = (
            running.run(pipe, job(), tell=lambda *_: None, should_stop=lambda: False)
            for pipe in (usual, moved)
        )
        assert np.array_equal(first.frames, second.frames)

    def test_by_models_is_set_for_each_pipeline_that_shares_the_weights(self) -> None:
        """Its hooks belong to a pipeline, not to its parts."""
        called: list[str] = []

        class Pipe:
            def enable_model_cpu_offload(self, device: str) -> None:
                called.append(device)

        placing.apply(Pipe(), "model-offload", "cuda:1")
        placing.apply(Pipe(), "model-offload", "cuda:1", again=True)
        assert ["cuda:1", "cuda:1"] == called


class TestDevices:
    @pytest.mark.parametrize(
        ("wanted", "device"),
        [(None, "cuda:0"), ("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
    )
    def test_are_the_first_gpu_unless_said(
        self, monkeypatch: pytest.MonkeyPatch, wanted: str | None, device: str
    ) -> None:
        """Of a machine with two."""
        import torch

        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert device == placing.device_of(wanted)

    def test_that_are_not_there_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With those that are."""
        import torch

        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        with pytest.raises(InvalidRequest, match="There is cuda:0, cuda:1, cpu"):
            placing.device_of("cuda:2")


class TestWhatIsKept:
    def test_is_not_loaded_again(
        self, worker: Worker, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second clip takes the pipeline of the first."""
        Heard(worker).start(job()).made()
        monkeypatch.setattr(loading, "load", None)
        assert 5 == len(Heard(worker).start(job(2)).made().frames)

    def test_is_nothing_where_that_was_asked_for(self, worker: Worker, job: Callable[..., Job]) -> None:
        """`keep_gb = 0`."""
        Heard(worker).start(job(settings=Settings(keep_gb=0.0))).made()
        worker.close()
        assert () == worker.shelf.kept

    def test_goes_oldest_first_for_what_has_no_room(self, job: Callable[..., Job]) -> None:
        """Two are kept until memory is short: then the one used longest ago goes."""
        free = 10**9
        worker = Worker("cpu", free=lambda _: free if len(worker.shelf.kept) < 2 else 50)
        small = {"weights": Weights("x", memory={"cpu": 100}), "settings": Settings(keep_gb=1.0)}
        first, second, third = (
            job(i, kind, **small) for i, kind in enumerate(("t2v", "ti2v", "two-experts"))
        )
        for one in (first, second, replace(first, id="again"), third):
            Heard(worker).start(one).made()
        kept = [Path(folder).name for folder in worker.shelf.kept]
        worker.close()
        assert ["t2v", "two-experts"] == kept

    def test_goes_for_the_next_clip_of_another_that_needs_its_room(self, job: Callable[..., Job]) -> None:
        """A clip takes memory beside the weights that are loaded already."""
        short = threading.Event()
        worker = Worker("cpu", free=lambda _: 50 if short.is_set() and worker.shelf.kept else 10**9)
        large = {"weights": Weights("x", memory={"cpu": 10**8}), "settings": Settings(keep_gb=1.0)}
        first, second = job(1, **large), job(2, "ti2v", **large)
        for one in (first, second):
            Heard(worker).start(one).made()
        short.set()
        Heard(worker).start(replace(second, id="again")).made()
        kept = [Path(folder).name for folder in worker.shelf.kept]
        worker.close()
        assert ["ti2v"] == kept

    def test_is_shared_by_pipelines_of_one_folder(self, worker: Worker, job: Callable[..., Job]) -> None:
        """Text and image to video have one set of weights."""
        need = {"cpu": 0, "fp8": 0}
        text = worker.shelf.take(job(kind="ti2v"), "cpu", need)
        image = worker.shelf.take(job(kind="ti2v", pipeline="WanImageToVideoPipeline"), "cpu", need)
        assert ("WanPipeline", "WanImageToVideoPipeline") == (type(text).__name__, type(image).__name__)
        assert (text.transformer, True) == (image.transformer, image.config.expand_timesteps)


class TestAnotherKindOfModel:
    def load(self, folder: Path, wanted: str) -> str:
        """What is said of loading a folder as that."""
        with pytest.raises(ProviderFailed) as caught:
            loading.view(
                loading.load(examine(folder, "wan"), wanted, "cpu", "local/wan"), wanted, "local/wan"
            )
        assert False is caught.value.charged
        return str(caught.value)

    def test_of_images_is_said_to_be_one(self, tmp_path: Path) -> None:
        """What was found, and what is wanted, before anything is loaded."""
        folder = box(
            tmp_path / "sd", pipeline="StableDiffusionPipeline", transformer=None, vae=["diffusers", "AutoencoderKL"],
            unet=["diffusers", "UNet2DConditionModel"],
        )  # fmt: skip
        said = self.load(folder, "WanPipeline")
        assert ("needs a WanPipeline" in said, "is a StableDiffusionPipeline" in said) == (True, True)

    def test_without_the_parts_for_the_task_is_said_to_lack_them(
        self, weights: Callable[[str], Path]
    ) -> None:
        """VACE has a transformer of its own."""
        said = self.load(weights("t2v"), "WanVACEPipeline")
        assert "its transformer is a WanTransformer3DModel, not a WanVACETransformer3DModel" in said

    @pytest.mark.parametrize(
        ("kind", "wanted", "words"),
        [
            ("t2v", "WanImageToVideoPipeline", "are those of a text-to-video model"),
            ("i2v", "WanPipeline", "are those of an image-to-video model"),
        ],
    )
    def test_of_the_same_parts_is_told_by_what_it_takes_in(
        self, weights: Callable[[str], Path], kind: str, wanted: str, words: str
    ) -> None:
        """Else tensors would not fit, half a minute later and in other words."""
        assert words in self.load(weights(kind), wanted)

    def test_that_diffusers_does_not_know_names_its_version(self, tmp_path: Path) -> None:
        """A newer one may."""
        said = self.load(box(tmp_path / "wan"), "WanDreamPipeline")
        assert ("WanDreamPipeline" in said, "pip install -U diffusers" in said) == (True, True)

    def test_with_numbers_missing_is_said_to_lack_them(
        self, weights: Callable[[str], Path], tmp_path: Path
    ) -> None:
        """diffusers would leave them as chance has it, and the clip would be noise."""
        folder = tmp_path / "wan"
        shutil.copytree(weights("t2v"), folder)
        (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(safetensors())
        assert "vae holds 4 numbers and its configuration asks for" in self.load(folder, "WanPipeline")

    def test_that_does_not_load_says_why(self, weights: Callable[[str], Path], tmp_path: Path) -> None:
        """Files that are whole and say what no model has."""
        folder = tmp_path / "wan"
        shutil.copytree(weights("t2v"), folder)
        (folder / "transformer" / "config.json").write_text('{"num_attention_heads": "two"}')
        assert "diffusers does not load them" in self.load(folder, "WanPipeline")
