"""What listings say by what they lack: which one is believed, and which sync is new."""

from datetime import datetime, timedelta

import pytest

from notifier.census.listing import Listing
from notifier.model.identity import Id
from notifier.model.sync import Sync, WorkspaceState
from notifier.watching.listings import DOUBTED_FOR, SHOWN_LATE, Listings
from tests.builders import NOW, at

HOUR = timedelta(hours=1)


def a_listing(*syncs: int, when: datetime = NOW, flaw: str | None = None, ended: bool = True) -> Listing:
    shown: dict[Id, Sync] = {sync_id: Sync(sync_id, f"Sync {sync_id}", None, False, at(sync_id)) for sync_id in syncs}
    return Listing(shown, ended, flaw, 1, when)


@pytest.mark.parametrize(
    ("shown", "watched", "is_believed"),
    [
        ({1, 2, 3, 4}, {1, 2, 3, 4}, True),
        ({1, 2}, {1, 2, 3, 4}, True),  # two may well have been deleted
        ({1, 2, 3}, {1, 2, 3, 4, 5, 6}, False),  # three, which are half
        ({1, 2, 3, 4}, {1, 2, 3, 4, 5, 6, 7}, True),  # three, which are less
        ({9}, {1, 2, 3}, False),
        (set(), {1}, False),  # empty
        (set(), set(), True),
    ],
)
def test_a_listing_that_lacks_half_of_what_is_watched_at_once_is_not_believed(
    shown: set[int], watched: set[int], is_believed: bool
) -> None:
    listing, doubted = Listings(NOW, NOW).believed(a_listing(*shown), watched)
    assert listing.complete == is_believed
    assert doubted == Listings(NOW, NOW, None if is_believed else NOW)


def test_what_lasts_for_a_day_is_believed_and_one_good_listing_ends_the_doubt() -> None:
    _, doubted = Listings(NOW, NOW).believed(a_listing(), {1})
    just_before, still = doubted.believed(a_listing(when=NOW + DOUBTED_FOR - HOUR), {1})
    assert (just_before.complete, still) == (False, doubted)
    at_last, _ = still.believed(a_listing(when=NOW + DOUBTED_FOR), {1})
    assert at_last.complete
    _, over = still.believed(a_listing(1, when=NOW + HOUR), {1})
    assert over.doubted_since is None


def test_a_listing_with_a_flaw_neither_raises_a_doubt_nor_ends_one() -> None:
    for before in (Listings(NOW, NOW), Listings(NOW, NOW, NOW)):
        flawed = a_listing(flaw="it does not end")
        assert before.believed(flawed, {1}) == (flawed, before)


def test_only_the_first_listing_that_ended_is_the_first_and_only_complete_ones_are_complete() -> None:
    broken_off = Listings().after(a_listing(flaw="it does not end", ended=False))
    assert broken_off == Listings()
    first = broken_off.after(a_listing(1, flaw="it holds 1 sync, and says that there are 2"))
    assert first == Listings(NOW)
    second = first.after(a_listing(1, when=NOW + HOUR))
    assert second == Listings(NOW, NOW + HOUR)
    assert Listings.of(second.kept_in(WorkspaceState("production"))) == second


def test_a_sync_is_new_that_was_created_after_the_last_complete_listing_or_just_before() -> None:
    known = Listings(NOW, NOW + HOUR)
    new_from = NOW + HOUR - SHOWN_LATE

    def made(created_at: datetime | None) -> Sync:
        return Sync(52, "Leads", None, False, created_at)

    assert known.is_new(made(new_from + timedelta(seconds=1)))
    assert not known.is_new(made(new_from))
    assert not known.is_new(made(None))
    assert not known.is_new(None)
    assert not Listings().is_new(made(NOW + HOUR)), "before the first listing, none is"


def test_a_sync_that_was_shown_is_young_as_long_as_it_would_still_be_new_to_the_next_listing() -> None:
    listing = a_listing(1, 70, when=at(120))
    assert [sync.id for sync in Listings().young(listing)] == [70]
    assert [sync.id for sync in Listings(NOW, at(60)).young(listing)] == [1, 70]
