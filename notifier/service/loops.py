"""What one worker does all the time, and how it ends: for good, or because another worker takes its place.

A loop that dies ends the others, and with them the process; the container's restart policy begins anew.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import structlog

from notifier.model.errors import DatabaseUnusable, StoreError, StoreUnavailable, first_of
from notifier.service.outside import Outside
from notifier.service.parts import parts_of
from notifier.service.shift import Shift
from notifier.service.worker import Worker
from notifier.store.store import Store

log = structlog.get_logger(__name__)

SIGN_OF_LIFE: Final = timedelta(seconds=60)
STORE_CHECK: Final = timedelta(seconds=5)  # so a write is tried every 10 s at least, though there be nothing to write
PRUNE_EVERY: Final = timedelta(hours=1)
GRACE: Final = 7.0  # seconds for attempts under way when the worker is asked to stop; it ends within 10


class Replaced:
    """Deliverers of workers that a reload replaced, until their last attempts are over."""

    def __init__(self) -> None:
        self.ending: set[asyncio.Task[None]] = set()

    def add(self, delivering: "asyncio.Task[None]", life: AsyncExitStack) -> None:
        """`delivering` was told to stop; `life`, which holds what it needs, is closed after it."""
        ending = asyncio.create_task(_outlive(delivering, life), name="last attempts before the reload")
        self.ending.add(ending)
        ending.add_done_callback(self._over)

    def _over(self, ending: "asyncio.Task[None]") -> None:
        self.ending.discard(ending)
        if not ending.cancelled() and (error := ending.exception()) is not None:  # the next worker meets the same
            log.error("the last attempts before a reload ended by an error", error=str(error))

    async def end(self, patience: float = 0) -> None:
        """Lets them end for so many seconds, then ends them."""
        if ending := tuple(self.ending):
            await asyncio.wait(ending, timeout=patience)
            for task in ending:
                await _end(task)


async def _outlive(delivering: "asyncio.Task[None]", life: AsyncExitStack) -> None:
    async with life:
        await _finished(delivering)


class Loops:
    """One worker's two tasks: it watches, and it delivers."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._watching = asyncio.create_task(_watch(worker), name="watch")
        self._delivering = asyncio.create_task(worker.deliverer.run(), name="deliver")
        self._ours: set[asyncio.Task[None]] = {self._watching, self._delivering}
        worker.liveness.watch(*self._ours)

    @property
    def alive(self) -> bool:
        return not any(task.done() for task in self._ours)

    async def until(self, *others: "asyncio.Task[Any]") -> None:
        """Waits until one of the loops dies, or one of the other tasks is done."""
        await asyncio.wait((*self._ours, *others), return_when=asyncio.FIRST_COMPLETED)

    async def give_way(self, replaced: Replaced, life: AsyncExitStack) -> None:
        """Ends for a reload: attempts under way may go on beside the next worker."""
        self._worker.liveness.watch()
        self._worker.deliverer.stop()
        await _end(self._watching)
        await self._farewell()  # one write after all others: what polls had begun to keep is kept, or is not
        self._ours.discard(self._delivering)
        replaced.add(self._delivering, life.pop_all())

    async def lose(self, replaced: Replaced, life: AsyncExitStack) -> None:
        """Ends since the work may be another worker's: nothing is asked and nothing begun any more, and nothing can be
        kept but what attempts under way came to, should the work be ours all the time."""
        self._worker.liveness.watch()
        self._worker.deliverer.stop()
        await cancelled(self._watching)
        self._ours.discard(self._delivering)
        replaced.add(self._delivering, life.pop_all())

    async def end(self, replaced: Replaced) -> None:
        """Ends for good: lets attempts under way end, for 7 seconds at most. An error of a loop is raised here."""
        await _end(self._watching)
        self._worker.deliverer.stop()
        hurrying = asyncio.create_task(self._worker.store.hurry(), name="hurry")
        handing = asyncio.create_task(self._hand_over(), name="hand over")
        try:
            await asyncio.wait((self._delivering, hurrying, handing, *replaced.ending), timeout=GRACE)
            await _end(self._delivering)
            await replaced.end()
            if not self._worker.store.seat.is_shared:
                await self._farewell()
        finally:
            await cancelled(hurrying, handing)

    async def _hand_over(self) -> None:
        """To other workers, if there may be any: what watches at once, what delivers as the attempts under way end."""
        worker = self._worker
        if not worker.store.seat.is_shared:
            return
        await self._farewell()  # before another writes what it knows of the workspaces
        worker.store.seat.wants((), "")
        await worker.close_inboxes()
        watching = [part for part in parts_of(worker.watchlist) if part not in worker.receivers]
        async with asyncio.TaskGroup() as giving:
            giving.create_task(self._give(watching))
            for part in worker.receivers:
                giving.create_task(self._give_when_over(part))

    async def _give_when_over(self, part: str) -> None:
        await self._worker.attempts_over(part)
        await self._give([part])

    async def _give(self, parts: Sequence[str]) -> None:
        try:
            await self._worker.store.give(parts)
        except StoreUnavailable as error:
            log.debug("not given away: the others will notice", parts=parts, error=str(error))

    async def cancel(self) -> None:
        """Ends at once what goes on, but for what `give_way` handed over."""
        await cancelled(*self._ours)

    async def _farewell(self) -> None:
        try:
            await self._worker.sign_of_life()
        except StoreUnavailable as error:
            log.warning("the last sign of life could not be kept", error=str(error))


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Loops]:
    """The loops of a worker. Whatever happens, none of them goes on afterwards, but for what `give_way` handed over."""
    loops = Loops(worker)
    try:
        yield loops
    finally:
        await loops.cancel()


async def cancelled(*tasks: "asyncio.Task[Any]") -> None:
    """Ends tasks whose errors are of no interest any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end(task: "asyncio.Task[None]") -> None:
    """Ends a loop; its own error, if it had one, is raised here. Of a group of errors, a StoreError is raised alone."""
    task.cancel()
    await _finished(task)


async def _finished(task: "asyncio.Task[None]") -> None:
    (error,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(error, BaseExceptionGroup):
        raise first_of(error, StoreError) or error
    if isinstance(error, Exception):
        raise error


async def _watch(worker: Worker) -> None:
    store = worker.store
    async with asyncio.TaskGroup() as loops:
        loops.create_task(Shift(worker).run(), name="shift")
        loops.create_task(Outside(store, worker.deliverer, worker.hinted).run(), name="look for what others write")
        loops.create_task(_every(SIGN_OF_LIFE, worker.sign_of_life), name="sign of life")
        loops.create_task(_every(PRUNE_EVERY, worker.prune), name="retention")
        loops.create_task(look_after_store(store, worker.try_database), name="look after the database")
        loops.create_task(worker.liveness.run(), name="liveness")


async def _every(interval: timedelta, act: Callable[[], Awaitable[None]]) -> None:
    """Acts now and then; what a database that can't be written now leaves undone is done the next time."""
    while True:
        try:
            await act()
        except StoreUnavailable as error:
            log.debug("put off: the database can't be written", error=str(error))
        await asyncio.sleep(interval.total_seconds())


async def look_after_store(store: Store, try_it: Callable[[], Awaitable[None]]) -> None:
    """Notices a database that was deleted or replaced; tries one that could not be written, or was not for a while."""
    while True:
        await asyncio.sleep(STORE_CHECK.total_seconds())
        if not store.is_in_place():
            raise DatabaseUnusable(f"{store.place} was deleted or replaced while the worker ran")
        if not store.works or store.idle >= STORE_CHECK:
            with suppress(StoreUnavailable):
                await try_it()
