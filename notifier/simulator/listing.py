"""The list of syncs as the simulator serves it: whether its items tell of runs, and how old it is.

The vendor says neither whether a sync's item changes when a run of it begins or ends, nor whether the list is cached.
So both are settings: by default no item changes by a run, and the list is of now.
"""

from bisect import insort_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from notifier.simulator.defaults import ENDED
from notifier.simulator.stored import Stored

_LOOKED_AT: Final = 25


class Announced(StrEnum):
    """After what a run's sync is another item of the list: its `updated_at` moves, its `status` is that of its runs."""

    NOTHING = "nothing"
    STATUSES = "statuses"
    """A run appears, or its status changes: it starts or ends."""
    EVERYTHING = "everything"
    """Whatever changes of a run, or that it vanishes."""


def status_by_runs(newest_first: Iterable[dict[str, Any]]) -> str:
    """A sync's status by its runs: working, failing, up to date, or ready if none of them came to an end of its own."""
    runs = list(islice(newest_first, _LOOKED_AT))
    if any(run.get("status") not in ENDED for run in runs):
        return "working"
    for run in runs:
        if run.get("status") == "failed":
            return "failing"
        if run.get("status") == "completed" and not run.get("canceled"):
            return "up to date"
    return "ready"


class LateList:
    """The syncs as they were `lag` seconds ago. It has to be told of every change of one when it happens."""

    def __init__(self, syncs: Iterable[Stored], lag: float, clock: Callable[[], float]) -> None:
        """`syncs`: those of now, oldest first. `clock` counts seconds, as time.monotonic does."""
        self.lag = lag
        self.clock = clock
        self._order = [Stored(sync.value, sync.created) for sync in syncs]
        self._by_id = {str(sync.value["id"]): sync for sync in self._order}
        self._to_come: deque[tuple[float, str, Stored | None]] = deque()

    def note(self, identity: str, sync: Stored | None) -> None:
        """The sync is this one from now on; None: it is gone."""
        copy = None if sync is None else Stored(sync.value, sync.created)
        self._to_come.append((self.clock(), identity, copy))

    def syncs(self) -> Sequence[Stored]:
        """What the list shows by now, oldest first. Not a copy: to be read at once."""
        then = self.clock() - self.lag
        while self._to_come and self._to_come[0][0] <= then:
            _, identity, sync = self._to_come.popleft()
            self._show(identity, sync)
        return self._order

    def _show(self, identity: str, sync: Stored | None) -> None:
        shown = self._by_id.get(identity)
        if sync is None:
            self._by_id.pop(identity, None)
            self._order = [other for other in self._order if other is not shown]
        elif shown is None:
            self._by_id[identity] = sync
            insort_right(self._order, sync, key=lambda stored: stored.created)
        else:
            shown.replace(sync.value)
