"""When each target of a workspace is polled next. Pure bookkeeping: no clock, no I/O.

Times are seconds of one monotonic clock; `now` is given.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from notifier.model.identity import Id
from notifier.watching import pace
from notifier.watching.target import RunTarget, SyncTarget
from notifier.watchlist.models import Workspace

BEFORE_OTHERS: Final = 0.5  # seconds by which what has a run under way comes before what is at rest, after a start
EARLY: Final = 0.001  # seconds by which a poll may begin before it is due: a timer of whole milliseconds may ring early
LEFT_BEHIND: Final = 100  # entries that no longer count, beyond one a poller, before they are swept up

Target: TypeAlias = SyncTarget | RunTarget


@dataclass(slots=True, eq=False)
class Poller:
    """One target, when it is polled next, and what its last polls came to."""

    target: Target
    number: int
    """Its place in the interval."""
    due: float
    active: bool = False
    """It has a run under way, and is polled at the active interval."""
    seldom: bool = False
    """It is at rest, and the list of syncs announces what becomes of it."""
    hurried: bool = False
    """The next poll was asked for, because there may be something new."""
    asked_at: float | None = None
    """When its last poll began that read it."""
    whole_at: float = float("-inf")
    """The same, of one whose answer was not allowed to be "as before"."""
    outside: int = 0
    """How many runs it fetches one by one."""
    under_way: bool = False
    again: bool = False
    """A poll was asked for while one was under way."""
    removed: bool = False
    failures: int = 0
    """Polls in a row that failed."""
    error: str = ""
    """How the last of them did."""
    refused_at: float = 0.0
    """When its key was refused last."""
    reported: bool = False
    """The log has a line about these failures."""


_Entry: TypeAlias = tuple[float, int, Poller]


def _is_current(entry: _Entry) -> bool:
    """Whether the poller is still due at the time of the entry."""
    due, _, poller = entry
    return not (poller.removed or poller.under_way) and due == poller.due


class Schedule:
    """The pollers of one workspace in the order in which they are due, and by how much their intervals are stretched.

    `allowed`: requests a second, of polls and listings together. `sooner` is called when a poller becomes the first of
    all: whoever waits for the first one has to look again.
    """

    def __init__(
        self, intervals: pace.Intervals, listing_interval: float, allowed: float, sooner: Callable[[], None]
    ) -> None:
        self._intervals = intervals
        self._listing_interval = listing_interval
        self._listing_pages = 1
        self._announced: Container[Id] | None = None
        self._allowed = allowed
        self._sooner = sooner
        self._pollers: dict[int, Poller] = {}  # by the identity of their target
        self._entries: list[_Entry] = []  # a heap; a poller that is due at another time now leaves its old entry behind
        self._hurried: OrderedDict[Poller, None] = OrderedDict()  # those that wait, in the order of their hints
        self._is_turn_of_others = False
        self._numbers = itertools.count()
        self._active = 0
        self._seldom = 0
        self._outside = 0
        self.needed = 0.0
        """Requests a second that the intervals would need without stretching, as of the last time it was reckoned."""

    @classmethod
    def of(cls, workspace: Workspace, *, sooner: Callable[[], None]) -> "Schedule":
        """As the watchlist asks for it."""
        rest, active = workspace.poll_interval, workspace.active_poll_interval
        # A short poll_interval alone does not ask for a sync with a run to be looked at less often than one at rest.
        intervals = pace.Intervals(rest.total_seconds(), min(active, rest).total_seconds())
        return cls(intervals, pace.listing_interval(rest), workspace.max_requests_per_second, sooner)

    def __len__(self) -> int:
        return len(self._pollers)

    def __iter__(self) -> Iterator[Poller]:
        return iter(self._pollers.values())

    @property
    def stretch(self) -> float:
        """The factor of all intervals; 1 while the budget is enough."""
        return self._intervals.stretch

    @property
    def longest_pause(self) -> float:
        """The longest time between two polls, whosever: a stretched interval, or that of the listings where nothing is
        polled. Those that are polled seldom are so at about even distances."""
        if not self._pollers:
            return self.listing_interval
        seldom = 2 * pace.SELDOM / self._seldom if self._seldom == len(self._pollers) else 1.0
        return self._intervals.rest * self._intervals.stretch * min(max(seldom, 1.0), pace.SELDOM)

    @property
    def listing_interval(self) -> float:
        """Seconds between two listings, which are not stretched."""
        if self._announced is None:
            return self._listing_interval
        return pace.announced_listing_interval(self._intervals.active, self._listing_pages, self._allowed)

    @property
    def whole_listing_interval(self) -> float:
        """Seconds between two listings that may take a sync away."""
        return self._listing_interval

    # --- who is polled ---

    def add(self, target: Target, now: float, *, active: bool) -> None:
        """A target is polled from now on, at once."""
        poller = Poller(target, next(self._numbers), now - BEFORE_OTHERS * active)
        self._pollers[id(target)] = poller
        self._note(poller, active=active, seldom=False, outside=0)
        self._push(poller)

    def remove(self, target: Target) -> None:
        """A target is polled no longer; a poll that is under way goes on."""
        poller = self._pollers.pop(id(target))
        poller.removed = True
        self._hurried.pop(poller, None)
        self._note(poller, active=False, seldom=False, outside=0)

    def poller_of(self, target: Target) -> Poller | None:
        """The one that polls a target, if any does."""
        return self._pollers.get(id(target))

    # --- who is next ---

    def next_due(self) -> float | None:
        """When the first poller is due; None while there is none that waits."""
        while self._entries and not _is_current(self._entries[0]):
            heapq.heappop(self._entries)
        return self._entries[0][0] if self._entries else None

    def take(self, now: float) -> Poller | None:
        """The first poller, if it is due. Its poll is under way until `landed`.

        Where more are due than there are requests for, as after a start, those that were hurried and those that were
        not take turns: what is new does not wait for all that is late, and nobody is kept waiting by hints without end.
        """
        due = self.next_due()
        if due is None or due > now + EARLY:
            return None
        self._is_turn_of_others = bool(self._hurried) and not self._is_turn_of_others
        poller = next(iter(self._hurried)) if self._is_turn_of_others else heapq.heappop(self._entries)[2]
        self._hurried.pop(poller, None)
        poller.under_way = True
        return poller

    def put_back(self, poller: Poller) -> None:
        """It was taken and not polled after all."""
        poller.under_way = False
        if poller.hurried and not poller.removed:
            self._hurried[poller] = None
            self._hurried.move_to_end(poller, last=False)
        self._push(poller)

    def landed(self, poller: Poller, now: float, *, is_down: bool) -> None:
        """Its poll is over. `is_down`: as for `hurry`, in case that another was asked for meanwhile."""
        poller.under_way = False
        poller.hurried = poller.hurried and poller.failures > 0
        self._push(poller)
        if poller.again:
            poller.again = False
            self.hurry(poller, now, is_down=is_down)

    def hurry(self, poller: Poller, now: float, *, is_down: bool) -> None:
        """Polls it next, or once more after the poll that is under way.

        One that fails keeps to its time, and so do all in a workspace that `is_down`, until it is back.
        """
        if poller.under_way:
            poller.again = True
            return
        poller.hurried = True
        if not (is_down or poller.failures or poller.removed):
            self._hurried[poller] = None
            if poller.due > now:
                poller.due = now
                self._push(poller)
            if len(self._entries) > 2 * len(self._pollers) + LEFT_BEHIND:
                self._entries = [entry for entry in self._entries if _is_current(entry)]
                heapq.heapify(self._entries)

    def hurry_another(self, now: float, *, is_down: bool) -> None:
        """Polls one next of which no poll has failed: it tells whether it is the workspace that fails."""
        well = (poller for poller in self if not poller.failures and not poller.under_way)
        another = min(well, key=lambda poller: poller.due, default=None)
        if another is not None and not is_down:
            self.hurry(another, now, is_down=False)

    def _push(self, poller: Poller) -> None:
        if not poller.removed:
            heapq.heappush(self._entries, (poller.due, poller.number, poller))
            if self._entries[0][2] is poller:
                self._sooner()

    # --- when it is due ---

    def was_read(
        self,
        poller: Poller,
        now: float,
        *,
        active: bool,
        outside: int,
        until: float | None = None,
        once_more: bool = False,
    ) -> bool:
        """A poll read its target: the next one is at its place in the interval. `until`: how long nothing but a change
        calls for a poll of it; None where something is pending. `once_more`: what is expected was not there yet; the
        next poll is as if it were active. True where the intervals of all were reckoned anew,
        because this target takes more or fewer requests than before."""
        seldom = until is not None and not active and not outside and self._is_announced(poller.target)
        before = (poller.active, poller.seldom, poller.outside)
        changed = not poller.removed and (active, seldom, outside) != before
        if changed:
            self._note(poller, active=active, seldom=seldom, outside=outside)
            self._reckon()
        # A poll that ended before it was due, as one that began early may, must not come twice for one place.
        after = max(now, poller.due)
        poller.due = pace.next_poll(after, poller.number, self._intervals, active=active, seldom=seldom)
        if seldom and until is not None and until < poller.due:
            poller.due = max(until, pace.next_poll(after, poller.number, self._intervals, active=False))
        if once_more:
            poller.due = min(poller.due, pace.next_poll(after, poller.number, self._intervals, active=True))
        return changed

    def _is_announced(self, target: Target) -> bool:
        return self._announced is not None and isinstance(target, SyncTarget) and target.sync_id in self._announced

    def interval_of(self, poller: Poller) -> float:
        """Seconds between two polls of it, as if the list of syncs announced nothing."""
        return (self._intervals.active if poller.active else self._intervals.rest) * self._intervals.stretch

    def rests(self, poller: Poller, now: float) -> None:
        """A poll did not find its target: the next one is at its place in the interval at rest."""
        self._is_seldom_no_more(poller)
        poller.due = pace.next_poll(now, poller.number, self._intervals, active=False)

    def retry(self, poller: Poller, at: float) -> None:
        """A poll failed, and the next one is then."""
        self._is_seldom_no_more(poller)
        poller.due = at

    def _is_seldom_no_more(self, poller: Poller) -> None:
        if poller.seldom:
            self._note(poller, active=poller.active, seldom=False, outside=poller.outside)

    def rely_on(self, announced: Container[Id] | None, now: float) -> None:
        """The list of syncs announces what becomes of these, or, with None, is not relied on: whoever was polled seldom
        and is not among them is at its place in the interval at rest."""
        if announced is self._announced:
            return
        self._announced = announced
        no_more = [poller for poller in self if poller.seldom and not self._is_announced(poller.target)]
        for poller in no_more:
            self._is_seldom_no_more(poller)
        self._reckon()  # first: in places of an interval that is too short, thousands would be due at once
        for poller in no_more:
            soon = pace.next_poll(now, poller.number, self._intervals, active=False)
            if not poller.under_way and soon < poller.due:
                poller.due = soon
                self._push(poller)

    def resume(self, now: float) -> None:
        """The workspace is back: what failed with it waits no longer than any other, and what was asked for meanwhile
        is next."""
        for poller in self:
            if poller.under_way:
                continue
            if poller.hurried and not poller.failures:
                self.hurry(poller, now, is_down=False)
            elif poller.failures:
                soon = pace.next_poll(now, poller.number, self._intervals, active=poller.active)
                if soon < poller.due:
                    poller.due = soon
                    self._push(poller)

    def listed(self, pages: int) -> None:
        """A listing took so many requests."""
        self._listing_pages = pages
        self._reckon()

    def _note(self, poller: Poller, *, active: bool, seldom: bool, outside: int) -> None:
        self._active += active - poller.active
        self._seldom += seldom - poller.seldom
        self._outside += outside - poller.outside
        poller.active, poller.seldom, poller.outside = active, seldom, outside

    def _reckon(self) -> None:
        """Keeps the intervals within the budget, by one factor for all."""
        resting = len(self._pollers) - self._active - self._seldom
        polls = pace.demand(
            resting=resting,
            seldom=self._seldom,
            active=self._active,
            outside=self._outside,
            intervals=self._intervals,
        )
        listings = self._listing_pages / self.listing_interval
        self.needed = polls + listings
        self._intervals = replace(self._intervals, stretch=pace.stretch(polls, listings, self._allowed))
