"""What a receiver's queue asks of the database costs the same however much waits beside the answer."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Executable, insert

from notifier.store.sql import delivering as sql
from notifier.store.sql.schema import deliveries, events
from notifier.store.sqlite.engine import engine_for
from tests.databases import new_database
from tests.integration.store.builders import NOW

EACH = 40  # pending deliveries of a lane


@pytest.fixture(scope="module")
def backlogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("backlogs")
    return backlog(directory / "few.db", 50), backlog(directory / "many.db", 200)


def backlog(path: Path, lanes: int) -> Path:
    """So many syncs that take turns, for two receivers."""
    new_database(path)
    rows = [
        {
            "id": number * 2 + place,
            "event_id": f"evt_{number}",
            "event_type": "sync_run.failed",
            "receiver": receiver,
            "workspace": "main",
            "sync_id": number % lanes,
            "state": "pending",
            "created_at": NOW,
            "clock_started_at": NOW,
            "next_attempt_at": NOW,
        }
        for number in range(lanes * EACH)
        for place, receiver in enumerate(("growth", "pipeline"))
    ]
    names = ("workspace", "sync_id")
    told = [
        {"id": row["event_id"], "type": row["event_type"], "run_id": 1, "seen_at": NOW, "body": b"{}"}
        | {name: row[name] for name in names}
        for row in rows[::2]
    ]
    engine = engine_for(path, "command")
    with engine.begin() as connection:
        connection.execute(insert(events), told)
        connection.execute(insert(deliveries), rows)
    engine.dispose()
    return path


def steps(path: Path, statement: Executable, **parameters: Any) -> tuple[int, int]:
    """How many rows come, and how many steps of SQLite's machine they cost."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    engine = engine_for(path, "reader")
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, 1)
        rows = connection.execute(statement, parameters).all()
        driver.set_progress_handler(None, 1)
    engine.dispose()
    return len(rows), taken


LANE = {"receiver": "growth", "of_workspace": "main", "of_sync_id": 7, "most": 20}


@pytest.mark.parametrize(
    ("statement", "parameters", "number"),
    [
        pytest.param(sql.PENDING_IN_LANE, {**LANE, "after": 0, "upto": 10**9}, 20, id="the next twenty of a lane"),
        pytest.param(sql.PENDING_IN_LANE, {**LANE, "after": 10**9, "upto": 10**9}, 0, id="nothing more of a lane"),
        pytest.param(sql.PENDING, {"receiver": "growth", "after": 500, "most": 500}, 500, id="the next five hundred"),
        pytest.param(sql.PENDING, {"receiver": "growth", "after": 10**9, "most": 500}, 0, id="nothing new"),
    ],
)
def test_a_question_costs_the_same_with_four_times_as_many_lanes(
    backlogs: tuple[Path, Path], statement: Executable, parameters: dict[str, Any], number: int
) -> None:
    few, many = (steps(path, statement, **parameters) for path in backlogs)
    assert few[0] == many[0] == number
    assert many[1] == few[1]
