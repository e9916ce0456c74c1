"""Which syncs and runs a watchlist covers, and with which labels."""

import pytest

from notifier.watchlist.covers import covered_syncs, covers, labels_of_run, named_runs, named_syncs, watches_of
from notifier.watchlist.models import Watch
from tests.builders import a_label_watch, a_run_watch, a_sync_watch, a_watch_of_all


@pytest.mark.parametrize(
    ("watch", "expected"),
    [
        (a_sync_watch(52), True),
        (a_sync_watch(53), False),
        (a_watch_of_all(), True),
        (a_run_watch(52), False),  # a run's ID is not a sync's
        (a_label_watch("Salesforce *"), True),
        (a_label_watch("salesforce *"), False),
        (a_label_watch("Salesforce"), False),
        (a_label_watch(["HubSpot: *", "Salesforce *"]), True),
        (a_label_watch(["HubSpot: *", "Marketo *"]), False),
        (a_label_watch("Salesforce *", "* (test)"), True),
        (a_label_watch("Salesforce *", "*Leads"), False),
        (a_label_watch("Salesforce *", ["* (test)", "*Leads"]), False),
        (a_label_watch(exclude="* (test)"), True),
        (a_label_watch(exclude="Salesforce*"), False),
        (a_label_watch("Salesforce [KL]eads"), True),
    ],
)
def test_a_watch_covers_a_sync_by_its_id_or_label(watch: Watch, expected: bool) -> None:
    assert covers(watch, 52, "Salesforce Leads") is expected


@pytest.mark.parametrize(
    ("watch", "expected"),
    [
        (a_watch_of_all(), True),
        (a_label_watch("*"), True),
        (a_label_watch("?*"), False),
        (a_label_watch("None"), False),
        (a_label_watch(exclude="* (test)"), True),
        (a_label_watch(exclude="*"), False),
    ],
)
def test_a_sync_without_a_label_has_the_empty_label(watch: Watch, expected: bool) -> None:
    assert covers(watch, 52, None) is expected


def test_the_watches_of_a_workspace_keep_their_order() -> None:
    first, other, last = a_sync_watch(2), a_sync_watch(1, workspace="staging"), a_watch_of_all()
    assert watches_of("production", [first, other, last]) == (first, last)
    assert watches_of("nowhere", [first, other, last]) == ()


def test_syncs_and_runs_are_named_by_their_own_ids() -> None:
    watches = [a_sync_watch(1), a_run_watch(2), a_watch_of_all(), a_label_watch("*"), a_sync_watch(3)]
    assert named_syncs(watches) == {1, 3}
    assert named_runs(watches) == {2}


def test_what_no_watch_covers_is_left_out() -> None:
    assert covered_syncs([a_sync_watch(1), a_run_watch(2)], {1: "a", 2: "b", 3: None}) == {1: {}}
    assert covered_syncs([], {1: "a"}) == {}


def test_the_labels_of_all_watches_are_merged_and_later_ones_win() -> None:
    watches = [
        a_watch_of_all(team="data", tier="3"),
        a_label_watch("Salesforce *", team="sales"),
        a_sync_watch(52, tier="1", owner="ann"),
    ]
    assert covered_syncs(watches, {52: "Salesforce Leads", 53: "Salesforce Deals", 54: "Ads", 55: None}) == {
        52: {"team": "sales", "tier": "1", "owner": "ann"},
        53: {"team": "sales", "tier": "3"},
        54: {"team": "data", "tier": "3"},
        55: {"team": "data", "tier": "3"},
    }
    assert covered_syncs(list(reversed(watches)), {52: "Salesforce Leads"}) == {
        52: {"team": "data", "tier": "3", "owner": "ann"}
    }


def test_a_watched_run_has_its_own_labels_and_those_of_its_syncs_watches_in_order() -> None:
    watches = [a_watch_of_all(team="data", tier="3"), a_run_watch(94, tier="1", who="me"), a_sync_watch(52, who="us")]
    assert labels_of_run(watches, 52, None, 94) == {"team": "data", "tier": "1", "who": "us"}
    assert labels_of_run(watches, 52, None, 95) == {"team": "data", "tier": "3", "who": "us"}
    assert labels_of_run(watches, 7, None, 94) == {"team": "data", "tier": "1", "who": "me"}


def test_a_run_watch_takes_no_labels_of_watches_that_do_not_cover_its_sync() -> None:
    watches = [a_run_watch(94, tier="1"), a_sync_watch(53, team="sales"), a_run_watch(95, tier="2")]
    assert labels_of_run(watches, 52, "x", 94) == {"tier": "1"}
