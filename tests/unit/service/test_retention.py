"""What retention takes for the present when the wall clock leaps."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.service.retention import SteadyPresent

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = 3600.0
MONTH = timedelta(days=31)


def test_the_wall_clock_is_the_present_while_it_goes_on_as_time_does() -> None:
    present = SteadyPresent(NOON - timedelta(hours=3), 0.0)
    times = [NOON + timedelta(hours=hour) for hour in range(5)]
    assert [present.at(time, hour * HOUR) for hour, time in enumerate(times)] == times


def test_without_a_worker_before_there_is_nothing_to_doubt() -> None:
    assert SteadyPresent(None, 0.0).at(NOON, 5.0) == NOON


@pytest.mark.parametrize("up", [0.0, 1000 * HOUR], ids=["a machine just started", "one that is up for weeks"])
@pytest.mark.parametrize("started", [True, False], ids=["at a start", "in between"])
def test_a_leap_ahead_is_not_the_present_until_it_has_lasted_for_a_day(started: bool, up: float) -> None:
    present = SteadyPresent(NOON, up)
    if not started:
        assert present.at(NOON, up) == NOON
    for hour in range(24):
        wall = NOON + MONTH + timedelta(hours=hour)
        assert present.at(wall, up + hour * HOUR) == NOON + timedelta(hours=hour)
    wall = NOON + MONTH + timedelta(hours=24)
    assert present.at(wall, up + 24 * HOUR) == wall
    assert present.at(wall + timedelta(hours=1), up + 25 * HOUR) == wall + timedelta(hours=1)


def test_a_day_of_sleep_is_no_leap_and_a_moment_more_is_one() -> None:
    day, moment = timedelta(days=1), timedelta(seconds=1)
    assert SteadyPresent(NOON, 0.0).at(NOON + day, 0.0) == NOON + day
    assert SteadyPresent(NOON, 0.0).at(NOON + day + moment, 0.0) == NOON


def test_a_leap_of_more_than_a_day_is_doubted_and_one_of_a_day_is_not() -> None:
    day, minute = timedelta(days=1), timedelta(minutes=1)
    assert SteadyPresent(NOON, 0.0).at(NOON + day + minute, 60.0) == NOON + day + minute
    assert SteadyPresent(NOON, 0.0).at(NOON + day + 2 * minute, 60.0) == NOON + minute


def test_a_clock_that_was_mended_is_doubted_anew_when_it_leaps_again() -> None:
    present = SteadyPresent(NOON, 0.0)
    assert present.at(NOON + MONTH, 0.0) == NOON
    assert present.at(NOON + timedelta(hours=2), 2 * HOUR) == NOON + timedelta(hours=2)
    assert present.at(NOON + MONTH, 26 * HOUR) == NOON + timedelta(hours=26)


def test_a_clock_that_is_mended_in_time_has_removed_nothing() -> None:
    present = SteadyPresent(NOON, 0.0)
    assert present.at(NOON + MONTH, 0.0) == NOON
    assert present.at(NOON + timedelta(hours=2), 2 * HOUR) == NOON + timedelta(hours=2)


def test_a_clock_that_goes_back_is_believed_and_its_return_is_doubted_for_a_day_at_most() -> None:
    present = SteadyPresent(NOON, 0.0)
    assert present.at(NOON - MONTH, 0.0) == NOON - MONTH
    assert present.at(NOON, HOUR) == NOON - MONTH + timedelta(hours=1)
    assert present.at(NOON + timedelta(hours=24), 25 * HOUR) == NOON + timedelta(hours=24)
