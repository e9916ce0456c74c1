"""Databases as older versions left them: at a revision, with a past, and with a message that still waits."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from notifier.store.sql.revision import scripts_directory

SYNC, RUN, WAITING = 52, 93, "evt_waiting"
WHEN = int(datetime.now(UTC).timestamp() * 1_000_000)
TOLD = json.dumps({"type": "sync_run.failed", "data": {"sync_run": {"id": RUN}}}).encode()

Table = list[dict[str, Any]]


def _past(workspace: str) -> dict[str, Table]:
    """Rows by table; a table that a revision has not yet is left out there."""
    of = {"workspace": workspace}
    event = {**of, "type": "sync_run.failed", "sync_id": SYNC, "run_id": RUN, "seen_at": WHEN, "body": TOLD}
    delivery = {**of, "event_type": "sync_run.failed", "receiver": "hook", "sync_id": SYNC}
    clock = {"created_at": WHEN, "clock_started_at": WHEN}
    return {
        "worker": [{"id": 1, "version": "0", "started_at": WHEN, "last_seen_at": WHEN}],
        "workspaces": [{"name": workspace, "ok": 1, "last_polled_at": WHEN, "first_listed_at": WHEN}],
        "syncs": [
            {**of, "sync_id": SYNC, "watched": 1, "marked": 1, "mark_run_id": RUN, "mark_created_at": WHEN, "floor": 0}
        ],
        "snapshots": [
            {
                **of,
                "sync_id": SYNC,
                "run_id": RUN - back,
                "status": "completed" if back else "failed",
                "error_code": None if back else "BROKE",
                "counted": 1,
                "followed": 0,
                "created_at": WHEN - back,
                "updated_at": WHEN - back,
                "changed_at": WHEN - back,
            }
            for back in range(3)
        ],
        "run_watches": [{**of, "run_id": 7, "sync_id": SYNC, "ended_at": WHEN, "end_reason": "ended"}],
        "events": [{**event, "id": name} for name in ("evt_told", "evt_dead", WAITING)],
        "deliveries": [
            {**delivery, **clock, "event_id": "evt_told", "state": "delivered", "attempts": 1, "finished_at": WHEN},
            {**delivery, **clock, "event_id": "evt_dead", "state": "dead", "attempts": 9, "finished_at": WHEN},
            {**delivery, **clock, "event_id": WAITING, "state": "pending", "next_attempt_at": WHEN},
        ],
        "receivers": [{"name": "hook", "last_accepted_at": WHEN}],
        "incidents": [
            {
                **of,
                "id": "inc_over",
                "sync_id": SYNC,
                "check": "failing",
                "open": 0,
                "opened_at": WHEN - 9,
                "labels": "{}",
                "runs": 2,
                "reminders": 0,
                "told": "{}",
                "resolved_at": WHEN - 5,
                "reason": "recovered",
            }
        ],
        "posted": [
            {"receiver": "hook", "story": "inc_over", "reference": "1.2", "event_id": "evt_told", "changed_at": WHEN}
        ],
        "census_alerts": [{**of, "alert_id": "1", "type": "census_alert.raised", "seen_at": WHEN}],
    }


def revisions() -> list[str]:
    """All, oldest first."""
    return [script.revision for script in reversed(list(ScriptDirectory.from_config(_config()).walk_revisions()))]


def make(path: Path, revision: str | None, workspace: str) -> None:
    """A database at a revision, with a past; without one, no file at all."""
    if revision is None:
        return
    empty(path, revision)
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, rows in _past(workspace).items():
            for row in rows if table in tables else ():
                columns = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
        connection.commit()


def empty(path: Path, revision: str) -> None:
    """A database at a revision, in WAL mode as ours are."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def content(connection: sqlite3.Connection, like: dict[str, Table] | None = None) -> dict[str, Table]:
    """All rows of all tables but Alembic's; of `like`'s tables and columns only, where it is given."""
    connection.row_factory = sqlite3.Row
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {}
    for table in tables:
        if table.startswith("sqlite_") or table == "alembic_version" or (like is not None and table not in like):
            continue
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]  # noqa: S608
        known = like[table][0].keys() if like and like[table] else None
        found[table] = [
            {name: _as_now(name, row[name]) for name in row if known is None or name in known} for row in rows
        ]
    return found


def _as_now(column: str, value: Any) -> Any:
    """IDs of syncs and runs were numbers until 0009, and 0 stood for none."""
    if column.endswith(("sync_id", "run_id")) and isinstance(value, int):
        return str(value or "")
    return value


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts_directory()).replace("%", "%%"))
    return config
