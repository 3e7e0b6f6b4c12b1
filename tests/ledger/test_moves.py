"""The life of a job, as a table: what may follow what, and what must be on disk before going on."""

from __future__ import annotations

import itertools

import pytest

from vidorch.ledger.moves import BEFORE_SENDING, ENDS, MOVES, OPEN, Move, State, find_move, states_that_may

S = State
RIDES = {S.UPLOADING, S.RUNNING, S.DOWNLOADING}
"""The states that need not be waited for: found again after a crash, nothing is lost by being one step back."""


def _reachable(start: State | None, moves: tuple[Move, ...] = MOVES) -> set[State]:
    seen: set[State] = set()
    todo = [start]
    while todo:
        source = todo.pop()
        for move in moves:
            if move.source is source and move.target not in seen:
                seen.add(move.target)
                todo.append(move.target)
    return seen


class TestTheTable:
    def test_the_names(self) -> None:
        """The names of the states are promises: they are in every ledger."""
        expected = "reserved uploading sending accepted running downloading settled refused rejected failed cancelled abandoned lost unknown"
        assert expected.split() == [state.value for state in State]

    def test_the_good_way(self) -> None:
        """A job that succeeds goes through seven states, from being reserved."""
        way = [S.RESERVED, S.UPLOADING, S.SENDING, S.ACCEPTED, S.RUNNING, S.DOWNLOADING, S.SETTLED]
        assert all(find_move(a, b) for a, b in itertools.pairwise(way))

    def test_every_state_is_reachable(self) -> None:
        """From nothing, by way of `reserved`, every state can be reached."""
        assert set(State) == _reachable(None)

    def test_all_begin_reserved(self) -> None:
        """There is one way to begin."""
        assert [S.RESERVED] == [move.target for move in MOVES if move.source is None]

    @pytest.mark.parametrize("state", sorted(OPEN))
    def test_every_open_state_has_a_way_out(self, state: State) -> None:
        """No open job is stuck: an end can be reached from it."""
        assert _reachable(state) & ENDS

    @pytest.mark.parametrize("state", sorted(OPEN - {S.UNKNOWN}))
    def test_without_a_person(self, state: State) -> None:
        """Nor does it take a person to get there."""
        assert _reachable(state, tuple(move for move in MOVES if not move.by_hand)) & ENDS

    def test_ends_are_ends(self) -> None:
        """Only a person leads out of an end, and only to correct what a lost job was booked at."""
        assert [(S.LOST, S.SETTLED, True)] == [
            (m.source, m.target, m.by_hand) for m in MOVES if m.source in ENDS
        ]

    def test_each_step_once(self) -> None:
        """No step is listed twice, and none stays where it is."""
        steps = [(move.source, move.target) for move in MOVES]
        assert len(set(steps)) == len([step for step in steps if step[0] is not step[1]])

    def test_each_step_says_why(self) -> None:
        """Each step has its reason, for the picture in the docs."""
        assert all(move.why for move in MOVES)

    @pytest.mark.parametrize("move", MOVES, ids=lambda m: f"{m.source or 'nothing'}-{m.target}")
    def test_what_waits(self, move: Move) -> None:
        """`reserved`, `sending`, `accepted`, `unknown` and every end are on disk before the engine goes on; the others ride."""
        assert (move.target not in RIDES) is move.waits

    def test_unknown_only_from_sending(self) -> None:
        """Nobody can doubt whether something was sent before or after sending it; but a person may take a person's word back."""
        by_hand = {move.source for move in MOVES if move.target is S.UNKNOWN and move.by_hand}
        assert ({S.SENDING}, {S.ACCEPTED, S.RUNNING}) == (states_that_may(S.UNKNOWN) - by_hand, by_hand)

    def test_out_of_unknown(self) -> None:
        """Unknown is left by being found, by an answer that came late, closed by hand, or lost; it is never sent again."""
        assert {S.ACCEPTED, S.REJECTED, S.REFUSED, S.SETTLED, S.LOST} == {
            move.target for move in MOVES if move.source is S.UNKNOWN
        }

    def test_sending_comes_from_uploading_alone(self) -> None:
        """A submit has one door, and no state that may have been sent leads back to it."""
        assert {S.UPLOADING} == states_that_may(S.SENDING)

    def test_nothing_goes_back_before_sending(self) -> None:
        """What may have been sent never becomes what was not."""
        assert not (_reachable(S.SENDING) & BEFORE_SENDING)

    def test_rejected_means_nothing_was_accepted(self) -> None:
        """Once a vendor gave an id, a job cannot be `rejected` any more."""
        assert not {S.ACCEPTED, S.RUNNING, S.DOWNLOADING} & states_that_may(S.REJECTED)

    def test_abandoned_costs_nothing(self) -> None:
        """Abandoned is what was provably not sent, or work that died with its process."""
        assert all(
            move.in_process_only is (move.source not in BEFORE_SENDING)
            for move in MOVES
            if move.target is S.ABANDONED
        )

    def test_in_process_work_can_be_abandoned_anywhere(self) -> None:
        """In-process work without a live owner is abandoned from any open state but `unknown`, which it cannot be in."""
        assert OPEN - {S.UNKNOWN} == states_that_may(S.ABANDONED)

    def test_settled_has_its_file(self) -> None:
        """Without a person, only what was downloaded is settled."""
        assert {S.DOWNLOADING} == {m.source for m in MOVES if m.target is S.SETTLED and not m.by_hand}

    @pytest.mark.parametrize(
        ("source", "target"),
        [
            (S.RESERVED, S.SENDING),
            (S.RESERVED, S.ACCEPTED),
            (S.SENDING, S.RUNNING),
            (S.SETTLED, S.RUNNING),
            (S.UNKNOWN, S.SENDING),
            (None, S.SENDING),
        ],
    )
    def test_what_is_not_there(self, source: State | None, target: State) -> None:
        """Shortcuts and ways back are not in the table."""
        assert find_move(source, target) is None
