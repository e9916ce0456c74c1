"""What is polled, as the poller holds it: syncs and single runs. It only repeats what the database holds.

A target moves after the commit, never before.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from notifier.judging.checks import SyncState
from notifier.model.sync import Labels, Mark
from notifier.watching.silence import Silence
from notifier.watchlist.checks import NO_CHECKS, ChecksInForce

QUIET_AFTER: Final = timedelta(hours=24)
MOST_MISSES: Final = 3
GONE_AFTER: Final = timedelta(minutes=10)


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
    """A run that has not ended: when it last moved and when it was created, by the API's clock.

    `failures`: how many requests for it by itself failed in a row, `error`: how the last one did, `failing_since` and
    `retry_at`: since when, and when it is asked for again, by the loop's clock.
    """

    moved_at: datetime
    created_at: datetime | None = None
    misses: Misses = field(default_factory=Misses)
    failures: int = 0
    error: str = ""
    failing_since: float = 0.0
    retry_at: float = 0.0

    def found(self) -> None:
        """It could be read."""
        self.misses.number = self.failures = 0
        self.error, self.retry_at = "", 0.0

    def failed(self, error: str, begun: float, retry_at: float) -> None:
        """It could not be read, by a request that began then."""
        if not self.failures:
            self.failing_since = begun
        self.failures += 1
        self.error, self.retry_at = error, retry_at


@dataclass(slots=True)
class Unread:
    """That the runs of a sync, or one of them (`run_id`), can't be read. `is_kept`: the database knows of it;
    `is_remembered`: of which of them it was before this start is not known."""

    silence: Silence
    run_id: int | None = None
    is_kept: bool = False
    is_remembered: bool = False


@dataclass(slots=True)
class SyncTarget:
    """One watched sync as the poller holds it.

    No mark: its first poll sets the baseline. `watched_runs`: runs of it that a `sync_run` watch names, with their
    labels. `outside`: followed or watched runs that the last answer did not hold. `held`: runs that an answer showed as
    they were before, and since when, by the loop's clock. `unread`: while it can't be read. `gone`: forgotten while a
    poll was under way, which must record nothing. `lock`: held while something of it is recorded. `state`: what its
    checks remember; `last_good_known`: whether the newest completed run has been looked up.
    """

    sync_id: int
    label: str | None
    labels: Labels
    mark: Mark | None
    followed: dict[int, Followed] = field(default_factory=dict)
    watched_runs: dict[int, Labels] = field(default_factory=dict)
    fingerprint: int | None = None
    outside: frozenset[int] = frozenset()
    unreadable: int = 0
    held: dict[int, float] = field(default_factory=dict)
    unread: Unread | None = None
    gone: bool = False
    checks: ChecksInForce = NO_CHECKS
    state: SyncState = field(default_factory=SyncState)
    last_good_known: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def is_active(self, api_now: datetime) -> bool:
        """Whether a run that has not ended moved within a day."""
        return any(api_now - run.moved_at < QUIET_AFTER for run in self.followed.values())

    def unread_run(self) -> tuple[int, Followed] | None:
        """Of the runs that are asked for by themselves and can't be read, the one that can't for longest."""
        unread = [(run_id, run) for run_id, run in self.followed.items() if run.failures]
        return min(unread, key=lambda each: each[1].failing_since, default=None)


@dataclass(slots=True)
class RunTarget:
    """One run that a `sync_run` watch names; `sync_id` is None until it was seen. `held` as in SyncTarget."""

    run_id: int
    labels: Labels
    sync_id: int | None = None
    misses: Misses = field(default_factory=Misses)
    held: dict[int, float] = field(default_factory=dict)
    active: bool = True
