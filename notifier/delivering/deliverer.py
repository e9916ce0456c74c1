"""Delivers to receivers side by side: to all, or to those that are this worker's."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from notifier.delivering.due import STORE_RETRY
from notifier.delivering.queue import ReceiverQueue
from notifier.model.delivery import ReceiverState
from notifier.model.errors import StoreUnavailable
from notifier.store.delivering import DeliveringStore

Builder = Callable[[ReceiverState], ReceiverQueue]


class Deliverer:
    """The queues of receivers: one that is slow or broken delays no other.

    `builders` make a receiver's queue from its state; those are delivered to that `begin` has named. `before` is the
    deliverer that this one replaces: a receiver's queue begins when the attempts of its predecessor are over. What is
    left for receivers that have no builder any more is ended once it `may_forget`.
    """

    def __init__(
        self,
        builders: Mapping[str, Builder],
        store: DeliveringStore,
        before: "Deliverer | None" = None,
        *,
        may_forget: Callable[[], bool] = lambda: True,
    ) -> None:
        self._builders = builders
        self._store = store
        self._before = before
        self._may_forget = may_forget
        self._queues: dict[str, ReceiverQueue] = {}
        self._over: dict[str, asyncio.Event] = {}
        self._ending: set[str] = set()
        self._stopping = asyncio.Event()
        self._loops: asyncio.TaskGroup | None = None

    def wake(self, receivers: Collection[str]) -> None:
        """Deliveries for these receivers were committed."""
        for name in receivers:
            if name in self._queues:  # or else it begins with all that is pending
                self._queues[name].wake()

    def working(self) -> dict[str, bool]:
        """By receiver, whether it takes messages as far as is known."""
        known = {name: queue.state.works for name, queue in self._queues.items() if name in self._over}
        unknown = self._over.keys() - known.keys()
        before = self._before.working() if unknown and self._before is not None else {}
        return known | {name: before.get(name, True) for name in unknown}

    def begin(self, names: Iterable[str]) -> None:
        """Delivers to these receivers from now on."""
        for name in names if not self._stopping.is_set() else ():
            self._over[name] = asyncio.Event()
            if self._loops is not None:
                self._loops.create_task(self._deliver(name), name=f"deliver to {name}")

    async def end(self, names: Collection[str]) -> None:
        """Begins no attempt for these receivers any more; returns when those under way are over."""
        self._ending |= set(names)
        for name in names:
            if name in self._queues:
                self._queues[name].stop()
        for name in names:
            await self._over[name].wait()
        for name in names:
            del self._over[name]
            self._queues.pop(name, None)
        self._ending -= set(names)

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
            self._loops = loops
            loops.create_task(self._until_stopped(), name="deliver until stopped")
            for name in self._over:
                loops.create_task(self._deliver(name), name=f"deliver to {name}")
            if (before := self._before) is not None:
                for name in before.unfinished() - self._builders.keys():
                    loops.create_task(self._abandon(name, before), name=f"abandon what is left for {name}")

    async def _until_stopped(self) -> None:
        """Without receivers there is nothing else that goes on, and more may come."""
        await self._stopping.wait()
        self._loops = None

    def died(self) -> dict[str, int]:
        """By receiver, how many deliveries died here."""
        return {name: queue.died for name, queue in self._queues.items() if queue.died}

    async def drain_once(self) -> None:
        """One attempt for each pending delivery."""
        async with asyncio.TaskGroup() as loops:
            for name in self._over:
                loops.create_task(self._deliver(name), name=f"deliver to {name}")

    def wake_all(self) -> None:
        """Deliveries were committed by others, for whichever receivers."""
        for queue in self._queues.values():
            queue.wake()

    async def reload(self) -> None:
        """Others have written: all that is pending is read again. Raises StoreError."""
        states = await self._store.receivers()
        for name, queue in self._queues.items():
            queue.reload(states[name].probe_at if name in states else None)

    async def _deliver(self, name: str) -> None:
        try:
            if self._before is not None:
                await self._before.over(name)
            state = await self._state_of(name)
            if state is None or self._is_ending(name):  # by now: a queue that is made later would not hear of it
                return
            queue = self._queues[name] = self._builders[name](state)
            if self._before is not None and not self._before.unfinished():
                self._before = None  # or a chain of all that ever were would be kept
            await queue.run()
        finally:
            self._over[name].set()

    async def _state_of(self, name: str) -> ReceiverState | None:
        """A receiver's state as its predecessor left it; None when stopped."""
        while not self._is_ending(name):
            try:
                return (await self._store.receivers()).get(name, ReceiverState(name))
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY)
        return None

    async def _abandon(self, name: str, before: "Deliverer") -> None:
        """Ends what is left for a receiver that is gone, once the attempt that it still had is over."""
        await before.over(name)
        while not self._stopping.is_set():
            with suppress(StoreUnavailable):
                if self._may_forget():
                    await self._store.abandon_all_but([*self._builders, *self.unfinished()], datetime.now(UTC))
                    return
            await asyncio.sleep(STORE_RETRY)

    def _is_ending(self, name: str) -> bool:
        return self._stopping.is_set() or name in self._ending
