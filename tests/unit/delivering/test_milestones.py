"""Within what bounds the age of a delivery lies, whatever the wall clock says."""

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from notifier.delivering.milestones import Milestones

REACH = timedelta(days=3)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_what_came_between_two_looks_is_as_old_as_they_are() -> None:
    milestones = Milestones(seconds(10), REACH)
    milestones.saw(7, 100.0)
    milestones.saw(7, 150.0)
    milestones.saw(9, 160.0)
    assert milestones.bounds(8, 200.0) == (seconds(40), seconds(50))
    assert milestones.bounds(10, 200.0) == (seconds(0), seconds(40))


def test_what_was_there_at_the_first_look_may_be_of_any_age() -> None:
    milestones = Milestones(seconds(10), REACH)
    assert milestones.bounds(5, 100.0) == (seconds(0), None)
    milestones.saw(7, 100.0)
    assert milestones.bounds(5, 130.0) == (seconds(30), None)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50_000)), min_size=1, max_size=60))
def test_the_truth_lies_within_the_bounds_and_they_are_as_close_as_was_asked(
    steps: Sequence[tuple[int, int]],
) -> None:
    """Each step records so many deliveries, and looks so many seconds later."""
    precision, longest = seconds(1_000), max(wait for _, wait in steps)
    milestones, now = Milestones(precision, REACH), 0.0
    recorded: dict[int, float] = {}
    milestones.saw(0, now)
    for count, wait in steps:
        for _ in range(count):
            recorded[len(recorded) + 1] = now
        now += wait
        milestones.saw(len(recorded), now)
    for number, at in recorded.items():
        least, most = milestones.bounds(number, now)
        age = seconds(now - at)
        assert least <= age
        assert most is None or age <= most <= age + precision + seconds(longest)
        assert most is not None or age > REACH - precision - seconds(longest)


def test_it_remembers_no_more_than_it_must() -> None:
    milestones = Milestones(REACH / 100, REACH)
    for minute in range(60 * 24 * 30):
        milestones.saw(minute, 60.0 * minute)
    assert len(milestones._passed) <= 102
