"""What an attempt makes of its delivery and of what is known of the receiver."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.delivering.retry import (
    KEEP_ACCEPTED_EVERY,
    Known,
    back_off,
    hold_of,
    learned,
    left_by,
    may_step_aside,
    settled,
    shown_after,
    stepped_aside,
)
from notifier.model.delivery import (
    Broken,
    Delivered,
    DeliveryState,
    Message,
    Outcome,
    Posted,
    ReceiverState,
    Refused,
    Retry,
    Shown,
    Story,
)
from tests.builders import NOW, a_delivery, at, delivery_settings, minutes

DEFAULTS = delivery_settings()  # 5 s, 10 min, 3 days
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


# --- back-off ---


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (7, 320), (8, 600), (9, 600), (10**6, 600)]
)
def test_the_wait_doubles_from_first_retry_to_longest_retry(attempts: int, seconds: float) -> None:
    assert back_off(attempts, DEFAULTS, 0.0) == timedelta(seconds=seconds)


@pytest.mark.parametrize("attempts", [1, 2, 8, 50])
def test_jitter_adds_up_to_a_fifth(attempts: int) -> None:
    plain = back_off(attempts, DEFAULTS, 0.0)
    assert back_off(attempts, DEFAULTS, 0.5) == plain * 1.1
    assert back_off(attempts, DEFAULTS, 1.0) == plain * 1.2


@given(
    st.integers(1, 10_000),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=36_500)),
    st.timedeltas(timedelta(0), timedelta(days=36_500)),
    st.floats(0, 1),
)
def test_the_wait_keeps_its_bounds_with_any_settings(
    attempts: int, first: timedelta, more: timedelta, jitter: float
) -> None:
    longest = min(first + more, timedelta(days=36_500))
    wait = back_off(attempts, delivery_settings(first_retry=first, longest_retry=longest), jitter)
    assert first <= wait <= longest * 1.2
    if attempts == 1:
        assert wait <= first * 1.2


def test_an_outage_of_many_attempts_is_survived_with_equal_first_and_longest_waits() -> None:
    settings = delivery_settings(first_retry=minutes(10), longest_retry=minutes(10))
    assert {back_off(attempts, settings, 0.0) for attempts in range(1, 500)} == {minutes(10)}


# --- what an outcome makes of a delivery ---


def test_what_was_delivered_is_delivered() -> None:
    settlement = settled(a_delivery(7, attempts=2), Delivered(), DEFAULTS, at(1), 0.0, age=HOUR)
    assert (settlement.delivery_id, settlement.state, settlement.attempts) == (7, DeliveryState.DELIVERED, 3)
    assert (settlement.settled_at, settlement.next_attempt_at, settlement.last_error) == (at(1), None, None)


def test_what_is_missing_of_a_message_that_was_delivered_is_kept_with_it() -> None:
    settlement = settled(a_delivery(7), Delivered(caveat="without @here"), DEFAULTS, at(1), 0.0, age=HOUR)
    assert (settlement.state, settlement.last_error) == (DeliveryState.DELIVERED, "without @here")


def test_a_refused_message_is_dead_at_once() -> None:
    settlement = settled(a_delivery(), Refused("HTTP 422"), DEFAULTS, NOW, 0.0, age=HOUR)
    assert (settlement.state, settlement.attempts) == (DeliveryState.DEAD, 1)
    assert (settlement.next_attempt_at, settlement.last_error) == (None, "HTTP 422")


def test_the_first_failure_is_tried_again_after_first_retry() -> None:
    settlement = settled(a_delivery(), Retry("HTTP 503"), DEFAULTS, at(1), 0.5, age=HOUR)
    assert (settlement.state, settlement.attempts) == (DeliveryState.PENDING, 1)
    assert settlement.next_attempt_at == at(1) + timedelta(seconds=5.5)
    assert settlement.first_failed_at == at(1)
    assert settlement.last_error == "HTTP 503"


def test_a_later_failure_waits_longer_and_remembers_the_first_one() -> None:
    delivery = a_delivery(attempts=3, first_failed_at=at(-2))
    settlement = settled(delivery, Retry("HTTP 503"), DEFAULTS, NOW, 0.0, age=HOUR)
    assert (settlement.attempts, settlement.first_failed_at) == (4, at(-2))
    assert settlement.next_attempt_at == NOW + timedelta(seconds=40)


@pytest.mark.parametrize("after", [timedelta(seconds=1), timedelta(seconds=7), HOUR])
@pytest.mark.parametrize("attempts", [0, 20])
def test_retry_after_is_obeyed_as_given(after: timedelta, attempts: int) -> None:
    settlement = settled(a_delivery(attempts=attempts), Retry("HTTP 429", after), DEFAULTS, NOW, 1.0, age=HOUR)
    assert settlement.next_attempt_at == NOW + after


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(days=3) - timedelta(seconds=1), DeliveryState.PENDING),
        (timedelta(days=3), DeliveryState.DEAD),
        (timedelta(days=30), DeliveryState.DEAD),
    ],
)
def test_a_failed_attempt_is_the_last_once_the_event_is_old_enough(age: timedelta, state: DeliveryState) -> None:
    settlement = settled(a_delivery(attempts=4), Retry("HTTP 503"), DEFAULTS, NOW, 0.0, age=age)
    assert settlement.state is state
    assert (settlement.next_attempt_at is None) == (state is DeliveryState.DEAD)


def test_what_is_given_up_says_why_and_after_how_many_attempts() -> None:
    settlement = settled(a_delivery(attempts=4), Retry("HTTP 503"), DEFAULTS, NOW, 0.0, age=4 * DAY)
    assert settlement.last_error == "given up after 5 attempts: HTTP 503"


def test_an_old_event_is_still_delivered() -> None:
    settlement = settled(a_delivery(), Delivered(), DEFAULTS, NOW, 0.0, age=70 * DAY)
    assert settlement.state is DeliveryState.DELIVERED


def test_a_broken_receiver_never_kills_a_message_and_starts_no_clock() -> None:
    settlement = settled(a_delivery(attempts=9), Broken("HTTP 404"), DEFAULTS, NOW, 1.0, age=700 * DAY)
    assert (settlement.state, settlement.attempts) == (DeliveryState.PENDING, 10)
    assert (settlement.next_attempt_at, settlement.last_error) == (NOW, "HTTP 404")
    assert settlement.first_failed_at is None


@pytest.mark.parametrize("outcome", [Delivered(), Retry("x"), Broken("x"), Refused("x")])
@pytest.mark.parametrize("aside", [True, False])
def test_what_stepped_aside_stays_aside(outcome: Outcome, aside: bool) -> None:
    assert settled(a_delivery(aside=aside), outcome, DEFAULTS, NOW, 0.0, age=HOUR).aside is aside


@pytest.mark.parametrize("outcome", [Retry("x" * 9_999), Broken("x" * 9_999), Refused("x" * 9_999)])
def test_a_long_reason_is_kept_short(outcome: Outcome) -> None:
    assert settled(a_delivery(), outcome, DEFAULTS, NOW, 0.0, age=HOUR).last_error == "x" * 500


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Delivered(), None),
        (Delivered(hold=HOUR), HOUR),
        (Retry("x"), None),
        (Retry("x", HOUR), HOUR),
        (Broken("x"), None),
        (Broken("x", HOUR), HOUR),
        (Refused("x"), None),
        (Refused("x", HOUR), HOUR),
    ],
)
def test_retry_after_holds_the_receiver_on_any_answer(outcome: Outcome, expected: timedelta | None) -> None:
    assert hold_of(outcome) == expected


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (Delivered(), None),
        (Retry("no answer in time", maybe_sent=True), at(-3)),
        (Broken("invalid_auth", maybe_sent=True), at(-3)),
        (Retry("HTTP 429"), None),
        (Broken("channel_not_found"), None),
        (Refused("invalid_blocks"), None),
    ],
)
def test_that_it_may_have_been_sent_is_known_until_an_outcome_says_otherwise(
    outcome: Outcome, kept: datetime | None
) -> None:
    delivery = replace(a_delivery(), maybe_sent_at=at(-3))
    assert settled(delivery, outcome, DEFAULTS, NOW, 0.0, age=HOUR).maybe_sent_at == kept


def test_a_message_that_was_given_up_is_still_known_to_have_been_sent_perhaps() -> None:
    """Whoever has it sent again by hand wants it looked for first."""
    delivery = replace(a_delivery(), maybe_sent_at=at(-3))
    settlement = settled(delivery, Retry("no answer in time", maybe_sent=True), DEFAULTS, NOW, 0.0, age=4 * DAY)
    assert (settlement.state, settlement.maybe_sent_at) == (DeliveryState.DEAD, at(-3))


# --- what an outcome says of the receiver ---

BROKEN = ReceiverState(
    "growth",
    broken_since=at(-9),
    last_error="is_archived",
    note="#a=C1",
    last_accepted_at=at(-60),
    failed_since=at(-9),
)


FAILED = ReceiverState("growth", failed_since=NOW)
"""After its first failed attempt."""
FAILING = ReceiverState("growth", last_accepted_at=at(-60), failed_since=at(-9), failing=True, last_error="HTTP 500")


@pytest.mark.parametrize(
    ("old", "outcome", "new"),
    [
        (ReceiverState("growth"), Delivered(), ReceiverState("growth", last_accepted_at=NOW)),
        (ReceiverState("growth"), Delivered(note="x"), ReceiverState("growth", last_accepted_at=NOW, note="x")),
        (BROKEN, Delivered(), ReceiverState("growth", last_accepted_at=NOW, note="#a=C1")),
        (ReceiverState("growth"), Broken("gone"), replace(FAILED, broken_since=NOW, last_error="gone")),
        (BROKEN, Broken("gone"), replace(BROKEN, last_error="gone")),
        (BROKEN, Retry("HTTP 500"), BROKEN),
        (BROKEN, Refused("invalid_blocks"), BROKEN),
        (BROKEN, Retry("HTTP 429", HOUR), replace(BROKEN, hold_until=NOW + HOUR)),
        (ReceiverState("growth"), Retry("HTTP 500"), FAILED),
        (ReceiverState("growth"), Refused("HTTP 400"), FAILED),
        (FAILING, Delivered(), ReceiverState("growth", last_accepted_at=NOW)),
        (FAILING, Refused("HTTP 400"), replace(FAILING, last_error="HTTP 400")),
    ],
)
def test_a_receiver_breaks_and_works_again_by_what_it_answers(
    old: ReceiverState, outcome: Outcome, new: ReceiverState
) -> None:
    assert learned(old, outcome, NOW, failed_for=timedelta(0)) == new


@pytest.mark.parametrize("outcome", [Retry("no connection"), Refused("no connection"), Broken("no connection")])
@pytest.mark.parametrize(("failed_for", "failing"), [(minutes(4.99), False), (minutes(5), True), (HOUR, True)])
def test_a_receiver_is_failing_when_five_minutes_of_attempts_have_failed_whatever_the_reason(
    outcome: Outcome, failed_for: timedelta, failing: bool
) -> None:
    state = learned(replace(FAILED, failed_since=at(-9)), outcome, NOW, failed_for=failed_for)
    assert (state.failing, state.failed_since) == (failing, at(-9))
    assert (state.last_error == "no connection") is (failing or isinstance(outcome, Broken))


@pytest.mark.parametrize("state", [BROKEN, FAILED, FAILING])
def test_that_there_was_nothing_to_send_says_nothing_of_a_receiver(state: ReceiverState) -> None:
    assert learned(state, Delivered(unsent=True), NOW, failed_for=HOUR) == state
    learned_a_channel = learned(state, Delivered(unsent=True, note="#b=C2"), NOW, failed_for=HOUR)
    assert learned_a_channel == replace(state, note="#b=C2")


# --- what a process knows of a receiver ---


NEW = Known(ReceiverState("growth"))


def after(known: Known, *outcomes: Outcome, every: float = 10.0) -> Known:
    """After attempts that ended so, the first one then, by both clocks."""
    for number, outcome in enumerate(outcomes, start=1):
        known = known.after(outcome, NOW + timedelta(seconds=number * every), number * every)
    return known


def test_a_receiver_fails_since_the_first_failure_after_it_took_a_message() -> None:
    known = after(NEW, Retry("HTTP 500"), Delivered(), Refused("HTTP 400"), Retry("HTTP 500"))
    assert (known.accepted_at, known.failed_from) == (20.0, 30.0)
    assert known.state.failed_since == NOW + timedelta(seconds=30)
    assert after(known, Delivered(), every=50.0).failed_from is None


def test_what_sent_nothing_ends_no_failing_and_is_no_message_taken() -> None:
    known = after(NEW, Retry("HTTP 500"), Delivered(unsent=True))
    assert (known.accepted_at, known.failed_from) == (None, 10.0)


@pytest.mark.parametrize(("every", "failing"), [(100.0, False), (150.0, True)])
def test_for_how_long_attempts_have_failed_counts_from_the_first_to_the_last(every: float, failing: bool) -> None:
    known = after(NEW, *[Retry("HTTP 500")] * 3, every=every)  # the third is two steps after the first
    assert known.state.failing is failing
    assert known.is_news is failing


def test_a_restart_goes_on_from_when_it_failed_before() -> None:
    before = Known(FAILED, accepted_at=None, failed_from=-290.0)
    assert not after(before, Retry("HTTP 500"), every=9.0).state.failing
    assert after(before, Retry("HTTP 500"), every=10.0).state.failing


def test_that_it_took_one_more_message_is_told_the_database_now_and_then_and_all_else_at_once() -> None:
    known = after(NEW, Delivered())
    assert known.is_news
    told = [known := known.after(Delivered(), NOW + timedelta(seconds=at), at) for at in (20.0, 39.9, 40.0, 41.0)]
    assert [each.is_news for each in told] == [False, False, True, False]
    assert KEEP_ACCEPTED_EVERY == 30.0
    assert known.state.last_accepted_at == NOW + timedelta(seconds=41)
    assert known.after(Retry("HTTP 500"), NOW, 42.0).is_news
    assert known.after(Delivered(note="x"), NOW, 42.0).is_news
    assert not known.after(Delivered(unsent=True), NOW, 99.0).is_news


# --- what is shown ---


def test_where_a_story_stands_is_remembered_once_its_message_is_there() -> None:
    story = Story("inc_1", b"{}", "evt_1", run_story="run:93")
    message = Message("evt_1", "incident.opened", b"{}", story=story)
    posted = Posted("there", "evt_1")
    assert shown_after("growth", message, Delivered(posted=posted), NOW) == Shown(
        "growth", "inc_1", posted, NOW, taken_over=("run:93",)
    )
    of_none = replace(message, story=None)
    for other, outcome in ((message, Delivered()), (message, Retry("HTTP 500")), (of_none, Delivered(posted=posted))):
        assert shown_after("growth", other, outcome, NOW) is None
    assert shown_after("growth", None, Delivered(posted=posted), NOW) is None


# --- the delivery afterwards ---


def test_a_delivery_that_is_tried_again_is_as_its_settlement_says() -> None:
    before = replace(a_delivery(), maybe_sent_at=at(-1))
    settlement = settled(before, Retry("HTTP 500"), DEFAULTS, NOW, 0.0, age=timedelta(0))
    left = left_by(before, settlement)
    assert (left.attempts, left.first_failed_at, left.maybe_sent_at) == (1, NOW, None)
    assert left.next_attempt_at == NOW + timedelta(seconds=5)
    given_up = replace(settlement, state=DeliveryState.DEAD, next_attempt_at=None)
    assert left_by(before, given_up).next_attempt_at == before.next_attempt_at


def test_stepping_aside_changes_nothing_else_of_a_delivery() -> None:
    before = replace(a_delivery(attempts=3, first_failed_at=at(-20)), maybe_sent_at=at(-1))
    settlement = stepped_aside(before, NOW)
    assert (settlement.aside, settlement.state) == (True, DeliveryState.PENDING)
    assert left_by(before, settlement) == before


# --- stepping aside ---


@pytest.mark.parametrize(
    ("first_failed_at", "failed_for", "accepted_since", "aside", "expected"),
    [
        (NOW, minutes(15), True, False, True),
        (NOW, minutes(14.9), True, False, False),
        (NOW, HOUR, True, False, True),
        (NOW, HOUR, False, False, False),  # it accepted nothing since
        (None, HOUR, True, False, False),  # it has not failed yet
        (NOW, HOUR, True, True, False),  # it did already
    ],
)
def test_a_delivery_steps_aside_after_failing_for_15_minutes_while_others_were_accepted(
    first_failed_at: datetime | None, failed_for: timedelta, accepted_since: bool, aside: bool, expected: bool
) -> None:
    delivery = a_delivery(first_failed_at=first_failed_at, aside=aside)
    assert may_step_aside(delivery, failed_for, accepted_since=accepted_since) is expected
