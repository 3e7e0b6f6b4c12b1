"""A call that joins a run by its key and wants the clip elsewhere gets it there, for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.engine.scripted import Scripted, paid, video
from tests.engine.test_promises import generate, one_by_one, rejected, run
from vidorch.client.aio import AsyncClient
from vidorch.errors import BadMedia, InvalidRequest, Throttled, VidorchError
from vidorch.result import Result

pytestmark = pytest.mark.databases

Make = Callable[..., AsyncClient]


@pytest.fixture
def call(client_of: Make) -> Callable[..., Result]:
    """The same call with the same key, from a client of its own each time."""

    def make(output: Any = None, **options: Any) -> Result:
        where = {} if output is None else {"output": output}
        return generate(client_of(paid()), key="k", **where, **options)

    return make


@pytest.fixture
def memory() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()


@pytest.fixture
def submits(provider: Scripted) -> Callable[[], int]:
    return lambda: provider.calls.count("submit")


Call = Callable[..., Result]
Count = Callable[[], int]


class TestAnotherPlace:
    @pytest.mark.parametrize("first", [None, "first.mp4", "folder/"])
    def test_a_file(self, call: Call, submits: Count, tmp_path: Path, first: str | None) -> None:
        """The finished clip is put there too, wherever the first call had it put; the one that lies there stays."""
        before = call(None if first is None else f"{tmp_path}/{first}").clip
        result = call(tmp_path / "second.mp4")
        assert (tmp_path / "second.mp4", str(tmp_path / "second.mp4")) == (result.clip.path, result.clip.uri)
        assert result.clip.path is not None
        assert before.path is not None
        assert (before.path.read_bytes(), 1) == (result.clip.path.read_bytes(), submits())
        assert (result.clip,) == result.candidates

    def test_a_folder(self, call: Call, tmp_path: Path) -> None:
        """Every candidate goes there under its own name, and the chosen one is the chosen one."""
        call(candidates=2)
        result = call(f"{tmp_path}/new/", candidates=2)
        paths = [tmp_path / "new" / f"{number}-test-basic.mp4" for number in (1, 2)]
        assert (paths, paths[0]) == ([clip.path for clip in result.candidates], result.clip.path)
        assert all(path.is_file() for path in paths)

    def test_one_file_for_several(self, call: Call, tmp_path: Path) -> None:
        """The chosen clip goes there, and the candidates stay where they are."""
        first = call(tmp_path / "first.mp4", candidates=2)
        second = call(tmp_path / "second.mp4", candidates=2)
        assert (tmp_path / "second.mp4", first.candidates) == (second.clip.path, second.candidates)
        assert (tmp_path / "second.mp4").is_file()

    def test_a_url(self, call: Call, submits: Count, memory: Any) -> None:
        """A file or a folder in a store."""
        call()
        urls = [call(f"memory://ads/{name}").clip.uri for name in ("a.mp4", "b/", "a.mp4")]
        assert ["memory://ads/a.mp4", "memory://ads/b/1-test-basic.mp4", "memory://ads/a.mp4"] == urls
        assert (True, True, 1) == (
            memory.exists("/ads/a.mp4"),
            memory.exists("/ads/b/1-test-basic.mp4"),
            submits(),
        )

    def test_from_a_url(self, call: Call, memory: Any, tmp_path: Path) -> None:
        """What was put into a store comes from there."""
        call("memory://ads/a.mp4")
        clip = call(tmp_path / "here.mp4").clip
        assert (tmp_path / "here.mp4", memory.cat("/ads/a.mp4")) == (
            clip.path, (tmp_path / "here.mp4").read_bytes(),
        )  # fmt: skip

    def test_of_a_run_that_another_call_carries(
        self, client_of: Make, provider: Scripted, tmp_path: Path
    ) -> None:
        """Two calls at once, two places, one submit."""

        async def go(client: AsyncClient) -> list[Path | None]:
            calls = (
                client.generate("x", model="test/basic", key="k", output=tmp_path / name)
                for name in ("a.mp4", "b.mp4")
            )
            return [result.clip.path for result in await asyncio.gather(*calls)]

        paths = run(client_of(paid()), go)
        assert ([tmp_path / "a.mp4", tmp_path / "b.mp4"], 1) == (paths, provider.calls.count("submit"))
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    def test_of_a_run_that_had_not_been_sent(self, call: Call, provider: Scripted, tmp_path: Path) -> None:
        """It is put where the first call wanted it, and where this one does."""
        provider.on_submit = one_by_one(rejected(), None)
        with pytest.raises(Throttled):
            call(tmp_path / "a.mp4")
        assert tmp_path / "b.mp4" == call(tmp_path / "b.mp4").clip.path
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    def test_again_and_again(self, call: Call, submits: Count, tmp_path: Path) -> None:
        """A copy that is there is no hindrance, and no other one is made."""
        call()
        for name in ("b.mp4", "b.mp4", "c/", "c/"):
            call(f"{tmp_path}/{name}")
        assert (["b.mp4"], ["1-test-basic.mp4"], 1) == (
            [path.name for path in tmp_path.glob("*.mp4")], [path.name for path in (tmp_path / "c").iterdir()], submits(),
        )  # fmt: skip

    def test_is_in_the_history(self, client_of: Make, call: Call, tmp_path: Path) -> None:
        """Once for each copy."""
        call()
        run_id, _ = (call(tmp_path / "b.mp4").run_id for _ in range(2))

        async def go(client: AsyncClient) -> list[Any]:
            return [
                event.data for event in await (await client.run(run_id)).events() if event.kind == "copied"
            ]

        assert [{"uri": str(tmp_path / "b.mp4")}] == run(client_of(paid()), go)

    def test_of_the_lines_of_a_batch(self, client_of: Make, provider: Scripted, tmp_path: Path) -> None:
        """Each of them has its clip there."""
        provider.write = lambda path: video(path, frames=8 + provider.calls.count("fetch"))

        async def go(client: AsyncClient) -> list[Any]:
            await client.generate_many(["x", "y"], model="test/basic", key="k")
            results = await client.generate_many(
                ["x", "y"], model="test/basic", key="k", output=f"{tmp_path}/all/"
            )
            return [result.clip.path for result in results if isinstance(result, Result)]

        paths = run(client_of(paid()), go)
        assert (2, 2) == (len(set(paths)), provider.calls.count("submit"))
        assert set(paths) == set((tmp_path / "all").iterdir())


class TestWhatIsThere:
    def test_is_never_overwritten_unasked(self, call: Call, submits: Count, tmp_path: Path) -> None:
        """A clear error, nothing paid again, and the file as it was."""
        call()
        (tmp_path / "b.mp4").write_text("precious")
        with pytest.raises(InvalidRequest, match=r"exists already.*Nothing was paid again") as caught:
            call(tmp_path / "b.mp4")
        assert ("precious", 1, "output") == ((tmp_path / "b.mp4").read_text(), submits(), caught.value.field)

    def test_is_seen_before_anything_is_sent(self, call: Call, provider: Scripted, tmp_path: Path) -> None:
        """What had not been sent of the run is not sent by such a call."""
        provider.on_submit = one_by_one(rejected(), None)
        with pytest.raises(Throttled):
            call()
        (tmp_path / "b.mp4").write_text("precious")
        with pytest.raises(InvalidRequest, match="exists already"):
            call(tmp_path / "b.mp4")
        assert 1 == provider.calls.count("submit")

    def test_is_overwritten_when_asked(self, call: Call, tmp_path: Path) -> None:
        """With `overwrite=True`."""
        first = call().clip
        (tmp_path / "b.mp4").write_text("old")
        clip = call(tmp_path / "b.mp4", overwrite=True).clip
        assert first.path is not None
        assert (tmp_path / "b.mp4", first.path.read_bytes()) == (clip.path, (tmp_path / "b.mp4").read_bytes())

    def test_at_a_url(self, call: Call, memory: Any) -> None:
        """The same in a store: an error that says where the clip lies, unless it may be replaced."""
        first = call().clip
        memory.pipe("/ads/b.mp4", b"precious")
        with pytest.raises(InvalidRequest, match=r"exists already.*Nothing was paid again") as caught:
            call("memory://ads/b.mp4")
        assert (True, b"precious") == (first.uri in caught.value.message, memory.cat("/ads/b.mp4"))
        assert "memory://ads/b.mp4" == call("memory://ads/b.mp4", overwrite=True).clip.uri
        assert b"precious" != memory.cat("/ads/b.mp4")

    def test_in_a_folder_is_left_alone(self, call: Call, tmp_path: Path) -> None:
        """The clip goes beside it under a name with the job's id, and a note says so."""
        call()
        (tmp_path / "1-test-basic.mp4").write_text("precious")
        result = call(tmp_path)
        assert f"1-test-basic-{result.clip.job_id}.mp4" == Path(result.clip.uri).name
        assert any("was taken meanwhile" in note for note in result.notes)


class TestAClipThatIsGone:
    def test_cannot_be_put_elsewhere(self, call: Call, submits: Count, tmp_path: Path) -> None:
        """A clear error that says where it lay, and that nothing was paid again."""
        clip = call(tmp_path / "a.mp4").clip
        (tmp_path / "a.mp4").unlink()
        with pytest.raises(
            InvalidRequest, match=r"a\.mp4 and is not there any more.*Nothing was paid again"
        ) as caught:
            call(tmp_path / "b.mp4")
        assert (clip.run_id, 1) == (caught.value.run_id, submits())
        assert "nothing was paid by this call" in caught.value.__notes__[-1]

    def test_from_the_same_place(self, call: Call, tmp_path: Path) -> None:
        """The call that named that place is not told that all is well."""
        call(tmp_path / "a.mp4")
        (tmp_path / "a.mp4").unlink()
        with pytest.raises(InvalidRequest, match="not there any more"):
            call(tmp_path / "a.mp4")

    def test_one_of_several_comes_from_the_candidates(self, call: Call, tmp_path: Path) -> None:
        """The file that was named is put there again, since its original lies in the run's folder."""
        call(tmp_path / "a.mp4", candidates=2)
        (tmp_path / "a.mp4").unlink()
        assert tmp_path / "a.mp4" == call(tmp_path / "a.mp4", candidates=2).clip.path
        assert (tmp_path / "a.mp4").is_file()

    def test_whose_copy_is_there_is_found_there(self, call: Call, tmp_path: Path) -> None:
        """The place that is asked for has it already."""
        call(tmp_path / "a.mp4")
        call(tmp_path / "b.mp4")
        (tmp_path / "a.mp4").unlink()
        assert tmp_path / "b.mp4" == call(tmp_path / "b.mp4").clip.path

    def test_is_noted_where_no_place_is_asked_for(self, call: Call) -> None:
        """The result still tells what it was and cost."""
        clip = call().clip
        assert clip.path is not None
        clip.path.unlink()
        assert f"The clip is not at {clip.uri} any more; it was not made again." in call().notes

    def test_and_something_else_in_its_place(self, call: Call, tmp_path: Path) -> None:
        """What is not the clip is not handed out as the clip."""
        call(tmp_path / "a.mp4")
        (tmp_path / "a.mp4").write_text("something else")
        with pytest.raises(BadMedia, match=r"is not the clip.*Nothing was paid again"):
            call(tmp_path / "b.mp4")
        assert not (tmp_path / "b.mp4").exists()

    def test_from_a_url(self, call: Call, memory: Any, tmp_path: Path) -> None:
        """The same where it lay in a store."""
        call("memory://ads/a.mp4")
        memory.rm("/ads/a.mp4")
        with pytest.raises(VidorchError, match="Nothing was paid again") as caught:
            call(tmp_path / "b.mp4")
        assert caught.value.charged is False


class TestAPlaceThatCannotBe:
    def test_is_said_before_anything_is_sent(self, call: Call, provider: Scripted) -> None:
        """A store that nobody knows: nothing is bought for it, and the error tells of the run that was joined."""
        provider.on_submit = one_by_one(rejected(), None)
        with pytest.raises(Throttled):
            call()
        with pytest.raises(InvalidRequest, match="nosuch://") as caught:
            call("nosuch://ads/b.mp4")
        assert ("nothing was paid by this call" in caught.value.__notes__[-1], 1) == (
            True, provider.calls.count("submit"),
        )  # fmt: skip

    def test_with_detach_is_refused(self, client_of: Make, provider: Scripted, tmp_path: Path) -> None:
        """Nobody would be left to put it there; with the place of the run itself it is no question."""

        async def go(client: AsyncClient) -> None:
            one = {"model": "test/basic", "key": "k", "detach": True}
            await client.submit("x", **one, output=tmp_path / "a.mp4")
            await client.submit("x", **one, output=tmp_path / "a.mp4")
            with pytest.raises(InvalidRequest, match="detach=True"):
                await client.submit("x", **one, output=tmp_path / "b.mp4")

        run(client_of(paid()), go)
        assert 1 == provider.calls.count("submit")
