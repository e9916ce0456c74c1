"""What a receiver's queue may do now, and for how long it may rest."""

from dataclasses import replace

import pytest

from notifier.delivering.due import ASIDE_EVERY, FAULT_PAUSE, LOOK_EVERY, PROBE_EVERY, STORE_RETRY, Due
from notifier.delivering.lanes import Lane, Lanes
from notifier.model.delivery import Broken, Delivered, Outcome, ReceiverState, Retry
from tests.builders import NOW, a_delivery

WORKS = ReceiverState("pipeline")
BROKEN = replace(WORKS, broken_since=NOW)


def waiting(*dues: float, concurrency: int = 16) -> tuple[Lanes, Due]:
    """A delivery of each of so many syncs, due then; all was read a moment ago."""
    lanes = Lanes()
    for number, due in enumerate(dues, start=1):
        lanes.add(a_delivery(number, sync_id=number), due, 0.0)
    due_to_do = Due(lanes, concurrency)
    assert due_to_do.due_to_read(0.0)
    return lanes, due_to_do


def taken(due: Due, now: float = 0.0, *, opens_at: float = 0.0, is_broken: bool = False) -> list[Lane]:
    lanes = []
    while lane := due.take(now, opens_at=opens_at, is_broken=is_broken):
        lanes.append(lane)
    return lanes


def patience(
    due: Due, now: float = 0.0, *, opens_at: float = 0.0, is_broken: bool = False, works: bool = True
) -> float:
    return due.patience(now, opens_at=opens_at, is_broken=is_broken, store_works=works)


# --- sending ---


def test_no_more_go_together_than_the_receiver_takes() -> None:
    _, due = waiting(0.0, 0.0, 0.0, concurrency=2)
    assert [lane.head.id for lane in taken(due)] == [1, 2]


def test_nothing_goes_before_the_turnstile_opens() -> None:
    _, due = waiting(0.0)
    assert taken(due, 4.9, opens_at=5.0) == []
    assert len(taken(due, 5.0, opens_at=5.0)) == 1


def test_a_broken_receiver_is_tried_at_start_and_then_with_one_every_five_minutes() -> None:
    lanes, due = waiting(0.0, 600.0)
    (tried,) = taken(due, is_broken=True)
    lanes.landed(tried, 0.0, 0.0, next_due=0.0)
    assert taken(due, PROBE_EVERY - 1, is_broken=True) == []
    assert [lane.head.id for lane in taken(due, PROBE_EVERY, is_broken=True)] == [2]  # though it is not due


def test_a_broken_receiver_is_not_tried_while_an_attempt_is_under_way() -> None:
    _, due = waiting(0.0, 30.0)
    assert len(taken(due)) == 1
    assert taken(due, is_broken=True) == []


def test_a_command_or_a_delivery_that_was_put_back_brings_the_next_trial_forward_and_never_puts_it_off() -> None:
    lanes, due = waiting(0.0)
    (tried,) = taken(due, is_broken=True)
    lanes.landed(tried, 0.0, 0.0, next_due=0.0)
    due.probe(20.0)
    due.probe(40.0)
    assert patience(due, 5.0, is_broken=True) == 15.0
    assert len(taken(due, 20.0, is_broken=True)) == 1


def test_a_receiver_that_breaks_is_tried_with_another_and_not_at_once() -> None:
    lanes, due = waiting(0.0, 0.0)
    first, second = taken(due)
    due.learned(first, Broken("HTTP 404"), WORKS, BROKEN, 10.0)
    lanes.landed(first, 10.0, 10.0, next_due=0.0)
    lanes.landed(second, 10.0, 10.0, next_due=0.0)
    assert taken(due, 10.0, is_broken=True) == []
    assert [lane.head.id for lane in taken(due, 10.0 + PROBE_EVERY, is_broken=True)] == [2]


def test_all_that_waits_goes_once_the_receiver_works_again() -> None:
    lanes, due = waiting(0.0, 600.0, 600.0)
    (tried,) = taken(due, is_broken=True)
    due.learned(tried, Delivered(), BROKEN, WORKS, 1.0)
    lanes.landed(tried, None, 1.0, next_due=1.0)
    assert len(taken(due, 1.0)) == 2


@pytest.mark.parametrize(("outcome", "tried_at_once"), [(Delivered(unsent=True), True), (Retry("HTTP 500"), False)])
def test_what_sent_nothing_was_no_trial(outcome: Outcome, tried_at_once: bool) -> None:
    lanes, due = waiting(0.0, 0.0)
    (tried,) = taken(due, is_broken=True)
    due.learned(tried, outcome, BROKEN, BROKEN, 1.0)
    lanes.landed(tried, None, 1.0, next_due=1.0)
    assert bool(taken(due, 1.0, is_broken=True)) == tried_at_once


# --- waiting ---


def test_with_nothing_to_send_it_rests_until_it_looks_whether_a_call_was_lost() -> None:
    _, due = waiting()
    assert patience(due, 10.0) == LOOK_EVERY - 10.0
    assert not due.due_to_read(LOOK_EVERY - 1)
    assert due.due_to_read(LOOK_EVERY)
    assert not due.due_to_read(LOOK_EVERY)


def test_it_looks_for_lost_calls_though_the_next_delivery_is_due_much_later() -> None:
    _, due = waiting(600.0)
    assert patience(due, 10.0) == LOOK_EVERY - 10.0


@pytest.mark.parametrize(
    ("opens_at", "rest"),
    [
        pytest.param(0.0, 20.0, id="until the first delivery is due"),
        pytest.param(12.0, 2.0, id="until the turnstile opens, for what is ready by then"),
        pytest.param(45.0, 35.0, id="until the turnstile opens, though a delivery is due before"),
    ],
)
def test_it_rests_until_something_may_go(opens_at: float, rest: float) -> None:
    _, due = waiting(30.0, 40.0)
    assert patience(due, 10.0, opens_at=opens_at) == rest


def test_it_rests_for_a_broken_receiver_until_the_next_trial() -> None:
    lanes, due = waiting(0.0)
    (tried,) = taken(due, is_broken=True)
    due.due_to_read(PROBE_EVERY - 10)
    assert patience(due, PROBE_EVERY - 10, is_broken=True) == LOOK_EVERY  # the attempt calls when it is over
    lanes.landed(tried, 0.0, 1.0, next_due=0.0)
    assert patience(due, PROBE_EVERY - 10, is_broken=True) == 10.0
    assert patience(due, PROBE_EVERY - 10, is_broken=True, opens_at=PROBE_EVERY + 5) == 15.0


def test_it_asks_a_store_that_can_not_say_again_soon_if_there_is_something_to_send() -> None:
    _, due = waiting(30.0)
    assert patience(due, works=False) == STORE_RETRY
    _, idle = waiting()
    assert patience(idle, works=False) == LOOK_EVERY


def test_it_looks_every_few_seconds_at_what_has_failed_for_long() -> None:
    lanes = Lanes()
    lanes.add(a_delivery(1, first_failed_at=NOW), 30.0, 0.0)
    due = Due(lanes, 1)
    due.due_to_read(0.0)
    assert due.due_to_look_aside(0.0)
    assert not due.due_to_look_aside(ASIDE_EVERY - 1)
    assert patience(due, 1.0) == ASIDE_EVERY - 1.0
    assert due.due_to_look_aside(ASIDE_EVERY)


def test_it_rests_for_a_minute_after_a_fault_of_ours() -> None:
    _, due = waiting(0.0)
    assert due.rest_left(10.0) == 0.0
    assert due.rest(10.0) == FAULT_PAUSE
    assert due.rest_left(30.0) == FAULT_PAUSE - 20.0
