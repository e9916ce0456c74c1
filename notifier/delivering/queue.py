"""One receiver's deliveries: claims what is pending, sends it, keeps the outcome. It reads only the store.

A place of the receiver's concurrency is given back after the outcome is committed, so that a crash can repeat no more
messages than were under way.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from notifier.delivering.ages import Ages
from notifier.delivering.lanes import LONGEST_LANE, Lane, Lanes
from notifier.delivering.retry import PROBE_INTERVAL, hold_of, learned, may_step_aside, settled
from notifier.http.client import LONGEST_HOLD
from notifier.model.delivery import (
    Delivered,
    DeliveryState,
    Message,
    Outcome,
    PendingDelivery,
    ReceiverState,
    Retry,
    Settlement,
    Shown,
)
from notifier.model.errors import StoreError, StoreUnavailable
from notifier.model.meters import DEAF_TO_RECEIVER, ReceiverMeter, delivery_outcome
from notifier.receivers.base import Receiver
from notifier.receivers.pace import Passage, Turnstile
from notifier.store.delivering import DeliveringStore
from notifier.watchlist.models import DeliverySettings

log = structlog.get_logger(__name__)

LOAD_AT_ONCE: Final = 500
STORE_RETRY: Final = 1.0
ONCE_TRIES: Final = 5
ASIDE_EVERY: Final = 5.0
LOOK_EVERY: Final = 60.0  # seconds; bounds what a call that was lost can cost
KEEP_ACCEPTED_EVERY: Final = 30.0
FAULT_PAUSE: Final = 60.0  # seconds that the loop rests after a fault of ours, which may come again
OUR_FAULT: Final = "a fault of the notifier; see its log"


class ReceiverQueue:
    """One receiver's deliveries. `once`: one attempt each, whatever their due time, then the end."""

    def __init__(
        self,
        receiver: Receiver,
        state: ReceiverState,
        store: DeliveringStore,
        settings: DeliverySettings,
        *,
        once: bool = False,
        meter: ReceiverMeter = DEAF_TO_RECEIVER,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.receiver = receiver
        self.state = state
        self.died = 0
        self._store = store
        self._settings = settings
        self._once = once
        self._meter = meter
        self._clock = clock
        self._jitter = jitter
        self._lanes = Lanes()
        self._loaded_to = 0
        self._load = True
        self._stale = False
        self._settled_meanwhile: set[int] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        self._probe_at = 0.0  # a broken receiver is tried at start
        receiver.turnstile.join(receiver.name)
        self._look_aside_at = 0.0
        self._look_at = 0.0
        self._rests_until = 0.0
        self._ages = Ages(settings, clock, lambda: asyncio.get_running_loop().time())
        self._accepted_at = self._ages.past(state.last_accepted_at)
        self._failed_from = self._ages.past(state.failed_since)
        self._accepted_kept_at: float | None = None

    # --- from outside ---

    def wake(self) -> None:
        """New deliveries were recorded."""
        self._load = True
        self._changed.set()

    def reload(self, probe_at: datetime | None) -> None:
        """Another process wrote to the database: read everything again, and try a broken receiver if it asks so."""
        self._stale = True  # the loop itself forgets: it may be waiting for rows that it asked for before
        if probe_at != self.state.probe_at:
            self.state = replace(self.state, probe_at=probe_at)
            self._probe_at = 0.0
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
        if now < self._rests_until:
            return self._rests_until - now
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
            self._rests_until = now + FAULT_PAUSE
            return FAULT_PAUSE
        return STORE_RETRY if trouble else None

    def _is_drained(self) -> bool:
        nothing_left = not self._load and not len(self._lanes)
        return nothing_left or self.state.broken_since is not None or self._is_held() or not self._store.works

    def _is_held(self) -> bool:
        return self.receiver.turnstile.is_held(asyncio.get_running_loop().time())

    def _patience(self) -> float | None:
        """Seconds until there may be something to do though nobody called; None: wait for a call."""
        now = asyncio.get_running_loop().time()
        if self._stopping:
            return None  # nothing begins any more: only the attempts under way count, and they call
        if self._load:
            return 0
        until_look = max(self._look_at - now, 0)
        own = self._own_patience(now)
        return until_look if own is None else min(own, until_look)

    def _own_patience(self, now: float) -> float | None:
        """As `_patience`, by what is in memory."""
        if not len(self._lanes):
            return None
        if not self._store.works:
            return STORE_RETRY
        opens_at = self.receiver.turnstile.opens_at(self.receiver.name)
        if self.state.broken_since is not None:
            return max(self._probe_at - now, opens_at - now, 0) if not self._lanes.flying else None
        times = [opens_at] if opens_at > now else []
        due = self._lanes.next_due()
        if due is not None:
            times.append(max(due, opens_at))
        if self._lanes.any_failing:
            times.append(self._look_aside_at)
        return max(min(times) - now, 0) if times else None

    # --- reading the store ---

    async def _read(self) -> bool:
        """Takes up what was recorded since; True where the store can't say now."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            self._load, self._look_at = True, now + LOOK_EVERY
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
                self._lanes.add(delivery, self._due(delivery), now)
        if len(batch) == LOAD_AT_ONCE:
            self._load = True
        else:
            self._ages.saw(self._loaded_to, now)

    async def _refill(self, lane: Lane) -> None:
        workspace, sync_id, _ = lane.key
        batch = await self._store.pending_in_lane(
            self.receiver.name, workspace, sync_id, lane.last_id, self._loaded_to, LONGEST_LANE
        )
        first = next((self._due(delivery) for delivery in batch if not delivery.aside), 0.0)
        now = asyncio.get_running_loop().time()
        self._lanes.refill(lane, batch, first, now, more=len(batch) == LONGEST_LANE)

    def _due(self, delivery: PendingDelivery) -> float:
        """On the monotonic clock: a wall clock that jumps moves nothing that this process decided, and what another one
        did can't make a delivery wait longer than it ever would."""
        if self._once or not delivery.attempts:
            return 0.0
        return self._ages.failure(delivery).due

    async def _step_aside(self) -> None:
        loop = asyncio.get_running_loop()
        if self._once or loop.time() < self._look_aside_at:
            return
        self._look_aside_at = loop.time() + ASIDE_EVERY
        ready = [lane for lane in self._lanes.failing() if self._may_step_aside(lane.head)]
        if not ready:
            return
        now, heads = self._clock(), [lane.head for lane in ready]
        first, *others = (_still(head, now, aside=True) for head in heads)
        await self._store.settle(first, followers=others)
        for lane, head in zip(ready, heads, strict=True):
            head.aside = True
            self._lanes.step_aside(lane, self._due(head), loop.time())
            log.warning(
                "delivery steps aside: it has failed for 15 minutes while others were accepted",
                receiver=self.receiver.name,
                event_id=head.event_id,
            )

    def _may_step_aside(self, head: PendingDelivery) -> bool:
        since, accepted_at = self._ages.failure(head).since, self._accepted_at
        if since is None:
            return False
        failed_for = timedelta(seconds=asyncio.get_running_loop().time() - since)
        return may_step_aside(head, failed_for, accepted_since=accepted_at is not None and accepted_at > since)

    # --- sending ---

    def _launch(self, attempts: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time()
        self._lanes.wake(now)
        if not self._store.works or not self._may_begin(now):
            return
        if self.state.broken_since is not None:
            if not self._lanes.flying and now >= self._probe_at and (lane := self._lanes.take_another()):
                self._probe_at = now + PROBE_INTERVAL.total_seconds()
                self._begin(attempts, lane)
            return
        while self._may_begin(now) and (lane := self._lanes.take()):
            self._begin(attempts, lane)

    def _may_begin(self, now: float) -> bool:
        return self._lanes.flying < self.receiver.concurrency and now >= self.receiver.turnstile.opens_at(
            self.receiver.name
        )

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
                await self._settle(lane, chapter, None, Retry(OUR_FAULT, maybe_sent=True), None)

    async def _deliver(self, lane: Lane, chapter: Sequence[PendingDelivery], passage: Passage) -> None:
        now = asyncio.get_running_loop().time
        try:
            message = await self._message(chapter)
            gate = self.receiver.gate(message)
            if gate is not None and (opens_at := gate.opens_at(self.receiver.name)) > now():
                self._put_back(lane, passage, None if self._once and gate.is_held(now()) else opens_at)
                return
            message = await self._remembered(chapter[0], message)
        except StoreUnavailable:
            self._put_back(lane, passage, now() + STORE_RETRY)
            return
        passages = [passage] if gate is None else [passage, gate.enter(self.receiver.name, now())]
        try:
            outcome = await self.receiver.send(message)
        finally:
            if self.receiver.turnstile is not passage.turnstile:  # it turned out to be another's destination too
                passages.append(self.receiver.turnstile.enter(self.receiver.name, now()))
            for each in passages:
                each.leave(now())
        await self._settle(lane, chapter, message, outcome, gate)

    def _put_back(self, lane: Lane, passage: Passage, due: float | None) -> None:
        """No attempt was made; without `due` none will be in this round."""
        passage.turn_back()
        if due is None:
            self._lanes.drop(lane)
        else:
            self._lanes.landed(lane, due, asyncio.get_running_loop().time(), next_due=0)
            self._probe_at = min(self._probe_at, due)  # a broken receiver has not been tried, then
        self._changed.set()

    async def _settle(
        self,
        lane: Lane,
        chapter: Sequence[PendingDelivery],
        message: Message | None,
        outcome: Outcome,
        gate: Turnstile | None,
    ) -> None:
        """Keeps what came of an attempt: of its first delivery, or of as many as the receiver took together."""
        at = self._clock()
        done = chapter[: outcome.count] if isinstance(outcome, Delivered) else chapter[:1]
        settlements = [
            settled(each, outcome, self._settings, at, self._jitter(), age=self._age(each, at)) for each in done
        ]
        old, row = self.state, self._learn(lane, outcome, gate)
        new = self.state
        await self._keep(settlements, row, self._shown(message, outcome, at))
        self._settled_meanwhile.update(delivery.id for delivery in done)
        self._land(lane, settlements[0], {delivery.id for delivery in done})
        self._changed.set()
        self._tell_how_it_fares(old, new)
        for delivery, settlement in zip(done, settlements, strict=True):
            self._announce(delivery, settlement)
            since_seen = (settlement.settled_at - delivery.created_at).total_seconds()
            self._meter.attempt_ended(delivery_outcome(outcome, settlement.state), since_seen)

    def _age(self, delivery: PendingDelivery, at: datetime) -> timedelta:
        """How long it has had to arrive. A round has seen nothing of that itself: it knows the wall clock alone."""
        return at - delivery.clock_started_at if self._once else self._ages.of(delivery)

    def _shown(self, message: Message | None, outcome: Outcome, at: datetime) -> Shown | None:
        story = message.story if message is not None else None
        if story is None or not isinstance(outcome, Delivered) or outcome.posted is None:
            return None
        taken = (story.run_story,) if story.run_story is not None else ()
        return Shown(self.receiver.name, story.name, outcome.posted, at, taken)

    async def _message(self, chapter: Sequence[PendingDelivery]) -> Message:
        """What to send."""
        first = chapter[0]
        if first.story is None or self.receiver.most_at_once == 1:
            return await self._store.message(first.event_id, self.receiver.name)
        return await self._store.story(self.receiver.name, first.story, [delivery.id for delivery in chapter])

    async def _remembered(self, delivery: PendingDelivery, message: Message) -> Message:
        """For a receiver that can be asked, that a message is being sent is in the database before it is."""
        if not self.receiver.can_be_asked:
            return message
        if delivery.maybe_sent_at is not None:
            return replace(message, maybe_sent_at=delivery.maybe_sent_at)
        began_at = self._clock()
        await self._store.begin_attempt(delivery.id, began_at)
        delivery.maybe_sent_at = began_at
        return message

    async def _keep(self, settlements: Sequence[Settlement], state: ReceiverState | None, shown: Shown | None) -> None:
        """Stores the outcome, however long the disk stays full: until then no more is sent from this place.

        A `once` round does not wait that long: it ends with the error. What can't be stored by a fault of ours is told:
        it is known until the end of this process.
        """
        first, *followers = settlements
        for tries in itertools.count(1):
            try:
                await self._store.settle(first, state, followers=followers, shown=shown)
            except StoreUnavailable:
                if self._once and tries == ONCE_TRIES:
                    raise
                await asyncio.sleep(STORE_RETRY)
            except StoreError:
                raise
            except Exception:
                log.exception(
                    "an outcome can't be kept by a fault of the notifier; please report it",
                    receiver=self.receiver.name,
                    delivery=first.delivery_id,
                )
                if state is None and shown is None:
                    return
                state = shown = None  # the outcome by itself is what must not be lost
            else:
                return

    def _land(self, lane: Lane, settlement: Settlement, done: Collection[int]) -> None:
        now = asyncio.get_running_loop().time()
        delivery = lane.head
        pending = settlement.state is DeliveryState.PENDING
        if settlement.state is DeliveryState.DEAD:
            self.died += 1
        if self._once and pending:
            self._lanes.drop(lane)
            return
        since = self._ages.failure(delivery).since if delivery.first_failed_at is not None else None
        delivery.attempts = settlement.attempts
        delivery.first_failed_at = settlement.first_failed_at
        delivery.maybe_sent_at = settlement.maybe_sent_at
        delivery.next_attempt_at = settlement.next_attempt_at or delivery.next_attempt_at
        following = next((self._due(waiting) for waiting in lane.waiting if waiting.id not in done), now)
        due = None
        if pending:  # by no clock: it may have jumped since the outcome was known
            due = self._ages.has_failed(delivery, delivery.next_attempt_at - settlement.settled_at, since)
        else:
            for finished in done:
                self._ages.finished(finished)
        self._lanes.landed(lane, due, now, next_due=following, done=done)

    def _learn(self, lane: Lane, outcome: Outcome, gate: Turnstile | None) -> ReceiverState | None:
        """What the outcome says of the receiver; the new state where it is worth a row."""
        now, old = asyncio.get_running_loop().time(), self.state
        hold = hold_of(outcome)
        if hold is not None:
            held = gate if gate is not None and isinstance(outcome, Retry) and not outcome.for_all else None
            (held or self.receiver.turnstile).hold(now + hold.total_seconds())
        if not isinstance(outcome, Delivered):
            self._failed_from = now if self._failed_from is None else self._failed_from
        elif not outcome.unsent:
            self._failed_from, self._accepted_at = None, now
        failed_for = timedelta(seconds=now - self._failed_from) if self._failed_from is not None else timedelta(0)
        self.state = learned(old, outcome, self._clock(), failed_for=failed_for)
        if old.broken_since is None and self.state.broken_since is not None:
            self._lanes.broke_with(lane)
            self._probe_at = now + PROBE_INTERVAL.total_seconds()
        if old.broken_since is not None and isinstance(outcome, Delivered) and outcome.unsent:
            self._probe_at = now  # that was no trial: with another
        if old.broken_since is not None and self.state.broken_since is None:
            self._lanes.wake_all()
        return self.state if self._is_worth_a_row(old, now) else None

    def _is_worth_a_row(self, old: ReceiverState, now: float) -> bool:
        """That it accepted one more message is written now and then, all else at once."""
        kept = self._accepted_kept_at
        only_accepted = replace(self.state, last_accepted_at=old.last_accepted_at) == old
        if self.state == old or (only_accepted and kept is not None and now - kept < KEEP_ACCEPTED_EVERY):
            return False
        self._accepted_kept_at = now
        return True

    def _tell_how_it_fares(self, old: ReceiverState, new: ReceiverState) -> None:
        """Once it is in the database: a kill in between must not have it told twice."""
        name, broken = self.receiver.name, new.broken_since is not None
        if old.broken_since is None and broken:
            log.error(
                "receiver is broken; its messages wait and one is tried every 5 minutes",
                receiver=name,
                error=new.last_error,
            )
        elif not old.failing and new.failing and not broken:
            log.error("receiver has taken nothing for 5 minutes; trying goes on", receiver=name, error=new.last_error)
        if not old.works and new.works:
            log.info("receiver works again", receiver=name)

    def _announce(self, delivery: PendingDelivery, settlement: Settlement) -> None:
        known = {
            "receiver": self.receiver.name,
            "event_id": delivery.event_id,
            "type": delivery.event_type,
            "attempts": settlement.attempts,
        }
        if settlement.state is DeliveryState.DELIVERED:
            log.info("event delivered", **known)
        elif settlement.state is DeliveryState.DEAD:
            log.error("delivery is dead", **known, error=settlement.last_error)
        elif self.state.broken_since is None:
            log.warning(
                "delivery failed; it is tried again",
                **known,
                error=settlement.last_error,
                next_attempt_at=settlement.next_attempt_at.isoformat() if settlement.next_attempt_at else None,
            )


def _still(delivery: PendingDelivery, now: datetime, *, aside: bool) -> Settlement:
    """A settlement that changes nothing but `aside`."""
    return Settlement(
        delivery_id=delivery.id,
        state=DeliveryState.PENDING,
        attempts=delivery.attempts,
        settled_at=now,
        next_attempt_at=delivery.next_attempt_at,
        first_failed_at=delivery.first_failed_at,
        aside=aside,
        last_error="stepped aside after failing for 15 minutes",
        maybe_sent_at=delivery.maybe_sent_at,
    )
