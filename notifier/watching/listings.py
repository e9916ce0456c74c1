"""What a workspace's listings say by what they lack: which is believed, and which sync is new. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from notifier.census.listing import Listing
from notifier.model.identity import Id
from notifier.model.sync import Sync, WorkspaceState
from notifier.model.times import counted

DOUBTED_FROM: Final = 3
"""Watched syncs that a listing lacks at once, where that is half of them or more."""
ANOTHER: Final = "check its key, group, region and base_url, and give another workspace a name of its own"
DOUBTED_FOR: Final = timedelta(hours=24)
SHOWN_LATE: Final = timedelta(hours=1)
"""How much later than it was created a listing may first show a sync."""


@dataclass(frozen=True, slots=True)
class Listings:
    """What the listings so far were; all times are the API's."""

    first_at: datetime | None = None
    """When the first one was."""
    complete_at: datetime | None = None
    """When the newest complete one was."""
    doubted_since: datetime | None = None
    """From when on they lacked more watched syncs than is believed."""
    source: str | None = None
    """What the last one was a list of that showed the workspace."""

    @classmethod
    def of(cls, state: WorkspaceState) -> "Listings":
        """As the database remembers them."""
        return cls(state.first_listed_at, state.listed_at, state.doubted_since, state.source)

    def kept_in(self, state: WorkspaceState) -> WorkspaceState:
        """The workspace's state with them."""
        return replace(
            state,
            first_listed_at=self.first_at,
            listed_at=self.complete_at,
            doubted_since=self.doubted_since,
            source=self.source,
        )

    def shows_another_workspace(self, listing: Listing, known: Collection[Id]) -> bool:
        """Whether it comes from elsewhere than the last one, and shows none of what is known of the workspace: with
        another key, group or version of the API it may be a list of other syncs altogether."""
        return bool(known) and listing.source != self.source and not any(i in listing.syncs for i in known)

    def believed(
        self, listing: Listing, watched: Collection[Id], of_runs: Collection[Id] = (), *, is_first: bool = False
    ) -> tuple[Listing, "Listings"]:
        """The listing, with a flaw where it is not believed, and these with the doubt. `watched`: syncs that it should
        show; `of_runs`: those that watched runs are known to be of. A filter, a lost right or an empty answer looks
        just as if most syncs had been deleted at once; that is believed after a day of it. So is a list that shows none
        of them where none was seen before it, `is_first`: meanwhile the key's owner may have been moved."""
        known_here = {*watched, *of_runs}
        if self.shows_another_workspace(listing, known_here):
            known = "the only sync" if len(known_here) == 1 else f"all {len(known_here):,} syncs"
            others = f", and shows {counted(len(listing.syncs), 'other')}" if listing.syncs else ""
            flaw = f"it lacks {known} that the notifier knows of this workspace{others}; {ANOTHER}"
            return replace(listing, flaw=flaw), self
        # What was doubted of another list says nothing of this one.
        before = self if listing.source == self.source else replace(self, doubted_since=None)
        if listing.flaw is not None:
            return listing, before
        lacking = sum(i not in listing.syncs and i not in listing.foreign for i in watched)
        is_half = lacking >= DOUBTED_FROM and 2 * lacking >= len(watched)
        is_all = is_first and 0 < lacking == len(watched)
        if not is_half and not is_all and (listing.syncs or not lacking):
            return listing, replace(self, doubted_since=None)
        since = before.doubted_since or listing.listed_at
        doubted = replace(before, doubted_since=since)
        if listing.listed_at - since >= DOUBTED_FOR:
            return listing, doubted
        flaw = f"it lacks {lacking:,} of {len(watched):,} watched syncs at once"
        if not listing.syncs:
            flaw = f"it is empty, though {lacking:,} of its syncs are watched"
        until = f"believed from {since + DOUBTED_FOR:%Y-%m-%d %H:%M} UTC on"
        return replace(listing, flaw=f"{flaw}; {until}"), doubted

    def after(self, listing: Listing) -> "Listings":
        """These, and one more."""
        return replace(
            self,
            source=listing.source if listing.ended else self.source,
            first_at=listing.listed_at if self.first_at is None and listing.ended else self.first_at,
            complete_at=listing.listed_at if listing.complete else self.complete_at,
        )

    @property
    def _new_from(self) -> datetime | None:
        """Syncs created since then, of which no listing told yet, are new. None: none is."""
        known = self.complete_at or self.first_at
        return known - SHOWN_LATE if known is not None and self.first_at is not None else None

    def is_new(self, sync: Sync | None) -> bool:
        """Whether a sync of which no listing told yet is so young that all its runs are news: younger than the newest
        complete listing that did not show it, or not much older."""
        return (
            sync is not None
            and sync.created_at is not None
            and self._new_from is not None
            and sync.created_at > self._new_from
        )

    def young(self, listing: Listing) -> Iterator[Sync]:
        """The syncs of a listing that would still be new to the next one."""
        known, listed_at = self._new_from, listing.listed_at - SHOWN_LATE
        from_then = min(known, listed_at) if known is not None else listed_at
        return (s for s in listing.syncs.values() if s.created_at is not None and s.created_at > from_then)
