"""Our values as rows: what is kept comes back as it was, and each column is written."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from notifier.model.api_version import ApiVersion
from notifier.model.delivery import DeliveryState, PendingDelivery, ReceiverState, Settlement
from notifier.model.hints import Hints
from notifier.model.incident import Check, CountedTo, Incident, Reason
from notifier.model.measure import Counted
from notifier.model.run import GoodRun, Records, Snapshot, Watched
from notifier.model.sync import Mark, RunWatch, Standing, WatchedSync, WorkspaceState
from notifier.store.sql import rows, schema
from notifier.store.sql.delivering import PENDING, PENDING_IN_LANE
from notifier.store.sql.watching import FEW_SNAPSHOTS, SNAPSHOTS

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


def ago(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


def stored(row: dict[str, Any], **other: Any) -> Any:
    """The row as a read gives it back."""
    return SimpleNamespace(**{**row, **other})


WORKSPACE = WorkspaceState(
    name="main",
    ok=False,
    last_error="401",
    last_polled_at=ago(1),
    first_listed_at=ago(2),
    stretch=2.5,
    needed_rate=31.25,
    silent_since=ago(3),
    listed_at=ago(4),
    unlisted_since=ago(5),
    doubted_since=ago(6),
    refusals=7,
    app_url="https://app.getcensus.com",
    api=ApiVersion.V2,
    source="https://app.getcensus.com/api/v2",
    hints=Hints.TRUSTED,
    announced=50,
    requests_per_minute=164,
)
RECEIVER = ReceiverState(
    name="growth",
    broken_since=ago(1),
    last_error="404",
    last_accepted_at=ago(2),
    hold_until=ago(3),
    probe_at=ago(4),
    note="C123",
    failed_since=ago(5),
    failing=True,
)
SNAPSHOT = Snapshot(
    run_id=1,
    sync_id=52,
    watched=Watched("failed", True, "code", "message", "detail"),
    created_at=ago(1),
    updated_at=ago(2),
    changed_at=ago(3),
    followed=True,
    completed_at=ago(4),
    records_sent=5,
    full_sync=True,
    counts=Records(5, 6, 7),
    api=ApiVersion.V2,
)
INCIDENT = Incident(
    id="inc_1",
    workspace="main",
    sync_id=52,
    sync_label="Leads",
    check=Check.FAILING,
    opened_at=ago(1),
    labels={"team": "growth"},
    runs=2,
    last_run_id=3,
    likeness="alike",
    last_good_run=GoodRun(4, ago(2)),
    measure=Counted(1, 2),
    reminders=5,
    reminded_at=ago(3),
    told=frozenset({"growth", "pipeline"}),
    resolved_at=ago(4),
    reason=Reason.RECOVERED,
    counted_to=CountedTo(6, ago(5)),
    wrong="its records",
)


def test_the_samples_differ_from_what_is_there_by_default() -> None:
    """Or a field that is lost would come back all the same."""
    for sample, plain in ((WORKSPACE, WorkspaceState("x")), (RECEIVER, ReceiverState("x"))):
        assert [f.name for f in fields(sample) if getattr(sample, f.name) == getattr(plain, f.name)] == []


def test_a_workspace_comes_back_as_it_was() -> None:
    assert rows.workspace_of(stored(rows.workspace_row(WORKSPACE))) == WORKSPACE


def test_a_receiver_comes_back_as_it_was() -> None:
    assert rows.receiver_of(stored(rows.receiver_row(RECEIVER))) == RECEIVER


def test_a_snapshot_comes_back_as_it_was() -> None:
    row = rows.snapshot_row("main", SNAPSHOT)
    for statement in (SNAPSHOTS, FEW_SNAPSHOTS):
        assert rows.snapshot_of([row[column.name] for column in statement.selected_columns]) == SNAPSHOT


def test_an_incident_comes_back_as_it_was() -> None:
    assert rows.incident_of(stored(rows.incident_row(INCIDENT))) == INCIDENT


def test_what_a_poll_saw_of_a_sync_comes_back_in_its_columns() -> None:
    row = rows.standing_row("main", 52, Standing(True, False, NOW))
    assert row == {
        "of_workspace": "main",
        "of_sync_id": 52,
        "new_paused": True,
        "new_scheduled": False,
        "new_stale_from": NOW,
    }
    columns = {column.name: None for column in schema.syncs.columns}
    kept = {"sync_id": 52, "label": "Leads", "watched": True, "missing_listings": 1, "deleted": False}
    kept |= {"paused": True, "scheduled": False, "stale_from": NOW, "unread_since": ago(1)}
    expected = WatchedSync(52, "Leads", True, None, 1, Standing(True, False, NOW), unread_since=ago(1))
    assert rows.watched_sync_of(stored(columns | kept)) == expected
    mark = {"marked": True, "mark_run_id": 9, "mark_created_at": ago(2), "floor": ago(3)}
    assert rows.watched_sync_of(stored(columns | kept | mark)).mark == Mark(9, ago(2), ago(3))


@pytest.mark.parametrize("ended_at", [None, NOW])
def test_a_watch_of_a_run_has_ended_once_there_is_a_time_for_it(ended_at: datetime | None) -> None:
    row = stored({"sync_id": 52, "ended_at": ended_at, "misses": 2, "missing_since": ago(1)})
    assert rows.run_watch_of(row) == RunWatch(52, ended_at is not None, 2, ago(1))


def test_a_delivery_that_waits_is_read_field_by_field() -> None:
    given: dict[str, Any] = {field.name: f"the {field.name}" for field in fields(PendingDelivery)}
    for statement in (PENDING, PENDING_IN_LANE):
        assert rows.pending_of([given[column.name] for column in statement.selected_columns]) == PendingDelivery(
            **given
        )


@pytest.mark.parametrize(("state", "finished"), [(DeliveryState.PENDING, None), (DeliveryState.DEAD, NOW)])
def test_an_attempt_that_leaves_its_delivery_pending_has_not_finished_it(
    state: DeliveryState, finished: datetime | None
) -> None:
    settlement = Settlement(1, state, 2, NOW, ago(1), ago(2), True, "404", ago(3))
    row = rows.settlement_row(settlement)
    assert (row["new_finished_at"], row["new_state"], row["new_last_error"]) == (finished, state, "404")


@pytest.mark.parametrize(
    ("row", "table", "filled_by_the_database"),
    [
        (rows.workspace_row(WORKSPACE), schema.workspaces, set[str]()),
        (rows.receiver_row(RECEIVER), schema.receivers, set[str]()),
        (rows.snapshot_row("main", SNAPSHOT), schema.snapshots, {"id", "outlier"}),
        (rows.incident_row(INCIDENT), schema.incidents, {"seq"}),
    ],
    ids=["workspaces", "receivers", "snapshots", "incidents"],
)
def test_each_column_is_written(row: dict[str, Any], table: Any, filled_by_the_database: set[str]) -> None:
    assert row.keys() | filled_by_the_database == {column.name for column in table.columns}
