"""Who is dead by what was seen of him, against a model of workers that live, beat, fall silent, leave and return."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.store.attendance import LEASE, LONGEST_GAP, Attendance, Sign

BEATS_WITHIN = 3.5  # seconds: a worker beats every 3, and looks twice a second whether it is time


@dataclass(frozen=True)
class Look:
    """One look of an observer, who may be slow, freeze, or see nothing."""

    pause: float
    takes: float
    fails: bool = False


pauses = st.one_of(st.just(0.5), st.floats(0.0, 3.0), st.floats(3.0, 100.0))
looks = st.lists(
    st.builds(Look, pauses, st.one_of(st.just(0.01), st.floats(0.0, 30.0)), st.booleans()), min_size=1, max_size=60
)
prompt = st.builds(Look, st.floats(0.0, LONGEST_GAP / 2), st.floats(0.0, LONGEST_GAP / 2))
"""Of an observer who looks all the time."""


def seen_at(beats: Sequence[float], moment: float) -> Sign:
    return Sign(sum(at <= moment for at in beats), 0)


@given(
    looks,
    st.lists(st.floats(0.1, BEATS_WITHIN), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_who_lives_is_accused_by_nobody_whatever_becomes_of_the_observer(
    observer: list[Look], intervals: list[float], luck: Random
) -> None:
    """The database answers at any moment between the look's beginning and its end."""
    beats, at = [0.0], 0.0
    end = sum(look.pause + look.takes for look in observer) + LEASE
    while at < end:
        at += intervals[len(beats) % len(intervals)]
        beats.append(at)
    attendance, now = Attendance(), 0.0
    for look in observer:
        begun = now + look.pause
        now = begun + look.takes
        read_at = begun + (now - begun) * luck.random()
        if not look.fails:
            assert attendance.look({"a": seen_at(beats, read_at)}, begun, now) == {}


@given(st.lists(prompt, min_size=60, max_size=60), st.floats(0.0, 20.0))
def test_who_is_dead_is_found_within_the_lease_and_one_look(observer: list[Look], dies_at: float) -> None:
    beats = [3.0 * number for number in range(10) if 3.0 * number <= dies_at]
    attendance, now, found_at = Attendance(), 0.0, None
    unseen_since: float | None = None
    for look in observer:
        begun = now + look.pause
        now = begun + look.takes
        sign = seen_at(beats, begun)
        if begun >= beats[-1] and unseen_since is None:
            unseen_since = now  # the look that showed its last sign
        if found_at is None and attendance.look({"a": sign}, begun, now) == {"a": sign}:
            found_at = begun
    if unseen_since is not None and now - unseen_since > LEASE + LONGEST_GAP * 2:
        assert found_at is not None
        assert found_at - unseen_since + LONGEST_GAP >= LEASE
        assert found_at - unseen_since <= LEASE + LONGEST_GAP


def watched(attendance: Attendance, seconds: float, *, since: float, **signs: Sign) -> dict[str, Sign]:
    """Looks twice a second, at once each; gives what the last look said."""
    said: dict[str, Sign] = {}
    for step in range(round(seconds / 0.5) + 1):
        said = attendance.look(signs, since + 0.5 * step, since + 0.5 * step)
    return said


def test_silence_is_counted_for_each_by_himself() -> None:
    attendance = Attendance()
    still, last = Sign(1, 1), {}
    for step in range(21):
        last = attendance.look({"still": still, "alive": Sign(1, step)}, 0.5 * step, 0.5 * step)
    assert last == {"still": still}


def test_at_the_end_of_the_lease_and_not_before_it() -> None:
    attendance = Attendance()
    assert watched(attendance, LEASE - 0.5, since=0.0, a=Sign(0, 0)) == {}
    assert watched(attendance, 0.0, since=LEASE, a=Sign(0, 0)) == {"a": Sign(0, 0)}


def test_a_write_is_as_good_a_sign_as_a_beat() -> None:
    for another in (Sign(2, 1), Sign(1, 2), Sign(0, 1), Sign(1, 0)):  # less than before: the database went back in time
        attendance = Attendance()
        watched(attendance, LEASE - 0.5, since=0.0, a=Sign(1, 1))
        assert watched(attendance, LEASE - 0.5, since=LEASE, a=another) == {}


def test_who_left_and_is_seen_again_with_the_same_counters_has_been_seen_just_now() -> None:
    attendance = Attendance()
    watched(attendance, LEASE - 0.5, since=0.0, a=Sign(1, 1))
    watched(attendance, 0.0, since=LEASE)
    assert watched(attendance, LEASE - 0.5, since=LEASE + 0.5, a=Sign(1, 1)) == {}
    assert watched(attendance, 0.0, since=2 * LEASE + 0.5, a=Sign(1, 1)) == {"a": Sign(1, 1)}


@pytest.mark.parametrize(
    ("begun", "ended"),
    [(LEASE + LONGEST_GAP, LEASE + LONGEST_GAP), (LEASE, LEASE + LONGEST_GAP + 0.1), (LEASE + 9, LEASE + 20)],
)
def test_what_a_look_that_came_late_or_took_too_long_may_have_missed_does_not_count(begun: float, ended: float) -> None:
    attendance = Attendance()
    watched(attendance, LEASE - 1.0, since=0.0, a=Sign(1, 1))
    assert attendance.look({"a": Sign(1, 1)}, begun, ended) == {}
    assert attendance.look({"a": Sign(1, 1)}, ended + 0.5, ended + 0.5) == {}
    assert attendance.look({"a": Sign(1, 1)}, ended + 1.0, ended + 1.0) == {"a": Sign(1, 1)}


def test_who_could_not_look_for_as_long_as_a_lease_has_seen_nothing() -> None:
    attendance = Attendance()
    watched(attendance, LEASE - 0.5, since=0.0, a=Sign(1, 1))
    back = 2 * LEASE + 0.5
    assert watched(attendance, LEASE - 0.5, since=back, a=Sign(1, 1)) == {}
    assert watched(attendance, 0.0, since=back + LEASE, a=Sign(1, 1)) == {"a": Sign(1, 1)}


def test_late_looks_all_the_time_find_who_is_dead_all_the_same() -> None:
    """Of three seconds between two of them, those in one that is in time count."""
    attendance, now, said = Attendance(), 0.0, {}
    for _ in range(40):
        said = attendance.look({"a": Sign(1, 1)}, now, now)
        said = attendance.look({"a": Sign(1, 1)}, now + 0.5, now + 0.5)
        now += 3.5
    assert said == {"a": Sign(1, 1)}


def test_a_look_that_takes_as_long_as_it_may_still_counts() -> None:
    attendance, now = Attendance(), 0.0
    said: dict[str, Sign] = {}
    while now < LEASE + 2 * LONGEST_GAP:
        said = attendance.look({"a": Sign(1, 1)}, now, now + LONGEST_GAP)
        now += 2 * LONGEST_GAP
    assert said == {"a": Sign(1, 1)}


# --- a database that went back in time ---

written = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5))
LIFE, NEXT = object(), object()


@given(st.lists(st.tuples(written, st.sampled_from([LIFE, NEXT])), max_size=8))
def test_a_look_is_behind_where_one_who_was_there_at_the_last_of_this_life_had_written_more(
    looks: list[tuple[dict[str, int], object]],
) -> None:
    attendance, last, before = Attendance(), dict[str, int](), LIFE
    for roll, life in looks:
        expected = life is before and any(roll[worker] < last[worker] for worker in roll.keys() & last.keys())
        assert attendance.is_behind({worker: Sign(0, count) for worker, count in roll.items()}, life) == expected
        last, before = roll, life


def test_a_sign_of_life_that_is_lost_says_nothing_of_what_was_written() -> None:
    """Where the server's own settings let it answer before it keeps something, a crash takes these back."""
    attendance = Attendance()
    assert not attendance.is_behind({"a": Sign(5, 1)}, LIFE)
    assert not attendance.is_behind({"a": Sign(4, 1)}, LIFE)


def test_that_what_was_seen_is_forgotten_for_silence_is_no_reason_to_forget_how_far_others_had_come() -> None:
    attendance = Attendance()
    for begun, count, behind in ((0.0, 5, False), (1_000.0, 4, True), (1_001.0, 4, False)):
        signs = {"a": Sign(0, count)}
        assert attendance.is_behind(signs, LIFE) == behind
        attendance.look(signs, begun, begun)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([LIFE, NEXT, None])), max_size=8))
def test_deliveries_are_missing_where_fewer_were_appended_than_at_the_last_look_of_this_life(
    looks: list[tuple[int, object]],
) -> None:
    attendance, last, before = Attendance(), 0, object()
    for count, life in looks:
        expected = life is not None and life is before and count < last
        assert attendance.is_short_of_some(count, life) == expected
        last, before = count, life
