"""Takes up what others have written to the database: commands, the page, and workers who do other parts of the work."""

import asyncio
from collections.abc import Callable

import structlog

from notifier.delivering.deliverer import Deliverer
from notifier.model.errors import StoreError, StoreUnavailable
from notifier.store.seat import Counters
from notifier.store.store import Store

log = structlog.get_logger(__name__)

UNKNOWN = Counters(-1, -1, -1)


class Outside:
    """Looks now and then. `hinted` is called when Census has told another worker something."""

    def __init__(self, store: Store, deliverer: Deliverer, hinted: Callable[[], None]) -> None:
        self._store = store
        self._deliverer = deliverer
        self._hinted = hinted
        self._seen: Counters | None = None

    async def run(self) -> None:
        """Until cancelled. Raises StoreError where the database is unusable."""
        while True:
            await self._look()
            await asyncio.sleep(self._store.look_every.total_seconds())

    async def _look(self) -> None:
        """The loop's border: what can't be looked at now, by the database's fault or ours, is at the next look."""
        try:
            await self._take_up(await self._store.changes_from_outside())
        except StoreUnavailable:
            self._seen = self._seen or UNKNOWN
        except StoreError:
            raise
        except Exception:
            log.exception("what others wrote can't be seen by a fault of the notifier; please report it")
            self._seen = self._seen or UNKNOWN

    async def _take_up(self, latest: Counters) -> None:
        """What commands did before the first look has just been read, or will be; what others appended since may have
        been missed, if the look had to wait."""
        seen = self._seen
        if seen is not None and latest.commanded != seen.commanded:
            await self._deliverer.reload()
        elif latest.appended != (seen.appended if seen is not None else 0):
            self._deliverer.wake_all()
        if seen is None or latest.hinted != seen.hinted:  # what was read may have been so before this look
            self._hinted()
        self._seen = latest
