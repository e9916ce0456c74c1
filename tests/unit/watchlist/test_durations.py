"""Durations: what is read, what is refused, and that every well-formed one means the sum of its parts."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.watchlist.durations import not_below_first, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("1m1ms", timedelta(minutes=1, milliseconds=1)),
        ("0h5m", timedelta(minutes=5)),
        ("007s", timedelta(seconds=7)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "10", "s", "1.5h", "-1s", "+1s", "1 h", " 1s", "1s ", "1s\n", "30m1h", "1s1s", "1S", "1w", "1h30", "ms", "١s"],
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 500ms, 10s, 5m, 1h30m or 2d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0ms", "0d0h"])
def test_a_duration_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36500d1ms", "36501d", "9" * 20 + "d", "9" * 10_000 + "ms"])
def test_a_duration_of_more_than_a_century_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is too long: 36500d is the most"):
        parse_duration(text)


def test_leading_zeros_do_not_make_it_long() -> None:
    assert parse_duration("0" * 10_000 + "1s") == timedelta(seconds=1)


@given(st.lists(st.integers(0, 5_000), min_size=5, max_size=5).filter(any))
def test_any_parts_in_their_order_add_up(numbers: list[int]) -> None:
    text = "".join(
        f"{number}{unit}" for number, unit in zip(numbers, ["d", "h", "m", "s", "ms"], strict=True) if number
    )
    days, hours, minutes, seconds, milliseconds = numbers
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    assert parse_duration(text) == expected


@given(st.text(alphabet="0123456789dhms ", max_size=12))
def test_any_text_is_a_positive_duration_or_a_value_error(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) < duration <= timedelta(days=36_500)


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("longest", "first"),
    [
        pytest.param(5 * SECOND, 5 * SECOND, id="the same"),
        pytest.param(6 * SECOND, 5 * SECOND, id="longer"),
        pytest.param(2 * SECOND, 10 * SECOND, id="below the default of first, which it shortens"),
        pytest.param(2 * SECOND, None, id="first was wrong itself"),
    ],
)
def test_the_longest_pause_may_be_any_that_is_not_below_a_first_that_somebody_chose(
    longest: timedelta, first: timedelta | None
) -> None:
    assert not_below_first(longest, first, "first", default=10 * SECOND) == longest


def test_a_longest_pause_below_the_first_is_refused_by_the_name_of_the_first() -> None:
    with pytest.raises(ValueError, match="must not be shorter than first_retry"):
        not_below_first(2 * SECOND, 3 * SECOND, "first_retry", default=10 * SECOND)
