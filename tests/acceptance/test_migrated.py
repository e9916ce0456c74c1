"""A worker of an older version stops in the middle of a story, and this one goes on from the database that it left."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from faults import old_database
from notifier.simulator import SimulatorThread
from tests.acceptance.conftest import Workplace
from tests.acceptance.test_living import LABEL, living, roots, thread_of


def with_numbers(database: Path) -> None:
    """Turns a database of ours into one as it would be had every migration up to 0008 made it: IDs are integers."""
    old = database.with_name("old.db")
    old_database.empty(old, "0008")
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("ATTACH ? AS new", (str(database),))
        tables = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        for table in [*sorted(tables - {"alembic_version", "sqlite_sequence"}), "sqlite_sequence"]:
            names = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            values = [
                f"CASE {name} WHEN '' THEN 0 ELSE CAST({name} AS INTEGER) END"
                if name.endswith(("sync_id", "run_id"))
                else f'"{name}"'
                for name in names
            ]
            connection.execute(f"DELETE FROM main.{table}")  # noqa: S608
            columns = ", ".join(f'"{name}"' for name in names)
            connection.execute(
                f"INSERT INTO main.{table} ({columns}) SELECT {', '.join(values)} FROM new.{table}"  # noqa: S608
            )
        connection.commit()
        assert connection.execute("SELECT DISTINCT typeof(run_id) FROM main.snapshots").fetchall() == [("integer",)]
        connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)")
    for left in database.parent.glob("n.db*"):
        left.unlink()
    old.rename(database)


def test_a_story_goes_on_over_the_migration_to_ids_as_text(workplace: Workplace, simulator: SimulatorThread) -> None:
    channel = simulator.slack.add_channel("data-syncs")
    workplace.write_watchlist(
        watches="- sync: 52\n  - sync: 53\n  - sync: 54\n  - sync_run: 7",
        receivers=f"{living(simulator, channel)}\n  {workplace.hooks('hook')}",
        checks="{unreachable: false}",
        rest="routes:\n  - {events: [incident.*], receivers: [growth]}\n  - receivers: [hook]",
    )
    for sync_id in (52, 53, 54, 55):
        simulator.add_sync(id=sync_id, label=LABEL if sync_id == 52 else f"Sync {sync_id}")
    simulator.add_run(55, id=7, status="working")
    simulator.add_run(53, id=8, status="completed")
    workplace.start()
    workplace.wait_for_baseline(52, 53, 54)
    simulator.add_run(52, id=93, status="failed", error_code="E1")
    simulator.add_run(53, id=94, status="working")
    simulator.sink.wait_for(3)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    before = workplace.json("events"), workplace.json("deliveries"), workplace.json("incidents", "--all")

    with_numbers(workplace.directory / "n.db")
    simulator.forget_requests()
    workplace.start()
    workplace.wait_for_baseline(52, 53, 54)
    assert (workplace.json("events"), workplace.json("deliveries"), workplace.json("incidents", "--all")) == before

    simulator.add_run(52, id=95, status="completed")
    simulator.update_run(94, status="completed")
    simulator.update_run(7, status="failed")
    simulator.add_run(54, id=96, status="completed")
    simulator.sink.wait_for(8)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    bodies = [json.loads(webhook.body) for webhook in simulator.sink.accepted]
    told = sorted((body["data"]["sync_run"]["id"], body["type"]) for body in bodies[3:])
    assert told == [
        (7, "sync_run.failed"),
        (94, "sync_run.completed"),
        (95, "incident.resolved"),
        (95, "sync_run.completed"),
        (96, "sync_run.completed"),
    ]
    assert len({webhook.headers["webhook-id"] for webhook in simulator.sink.accepted}) == len(bodies) == 8
    previous = {body["data"]["sync_run"]["id"]: body["data"].get("previous_run") for body in bodies}
    assert previous[95] == {"id": 93, "status": "failed"}
    [root] = roots(simulator, channel)
    assert root.text.startswith(f"{LABEL} recovered after ")
    assert thread_of(simulator, root)[-1].text.endswith(": 1 run failed, run 95 succeeded · what was wrong: E1")
    deliveries = [delivery["id"] for delivery in workplace.json("deliveries")]
    assert len(set(deliveries)) == len(deliveries)
