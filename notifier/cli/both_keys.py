"""What another key of a workspace shows beside the one in use: whether a switch of versions would change what is seen.

Syncs and runs come while this reads, so a difference is read once more before it counts.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from notifier.census.client import CensusClient
from notifier.census.listing import Listing, read_listing
from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError
from notifier.model.identity import Id, in_order

MOST_COMPARED: Final = 50  # syncs whose newest runs are compared: each costs a request to either version
NEWEST: Final = 5  # runs asked for, as a poll does
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Unshown:
    """That a version did not show a sync's runs, and why."""

    version: ApiVersion
    error: CensusError


@dataclass(frozen=True, slots=True)
class Newest:
    """A sync's newest run, as a version shows it."""

    id: Id
    status: str | None

    def __str__(self) -> str:
        return f"{self.id} ({self.status or 'no status'})"


@dataclass(frozen=True, slots=True)
class NewestRuns:
    """Whether the syncs that both versions show have the same newest run."""

    asked: tuple[Id, ...]
    """The syncs that were looked at: watched ones first, and `MOST_COMPARED` at most."""
    of: int
    """How many both show."""
    differ: dict[Id, tuple[Newest | None, Newest | None]]
    """The newest run by the version in use and by the other one; None for a sync without runs."""
    unread: dict[Id, Unshown]
    """Those of which a version did not show the runs."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two lists that are both complete, beside each other."""

    in_use: Listing
    other: Listing
    """As they were read last."""
    newest: NewestRuns

    @property
    def only_in_use(self) -> tuple[Id, ...]:
        """The syncs that the other version does not show."""
        return _lacking(self.in_use, self.other)

    @property
    def only_other(self) -> tuple[Id, ...]:
        """The syncs that the version in use does not show."""
        return _lacking(self.other, self.in_use)

    @property
    def same_syncs(self) -> bool:
        """Whether each shows what the other does."""
        return self.in_use.syncs.keys() == self.other.syncs.keys()


@dataclass(frozen=True, slots=True)
class OtherKey:
    """What a key shows that is not in use."""

    version: ApiVersion
    listing: Listing | CensusError
    comparison: Comparison | None
    """None where one of the two lists could not be read, or may lack some."""


async def look_at_others(
    clients: Sequence[CensusClient], listing: Listing | CensusError, watched: Collection[Id]
) -> tuple[OtherKey, ...]:
    """Compares the first of a workspace's clients, which is in use and gave this listing, with each of the others."""
    in_use, *others = clients
    return tuple([await _look_at(in_use, listing, other, watched) for other in others])


async def listing_of(client: CensusClient) -> Listing | CensusError:
    """The syncs that a key shows, or why there are none."""
    try:
        return await read_listing(client, datetime.now(UTC))
    except CensusError as error:
        return error


async def _look_at(
    in_use: CensusClient, listing: Listing | CensusError, other: CensusClient, watched: Collection[Id]
) -> OtherKey:
    pair = listing, await listing_of(other)
    if _are_whole(*pair) and not _are_alike(*pair):
        pair = await listing_of(in_use), await listing_of(other)
    mine, theirs = pair
    comparison = None
    if isinstance(mine, Listing) and isinstance(theirs, Listing) and mine.complete and theirs.complete:
        both = mine.syncs.keys() & theirs.syncs.keys()
        order = sorted(both, key=lambda sync_id: (sync_id not in watched, in_order(sync_id)))
        comparison = Comparison(mine, theirs, await _newest_runs(in_use, other, order))
    return OtherKey(other.version.NAME, theirs, comparison)


def _are_whole(*listings: Listing | CensusError) -> bool:
    return all(isinstance(listing, Listing) and listing.complete for listing in listings)


def _are_alike(one: Listing | CensusError, another: Listing | CensusError) -> bool:
    return isinstance(one, Listing) and isinstance(another, Listing) and one.syncs.keys() == another.syncs.keys()


def _lacking(one: Listing, another: Listing) -> tuple[Id, ...]:
    return tuple(sorted(one.syncs.keys() - another.syncs.keys(), key=in_order))


# --- their newest runs ---


async def _newest_runs(in_use: CensusClient, other: CensusClient, order: Sequence[Id]) -> NewestRuns:
    asked = tuple(order[:MOST_COMPARED])
    found = await asyncio.gather(*(_newest_of_both(in_use, other, sync_id) for sync_id in asked))
    differ: dict[Id, tuple[Newest | None, Newest | None]] = {}
    unread: dict[Id, Unshown] = {}
    for sync_id, pair in zip(asked, found, strict=True):
        if isinstance(pair, Unshown):
            unread[sync_id] = pair
        elif pair[0] != pair[1]:
            differ[sync_id] = pair
    return NewestRuns(asked, len(order), differ, unread)


async def _newest_of_both(
    in_use: CensusClient, other: CensusClient, sync_id: Id
) -> tuple[Newest | None, Newest | None] | Unshown:
    pair: list[Newest | None] = []  # the last two answers, one of each version
    for client in (in_use, other, in_use, other):
        if len(pair) == 2 and pair[0] == pair[1]:
            break
        try:
            pair = [*pair[-1:], await _newest(client, sync_id)]
        except CensusError as error:
            return Unshown(client.version.NAME, error)
    mine, theirs = pair
    return mine, theirs


async def _newest(client: CensusClient, sync_id: Id) -> Newest | None:
    """Runs stand by the time at which they were created, then as they are listed."""
    answer = await client.runs(sync_id, page=1, per_page=NEWEST)
    runs = client.version.runs_page(answer.body, sync_id).runs
    if not runs:
        return None
    run = max(runs, key=lambda run: run.created_at or _NEVER)
    return Newest(run.id, run.watched.status)
