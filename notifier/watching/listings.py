"""What a workspace's listings were so far, and how far the next one is believed. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from notifier.census.listing import Listing
from notifier.model.sync import Sync, WorkspaceState

DOUBTED_FROM: Final = 3  # watched syncs that a listing lacks at once, where that is half of them or more
DOUBTED_FOR: Final = timedelta(hours=24)
SHOWN_LATE: Final = timedelta(hours=1)  # how much later than it was created a listing may first show a sync


@dataclass(frozen=True, slots=True)
class Listings:
    """When they were, by the API's clock."""

    first_at: datetime | None = None
    complete_at: datetime | None = None
    """Of the newest complete one."""
    doubted_since: datetime | None = None
    """From when on they lacked more watched syncs than is believed."""

    @classmethod
    def of(cls, state: WorkspaceState) -> "Listings":
        """As the database remembers them."""
        return cls(state.first_listed_at, state.listed_at, state.doubted_since)

    def kept_in(self, state: WorkspaceState) -> WorkspaceState:
        """The workspace's state with them."""
        return replace(
            state, first_listed_at=self.first_at, listed_at=self.complete_at, doubted_since=self.doubted_since
        )

    @property
    def new_from(self) -> datetime | None:
        """Syncs created since then, of which no listing told yet, are new: all their runs are news. None: none is."""
        known = self.complete_at or self.first_at
        return known - SHOWN_LATE if known is not None and self.first_at is not None else None

    def are_older_than(self, sync: Sync | None) -> bool:
        """Whether the newest complete listing that did not show this sync is older than it, or not much younger."""
        new_from = self.new_from
        return sync is not None and sync.created_at is not None and new_from is not None and sync.created_at > new_from

    def young_from(self, listed_at: datetime) -> datetime:
        """A sync that a listing of that time shows, and that was created since then, may be taken for new later on."""
        new_from = self.new_from
        return min(new_from, listed_at - SHOWN_LATE) if new_from is not None else listed_at - SHOWN_LATE

    def believed(self, listing: Listing, watched: Collection[int]) -> tuple[Listing, datetime | None]:
        """The listing, and since when it is doubted. A filter, a lost right or an empty answer looks just as if most
        of the syncs that are `watched` had been deleted at once; that is believed after a day of it."""
        lacking = sum(sync_id not in listing.syncs for sync_id in watched)
        is_half = lacking >= DOUBTED_FROM and 2 * lacking >= len(watched)
        if listing.flaw is not None:
            return listing, self.doubted_since
        if not is_half and (listing.syncs or not lacking):
            return listing, None
        since = self.doubted_since or listing.listed_at
        if listing.listed_at - since >= DOUBTED_FOR:
            return listing, since
        flaw = f"it lacks {lacking:,} of {len(watched):,} watched syncs at once"
        if not listing.syncs:
            flaw = f"it is empty, though {lacking:,} of its syncs are watched"
        return replace(listing, flaw=f"{flaw}; believed from {since + DOUBTED_FOR:%Y-%m-%d %H:%M} UTC on"), since
