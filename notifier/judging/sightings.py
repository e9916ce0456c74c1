"""A run that was seen, against what was known of it. Pure."""

from dataclasses import dataclass

from notifier.model.run import Change, PreviousRun, Snapshot, SyncRun


@dataclass(frozen=True, slots=True)
class Sighting:
    """A run that is news or has changed: against `old`, its snapshot. `full_sync`: it turned out to be one, and the run
    before it was none."""

    run: SyncRun
    old: Snapshot | None
    changes: tuple[Change, ...]
    previous_run: PreviousRun | None
    full_sync: bool = False

    @property
    def has_new_result(self) -> bool:
        """Whether it completed or failed, and had not just so before."""
        new, old = self.run.watched, self.old.watched if self.old is not None else None
        return new.is_counted and (old is None or not old.is_counted or old.status != new.status)

    @property
    def has_new_counts(self) -> bool:
        """Whether it had completed just so before, and only its records are counted otherwise now. Census may count
        them after a run's end."""
        counts = self.old.counts if self.old is not None else None
        is_result = self.run.watched.is_counted and not self.has_new_result
        return is_result and self.run.watched.status == "completed" and counts not in (None, self.run.records)
