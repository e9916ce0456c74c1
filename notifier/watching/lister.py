"""One listing of a workspace's syncs: what is polled from then on, and what it says of the workspace."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

import structlog

from notifier.census.client import CensusClient
from notifier.census.listing import Listing, ListingReader
from notifier.model.errors import CensusError, DatabaseUnusable, NotFound, StoreUnavailable, Unauthorized
from notifier.model.hints import Hints
from notifier.model.identity import Id
from notifier.watching.health import Health, Request
from notifier.watching.hints import ListHints
from notifier.watching.listings import Listings
from notifier.watching.poll import Observer
from notifier.watching.roster import Roster
from notifier.watching.schedule import Schedule
from notifier.watching.target import Changes, RunTarget, SyncTarget

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
        hints: ListHints,
        stretched: Callable[[], Awaitable[None]],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._api_clock = observer.api_clock
        self._roster = roster
        self._health = health
        self._schedule = schedule
        self._hints = hints
        self._noted = hints.state
        self._reader = ListingReader(client)
        self._whole_due = float("-inf")
        self.read_at = float("-inf")
        """When the last reading began that was whole."""
        self._stretched = stretched
        self._clock = clock

    async def load(self) -> None:
        """Takes up what the database remembers. Raises StoreUnavailable."""
        listings = Listings.of(self._health.state)
        self._health.remember(lambda state: replace(state, hints=self._hints.state))
        self._api_clock.remember(listings.complete_at or listings.first_at)
        self._apply(await self._roster.load(listings))

    async def list(self, *, whole: bool = False) -> bool:
        """Lists the workspace's syncs and polls what is watched; False when that failed, or was not whole. `whole`:
        what the list lacks counts, also where the last time that it did is not long ago."""
        begun = asyncio.get_running_loop().time()
        try:
            return await self._list(begun, whole=whole)
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

    async def _list(self, begun: float, *, whole: bool) -> bool:
        is_glance = self._hints.is_trusted and begun < self._whole_due and not whole
        try:
            listing = await self._reader.read(self._clock(), conditionally=is_glance, shown=self._take_shown)
        except CensusError as error:
            self._schedule.rely_on(None, asyncio.get_running_loop().time())
            await self._failed(error, begun)
            return False
        self._schedule.listed(listing.pages)
        await self._take_hints(listing, begun)
        if is_glance and listing.complete and not self._tells_more(listing):
            await self._health.listed(polled=len(self._schedule))
            await self._stretched()
            return True
        due, self._whole_due = self._whole_due, float("-inf")  # until one is taken: a glance would hide that none is
        listed_at = self._api_clock.read(listing.listed_at).earliest
        listing = replace(listing, listed_at=listed_at)
        self._apply(await self._roster.apply(listing, counts_absence=not is_glance))
        self._health.remember(self._roster.listings.kept_in)
        if is_glance:
            self._whole_due = due
        elif self._roster.flaw is None:
            self._whole_due = begun + self._schedule.whole_listing_interval
        if self._roster.flaw is None:
            await self._health.listed(polled=len(self._schedule))
        else:
            await self._health.unlisted_by(self._roster.flaw, begun, is_certain=self._roster.is_of_another)
        await self._health.save()
        await self._stretched()
        return self._roster.flaw is None

    def _tells_more(self, listing: Listing) -> bool:
        """Whether it shows a sync that the one taken last did not show, or by another name, paused or scheduled."""
        listed = self._roster.listed
        return any(
            (known := listed.get(i)) is not sync and (known is None or known.is_otherwise(sync))
            for i, sync in listing.syncs.items()
        )

    def _take_shown(self, items: Mapping[Id, int]) -> None:
        """A page of the list is another than before: what it announces need not wait for the other pages."""
        now = asyncio.get_running_loop().time()
        self._hurry(self._hints.shows(items, now), now)

    def _hurry(self, sync_ids: Iterable[Id], now: float) -> None:
        for sync_id in sync_ids:
            target = self._roster.syncs.get(sync_id)
            poller = self._schedule.poller_of(target) if target is not None else None
            if poller is not None:
                self._schedule.hurry(poller, now, is_down=self._health.is_down)

    async def _take_hints(self, listing: Listing, begun: float) -> None:
        """Polls at once what the list announces, and the rest as seldom as it is trusted."""
        now = asyncio.get_running_loop().time()
        announced = self._hints.read(listing.items, begun, now, is_whole=listing.complete)
        self._hurry(announced.hurried, now)
        self._hints.keep(self._roster.syncs)
        is_relied_on = listing.complete and self._hints.is_trusted
        self._schedule.rely_on(listing.items if is_relied_on else None, now)
        if listing.complete:
            self.read_at = begun
        await self._note_trust(announced.silent_on)

    async def _note_trust(self, silent_on: Id | None) -> None:
        """Keeps what is known of the hints, and says it where the trust has begun or ended since it was noted last."""
        trust, before = self._hints.state, self._noted
        self._noted = trust
        self._health.remember(lambda state: replace(state, hints=trust, announced=self._hints.announced))
        if trust is before:
            return
        if trust is Hints.TRUSTED:
            log.info(
                "the list of syncs announces what changes: it is read often, and syncs at rest are polled seldom",
                workspace=self._roster.workspace,
            )
        elif silent_on is not None:
            log.warning(
                "the list of syncs did not announce a change: all syncs are polled at their intervals again",
                workspace=self._roster.workspace,
                sync_id=silent_on,
            )
        elif before is Hints.TRUSTED:
            log.warning(
                "the list of syncs announces what is no change: all syncs are polled at their intervals again",
                workspace=self._roster.workspace,
            )
        await self._health.save()

    def look(self, now: float) -> None:
        """Relies no longer on a list that could not be read for a while, whatever keeps its reading."""
        # As slow as a tight budget may make it, which serves the polls first: nothing is lost by waiting.
        if now - self.read_at > 3 * self._hints.patience + 10 * self._schedule.listing_interval:
            self._schedule.rely_on(None, now)

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
            if isinstance(target, SyncTarget):
                self._hints.forget(target.sync_id)
        for target in changes.added:
            self._schedule.add(target, now, active=isinstance(target, RunTarget) or bool(target.followed))
