"""What is polled in one workspace: the database's memory, the watches and the API's listing, brought together."""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from notifier.census.listing import Listing
from notifier.judging.checks import NONE_OPEN, SyncState
from notifier.judging.diff import START
from notifier.judging.standing import standing_after
from notifier.model.event import Observation
from notifier.model.identity import Id, in_order
from notifier.model.incident import Check, Incident, Reason
from notifier.model.sync import Labels, ListedSync, RunWatch, Standing, Sync, WatchedSync
from notifier.store.watching import WatchingStore
from notifier.watching.listings import Listings
from notifier.watching.record import Recorder
from notifier.watching.silence import Silence
from notifier.watching.target import Changes, Followed, Misses, RunTarget, SyncTarget, Unread
from notifier.watchlist.checks import Checks, ChecksInForce
from notifier.watchlist.covers import Coverage, labels_of_run, named_runs, named_syncs
from notifier.watchlist.models import Watch

log = structlog.get_logger(__name__)
LISTINGS_TO_FORGET: Final = 2
NOT_LISTED: Final[Mapping[Id, Sync]] = {}  # before the first listing; one that shows nothing is another


class Roster:
    """The targets of one workspace. Every change is in the database before it is in memory."""

    def __init__(
        self,
        workspace: str,
        watches: Sequence[Watch],
        store: WatchingStore,
        recorder: Recorder,
        *,
        checks: Checks,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`checks`: those of every watch."""
        self.workspace = workspace
        self.listings = Listings()
        self.flaw: str | None = None  # why the last listing may lack some syncs, or is not believed to lack them
        self.is_of_another = False  # whether that listing seems to be of another workspace
        self._watches = watches
        self._coverage = Coverage(watches)
        self._store = store
        self._recorder = recorder
        self._checks = checks
        self._in_force: dict[tuple[int, ...], ChecksInForce] = {}
        self._clock = clock
        self.syncs: dict[Id, SyncTarget] = {}
        self.runs: dict[Id, RunTarget] = {}
        self._of_runs: frozenset[Id] = frozenset()  # the syncs that those were known to be of at the start
        self._labels: dict[Id, str | None] = {}
        self._known: set[Id] = set()  # syncs that were seen before: covered now, they get a baseline
        self._deleted: set[Id] = set()  # of those, the ones that the listings no longer show
        self._foreign: frozenset[Id] = frozenset()  # syncs that were last seen to be of another group
        self._shown: set[Id] = set()  # watched syncs that a listing has shown; a name that is wrong never was
        self._missing: dict[Id, int] = {}
        self._reported: set[Id] = set()
        self._is_empty = False  # and that was reported
        self._untold = Changes()
        self.listed = NOT_LISTED  # all that the last listing held, watched or not

    def sync_label(self, sync_id: Id) -> str | None:
        """The label of any sync of the workspace that was listed."""
        return self._labels.get(sync_id)

    def is_watched(self, sync_id: Id) -> bool:
        return sync_id in self.syncs

    # --- from the database ---

    async def load(self, listings: Listings) -> Changes:
        """Takes up what the database remembers; syncs and runs that the watchlist no longer covers are forgotten."""
        self.listings = listings
        rows = await self._store.syncs(self.workspace)
        self._known = {row.sync_id for row in rows}
        self._deleted = {row.sync_id for row in rows if row.deleted}
        self._labels = {row.sync_id: row.label for row in rows}
        self._shown = {row.sync_id for row in rows if row.watched and row.label is not None}
        marks = {row.sync_id: row.mark for row in rows if row.watched}
        covered = self._coverage.labels_of({sync_id: self._labels[sync_id] for sync_id in marks})
        self._missing = {row.sync_id: row.missing_listings for row in rows if row.missing_listings}
        states = await self._states(rows)
        unread = {row.sync_id: row.unread_since for row in rows if row.unread_since is not None}
        troubled = {sync_id for sync_id, state in states.items() if state.open}
        await self._let_go(states, sorted((marks.keys() | troubled) - covered.keys(), key=in_order))
        for sync_id, labels in covered.items():
            target = SyncTarget(
                *(sync_id, self._labels[sync_id], labels, marks[sync_id]),
                checks=self._checks_of(sync_id),
                state=states.get(sync_id),
            )
            if sync_id in unread:
                target.unread = Unread(Silence(self._clock, unread[sync_id]), is_kept=True, is_remembered=True)
            self.syncs[sync_id] = target
            await self._recorder.drop_checks_turned_off(target)
        unended = await self._store.followed(self.workspace)
        for run in unended:
            if run.sync_id in self.syncs:
                self.syncs[run.sync_id].follow(run.run_id, Followed(run.changed_at, created_at=run.created_at))
        await self._load_runs()
        self._of_runs = frozenset(run.sync_id for run in unended if run.run_id in self.runs)
        return Changes(added=[*self.syncs.values(), *self.runs.values()])

    async def _states(self, rows: Iterable[WatchedSync]) -> dict[Id, SyncState]:
        """What the checks remember of each sync, also of one whose workspace was out of the watchlist for a while."""
        incidents: dict[Id, dict[Check, Incident]] = {}
        for incident in await self._store.open_incidents(self.workspace):
            if incident.sync_id is not None:
                incidents.setdefault(incident.sync_id, {})[incident.check] = incident
        counted_to = await self._store.counted_to(self.workspace)
        standings = dict.fromkeys(incidents, Standing()) | {row.sync_id: row.standing for row in rows}
        return {
            sync_id: SyncState(incidents.get(sync_id, NONE_OPEN), counted_to.get(sync_id), None, standing)
            for sync_id, standing in standings.items()
        }

    async def _let_go(self, states: Mapping[Id, SyncState], sync_ids: Sequence[Id]) -> None:
        """Forgets syncs that an edit of the watchlist covers no more."""
        labels = {i: incident.sync_label for i in sync_ids for incident in states[i].open.values()} | self._labels
        left = [SyncTarget(sync_id, labels[sync_id], {}, None, state=states[sync_id]) for sync_id in sync_ids]
        last = [await self._recorder.last_words(target, Reason.UNWATCHED) for target in left if target.state.open]
        await self._store.forget_syncs(self.workspace, sync_ids, last)
        self._recorder.announce(event for observation in last for event in observation.events)

    def _checks_of(self, sync_id: Id) -> ChecksInForce:
        """The checks that hold for a sync; thousands of syncs have those of the same few watches."""
        places = self._coverage.places(sync_id, self._labels.get(sync_id))
        if places not in self._in_force:
            self._in_force[places] = ChecksInForce.of(self._checks, [self._watches[place].checks for place in places])
        return self._in_force[places]

    async def _load_runs(self) -> None:
        wanted = named_runs(self._watches)
        stored = await self._store.run_watches(self.workspace)
        dropped = {run_id: watch.sync_id for run_id, watch in stored.items() if run_id not in wanted}
        await self._store.drop_run_watches(self.workspace, dropped)
        for run_id, of_sync in dropped.items():
            if of_sync not in self.syncs:  # else the sync's polls follow it
                await self._store.unfollow(self.workspace, run_id)
        for run_id in sorted(wanted, key=in_order):
            watch = stored.get(run_id, RunWatch())
            if watch.ended:
                continue
            sync_id = watch.sync_id
            target = RunTarget(run_id, self._run_labels(sync_id, run_id), sync_id)
            if watch.missing_since is not None:
                missing_for = max(self._clock() - watch.missing_since, timedelta(0))
                since = asyncio.get_running_loop().time() - missing_for.total_seconds()
                target.misses = Misses(watch.misses, since)
            if sync_id is None or not self.take_run(target):
                self.runs[run_id] = target

    def _run_labels(self, sync_id: Id | None, run_id: Id) -> Labels:
        return labels_of_run(self._watches, sync_id or 0, self._labels.get(sync_id or 0), run_id)

    # --- from a listing ---

    async def apply(self, listing: Listing, *, counts_absence: bool = True) -> Changes:
        """Brings the targets in line with a listing. Only a complete one that is believed takes any away."""
        watched = self.syncs.keys() & (self._shown | {i for i, t in self.syncs.items() if t.known.has_baseline})
        self.is_of_another = self.listings.shows_another_workspace(listing, watched | self._of_runs)
        has_strangers = listing.complete and listing.syncs and not listing.syncs.keys() & watched
        listing, listings = self.listings.believed(listing, watched, self._of_runs, is_first=not self.listed)
        if self.is_of_another or (has_strangers and not listing.complete):
            self.flaw, self.listings = listing.flaw, listings
            return self.take_changes()
        self._shown |= listing.syncs.keys()
        self._foreign = listing.foreign | (frozenset() if listing.complete else self._foreign - listing.syncs.keys())
        self.flaw = listing.flaw
        self.listed = listing.syncs
        # A list without labels says nothing of them, here as in the database.
        self._labels.update(
            (i, s.label) for i, s in listing.syncs.items() if s.label is not None or i not in self._labels
        )
        self._deleted -= listing.syncs.keys()
        candidates = {sync_id: self._labels[sync_id] for sync_id in listing.syncs}
        of_others = listing.foreign if listing.complete else frozenset()
        candidates |= {i: self._labels.get(i) for i in self.syncs if i not in candidates and i not in of_others}
        if not listing.complete:
            candidates |= {i: self._labels.get(i) for i in self._named_and_here() if i not in candidates}
        covered = self._coverage.labels_of(candidates)
        gone = await self._count_missing(listing) if listing.complete and counts_absence else set()
        await self._forget({i for i in self.syncs if i in gone or i not in covered}, gone, listing)
        await self._update_known(listing, covered)
        new = {i: labels for i, labels in covered.items() if i not in self.syncs and i not in gone}
        await self._add(new, listing, first=self.listings.first_at is None)
        await self._note_shown(listing)
        if listing.complete:
            self._report_unlisted(listing)
        self.listings = listings.after(listing)
        return self.take_changes()

    def _named_and_here(self) -> set[Id]:
        return named_syncs(self._watches) - self._deleted - self._foreign

    async def _note_shown(self, listing: Listing) -> None:
        """Keeps that a young sync was shown and nobody watched it: watched later, it is no longer new."""
        shown = {sync.id: sync.label for sync in self.listings.young(listing) if sync.id not in self._known}
        await self._store.save_shown(self.workspace, shown)
        self._known |= shown.keys()

    def take_changes(self) -> Changes:
        """What came and went and was not told yet: `apply` may fail after part of it was kept."""
        changes, self._untold = self._untold, Changes()
        return changes

    async def apply_failure(self) -> Changes:
        """The listing can't be read, and perhaps never can: syncs that are named by ID need none."""
        new = [i for i in self._named_and_here() if i not in self.syncs]
        covered = self._coverage.labels_of({sync_id: self._labels.get(sync_id) for sync_id in new})
        empty = Listing({}, ended=False, flaw="there is none", pages=0, listed_at=self._clock(), source="")
        await self._add(covered, empty, first=True)
        return self.take_changes()

    async def _count_missing(self, listing: Listing) -> set[Id]:
        """Counts the listings in a row that lack a watched sync; those that are gone for good."""
        rows = []
        for sync_id, target in self.syncs.items():
            missing = 0 if sync_id in listing.syncs else self._missing.get(sync_id, 0) + 1
            if missing != self._missing.get(sync_id, 0):
                rows.append(ListedSync(sync_id, target.label, missing))
        await self._store.save_listed(self.workspace, rows)
        self._missing |= {row.sync_id: row.missing_listings for row in rows}
        return {i for i in self.syncs if self._missing.get(i, 0) >= LISTINGS_TO_FORGET}

    async def _forget(self, sync_ids: Iterable[Id], deleted: Container[Id], listing: Listing) -> None:
        sync_ids = sorted(sync_ids, key=in_order)
        for sync_id in sync_ids:
            self.syncs[sync_id].gone = True
        for sync_id in sync_ids:
            async with self.syncs[sync_id].lock:  # what is being recorded of it comes first; nothing will after that
                pass
        are_forgotten = False
        try:
            last = [
                await self._recorder.last_words(
                    self.syncs[sync_id], Reason.DELETED if sync_id in deleted else Reason.UNWATCHED, listing.listed_at
                )
                for sync_id in sync_ids
            ]
            await self._store.forget_syncs(self.workspace, sync_ids, last, deleted=deleted)
            are_forgotten = True
        finally:
            if not are_forgotten:
                for sync_id in sync_ids:
                    self.syncs[sync_id].gone = False
        self._recorder.announce(event for observation in last for event in observation.events)
        for sync_id in sync_ids:
            target = self.syncs.pop(sync_id)
            self._missing.pop(sync_id, None)
            if sync_id in deleted:
                self._deleted.add(sync_id)
            self._untold.removed.append(target)
            for run_id in target.watched_runs:
                run = RunTarget(run_id, self._run_labels(sync_id, run_id), sync_id)
                self.runs[run_id] = run
                self._untold.added.append(run)
            log.info("sync is no longer watched", workspace=self.workspace, sync_id=sync_id, label=target.label)

    async def _update_known(self, listing: Listing, covered: dict[Id, Labels]) -> None:
        renamed = []
        for sync_id, target in self.syncs.items():
            target.is_covered_by(covered[sync_id], self._checks_of(sync_id))
            if sync_id in listing.syncs and (label := self._labels[sync_id]) != target.label:
                renamed.append(ListedSync(sync_id, label))
        await self._store.save_listed(self.workspace, renamed)
        for listed in renamed:
            self.syncs[listed.sync_id].is_called(listed.label)
        for target in self.syncs.values():
            if target.state.open:  # a new name may have brought it under a watch with other checks
                await self._recorder.drop_checks_turned_off(target)
        await self._note_standings(listing)

    async def _note_standings(self, listing: Listing) -> None:
        """Which syncs are paused or never scheduled; a change of that is told, the first sight is not."""
        first: dict[Id, Standing] = {}
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
        for sync_id, kept in first.items():
            target, sync = self.syncs[sync_id], listing.syncs[sync_id]
            async with target.lock:  # or what is being recorded of it would put back the old one
                standing = standing_after(target.state.standing, sync, listing.listed_at)
                if standing != kept:  # a poll noted something of it meanwhile
                    await self._store.save_standings(self.workspace, {sync_id: standing})
                target.stands(standing)

    async def _add(self, new: dict[Id, Labels], listing: Listing, *, first: bool) -> None:
        added: list[SyncTarget] = []
        plain = []
        for sync_id, labels in new.items():
            is_new = not first and sync_id not in self._known and self.listings.is_new(listing.syncs.get(sync_id))
            label, mark = self._labels.get(sync_id), START if is_new else None
            if is_new:
                # Its mark is stored before it is first polled: a crash in between must not make it a baseline.
                await self._store.record(Observation(self.workspace, sync_id, label, mark=mark))
            else:
                plain.append(ListedSync(sync_id, label))
            added.append(SyncTarget(sync_id, label, labels, mark, checks=self._checks_of(sync_id)))
        await self._store.save_listed(self.workspace, plain)
        self.syncs |= {target.sync_id: target for target in added}
        self._known |= self.syncs.keys()
        self._untold.added += added  # whatever becomes of what is kept next: no later listing brings them again
        await self._note_standings(listing)

    def _report_unlisted(self, listing: Listing) -> None:
        for sync_id in sorted(named_syncs(self._watches) - listing.syncs.keys() - self._reported, key=in_order):
            self._reported.add(sync_id)
            log.warning("watched sync is not in its workspace", workspace=self.workspace, sync_id=sync_id)
        if not listing.syncs and not self._is_empty:
            log.warning("the workspace has no syncs, so that there is nothing to watch", workspace=self.workspace)
        self._is_empty = not listing.syncs

    # --- runs that are watched by their ID ---

    def take_run(self, target: RunTarget) -> bool:
        """Hands a run over to its sync's poll, where that sync is watched."""
        sync = self.syncs.get(target.sync_id or 0)
        if sync is None:
            return False
        sync.watch_run(target.run_id, self._run_labels(sync.sync_id, target.run_id))
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
