"""From when on a lost message is looked for, whatever our clock says: by Slack's own, which its answers show."""

from datetime import timedelta

import pytest

from notifier.receivers.slack.lookup import CLOCKS_DIFFER, LONGEST_LOOK_BACK, Attempt
from tests.builders import NOW

SENT = NOW
"""When the message was sent, by Slack's clock."""
SINCE = timedelta(minutes=20)
"""How long ago that is when it is looked for."""
ALL = [timedelta(hours=hours) for hours in (-24 * 365, -48, -2, -0.1, 0, 0.1, 2, 48, 24 * 365)]


def attempt(ahead: timedelta, ahead_now: timedelta | None = None, *, here: bool = True) -> Attempt:
    """How it looks to a clock that is so far ahead of Slack's, and later so far. `here`: in one process."""
    now = SENT + SINCE + (ahead if ahead_now is None else ahead_now)
    return Attempt("evt_1", "growth", SENT + ahead, now, SINCE if here else None)


@pytest.mark.parametrize("ahead", ALL)
@pytest.mark.parametrize("ahead_now", ALL)
def test_a_process_that_made_the_attempt_knows_when_it_was_whatever_the_clock_did(
    ahead: timedelta, ahead_now: timedelta
) -> None:
    assert attempt(ahead, ahead_now).began(SENT + SINCE) == SENT


@pytest.mark.parametrize("ahead", ALL)
def test_after_a_restart_a_clock_that_is_always_wrong_misses_nothing_and_reads_no_days(ahead: timedelta) -> None:
    began = attempt(ahead, here=False).began(SENT + SINCE)
    assert SENT - LONGEST_LOOK_BACK <= began <= SENT


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(minutes=30), timedelta(days=400)])
def test_after_a_restart_and_a_clock_that_was_set_right_the_attempt_is_not_sought_in_slacks_future(
    ahead: timedelta,
) -> None:
    began = attempt(ahead, timedelta(), here=False).began(SENT + SINCE)
    assert SENT - LONGEST_LOOK_BACK <= began <= SENT


@pytest.mark.parametrize("behind", [timedelta(minutes=6), timedelta(hours=2)])
def test_after_a_restart_a_clock_that_was_set_back_though_it_was_right_misses_nothing(behind: timedelta) -> None:
    began = attempt(timedelta(), -behind, here=False).began(SENT + SINCE)
    assert SENT - LONGEST_LOOK_BACK <= began <= SENT


@pytest.mark.parametrize("here", [True, False])
def test_without_slacks_clock_ours_has_to_do_and_the_future_is_not_asked_for(here: bool) -> None:
    assert attempt(timedelta(), here=here).began(None) == SENT
    assert attempt(timedelta(days=1), timedelta(), here=here).began(None) <= SENT + SINCE
    assert attempt(timedelta(days=1), timedelta()).began(None) == SENT


def test_a_moment_in_which_the_clocks_differ_by_a_little_is_no_jump() -> None:
    just_now = Attempt("evt_1", "growth", NOW, NOW)
    assert just_now.began(NOW + timedelta(seconds=1)) == NOW
    assert just_now.began(NOW - timedelta(seconds=1)) == NOW - timedelta(seconds=1)
    later = Attempt("evt_1", "growth", NOW + CLOCKS_DIFFER, NOW)
    assert later.began(NOW) == NOW


def test_a_message_is_that_of_the_event_and_the_receiver_and_an_older_versions_that_names_none() -> None:
    wanted = Attempt("evt_1", "growth", NOW, NOW)
    assert wanted.is_of({"event_id": "evt_1", "receiver": "growth"})
    assert wanted.is_of({"event_id": "evt_1"})
    assert not wanted.is_of({"event_id": "evt_1", "receiver": "sales"})
    assert not wanted.is_of({"event_id": "evt_2", "receiver": "growth"})
    assert not wanted.is_of({})
    endless = Attempt("evt_1", "g" * 5000, NOW, NOW)
    assert endless.is_of({"event_id": "evt_1", "receiver": "g" * 100})  # metadata is less than 1 kB
