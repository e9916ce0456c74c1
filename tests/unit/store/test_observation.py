"""What one observation writes."""

from datetime import UTC, datetime
from typing import Any

from notifier.model.event import Addressee, CensusAlert, Event, EventType, Observation
from notifier.model.sync import Gap, Mark, Standing
from notifier.store.sql import watching as sql
from notifier.store.sql.observation import observation_rows
from notifier.store.sql.order import WRITES
from notifier.store.sql.schema import NONE

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


def written(seen: Observation) -> dict[int, list[Any]]:
    """By the identity of its statement, what each is given; without those that are given nothing."""
    return {id(statement): list(rows) for statement, rows in observation_rows(seen) if rows}


def an_event(*addressees: Addressee, **given: Any) -> Event:
    fields: dict[str, Any] = {"type": EventType.FAILED, "workspace": "main", "sync_id": 52, "run_id": 1}
    return Event(id="evt_1", seen_at=NOW, body=b"{}", addressees=addressees, **{**fields, **given})


def test_an_observation_that_saw_nothing_writes_nothing() -> None:
    assert written(Observation("main", 52, "Leads")) == {}


def test_all_that_an_observation_writes_has_its_place_in_the_order_and_stands_there_once() -> None:
    seen = Observation(
        "main",
        52,
        "Leads",
        events=(an_event(Addressee("growth")),),
        mark=Mark(1, NOW, None),
        gap=Gap(NOW, 1),
        outliers=(1,),
        regulars=(2,),
        new_level_from=NOW,
        standing=Standing(True),
        alert=CensusAlert(7, EventType.CENSUS_ALERT_RAISED),
    )
    statements = [id(statement) for statement, _ in observation_rows(seen)]
    assert len(set(statements)) == len(statements)
    assert set(statements) <= {id(statement) for statement in WRITES}
    assert len(written(seen)) == len(statements) - 2  # no snapshots and no incidents


def test_an_event_has_a_delivery_for_each_addressee() -> None:
    one, other = Addressee("growth", "run:1", True, ("<@U1>", "<@U2>")), Addressee("hook")
    rows = written(Observation("main", 52, "Leads", events=(an_event(one, other),)))
    first, second = rows[id(sql.ADD_DELIVERY)]
    assert (first["receiver"], first["story"], first["quiet"], first["mentions"]) == (
        "growth",
        "run:1",
        True,
        "<@U1> <@U2>",
    )
    assert (second["receiver"], second["story"], second["quiet"], second["mentions"]) == ("hook", None, False, None)
    assert {row["event_id"] for row in (first, second)} == {"evt_1"}


def test_what_is_about_no_sync_and_no_run_is_kept_under_the_number_of_none() -> None:
    rows = written(Observation("main", None, None, events=(an_event(Addressee("hook"), sync_id=None, run_id=None),)))
    [event], [delivery] = rows[id(sql.ADD_EVENT)], rows[id(sql.ADD_DELIVERY)]
    assert (event["sync_id"], event["run_id"], delivery["sync_id"]) == (NONE, NONE, NONE)
