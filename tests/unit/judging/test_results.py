"""Results of runs, in their order, and the last good one."""

from dataclasses import replace
from datetime import datetime

import pytest

from notifier.judging.checks import SyncState
from notifier.judging.results import (
    known_result,
    last_good_of,
    newer,
    newest_first,
    result_of,
    take_new_level,
    with_good_run,
)
from notifier.model.identity import Id
from notifier.model.run import GoodRun, Records, Result, Snapshot, Watched
from tests.builders import a_run, at

COMPLETED, FAILED = Watched("completed"), Watched("failed")


def a_snapshot(number: int = 93, watched: Watched = COMPLETED, ended: datetime | None = None) -> Snapshot:
    return Snapshot(number, 52, watched, at(number), at(number + 1), at(0), followed=False, completed_at=ended)


# --- results ---


@pytest.mark.parametrize(("watched", "completed"), [(COMPLETED, True), (FAILED, False)])
def test_a_run_and_its_snapshot_are_the_same_result(watched: Watched, completed: bool) -> None:
    run = a_run(7, watched=watched, created_at=at(7), updated_at=at(8), completed_at=at(9))
    result = Result(7, at(7), completed, at(9), 40)
    assert result_of(replace(run, records=Records(sent=40))) == result
    assert known_result(replace(a_snapshot(7, watched, at(9)), records_sent=40)) == result


def test_a_result_without_an_end_ended_when_it_was_updated_last() -> None:
    assert result_of(a_run(7, updated_at=at(8))).completed_at == at(8)
    assert known_result(a_snapshot(7)).completed_at == at(8)


def test_the_last_good_run_is_the_newest_that_completed_and_was_not_canceled() -> None:
    runs = [a_snapshot(1), a_snapshot(2), a_snapshot(3, FAILED), a_snapshot(4, Watched("completed", canceled=True))]
    assert last_good_of(runs) == GoodRun(2, at(3))
    assert last_good_of([a_snapshot(3, FAILED), a_snapshot(5, Watched("working"))]) is None


def test_a_run_that_completed_is_the_last_good_one_if_no_other_completed_later() -> None:
    before = SyncState(last_good=GoodRun(1, at(5)))
    run = a_run(2, watched=COMPLETED, updated_at=at(6), completed_at=at(7))
    assert with_good_run(before, run, at(9)).last_good == GoodRun(2, at(7))
    assert with_good_run(before, replace(run, completed_at=None), at(9)).last_good == GoodRun(2, at(6))
    assert with_good_run(before, replace(run, completed_at=None, updated_at=None), at(9)).last_good == GoodRun(2, at(9))
    assert with_good_run(before, replace(run, completed_at=at(4)), at(9)) == before
    for watched in (FAILED, Watched("completed", canceled=True), Watched("working")):
        assert with_good_run(before, replace(run, watched=watched), at(9)) == before


@pytest.mark.parametrize(
    ("one", "other", "later"),
    [
        (None, None, None),
        (GoodRun(1, at(1)), None, 1),
        (None, GoodRun(2, at(2)), 2),
        (GoodRun(1, at(1)), GoodRun(2, at(2)), 2),
        (GoodRun(1, at(3)), GoodRun(2, at(2)), 1),
        (GoodRun(1, at(2)), GoodRun(2, at(2)), 2),
        (GoodRun(1, None), GoodRun(2, at(2)), 2),
        (GoodRun(1, at(2)), GoodRun(2, None), 2),
    ],
)
def test_of_two_good_runs_the_one_that_completed_later(
    one: GoodRun | None, other: GoodRun | None, later: int | None
) -> None:
    found = newer(one, other)
    assert (found.id if found is not None else None) == later


def test_what_was_usual_before_a_new_level_is_no_measure_and_what_came_since_is() -> None:
    results: dict[Id, Result] = {n: Result(n, at(n), completed=True, outlier=n >= 2) for n in (1, 2, 3)}
    results[4] = Result(4, None, completed=True, outlier=True)
    take_new_level(results, at(2))
    assert {n: result.outlier for n, result in results.items()} == {1: True, 2: False, 3: False, 4: False}


def test_results_stand_as_their_runs_were_created_and_those_of_one_instant_as_they_are_listed() -> None:
    times = {5: at(5), 4: at(3), 3: at(3), 2: None, 1: at(1)}
    results: dict[Id, Result] = {n: Result(n, time, completed=True) for n, time in times.items()}
    order = [result.run_id for result in newest_first(dict(reversed(results.items())), listed=[9, 5, 3, 4, 2, 1])]
    assert order == [5, 3, 4, 2, 1]
    assert [result.run_id for result in newest_first(results)] == [5, 4, 3, 2, 1]
    without_times: dict[Id, Result] = {n: Result(n, None, completed=True) for n in (2, 1)}
    assert [result.run_id for result in newest_first({3: results[3], **without_times})] == [3, 2, 1]
