"""When to poll: places in the interval, back-off, stretching."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.watching.pace import (
    FEWEST_TICKS,
    TICK,
    Intervals,
    back_off,
    demand,
    listing_interval,
    next_poll,
    phase,
    stretch,
)

TIMES = st.floats(0, 1e7)
SECONDS = st.floats(0.5, 86_400)
STRETCHES = st.floats(1, 100)
NUMBERS = st.integers(0, 100_000)


@given(TIMES, NUMBERS, SECONDS, STRETCHES)
def test_the_next_poll_is_in_the_future_and_never_later_than_one_interval(
    now: float, number: int, interval: float, factor: float
) -> None:
    for active, intervals in ((False, Intervals(interval, 1.0, factor)), (True, Intervals(1.0, interval, factor))):
        wait = next_poll(now, number, intervals, active=active) - now
        assert 0 < wait <= interval * factor + 1e-6


@given(st.floats(0, 1e6), NUMBERS, st.floats(1, 3_600), st.floats(1, 10), st.booleans())
def test_a_poller_keeps_its_place_in_the_interval_stretched_or_not(
    now: float, number: int, interval: float, factor: float, active: bool
) -> None:
    intervals = Intervals(interval, interval, factor)
    first = next_poll(now, number, intervals, active=active)
    second = next_poll(first + 0.1 * interval, number, intervals, active=active)  # a poll that was late or took long
    assert second - first == pytest.approx(interval * factor, abs=1e-5)


@given(st.floats(0, 1e6), NUMBERS, st.floats(1, 3_600))
def test_a_place_is_polled_once_though_the_poll_began_a_little_early(now: float, number: int, interval: float) -> None:
    intervals = Intervals(interval, 1.0)
    place = next_poll(now, number, intervals, active=False)
    assert next_poll(place, number, intervals, active=False) - place == pytest.approx(interval, abs=1e-5)


def test_syncs_that_became_active_at_the_same_moment_are_not_polled_at_the_same_moment() -> None:
    due = Counter(next_poll(1_000.0, number, Intervals(60, 10), active=True) for number in range(100))
    assert max(later - earlier for earlier, later in pairwise(sorted(due))) == TICK
    assert max(due.values()) <= 4  # of 100 in 40 ticks


@given(st.floats(0, 1e6), NUMBERS, st.integers(8, 10_000), st.integers(8, 10_000), st.booleans())
def test_intervals_of_whole_ticks_share_them(now: float, number: int, rest: int, active: int, is_active: bool) -> None:
    due = next_poll(now, number, Intervals(rest * TICK, active * TICK), active=is_active)
    assert due % TICK == 0


@given(st.floats(0, 1e6), NUMBERS, st.floats(0.01, 3_600))
def test_a_tick_moves_no_poll_by_more_than_a_quarter_of_a_second_nor_a_small_part_of_its_interval(
    now: float, number: int, interval: float
) -> None:
    due = next_poll(now, number, Intervals(interval, 1.0), active=False)
    place = phase(number) * interval
    early = (place - due) % interval
    assert min(early, interval - early) <= min(TICK, interval / FEWEST_TICKS) + 1e-5


@pytest.mark.parametrize("interval", [0.3, 0.5, 1.0, 10.5, 60.0, 61.1])
@pytest.mark.parametrize("count", [100, 1_000, 10_000])
def test_polls_are_spread_evenly_over_the_ticks(count: int, interval: float) -> None:
    ticks = max(ceil(interval / TICK), FEWEST_TICKS)
    places = Counter(round(next_poll(0.0, n, Intervals(interval, 1.0), active=False), 6) for n in range(count))
    assert len(places) <= ticks
    assert max(places.values()) <= ceil(count / ticks) + 2
    if count > 4 * ticks:
        assert len(places) == ticks
        assert min(places.values()) >= count // ticks - 2


def test_places_by_example() -> None:
    # The first poller's place is the start of each interval.
    assert next_poll(0.0, 0, Intervals(60, 10), active=False) == 60
    assert next_poll(59.0, 0, Intervals(60, 10), active=False) == 60
    assert next_poll(60.0, 0, Intervals(60, 10), active=False) == 120
    # The second one's is 0.618... of it: 37.08 s of a minute, which is in the tick that begins at 37.
    assert next_poll(0.0, 1, Intervals(60, 10), active=False) == 37
    assert next_poll(40.0, 1, Intervals(60, 10), active=False) == 97
    assert next_poll(0.0, 1, Intervals(60, 10, 2.0), active=False) == 74
    # Of 300 ms it is 185, in the fifth of eight ticks.
    assert next_poll(0.0, 1, Intervals(0.3, 0.3), active=False) == pytest.approx(0.15)
    assert next_poll(0.2, 1, Intervals(0.3, 0.3), active=False) == pytest.approx(0.45)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 10, 50, 99, 144, 1_000, 5_000])
def test_places_are_spread_evenly_however_many_there_are(count: int) -> None:
    places = sorted(phase(number) for number in range(count))
    assert all(0 <= place < 1 for place in places)
    gaps = [later - earlier for earlier, later in zip(places, [*places[1:], places[0] + 1], strict=True)]
    # The three-gap theorem: multiples of the golden ratio leave gaps of (1 + 2 / sqrt 5) / n at most, 1.89 / n.
    assert max(gaps) <= 1.9 / count
    assert min(gaps) > 0.38 / count


@pytest.mark.parametrize(
    ("failures", "expected"), [(1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 300), (11, 300), (10_000, 300)]
)
def test_back_off_doubles_from_a_second_to_five_minutes(failures: int, expected: float) -> None:
    assert back_off(failures, 0.0) == expected
    assert back_off(failures, 1.0) == pytest.approx(expected * 1.2)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_back_off_is_never_beyond_its_bounds(failures: int, jitter: float) -> None:
    assert 1 <= back_off(failures, jitter) <= 360


@pytest.mark.parametrize(
    ("rest", "expected"),
    [(timedelta(seconds=1), 10), (timedelta(seconds=20), 200), (timedelta(seconds=60), 240), (timedelta(days=1), 240)],
)
def test_a_workspace_is_listed_every_ten_polls_but_within_five_minutes(rest: timedelta, expected: float) -> None:
    assert listing_interval(rest) == expected


def test_the_demand_is_the_sum_of_what_all_intervals_ask_for() -> None:
    intervals = Intervals(rest=60, active=10)
    # (120 + 60 / 10) / 60 + (5 + 3) / 10 = 2.1 + 0.8
    assert demand(resting=120, seldom=60, active=5, outside=3, intervals=intervals) == pytest.approx(2.9)


def test_intervals_are_not_stretched_while_the_budget_is_enough() -> None:
    assert stretch(0.0, 0.0, 10.0) == 1
    assert stretch(9.9, 0.1, 10.0) == 1
    assert stretch(10.0, 0.0, 10.0) == 1


@pytest.mark.parametrize(
    ("needed", "expected"), [(10.1, 1.05), (10.4, 1.05), (10.6, 1.1), (19.9, 2), (20, 2), (25, 2.5)]
)
def test_the_stretch_is_in_steps_of_five_percent(needed: float, expected: float) -> None:
    assert stretch(needed, 0.0, 10.0) == pytest.approx(expected)
    assert stretch(needed, 5.0, 15.0) == pytest.approx(expected)


def test_listings_never_take_more_than_half_of_the_budget_from_the_polls() -> None:
    assert stretch(10.0, 100.0, 10.0) == 2


@given(st.floats(0.01, 1e5), st.floats(0.01, 1e3))
def test_stretched_intervals_ask_for_no_more_than_allowed_and_not_for_much_less(needed: float, allowed: float) -> None:
    factor = stretch(needed, 0.0, allowed)
    assert factor >= 1
    assert needed / factor <= allowed * (1 + 1e-9)
    assert factor <= max(1.0, needed / allowed) + 0.05 + 1e-6
