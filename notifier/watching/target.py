"""What is polled, as the poller holds it: syncs and single runs. It only repeats what the database holds.

A target moves after the commit, never before.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from notifier.census.client import Validators
from notifier.judging.checks import SyncState
from notifier.judging.diff import with_floor_of
from notifier.judging.judge import KnownSync
from notifier.judging.results import newer
from notifier.judging.sightings import as_known, is_before
from notifier.model.identity import Id
from notifier.model.run import GoodRun, Snapshot, SyncRun
from notifier.model.sync import Labels, Mark, Standing
from notifier.watching.silence import Silence
from notifier.watchlist.checks import NO_CHECKS, ChecksInForce

QUIET_AFTER: Final = timedelta(hours=24)
DROP_AFTER: Final = timedelta(days=7)
LONGEST_LAG: Final = timedelta(minutes=10)  # of one server of the API behind another
MOST_MISSES: Final = 3
GONE_AFTER: Final = timedelta(minutes=10)
# One of each for all, which nobody puts anything into: empty ones of its own take 350 bytes a sync.
NONE_OUTSIDE: Final[frozenset[Id]] = frozenset()
NONE_HELD: Final[dict[Id, float]] = {}


@dataclass(slots=True)
class Misses:
    """How often in a row something was not found, and since when, by the loop's clock. A gateway that knows no such
    path for a while says the same, so it takes several, over some minutes."""

    number: int = 0
    since: float = 0.0

    def note(self, now: float) -> None:
        """It was not found once more."""
        if not self.number:
            self.since = now
        self.number += 1

    def is_gone(self, now: float) -> bool:
        """Whether that is enough to believe it."""
        return self.number >= MOST_MISSES and now - self.since >= GONE_AFTER.total_seconds()


@dataclass(slots=True)
class Followed:
    """A run that has not ended."""

    moved_at: datetime
    """When it last moved, by the API's clock."""
    created_at: datetime | None = None
    """By the same."""
    misses: Misses = field(default_factory=Misses)
    failures: int = 0
    """How many requests for it by itself failed in a row."""
    error: str = ""
    """How the last one did."""
    failing_since: float = 0.0
    """By the loop's clock."""
    retry_at: float = 0.0
    """When it is asked for again, by the same."""

    def found(self) -> None:
        """It could be read."""
        self.misses.number = self.failures = 0
        self.error, self.retry_at = "", 0.0

    def missed(self, now: float, *, is_believed: bool) -> None:
        """It was not found, which is no failure to read it. `is_believed`: that may mean that it is gone."""
        self.failures, self.error = 0, ""
        if is_believed:
            self.misses.note(now)

    def failed(self, error: str, begun: float, retry_at: float) -> None:
        """It could not be read, by a request that began then."""
        if not self.failures:
            self.failing_since = begun
        self.failures += 1
        self.error, self.retry_at = error, retry_at


NONE_FOLLOWED: Final[Mapping[Id, Followed]] = {}


@dataclass(slots=True)
class Unread:
    """That the runs of a sync, or one of them, can't be read."""

    silence: Silence
    run_id: Id | None = None
    """The run; None: it is the sync's list of them."""
    is_kept: bool = False
    """Whether the database knows of it."""
    is_remembered: bool = False
    """Whether it is from before this start: of which of them it was is not known then."""


class SyncTarget:
    """One watched sync as the poller holds it.

    What it is judged by is one frozen value, `known`: who needs several things of it takes it once. Only the methods
    here put another in its place: what is recorded, after the commit and under `lock`.
    """

    __slots__ = (
        "changes",
        "fingerprint",
        "followed",
        "gone",
        "held",
        "known",
        "last_good_known",
        "lock",
        "outside",
        "sync_id",
        "unread",
        "unreadable",
        "validators",
    )

    def __init__(
        self,
        sync_id: Id,
        label: str | None,
        labels: Labels,
        mark: Mark | None,
        *,
        checks: ChecksInForce = NO_CHECKS,
        state: SyncState | None = None,
        held: dict[Id, float] | None = None,
    ) -> None:
        """Without a mark, its first poll sets the baseline."""
        self.sync_id: Final = sync_id
        self.known = KnownSync(sync_id, label, labels, mark, checks=checks, state=state or SyncState())
        self.followed: Mapping[Id, Followed] = NONE_FOLLOWED
        """Runs that have not ended."""
        self.outside: frozenset[Id] = NONE_OUTSIDE
        """Followed or watched runs that the last answer did not hold."""
        self.held = held if held is not None else NONE_HELD
        """Runs that an answer showed as they were before, and since when, by the loop's clock."""
        self.fingerprint: int | None = None
        """Of the last answer, where all that it showed was taken."""
        self.validators: Validators | None = None
        """What the API said of the version of that answer."""
        self.changes = 0
        """How many observations found one."""
        self.unreadable = 0
        """Runs of the last answer without a readable ID."""
        self.unread: Unread | None = None
        """While it can't be read."""
        self.gone = False
        """Forgotten while a poll was under way, which must record nothing."""
        self.last_good_known = False
        """Whether the newest completed run has been looked up."""
        self.lock = asyncio.Lock()
        """Held while something of it is recorded."""

    # --- what is known of it ---

    @property
    def label(self) -> str | None:
        return self.known.label

    @property
    def labels(self) -> Labels:
        return self.known.labels

    @property
    def mark(self) -> Mark | None:
        return self.known.mark

    @property
    def checks(self) -> ChecksInForce:
        return self.known.checks

    @property
    def state(self) -> SyncState:
        return self.known.state

    @property
    def watched_runs(self) -> Mapping[Id, Labels]:
        return self.known.watched_runs

    def is_covered_by(self, labels: Labels, checks: ChecksInForce) -> None:
        """These are the labels and checks of the watches that cover it."""
        if (self.known.labels, self.known.checks) != (labels, checks):
            self.known = replace(self.known, labels=labels, checks=checks)

    def is_called(self, label: str | None) -> None:
        """It has this name in Census, and the database knows."""
        self.known = replace(self.known, label=label)

    def was_judged(self, state: SyncState) -> None:
        """What its checks remember from now on; it was recorded."""
        self.known = replace(self.known, state=state)

    def was_read(self, state: SyncState, mark: Mark | None) -> None:
        """What its checks remember, and how far it has been read, where that moved; it was recorded."""
        if mark is not None and self.known.mark is not None:
            mark = with_floor_of(mark, self.known.mark)  # retention may have raised it meanwhile
        self.known = replace(self.known, state=state, mark=mark or self.known.mark)

    def stands(self, standing: Standing) -> None:
        """What is known of it beside its runs, and recorded."""
        self.was_judged(replace(self.known.state, standing=standing))

    def last_completed(self, good: GoodRun | None) -> None:
        """The newest run that completed has been looked up."""
        self.was_judged(replace(self.known.state, last_good=newer(self.known.state.last_good, good)))
        self.last_good_known = True

    def raise_floor(self, floor: datetime) -> None:
        """Nothing of it that was created up to then is ever news any more."""
        if (mark := self.known.mark) is not None:
            self.known = replace(self.known, mark=with_floor_of(mark, replace(mark, floor=floor)))

    # --- its runs ---

    def watch_run(self, run_id: Id, labels: Labels) -> None:
        """A `sync_run` watch names this run of it: it is asked for until it ends."""
        self.known = replace(self.known, watched_runs={**self.known.watched_runs, run_id: labels})
        self.outside |= {run_id}

    def drop_run(self, run_id: Id) -> None:
        """Nobody watches this run by its ID any more."""
        others = {i: labels for i, labels in self.known.watched_runs.items() if i != run_id}
        self.known = replace(self.known, watched_runs=others)

    def forget_run(self, run_id: Id) -> None:
        """This run is no longer followed."""
        self._follow_no_more(run_id)
        self.outside -= {run_id}

    def follow(self, run_id: Id, run: Followed) -> None:
        """This run has not ended."""
        self.followed = {**self.followed, run_id: run}

    def _follow_no_more(self, run_id: Id) -> None:
        if run_id in self.followed:
            others = {i: followed for i, followed in self.followed.items() if i != run_id}
            self.followed = others or NONE_FOLLOWED

    def was_shown(self, listed: Iterable[SyncRun]) -> None:
        """These runs are in its list; what else is followed or watched is asked for by itself."""
        listed_ids = {run.id for run in listed}
        wanted = self.followed.keys() | self.watched_runs.keys()
        held = {run_id: since for run_id, since in self.held.items() if run_id in listed_ids | wanted}
        self.held = held or NONE_HELD
        outside = wanted - listed_ids
        self.outside = frozenset(outside) if outside else NONE_OUTSIDE

    def was_seen(self, run: SyncRun, snapshot: Snapshot, api_now: datetime) -> None:
        """This run is kept so: until it ends, it is followed."""
        if run.ended or not snapshot.followed:
            self._follow_no_more(run.id)
            return
        updated_at = run.updated_at if run.updated_at is not None and run.updated_at <= api_now else None
        moved_at = max(snapshot.changed_at, updated_at or snapshot.changed_at)
        self.follow(run.id, Followed(moved_at, created_at=run.created_at))

    def following(self, run_id: Id, api_now: datetime) -> Followed:
        """What is held of a run that is asked for by itself."""
        if run_id not in self.followed:
            self.follow(run_id, Followed(api_now))
        return self.followed[run_id]

    def believed(
        self, listed: Iterable[SyncRun], known: Mapping[Id, Snapshot], now: float, *, may_lag: bool
    ) -> tuple[SyncRun, ...]:
        """The runs of an answer without those that it shows as they were before what is known of them, where it
        `may_lag`: answers of servers that lag behind each other would tell a change three times.

        After ten minutes of it, by the loop's clock, the answer is right, whatever its times say.
        """
        believed = []
        for shown in listed:
            old = known.get(shown.id)
            # As it is known first: what two versions of the API differ in is not how it was before.
            run = shown if old is None else as_known(shown, old)
            if old is not None and may_lag and is_before(run, old):
                if self.held is NONE_HELD:
                    self.held = {}
                if now - self.held.setdefault(run.id, now) < LONGEST_LAG.total_seconds():
                    continue
            else:
                self.held.pop(run.id, None)
            believed.append(run)
        return tuple(believed)

    def gone_runs(self, now: float) -> list[Id]:
        """The followed runs that were not found, often and long enough to believe it by the loop's clock."""
        return [run_id for run_id, run in self.followed.items() if run.misses.is_gone(now)]

    def stale_runs(self, api_now: datetime) -> list[Id]:
        """The followed runs that have not moved for a week."""
        return [run_id for run_id, run in self.followed.items() if api_now - run.moved_at >= DROP_AFTER]

    def is_active(self, api_now: datetime) -> bool:
        """Whether a run that has not ended moved within a day."""
        return any(api_now - run.moved_at < QUIET_AFTER for run in self.followed.values())

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is pending: no run that has not ended, no incident, nothing that can't be read."""
        return not (self.followed or self.outside or self.state.open or self.unread or self.held)

    def is_unread(self, run_id: Id | None, clock: Callable[[], datetime]) -> Unread:
        """It can't be read, or this run of it can't: since when, if it could not before."""
        unread = self.unread
        if unread is None or (unread.run_id != run_id and not unread.is_remembered):
            unread = self.unread = Unread(Silence(clock))
        unread.run_id, unread.is_remembered = run_id, False
        return unread

    def unread_run(self) -> tuple[Id, Followed] | None:
        """Of the runs that are asked for by themselves and can't be read, the one that can't for longest."""
        unread = [(run_id, run) for run_id, run in self.followed.items() if run.failures]
        return min(unread, key=lambda each: each[1].failing_since, default=None)


@dataclass(slots=True)
class RunTarget:
    """One run that a `sync_run` watch names."""

    run_id: Id
    labels: Labels
    sync_id: Id | None = None
    """None until it was seen."""
    misses: Misses = field(default_factory=Misses)
    held: dict[Id, float] = field(default_factory=dict)
    """As in SyncTarget."""
    active: bool = True


@dataclass(slots=True)
class Changes:
    """What came and what went."""

    added: list[SyncTarget | RunTarget] = field(default_factory=list)
    removed: list[SyncTarget | RunTarget] = field(default_factory=list)
