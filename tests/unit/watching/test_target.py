"""What a target holds of its sync, and how it moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.judging.checks import SyncState
from notifier.model.api_version import ApiVersion
from notifier.model.identity import Id
from notifier.model.incident import Check
from notifier.model.run import GoodRun, Snapshot, SyncRun, Watched
from notifier.model.sync import Standing
from notifier.watching.target import LONGEST_LAG, SyncTarget
from notifier.watchlist.checks import ChecksInForce, Failing
from tests.builders import a_mark, a_run, an_incident, at

STATE = SyncState({Check.FAILING: an_incident()})
CHECKS = ChecksInForce(failing=Failing())


def a_target(**given: Any) -> SyncTarget:
    return SyncTarget(52, "Leads", {"team": "growth"}, a_mark(5, at(5), at(1)), **given)


def a_snapshot(run: SyncRun, **fields: Any) -> Snapshot:
    kept = Snapshot(run.id, 52, run.watched, run.created_at, run.updated_at, at(0), followed=not run.ended)
    return replace(kept, **fields)


def test_who_has_taken_what_is_known_keeps_it_whatever_changes() -> None:
    target = a_target(state=STATE)
    before = target.known
    target.is_covered_by({}, CHECKS)
    target.is_called("Customers")
    target.watch_run(7, {"team": "ops"})
    target.was_judged(SyncState())
    assert (before.labels, before.checks.failing, before.label) == ({"team": "growth"}, None, "Leads")
    assert (before.watched_runs, before.state) == ({}, STATE)
    known = target.known
    assert (known.labels, known.checks, known.label, known.state) == ({}, CHECKS, "Customers", SyncState())
    assert known.watched_runs == {7: {"team": "ops"}}
    assert target.outside == {7}


def test_the_mark_moves_and_never_below_a_floor_that_was_raised_meanwhile() -> None:
    target = a_target()
    target.raise_floor(at(4))
    target.was_read(STATE, a_mark(6, at(6), at(1)))
    assert (target.mark, target.state) == (a_mark(6, at(6), at(4)), STATE)
    target.was_read(SyncState(), None)
    assert (target.mark, target.state) == (a_mark(6, at(6), at(4)), SyncState())
    target.raise_floor(at(2))
    assert target.mark == a_mark(6, at(6), at(4))


def test_without_a_baseline_there_is_no_floor_to_raise() -> None:
    target = SyncTarget(52, "Leads", {}, None)
    target.raise_floor(at(4))
    assert not target.known.has_baseline
    target.was_read(SyncState(), a_mark(1))
    assert target.known.has_baseline


def test_what_is_learned_beside_runs_leaves_the_rest_of_the_state() -> None:
    target = a_target(state=replace(STATE, last_good=GoodRun(2, at(2))))
    target.stands(Standing(paused=True))
    target.last_completed(GoodRun(1, at(1)))
    assert target.last_good_known
    assert target.state == replace(STATE, last_good=GoodRun(2, at(2)), standing=Standing(paused=True))


@pytest.mark.parametrize(("updated_at", "moved_at"), [(None, at(3)), (at(2), at(3)), (at(8), at(8)), (at(10), at(3))])
def test_a_run_is_followed_from_when_it_moved_but_not_from_the_future(
    updated_at: datetime | None, moved_at: datetime
) -> None:
    target, run = a_target(), a_run(7, created_at=at(1), updated_at=updated_at)
    target.was_seen(run, a_snapshot(run, changed_at=at(3)), at(9))
    assert (target.followed[7].moved_at, target.followed[7].created_at) == (moved_at, at(1))
    ended = replace(run, watched=Watched("failed"))
    target.was_seen(ended, a_snapshot(ended), at(9))
    assert target.followed == {}


def test_a_sync_at_rest_holds_nothing_of_its_own_that_is_empty_and_what_one_holds_no_other_does() -> None:
    target, other, run = a_target(), a_target(), a_run(7, created_at=at(1), updated_at=at(2))
    before = replace(run, updated_at=at(1), watched=Watched("queued"))

    def empty(target: SyncTarget) -> list[object]:
        return [target.followed, target.held, target.outside, target.watched_runs, target.state.open]

    assert all(mine is its for mine, its in zip(empty(target), empty(other), strict=True))
    target.was_seen(run, a_snapshot(run), at(3))
    target.following(8, at(3))
    assert target.believed((before,), {7: a_snapshot(run)}, 0.0, may_lag=True) == ()
    target.watch_run(9, {})
    assert [len(each) for each in empty(target)] == [2, 1, 1, 1, 0]  # type: ignore[arg-type]
    assert not any(empty(other))
    target.forget_run(8)
    target.was_seen(run, a_snapshot(run, followed=False), at(3))
    target.drop_run(9)
    target.was_shown(())
    assert (target.followed, target.held, target.outside) == ({}, {}, frozenset())
    assert target.followed is other.followed
    assert target.held is other.held


def test_what_is_followed_and_not_listed_is_asked_for_by_itself() -> None:
    target, runs = a_target(), [a_run(number, created_at=at(number)) for number in (1, 2, 3)]
    for run in runs:
        target.was_seen(run, a_snapshot(run), at(3))
    target.watch_run(4, {})
    target.was_shown(runs[1:])
    assert target.outside == {1, 4}
    target.forget_run(1)
    target.drop_run(4)
    target.was_shown([])
    assert target.outside == {2, 3}


def test_an_answer_that_lags_is_left_aside_for_ten_minutes() -> None:
    target = a_target()
    done = a_run(7, status="completed", updated_at=at(5))
    known: dict[Id, Snapshot] = {7: a_snapshot(done)}
    late = a_run(7, updated_at=at(4))
    assert target.believed([late], known, 100.0, may_lag=True) == ()
    assert target.believed([late], known, 100.0, may_lag=False) == (late,)
    assert target.believed([late], known, 100.0, may_lag=True) == ()
    assert target.believed([late], known, 100.0 + LONGEST_LAG.total_seconds(), may_lag=True) == (late,)
    assert target.believed([done], known, 900.0, may_lag=True) == (done,)
    assert target.held == {}


def test_what_another_version_of_the_api_shows_otherwise_does_not_lag_however_old_it_says_it_is() -> None:
    """It would lag for ever: what was told of it stays, and its list would be read anew with each poll."""
    target = a_target()
    done = a_run(7, watched=Watched("failed", error_code="A"), updated_at=at(5))
    known: dict[Id, Snapshot] = {7: a_snapshot(done)}
    other = replace(a_run(7, status="failed", updated_at=at(4)), api=ApiVersion.V2)
    (shown,) = target.believed([other], known, 100.0, may_lag=True)
    assert (shown.watched, target.held) == (done.watched, {})
    again = replace(a_run(7, updated_at=at(4)), api=ApiVersion.V2)
    assert target.believed([again], known, 100.0, may_lag=True) == ()


def test_another_run_that_can_not_be_read_begins_anew_unless_it_is_from_before_the_start() -> None:
    target = a_target()

    def clock() -> datetime:
        return datetime.now(UTC)

    of_list = target.is_unread(None, clock)
    assert target.is_unread(None, clock) is of_list
    of_run = target.is_unread(7, clock)
    assert of_run is not of_list
    of_run.is_remembered = True
    assert target.is_unread(8, clock) is of_run
    assert (of_run.run_id, of_run.is_remembered) == (8, False)


def test_a_run_that_has_not_moved_for_a_week_is_stale_and_one_of_today_is_active() -> None:
    target, run = a_target(), a_run(7)
    target.was_seen(run, a_snapshot(run), at(0))
    day = timedelta(days=1)
    assert (target.is_active(at(0) + day), target.is_active(at(0) + day - timedelta(seconds=1))) == (False, True)
    assert (target.stale_runs(at(0) + 7 * day), target.stale_runs(at(0) + 6 * day)) == ([7], [])
