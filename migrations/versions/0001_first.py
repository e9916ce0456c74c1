"""The first schema: worker, workspaces, syncs, snapshots, run watches, events, deliveries, receivers.

A released migration is never edited. Times are microseconds since 1970 in UTC.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    watching()
    delivering()


def watching() -> None:
    op.create_table(
        "worker",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "workspaces",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("last_error", sa.String),
        sa.Column("last_polled_at", sa.BigInteger),
        sa.Column("first_listed_at", sa.BigInteger),
        sa.Column("stretch", sa.Float, nullable=False, server_default=sa.text("1.0")),
        sa.Column("needed_rate", sa.Float),
    )
    op.create_table(
        "syncs",
        sa.Column("workspace", sa.String, primary_key=True),
        sa.Column("sync_id", sa.BigInteger, primary_key=True),
        sa.Column("label", sa.String),
        sa.Column("watched", sa.Boolean, nullable=False),
        sa.Column("marked", sa.Boolean, nullable=False),
        sa.Column("mark_run_id", sa.BigInteger),
        sa.Column("mark_created_at", sa.BigInteger),
        sa.Column("floor", sa.BigInteger),
        sa.Column("missing_listings", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("gap_noticed_at", sa.BigInteger),
        sa.Column("gap_oldest_reported_run_id", sa.BigInteger),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("sync_id", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String),
        sa.Column("canceled", sa.Boolean),
        sa.Column("error_code", sa.String),
        sa.Column("error_message", sa.String),
        sa.Column("error_detail", sa.String),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("followed", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger),
        sa.Column("updated_at", sa.BigInteger),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("workspace", "run_id", name="uq_snapshots_workspace_run_id"),
    )
    op.create_index("ix_snapshots_sync", "snapshots", ["workspace", "sync_id", "created_at"])
    op.create_index("ix_snapshots_followed", "snapshots", ["workspace"], sqlite_where=sa.text("followed"))
    op.create_table(
        "run_watches",
        sa.Column("workspace", sa.String, primary_key=True),
        sa.Column("run_id", sa.BigInteger, primary_key=True),
        sa.Column("sync_id", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("end_reason", sa.String),
    )


def delivering() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("sync_id", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,  # an ID is never used twice, not after retention either
    )
    op.create_index("ix_events_seen_at", "events", ["seen_at"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("event_id", sa.String, sa.ForeignKey("events.id"), nullable=False),
        sa.Column("event_type", sa.String, nullable=False),
        sa.Column("receiver", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("sync_id", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger),
        sa.Column("clock_started_at", sa.BigInteger, nullable=False),
        sa.Column("first_failed_at", sa.BigInteger),
        sa.Column("aside", sa.Boolean, nullable=False, server_default=sa.text("0")),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("last_error", sa.String),
        sa.UniqueConstraint("event_id", "receiver", name="uq_deliveries_event_id_receiver"),
        sqlite_autoincrement=True,  # an ID is never used twice, not after retention either
    )
    op.create_index(
        "ix_deliveries_pending", "deliveries", ["receiver", "id"], sqlite_where=sa.text("state = 'pending'")
    )
    op.create_index("ix_deliveries_dead", "deliveries", ["receiver", "id"], sqlite_where=sa.text("state = 'dead'"))
    op.create_table(
        "receivers",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("broken_since", sa.BigInteger),
        sa.Column("last_error", sa.String),
        sa.Column("last_accepted_at", sa.BigInteger),
        sa.Column("hold_until", sa.BigInteger),
        sa.Column("probe_at", sa.BigInteger),
    )
