"""What a scripted vendor can do, seen through `vidorch.generate`: everything but the wire is real."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import vidorch
from vidorch import media
from vidorch.testing import Mock
from vidorch.testing.clips import clip_bytes


def states(m: Mock) -> list[str]:
    return [job.state for job in m.jobs]


def answers(m: Mock) -> list[str]:
    return [one.answer for one in m.requests]


class TestSucceed:
    def test_three_minutes_cost_no_time(self, m: Mock) -> None:
        """A job of three minutes is over when the clock says so."""
        start = m.now
        result = vidorch.generate("a ball", model="test/slow", seed=1)
        assert 180 <= m.now - start < 240
        assert m.now - start == result.clip.latency

    def test_a_real_file_of_what_was_bought(self, m: Mock) -> None:
        """Size and length are those of the plan, and the price is the catalog's."""
        result = vidorch.generate("a ball", model="test/basic", duration=5, aspect_ratio="9:16", seed=1)
        assert result.clip.path is not None
        info = media.verify(result.clip.path, duration=5, size=(720, 1280))
        assert not info.has_audio
        assert (Decimal("0.50"), "computed") == (result.cost, result.clip.cost_basis)

    def test_sound(self, m: Mock) -> None:
        """A model with a switch for sound makes it audible, and dearer."""
        result = vidorch.generate("a bell", model="test/audio", audio=True, seed=1)
        assert result.clip.has_audio
        assert Decimal("0.75") == result.cost

    def test_from_an_image(self, m: Mock, tmp_path: Path) -> None:
        """Image to video has the image's shape."""
        from vidorch.testing.clips import still_bytes

        picture = tmp_path / "square.png"
        picture.write_bytes(still_bytes((640, 640)))
        result = vidorch.generate("it moves", model="test/image", image=picture, seed=1)
        assert (720, 720) == (result.clip.width, result.clip.height)

    def test_candidates_differ(self, m: Mock) -> None:
        """Each seed has a picture and bytes of its own."""
        result = vidorch.generate("a ball", model="test/basic", candidates=2, seed=1)
        assert [1, 2] == [clip.seed for clip in result.candidates]
        first, second = (next(iter(media.frames(clip.path or ""))) for clip in result.candidates)
        assert (first != second).any()
        assert 2 == len({clip.sha256 for clip in result.candidates})

    def test_equal_seeds_of_two_jobs_differ_in_bytes(self, m: Mock) -> None:
        """No two jobs hand out one and the same file."""
        one, two = (vidorch.generate("a ball", model="test/basic", seed=1).clip for _ in range(2))
        assert one.sha256 != two.sha256

    def test_several_clips_of_one_submit(self, m: Mock) -> None:
        """A model of several samples is asked once."""
        result = vidorch.generate("a ball", model="test/multi", candidates=3)
        assert [3] == [one.samples for one in m.requests]
        assert 3 == len(result.candidates)
        assert Decimal("0.75") == result.cost

    def test_its_own_cost_and_time(self, m: Mock) -> None:
        """What the vendor reports is what is booked, over the estimate too."""
        m.on(model="test/basic").succeed(cost="0.61", latency=300)
        result = vidorch.generate("a ball", model="test/basic", seed=1)
        assert (Decimal("0.61"), "reported") == (result.cost, result.clip.cost_basis)
        assert 300 <= result.clip.latency < 340
        assert any("more than" in note for note in result.notes)

    def test_its_own_clip(self, m: Mock) -> None:
        """A file of the test's is handed out as it is."""
        content = clip_bytes((1280, 720), 5, seed=3, name="mine")
        m.on(model="test/basic").succeed(clip=content)
        result = vidorch.generate("a ball", model="test/basic", seed=1)
        assert result.clip.path is not None
        assert content == result.clip.path.read_bytes()


class TestFailures:
    @pytest.mark.parametrize(
        ("charged", "cost"), [(True, Decimal("0.50")), (False, Decimal(0)), (None, Decimal(0))]
    )
    def test_fail(self, m: Mock, charged: bool | None, cost: Decimal) -> None:
        """A failed job costs what the vendor says; where it says nothing, what its billing rule says."""
        m.on(model="test/basic").fail(charged=charged, code="boom")
        with pytest.raises(vidorch.ProviderFailed) as caught:
            vidorch.generate("a ball", model="test/basic")
        assert "boom" == caught.value.code
        assert cost == m.spend
        assert ["failed"] == states(m)

    def test_fail_once(self, m: Mock) -> None:
        """With `retries` it is bought again."""
        m.on(model="test/basic", call=1).fail()
        vidorch.generate("a ball", model="test/basic", retries=1, seed=1)
        assert ["failed", "settled"] == states(m)
        m.assert_never_paid_twice()

    def test_refuse_the_input(self, m: Mock) -> None:
        """Nothing is accepted, nothing is paid, nothing is repeated."""
        m.on(prompt="forbidden").refuse()
        with pytest.raises(vidorch.Refused) as caught:
            vidorch.generate("a forbidden thing", model="test/basic")
        assert ("input", False) == (caught.value.stage, caught.value.charged)
        assert ["refused"] == answers(m) == states(m)

    def test_refuse_the_output(self, m: Mock) -> None:
        """Made and withheld."""
        m.on(model="test/basic").refuse(stage="output")
        with pytest.raises(vidorch.Refused) as caught:
            vidorch.generate("a ball", model="test/basic")
        assert "output" == caught.value.stage
        assert ["accepted"] == answers(m)

    def test_reject_goes_to_the_next_endpoint(self, m: Mock) -> None:
        """A bare model name means all its endpoints; the next one is tried where provably nothing was accepted."""
        m.on(model="test/basic").reject(code="no_capacity")
        result = vidorch.generate("a ball", model="basic", seed=1)
        assert "test-eu" == result.clip.endpoint
        assert [("test", "rejected"), ("test-eu", "accepted")] == [
            (one.endpoint, one.answer) for one in m.requests
        ]
        assert Decimal("0.60") == result.cost == m.spend

    def test_throttle(self, m: Mock) -> None:
        """It comes again after as long as it was asked to wait."""
        start = m.now
        m.on(model="test/basic").throttle(retry_after=40, times=2)
        vidorch.generate("a ball", model="test/basic", seed=1)
        assert ["throttled", "throttled", "accepted"] == answers(m)
        assert [0, 40, 80] == [one.at - start for one in m.requests]
        m.assert_never_paid_twice()


class TestLostReplies:
    @pytest.mark.parametrize("model", ["test/exact", "test/listed"])
    def test_found_again(self, m: Mock, model: str) -> None:
        """Where the vendor can be searched the job is found, adopted and paid once."""
        m.on(model=model).lose_reply()
        result = vidorch.generate("a ball", model=model, seed=1)
        assert ["accepted, reply lost"] == answers(m)
        assert Decimal("0.50") == result.cost == m.spend
        m.assert_never_paid_twice()

    @pytest.mark.parametrize("accepted", [True, False])
    def test_where_nobody_can_tell(self, m: Mock, accepted: bool) -> None:
        """It is reported, never sent again, and its money stays reserved."""
        m.on(model="test/blind").lose_reply(accepted=accepted)
        with pytest.raises(vidorch.SubmissionUnknown):
            vidorch.generate("a ball", model=["test/blind", "test/basic"])
        assert ["unknown"] == states(m)
        assert 1 == len(m.requests)
        m.assert_never_paid_twice()

    def test_the_callers_choice(self, m: Mock) -> None:
        """With on_unknown="next" another offer is paid, and that is not called paying twice."""
        m.on(model="test/blind").lose_reply()
        result = vidorch.generate("a ball", model=["test/blind", "test/basic"], on_unknown="next", seed=1)
        assert "basic" == result.clip.model
        m.assert_never_paid_twice()


class TestResults:
    def test_expired_link(self, m: Mock) -> None:
        """A stale link is renewed."""
        m.on(model="test/basic").expire_url()
        assert vidorch.generate("a ball", model="test/basic", seed=1).clip.path is not None
        assert ["settled"] == states(m)

    def test_cut_file_once(self, m: Mock) -> None:
        """What was cut on its way is fetched again."""
        m.on(model="test/basic").bad_file(times=1)
        assert vidorch.generate("a ball", model="test/basic", seed=1).clip.path is not None

    def test_bad_file(self, m: Mock) -> None:
        """What is no video is never handed over."""
        m.on(model="test/basic").bad_file()
        with pytest.raises(vidorch.BadMedia):
            vidorch.generate("a ball", model="test/basic", seed=1)
        assert ["failed"] == states(m)

    def test_lost_looks(self, m: Mock) -> None:
        """Polls without an answer say nothing about the job."""
        m.on(model="test/basic").crash_poll(times=3)
        vidorch.generate("a ball", model="test/basic", seed=1)
        assert ["settled"] == states(m)


class TestHold:
    def test_time_stands_for_it(self, m: Mock) -> None:
        """A held job is not done however much time passes, and is once it is released."""
        rule = m.on(model="test/basic").hold()
        run = vidorch.submit("a ball", model="test/basic", seed=1)
        start = m.now
        m.advance(500)
        assert "open" == run.state
        assert start + 500 == m.now
        rule.release()
        assert 500 <= run.wait().clip.latency < 540

    def test_a_timeout_strikes(self, m: Mock) -> None:
        """Waiting ends after `timeout` on the mock's clock; the run stays and can be had later."""
        rule = m.on(model="test/basic").hold()
        start = m.now
        with pytest.raises(vidorch.TimedOut) as caught:
            vidorch.generate("a ball", model="test/basic", timeout=60, seed=1)
        assert start + 60 == m.now
        rule.release()
        with vidorch.Client() as other:
            assert caught.value.run_id is not None
            handle = other.run(caught.value.run_id)
            assert handle.wait().clip.path is not None
        assert 1 == len(m.requests)

    def test_what_is_held_can_be_cancelled(self, m: Mock) -> None:
        """Its end is seen at once."""
        m.on(model="test/basic").hold()
        run = vidorch.submit("a ball", model="test/basic")
        m.advance(60)
        run.cancel()
        with pytest.raises(vidorch.VidorchError, match="cancelled"):
            run.wait()
        assert ["cancelled"] == states(m)
        assert Decimal("0.50") == m.spend  # its billing rule: in full

    def test_others_go_on(self, m: Mock) -> None:
        """Other jobs have their time meanwhile."""
        m.on(prompt="wait").hold()
        held = vidorch.submit("wait", model="test/basic")
        assert vidorch.generate("go", model="test/basic", seed=1).clip.path is not None
        assert "open" == held.state
