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

from notifier.model.errors import DatabaseUnusable, StoreError, StoreUnavailable
from notifier.store.attendance import LONGEST_ABSENCE
from notifier.store.postgres.migration import migrate_beside
from notifier.store.postgres.roll import Roll
from notifier.watchlist.database import ServerUrl

log = structlog.get_logger(__name__)

PATIENCE: Final = 60.0  # seconds without a worker of the database's version, until one that can't work is ailing
ANSWER_LASTS: Final = 20.0  # seconds: amid a migration a try to join takes ten
# Whoever waits to take over keeps the others from working, so it must not for long. It ends, and they go on.
LONGEST_WAIT: Final = 120.0  # seconds: no attempt to deliver takes as long
LONGEST_TRY: Final = 30.0  # seconds, of a migration that must wait for what others do, as for a backup
# Who is started again at once whenever its migration fails must not keep the others from working for ever.
TURN: Final = 60.0  # seconds for which the older ones work after that; the next one waits, for less than LONGEST_WAIT

NEWER: Final = "a worker of a newer version is there; this one stands by"
STRANDED: Final = "the database is from a newer version, of which no worker is there; this one can only stand by"
OLDER: Final = "workers of an older version have not given all their parts away yet; this one waits for that"
FAILED: Final = "a worker of a newer version ended before it had migrated; for a minute none is given way to"
UNKNOWN: Final = "the database does not say which version it is from (alembic_version is empty); nothing is done"


class Versions:
    """What one worker makes of the versions of all, look by look."""

    def __init__(self, mine: str, clock: Callable[[], float]) -> None:
        """`mine`: the newest schema that this worker's version knows."""
        self._mine = mine
        self._clock = clock
        self._stranded_since: float | None = None
        self._is_unknown = False
        self._waits_since: float | None = None
        self._tries_since: float | None = None
        self._seen_at: float | None = None
        self._heard_at = clock()
        self._newer: frozenset[str] = frozenset()
        """The IDs of those that knew a newer schema, at the last look."""
        self._works_until: float | None = None
        """Until when no newer one is given way to, as one has just failed."""
        self.may_work = False
        """Whether this worker's version is the newest, and the database's."""
        self.stands_aside = False
        """Whether it can't work as long as the versions are as they are."""
        self.is_overtaken = False
        """Whether there is a newer one, at work or about to be."""
        self.said = ""
        """What people should know of it."""

    def heeded(self, living: Roll) -> Roll:
        """A look has shown these: without the newer ones, where one of them has just failed to take over."""
        newer = frozenset(worker for worker, each in living.members.items() if each.revision > self._mine)
        gone, self._newer = self._newer - newer, newer
        if living.revision != self._mine:  # one has not failed, or the work is not this version's
            self._works_until = None
            return living
        if self._works_until is not None and self._clock() >= self._works_until:
            self._works_until = None
        if gone and self._works_until is None:  # who fails while it waits has kept nobody from anything
            self._works_until = self._clock() + TURN
            log.warning(FAILED)
        return living if self._works_until is None else living.without(newer)

    def note(self, living: Roll) -> None:
        """A look has shown these."""
        self._forget_what_was_not_seen()
        newest = living.newest
        self.may_work = newest == self._mine == living.revision
        self.stands_aside = living.revision is not None and not self.may_work
        self.is_overtaken = newest > self._mine
        if not self.is_overtaken or any(each.revision > self._mine for each in living.members.values()):
            self._stranded_since = None
        elif self._stranded_since is None:
            self._stranded_since = self._clock()
        self._is_unknown = living.revision is None
        if self._is_unknown:
            self.said = UNKNOWN
        elif not self.is_overtaken:
            self.said = OLDER if living.older_with_parts() else ""
        else:
            self.said = self.ailment or NEWER

    def _forget_what_was_not_seen(self) -> None:
        """Who was frozen, or could not reach the database, has waited for nobody in that time."""
        now = self._clock()
        if self._seen_at is not None and now - self._seen_at > LONGEST_ABSENCE:
            self._stranded_since = self._waits_since = self._tries_since = None
        self._seen_at = now
        self.hear()

    def hear(self) -> None:
        """The database has answered."""
        self._heard_at = self._clock()

    @property
    def only_waits(self) -> bool:
        """Whether nothing is wrong with it, though it may have no place: a database that is away says nothing."""
        return self.stands_aside and self._clock() - self._heard_at < ANSWER_LASTS

    def forget(self) -> None:
        """What the last look has shown is of a life that is over."""
        self.may_work = False

    @property
    def ailment(self) -> str | None:
        """Why nobody may count on this worker; None while one of a newer version does the work."""
        if self._is_unknown:
            return UNKNOWN
        if self._stranded_since is None or self._clock() - self._stranded_since < PATIENCE:
            return None
        return STRANDED

    async def upgrade(self, place: ServerUrl, living: Roll, worker: str) -> bool:
        """Migrates, once that is this worker's to do; whether it did. Raises StoreError, for good once others have
        waited long enough. `worker`: its ID."""
        if living.revision is None or not living.revision < self._mine == living.newest:
            self._waits_since = self._tries_since = None
            return False
        if older := living.older_with_parts():
            self._waits_since = self._clock() if self._waits_since is None else self._waits_since
            if self._clock() - self._waits_since > LONGEST_WAIT:
                raise DatabaseUnusable(
                    f"{place} can't be brought to this version's schema: {', '.join(older)} of an older version "
                    "still has parts of the work; stop it"
                )
            return False
        if self._tries_since is None:
            self._tries_since = self._clock()
            log.info("the database is being brought to this version's schema", database=str(place), schema=self._mine)
        try:
            # Not in the writer's thread: signs of life go on, however long it takes.
            if not await asyncio.to_thread(migrate_beside, place, worker):
                return False
        except StoreUnavailable as error:
            if self._clock() - self._tries_since <= LONGEST_TRY:
                raise
            raise DatabaseUnusable(f"{error}; so it can't be brought to this version's schema now") from error
        except StoreError:
            raise
        except Exception as error:
            log.exception("the migration failed by a fault of the notifier; please report it")
            raise DatabaseUnusable(f"{place} can't be brought to this version's schema: {error}") from error
        finally:
            self._seen_at = self._clock()
        log.info("the database was brought to this version's schema", database=str(place), schema=self._mine)
        return True
