"""What a workspace's list of syncs is worth as a hint: whom to poll at once, and whether the rest is polled seldom.

A hint is learned and never trusted blindly. Whatever the list says or keeps to itself, each sync is polled in the end,
and what a poll finds is what counts. Pure bookkeeping: no clock, no I/O; times are seconds of one monotonic clock.
"""

from collections import deque
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final

from notifier.model.hints import Hints
from notifier.model.identity import Id
from notifier.model.sync import WorkspaceState
from notifier.watchlist.models import Workspace

NEEDED: Final = 50
"""Changes in a row that the list announced and a poll found: then it is trusted."""
SAMPLE: Final = 100
"""Announcements of which is remembered whether a poll then found anything..."""
FEWEST: Final = 5
"""...and of so many it must have, or the list announces what is nothing: a field that is another in each answer."""


@dataclass(slots=True)
class _Unannounced:
    """What polls found of a sync and the list has not shown yet."""

    since: float
    changes: int = 1


@dataclass(slots=True)
class _Fresh:
    """An announcement, until a poll has found what it was about."""

    at: float
    was_found_before: bool
    """A poll had found what was announced."""
    tries: int = 0
    """Polls that began since and found nothing: the runs may be behind their list."""
    is_at_rest: bool = False
    """Whether the sync was, at the last of them."""

    @property
    def was_in_vain(self) -> bool:
        """Whether it announced nothing, as far as that is ever known."""
        return self.tries > 0 and self.is_at_rest and not self.was_found_before


@dataclass(frozen=True, slots=True)
class Announced:
    """What one reading of the list says of the syncs."""

    hurried: tuple[Id, ...]
    """Syncs to poll at once: their item is another than in the reading before."""
    silent_on: Id | None
    """A sync of which a poll found a change that the list never announced; None where there is none."""


class ListHints:
    """Compares each reading of the list with the one before, and with what the polls find.

    `announced`: what was learned before this start.
    """

    def __init__(self, *, on: bool, patience: float, announced: int = 0) -> None:
        self._on = on
        self.patience = patience
        """Seconds after which a reading has to show what a poll found; a list may have a cache of its own."""
        self.announced = min(announced, NEEDED)
        """Changes in a row that had been announced, as far as they are counted."""
        self._items: Mapping[Id, int] = {}
        self._vanished: dict[Id, int] = {}  # what the newest reading lacks, as it was when it was last shown
        self._first_ended: float | None = None  # the first reading: what came before it can't have been announced
        self._fresh: dict[Id, _Fresh] = {}
        self._unannounced: dict[Id, _Unannounced] = {}
        self._findings: deque[bool] = deque(maxlen=SAMPLE)

    @property
    def is_trusted(self) -> bool:
        return self.state is Hints.TRUSTED

    @property
    def state(self) -> Hints:
        """How far the list is trusted."""
        if not self._on:
            return Hints.OFF
        return Hints.TRUSTED if self.announced >= NEEDED and not self._is_noise else Hints.LEARNING

    @property
    def _is_noise(self) -> bool:
        return len(self._findings) == SAMPLE and sum(self._findings) < FEWEST

    def shows(self, items: Mapping[Id, int], now: float) -> tuple[Id, ...]:
        """Part of the list was read, of a reading that may still go on: whom to poll at once."""
        if not self._on or items is self._items:
            return ()
        before = {**self._items, **self._vanished} if self._vanished else self._items
        changed = tuple(i for i, item in items.items() if before.get(i, item) != item)
        self._items = {**self._items, **items}
        self._vanished = {i: item for i, item in self._vanished.items() if i not in items}
        for sync_id in changed:
            found = self._unannounced.pop(sync_id, None)
            if found is not None:
                self.announced = min(self.announced + found.changes, NEEDED)
            self._give_up(sync_id)
            self._fresh[sync_id] = _Fresh(now, was_found_before=found is not None)
        return () if self._is_noise else changed

    def read(self, items: Mapping[Id, int], begun: float, ended: float, *, is_whole: bool = True) -> Announced:
        """The list was read: a fingerprint of each item. `is_whole`: what it lacks is not there."""
        if not self._on:
            return Announced((), None)
        hurried = self.shows(items, ended)
        if is_whole:
            self._vanished |= {i: self._items[i] for i in self._items.keys() - items.keys()}
            self._items = items
        if self._first_ended is None:
            self._first_ended = ended
        silent_on = self._overdue(items, begun, is_whole=is_whole)
        if silent_on is not None:
            self.announced = 0
        return Announced(hurried, silent_on)

    def _overdue(self, items: Container[Id], begun: float, *, is_whole: bool) -> Id | None:
        """A sync whose change a reading that began then ought to show, and does not. What the list lacks altogether, it
        can't announce."""
        shown = (found for found in self._unannounced.items() if is_whole or found[0] in items)
        overdue = [i for i, found in shown if begun - found.since >= self.patience]
        for sync_id in overdue:
            del self._unannounced[sync_id]
        return next((i for i in overdue if i in items), None)

    def polled(self, sync_id: Id, begun: float, before: float | None, *, found: bool, at_rest: bool) -> None:
        """A poll of a sync that began then has been recorded. `before`: when the one before it began, if one has been;
        `found`: whether there was a change; `at_rest`: whether it had no run under way before."""
        fresh = self._fresh.get(sync_id)
        if fresh is not None and not found and fresh.at <= begun:
            fresh.tries += 1
            fresh.is_at_rest = at_rest
            if fresh.was_found_before or begun - fresh.at >= self.patience:
                self._give_up(sync_id)
        if not found or not self._on:
            return
        if fresh is not None:
            del self._fresh[sync_id]
            if at_rest:
                self._findings.append(True)
            self.announced = min(self.announced + 1, NEEDED)
        elif before is not None and self._first_ended is not None and self._first_ended <= before:
            # Else what changed may have been so in the first reading already.
            waiting = self._unannounced.get(sync_id)
            if waiting is None:
                self._unannounced[sync_id] = _Unannounced(begun)
            else:
                waiting.changes += 1

    def _give_up(self, sync_id: Id) -> None:
        """What was announced of a sync is looked for no longer."""
        fresh = self._fresh.pop(sync_id, None)
        if fresh is not None and fresh.was_in_vain:
            self._findings.append(False)

    def tries(self, sync_id: Id) -> int:
        """Polls that looked in vain for what was announced of a sync, while it is looked for."""
        fresh = self._fresh.get(sync_id)
        return fresh.tries if fresh is not None and not self._is_noise else 0

    def keep(self, polled: Container[Id]) -> None:
        """Forgets what no poll will ever ask about: a list may hold thousands that nobody watches, and ever others."""
        for sync_id in [i for i in (*self._vanished, *self._fresh) if i not in polled]:
            self.forget(sync_id)

    def forget(self, sync_id: Id) -> None:
        """The sync is watched no longer."""
        self._vanished.pop(sync_id, None)
        self._fresh.pop(sync_id, None)
        self._unannounced.pop(sync_id, None)


def hints_of(settings: Workspace, state: WorkspaceState, source: str) -> ListHints:
    """As the watchlist asks for them, with what was learned before this start of a list from the same source."""
    announced = state.announced if settings.hints and state.source == source else 0
    return ListHints(on=settings.hints, patience=settings.poll_interval.total_seconds(), announced=announced)
