"""What one worker works at: it follows its seat, takes the parts of the work that are its own, and gives them away.

What works at a part is made anew each time that the part is taken: what makes a restart safe makes this safe.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from notifier.model.errors import StoreUnavailable
from notifier.model.part import UPKEEP, workspace_of
from notifier.service.notices import log_endings_of
from notifier.service.worker import Worker
from notifier.watching.shared_listing import SharedListing

log = structlog.get_logger(__name__)

STORE_PATIENCE: Final = 1.0  # seconds before a part is taken or given another time
GLANCE: Final = 0.1  # seconds between two looks at whether a part is this worker's again
TIDY_EVERY: Final = timedelta(seconds=5)


class Shift:
    """Runs until cancelled; what ended by an error ends it. What it holds then is given by whoever cancelled it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._seat = worker.store.seat
        self._holding: dict[str, asyncio.Task[None]] = {}
        self._over: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Raises StoreError, alone or in a group."""
        seat = self._seat
        async with asyncio.TaskGroup() as group:
            known = frozenset(self._worker.taken)
            self._begin(known, group)
            while True:
                held, leaving = seat.parts, seat.leaving
                if known - held and seat.is_shared and seat.trusted:
                    log.info("parts of the work go to another worker", parts=sorted(known - held))
                for part in known - held:
                    self._over[part].set()
                self._begin(held - known, group)
                for part in leaving - self._holding.keys():  # claimed, and planned for another before it was taken
                    self._begin_to_hold(part, group).set()
                known = held
                await seat.changed(held, leaving)

    def _begin(self, parts: frozenset[str], group: asyncio.TaskGroup) -> None:
        if parts and self._seat.is_shared:
            log.info("parts of the work are this worker's", parts=sorted(parts))
            log_endings_of(self._worker, parts, datetime.now(UTC).date())
        for part in parts:
            self._begin_to_hold(part, group)

    def _begin_to_hold(self, part: str, group: asyncio.TaskGroup) -> asyncio.Event:
        over = self._over[part] = asyncio.Event()
        before = self._holding.get(part)
        task = self._holding[part] = group.create_task(self._hold(part, over, before), name=f"work at {part}")
        task.add_done_callback(lambda done: self._holding.pop(part) if self._holding.get(part) is done else None)
        return over

    async def _hold(self, part: str, over: asyncio.Event, before: "asyncio.Task[None] | None") -> None:
        """From taking a part to giving it away. `before`: its last holding here, which may not be over."""
        if before is not None:
            await asyncio.wait([before])
            await self._until_ours(part, over)  # that one may just have given it away
        if part not in self._worker.taken:
            await self._until_done(part, over, self._worker.take)
        if part in self._worker.taken:
            await _until(over, self._work_at(part))
            await self._worker.let_go(part)
        await self._worker.attempts_over(part)
        # What is in its parts was planned for another only for a while; what was begun to be kept, is kept before it
        # is taken again.
        await self._until_done(part, None, self._give if part not in self._seat.parts else self._settle)

    async def _until_ours(self, part: str, over: asyncio.Event) -> None:
        while not over.is_set() and part not in self._seat.parts:
            with suppress(TimeoutError):
                async with asyncio.timeout(GLANCE):
                    await over.wait()

    async def _until_done(self, part: str, over: asyncio.Event | None, act: Callable[[str], Awaitable[None]]) -> None:
        """Acts once the database can be written, or not at all once it is over."""
        while over is None or not over.is_set():
            try:
                await act(part)
            except StoreUnavailable as error:
                log.debug("put off: the database can't be used", part=part, error=str(error))
                await asyncio.sleep(STORE_PATIENCE)
            else:
                return

    async def _give(self, part: str) -> None:
        await self._worker.store.give([part])
        self._worker.deliverer.wake_all()  # for what was kept of a poll that was ended: nobody was told
        log.debug("a part of the work is given away", part=part)

    async def _settle(self, _: str) -> None:
        await self._worker.store.try_it()
        self._worker.deliverer.wake_all()

    async def _work_at(self, part: str) -> None:
        if part == UPKEEP:
            await self._keep_up()
        elif part not in self._worker.receivers:  # for those the deliverer works, whose attempts may outlast this
            await self._watch(workspace_of(part))

    async def _watch(self, workspace: str) -> None:
        store, watcher = self._worker.store.watching, self._worker.watching[workspace]
        async with asyncio.TaskGroup() as loops:
            loops.create_task(watcher.run(), name=f"watch {workspace}")
            if (pickup := self._worker.pickups.get(workspace)) is not None:
                loops.create_task(pickup.run(), name=f"pick up what Census told others of {workspace}")
            if store.is_shared:
                shared = SharedListing(workspace, watcher.listed, lambda: watcher.has_listed, store)
                loops.create_task(shared.run(), name=f"share the list of {workspace}")

    async def _keep_up(self) -> None:
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._worker.liveness.send_heartbeats(), name="heartbeat")
            if not self._worker.is_tidy:
                loops.create_task(self._tidy(), name="forget what is no longer watched")

    async def _tidy(self) -> None:
        """Once all workers go by the watchlist that this one does."""
        while not self._worker.is_tidy:
            if not self._seat.is_unanimous:
                await asyncio.sleep(TIDY_EVERY.total_seconds())
                continue
            try:
                await self._worker.tidy()
            except StoreUnavailable as error:  # and meanwhile they may come to differ
                log.debug("put off: the database can't be used", part=UPKEEP, error=str(error))
                await asyncio.sleep(STORE_PATIENCE)


async def _until(over: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Lets something run until it is over; raises what it raises."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work)
        await over.wait()
        working.cancel()
