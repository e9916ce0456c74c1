"""Until when a version of the API is there, in words."""

from datetime import date

import pytest

from notifier.model.api_version import ApiVersion, days_left, ending, retires_on, time_left

END = date(2027, 1, 15)


def test_only_the_first_version_has_an_end_and_what_is_not_known_has_none() -> None:
    assert [retires_on(api) for api in (ApiVersion.V1, ApiVersion.V2, None)] == [END, None, None]


@pytest.mark.parametrize(
    ("today", "left", "words"),
    [
        (date(2026, 11, 27), 49, "until 2027-01-15, 49 days left"),
        (date(2027, 1, 14), 1, "until 2027-01-15, 1 day left"),
        (date(2027, 1, 15), 0, "retired on 2027-01-15"),
        (date(2027, 1, 16), 0, "retired on 2027-01-15"),
    ],
)
def test_the_days_that_are_left_are_those_on_which_it_still_answers(today: date, left: int, words: str) -> None:
    assert days_left(END, today) == left
    assert time_left(END, today) == words
    assert ending(ApiVersion.V1, today) == f"API version 1 {words}"


def test_of_a_version_without_an_end_nothing_is_said() -> None:
    today = date(2026, 11, 27)
    assert (ending(ApiVersion.V2, today), ending(None, today)) == (None, None)
