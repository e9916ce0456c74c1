"""Delivery to all receivers, side by side, and what commands change meanwhile."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

import structlog

from notifier.errors import StoreError, StoreUnavailable
from notifier.receiver_queue import ReceiverQueue
from notifier.store.store import Store

log = structlog.get_logger(__name__)

LOOK_OUTSIDE_EVERY: Final = 2.0  # seconds; `deliveries retry` is taken up within five
UNKNOWN: Final = -1  # no version of a database


class Deliverer:
    """All receivers, side by side: one that is slow or broken delays no other."""

    def __init__(self, queues: Mapping[str, ReceiverQueue], store: Store) -> None:
        self._queues = queues
        self._store = store
        self._stopping = asyncio.Event()

    def wake(self, receivers: Collection[str]) -> None:
        """Deliveries for these receivers were committed."""
        for name in receivers:
            self._queues[name].wake()

    def working(self) -> dict[str, bool]:
        """By receiver, whether it takes messages as far as is known."""
        return {name: queue.state.works for name, queue in self._queues.items()}

    def stop(self) -> None:
        self._stopping.set()
        for queue in self._queues.values():
            queue.stop()

    async def run(self) -> None:
        """Delivers until stopped; returns when the attempts under way are over."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._look_outside(), name="look for commands' changes")
            for name, queue in self._queues.items():
                loops.create_task(queue.run(), name=f"deliver to {name}")

    async def drain_once(self) -> bool:
        """One attempt for each pending delivery; False when any is left pending, or died."""
        async with asyncio.TaskGroup() as loops:
            for name, queue in self._queues.items():
                loops.create_task(queue.run(), name=f"deliver to {name}")
        died = any(queue.died for queue in self._queues.values())
        return not died and await self._store.count_pending() == 0

    async def _look_outside(self) -> None:
        version = await self._look(None)
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(LOOK_OUTSIDE_EVERY):
                    await self._stopping.wait()
            except TimeoutError:
                version = await self._look(version)

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
