"""What is polled in one workspace: the database's memory, the watchlist's watches and the API's listing, brought
together."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from notifier.census.client import CensusClient
from notifier.checks import SyncState
from notifier.config.checks import NO_CHECKS, Checks, ChecksInForce
from notifier.config.models import Watch
from notifier.diff import START
from notifier.errors import StoreUnavailable
from notifier.findings import standing_after
from notifier.model import Check, Incident, Labels, Observation, Reason, Standing, Sync, WatchedSync
from notifier.record import Recorder
from notifier.store.store import Store
from notifier.target import Followed, RunTarget, SyncTarget
from notifier.watch import covered_syncs, covering, labels_of_run, named_runs, named_syncs

log = structlog.get_logger(__name__)

MOST_LISTING_PAGES: Final = 1_000
LISTINGS_TO_FORGET: Final = 2


@dataclass(frozen=True, slots=True)
class Listing:
    """One reading of a workspace's syncs. `listed_at`: by the API's clock.

    `ended` if it was read to its end; `complete` if it provably lacks none, besides.
    """

    syncs: dict[int, Sync]
    ended: bool
    complete: bool
    pages: int
    listed_at: datetime


async def read_listing(client: CensusClient, now: datetime) -> Listing:
    """Reads every page. Raises CensusError."""
    syncs: dict[int, Sync] = {}
    number, ended, repeats, unreadable = 0, False, False, 0
    total: int | None = None
    listed_at = now
    while number < MOST_LISTING_PAGES and not ended:
        number += 1
        page, date = await client.syncs(page=number)
        if number == 1:
            listed_at = date or now
        before = len(syncs)
        syncs.update((sync.id, sync) for sync in page.syncs)
        unreadable += page.unreadable
        total = page.paging.total
        ended = page.paging.more is False or not page.syncs
        if len(syncs) == before:
            repeats = page.paging.more is None  # an API that does not page repeats itself
            break
    complete = ended and unreadable == 0 and (total is None or len(syncs) >= total)
    return Listing(syncs, ended or repeats, complete, number, listed_at)


@dataclass(slots=True)
class Changes:
    """What came and what went."""

    added: list[SyncTarget | RunTarget] = field(default_factory=list)
    removed: list[SyncTarget | RunTarget] = field(default_factory=list)


class Roster:
    """The targets of one workspace. Every change is in the database before it is in memory."""

    def __init__(
        self,
        workspace: str,
        watches: Sequence[Watch],
        store: Store,
        recorder: Recorder,
        *,
        checks: Checks | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`checks`: those of every watch; without them, none is on."""
        self.workspace = workspace
        self.first_listed_at: datetime | None = None
        self._watches = watches
        self._store = store
        self._recorder = recorder
        self._checks = checks
        self._in_force: dict[tuple[int, ...], ChecksInForce] = {}
        self._clock = clock
        self.syncs: dict[int, SyncTarget] = {}
        self.runs: dict[int, RunTarget] = {}
        self._labels: dict[int, str | None] = {}
        self._known: set[int] = set()  # syncs that are or were watched: covered again, they get a baseline
        self._missing: dict[int, int] = {}
        self._reported: set[int] = set()
        self._untold = Changes()
        self.listed: Mapping[int, Sync] = {}  # all that the last listing held, watched or not

    def sync_label(self, sync_id: int) -> str | None:
        """The label of any sync of the workspace that was listed."""
        return self._labels.get(sync_id)

    def is_watched(self, sync_id: int) -> bool:
        return sync_id in self.syncs

    # --- from the database ---

    async def load(self, first_listed_at: datetime | None) -> Changes:
        """Takes up what the database remembers; syncs and runs that the watchlist no longer covers are forgotten."""
        self.first_listed_at = first_listed_at
        rows = await self._store.syncs(self.workspace)
        self._known = {row.sync_id for row in rows}
        self._labels = {row.sync_id: row.label for row in rows}
        marks = {row.sync_id: row.mark for row in rows if row.watched}
        covered = covered_syncs(self._watches, {sync_id: self._labels[sync_id] for sync_id in marks})
        self._missing = {row.sync_id: row.missing_listings for row in rows if row.missing_listings}
        states = await self._states(rows)
        troubled = {sync_id for sync_id, state in states.items() if state.open}
        await self._let_go(states, sorted((marks.keys() | troubled) - covered.keys()))
        for sync_id, labels in covered.items():
            target = SyncTarget(sync_id, self._labels[sync_id], labels, marks[sync_id])
            target.checks = self._checks_of(sync_id)
            target.state = states.get(sync_id, target.state)
            self.syncs[sync_id] = target
            await self._recorder.drop_checks_turned_off(target)
        for sync_id, run_id, changed_at, created_at in await self._store.followed(self.workspace):
            if sync_id in self.syncs:
                self.syncs[sync_id].followed[run_id] = Followed(changed_at, created_at=created_at)
        await self._load_runs()
        return Changes(added=[*self.syncs.values(), *self.runs.values()])

    async def _states(self, rows: Iterable[WatchedSync]) -> dict[int, SyncState]:
        """What the checks remember of each sync, also of one whose workspace was out of the watchlist for a while."""
        incidents: dict[int, dict[Check, Incident]] = {}
        for incident in await self._store.open_incidents(self.workspace):
            if incident.sync_id is not None:
                incidents.setdefault(incident.sync_id, {})[incident.check] = incident
        counted_to = await self._store.counted_to(self.workspace)
        standings = dict.fromkeys(incidents, Standing()) | {row.sync_id: row.standing for row in rows}
        return {
            sync_id: SyncState(incidents.get(sync_id, {}), counted_to.get(sync_id), None, standing)
            for sync_id, standing in standings.items()
        }

    async def _let_go(self, states: Mapping[int, SyncState], sync_ids: Sequence[int]) -> None:
        """Forgets syncs that an edit of the watchlist covers no more."""
        labels = {i: incident.sync_label for i in sync_ids for incident in states[i].open.values()} | self._labels
        left = [SyncTarget(sync_id, labels[sync_id], {}, None, state=states[sync_id]) for sync_id in sync_ids]
        last = [await self._recorder.last_words(target, Reason.UNWATCHED) for target in left if target.state.open]
        await self._store.forget_syncs(self.workspace, sync_ids, last)
        self._recorder.announce(event for observation in last for event in observation.events)

    def _checks_of(self, sync_id: int) -> ChecksInForce:
        """The checks that hold for a sync; thousands of syncs have those of the same few watches."""
        if self._checks is None:
            return NO_CHECKS
        places = covering(self._watches, sync_id, self._labels.get(sync_id))
        if places not in self._in_force:
            self._in_force[places] = ChecksInForce.of(self._checks, [self._watches[place].checks for place in places])
        return self._in_force[places]

    async def _load_runs(self) -> None:
        wanted = named_runs(self._watches)
        stored = await self._store.run_watches(self.workspace)
        await self._store.drop_run_watches(self.workspace, [run_id for run_id in stored if run_id not in wanted])
        for run_id in sorted(wanted):
            sync_id, ended = stored.get(run_id, (None, False))
            if ended:
                continue
            target = RunTarget(run_id, self._run_labels(sync_id, run_id), sync_id)
            if sync_id is None or not self.take_run(target):
                self.runs[run_id] = target

    def _run_labels(self, sync_id: int | None, run_id: int) -> Labels:
        return labels_of_run(self._watches, sync_id or 0, self._labels.get(sync_id or 0), run_id)

    # --- from a listing ---

    async def apply(self, listing: Listing) -> Changes:
        """Brings the targets in line with a listing. Only a complete one takes any away."""
        first = self.first_listed_at is None
        self.listed = listing.syncs
        self._labels.update((sync.id, sync.label) for sync in listing.syncs.values())
        candidates = {sync.id: sync.label for sync in listing.syncs.values()}
        candidates |= {sync_id: self._labels[sync_id] for sync_id in self.syncs if sync_id not in candidates}
        if not listing.complete:
            candidates |= {i: self._labels.get(i) for i in named_syncs(self._watches) if i not in candidates}
        covered = covered_syncs(self._watches, candidates)
        gone = await self._count_missing(listing) if listing.complete else set()
        await self._forget({i for i in self.syncs if i in gone or i not in covered}, gone, listing)
        await self._update_known(listing, covered)
        new = {i: labels for i, labels in covered.items() if i not in self.syncs and i not in gone}
        await self._add(new, listing, first=first)
        if listing.complete:
            self._report_unlisted(listing)
        if listing.ended and first:
            self.first_listed_at = listing.listed_at
        return self.take_changes()

    def take_changes(self) -> Changes:
        """What came and went and was not told yet: `apply` may fail after part of it was kept."""
        changes, self._untold = self._untold, Changes()
        return changes

    async def apply_failure(self) -> Changes:
        """The listing can't be read, and perhaps never can: syncs that are named by ID need none."""
        new = [i for i in named_syncs(self._watches) if i not in self.syncs]
        covered = covered_syncs(self._watches, {sync_id: self._labels.get(sync_id) for sync_id in new})
        empty = Listing({}, ended=False, complete=False, pages=0, listed_at=self._clock())
        await self._add(covered, empty, first=True)
        return self.take_changes()

    async def _count_missing(self, listing: Listing) -> set[int]:
        """Counts the listings in a row that lack a watched sync; those that are gone for good."""
        rows = []
        for sync_id, target in self.syncs.items():
            missing = 0 if sync_id in listing.syncs else self._missing.get(sync_id, 0) + 1
            if missing != self._missing.get(sync_id, 0):
                rows.append((sync_id, target.label, missing))
        await self._store.save_listed(self.workspace, rows)
        self._missing |= {sync_id: missing for sync_id, _, missing in rows}
        return {i for i in self.syncs if self._missing.get(i, 0) >= LISTINGS_TO_FORGET}

    async def _forget(self, sync_ids: Iterable[int], deleted: Container[int], listing: Listing) -> None:
        sync_ids = sorted(sync_ids)
        for sync_id in sync_ids:
            self.syncs[sync_id].gone = True
        for sync_id in sync_ids:
            async with self.syncs[sync_id].lock:  # what is being recorded of it comes first; nothing will after that
                pass
        try:
            last = [
                await self._recorder.last_words(
                    self.syncs[sync_id], Reason.DELETED if sync_id in deleted else Reason.UNWATCHED, listing.listed_at
                )
                for sync_id in sync_ids
            ]
            await self._store.forget_syncs(self.workspace, sync_ids, last)
        except StoreUnavailable:
            for sync_id in sync_ids:
                self.syncs[sync_id].gone = False
            raise
        self._recorder.announce(event for observation in last for event in observation.events)
        for sync_id in sync_ids:
            target = self.syncs.pop(sync_id)
            self._missing.pop(sync_id, None)
            self._untold.removed.append(target)
            for run_id in target.watched_runs:
                run = RunTarget(run_id, self._run_labels(sync_id, run_id), sync_id)
                self.runs[run_id] = run
                self._untold.added.append(run)
            log.info("sync is no longer watched", workspace=self.workspace, sync_id=sync_id, label=target.label)

    async def _update_known(self, listing: Listing, covered: dict[int, Labels]) -> None:
        renamed = []
        for sync_id, target in self.syncs.items():
            target.labels, target.checks = covered[sync_id], self._checks_of(sync_id)
            sync = listing.syncs.get(sync_id)
            if sync is not None and sync.label != target.label:
                renamed.append((sync_id, sync.label, 0))
        await self._store.save_listed(self.workspace, renamed)
        for sync_id, label, _ in renamed:
            self.syncs[sync_id].label = label
        for target in self.syncs.values():
            if target.state.open:  # a new name may have brought it under a watch with other checks
                await self._recorder.drop_checks_turned_off(target)
        await self._note_standings(listing)

    async def _note_standings(self, listing: Listing) -> None:
        """Which syncs are paused or never scheduled; a change of that is told, the first sight is not."""
        first: dict[int, Standing] = {}
        for sync_id, target in self.syncs.items():
            sync, old = listing.syncs.get(sync_id), target.state.standing
            if sync is None or (old.paused, old.scheduled) == (sync.paused, sync.scheduled):
                continue
            rests = sync.paused or not sync.scheduled
            if old.paused is None and not (rests and target.state.open):
                first[sync_id] = standing_after(old, sync, listing.listed_at)
            else:
                await self._recorder.note_listed(target, sync, listing.listed_at)
        await self._store.save_standings(self.workspace, first)
        for sync_id, standing in first.items():
            async with self.syncs[sync_id].lock:  # or what is being recorded of it would put back the old one
                self.syncs[sync_id].state = replace(self.syncs[sync_id].state, standing=standing)

    async def _add(self, new: dict[int, Labels], listing: Listing, *, first: bool) -> None:
        added: list[SyncTarget] = []
        plain = []
        for sync_id, labels in new.items():
            target = SyncTarget(sync_id, self._labels.get(sync_id), labels, None)
            target.checks = self._checks_of(sync_id)
            if not first and sync_id not in self._known and self._is_newborn(listing.syncs.get(sync_id)):
                # Its mark is stored before it is first polled: a crash in between must not make it a baseline.
                target.mark = START
                await self._store.record(Observation(self.workspace, sync_id, target.label, (), (), mark=START))
            else:
                plain.append((sync_id, target.label, 0))
            added.append(target)
        await self._store.save_listed(self.workspace, plain)
        self.syncs |= {target.sync_id: target for target in added}
        self._known |= self.syncs.keys()
        self._untold.added += added  # whatever becomes of what is kept next: no later listing brings them again
        await self._note_standings(listing)

    def _is_newborn(self, sync: Sync | None) -> bool:
        return (
            sync is not None
            and sync.created_at is not None
            and self.first_listed_at is not None
            and sync.created_at > self.first_listed_at
        )

    def _report_unlisted(self, listing: Listing) -> None:
        for sync_id in sorted(named_syncs(self._watches) - listing.syncs.keys() - self._reported):
            self._reported.add(sync_id)
            log.warning("watched sync is not in its workspace", workspace=self.workspace, sync_id=sync_id)

    # --- runs that are watched by their ID ---

    def take_run(self, target: RunTarget) -> bool:
        """Hands a run over to its sync's poll, where that sync is watched."""
        sync = self.syncs.get(target.sync_id or 0)
        if sync is None:
            return False
        sync.watched_runs[target.run_id] = self._run_labels(sync.sync_id, target.run_id)
        sync.outside |= {target.run_id}
        self.runs.pop(target.run_id, None)
        return True

    async def hand_over(self, target: RunTarget) -> bool:
        """As `take_run`, once the run's sync has become known, and kept for the next start.

        False when the sync is no longer watched after all: a listing may have come in between.
        """
        await self._store.save_run_watch(self.workspace, target.run_id, target.sync_id, None, None)
        return self.take_run(target)

    def end_run(self, target: RunTarget) -> None:
        self.runs.pop(target.run_id, None)
