"""What a sync's incidents come to where no run brings it about."""

from datetime import datetime, timedelta

import pytest

from notifier.judging.checks import Scene, SyncState
from notifier.judging.standing import (
    counted_from,
    out_of_sight,
    readable,
    resting_checks,
    standing_after,
    turned_off,
    unreadable,
)
from notifier.model.event import EventType
from notifier.model.incident import Check, Reason
from notifier.model.run import GoodRun
from notifier.model.sync import Standing, Sync
from notifier.watchlist.checks import ChecksInForce, SlowRun, Unreadable
from tests.builders import an_incident, at

SCENE = Scene("production", 52, "Leads", {"team": "growth"}, at(30), lambda: "inc_2")
SLOW = SyncState({Check.SLOW_RUN: an_incident(Check.SLOW_RUN, last_run_id=93)})
UNREAD = SyncState({Check.UNREADABLE: an_incident(Check.UNREADABLE)})


@pytest.mark.parametrize(
    ("old", "paused", "scheduled", "since"),
    [
        (Standing(False, True, at(1)), False, True, at(1)),
        (Standing(True, True, at(1)), False, True, at(9)),  # resumed
        (Standing(True, True, at(1)), True, True, at(1)),
        (Standing(False, False, at(1)), False, True, at(9)),  # scheduled at last
        (Standing(False, False, at(1)), False, False, at(1)),
        (Standing(None, None, at(1)), False, True, at(1)),  # nothing was known
        (Standing(False, True, at(1)), True, False, at(1)),
    ],
)
def test_time_in_which_no_run_was_due_is_held_against_no_sync(
    old: Standing, paused: bool, scheduled: bool, since: datetime
) -> None:
    sync = Sync(52, "Leads", None, paused, None, scheduled)
    assert standing_after(old, sync, at(9)) == Standing(paused, scheduled, since)


def test_how_long_no_run_completed_is_counted_from_the_first_look_where_nothing_else_is_known() -> None:
    unknown = SyncState(standing=Standing(False, True))
    assert counted_from(unknown, at(9)) == Standing(False, True, at(9))
    for known in (SyncState(standing=Standing(stale_from=at(1))), SyncState(last_good=GoodRun(1, at(1)))):
        assert counted_from(known, at(9)) is known.standing


@pytest.mark.parametrize(
    ("paused", "scheduled", "resting"),
    [
        (True, True, {Check.SLOW_RUN, Check.STALE}),
        (True, False, {Check.SLOW_RUN, Check.STALE}),
        (False, False, {Check.STALE}),
        (False, True, set()),
    ],
)
def test_of_a_sync_that_is_paused_or_has_no_schedule_some_checks_rest(
    paused: bool, scheduled: bool, resting: set[Check]
) -> None:
    assert set(resting_checks(Sync(52, "Leads", None, paused, None, scheduled))) == resting


def test_an_open_incident_is_of_a_check_that_was_turned_off() -> None:
    both = SyncState({**SLOW.open, **UNREAD.open})
    assert turned_off(both, ChecksInForce(unreadable=Unreadable())) == (Check.SLOW_RUN,)
    on = ChecksInForce(unreadable=Unreadable(), slow_run=SlowRun(after=timedelta(hours=1)))
    assert turned_off(both, on) == ()


def test_a_run_that_took_too_long_and_is_no_longer_followed_takes_too_long_no_longer() -> None:
    (step,) = out_of_sight(SLOW, {94}, SCENE)
    assert (step.type, step.run) == (EventType.INCIDENT_RESOLVED, None)
    assert (step.incident.reason, step.incident.resolved_at) == (Reason.UNWATCHED, at(30))
    assert out_of_sight(SLOW, {93}, SCENE) == out_of_sight(UNREAD, {94}, SCENE) == ()


def test_what_can_not_be_read_for_too_long_is_an_incident_once_and_over_once_it_can() -> None:
    checks, after = ChecksInForce(unreadable=Unreadable()), Unreadable().after
    (step,) = unreadable(checks, SyncState(), after, None, "HTTP 500", SCENE)
    assert (step.type, step.incident.check) == (EventType.INCIDENT_OPENED, Check.UNREADABLE)
    assert (step.incident.summary or "").endswith("HTTP 500")
    (of_run,) = unreadable(checks, SyncState(), after, 93, "HTTP 500", SCENE)
    assert "run 93" in (of_run.incident.summary or "")
    assert unreadable(checks, SyncState(), after - timedelta(seconds=1), None, "HTTP 500", SCENE) == ()
    assert unreadable(checks, SyncState(), None, None, "HTTP 500", SCENE) == ()
    assert unreadable(checks, UNREAD, after, None, "HTTP 500", SCENE) == ()
    assert unreadable(ChecksInForce(), SyncState(), after, None, "HTTP 500", SCENE) == ()
    (over,) = readable(UNREAD, SCENE)
    assert (over.type, over.incident.reason) == (EventType.INCIDENT_RESOLVED, Reason.RECOVERED)
    assert readable(SLOW, SCENE) == ()
