"""One receiver's queue: takes up what is pending, sends it, keeps the outcome. It reads only the store.

A place of the receiver's concurrency is given back after the outcome is committed, so that a crash can repeat no more
messages than were under way.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from notifier.delivering import lines
from notifier.delivering.ages import Ages
from notifier.delivering.attempt import OUR_FAULT, DeliveryAttempts, Landing, NotNow
from notifier.delivering.due import STORE_RETRY, Due
from notifier.delivering.lanes import LONGEST_LANE, Lane, Lanes
from notifier.delivering.retry import Known, left_by, may_step_aside, stepped_aside
from notifier.http.client import LONGEST_HOLD
from notifier.model.delivery import DeliveryState, PendingDelivery, ReceiverState
from notifier.model.errors import StoreError, StoreUnavailable
from notifier.model.meters import NO_RECEIVER_METER, ReceiverMeter, delivery_outcome
from notifier.receivers.base import Receiver
from notifier.receivers.pace import Passage
from notifier.store.delivering import DeliveringStore
from notifier.watchlist.models import DeliverySettings

log = structlog.get_logger(__name__)

LOAD_AT_ONCE: Final = 500


class ReceiverQueue:
    """Delivers to one receiver. `once`: makes one attempt for each delivery, whether it is due or not, and ends."""

    def __init__(
        self,
        receiver: Receiver,
        state: ReceiverState,
        store: DeliveringStore,
        settings: DeliverySettings,
        *,
        once: bool = False,
        meter: ReceiverMeter = NO_RECEIVER_METER,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.receiver = receiver
        self.died = 0
        self._store = store
        self._once = once
        self._meter = meter
        self._clock = clock
        self._lanes = Lanes()
        self._due = Due(self._lanes, receiver.concurrency)
        self._loaded_to = 0
        self._load = True
        self._stale = False
        self._settled_meanwhile: set[int] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        receiver.turnstile.join(receiver.name)
        self._ages = Ages(settings, clock, lambda: asyncio.get_running_loop().time())
        known = Known(state, self._ages.past(state.last_accepted_at), self._ages.past(state.failed_since))
        self._attempts = DeliveryAttempts(
            receiver, known, store, settings, self._ages, once=once, clock=clock, jitter=jitter
        )

    @property
    def state(self) -> ReceiverState:
        """The receiver's state, as far as is known."""
        return self._attempts.known.state

    # --- from outside ---

    def wake(self) -> None:
        """New deliveries were recorded."""
        self._load = True
        self._changed.set()

    def reload(self, probe_at: datetime | None) -> None:
        """Another process wrote to the database: all is read again. A new `probe_at` asks for a trial of a broken
        receiver."""
        self._stale = True  # the loop itself forgets: it may be waiting for rows that it asked for before
        if probe_at != self.state.probe_at:
            self._attempts.is_to_probe(probe_at)
            self._due.probe(0.0)
        self.wake()

    def stop(self) -> None:
        """Begins no attempt any more; `run` returns when those under way are over."""
        self._stopping = True
        self._changed.set()

    # --- the loop ---

    async def run(self) -> None:
        """Delivers until stopped. Raises DatabaseUnusable."""
        loop = asyncio.get_running_loop()
        if self.state.hold_until is not None and not self._once:
            wait = min(self.state.hold_until - self._clock(), LONGEST_HOLD)
            self.receiver.turnstile.hold(loop.time() + wait.total_seconds())
        async with asyncio.TaskGroup() as attempts:
            while True:
                self._changed.clear()
                pause = await self._go_on(attempts)
                idle = not self._lanes.flying
                if idle and (self._stopping or (self._once and self._is_drained())):
                    break
                try:
                    async with asyncio.timeout(self._patience() if pause is None else pause):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _go_on(self, attempts: asyncio.TaskGroup) -> float | None:
        """Takes up what is new and begins what may begin; how long to rest where it can't. The loop's border: a fault
        of ours ends neither this receiver's deliveries nor the worker."""
        now = asyncio.get_running_loop().time()
        if rest := self._due.rest_left(now):
            return rest
        try:
            trouble = await self._read()
            if not self._stopping:
                self._launch(attempts)
        except StoreError:
            raise
        except Exception:
            log.exception(
                "deliveries rest for a minute by a fault of the notifier; please report it", receiver=self.receiver.name
            )
            self._stale = self._load = True
            self._stopping = self._stopping or self._once
            return self._due.rest(now)
        return STORE_RETRY if trouble else None

    def _is_drained(self) -> bool:
        nothing_left = not self._load and not len(self._lanes)
        return nothing_left or self.state.broken_since is not None or self._is_held() or not self._store.works

    def _is_held(self) -> bool:
        return self.receiver.turnstile.is_held(asyncio.get_running_loop().time())

    def _patience(self) -> float | None:
        """Seconds until there may be something to do though nobody called; None: wait for a call."""
        if self._stopping:
            return None  # nothing begins any more: only the attempts under way count, and they call
        if self._load:
            return 0
        return self._due.patience(
            asyncio.get_running_loop().time(),
            opens_at=self._opens_at,
            is_broken=self._is_broken,
            store_works=self._store.works,
        )

    @property
    def _opens_at(self) -> float:
        return self.receiver.turnstile.opens_at(self.receiver.name)

    @property
    def _is_broken(self) -> bool:
        return self.state.broken_since is not None

    # --- reading the store ---

    async def _read(self) -> bool:
        """Takes up what was recorded since; True where the store can't say now."""
        if self._due.due_to_read(asyncio.get_running_loop().time()):
            self._load = True
        try:
            if self._stale:
                self._stale = False
                self._lanes.clear()
                self._loaded_to = 0
            if self._load:
                await self._load_some()
            for lane in self._lanes.starving():
                await self._refill(lane)
            await self._step_aside()
        except StoreUnavailable:
            return True
        return False

    async def _load_some(self) -> None:
        self._load = False
        self._settled_meanwhile.clear()
        now = asyncio.get_running_loop().time()
        try:
            batch = await self._store.pending(self.receiver.name, self._loaded_to, LOAD_AT_ONCE)
        except StoreUnavailable:
            self._load = True
            raise
        for delivery in batch:
            self._loaded_to = delivery.id
            if delivery.id not in self._settled_meanwhile:
                self._ages.meet(delivery)
                self._lanes.add(delivery, self._due_at(delivery), now)
        if len(batch) == LOAD_AT_ONCE:
            self._load = True
        else:
            self._ages.saw(self._loaded_to, now)

    async def _refill(self, lane: Lane) -> None:
        workspace, sync_id, _ = lane.key
        batch = await self._store.pending_in_lane(
            self.receiver.name, workspace, sync_id, lane.last_id, self._loaded_to, LONGEST_LANE
        )
        first = next((self._due_at(delivery) for delivery in batch if not delivery.aside), 0.0)
        now = asyncio.get_running_loop().time()
        self._lanes.refill(lane, batch, first, now, more=len(batch) == LONGEST_LANE)

    def _due_at(self, delivery: PendingDelivery) -> float:
        """When a delivery is due by the monotonic clock."""
        if self._once or not delivery.attempts:
            return 0.0
        return self._ages.failure(delivery).due

    async def _step_aside(self) -> None:
        loop = asyncio.get_running_loop()
        if self._once or not self._due.due_to_look_aside(loop.time()):
            return
        ready = [lane for lane in self._lanes.failing() if self._may_step_aside(lane.head)]
        if not ready:
            return
        now, heads = self._clock(), [lane.head for lane in ready]
        first, *others = (stepped_aside(head, now) for head in heads)
        await self._store.settle(first, followers=others)
        for lane, head in zip(ready, heads, strict=True):
            self._lanes.step_aside(lane, self._due_at(head), loop.time())
            log.warning(
                "delivery steps aside: it has failed for 15 minutes while others were accepted",
                receiver=self.receiver.name,
                event_id=head.event_id,
            )

    def _may_step_aside(self, head: PendingDelivery) -> bool:
        since, accepted_at = self._ages.failure(head).since, self._attempts.known.accepted_at
        if since is None:
            return False
        failed_for = timedelta(seconds=asyncio.get_running_loop().time() - since)
        return may_step_aside(head, failed_for, accepted_since=accepted_at is not None and accepted_at > since)

    # --- sending ---

    def _launch(self, attempts: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time()
        self._lanes.wake(now)
        while self._store.works and (lane := self._due.take(now, opens_at=self._opens_at, is_broken=self._is_broken)):
            self._begin(attempts, lane)

    def _begin(self, attempts: asyncio.TaskGroup, lane: Lane) -> None:
        passage = self.receiver.turnstile.enter(self.receiver.name, asyncio.get_running_loop().time())
        attempts.create_task(self._attempt(lane, passage), name=f"deliver {lane.head.id} to {self.receiver.name}")

    async def _attempt(self, lane: Lane, passage: Passage) -> None:
        """The border of an attempt: a fault of ours is told, and counts as one that failed and may have arrived."""
        chapter = lane.chapter(self.receiver.most_at_once)
        try:
            await self._deliver(lane, chapter, passage)
        except StoreError:
            raise
        except Exception:
            log.exception("delivery failed by a fault of the notifier; please report it", receiver=self.receiver.name)
            passage.leave(asyncio.get_running_loop().time())
            if lane.flying:
                await self._land(lane, self._attempts.landing([lane.head], OUR_FAULT))

    async def _deliver(self, lane: Lane, chapter: Sequence[PendingDelivery], passage: Passage) -> None:
        ready = await self._attempts.prepare(chapter)
        if isinstance(ready, NotNow):
            self._put_back(lane, passage, ready.due)
            return
        lane.head = ready.chapter[0]
        await self._land(lane, await self._attempts.send(ready, passage))

    def _put_back(self, lane: Lane, passage: Passage, due: float | None) -> None:
        """No attempt was made; without `due` none will be in this round."""
        passage.turn_back()
        if due is None:
            self._lanes.drop(lane)
        else:
            self._lanes.landed(lane, due, asyncio.get_running_loop().time(), next_due=0)
            self._due.probe(due)  # a broken receiver has not been tried, then
        self._changed.set()

    async def _land(self, lane: Lane, landing: Landing) -> None:
        """Keeps what came of an attempt, and gives its place back."""
        old, new = landing.before.state, landing.after.state
        self._due.learned(lane, landing.outcome, old, new, asyncio.get_running_loop().time())
        await self._attempts.keep(landing)
        self._settled_meanwhile.update(delivery.id for delivery in landing.done)
        self._give_back(lane, landing)
        self._changed.set()
        lines.receiver_fares(self.receiver.name, old, new)
        for delivery, settlement in zip(landing.done, landing.settlements, strict=True):
            lines.delivery_settled(self.receiver.name, delivery, settlement, is_broken=self._is_broken)
            since_seen = (settlement.settled_at - delivery.created_at).total_seconds()
            self._meter.attempt_ended(delivery_outcome(landing.outcome, settlement.state), since_seen)

    def _give_back(self, lane: Lane, landing: Landing) -> None:
        """The lane goes on: with the same delivery when it is due again, or with the next."""
        now, settlement = asyncio.get_running_loop().time(), landing.settlements[0]
        pending = settlement.state is DeliveryState.PENDING
        if settlement.state is DeliveryState.DEAD:
            self.died += 1
        if self._once and pending:
            self._lanes.drop(lane)
            return
        since = self._ages.failure(lane.head).since if lane.head.first_failed_at is not None else None
        done = {delivery.id for delivery in landing.done}
        following = next((self._due_at(waiting) for waiting in lane.waiting if waiting.id not in done), now)
        due = None
        if pending:
            head = lane.head = left_by(lane.head, settlement)
            # by no clock: it may have jumped since the outcome was known
            due = self._ages.has_failed(head, head.next_attempt_at - settlement.settled_at, since)
        else:
            for finished in done:
                self._ages.finished(finished)
        self._lanes.landed(lane, due, now, next_due=following, done=done)
