"""Which runs of an answer are worth a look, what only the database can say of them, and what is kept."""

from dataclasses import replace
from typing import Any

import pytest

from notifier.judging.diff import NOTHING
from notifier.judging.sightings import (
    Glance,
    ShownRuns,
    Sighting,
    as_known,
    glances,
    is_before,
    is_told_otherwise,
    snapshots,
)
from notifier.model.api_version import ApiVersion
from notifier.model.run import PreviousRun, Records, Snapshot, SyncRun, Watched
from tests.builders import a_run, at


def run_of(number: int, status: str | None = "working", *, full_sync: bool | None = None, sent: int = 0) -> SyncRun:
    run = a_run(number, status=status, created_at=at(number), updated_at=at(number))
    return replace(run, full_sync=full_sync, records=Records(sent))


def known_as(run: SyncRun, **fields: Any) -> Snapshot:
    """What is kept of a run that is just so."""
    (kept,) = snapshots(ShownRuns([run], {}), [], at(0))
    return replace(kept, **fields)


def look_at(shown: ShownRuns, *, has_baseline: bool = True) -> list[Glance]:
    return list(glances(shown, has_baseline=has_baseline))


WORKING, DONE = run_of(1), run_of(1, "completed", sent=5)
AS_IT_WAS = known_as(WORKING)


@pytest.mark.parametrize(
    ("run", "old", "is_news", "is_seen"),
    [
        (WORKING, AS_IT_WAS, False, False),
        (DONE, AS_IT_WAS, False, True),  # a change
        (WORKING, None, True, True),  # news
        (WORKING, None, False, False),  # a first sight of what is none
        (run_of(1, None), None, True, False),  # no status yet
        (run_of(1, None), known_as(run_of(1, None)), False, False),
        (DONE, known_as(DONE, followed=True), False, True),  # an end, and nothing else
        (DONE, known_as(DONE), False, False),
        (DONE, known_as(DONE, counts=Records(4)), False, True),  # counted otherwise
        (DONE, known_as(DONE, counts=None), False, False),  # kept by an older version, that did not count
    ],
)
def test_a_run_is_worth_a_look_that_is_news_or_differs_from_what_was_known(
    run: SyncRun, old: Snapshot | None, is_news: bool, is_seen: bool
) -> None:
    shown = ShownRuns([run], {1: old} if old is not None else {}, [1] if is_news else [])
    assert bool(look_at(shown)) == is_seen


def test_runs_are_seen_oldest_first() -> None:
    assert [look.sighting.run.id for look in look_at(ShownRuns([run_of(3), run_of(2), run_of(1)], {}, [1, 2, 3]))] == [
        1,
        2,
        3,
    ]


def test_the_result_before_is_the_next_one_of_the_answer_and_else_the_database_is_asked_below_it() -> None:
    runs = [run_of(5), run_of(4, "skipped"), run_of(3, "failed")]
    of_3, of_4, of_5 = look_at(ShownRuns(runs, {}, [3, 4, 5], older=[run_of(2, "queued")]))
    assert (of_5.sighting.previous_run, of_5.lacks_previous_run) == (PreviousRun(3, "failed"), False)
    assert of_4.sighting.previous_run == PreviousRun(3, "failed")
    assert (of_3.lacks_previous_run, of_3.below, of_3.oldest) == (True, (2,), at(2))
    seen = of_3.seen(PreviousRun(1, "completed"), None)
    assert seen is not None
    assert seen.previous_run == PreviousRun(1, "completed")
    (alone,) = look_at(ShownRuns([run_of(3)], {}, [3]))
    assert (alone.lacks_previous_run, alone.below, alone.oldest) == (True, (), at(3))


@pytest.mark.parametrize(
    ("before", "is_full_sync"), [((False,), True), ((None, False), True), ((True, False), False), ((None, True), False)]
)
def test_a_full_sync_is_told_where_the_run_before_it_in_the_answer_was_none(
    before: tuple[bool | None, ...], is_full_sync: bool
) -> None:
    older = [run_of(9 - place, "completed", full_sync=full) for place, full in enumerate(before)]
    run = run_of(10, "completed", full_sync=True)
    old = known_as(replace(run, full_sync=None), followed=True)
    shown = ShownRuns([run, *older], {10: old, **{r.id: known_as(r) for r in older}})
    (look,) = look_at(shown)
    assert (look.sighting.full_sync, look.lacks_full_sync) == (is_full_sync, False)


@pytest.mark.parametrize(("was_full_sync", "is_seen"), [(False, True), (True, False), (None, False)])
def test_where_the_answer_does_not_say_what_the_run_before_was_the_database_does(
    was_full_sync: bool | None, is_seen: bool
) -> None:
    run = run_of(10, full_sync=True)
    (look,) = look_at(ShownRuns([run], {10: known_as(replace(run, full_sync=None))}))
    assert look.lacks_full_sync
    assert not look.sighting.is_worth_a_look
    seen = look.seen(None, was_full_sync)
    assert (seen is not None) == is_seen
    assert seen is None or seen.full_sync


@pytest.mark.parametrize("why", ["no baseline", "known before", "ended long ago", "no time"])
def test_a_full_sync_says_nothing_new(why: str) -> None:
    run = replace(run_of(10, full_sync=True), created_at=None if why == "no time" else at(10))
    old = known_as(replace(run, full_sync=why == "known before"), followed=why != "ended long ago")
    assert look_at(ShownRuns([run], {10: old}), has_baseline=why != "no baseline") == []


# --- what is kept ---


def test_what_is_seen_or_new_is_kept_oldest_first_and_nothing_of_what_stands_below() -> None:
    first, same, changed = run_of(3), run_of(2), run_of(1, "failed")
    shown = ShownRuns([first, same, changed], {2: known_as(same), 1: known_as(run_of(1))}, older=[run_of(0)])
    sightings = [seen for look in look_at(shown) if (seen := look.seen(None, None)) is not None]
    kept = snapshots(shown, sightings, at(9))
    assert [(one.run_id, one.watched.status, one.changed_at) for one in kept] == [
        (1, "failed", at(9)),
        (3, "working", at(9)),
    ]


def test_what_is_not_yet_worth_an_event_is_kept_as_nothing_so_that_it_is_news_once_it_is() -> None:
    (kept,) = snapshots(ShownRuns([run_of(1, None)], {}, [1]), [], at(9))
    assert kept.watched == NOTHING
    (look,) = look_at(ShownRuns([run_of(1)], {1: kept}))
    assert [change.old for change in look.sighting.changes] == [None]


def test_an_end_that_changes_nothing_is_no_change() -> None:
    old = known_as(DONE, followed=True, changed_at=at(3))
    (kept,) = snapshots(ShownRuns([DONE], {1: old}), [Sighting(DONE, old, (), None)], at(9))
    assert (kept.followed, kept.changed_at) == (False, at(3))


def test_a_time_of_creation_that_comes_late_is_kept() -> None:
    old = known_as(replace(WORKING, created_at=None))
    assert snapshots(ShownRuns([WORKING], {1: old}), [], at(9)) == (replace(old, created_at=at(1)),)


# --- against what is known ---


def test_an_answer_shows_a_run_as_it_was_before_where_it_was_updated_earlier() -> None:
    old = known_as(DONE, updated_at=at(5))
    assert is_before(replace(WORKING, updated_at=at(4)), old)
    assert not is_before(replace(WORKING, updated_at=at(5)), old)
    assert not is_before(replace(DONE, updated_at=at(4)), old)  # and shows the same
    assert not is_before(replace(WORKING, updated_at=None), old)


def test_a_run_was_created_when_it_was_first_seen_to_be_and_keeps_its_status() -> None:
    old = known_as(WORKING, created_at=at(1))
    assert as_known(replace(DONE, created_at=at(2)), old) == DONE
    assert as_known(replace(DONE, created_at=at(0)), old).created_at == at(0)
    assert as_known(replace(DONE, created_at=None), old).created_at is None
    assert as_known(replace(WORKING, watched=Watched()), old).watched.status == "working"


BAD = replace(DONE, watched=Watched("failed", error_code="A", error_message="B", error_detail="C"))


@pytest.mark.parametrize(
    ("shown", "tells"),
    [
        (Watched("failed", error_code="A"), False),
        (Watched("failed", True, "X", "Y", "Z"), False),
        (Watched("completed"), True),
        (Watched("working", error_code="A"), True),
    ],
)
def test_what_another_version_of_the_api_shows_of_a_run_that_ended_so_is_no_change_of_it(
    shown: Watched, tells: bool
) -> None:
    old = known_as(BAD)
    new = replace(BAD, watched=shown, records=Records(9, 9, 9), completed_at=None, api=ApiVersion.V2)
    assert is_told_otherwise(new, old) is not tells
    known = as_known(new, old)
    assert known.watched == (shown if tells else BAD.watched)
    assert known.records == (new.records if tells else BAD.records)
    assert not is_told_otherwise(replace(new, api=ApiVersion.V1), old)
    assert as_known(replace(new, api=ApiVersion.V1), old).watched == shown
    assert not is_told_otherwise(new, None)


def test_a_run_that_had_not_ended_before_the_switch_ends_as_the_new_version_says() -> None:
    """Also where its status is unknown, and stays the same."""
    going_on = replace(WORKING, watched=Watched("delivering"))
    ended = replace(going_on, watched=Watched("delivering", error_code="A"), completed_at=at(9), api=ApiVersion.V2)
    old = known_as(going_on)
    assert (old.ended, ended.ended) == (False, True)
    assert not is_told_otherwise(ended, old)
    assert as_known(ended, old).watched == ended.watched


def test_what_the_new_version_showed_itself_is_compared_as_ever() -> None:
    new = replace(BAD, api=ApiVersion.V2)
    assert known_as(new).api is ApiVersion.V2
    changed = replace(new, watched=Watched("failed"))
    assert not is_told_otherwise(changed, known_as(new))
    assert as_known(changed, known_as(new)) == changed
