"""What an observation means: which fields of a run changed, what that is called, which runs are news. Pure."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from notifier.model.event import EventType
from notifier.model.identity import Id
from notifier.model.run import CANCELED_STATUSES, WATCHED_FIELDS, Change, SyncRun, Watched
from notifier.model.sync import Mark

NOTHING = Watched()
# The mark of a sync without a baseline, because it is newer than the watch: all its runs are news.
START = Mark(run_id=None, created_at=None, floor=datetime(1970, 1, 1, tzinfo=UTC))
NAMED_STATUSES = {
    "queued": EventType.QUEUED,
    "working": EventType.WORKING,
    "completed": EventType.COMPLETED,
    "failed": EventType.FAILED,
    "skipped": EventType.SKIPPED,
}


def changes_between(old: Watched | None, new: Watched) -> tuple[Change, ...]:
    """The watched fields that differ. A run that appears (`old` is None) is a change from nothing."""
    before = old or NOTHING
    if before == new:  # as most runs of an answer are
        return ()
    return tuple(
        Change(name, getattr(before, name), getattr(new, name))
        for name in WATCHED_FIELDS
        if getattr(before, name) != getattr(new, name)
    )


def event_type(changes: Sequence[Change]) -> EventType:
    """The first type that fits; there must be a change."""
    by_field = {change.field: change for change in changes}
    status, canceled = by_field.get("status"), by_field.get("canceled")
    if (canceled is not None and canceled.new) or (status is not None and status.new in CANCELED_STATUSES):
        return EventType.CANCELED
    if status is not None and isinstance(status.new, str) and status.new in NAMED_STATUSES:
        return NAMED_STATUSES[status.new]
    if status is not None or canceled is not None:
        return EventType.STATUS_CHANGED
    return EventType.ERROR_CHANGED


@dataclass(frozen=True, slots=True)
class Reading:
    """What a list of runs, newest first, says of the mark. `news` is oldest first; `reached`: no need to read on."""

    news: tuple[SyncRun, ...]
    reached: bool


def read_to_mark(listed: Sequence[SyncRun], mark: Mark, known: Container[Id]) -> Reading:
    """Sorts out which listed runs are news.

    `listed` is newest first; `known` are the runs that have a snapshot. News is what stands above the mark and has no
    snapshot. Below the mark a run is news only if the API showed it late: it was created after the floor. What was
    created before the floor is never news, wherever it stands.
    """
    end = _end_of_new(listed, mark, known)
    above = [run for run in listed[:end] if run.id not in known and not is_baseline(run, mark)]
    late = [
        run
        for run in listed[end:]
        if run.id not in known
        and run.id != mark.run_id
        and run.created_at is not None
        and mark.floor is not None
        and run.created_at > mark.floor
    ]
    return Reading(news=tuple(reversed(above + late)), reached=end < len(listed))


def is_baseline(run: SyncRun, mark: Mark) -> bool:
    """Whether it was created before what is ever news. Times are equal by chance: there the list's order decides."""
    return run.created_at is not None and mark.floor is not None and run.created_at < mark.floor


def _end_of_new(listed: Sequence[SyncRun], mark: Mark, known: Container[Id]) -> int:
    """The place of the first run that is not newer than the mark; where none is known to be, of one that was recorded
    and has no time to tell by: it stands below the mark that was moved with it."""
    end = next((place for place, run in enumerate(listed) if _at_or_below(run, mark)), None)
    if end is None and mark.run_id is not None:
        end = next((place for place, run in enumerate(listed) if run.created_at is None and run.id in known), None)
    return len(listed) if end is None else end


def _at_or_below(run: SyncRun, mark: Mark) -> bool:
    if mark.run_id is None:
        return False
    if run.id == mark.run_id:
        return True
    return run.created_at is not None and mark.created_at is not None and run.created_at < mark.created_at


def mark_of(listed: Sequence[SyncRun], old: Mark | None, api_now: datetime) -> Mark:
    """The mark after `listed` (newest first) was read at `api_now`; the first one makes the baseline its floor.

    It never moves down: a list that lacks its newest runs for once is no reason to read them again. The floor of an
    empty baseline, or of one whose runs have no time or one of the future, is the time of the answer: an API may show
    nothing for once.
    """
    if old is None:
        times = [run.created_at for run in listed if run.created_at is not None]
        floor = min(max(times, default=api_now), api_now)
        return Mark(listed[0].id, listed[0].created_at, floor) if listed else Mark(None, None, floor)
    if not listed or _at_or_below(listed[0], old):
        return old
    return Mark(listed[0].id, listed[0].created_at, old.floor)


def with_floor_of(mark: Mark, other: Mark) -> Mark:
    """The mark, with the higher floor of the two."""
    if other.floor is None or (mark.floor is not None and mark.floor >= other.floor):
        return mark
    return replace(mark, floor=other.floor)


def dated(run: SyncRun, latest: datetime) -> SyncRun:
    """The run, with no time later than the answer that shows it, which is of `latest`. `Date` has whole seconds.

    A run that changed never looks older than before: what is beyond the second of one answer is cut to its end, and the
    next answer is no earlier. A run that comes next was created no earlier than the answer before it.
    """
    end = latest + timedelta(seconds=1)
    if all(time is None or time < end for time in (run.created_at, run.updated_at, run.completed_at)):
        return run
    return replace(
        run,
        created_at=latest if run.created_at is not None and run.created_at >= end else run.created_at,
        updated_at=None if run.updated_at is None else min(run.updated_at, end),
        completed_at=None if run.completed_at is None else min(run.completed_at, end),
    )
