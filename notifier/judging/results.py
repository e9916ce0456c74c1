"""Results of runs, in their order, the last good one, and what one run more means. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from notifier.judging import checks as rules
from notifier.judging.checks import Judged, Scene, SyncState
from notifier.judging.sightings import Sighting
from notifier.model.identity import Id
from notifier.model.incident import Reason
from notifier.model.run import GoodRun, Result, Snapshot, SyncRun
from notifier.watchlist.checks import ChecksInForce

MOST_RESULTS: Final = 100
"""Of a sync, looked at for its usual number of records."""


def with_good_run(state: SyncState, run: SyncRun, now: datetime) -> SyncState:
    """The state after a run was seen: if it completed, it may be the last good one."""
    if run.watched.status != "completed" or run.watched.is_canceled:
        return state
    good = GoodRun(run.id, run.completed_at or run.updated_at or now)
    return replace(state, last_good=newer(state.last_good, good))


def last_good_of(snapshots: Iterable[Snapshot]) -> GoodRun | None:
    """Of these runs, the newest that completed."""
    good = {s.run_id: known_result(s) for s in snapshots if s.watched.is_counted and s.watched.status == "completed"}
    newest = newest_first(good)
    return GoodRun(newest[0].run_id, newest[0].completed_at) if newest else None


def newer(one: GoodRun | None, other: GoodRun | None) -> GoodRun | None:
    """The one that completed later."""
    if one is None or other is None:
        return one or other
    if one.completed_at is None or other.completed_at is None:
        return other
    return other if other.completed_at >= one.completed_at else one


def result_of(run: SyncRun) -> Result:
    """The result of a run that completed or failed."""
    completed = run.watched.status == "completed"
    return Result(run.id, run.created_at, completed, run.completed_at or run.updated_at, run.records.sent)


def known_result(snapshot: Snapshot) -> Result:
    """The result that a snapshot holds."""
    completed = snapshot.watched.status == "completed"
    ended = snapshot.completed_at or snapshot.updated_at
    return Result(snapshot.run_id, snapshot.created_at, completed, ended, snapshot.records_sent)


def take_new_level(results: dict[Id, Result], level_from: datetime) -> None:
    """As the database does it: what was usual before is no measure any more, what came since is."""
    for result in results.values():
        is_before = result.created_at is not None and result.created_at < level_from
        results[result.run_id] = replace(result, outlier=is_before)


def how_many(checks: ChecksInForce, *, is_whole: bool) -> int:
    """How many stored results the checks of a sync look at, beside those that the answer shows. `is_whole`: it shows
    the newest of them, which is enough where only the newest one counts."""
    if checks.record_count is not None:
        return MOST_RESULTS
    if checks.failing is not None:
        wanted = max(checks.failing.window, checks.failing.recovered_after)
        if wanted > 1:
            return wanted
    if is_whole:
        return 0
    return MOST_RESULTS if checks.rejected_records is not None else 1


def newest_first(results: Mapping[Id, Result], listed: Iterable[Id] = ()) -> list[Result]:
    """In the order in which the runs were created, turned round. Those of one instant stand as they are `listed`, those
    that are not behind them, as they are given; both newest first. One without a time stands above the one below it.
    """
    in_order = {run_id: results[run_id] for run_id in listed if run_id in results} | dict(results)
    times: dict[Id, datetime] = {}
    below = datetime.min.replace(tzinfo=UTC)
    for result in reversed(in_order.values()):
        below = times[result.run_id] = result.created_at or below
    return sorted(in_order.values(), key=lambda result: times[result.run_id], reverse=True)


def after_run(
    state: SyncState,
    checks: ChecksInForce,
    sighting: Sighting,
    results: dict[Id, Result],
    listed: Sequence[Id],
    scene: Scene,
) -> Judged:
    """What a run that was seen means to its sync's checks; `results` then holds what it came to, too. Of results of one
    instant, `listed` tells which is newer."""
    run, judged = sighting.run, Judged()
    results.pop(run.id, None)
    if run.watched.is_counted:
        results[run.id] = result_of(run)
    if sighting.has_new_result or sighting.has_new_counts:
        after = rules.after_result if sighting.has_new_result else rules.after_counts
        judged = after(state, checks, run, newest_first(results, listed), scene)
        if judged.outlier:
            results[run.id] = replace(results[run.id], outlier=True)
        if judged.new_level_from is not None:
            take_new_level(results, judged.new_level_from)
    elif run.watched.status == "failed":
        judged = Judged(rules.after_error(state, run))
    if run.ended and (ends := rules.after_end(state, run.id, run, Reason.RECOVERED, scene)):
        judged = replace(judged, steps=(*judged.steps, *ends))
    return judged
