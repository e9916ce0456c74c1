"""What commands see of incidents, and of events that are of no run or of no sync."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, create_engine, insert
from sqlalchemy.pool import NullPool

from notifier.model.errors import DatabaseUnusable
from notifier.model.incident import Check, Incident, Reason
from notifier.model.measure import Said
from notifier.model.run import GoodRun
from notifier.store.sql.schema import NONE, deliveries, events, incidents
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from notifier.store.views.events import EventFilter, read_events
from notifier.store.views.incidents import read_incidents
from notifier.store.views.status import count_open

NOW = datetime(2026, 11, 23, 10, 15, 30, 123_456, tzinfo=UTC)
HOUR = timedelta(hours=1)


def put(path: Path, table: Table, *rows: dict[str, Any]) -> None:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        for row in rows:
            connection.execute(insert(table).values(**row))


def an_incident(number: int, **values: Any) -> dict[str, Any]:
    """A row of an open incident, `failing` of a sync of its own unless the test says otherwise."""
    open_or_over = {"open": "resolved_at" not in values}
    return {
        "id": f"inc_{number}",
        "workspace": "main",
        "sync_id": 50 + number,
        "check": "failing",
        "opened_at": NOW,
        "labels": "{}",
        "runs": 1,
        "reminders": 0,
        "told": "[]",
        **open_or_over,
        **values,
    }


@pytest.fixture
def filled(database: Path) -> Path:
    """Two of sync 51, of which one is over, one of a workspace, and one that was recorded last but opened first."""
    put(
        database,
        incidents,
        an_incident(1, resolved_at=NOW + HOUR, reason="recovered"),
        an_incident(2, sync_id=51, check="stale", runs=0),
        an_incident(3, sync_id=NONE, check="unreachable", runs=0, workspace="other"),
        an_incident(4, sync_id=54, opened_at=NOW - 24 * HOUR),
    )
    return database


def ids(found: tuple[Incident, ...]) -> list[str]:
    return [incident.id for incident in found]


# --- incidents ---


def test_open_incidents_are_told_newest_first_and_others_on_request(filled: Path) -> None:
    assert ids(read_incidents(filled)) == ["inc_4", "inc_3", "inc_2"]
    assert ids(read_incidents(filled, resolved=True)) == ["inc_4", "inc_3", "inc_2", "inc_1"]


def test_no_more_incidents_are_told_than_asked_for(filled: Path) -> None:
    assert ids(read_incidents(filled, 1)) == ["inc_4"]
    assert ids(read_incidents(filled, 3, resolved=True)) == ["inc_4", "inc_3", "inc_2"]
    assert ids(read_incidents(filled, 9)) == ["inc_4", "inc_3", "inc_2"]


def test_an_incident_is_told_with_all_that_is_known_of_it(database: Path) -> None:
    row = an_incident(
        7,
        sync_id=52,
        sync_label="Leads",
        check="rejected_records",
        labels='{"team": "growth"}',
        runs=3,
        last_good_run_id=92,
        last_good_run_completed_at=NOW - HOUR,
        summary="12 of 16 records were rejected",
        resolved_at=NOW + 2 * HOUR,
        reason="check_off",
    )
    put(database, incidents, row)
    assert read_incidents(database, resolved=True) == (
        Incident(
            id="inc_7",
            workspace="main",
            sync_id=52,
            check=Check.REJECTED_RECORDS,
            opened_at=NOW,
            labels={"team": "growth"},
            runs=3,
            last_good_run=GoodRun(92, NOW - HOUR),
            measure=Said("12 of 16 records were rejected"),
            sync_label="Leads",
            resolved_at=NOW + 2 * HOUR,
            reason=Reason.CHECK_OFF,
        ),
    )


def test_an_incident_of_a_workspace_has_no_sync_and_one_of_a_new_sync_no_good_run(filled: Path) -> None:
    _, of_workspace, _ = read_incidents(filled)
    assert (of_workspace.workspace, of_workspace.sync_id, of_workspace.sync_label) == ("other", None, None)
    assert of_workspace.last_good_run is None
    assert of_workspace.is_open


def test_a_good_run_may_have_no_time(database: Path) -> None:
    put(database, incidents, an_incident(1, last_good_run_id=92))
    [incident] = read_incidents(database)
    assert incident.last_good_run == GoodRun(92, None)


def test_open_incidents_are_counted_by_their_check_in_the_order_of_weight(filled: Path) -> None:
    put(
        filled,
        incidents,
        an_incident(5),
        an_incident(6, check="slow_run", resolved_at=NOW, reason="unwatched"),
        an_incident(7, check="record_count"),
    )
    assert list(count_open(filled).items()) == [
        (Check.FAILING, 2),
        (Check.RECORD_COUNT, 1),
        (Check.STALE, 1),
        (Check.UNREACHABLE, 1),
    ]


def test_a_database_without_incidents_has_none(database: Path) -> None:
    assert read_incidents(database) == ()
    assert read_incidents(database, resolved=True) == ()
    assert count_open(database) == {}


def test_looking_changes_no_byte(filled: Path) -> None:
    before = filled.read_bytes()
    read_incidents(filled)
    count_open(filled)
    assert filled.read_bytes() == before


@pytest.mark.parametrize("look", [read_incidents, count_open])
def test_looking_at_a_missing_or_an_older_database_says_the_remedy(
    database: Path, look: Callable[[Path], object]
) -> None:
    missing = database.with_name("missing.db")
    with pytest.raises(DatabaseUnusable) as caught:
        look(missing)
    assert str(caught.value) == f"{missing}: no database there yet; `notifier run` or `notifier migrate` makes it"
    assert not missing.exists()
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
        connection.exec_driver_sql("DROP TABLE incidents")
    with pytest.raises(DatabaseUnusable) as caught:
        look(database)
    assert str(caught.value) == f"{database} is from an older version; run `notifier migrate`"


# --- events and deliveries of no run, or of no sync ---


@pytest.fixture
def with_events(database: Path) -> Path:
    """One event of a run, one of a sync, one of a workspace, each with a delivery."""
    for number, (kind, sync_id, run_id) in enumerate(
        [("sync_run.failed", 52, 93), ("sync.paused", 52, NONE), ("incident.opened", NONE, NONE)], 1
    ):
        event_id, of = f"evt_{number}", {"workspace": "main", "sync_id": sync_id}
        put(database, events, {**of, "id": event_id, "type": kind, "run_id": run_id, "seen_at": NOW, "body": b"{}"})
        times = {"created_at": NOW, "clock_started_at": NOW, "next_attempt_at": NOW}
        way = {"event_id": event_id, "event_type": kind, "receiver": "growth", "state": "pending"}
        put(database, deliveries, {**of, **way, **times})
    return database


def test_an_event_says_of_which_sync_and_run_it_is_or_that_it_is_of_none(with_events: Path) -> None:
    found = read_events(with_events, EventFilter(), None)
    assert [(event.type, event.sync_id, event.run_id) for event in found] == [
        ("incident.opened", None, None),
        ("sync.paused", 52, None),
        ("sync_run.failed", 52, 93),
    ]


def test_events_of_a_sync_are_those_of_its_runs_and_its_own(with_events: Path) -> None:
    found = read_events(with_events, EventFilter(sync_id=52), None)
    assert [event.id for event in found] == ["evt_2", "evt_1"]


def test_deliveries_of_every_event_are_told(with_events: Path) -> None:
    found = read_deliveries(with_events, DeliveryFilter(), None)
    assert [way.type for way in found] == ["incident.opened", "sync.paused", "sync_run.failed"]
