"""One reading of a workspace's list of syncs, page by page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from notifier.census.client import CensusClient
from notifier.model.identity import Id
from notifier.model.sync import Sync

MOST_LISTING_PAGES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Listing:
    """One reading of a workspace's syncs."""

    syncs: dict[Id, Sync]
    ended: bool
    """Whether it was read to its end."""
    flaw: str | None
    """Why it may lack some; None where it provably lacks none."""
    pages: int
    listed_at: datetime
    """By the API's clock."""
    source: str
    """What it is a list of, as the version of the API calls it."""
    foreign: frozenset[Id] = frozenset()
    """Syncs that it shows though they are of another group than the workspace's: as good as not there."""

    @property
    def complete(self) -> bool:
        """Whether a sync that it lacks is not there."""
        return self.flaw is None


async def read_listing(client: CensusClient, now: datetime) -> Listing:
    """Reads every page. Raises CensusError."""
    syncs: dict[Id, Sync] = {}
    foreign: set[Id] = set()
    number, ended, repeats, unreadable = 0, False, False, 0
    total: int | None = None
    listed_at = now
    while number < MOST_LISTING_PAGES and not ended:
        number += 1
        page, date = await client.syncs(page=number)
        if number == 1:
            listed_at = date or now
        before = len(syncs) + len(foreign)
        syncs.update((sync.id, sync) for sync in page.syncs)
        foreign |= page.foreign
        unreadable += page.unreadable
        total = page.paging.total
        ended = page.paging.more is False or (not page.syncs and not page.foreign and not page.paging.more)
        if len(syncs) + len(foreign) == before:
            repeats = page.paging.more is None  # an API that does not page repeats itself
            break
    flaw: str | None = None
    count = len(syncs.keys() | foreign)
    if not ended:
        flaw = f"it does not end, or repeats itself, after {count:,} syncs"
    elif unreadable:
        flaw = f"{unreadable:,} of {count + unreadable:,} syncs in it have no ID that can be read"
    elif foreign and not syncs:
        flaw = f"all {count:,} syncs in it say that they are of another group"
    elif total is not None and count < total:
        flaw = f"it holds {count:,} syncs, and says that there are {total:,}"
    return Listing(
        syncs, ended or repeats, flaw, number, listed_at, client.version.source, frozenset(foreign - syncs.keys())
    )
