"""A workspace's list of syncs, kept where workers that do not watch it can show it (`/api/syncs`)."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import structlog

from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.model.sync import Sync
from notifier.store.sql.listing import packed
from notifier.store.watching import WatchingStore

log = structlog.get_logger(__name__)

EVERY: Final = 60.0  # seconds between two looks: a list of thousands is 100 kB, and is asked for by hand
SOON: Final = 1.0  # seconds between two looks until there is a list


class SharedListing:
    """Writes the list of one workspace when it is another than the last that it wrote, once a minute at most.

    `listed` are all syncs of the last listing and whether they are watched, which says nothing until it `has_listed`.
    """

    def __init__(
        self,
        workspace: str,
        listed: Callable[[], Iterable[tuple[Sync, bool]]],
        has_listed: Callable[[], bool],
        store: WatchingStore,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workspace = workspace
        self._listed = listed
        self._has_listed = has_listed
        self._store = store
        self._clock = clock
        self._written: bytes | None = None
        """What it wrote last, as a digest; None before that: another worker may have written what is there."""

    async def run(self) -> None:
        """Until cancelled; where nobody else is to show it, it does nothing. Raises DatabaseUnusable."""
        if not self._store.is_shared:
            await asyncio.Event().wait()
        while True:
            has_list = await self._look()
            await asyncio.sleep(EVERY if has_list else SOON)

    async def _look(self) -> bool:
        """The loop's border; whether there is a list yet. What can't be written now is at the next look."""
        if not self._has_listed():
            return False
        try:
            await self._write()
        except StoreUnavailable:
            pass  # the store has said it
        except DatabaseUnusable:
            raise
        except Exception:
            log.exception(
                "the list of syncs could not be kept by a fault of the notifier; please report it",
                workspace=self._workspace,
            )
        return True

    async def _write(self) -> None:
        body = await asyncio.to_thread(packed, list(self._listed()))  # 10,000 syncs take 30 ms
        digest = sha256(body).digest()
        if digest != self._written:
            await self._store.save_listing(self._workspace, self._clock(), body)
            self._written = digest
