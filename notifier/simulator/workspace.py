"""The state of the simulated workspace: syncs, their runs in order of creation, and each one's JSON, made once.

Made to hold 10,000 syncs under constant polling: an object is serialised when it is first asked for after a change,
and a page is cut from a list that is kept in order.
"""

from bisect import insort_right
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from notifier.simulator import defaults
from notifier.simulator.defaults import Id
from notifier.simulator.listing import Announced, LateList, status_by_runs
from notifier.simulator.stored import Stored


class UnknownObjectError(LookupError):
    """The simulator holds nothing of that ID: no sync, run, channel, token or webhook."""


@dataclass(slots=True)
class StoredSync(Stored):
    """A sync and its runs, oldest first."""

    runs: list[Stored] = field(default_factory=list)


class Workspace:
    """Syncs and runs. Every method that hands out an object hands out a copy of it."""

    def __init__(self) -> None:
        self.announced = Announced.NOTHING
        self._late: LateList | None = None
        self._syncs: dict[str, StoredSync] = {}
        self._runs: dict[str, Stored] = {}
        self._order: list[StoredSync] = []
        self._records: dict[str, list[dict[str, Any]]] = {}
        self._last_sync_id = 0
        self._last_run_id = 100_000  # far from the IDs of syncs: one taken for the other shows

    def syncs(self) -> Sequence[Stored]:
        """All syncs, oldest first. Not a copy: to be read at once."""
        return self._order

    def listed(self) -> Sequence[Stored]:
        """The syncs as their list shows them, oldest first. Not a copy: to be read at once."""
        return self._order if self._late is None else self._late.syncs()

    def lag_list(self, seconds: float, clock: Callable[[], float]) -> None:
        """The list shows from now on what it was so many seconds ago, though nothing that is older than it does now."""
        if seconds <= 0:
            self._late = None
        elif self._late is None:
            self._late = LateList(self._order, seconds, clock)
        else:
            self._late.lag = seconds

    def runs_of(self, sync_id: Id) -> Sequence[Stored]:
        """The sync's runs, oldest first. Not a copy: to be read at once."""
        return self.stored_sync(sync_id).runs

    def stored_sync(self, sync_id: Id) -> StoredSync:
        """The sync as it is kept. Raises UnknownObjectError."""
        try:
            return self._syncs[str(sync_id)]
        except KeyError:
            raise UnknownObjectError(f"the simulator has no sync {sync_id}") from None

    def stored_run(self, run_id: Id) -> Stored:
        """The run as it is kept. Raises UnknownObjectError."""
        try:
            return self._runs[str(run_id)]
        except KeyError:
            raise UnknownObjectError(f"the simulator has no sync run {run_id}") from None

    def add_sync(
        self, sync_id: Id | None, label: str | defaults.Marker | None, given: dict[str, Any]
    ) -> dict[str, Any]:
        """Adds a sync; raises ValueError for an ID that is taken."""
        identity = self._last_sync_id + 1 if sync_id is None else sync_id
        if str(identity) in self._syncs:
            raise ValueError(f"the simulator already has a sync {identity}")
        if isinstance(identity, int):
            self._last_sync_id = max(self._last_sync_id, identity)
        now = datetime.now(UTC)
        text = f"Sync {identity}" if isinstance(label, defaults.Marker) else label
        value = defaults.new_sync(identity, text, deepcopy(given), now)
        sync = StoredSync(value, defaults.moment_of(value.get("created_at"), now))
        self._syncs[str(identity)] = sync
        insort_right(self._order, sync, key=lambda stored: stored.created)
        self._note(str(identity), sync)
        return deepcopy(value)

    def update_sync(self, sync_id: Id, given: dict[str, Any]) -> dict[str, Any]:
        """Changes a sync's fields; `updated_at` becomes now unless given."""
        sync = self.stored_sync(sync_id)
        stamp = {"updated_at": defaults.timestamp(datetime.now(UTC))}
        sync.replace(defaults.merged(sync.value | stamp, deepcopy(given)))
        self._note(str(sync_id), sync)
        return deepcopy(sync.value)

    def remove_sync(self, sync_id: Id) -> None:
        """Removes a sync and all its runs."""
        sync = self.stored_sync(sync_id)
        del self._syncs[str(sync_id)]
        self._order = [other for other in self._order if other is not sync]
        for run in sync.runs:
            run_id = str(run.value["id"])
            self._runs.pop(run_id, None)
            self._records.pop(run_id, None)
        self._note(str(sync_id), None)

    def add_run(self, sync_id: Id, run_id: Id | None, status: str, given: dict[str, Any]) -> dict[str, Any]:
        """Adds a run; of two created in the same millisecond the one added later is the newer."""
        sync = self.stored_sync(sync_id)
        identity = self._last_run_id + 1 if run_id is None else run_id
        if str(identity) in self._runs:
            raise ValueError(f"the simulator already has a sync run {identity}")
        if isinstance(identity, int):
            self._last_run_id = max(self._last_run_id, identity)
        now = datetime.now(UTC)
        value = defaults.new_run(identity, sync.value["id"], status, deepcopy(given), now)
        run = Stored(value, defaults.moment_of(value.get("created_at"), now))
        self._runs[str(identity)] = run
        if not sync.runs or sync.runs[-1].created <= run.created:
            sync.runs.append(run)
        else:
            insort_right(sync.runs, run, key=lambda stored: stored.created)
        self._announce(sync, is_status=True)
        return deepcopy(value)

    def update_run(self, run_id: Id, given: dict[str, Any]) -> dict[str, Any]:
        """Changes a run's fields; its place in the list stays, even if `created_at` changes."""
        run = self.stored_run(run_id)
        before = run.value.get("status")
        run.replace(defaults.changed_run(run.value, deepcopy(given), datetime.now(UTC)))
        self._announce(self._syncs[str(run.value["sync_id"])], is_status=run.value.get("status") != before)
        return deepcopy(run.value)

    def remove_run(self, run_id: Id) -> None:
        """Removes a run from its sync's list and from sight."""
        run = self.stored_run(run_id)
        sync = self._syncs[str(run.value["sync_id"])]
        sync.runs = [other for other in sync.runs if other is not run]
        del self._runs[str(run_id)]
        self._records.pop(str(run_id), None)
        self._announce(sync, is_status=False)

    def set_records(self, run_id: Id, records: list[dict[str, Any]]) -> None:
        """Gives a run the records that fetchRecords shows; without them it answers 404, as without Sync Tracking."""
        self.stored_run(run_id)
        self._records[str(run_id)] = deepcopy(records)

    def records_of(self, run_id: Id) -> Sequence[dict[str, Any]] | None:
        """The run's records, or None where they are not tracked. Raises UnknownObjectError."""
        self.stored_run(run_id)
        return self._records.get(str(run_id))

    def _announce(self, sync: StoredSync, *, is_status: bool) -> None:
        """Changes the sync's item because something of a run of it changed: its status, or something else."""
        if self.announced is Announced.NOTHING or (self.announced is Announced.STATUSES and not is_status):
            return
        now = datetime.now(UTC)
        # Later than before in any case: what changes twice within a millisecond is two items.
        least = defaults.moment_of(sync.value.get("updated_at"), now) + timedelta(milliseconds=1)
        status = status_by_runs(run.value for run in reversed(sync.runs))
        self.update_sync(sync.value["id"], {"updated_at": max(now, least), "status": status})

    def _note(self, identity: str, sync: Stored | None) -> None:
        if self._late is not None:
            self._late.note(identity, sync)
