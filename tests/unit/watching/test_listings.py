"""What listings say by what they lack: which one is believed, and which sync is new."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from notifier.census.listing import Listing
from notifier.model.identity import Id
from notifier.model.sync import Sync, WorkspaceState
from notifier.watching.listings import DOUBTED_FOR, SHOWN_LATE, Listings
from tests.builders import NOW, at

HOUR = timedelta(hours=1)


HERE = "https://app.getcensus.com/api/v1"


def a_listing(
    *syncs: int, when: datetime = NOW, flaw: str | None = None, ended: bool = True, source: str = HERE
) -> Listing:
    shown: dict[Id, Sync] = {sync_id: Sync(sync_id, f"Sync {sync_id}", None, False, at(sync_id)) for sync_id in syncs}
    return Listing(shown, ended, flaw, 1, when, source)


SEEN = Listings(NOW, NOW, source=HERE)


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
    listing, doubted = SEEN.believed(a_listing(*shown), watched)
    assert listing.complete == is_believed
    assert doubted == replace(SEEN, doubted_since=None if is_believed else NOW)


ELSEWHERE = "https://app.getcensus.com/api/v2"


@pytest.mark.parametrize("before", [SEEN, Listings(NOW, NOW)])  # the second: as a notifier of before kept it
@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ({8, 9}, "it lacks all 3 syncs that the notifier knows of this workspace, and shows 2 others; check its key, "),
        (set(), "it lacks all 3 syncs that the notifier knows of this workspace; check its key, "),
    ],
)
def test_a_listing_from_elsewhere_that_shows_nothing_known_is_never_believed(
    before: Listings, shown: set[int], says: str
) -> None:
    strange = a_listing(*shown, source=ELSEWHERE)
    for day in range(3):
        listing, after = before.believed(replace(strange, listed_at=NOW + day * DOUBTED_FOR), {1, 2, 3})
        assert after == before
        assert (listing.flaw or "").startswith(says)
    assert before.shows_another_workspace(strange, {1})
    assert (before.believed(strange, {1})[0].flaw or "").startswith("it lacks the only sync that the notifier knows")


def test_one_sync_that_is_known_or_none_to_know_makes_it_the_workspace() -> None:
    assert not SEEN.shows_another_workspace(a_listing(3, 9, source=ELSEWHERE), {1, 2, 3})
    assert not SEEN.shows_another_workspace(a_listing(9, source=ELSEWHERE), set())
    assert not SEEN.shows_another_workspace(a_listing(9), {1, 2, 3})
    assert SEEN.after(a_listing(3, 9, source=ELSEWHERE)).source == ELSEWHERE
    assert SEEN.after(a_listing(ended=False, source=ELSEWHERE)).source == HERE


@pytest.mark.parametrize(("is_first", "is_believed"), [(True, False), (False, True)])
def test_a_list_that_shows_none_is_doubted_where_none_was_seen_before_it(is_first: bool, is_believed: bool) -> None:
    listing, listings = SEEN.believed(a_listing(8, 9), {1, 2}, is_first=is_first)
    assert listing.complete is is_believed
    assert listings.doubted_since == (None if is_believed else NOW)
    assert SEEN.believed(a_listing(1, 9), {1, 2}, is_first=True)[0].complete
    foreign = replace(a_listing(8, 9), foreign=frozenset({1}))
    assert SEEN.believed(foreign, {1, 2}, is_first=True)[0].complete, "one of them says itself that it is another's"


def test_what_lasts_for_a_day_is_believed_and_one_good_listing_ends_the_doubt() -> None:
    _, doubted = SEEN.believed(a_listing(), {1})
    just_before, still = doubted.believed(a_listing(when=NOW + DOUBTED_FOR - HOUR), {1})
    assert (just_before.complete, still) == (False, doubted)
    at_last, _ = still.believed(a_listing(when=NOW + DOUBTED_FOR), {1})
    assert at_last.complete
    _, over = still.believed(a_listing(1, when=NOW + HOUR), {1})
    assert over.doubted_since is None


@pytest.mark.parametrize("flaw", [None, "it holds 1 sync, and says that there are 2"])
def test_a_list_from_elsewhere_is_doubted_for_a_day_of_its_own(flaw: str | None) -> None:
    doubted = replace(SEEN, doubted_since=NOW)
    late = NOW + DOUBTED_FOR
    first, after = doubted.believed(a_listing(1, when=late, source=ELSEWHERE, flaw=flaw), {1, 2, 3, 4})
    assert not first.complete
    listing, still = after.after(first).believed(a_listing(1, when=late + HOUR, source=ELSEWHERE), {1, 2, 3, 4})
    assert not listing.complete
    assert still.doubted_since == (late if flaw is None else late + HOUR)


def test_a_listing_with_a_flaw_neither_raises_a_doubt_nor_ends_one() -> None:
    for before in (SEEN, replace(SEEN, doubted_since=NOW)):
        flawed = a_listing(flaw="it does not end")
        assert before.believed(flawed, {1}) == (flawed, before)


def test_only_the_first_listing_that_ended_is_the_first_and_only_complete_ones_are_complete() -> None:
    broken_off = Listings().after(a_listing(flaw="it does not end", ended=False))
    assert broken_off == Listings()
    first = broken_off.after(a_listing(1, flaw="it holds 1 sync, and says that there are 2"))
    assert first == Listings(NOW, source=HERE)
    second = first.after(a_listing(1, when=NOW + HOUR))
    assert second == Listings(NOW, NOW + HOUR, source=HERE)
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
