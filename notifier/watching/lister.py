"""One listing of a workspace's syncs: what is polled from then on, and what it says of the workspace."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

import structlog

from notifier.census.client import CensusClient
from notifier.census.listing import read_listing
from notifier.model.errors import CensusError, DatabaseUnusable, NotFound, StoreUnavailable, Unauthorized
from notifier.watching.health import Health, Request
from notifier.watching.listings import Listings
from notifier.watching.poll import Observer
from notifier.watching.roster import Roster
from notifier.watching.schedule import Schedule
from notifier.watching.target import Changes, RunTarget

log = structlog.get_logger(__name__)


class Lister:
    """Brings roster and schedule in line with the workspace. `stretched` is called when the intervals were reckoned
    anew."""

    def __init__(
        self,
        client: CensusClient,
        observer: Observer,
        roster: Roster,
        health: Health,
        schedule: Schedule,
        stretched: Callable[[], Awaitable[None]],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._api_clock = observer.api_clock
        self._roster = roster
        self._health = health
        self._schedule = schedule
        self._stretched = stretched
        self._clock = clock

    async def load(self) -> None:
        """Takes up what the database remembers. Raises StoreUnavailable."""
        listings = Listings.of(self._health.state)
        self._api_clock.remember(listings.complete_at or listings.first_at)
        self._apply(await self._roster.load(listings))

    async def list(self) -> bool:
        """Lists the workspace's syncs and polls what is watched; False when that failed, or was not whole."""
        begun = asyncio.get_running_loop().time()
        try:
            return await self._list(begun)
        except StoreUnavailable:
            self._apply(self._roster.take_changes())  # what of it could be kept; the store has said the rest
        except DatabaseUnusable:
            raise
        except Exception:
            log.exception(
                "listing failed by a fault of the notifier; please report it", workspace=self._roster.workspace
            )
            self._apply(self._roster.take_changes())
            await self._health.unlisted_by("a fault of the notifier; see its log", begun)
        return False

    async def _list(self, begun: float) -> bool:
        try:
            listing = await read_listing(self._client, self._clock())
        except CensusError as error:
            await self._failed(error, begun)
            return False
        listed_at = self._api_clock.read(listing.listed_at).earliest
        self._apply(await self._roster.apply(replace(listing, listed_at=listed_at)))
        self._health.remember(self._roster.listings.kept_in)
        if self._roster.flaw is None:
            await self._health.listed(polled=len(self._schedule))
        else:
            await self._health.unlisted_by(self._roster.flaw, begun, is_certain=self._roster.is_of_another)
        await self._health.save()
        self._schedule.listed(listing.pages)
        await self._stretched()
        return self._roster.flaw is None

    async def _failed(self, error: CensusError, begun: float) -> None:
        """The listing can't be read now, and perhaps never can. 403 may be about the listing alone."""
        log.debug("syncs could not be listed", workspace=self._roster.workspace, error=str(error))
        if isinstance(error, Unauthorized) and error.status == HTTPStatus.UNAUTHORIZED:
            await self._health.refused(error, begun)
            return
        if isinstance(error, NotFound | Unauthorized) or self._roster.listings.first_at is None:
            with suppress(StoreUnavailable):
                self._apply(await self._roster.apply_failure())
        if isinstance(error, Unauthorized) and not self._schedule:
            await self._health.refused(error, begun)
            return
        await self._health.unlisted_by(str(error), begun)
        if not self._schedule:
            await self._health.failed(error, of=Request.LISTING, among=1, begun=begun)

    def _apply(self, changes: Changes) -> None:
        now = asyncio.get_running_loop().time()
        for target in changes.removed:
            self._schedule.remove(target)
        for target in changes.added:
            self._schedule.add(target, now, active=isinstance(target, RunTarget) or bool(target.followed))
