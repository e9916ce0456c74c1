"""How a newer version takes over from older ones at one database, and what the older ones do meanwhile.

A worker of a newer version has a place before the database has its schema. From then on those of older versions give
their parts away and stand by; when none of them has any, the newer one migrates. If it ends before that, they go on.
So a migration needs not work beside an older version, and only what all versions see of each other must keep its shape:
the tables replicas, parts, counters and in_force.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from notifier.store.postgres.migration import migrate_beside
from notifier.store.postgres.roll import Roll
from notifier.watchlist.database import ServerUrl

log = structlog.get_logger(__name__)

PATIENCE: Final = 60.0  # seconds without a worker of the database's version, until one that can't work is ailing

NEWER: Final = "a worker of a newer version is there; this one stands by"
STRANDED: Final = "the database is from a newer version, of which no worker is there; this one can only stand by"
OLDER: Final = "workers of an older version have not given all their parts away yet; this one waits for that"
UNKNOWN: Final = "the database does not say which version it is from (alembic_version is empty); nothing is done"


class Versions:
    """What one worker makes of the versions of all, look by look."""

    def __init__(self, mine: str, clock: Callable[[], float]) -> None:
        """`mine`: the newest schema that this worker's version knows."""
        self._mine = mine
        self._clock = clock
        self._stranded_since: float | None = None
        self.may_work = False
        """Whether this worker's version is the newest, and the database's."""
        self.stands_aside = False
        """Whether it can't work as long as the versions are as they are."""
        self.is_overtaken = False
        """Whether there is a newer one, at work or about to be."""
        self.said = ""
        """What people should know of it."""

    def note(self, living: Roll) -> None:
        """A look has shown these."""
        newest = living.newest
        self.may_work = newest == self._mine == living.revision
        self.stands_aside = living.revision is not None and not self.may_work
        self.is_overtaken = newest > self._mine
        if not self.is_overtaken or any(each.revision > self._mine for each in living.members.values()):
            self._stranded_since = None
        elif self._stranded_since is None:
            self._stranded_since = self._clock()
        if living.revision is None:
            self.said = UNKNOWN
        elif not self.is_overtaken:
            self.said = OLDER if living.older_with_parts() else ""
        else:
            self.said = self.ailment or NEWER

    def forget(self) -> None:
        """What the last look has shown is of a life that is over."""
        self.may_work = False

    @property
    def ailment(self) -> str | None:
        """Why nobody may count on this worker; None while one of a newer version does the work."""
        if self._stranded_since is None or self._clock() - self._stranded_since < PATIENCE:
            return None
        return STRANDED

    async def upgrade(self, place: ServerUrl, living: Roll) -> bool:
        """Migrates, once that is this worker's to do; whether it did. Raises StoreError."""
        due = living.revision is not None and living.revision < self._mine == living.newest
        if not due or living.older_with_parts():
            return False
        # Not in the writer's thread: signs of life go on, however long it takes.
        if not await asyncio.to_thread(migrate_beside, place):
            return False
        log.info("the database was brought to this version's schema", database=str(place), schema=self._mine)
        return True
