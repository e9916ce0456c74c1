"""Which delivery of one receiver may be sent next. Pure bookkeeping: no clock, no I/O.

A lane is one sync's pending deliveries in order; only its first may be under way. A delivery that stepped aside has a
lane of its own. Times are seconds of one monotonic clock; `now` is given.
"""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from notifier.model.delivery import PendingDelivery
from notifier.model.identity import Id

LONGEST_LANE: Final = 20  # deliveries of a lane held in memory; the rest is read when these are done

LaneKey: TypeAlias = tuple[str, Id, int]
"""The workspace, the sync, and the ID of a delivery that stepped aside (else 0)."""
Place: TypeAlias = tuple[bool, int]
"""Whether a delivery goes after all others, and its ID."""


@dataclass(slots=True, eq=False)
class Lane:
    """One sync's deliveries in their order."""

    key: LaneKey
    waiting: deque[PendingDelivery] = field(default_factory=deque)
    last_id: int = 0
    """The last one that was read from the database."""
    more: bool = False
    """The database has some beyond that."""
    flying: bool = False
    """An attempt of the first one is under way."""
    ticket: int = 0
    """That of the entry by which the lane is ready or sleeps; 0 while it has none."""

    @property
    def head(self) -> PendingDelivery:
        """The first delivery. Set it when the database has it otherwise."""
        return self.waiting[0]

    @head.setter
    def head(self, delivery: PendingDelivery) -> None:
        self.waiting[0] = delivery

    def chapter(self, most: int) -> list[PendingDelivery]:
        """What goes as one attempt: the head, and those right behind it that are of the same story, up to `most`.

        A delivery that may have arrived by an earlier attempt is left out: the receiver is asked for it by itself.
        """
        story = self.head.story
        if story is None:
            return [self.head]
        behind = itertools.islice(self.waiting, 1, most)
        together = itertools.takewhile(lambda d: d.story == story and d.maybe_sent_at is None, behind)
        return [self.head, *together]


class Lanes:
    """All lanes of one receiver: what is ready in the order of its age, what sleeps until when."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        # Entries name a delivery's place in the order, the ticket with which its lane was offered, and the lane. A lane
        # that is taken, or offered anew, has another ticket: what is left of it in the heaps no longer counts.
        self._ready: list[tuple[Place, int, LaneKey]] = []
        self._sleeping: list[tuple[float, Place, int, LaneKey]] = []
        self._tickets = itertools.count(1)
        self._failing: set[LaneKey] = set()
        self._starving: set[LaneKey] = set()
        self._closed: set[LaneKey] = set()
        self._tried = 0  # the delivery with which a broken receiver was tried last
        self._broke: Counter[int] = Counter()  # how often a delivery has broken a receiver that worked
        self.flying = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def clear(self) -> None:
        """Forgets all but the heads that are under way, because the database is about to be read again."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.flying}
        for lane in self._lanes.values():
            lane.waiting = deque([lane.head])
            lane.last_id, lane.more = lane.head.id, False
        self._ready, self._sleeping, self._failing, self._starving = [], [], set(), set()

    def add(self, delivery: PendingDelivery, due: float, now: float) -> None:
        """Takes in a delivery from the database, to be sent when it is `due`. They come in the order of their IDs."""
        key = (delivery.workspace, delivery.sync_id, delivery.id if delivery.aside else 0)
        if key in self._closed:
            return
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        if any(known.id == delivery.id for known in lane.waiting):
            return  # it was under way at `clear`, and is still here
        if lane.more or len(lane.waiting) >= LONGEST_LANE:
            lane.more = True
            return
        lane.waiting.append(delivery)
        lane.last_id = delivery.id
        if len(lane.waiting) == 1:
            self._offer(lane, due, now)

    def _offer(self, lane: Lane, due: float, now: float) -> None:
        lane.ticket = next(self._tickets)
        place = self._broke[lane.head.id] > 1, lane.head.id
        if due <= now:
            heapq.heappush(self._ready, (place, lane.ticket, lane.key))
        else:
            heapq.heappush(self._sleeping, (due, place, lane.ticket, lane.key))
        if lane.head.first_failed_at is not None:
            self._failing.add(lane.key)

    def wake(self, now: float) -> None:
        """Moves what is due from sleeping to ready."""
        while self._sleeping and self._sleeping[0][0] <= now:
            _, place, ticket, key = heapq.heappop(self._sleeping)
            heapq.heappush(self._ready, (place, ticket, key))

    def wake_all(self) -> None:
        """All that sleeps is due: the receiver works again."""
        self.wake(float("inf"))

    def next_due(self) -> float | None:
        """When the next sleeper is due."""
        return self._sleeping[0][0] if self._sleeping else None

    def take(self) -> Lane | None:
        """The lane of the oldest ready delivery, which is under way from now on."""
        while self._ready:
            _, ticket, key = heapq.heappop(self._ready)
            lane = self._lanes.get(key)
            if lane is not None and lane.ticket == ticket:
                return self._take(lane)
        return None

    def take_another(self) -> Lane | None:
        """A lane to try a broken receiver with, whether it is due or not; it is under way from now on.

        It is the one whose head is the next younger than the delivery that was tried last, and after the youngest the
        oldest: it may be one message, and not the receiver, that is wrong.
        """
        idle = [lane for lane in self._lanes.values() if not lane.flying and lane.waiting]
        if not idle:
            return None
        lane = min(idle, key=lambda lane: (lane.head.id <= self._tried, lane.head.id))
        self._tried = lane.head.id
        return self._take(lane)

    def broke_with(self, lane: Lane) -> None:
        """A receiver that worked is broken since an attempt of this lane: it is tried with others first.

        A delivery that breaks it more than once goes after all others from then on.
        """
        self._tried = lane.head.id
        self._broke[lane.head.id] += 1

    def _take(self, lane: Lane) -> Lane:
        lane.flying = True
        lane.ticket = 0
        self.flying += 1
        self._failing.discard(lane.key)
        return lane

    def landed(
        self, lane: Lane, due: float | None, now: float, *, next_due: float, done: Collection[int] | None = None
    ) -> None:
        """An attempt is over. With `due`, the head is tried again then. Without, it is finished, or those of `done` are
        as far as the lane still holds them; the first that is left is due at `next_due`."""
        lane.flying = False
        self.flying -= 1
        if due is not None:
            self._offer(lane, due, now)
            return
        finished = {lane.head.id} if done is None else done
        for delivery_id in finished:
            self._broke.pop(delivery_id, None)
        while lane.waiting and lane.waiting[0].id in finished:
            lane.waiting.popleft()
        if lane.waiting:
            self._offer(lane, next_due, now)
        else:
            self._emptied(lane)

    def _emptied(self, lane: Lane) -> None:
        if lane.more:
            self._starving.add(lane.key)
        else:
            del self._lanes[lane.key]

    def _is_forgotten(self, lane: Lane) -> bool:
        """Whether `clear` forgot it while the caller waited for the database: what it holds is read again."""
        return self._lanes.get(lane.key) is not lane

    def drop(self, lane: Lane) -> None:
        """Leaves a lane alone for the rest of a `run --once`, and all that is still read of it."""
        lane.flying = False
        self.flying -= 1
        self._closed.add(lane.key)
        if not self._is_forgotten(lane):
            del self._lanes[lane.key]

    def starving(self) -> list[Lane]:
        """Lanes that are empty here but not in the database."""
        return [self._lanes[key] for key in self._starving]

    def refill(self, lane: Lane, deliveries: list[PendingDelivery], due: float, now: float, *, more: bool) -> None:
        """Takes in what the database had beyond `last_id`, the first of it to be sent when it is `due`. Those that
        stepped aside have lanes of their own already."""
        if self._is_forgotten(lane):
            return
        self._starving.discard(lane.key)
        lane.more = more
        lane.waiting.extend(delivery for delivery in deliveries if not delivery.aside)
        if deliveries:
            lane.last_id = deliveries[-1].id
        if lane.waiting:
            self._offer(lane, due, now)
        else:
            self._emptied(lane)

    @property
    def any_failing(self) -> bool:
        """Whether some head may have failed and wait."""
        return bool(self._failing)

    def failing(self) -> Iterator[Lane]:
        """Lanes whose head has failed and waits to be tried again."""
        for key in list(self._failing):
            lane = self._lanes.get(key)
            if lane is None or lane.flying or not lane.waiting or lane.head.first_failed_at is None:
                self._failing.discard(key)
            else:
                yield lane

    def step_aside(self, lane: Lane, due: float, now: float) -> None:
        """The head gets a lane of its own, in which it sleeps until `due`; its followers may be sent at once."""
        if self._is_forgotten(lane):
            return
        head = replace(lane.waiting.popleft(), aside=True)
        lane.ticket = 0
        self._failing.discard(lane.key)
        alone = Lane((*lane.key[:2], head.id), deque([head]), head.id)
        self._lanes[alone.key] = alone
        self._offer(alone, due, now)
        if lane.waiting:
            self._offer(lane, now, now)
        else:
            self._emptied(lane)
