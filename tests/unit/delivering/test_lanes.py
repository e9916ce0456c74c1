"""Which delivery may be sent next: by example, and against a model of the database and the receiver's loop."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from notifier.delivering.lanes import LONGEST_LANE, Lane, Lanes
from notifier.model.delivery import PendingDelivery
from tests.builders import NOW, a_delivery


def lanes_with(*deliveries: PendingDelivery, due: float = 0.0) -> Lanes:
    lanes = Lanes()
    for delivery in deliveries:
        lanes.add(delivery, due, 0.0)
    return lanes


def take(lanes: Lanes) -> Lane:
    lane = lanes.take()
    assert lane is not None
    return lane


def drained(lanes: Lanes, now: float = 0.0) -> list[int]:
    """IDs in the order in which they are sent, one at a time, each with success."""
    sent = []
    while lane := lanes.take():
        sent.append(lane.head.id)
        lanes.landed(lane, None, now, next_due=now)
    return sent


def test_only_the_first_of_a_lane_may_be_under_way() -> None:
    lanes = lanes_with(a_delivery(1), a_delivery(2))
    lane = take(lanes)
    assert lane.head.id == 1
    assert lanes.take() is None
    lanes.landed(lane, None, 0.0, next_due=0.0)
    assert take(lanes).head.id == 2


def test_lanes_go_side_by_side_oldest_first() -> None:
    lanes = lanes_with(
        a_delivery(1, sync_id=7), a_delivery(2, sync_id=8), a_delivery(3, workspace="staging", sync_id=7)
    )
    assert [take(lanes).head.id for _ in range(3)] == [1, 2, 3]
    assert lanes.flying == 3
    assert lanes.take() is None


def test_a_failed_delivery_holds_its_followers_back_until_it_is_due_again() -> None:
    lanes = lanes_with(a_delivery(1), a_delivery(2), a_delivery(3, sync_id=8))
    lanes.landed(take(lanes), 5.0, 0.0, next_due=0.0)
    assert drained(lanes) == [3]
    assert lanes.next_due() == 5.0
    lanes.wake(4.9)
    assert lanes.take() is None
    lanes.wake(5.0)
    assert drained(lanes, 5.0) == [1, 2]
    assert (len(lanes), lanes.flying, lanes.next_due()) == (0, 0, None)


def test_all_that_sleeps_wakes_when_the_receiver_works_again() -> None:
    lanes = lanes_with(a_delivery(1, sync_id=7), a_delivery(2, sync_id=8), due=600.0)
    assert lanes.take() is None
    lanes.wake_all()
    assert drained(lanes) == [1, 2]


def test_a_broken_receiver_is_tried_with_the_oldest_whether_due_or_not() -> None:
    lanes = lanes_with(a_delivery(3, sync_id=9))
    lanes.add(a_delivery(2, sync_id=8), 600.0, 0.0)
    oldest = lanes.take_another()
    assert oldest is not None
    assert oldest.head.id == 2
    lanes.landed(oldest, 0.0, 0.0, next_due=0.0)
    assert drained(lanes) == [2, 3]
    assert lanes.take_another() is None


def test_a_lane_beyond_its_length_is_read_from_the_database_again() -> None:
    lanes = lanes_with(*(a_delivery(number) for number in range(1, LONGEST_LANE + 6)))
    assert drained(lanes) == list(range(1, LONGEST_LANE + 1))
    [lane] = lanes.starving()
    assert lane.last_id == LONGEST_LANE
    lanes.add(a_delivery(LONGEST_LANE + 6), 0.0, 0.0)  # a newer one does not overtake those still in the database
    assert lanes.take() is None
    lanes.refill(lane, [a_delivery(n) for n in range(LONGEST_LANE + 1, LONGEST_LANE + 7)], 0.0, 0.0, more=False)
    assert drained(lanes) == list(range(LONGEST_LANE + 1, LONGEST_LANE + 7))
    assert (lanes.starving(), len(lanes)) == ([], 0)


def test_what_steps_aside_goes_alone_and_its_followers_at_once() -> None:
    head = a_delivery(1, first_failed_at=NOW)
    lanes = Lanes()
    lanes.add(head, 600.0, 0.0)
    lanes.add(a_delivery(2), 0.0, 0.0)
    [failing] = lanes.failing()
    lanes.step_aside(failing, 600.0, 0.0)
    assert drained(lanes) == [2]
    lanes.wake(600.0)
    assert drained(lanes) == [1]
    assert len(lanes) == 0


def test_the_only_one_of_a_lane_may_step_aside_and_a_newcomer_does_not_wait_for_it() -> None:
    lanes = Lanes()
    lanes.add(a_delivery(1, first_failed_at=NOW), 600.0, 0.0)
    [failing] = lanes.failing()
    lanes.step_aside(failing, 600.0, 0.0)
    lanes.add(a_delivery(2), 0.0, 0.0)
    assert drained(lanes) == [2]


def test_what_has_not_failed_or_is_under_way_is_not_failing() -> None:
    lanes = lanes_with(a_delivery(1, sync_id=7), a_delivery(2, sync_id=8, first_failed_at=NOW))
    assert [lane.head.id for lane in lanes.failing()] == [2]
    take(lanes)
    take(lanes)
    assert list(lanes.failing()) == []
    assert not lanes.any_failing


def test_what_is_under_way_stays_through_a_clearing_and_is_not_taken_up_twice() -> None:
    lanes = lanes_with(a_delivery(1), a_delivery(2), a_delivery(3, sync_id=8))
    flying = take(lanes)
    lanes.clear()
    for number, sync_id in ((1, 52), (2, 52), (3, 8)):
        lanes.add(a_delivery(number, sync_id=sync_id), 0.0, 0.0)
    assert take(lanes).head.id == 3
    assert lanes.take() is None
    lanes.landed(flying, None, 0.0, next_due=0.0)
    assert drained(lanes) == [2]


def test_a_lane_that_was_cleared_while_it_was_read_is_left_to_the_new_reading() -> None:
    lanes = lanes_with(*(a_delivery(number) for number in range(1, LONGEST_LANE + 3)))
    drained(lanes)
    [starving] = lanes.starving()
    lanes.clear()
    lanes.refill(starving, [], 0.0, 0.0, more=False)
    lanes.refill(starving, [a_delivery(21, aside=True)], 0.0, 0.0, more=True)
    assert (len(lanes), lanes.starving()) == (0, [])
    lanes.refill(starving, [a_delivery(21), a_delivery(22)], 0.0, 0.0, more=False)
    lanes.add(a_delivery(21), 0.0, 0.0)
    lanes.add(a_delivery(22), 0.0, 0.0)
    assert drained(lanes) == [21, 22]


def test_a_lane_that_was_cleared_while_its_head_stepped_aside_is_left_to_the_new_reading() -> None:
    lanes = Lanes()
    lanes.add(a_delivery(1, first_failed_at=NOW), 0.0, 0.0)
    [failing] = lanes.failing()
    lanes.clear()
    lanes.step_aside(failing, 0.0, 0.0)
    assert len(lanes) == 0
    lanes.add(a_delivery(1, first_failed_at=NOW, aside=True), 0.0, 0.0)
    assert drained(lanes) == [1]


def test_what_stepped_aside_before_has_a_lane_of_its_own_from_the_start() -> None:
    lanes = lanes_with(a_delivery(1, aside=True), a_delivery(2), a_delivery(3, aside=True), a_delivery(4))
    assert [take(lanes).head.id for _ in range(3)] == [1, 2, 3]
    assert lanes.take() is None


def test_a_refill_leaves_out_what_stepped_aside_for_it_is_here_already() -> None:
    lanes = lanes_with(*(a_delivery(number) for number in range(1, LONGEST_LANE + 2)))
    lanes.add(a_delivery(LONGEST_LANE + 2, aside=True), 0.0, 0.0)
    assert drained(lanes) == [*range(1, LONGEST_LANE + 1), LONGEST_LANE + 2]
    [lane] = lanes.starving()
    rest = [a_delivery(LONGEST_LANE + 1), a_delivery(LONGEST_LANE + 2, aside=True)]
    lanes.refill(lane, rest, 0.0, 0.0, more=False)
    assert drained(lanes) == [LONGEST_LANE + 1]


def test_what_a_broken_receiver_is_tried_with_is_not_taken_again_while_under_way() -> None:
    lanes = lanes_with(a_delivery(1))
    assert lanes.take_another() is not None
    assert lanes.take() is None
    assert lanes.take_another() is None


def of_story(number: int, story: str | None) -> PendingDelivery:
    return replace(a_delivery(number), story=story)


def chapter(lane: Lane, most: int = 9) -> list[int]:
    return [delivery.id for delivery in lane.chapter(most)]


def test_what_goes_on_with_the_story_of_the_head_goes_with_it_up_to_another_story() -> None:
    lane = take(lanes_with(*(of_story(i, s) for i, s in enumerate(("inc_1", "inc_1", "run:93", "inc_1"), start=1))))
    assert chapter(lane) == [1, 2]
    assert chapter(lane, 2) == [1, 2]
    assert chapter(lane, 1) == [1]


def test_what_is_of_no_story_goes_alone() -> None:
    assert chapter(take(lanes_with(of_story(1, None), of_story(2, None), of_story(3, "inc_1")))) == [1]
    assert chapter(take(lanes_with(of_story(1, "inc_1"), of_story(2, None)))) == [1]


def test_several_that_are_done_together_leave_the_lane_together() -> None:
    lanes = lanes_with(*(of_story(number, "inc_1") for number in range(1, 5)))
    lanes.landed(take(lanes), None, 0.0, next_due=0.0, done={1, 2, 3})
    assert drained(lanes) == [4]


def test_of_several_that_failed_the_first_waits_and_all_the_others_behind_it() -> None:
    lanes = lanes_with(*(of_story(number, "inc_1") for number in range(1, 4)))
    lanes.landed(take(lanes), 5.0, 0.0, next_due=0.0, done={1})
    assert (drained(lanes), lanes.next_due()) == ([], 5.0)
    lanes.wake(5.0)
    assert drained(lanes, 5.0) == [1, 2, 3]


def test_of_several_that_are_done_those_that_a_clearing_took_away_are_not_missed() -> None:
    lanes = lanes_with(*(of_story(number, "inc_1") for number in range(1, 5)))
    lane = take(lanes)
    lanes.clear()
    lanes.landed(lane, None, 0.0, next_due=0.0, done={1, 2, 3})
    assert len(lanes) == 0
    lanes.add(of_story(4, "inc_1"), 0.0, 0.0)
    assert drained(lanes) == [4]


def test_dropping_a_lane_leaves_its_followers_alone() -> None:
    lanes = lanes_with(a_delivery(1), a_delivery(2), a_delivery(3, sync_id=8))
    lanes.drop(take(lanes))
    assert drained(lanes) == [3]
    assert (len(lanes), lanes.flying) == (0, 0)


def test_what_is_read_later_of_a_lane_that_was_dropped_is_left_alone_too() -> None:
    lanes = lanes_with(a_delivery(1), a_delivery(2))
    lanes.drop(take(lanes))
    lanes.add(a_delivery(3), 0.0, 0.0)
    lanes.add(a_delivery(4, sync_id=8), 0.0, 0.0)
    lanes.clear()
    lanes.add(a_delivery(2), 0.0, 0.0)
    lanes.add(a_delivery(4, sync_id=8), 0.0, 0.0)
    assert drained(lanes) == [4]
    assert len(lanes) == 0


# --- against a model ---


@dataclass
class Row:
    """A delivery as the database holds it."""

    number: int
    sync_id: int
    due: float = 0.0
    failed: bool = False
    aside: bool = False

    def read(self) -> PendingDelivery:
        return a_delivery(
            self.number, sync_id=self.sync_id, first_failed_at=NOW if self.failed else None, aside=self.aside
        )


def place_of(row: Row) -> tuple[int, int]:
    """Its lane: of its sync, or its own."""
    return row.sync_id, row.number if row.aside else 0


class Delivering(RuleBasedStateMachine):
    """Drives Lanes as the receiver's loop does: read, refill, take, land, step aside, clear.

    `while_broken`: the receiver is broken, so only the oldest is tried; when it works again, all that sleeps wakes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.database: dict[int, Row] = {}
        self.loaded_to = 0
        self.now = 0.0
        self.count = 0
        self.flying: list[Lane] = []
        self.while_broken = False
        self.closed: set[tuple[int, int]] = set()

    def pending(self, above: int, to: int | None = None) -> Iterable[Row]:
        return [row for number, row in sorted(self.database.items()) if number > above and (to is None or number <= to)]

    # --- the database ---

    @rule(sync_id=st.integers(1, 3), count=st.sampled_from([1, 2, 25, 45]))
    def record(self, sync_id: int, count: int) -> None:
        for _ in range(count):
            self.count += 1
            self.database[self.count] = Row(self.count, sync_id)

    @rule(most=st.sampled_from([1, 10, 1_000]))
    def load(self, most: int) -> None:
        for row in list(self.pending(self.loaded_to))[:most]:
            self.loaded_to = row.number
            self.lanes.add(row.read(), row.due, self.now)

    def refill_all(self) -> None:
        for lane in self.lanes.starving():
            rows = [row for row in self.pending(lane.last_id, self.loaded_to) if row.sync_id == lane.key[1]]
            batch = rows[:LONGEST_LANE]
            first = next((row.due for row in batch if not row.aside), 0.0)
            full = len(batch) == LONGEST_LANE
            self.lanes.refill(lane, [row.read() for row in batch], first, self.now, more=full)

    @rule()
    def refill(self) -> None:
        self.refill_all()

    @rule(while_reading=st.booleans())
    def clear(self, while_reading: bool) -> None:
        """Another process wrote. `while_reading`: it did so while a lane was being refilled."""
        starving = self.lanes.starving()
        self.lanes.clear()
        self.loaded_to = 0
        if while_reading:
            for lane in starving:
                self.lanes.refill(lane, [], 0.0, self.now, more=False)

    # --- sending ---

    def check_taken(self, lane: Lane, *, must_be_due: bool) -> None:
        row = self.database[lane.head.id]  # it is pending: neither lost nor sent before
        assert place_of(row) not in self.closed
        others = [other.head for other in self.flying]
        assert all(other.id != row.number for other in others)
        if not row.aside:
            elder = [r for r in self.pending(0) if r.number < row.number and r.sync_id == row.sync_id and not r.aside]
            assert elder == []
            assert all(other.sync_id != row.sync_id or other.aside for other in others)
        if must_be_due:
            assert row.due <= self.now
        self.flying.append(lane)
        assert self.lanes.flying == len(self.flying)

    @precondition(lambda self: not self.while_broken)
    @rule(places=st.integers(1, 3))
    def launch(self, places: int) -> None:
        self.lanes.wake(self.now)
        while len(self.flying) < places and (lane := self.lanes.take()):
            self.check_taken(lane, must_be_due=True)

    @precondition(lambda self: not self.flying)
    @rule()
    def probe(self) -> None:
        self.while_broken = True
        if lane := self.lanes.take_another():
            self.check_taken(lane, must_be_due=False)

    @precondition(lambda self: self.while_broken)
    @rule()
    def works_again(self) -> None:
        self.while_broken = False
        for row in self.database.values():
            row.due = min(row.due, self.now)
        self.lanes.wake_all()

    @precondition(lambda self: bool(self.flying))
    @rule(which=st.integers(0, 2), wait=st.none() | st.sampled_from([0.0, 1.0, 30.0]))
    def land(self, which: int, wait: float | None) -> None:
        lane = self.flying.pop(which % len(self.flying))
        row = self.database[lane.head.id]
        if wait is None:
            del self.database[row.number]
            follower = lane.waiting[1] if len(lane.waiting) > 1 else None
            due = self.database[follower.id].due if follower else self.now
            self.lanes.landed(lane, None, self.now, next_due=due)
            return
        row.due, row.failed = self.now + wait, True
        lane.head = replace(lane.head, first_failed_at=NOW)
        self.lanes.landed(lane, row.due, self.now, next_due=0.0)

    @precondition(lambda self: bool(self.flying))
    @rule(which=st.integers(0, 2))
    def drop(self, which: int) -> None:
        """In a round of `run --once` a failed head leaves its followers, those too that are still to be read."""
        lane = self.flying.pop(which % len(self.flying))
        row = self.database[lane.head.id]
        row.failed = True
        self.closed.add(place_of(row))
        self.lanes.drop(lane)

    @precondition(lambda self: not self.while_broken)
    @rule(count=st.sampled_from([20, 30]))
    def deliver_many(self, count: int) -> None:
        """Empties whole lanes, so that they must be refilled."""
        for _ in range(count):
            self.launch(1)
            if self.flying:
                self.land(0, None)

    @rule(cleared_meanwhile=st.booleans())
    def step_aside(self, cleared_meanwhile: bool) -> None:
        for lane in list(self.lanes.failing()):
            row = self.database[lane.head.id]
            if row.aside:
                continue
            row.aside = True
            if cleared_meanwhile:
                self.clear(while_reading=False)
            self.lanes.step_aside(lane, row.due, self.now)
            if cleared_meanwhile:
                return

    @rule(seconds=st.sampled_from([0.5, 1.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # --- what always holds ---

    @invariant()
    def the_count_of_what_is_under_way_is_right(self) -> None:
        assert self.lanes.flying == len(self.flying)
        assert len(self.lanes) >= len(self.flying)

    def teardown(self) -> None:
        """Nothing is lost: with the receiver well and time enough, all goes out."""
        while self.flying:
            self.land(0, None)
        if self.while_broken:
            self.works_again()
        left = {number for number, row in self.database.items() if place_of(row) in self.closed}
        for number in left:
            del self.database[number]
        for _ in range(len(self.database) + 1):
            self.load(1_000)
            self.refill_all()
            self.now += 100.0
            self.launch(1)
            while self.flying:
                self.land(0, None)
        assert self.database == {}
        assert (len(self.lanes), self.lanes.starving()) == (0, [])


TestDelivering = pytest.mark.slow(Delivering.TestCase)
TestDelivering.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, report_multiple_bugs=False)
