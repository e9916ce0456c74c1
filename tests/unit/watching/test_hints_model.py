"""A simulated workspace whose list of syncs lies, lags, loses, repeats and reorders, against what is promised: nothing
is lost, and no change is found later than ten intervals at rest, stretched as they are, after it happened.

Schedule and hints are the real ones, put together as the lister and the attempts do; the API, its budget and the time
are the model's.
"""

import heapq
import math
import random
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.model.hints import Hints
from notifier.model.identity import Id
from notifier.watching import pace
from notifier.watching.hints import ListHints
from notifier.watching.schedule import Poller, Schedule
from notifier.watching.target import SyncTarget

REST, ACTIVE, RATE, PAGE = 60.0, 10.0, 10.0, 100
DAY: Final = 86_400.0
ANSWER: Final = 0.05  # seconds that each request takes


@dataclass(frozen=True, slots=True)
class Lies:
    """What the list does with what happens. Shares are of changes, `lag` is its cache's, each sync has a part of it."""

    lag: float = 0.0
    loses: float = 0.0
    """Changes that it never shows."""
    repeats: float = 0.0
    """Items that are another in a reading though nothing happened, of all."""
    goes_back: float = 0.0
    """Readings that show all as it was one reading before."""
    fails: float = 0.0
    """Readings that can't be had."""
    silent_from: float = math.inf
    """From then on it shows nothing at all."""


@dataclass(slots=True)
class Result:
    """What came of it."""

    delays: list[float] = field(default_factory=list)
    """Of each change, until the answer of the poll that found it was asked for."""
    lost: int = 0
    requests: int = 0
    trusted_for: float = 0.0
    ended: int = 0
    """How often the trust ended."""


class World:
    """A workspace, and the worker that watches it."""

    def __init__(self, syncs: int, lies: Lies, seed: int, *, every: float) -> None:
        """`every`: seconds between two changes, somewhere."""
        self.chance = random.Random(seed)
        self.lies, self.every, self.now = lies, every, 0.0
        self.version: dict[Id, int] = dict.fromkeys(range(1, syncs + 1), 0)
        self.found_to = dict(self.version)
        self.shown = dict(self.version)
        self.lag = {i: lies.lag * self.chance.random() for i in self.version}
        self.to_show: list[tuple[float, Id, int]] = []
        self.waiting: dict[Id, deque[float]] = {i: deque() for i in self.version}
        self.before = dict(self.shown)
        self.room = RATE  # requests that may begin at once
        self.room_at = 0.0
        intervals = pace.Intervals(REST, ACTIVE)
        self.schedule = Schedule(intervals, pace.LONGEST_LISTING_INTERVAL, RATE, lambda: None)
        self.hints = ListHints(on=True, patience=REST)
        self.targets = {i: SyncTarget(i, None, {}, None) for i in self.version}
        self.next_change = self.chance.expovariate(1 / every)
        self.result = Result()
        self.longest = 1.0
        for target in self.targets.values():
            self.schedule.add(target, 0.0, active=False)

    def lives(self, until: float) -> Result:
        listing = 0.0
        while self.now < until:
            due = self.schedule.next_due()
            self.now = max(self.now, min(listing, self.next_change, math.inf if due is None else due))
            if self.now >= self.next_change:
                self._happens()
            elif self.now >= listing:
                listing = self._lists()
            elif (poller := self.schedule.take(self.now)) is not None:
                self._polls(poller)
        self.result.lost = sum(
            self.now - times[0] > 10 * REST * self.longest + self._slack for times in self.waiting.values() if times
        )
        return self.result

    @property
    def _slack(self) -> float:
        """What requests wait for each other at most: a whole listing, and what is polled together."""
        return 2 * len(self.version) / PAGE / RATE + len(self.version) / RATE / 10 + 5.0

    def _happens(self) -> None:
        sync_id = self.chance.choice(list(self.version))
        self.version[sync_id] += 1
        self.waiting[sync_id].append(self.now)
        if self.chance.random() >= self.lies.loses and self.now < self.lies.silent_from:
            heapq.heappush(self.to_show, (self.now + self.lag[sync_id], sync_id, self.version[sync_id]))
        self.next_change = self.now + self.chance.expovariate(1 / self.every)

    def _asks(self, times: int = 1) -> None:
        """So many requests: the budget is a bucket that leaks."""
        self.result.requests += times
        for _ in range(times):
            self.room = min(RATE, self.room + (self.now - self.room_at) * RATE)
            self.room_at = self.now
            if self.room < 1:
                self.now += (1 - self.room) / RATE
                self.room = min(RATE, self.room + (self.now - self.room_at) * RATE)
                self.room_at = self.now
            self.room -= 1

    def _lists(self) -> float:
        """A reading, as the lister has it; when the next one is."""
        begun, trusted = self.now, self.hints.is_trusted
        pages = -(-len(self.version) // PAGE)
        self._asks(pages)
        while self.to_show and self.to_show[0][0] <= begun:
            _, sync_id, version = heapq.heappop(self.to_show)
            self.shown[sync_id] = max(version, self.shown[sync_id])
        self.schedule.listed(pages)
        if self.chance.random() < self.lies.fails:
            self.schedule.rely_on(None, self.now)
            return self.now + pace.back_off(1, 0.0)
        items = dict(self.shown)
        if self.chance.random() < self.lies.goes_back:
            items = dict(self.before)
        else:
            self.before = dict(items)
        for _ in range(round(self.lies.repeats * len(items))):
            items[self.chance.choice(list(items))] = -self.chance.getrandbits(30)
        for sync_id in self.hints.read(items, begun, self.now).hurried:
            poller = self.schedule.poller_of(self.targets[sync_id])
            assert poller is not None
            self.schedule.hurry(poller, self.now, is_down=False)
        is_trusted = self.hints.is_trusted
        self.result.ended += trusted and not is_trusted
        self.schedule.rely_on(items if is_trusted else None, self.now)
        took = self.now - begun
        interval = self.schedule.listing_interval
        self.result.trusted_for += interval if is_trusted else 0.0
        return self.now + (max(interval - took, took / 2) if is_trusted else interval)

    def _polls(self, poller: Poller) -> None:
        target = poller.target
        assert isinstance(target, SyncTarget)
        sync_id = target.sync_id
        self._asks()
        begun = self.now
        self.longest = max(self.longest, self.schedule.stretch)
        found = self.version[sync_id] > self.found_to[sync_id]
        self.found_to[sync_id] = self.version[sync_id]
        self.result.delays += [begun - at for at in self.waiting[sync_id]]
        self.waiting[sync_id].clear()
        self.hints.polled(sync_id, begun, poller.asked_at, found=found, at_rest=True)
        poller.asked_at = begun
        self.schedule.was_read(poller, begun + ANSWER, active=False, outside=0, until=math.inf)
        self.schedule.landed(poller, begun + ANSWER, is_down=False)

    def keeps_its_promise(self) -> None:
        assert self.result.lost == 0
        assert max(self.result.delays, default=0.0) <= 10 * REST * self.longest + self._slack


LIES = st.builds(
    Lies,
    lag=st.sampled_from([0.0, 5.0, 55.0, 240.0, 3_000.0]),
    loses=st.sampled_from([0.0, 0.0, 0.02, 0.5, 1.0]),
    repeats=st.sampled_from([0.0, 0.0, 0.01, 0.2, 1.0]),
    goes_back=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    fails=st.sampled_from([0.0, 0.0, 0.1, 0.9]),
    silent_from=st.sampled_from([math.inf, math.inf, 3_600.0, 5_000.0]),
)


@settings(max_examples=25, deadline=None)
@given(
    lies=LIES, syncs=st.sampled_from([1, 3, 40, 250]), seed=st.integers(0, 2**16), every=st.sampled_from([3.0, 40.0])
)
def test_whatever_the_list_says_nothing_is_lost_and_nothing_found_later_than_ten_intervals(
    lies: Lies, syncs: int, seed: int, every: float
) -> None:
    world = World(syncs, lies, seed, every=every)
    world.lives(3 * 3_600.0)
    world.keeps_its_promise()


@pytest.mark.slow
def test_a_day_of_a_thousand_syncs_whose_list_announces_all_sooner_or_later() -> None:
    lag = 50.0
    world = World(1_000, Lies(lag), seed=17, every=8.0)
    result = world.lives(DAY)
    world.keeps_its_promise()
    assert len(result.delays) > 10_000
    assert world.hints.state is Hints.TRUSTED
    assert result.ended == 0
    assert result.trusted_for > 0.9 * DAY
    assert result.requests < 0.4 * RATE * DAY  # the budget, which polls at the intervals that are asked for exceed
    assert statistics.median(result.delays) < lag / 2 + ACTIVE  # a sync's part of the lag is anything up to all of it


@pytest.mark.slow
def test_a_day_of_a_thousand_syncs_whose_list_does_a_little_of_everything_and_is_silent_in_the_end() -> None:
    world = World(1_000, Lies(20.0, 0.001, 0.005, 0.05, 0.05, silent_from=DAY / 2), seed=17, every=8.0)
    result = world.lives(DAY)
    world.keeps_its_promise()
    assert len(result.delays) > 10_000
    assert world.hints.state is Hints.LEARNING


@pytest.mark.slow
@pytest.mark.parametrize(
    "lies",
    [Lies(200.0), Lies(loses=0.01), Lies(repeats=0.02), Lies(goes_back=0.3), Lies(fails=0.3), Lies(loses=1.0)],
    ids=str,
)
def test_three_hours_of_a_thousand_syncs(lies: Lies) -> None:
    world = World(1_000, lies, seed=17, every=8.0)
    result = world.lives(3 * 3_600.0)
    world.keeps_its_promise()
    assert len(result.delays) > 1_000
