"""What a reload leaves in place: the database and its lock, the counts, the pace of each destination, and the line to
each workspace whose settings did not change."""

import os
import ssl
import time
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

import aiohttp
import structlog

import notifier
from notifier.census.client import CensusClient, client_of, new_census_session
from notifier.model.errors import ProxyUnusable
from notifier.model.meters import WorkspaceMeter
from notifier.model.part import workspace_part
from notifier.model.sync import WorkspaceState
from notifier.receivers.pace import Paces
from notifier.service.metrics import Metrics
from notifier.service.retention import SteadyPresent
from notifier.store.database import database_at
from notifier.store.seat import Introduction, replica_name
from notifier.store.store import Store, open_store
from notifier.watching.health import Health
from notifier.watchlist.database import DatabasePlace
from notifier.watchlist.models import Watchlist, Workspace

log = structlog.get_logger(__name__)

VALIDATORS_LIE: Final = "the API gave one ETag or Last-Modified to two answers: none is sent back from now on"


@dataclass(frozen=True, slots=True)
class Line:
    """The way to one workspace's API: its connections, its request budget, and how it fares."""

    settings: Workspace
    session: aiohttp.ClientSession
    client: CensusClient
    health: Health
    meter: WorkspaceMeter


@dataclass(slots=True)
class Resources:
    """What a worker needs and the next one takes over. Made by `open_resources`."""

    store: Store
    tls: ssl.SSLContext
    metrics: Metrics
    started_at: datetime
    paces: Paces = field(default_factory=Paces)
    warned: dict[str, Workspace] = field(default_factory=dict)
    """By name, the workspaces of whose API's end this process has warned where it was due, as they were then."""
    _lines: dict[str, Line] = field(default_factory=dict)
    _present: SteadyPresent | None = None

    async def remember_the_present(self) -> None:
        """Reads when a worker was last there, the first time: before this one leaves a sign of life. Raises
        StoreError."""
        if self._present is None:
            self._present = SteadyPresent(await self.store.last_seen_at(), time.monotonic())

    def present(self) -> datetime:
        """What retention takes for now."""
        wall, passed = datetime.now(UTC), time.monotonic()
        return self._present.at(wall, passed) if self._present is not None else wall

    async def keep_only(self, watchlist: Watchlist, parts: Container[str]) -> None:
        """Closes the lines to workspaces that are gone, have other settings than before, or are none of these parts:
        how one fares that another worker has watched meanwhile is in the database."""
        for name, line in list(self._lines.items()):
            if watchlist.workspaces.get(name) != line.settings or workspace_part(name) not in parts:
                await self.let_go(name)

    async def line(self, name: str, settings: Workspace, state: WorkspaceState, *, patient: bool) -> Line:
        """The line to a workspace, as it was where nothing changed. Raises ProxyUnusable."""
        if name not in self._lines:
            health = Health(state, self.store.watching.save_workspace)
            session = new_census_session(settings, self.tls)
            meter = self.metrics.workspace(name, state.last_polled_at)
            try:
                client = client_of(
                    settings,
                    session,
                    patient=patient,
                    may_ask=lambda: self.store.seat.trusted,
                    on_throttled=health.throttled,
                    on_lying_validators=partial(log.warning, VALIDATORS_LIE, workspace=name),
                    meter=meter,
                )
            except ProxyUnusable:
                await session.close()
                raise
            self._lines[name] = Line(settings, session, client, health, meter)
        return self._lines[name]

    async def let_go(self, name: str) -> None:
        """Closes the line to a workspace: it is gone, or another worker's, or the line is to be made anew."""
        if (line := self._lines.pop(name, None)) is not None:
            self.metrics.forget_workspace(name)
            await line.session.close()

    async def forget(self) -> None:
        """Closes all lines and drops what is known of paces: another worker has done the work meanwhile, and what its
        workspaces and destinations are like is in the database."""
        for name in tuple(self._lines):
            await self.let_go(name)
        self.paces = Paces()

    async def close(self) -> None:
        """Closes all lines."""
        for line in self._lines.values():
            await line.session.close()


@asynccontextmanager
async def open_resources(place: DatabasePlace) -> AsyncIterator[Resources]:
    """Reserves, migrates and opens the database, and closes all of it again. Raises StoreError."""
    database = database_at(place)
    with database.reserved():
        database.prepare()
        async with open_store(place, _introduction()) as store:
            metrics = Metrics(notifier.__version__)
            resources = Resources(store, ssl.create_default_context(), metrics, datetime.now(UTC))
            try:
                yield resources
            finally:
                await resources.close()


def _introduction() -> Introduction:
    return Introduction(replica_name(os.environ), os.getpid(), notifier.__version__)
