"""What is polled, as the poller holds it: syncs and single runs. It only repeats what the database holds.

A target moves after the commit, never before.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from notifier.checks import SyncState
from notifier.config.checks import NO_CHECKS, ChecksInForce
from notifier.model import Labels, Mark

QUIET_AFTER: Final = timedelta(hours=24)


@dataclass(slots=True)
class Followed:
    """A run that has not ended: when it last moved, when it was created, and how many times in a row it was missing."""

    moved_at: datetime
    misses: int = 0
    created_at: datetime | None = None


@dataclass(slots=True)
class SyncTarget:
    """One watched sync as the poller holds it.

    No mark: its first poll sets the baseline. `watched_runs`: runs of it that a `sync_run` watch names, with their
    labels. `outside`: followed or watched runs that the last answer did not hold. `gone`: forgotten while a poll was
    under way, which must record nothing. `lock`: held while something of it is recorded. `state`: what its checks
    remember; `last_good_known`: whether the newest completed run has been looked up.
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
    gone: bool = False
    checks: ChecksInForce = NO_CHECKS
    state: SyncState = field(default_factory=SyncState)
    last_good_known: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def is_active(self, now: datetime) -> bool:
        """Whether a run that has not ended moved within a day."""
        return any(now - run.moved_at < QUIET_AFTER for run in self.followed.values())


@dataclass(slots=True)
class RunTarget:
    """One run that a `sync_run` watch names; `sync_id` is None until it was seen."""

    run_id: int
    labels: Labels
    sync_id: int | None = None
    misses: int = 0
    active: bool = True
