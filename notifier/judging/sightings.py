"""Runs that were seen, against what was known of them. Pure, in two passes: `glances` says which are worth a look and
what only the database can add, `Glance.seen` and `snapshots` what is then seen and kept.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from notifier.judging.diff import NOTHING, changes_between
from notifier.model.identity import Id
from notifier.model.run import ENDED_STATUSES, RUNNING_STATUSES, Change, PreviousRun, Snapshot, SyncRun


@dataclass(frozen=True, slots=True)
class ShownRuns:
    """What an answer shows of a sync's runs, and what was known of them."""

    runs: Sequence[SyncRun]
    """Newest first."""
    known: Mapping[Id, Snapshot]
    """The snapshots of those that were seen before, by run."""
    news: Collection[Id] = ()
    """Of those that were not, the ones whose first sight is told."""
    older: Sequence[SyncRun] = ()
    """What stands below them in the sync's list, newest first; nobody keeps snapshots of these."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A run that is news or has changed."""

    run: SyncRun
    old: Snapshot | None
    """What was known of it before."""
    changes: tuple[Change, ...]
    previous_run: PreviousRun | None
    full_sync: bool = False
    """Whether it turned out to be a full sync, and the run before it was none."""

    @property
    def has_new_result(self) -> bool:
        """Whether it completed or failed, and had not just so before."""
        new, old = self.run.watched, self.old.watched if self.old is not None else None
        return new.is_counted and (old is None or not old.is_counted or old.status != new.status)

    @property
    def has_new_counts(self) -> bool:
        """Whether it had completed just so before, and only its records are counted otherwise now. Census may count
        them after a run's end."""
        if self.old is None or self.old.counts is None or self.old.counts == self.run.records:
            return False
        return self.run.watched.status == "completed" and self.run.watched.is_counted and not self.has_new_result

    @property
    def has_ended(self) -> bool:
        """Whether it was followed until now."""
        return self.old is not None and self.old.followed and self.run.ended

    @property
    def is_worth_a_look(self) -> bool:
        """Whether anything of it differs from what was known."""
        return bool(self.changes) or self.full_sync or self.has_ended or self.has_new_counts


@dataclass(frozen=True, slots=True)
class Glance:
    """A run that is, or may be, worth a look, as far as the answer tells."""

    sighting: Sighting
    below: tuple[Id, ...]
    """The runs that the answer shows below it."""
    oldest: datetime | None
    """When the last of these was created, or itself: the database is asked for what came before."""
    lacks_previous_run: bool
    """Whether only the database can know the last result before it."""
    lacks_full_sync: bool
    """Whether only the database can know if the run before it was a full sync."""

    def seen(self, previous_run: PreviousRun | None, was_full_sync: bool | None) -> Sighting | None:
        """The sighting, with what the database says where something is lacking; None: it is not worth a look."""
        sighting = self.sighting
        if self.lacks_full_sync:
            sighting = replace(sighting, full_sync=was_full_sync is False)
        if self.lacks_previous_run:
            sighting = replace(sighting, previous_run=previous_run)
        return sighting if sighting.is_worth_a_look else None


def glances(shown: ShownRuns, *, has_baseline: bool) -> tuple[Glance, ...]:
    """The runs that are, or may be, worth a look, oldest first: a change, a full sync, an end, other counts of records.

    A first sight of what is no news is silent, and so is a run that has no status yet.
    """
    found = (_glance(shown, place, has_baseline=has_baseline) for place in reversed(range(len(shown.runs))))
    return tuple(glance for glance in found if glance is not None)


def _glance(shown: ShownRuns, place: int, *, has_baseline: bool) -> Glance | None:
    run = shown.runs[place]
    old = shown.known.get(run.id)
    if old is not None and _is_as_it_ended(run, old):
        return None  # as most of an answer are
    if (old is None and run.id not in shown.news) or (
        run.watched.status is None and (old is None or old.watched.status is None)
    ):
        return None
    changes = changes_between(old.watched if old else None, run.watched)
    sighting = Sighting(run, old, changes, None)
    may_be_full = has_baseline and _may_be_full_sync(run, old)
    if not may_be_full and not sighting.is_worth_a_look:
        return None
    before = [*shown.runs[place + 1 :], *shown.older]
    oldest = (before[-1] if before else run).created_at
    was_full = next((other.full_sync for other in before if other.full_sync is not None), None)
    previous = next((PreviousRun(o.id, str(o.watched.status)) for o in before if o.watched.is_counted), None)
    sighting = Sighting(run, old, sighting.changes, previous, full_sync=may_be_full and was_full is False)
    lacks_full_sync = may_be_full and was_full is None and oldest is not None
    if not lacks_full_sync and not sighting.is_worth_a_look:
        return None
    below = tuple(other.id for other in before)
    return Glance(sighting, below, oldest, lacks_previous_run=previous is None, lacks_full_sync=lacks_full_sync)


def _is_as_it_ended(run: SyncRun, old: Snapshot) -> bool:
    """Whether it was known to be over, and there is nothing more to it now."""
    return not (old.followed or run.full_sync) and run.watched == old.watched and run.records == old.counts


def _may_be_full_sync(run: SyncRun, old: Snapshot | None) -> bool:
    """Whether a run is seen to be a full sync now, and was not before. What ended long ago tells nothing new: its
    snapshot may be from before the notifier looked at that."""
    return bool(run.full_sync) and (old is None or (not old.full_sync and old.followed))


def snapshots(shown: ShownRuns, sightings: Iterable[Sighting], api_now: datetime) -> tuple[Snapshot, ...]:
    """What to keep of the runs, oldest first: all that were seen for the first time, or have changed."""
    seen = {sighting.run.id: sighting for sighting in sightings}
    kept: list[Snapshot] = []
    for run in reversed(shown.runs):
        old, sighting = shown.known.get(run.id), seen.get(run.id)
        if old is None or sighting is not None:
            is_told = sighting is not None or run.id not in shown.news
            kept.append(_snapshot(run, old, api_now, sighting, is_told=is_told))
        elif old.created_at is None and run.created_at is not None:
            kept.append(replace(old, created_at=run.created_at))
    return tuple(kept)


def _snapshot(
    run: SyncRun, old: Snapshot | None, api_now: datetime, seen: Sighting | None, *, is_told: bool
) -> Snapshot:
    """`is_told`: whether what it shows is known; what is not yet worth an event is kept as nothing, and is one then."""
    changed = seen is not None and bool(seen.changes)
    return Snapshot(
        run_id=run.id,
        sync_id=run.sync_id,
        watched=run.watched if is_told else NOTHING,
        created_at=run.created_at,
        updated_at=run.updated_at,
        changed_at=api_now if changed or old is None else old.changed_at,
        followed=not run.ended and (changed or old is None or old.followed),
        completed_at=run.completed_at,
        records_sent=run.records.sent,
        full_sync=run.full_sync,
        counts=run.records,
        api=run.api,
    )


def is_before(run: SyncRun, old: Snapshot) -> bool:
    """Whether an answer shows a run as it was before its snapshot was taken."""
    if run.updated_at is None or old.updated_at is None:
        return False
    return run.updated_at < old.updated_at and run.watched != old.watched


def is_told_otherwise(run: SyncRun, old: Snapshot | None) -> bool:
    """Whether one version of the API shows a run that ended otherwise than another did, though it ended the same way,
    or in a word that is not known: that is a difference of the versions, and not of the run."""
    return old is not None and _had_ended_elsewhere(run, old) and run.watched != old.watched


def _had_ended_elsewhere(run: SyncRun, old: Snapshot) -> bool:
    if run.api is old.api:
        return False
    is_known_word = run.watched.status in ENDED_STATUSES or run.watched.status in RUNNING_STATUSES
    is_the_same = run.watched.status == old.watched.status or not is_known_word
    return old.ended and run.ended and is_the_same


def as_known(run: SyncRun, old: Snapshot) -> SyncRun:
    """The run, created when it was first seen to be, as it was told at its end, and with the status that was last told
    where it has none."""
    if _had_ended_elsewhere(run, old):
        run = replace(run, watched=old.watched, records=run.records if old.counts is None else old.counts)
    if old.created_at is not None and run.created_at is not None and old.created_at < run.created_at:
        run = replace(run, created_at=old.created_at)
    if run.watched.status is None:
        run = replace(run, watched=replace(run.watched, status=old.watched.status))
    return run
