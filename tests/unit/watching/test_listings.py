"""How far a listing is believed, by what the ones before it were."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.census.listing import Listing
from notifier.model.sync import Sync
from notifier.watching.listings import Listings

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def listing(*sync_ids: int, at: datetime = NOW, flaw: str | None = None) -> Listing:
    syncs = {sync_id: Sync(sync_id, None, None, paused=False, created_at=None) for sync_id in sync_ids}
    return Listing(syncs, ended=True, flaw=flaw, pages=1, listed_at=at)


@pytest.mark.parametrize(
    ("shown", "watched", "is_doubted"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4), False),
        ((1, 2, 3, 4), (1, 2, 3, 4, 5, 6), False),  # two are lacking: too few to doubt it
        ((1, 2, 3, 4), (1, 2, 3, 4, 5, 6, 7), False),  # three, but less than half
        ((1, 2, 3), (1, 2, 3, 4, 5, 6), True),
        ((), (1,), True),  # an empty list says that all is gone
        ((), (), False),
        ((9,), (1, 2), False),
    ],
)
def test_a_listing_is_doubted_that_lacks_half_of_the_watched_syncs_and_three_at_least_or_all(
    shown: tuple[int, ...], watched: tuple[int, ...], is_doubted: bool
) -> None:
    believed, since = Listings(NOW - HOUR, NOW - HOUR).believed(listing(*shown), watched)
    assert (believed.complete, since) == (not is_doubted, NOW if is_doubted else None)


def test_a_doubted_listing_is_believed_after_a_day_of_it() -> None:
    before = Listings(NOW - HOUR, NOW - HOUR, doubted_since=NOW)
    nearly, since = before.believed(listing(at=NOW + 24 * HOUR - timedelta(seconds=1)), (1, 2, 3))
    assert (nearly.flaw, since) == (
        "it is empty, though 3 of its syncs are watched; believed from 2026-11-24 10:00 UTC on",
        NOW,
    )
    at_last, since = before.believed(listing(at=NOW + 24 * HOUR), (1, 2, 3))
    assert (at_last.complete, since) == (True, NOW)


def test_a_listing_that_is_not_whole_neither_begins_a_doubt_nor_ends_one() -> None:
    for since in (None, NOW - HOUR):
        torn = listing(1, flaw="it does not end")
        assert Listings(NOW - HOUR, None, since).believed(torn, (1, 2, 3)) == (torn, since)


@pytest.mark.parametrize(
    ("listings", "age", "is_new"),
    [
        (Listings(), timedelta(0), False),  # before any listing: all is baseline
        (Listings(NOW, NOW), timedelta(0), True),
        (Listings(NOW, NOW), HOUR - timedelta(seconds=1), True),  # a list may show a sync late
        (Listings(NOW, NOW), HOUR, False),
        (Listings(NOW - 5 * HOUR, None), 5 * HOUR, True),  # no complete one: the first counts
        (Listings(NOW - 5 * HOUR, NOW), 5 * HOUR, False),
    ],
)
def test_a_sync_is_new_that_is_younger_than_the_newest_complete_listing_or_an_hour_older(
    listings: Listings, age: timedelta, is_new: bool
) -> None:
    sync = Sync(1, None, None, paused=False, created_at=NOW - age)
    assert listings.are_older_than(sync) is is_new
    assert not listings.are_older_than(Sync(1, None, None, paused=False, created_at=None))
    assert not listings.are_older_than(None)


def test_a_sync_that_is_shown_unwatched_may_be_taken_for_new_later_by_the_older_of_both_times() -> None:
    assert Listings().young_from(NOW) == NOW - HOUR
    assert Listings(NOW - 5 * HOUR, NOW - 3 * HOUR).young_from(NOW) == NOW - 4 * HOUR
    assert Listings(NOW, NOW).young_from(NOW - 2 * HOUR) == NOW - 3 * HOUR
