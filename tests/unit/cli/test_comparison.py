"""What is said of two keys that show the same, and of two that don't."""

from dataclasses import replace

import pytest

from notifier.census.listing import Listing
from notifier.cli.both_keys import Comparison, Newest, NewestRuns, OtherKey, Unshown
from notifier.cli.comparison import Told, compared, differences, unlike
from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError, NotFound, Unreachable
from notifier.model.identity import Id
from notifier.model.sync import Sync
from tests.builders import NOW

V1, V2 = ApiVersion.V1, ApiVersion.V2
GONE = NotFound("HTTP 410 Gone")


def a_listing(*sync_ids: Id, flaw: str | None = None) -> Listing:
    syncs = {sync_id: Sync(sync_id, f"Sync {sync_id}", None, False, NOW) for sync_id in sync_ids}
    return Listing(syncs, True, flaw, 1, NOW, "here")


def agreeing(*sync_ids: Id, of: int | None = None) -> NewestRuns:
    return NewestRuns(sync_ids, len(sync_ids) if of is None else of, {}, {})


def other(in_use: Listing, listing: Listing, newest: NewestRuns) -> OtherKey:
    return OtherKey(V1, listing, Comparison(in_use, listing, newest))


def said(in_use: Listing | CensusError, other: OtherKey) -> tuple[Told | None, list[str], str | None]:
    return compared(V2, in_use, other), list(differences(V2, in_use, other)), unlike(in_use, other)


def test_two_that_show_the_same_are_a_good_line_and_nothing_else() -> None:
    both = a_listing(51, 52)
    assert said(both, other(both, both, agreeing(51, 52))) == (
        Told(True, "both: the same 2 syncs; newest runs: they agree"),
        [],
        None,
    )
    empty = a_listing()
    assert said(empty, other(empty, empty, agreeing())) == (Told(True, "both: no syncs"), [], None)


def test_what_was_not_looked_at_is_not_said_to_agree() -> None:
    both = a_listing(*range(1, 61))
    told, _, _ = said(both, other(both, both, agreeing(*range(1, 51), of=60)))
    assert told == Told(True, "both: the same 60 syncs; newest runs of 50 of 60, watched ones first: they agree")


def test_syncs_that_one_shows_alone_are_bad_and_named() -> None:
    mine, theirs = a_listing(51, "glimmering_donkey"), a_listing(51, 52, 53)
    told, named, why = said(mine, other(mine, theirs, agreeing(51)))
    assert told == Told(False, "both: 1 sync only by version 2, 2 syncs only by version 1; newest runs: they agree")
    assert named == [
        "only version 2 shows sync glimmering_donkey (Sync glimmering_donkey)",
        "only version 1 shows sync 52 (Sync 52)",
        "only version 1 shows sync 53 (Sync 53)",
    ]
    assert why == "its two keys do not show the same syncs, see above; docs/v2.md says what to look at"


def test_two_that_have_nothing_in_common_say_so() -> None:
    mine, theirs = a_listing(1), a_listing("one")
    told, _, why = said(mine, other(mine, theirs, agreeing()))
    assert told == Told(False, "both: 1 sync only by version 2, 1 sync only by version 1; none that both show")
    assert why is not None


@pytest.mark.parametrize(("more", "last"), [(11, "1 more sync"), (12, "2 more syncs")])
def test_ten_are_named_and_the_others_counted(more: int, last: str) -> None:
    mine, theirs = a_listing(), a_listing(*range(1, more + 1))
    _, named, _ = said(mine, other(mine, theirs, agreeing()))
    assert len(named) == 11
    assert named[-1] == f"only version 1 shows {last}"
    both = a_listing(*range(1, more + 1))
    differing = replace(
        agreeing(*both.syncs), differ=dict.fromkeys(both.syncs, (Newest(1, "failed"), Newest(2, "failed")))
    )
    _, named, _ = said(both, other(both, both, differing))
    assert named[-1] == f"the newest runs of {last} differ too"
    broken = replace(agreeing(*both.syncs), unread={i: Unshown(V1, Unreachable("HTTP 500")) for i in both.syncs})
    _, named, _ = said(both, other(both, both, broken))
    assert named[-1] == f"the runs of {last} can't be read either"


def test_newest_runs_that_differ_are_told_and_no_failure() -> None:
    both = a_listing(51, 52, 53)
    differ: dict[Id, tuple[Newest | None, Newest | None]] = {
        51: (Newest(7, "failed"), Newest(7, "Failed")),
        52: (None, Newest("an_ant", None)),
    }
    newest = NewestRuns((51, 52, 53), 3, differ, {53: Unshown(V1, GONE)})
    assert said(both, other(both, both, newest)) == (
        Told(None, "both: the same 3 syncs; newest runs: 2 differ, 1 can't be read"),
        [
            "the newest run of sync 51 (Sync 51) is 7 (failed) by version 2 and 7 (Failed) by version 1, asked twice",
            "the newest run of sync 52 (Sync 52) is none by version 2 and an_ant (no status) by version 1, asked twice",
            "the runs of sync 53 (Sync 53) can't be read by version 1: HTTP 410 Gone",
        ],
        None,
    )


def test_an_old_key_that_fails_is_no_failure_and_one_in_use_says_so_by_itself() -> None:
    works, broken = a_listing(51), OtherKey(V1, GONE, None)
    assert said(works, broken) == (
        None,
        ["only the key of version 1 fails, which is not in use; the two can't be compared"],
        None,
    )
    assert said(GONE, broken) == (None, [], None)
    assert said(GONE, OtherKey(V1, works, None)) == (None, [], None)


def test_a_list_that_may_lack_some_proves_nothing() -> None:
    whole, flawed = a_listing(51), a_listing(51, flaw="it holds 1 syncs, and says that there are 9")
    told, named, why = said(whole, OtherKey(V1, flawed, None))
    assert told == Told(False, "both: can't be compared, see below")
    assert named == ["the list of syncs by version 1 is not complete: it holds 1 syncs, and says that there are 9"]
    assert why == "whether its two keys show the same syncs can't be told, see above"
    _, named, _ = said(whole, OtherKey(V1, whole, None))
    assert named == ["the two lists of syncs differed, and that of version 2 could not be read a second time"]
