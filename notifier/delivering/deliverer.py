"""Delivers to all receivers side by side, and takes up what commands change meanwhile."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import structlog

from notifier.delivering.due import STORE_RETRY
from notifier.delivering.queue import ReceiverQueue
from notifier.model.delivery import ReceiverState
from notifier.model.errors import StoreError, StoreUnavailable
from notifier.store.delivering import DeliveringStore

log = structlog.get_logger(__name__)

LOOK_OUTSIDE_EVERY: Final = 2.0  # seconds; `deliveries retry` is taken up within five
UNKNOWN: Final = -1  # no version of a database

Builder = Callable[[ReceiverState], ReceiverQueue]


class Deliverer:
    """The queues of all receivers: one that is slow or broken delays no other.

    `builders` make a receiver's queue from its state. `before` is the deliverer that this one replaces: a receiver's
    queue begins when the attempts of its predecessor are over.
    """

    def __init__(
        self, builders: Mapping[str, Builder], store: DeliveringStore, before: "Deliverer | None" = None
    ) -> None:
        self._builders = builders
        self._store = store
        self._before = before
        self._queues: dict[str, ReceiverQueue] = {}
        self._over = {name: asyncio.Event() for name in builders}
        self._stopping = asyncio.Event()

    def wake(self, receivers: Collection[str]) -> None:
        """Deliveries for these receivers were committed."""
        for name in receivers:
            if name in self._queues:  # or else it begins with all that is pending
                self._queues[name].wake()

    def working(self) -> dict[str, bool]:
        """By receiver, whether it takes messages as far as is known."""
        known = {name: queue.state.works for name, queue in self._queues.items()}
        unknown = self._builders.keys() - known.keys()
        before = self._before.working() if unknown and self._before is not None else {}
        return known | {name: before.get(name, True) for name in unknown}

    def stop(self) -> None:
        """Begins no attempt any more; `run` returns when those under way are over."""
        self._stopping.set()
        for queue in self._queues.values():
            queue.stop()

    def unfinished(self) -> frozenset[str]:
        """The receivers with an attempt under way, here or in a deliverer before this one."""
        mine = {name for name, over in self._over.items() if not over.is_set()}
        return frozenset(mine) | (self._before.unfinished() if self._before is not None else frozenset())

    async def over(self, name: str) -> None:
        """Waits until a receiver's attempts are over, here and before."""
        if name in self._over:
            await self._over[name].wait()
        elif self._before is not None:
            await self._before.over(name)

    async def run(self) -> None:
        """Delivers until stopped; returns when the attempts under way are over."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._look_outside(), name="look for commands' changes")
            for name in self._builders:
                loops.create_task(self._deliver(name), name=f"deliver to {name}")
            if (before := self._before) is not None:
                for name in before.unfinished() - self._builders.keys():
                    loops.create_task(self._abandon(name, before), name=f"abandon what is left for {name}")

    def died(self) -> dict[str, int]:
        """By receiver, how many deliveries died here."""
        return {name: queue.died for name, queue in self._queues.items() if queue.died}

    async def drain_once(self) -> None:
        """One attempt for each pending delivery."""
        async with asyncio.TaskGroup() as loops:
            for name in self._builders:
                loops.create_task(self._deliver(name), name=f"deliver to {name}")

    async def _deliver(self, name: str) -> None:
        try:
            if self._before is not None:
                await self._before.over(name)
            state = await self._state_of(name)
            if state is None or self._stopping.is_set():  # by now: a queue that is made later would not hear of it
                return
            queue = self._queues[name] = self._builders[name](state)
            if self._before is not None and not self._before.unfinished():
                self._before = None  # or a chain of all that ever were would be kept
            await queue.run()
        finally:
            self._over[name].set()

    async def _state_of(self, name: str) -> ReceiverState | None:
        """A receiver's state as its predecessor left it; None when stopped."""
        while not self._stopping.is_set():
            try:
                return (await self._store.receivers()).get(name, ReceiverState(name))
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY)
        return None

    async def _abandon(self, name: str, before: "Deliverer") -> None:
        """Ends what is left for a receiver that is gone, once the attempt that it still had is over."""
        await before.over(name)
        while not self._stopping.is_set():
            try:
                await self._store.abandon_all_but([*self._builders, *self.unfinished()], datetime.now(UTC))
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY)
            else:
                return

    async def _look_outside(self) -> None:
        version: int | None = None
        while not self._stopping.is_set():
            version = await self._look(version)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_OUTSIDE_EVERY):
                    await self._stopping.wait()

    async def _look(self, seen: int | None) -> int:
        """The loop's border: what can't be looked at now, by the database's fault or ours, is at the next look."""
        try:
            return await self._reload_if_changed(seen)
        except StoreUnavailable:
            pass
        except StoreError:
            raise
        except Exception:
            log.exception("commands' changes can't be seen by a fault of the notifier; please report it")
        return UNKNOWN if seen is None else seen

    async def _reload_if_changed(self, seen: int | None) -> int:
        """`seen`: the version that is known; at the first look all has just been read."""
        latest = await self._store.changes_from_outside()
        if latest != seen and seen is not None:
            states = await self._store.receivers()
            for name, queue in self._queues.items():
                queue.reload(states[name].probe_at if name in states else None)
        return latest
