"""How workspaces fare that other workers watch, as the one sees that sends the heartbeat.

Ages are by its own clock: since it saw that somebody had read a workspace once more. When that was by the other
worker's clock says nothing.
"""

import asyncio
from collections.abc import Container, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

from notifier.model.errors import StoreUnavailable
from notifier.model.hints import Hints
from notifier.model.sync import WorkspaceState
from notifier.service.vitals import WorkspaceVitals
from notifier.store.watching import WatchingStore
from notifier.watching.pace import SELDOM
from notifier.watchlist.models import Workspace

LOOK_EVERY: Final = 15.0  # seconds
KEPT_EVERY: Final = timedelta(seconds=60)  # a worker keeps when it last read a workspace, at the latest after so long


class Oversight:
    """Looks at what the database says of all workspaces but `mine`."""

    def __init__(self, store: WatchingStore, workspaces: Mapping[str, Workspace], mine: Container[str]) -> None:
        self._store = store
        self._workspaces = workspaces
        self._mine = mine
        self._states: dict[str, WorkspaceState] = {}
        self._moved_at: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled. Raises DatabaseUnusable."""
        while True:
            with suppress(StoreUnavailable):  # that the database can't be used is told by itself
                self.note(await self._store.workspaces())
            await asyncio.sleep(LOOK_EVERY)

    def note(self, states: Mapping[str, WorkspaceState]) -> None:
        """Takes what a look showed."""
        now = asyncio.get_running_loop().time()
        for name, state in states.items():
            before = self._states.get(name)
            if before is None or before.last_polled_at != state.last_polled_at:
                self._moved_at[name] = now
        self._states = dict(states)

    def vitals(self) -> tuple[WorkspaceVitals, ...]:
        """Of the workspaces that others watch."""
        return tuple(self._vitals_of(name) for name in self._workspaces if name not in self._mine)

    def _vitals_of(self, name: str) -> WorkspaceVitals:
        settings, state = self._workspaces[name], self._states.get(name)
        if state is None or state.last_polled_at is None:
            return WorkspaceVitals(name, settings.poll_interval, None)
        interval = settings.poll_interval * state.stretch * (SELDOM if state.hints is Hints.TRUSTED else 1)
        silent = timedelta(seconds=asyncio.get_running_loop().time() - self._moved_at[name])
        late = timedelta(seconds=LOOK_EVERY) + KEPT_EVERY
        return WorkspaceVitals(name, interval, max(silent - late, timedelta(0)), None if state.ok else state.last_error)
