"""One attempt to send what a lane has first: what it needs before, and what it came to."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from notifier.delivering.ages import Ages
from notifier.delivering.due import STORE_RETRY
from notifier.delivering.retry import Known, hold_of, settled, shown_after
from notifier.model.delivery import Delivered, Message, Outcome, PendingDelivery, Retry, Settlement, Shown
from notifier.model.errors import StoreError, StoreUnavailable
from notifier.receivers.base import Receiver
from notifier.receivers.pace import Passage, Turnstile
from notifier.store.delivering import DeliveringStore
from notifier.watchlist.models import DeliverySettings

log = structlog.get_logger(__name__)

ONCE_TRIES: Final = 5
OUR_FAULT: Final = Retry("a fault of the notifier; see its log", maybe_sent=True)


@dataclass(frozen=True, slots=True)
class NotNow:
    """No attempt is made."""

    due: float | None
    """When one may be; None: not in this round."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that may be sent."""

    chapter: Sequence[PendingDelivery]
    """The deliveries that it is about, as the database has them by now."""
    message: Message
    gate: Turnstile | None
    """What it has to pass besides the receiver's turnstile."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What an attempt came to, to be kept in the database before the next one of its lane."""

    outcome: Outcome
    done: Sequence[PendingDelivery]
    """The first delivery of the chapter, or as many as the receiver took together."""
    settlements: Sequence[Settlement]
    """One for each of them."""
    shown: Shown | None
    """Where their story stands at the receiver, where that is another place than before."""
    before: Known
    after: Known
    """What is known of the receiver."""


class DeliveryAttempts:
    """Makes attempts with one receiver, and learns from each.

    `once`: in a round that makes one attempt for each delivery. A round has seen nothing of a delivery's age itself: it
    knows the wall clock alone.
    """

    def __init__(
        self,
        receiver: Receiver,
        known: Known,
        store: DeliveringStore,
        settings: DeliverySettings,
        ages: Ages,
        *,
        once: bool,
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
    ) -> None:
        self.known = known
        self._receiver = receiver
        self._store = store
        self._settings = settings
        self._ages = ages
        self._once = once
        self._clock = clock
        self._jitter = jitter

    def is_to_probe(self, probe_at: datetime | None) -> None:
        """A command asked for a trial of the receiver, if it is broken."""
        self.known = replace(self.known, state=replace(self.known.state, probe_at=probe_at))

    async def prepare(self, chapter: Sequence[PendingDelivery]) -> Ready | NotNow:
        """Reads what to send. For a receiver that can be asked what it has, the database is told of the attempt before
        it is made."""
        now = asyncio.get_running_loop().time
        first = chapter[0]
        try:
            message = await self._message(chapter)
            gate = self._receiver.gate(message)
            if gate is not None and (opens_at := gate.opens_at(self._receiver.name)) > now():
                return NotNow(None if self._once and gate.is_held(now()) else opens_at)
            if self._receiver.can_be_asked:
                if first.maybe_sent_at is not None:
                    message = replace(message, maybe_sent_at=first.maybe_sent_at)
                else:
                    began_at = self._clock()
                    await self._store.begin_attempt(first.id, began_at)
                    first = replace(first, maybe_sent_at=began_at)
        except StoreUnavailable:
            return NotNow(now() + STORE_RETRY)
        if not self._store.works:  # by now: the process may have stood still since it was decided, and lost its place
            return NotNow(now() + STORE_RETRY)
        return Ready([first, *chapter[1:]], message, gate)

    async def _message(self, chapter: Sequence[PendingDelivery]) -> Message:
        first = chapter[0]
        if first.story is None or self._receiver.most_at_once == 1:
            return await self._store.message(first.event_id, self._receiver.name)
        return await self._store.story(self._receiver.name, first.story, [delivery.id for delivery in chapter])

    async def send(self, ready: Ready, passage: Passage) -> Landing:
        """Sends, by a passage through the receiver's turnstile that ends here."""
        now, name, gate = asyncio.get_running_loop().time, self._receiver.name, ready.gate
        passages = [passage] if gate is None else [passage, gate.enter(name, now())]
        try:
            outcome = await self._receiver.send(ready.message)
        finally:
            if self._receiver.turnstile is not passage.turnstile:  # it turned out to be another's destination too
                passages.append(self._receiver.turnstile.enter(name, now()))
            for each in passages:
                each.leave(now())
        return self.landing(ready.chapter, outcome, ready.message, gate)

    def landing(
        self,
        chapter: Sequence[PendingDelivery],
        outcome: Outcome,
        message: Message | None = None,
        gate: Turnstile | None = None,
    ) -> Landing:
        """What an outcome makes of its deliveries. What it says of the receiver is known, and holds, from now on."""
        at, now = self._clock(), asyncio.get_running_loop().time()
        done = chapter[: outcome.count] if isinstance(outcome, Delivered) else chapter[:1]
        settlements = [
            settled(each, outcome, self._settings, at, self._jitter(), age=self._age(each, outcome, at))
            for each in done
        ]
        hold = hold_of(outcome)
        if hold is not None:
            held = gate if gate is not None and isinstance(outcome, Retry) and not outcome.for_all else None
            (held or self._receiver.turnstile).hold(now + hold.total_seconds())
        before, self.known = self.known, self.known.after(outcome, at, now)
        shown = shown_after(self._receiver.name, message, outcome, at)
        return Landing(outcome, done, settlements, shown, before, self.known)

    async def keep(self, landing: Landing) -> None:
        """Stores the outcome, however long the disk stays full: until then no more is sent from this place.

        A `once` round does not wait that long: it ends with the error. What can't be stored by a fault of ours is told:
        it is known until the end of this process.
        """
        first, *followers = landing.settlements
        state, shown = landing.after.state if landing.after.is_news else None, landing.shown
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
                    receiver=self._receiver.name,
                    delivery=first.delivery_id,
                )
                if state is None and shown is None:
                    return
                state = shown = None  # the outcome by itself is what must not be lost
            else:
                return

    def _age(self, delivery: PendingDelivery, outcome: Outcome, at: datetime) -> timedelta:
        """How long it has had to arrive; of one that has arrived, nobody asks."""
        if isinstance(outcome, Delivered):
            return timedelta(0)
        return at - delivery.clock_started_at if self._once else self._ages.of(delivery)
