"""IDs of syncs and runs are text: version 2 of Census' API may call them by words.

What stood for "none", 0, is now "". SQLite changes no column's type, so each table that has such columns is built anew
from its rows, in the order of its key, and takes the old one's place, its indexes and the numbers that it has given.

A released migration is never edited.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = {
    "syncs": """
        workspace VARCHAR NOT NULL, sync_id VARCHAR NOT NULL, label VARCHAR, watched BOOLEAN NOT NULL,
        marked BOOLEAN NOT NULL, mark_run_id VARCHAR, mark_created_at BIGINT, floor BIGINT,
        missing_listings INTEGER DEFAULT 0 NOT NULL, gap_noticed_at BIGINT, gap_oldest_reported_run_id VARCHAR,
        paused BOOLEAN, scheduled BOOLEAN, stale_from BIGINT, deleted BOOLEAN DEFAULT 0 NOT NULL, unread_since BIGINT,
        last_error VARCHAR, PRIMARY KEY (workspace, sync_id)""",
    "snapshots": """
        id INTEGER NOT NULL, workspace VARCHAR NOT NULL, sync_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL,
        status VARCHAR, canceled BOOLEAN, error_code VARCHAR, error_message VARCHAR, error_detail VARCHAR,
        counted BOOLEAN NOT NULL, followed BOOLEAN NOT NULL, created_at BIGINT, updated_at BIGINT,
        changed_at BIGINT NOT NULL, completed_at BIGINT, records_sent BIGINT, full_sync BOOLEAN,
        outlier BOOLEAN DEFAULT 0 NOT NULL, counts VARCHAR, PRIMARY KEY (id),
        CONSTRAINT uq_snapshots_workspace_run_id UNIQUE (workspace, run_id)""",
    "run_watches": """
        workspace VARCHAR NOT NULL, run_id VARCHAR NOT NULL, sync_id VARCHAR, ended_at BIGINT, end_reason VARCHAR,
        misses INTEGER DEFAULT 0 NOT NULL, missing_since BIGINT, PRIMARY KEY (workspace, run_id)""",
    "incidents": """
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id VARCHAR NOT NULL, workspace VARCHAR NOT NULL,
        sync_id VARCHAR NOT NULL, sync_label VARCHAR, "check" VARCHAR NOT NULL, open BOOLEAN NOT NULL,
        opened_at BIGINT NOT NULL, labels VARCHAR NOT NULL, runs INTEGER NOT NULL, last_run_id VARCHAR,
        likeness VARCHAR, last_good_run_id VARCHAR, last_good_run_completed_at BIGINT, summary VARCHAR,
        reminders INTEGER NOT NULL, reminded_at BIGINT, told VARCHAR NOT NULL, resolved_at BIGINT, reason VARCHAR,
        counted_to BIGINT, wrong VARCHAR, counted_run_id VARCHAR, measure VARCHAR, UNIQUE (id)""",
    "events": """
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id VARCHAR NOT NULL, type VARCHAR NOT NULL,
        workspace VARCHAR NOT NULL, sync_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL, seen_at BIGINT NOT NULL,
        body BLOB NOT NULL, incident_id VARCHAR, UNIQUE (id)""",
    "deliveries": """
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, event_id VARCHAR NOT NULL, event_type VARCHAR NOT NULL,
        receiver VARCHAR NOT NULL, workspace VARCHAR NOT NULL, sync_id VARCHAR NOT NULL, state VARCHAR NOT NULL,
        attempts INTEGER DEFAULT 0 NOT NULL, created_at BIGINT NOT NULL, next_attempt_at BIGINT,
        clock_started_at BIGINT NOT NULL, first_failed_at BIGINT, aside BOOLEAN DEFAULT 0 NOT NULL, finished_at BIGINT,
        last_error VARCHAR, maybe_sent_at BIGINT, story VARCHAR, quiet BOOLEAN DEFAULT 0 NOT NULL, mentions VARCHAR,
        CONSTRAINT uq_deliveries_event_id_receiver UNIQUE (event_id, receiver),
        FOREIGN KEY(event_id) REFERENCES events (id)""",
}
KEYS = {"syncs": "workspace, sync_id", "run_watches": "workspace, run_id", "snapshots": "id", "deliveries": "id"}
IDS = {
    "sync_id",
    "run_id",
    "mark_run_id",
    "gap_oldest_reported_run_id",
    "last_run_id",
    "last_good_run_id",
    "counted_run_id",
}
NEVER_NONE = {"sync_id", "run_id"}  # but in run_watches, where NULL says it
INDEXES = (
    "CREATE INDEX ix_snapshots_sync ON snapshots (workspace, sync_id, created_at)",
    "CREATE INDEX ix_snapshots_followed ON snapshots (workspace) WHERE followed",
    'CREATE UNIQUE INDEX uq_incidents_open ON incidents (workspace, sync_id, "check") WHERE open',
    'CREATE INDEX ix_incidents_sync ON incidents (workspace, sync_id, "check", seq)',
    "CREATE INDEX ix_events_incident ON events (incident_id, seq) WHERE incident_id IS NOT NULL",
    "CREATE INDEX ix_events_seen_at ON events (seen_at)",
    "CREATE INDEX ix_events_sync ON events (sync_id, workspace)",
    "CREATE INDEX ix_deliveries_pending ON deliveries (receiver, id) WHERE state = 'pending'",
    "CREATE INDEX ix_deliveries_lane ON deliveries (receiver, workspace, sync_id, id) WHERE state = 'pending'",
    "CREATE INDEX ix_deliveries_dead ON deliveries (receiver, id) WHERE state = 'dead'",
)


def upgrade() -> None:
    connection = op.get_bind()
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE new_{table} ({columns})")
        names = [row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info(new_{table})")]
        values = [_as_text(name) if name in IDS else f'"{name}"' for name in names]
        into = ", ".join(f'"{name}"' for name in names)
        order = KEYS.get(table, "seq")
        op.execute(f"INSERT INTO new_{table} ({into}) SELECT {', '.join(values)} FROM {table} ORDER BY {order}")  # noqa: S608
        if "AUTOINCREMENT" in columns:
            op.execute(f"DELETE FROM sqlite_sequence WHERE name = 'new_{table}'")  # noqa: S608
            op.execute(
                f"INSERT INTO sqlite_sequence (name, seq) SELECT 'new_{table}', seq FROM sqlite_sequence"  # noqa: S608
                f" WHERE name = '{table}'"
            )
        op.execute(f"DROP TABLE {table}")
        op.execute(f"ALTER TABLE new_{table} RENAME TO {table}")
    for index in INDEXES:
        op.execute(index)


def _as_text(name: str) -> str:
    return (
        f"CASE {name} WHEN 0 THEN '' ELSE CAST({name} AS VARCHAR) END"
        if name in NEVER_NONE
        else f"CAST({name} AS VARCHAR)"
    )
