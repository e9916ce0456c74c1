"""What an observation means: which fields of a run changed, what that is called, which runs are news. Pure."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from notifier.model import CANCELED_STATUSES, WATCHED_FIELDS, Change, EventType, Mark, SyncRun, Watched

NOTHING = Watched()
# The mark of a sync without a baseline, because it had no runs yet or is newer than the watch: all its runs are news.
START = Mark(run_id=None, created_at=None, floor=datetime(1970, 1, 1, tzinfo=UTC))
NAMED_STATUSES = {
    "queued": EventType.QUEUED,
    "working": EventType.WORKING,
    "completed": EventType.COMPLETED,
    "failed": EventType.FAILED,
    "skipped": EventType.SKIPPED,
}


def changes_between(old: Watched | None, new: Watched) -> tuple[Change, ...]:
    """The watched fields that differ. A run that appears (`old` is None) is a change of its status from nothing."""
    before = old or NOTHING
    return tuple(
        Change(name, getattr(before, name), getattr(new, name))
        for name in WATCHED_FIELDS
        if getattr(before, name) != getattr(new, name) or (old is None and name == "status")
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


def read_to_mark(listed: Sequence[SyncRun], mark: Mark, known: Container[int]) -> Reading:
    """Sorts out which listed runs are news.

    `listed` is newest first; `known` are the runs that have a snapshot. News is what stands above the mark and has no
    snapshot. Below the mark a run is news only if the API showed it late: it was created after the floor.
    """
    end = next((place for place, run in enumerate(listed) if _at_or_below(run, mark)), len(listed))
    above = [run for run in listed[:end] if run.id not in known]
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


def _at_or_below(run: SyncRun, mark: Mark) -> bool:
    if mark.run_id is None:
        return False
    if run.id == mark.run_id:
        return True
    return run.created_at is not None and mark.created_at is not None and run.created_at < mark.created_at


def mark_of(listed: Sequence[SyncRun], old: Mark | None) -> Mark:
    """The mark after `listed` (newest first) was read; the first one makes the baseline its floor.

    It never moves down: a list that lacks its newest runs for once is no reason to read them again.
    """
    if not listed:
        return old or START
    newest = listed[0]
    if old is not None and _at_or_below(newest, old):
        return old
    if old is None:
        return Mark(newest.id, newest.created_at, newest.created_at)
    return Mark(newest.id, newest.created_at, old.floor)
