"""Which syncs a page shows."""

from typing import Any

import pytest

from notifier.model.identity import Id
from notifier.store.views.page import LastRuns, SyncRow
from notifier.watchlist.covers import Coverage
from notifier.watchlist.models import SyncSelector, Watch
from notifier.web.page.syncs import A_PAGE, Board, Labelling, State, Wanted, board_of, state_of, watched_elsewhere
from notifier.web.worker import WatchedNow

GOOD, BAD = LastRuns("completed", failed=False), LastRuns("failed", failed=True)


def a_sync(sync_id: Id, label: str | None = "A", **more: Any) -> WatchedNow:
    return WatchedNow(
        **{"workspace": "production", "id": sync_id, "label": label, "labels": {}, "paused": False, **more}
    )


SYNCS = [
    a_sync(1, "New Signups to Leads", labels={"team": "growth"}),
    a_sync(2, "HubSpot: Contacts", labels={"team": "growth", "tier": "paid"}),
    a_sync(3, "Salesforce Accounts", workspace="eu"),
    a_sync(52, None),
]


def ids(board: Board) -> list[Id]:
    return [sync.id for sync, _ in board.shown]


def shown(**wanted: Any) -> list[Id]:
    return ids(board_of(SYNCS, {}, (), Wanted(order="name", **wanted)))


def test_syncs_of_one_name_stand_by_their_ids_numbers_before_words() -> None:
    syncs = [a_sync(sync_id, "Leads") for sync_id in ("tame_yak", 10, "007", 9)]
    assert ids(board_of(syncs, {}, (), Wanted(order="name"))) == [9, 10, "007", "tame_yak"]
    assert ids(board_of(syncs, {}, (), Wanted(name="tame_yak"))) == ["tame_yak"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [52, 2, 1, 3]),
        ({"name": "SIGN"}, [1]),
        ({"name": "*contacts"}, [2]),
        ({"name": "contacts*"}, []),
        ({"name": "[hn]*"}, [2, 1]),
        ({"name": "52"}, [52]),
        ({"label": "team=growth"}, [2, 1]),
        ({"label": "tier"}, [2]),
        ({"label": "team="}, []),
        ({"label": "team=growth", "name": "hub"}, [2]),
        ({"workspace": "eu"}, [3]),
        ({"workspace": "none"}, []),
        ({"name": "x"}, []),
    ],
)
def test_filters(wanted: dict[str, str], found: list[int]) -> None:
    assert shown(**wanted) == found


@pytest.mark.parametrize(
    ("last", "incident", "paused", "state"),
    [
        (GOOD, False, False, State.OK),
        (GOOD, True, False, State.FAILING),
        (BAD, False, True, State.FAILING),
        (LastRuns("working", failed=False), False, True, State.RUNNING),
        (LastRuns("working", failed=True), False, False, State.FAILING),
        (LastRuns("skipped", failed=True), False, False, State.FAILING),
        (LastRuns(None, failed=False), False, None, State.OK),
        (GOOD, False, True, State.PAUSED),
        (None, False, True, State.PAUSED),
        (None, False, False, State.NO_RUNS),
        (None, True, False, State.FAILING),
    ],
)
def test_how_a_sync_is(last: LastRuns | None, incident: bool, paused: bool | None, state: State) -> None:
    assert state_of(a_sync(1, paused=paused), last, incident) is state


def test_a_sync_that_can_not_be_read_does_not_look_well() -> None:
    for last in (GOOD, None, LastRuns("working", failed=False)):
        assert state_of(a_sync(1, paused=True), last, has_incident=False, is_unread=True) is State.FAILING
    board = board_of(SYNCS, {sync.key: GOOD for sync in SYNCS}, (), Wanted(), [SYNCS[2].key])
    assert board.shown[0] == (SYNCS[2], State.FAILING)


def test_the_failing_come_first_and_each_state_is_counted_whichever_is_shown() -> None:
    last_runs = {sync.key: GOOD for sync in SYNCS} | {SYNCS[2].key: BAD}
    board = board_of(SYNCS, last_runs, [SYNCS[0].key], Wanted())
    assert ids(board) == [1, 3, 52, 2]
    assert ids(board_of(SYNCS, last_runs, [SYNCS[0].key], Wanted(order="name"))) == [52, 2, 1, 3]
    only = board_of(SYNCS, last_runs, [SYNCS[0].key], Wanted(state=State.OK))
    assert ids(only) == [52, 2]
    assert only.counts == {State.FAILING: 2, State.OK: 2}
    assert (only.found, only.all, only.watched) == (2, 4, 4)


def test_a_page_beyond_the_last_is_the_last() -> None:
    many = [a_sync(number, f"{number:04}") for number in range(1, A_PAGE * 2 + 2)]
    first, second = (board_of(many, {}, (), Wanted(page=page)) for page in (1, 2))
    assert (ids(first), first.page) == (list(range(1, A_PAGE + 1)), 1)
    assert (ids(second), second.page) == (list(range(A_PAGE + 1, A_PAGE * 2 + 1)), 2)
    board = board_of(many, {}, (), Wanted(page=99))
    assert (ids(board), board.page, board.pages) == ([A_PAGE * 2 + 1], 3, 3)
    nothing = board_of([], {}, (), Wanted(page=3))
    assert (nothing.shown, nothing.page, nothing.pages) == ([], 1, 1)


def test_a_link_holds_only_what_says_something() -> None:
    assert Wanted().query() == {}
    wanted = Wanted(name="a", state=State.NO_RUNS, workspace="eu", page=2)
    assert wanted.query() == {"name": "a", "state": "no-runs", "in": "eu", "page": "2"}
    assert Wanted(label="team=growth", order="name").query() == {"label": "team=growth", "order": "name"}


def test_what_may_be_filtered_by_are_the_labels_of_all_syncs_and_not_too_many() -> None:
    assert board_of(SYNCS, {}, (), Wanted(name="none")).labels == ["team=growth", "tier=paid"]
    many = [a_sync(number, labels={"owner": f"{number:03}"}) for number in range(60)]
    assert board_of(many, {}, (), Wanted()).labels == [f"owner={number:03}" for number in range(50)]


# --- of other workers' workspaces ---

WATCHES = (
    Watch(workspace="eu", syncs="all", labels={"team": "growth", "place": "eu"}),
    Watch(workspace="eu", syncs=SyncSelector(label=("Sales*",)), labels={"team": "sales"}),
    Watch(workspace="us", sync=1, labels={"place": "us"}),
)


def labels_of(*rows: SyncRow, labelling: Labelling) -> dict[tuple[str, Id], Any]:
    return {sync.key: sync.labels for sync in watched_elsewhere(rows, WATCHES, labelling)}


def test_each_workspace_has_the_labels_of_its_own_watches() -> None:
    rows = (SyncRow("us", 1, "Sales", None), SyncRow("eu", 1, "Leads", paused=True), SyncRow("us", 2, None, None))
    found = watched_elsewhere((*rows, SyncRow("eu", 2, "Sales", paused=False)), WATCHES, Labelling())
    assert found == [
        WatchedNow("us", 1, "Sales", {"place": "us"}, None),
        WatchedNow("us", 2, None, {}, None),
        WatchedNow("eu", 1, "Leads", {"team": "growth", "place": "eu"}, paused=True),
        WatchedNow("eu", 2, "Sales", {"team": "sales", "place": "eu"}, paused=False),
    ]


def test_labels_are_found_once_until_a_sync_is_called_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()
    real = Coverage.labels_of

    def counted(coverage: Coverage, syncs: Any) -> Any:
        asked.append(syncs)
        return real(coverage, syncs)

    monkeypatch.setattr(Coverage, "labels_of", counted)
    labelling = Labelling()
    for _ in range(3):
        assert labels_of(SyncRow("eu", 1, "Leads", None), labelling=labelling)["eu", 1]["team"] == "growth"
    assert len(asked) == 1
    assert labels_of(SyncRow("eu", 1, "Sales", None), labelling=labelling)["eu", 1]["team"] == "sales"
    assert labels_of(SyncRow("us", 1, "Sales", None), labelling=labelling) == {("us", 1): {"place": "us"}}
    assert watched_elsewhere([SyncRow("us", 1, "Sales", None)], (), labelling)[0].labels == {}  # after a reload
    assert len(asked) == 4
