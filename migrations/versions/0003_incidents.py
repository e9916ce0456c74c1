"""Incidents: what lasts, what checks need to know of runs and syncs, and which message of a receiver shows what.

A released migration is never edited. Times are microseconds since 1970 in UTC. From here on a sync_id or run_id of 0 in
events and deliveries says that there is none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("silent_since", sa.BigInteger))
    op.add_column("syncs", sa.Column("paused", sa.Boolean))
    op.add_column("syncs", sa.Column("scheduled", sa.Boolean))
    op.add_column("syncs", sa.Column("stale_from", sa.BigInteger))
    op.add_column("snapshots", sa.Column("completed_at", sa.BigInteger))
    op.add_column("snapshots", sa.Column("records_sent", sa.BigInteger))
    op.add_column("snapshots", sa.Column("full_sync", sa.Boolean))
    op.add_column("snapshots", sa.Column("outlier", sa.Boolean, nullable=False, server_default=sa.text("0")))
    op.create_table(
        "incidents",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("sync_id", sa.BigInteger, nullable=False),
        sa.Column("sync_label", sa.String),
        sa.Column("check", sa.String, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("labels", sa.String, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("last_run_id", sa.BigInteger),
        sa.Column("likeness", sa.String),
        sa.Column("last_good_run_id", sa.BigInteger),
        sa.Column("last_good_run_completed_at", sa.BigInteger),
        sa.Column("summary", sa.String),
        sa.Column("reminders", sa.Integer, nullable=False),
        sa.Column("reminded_at", sa.BigInteger),
        sa.Column("told", sa.String, nullable=False),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("reason", sa.String),
        sa.Column("counted_to", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_incidents_open", "incidents", ["workspace", "sync_id", "check"], unique=True, sqlite_where=sa.text("open")
    )
    op.create_index("ix_incidents_sync", "incidents", ["workspace", "sync_id", "check", "seq"])
    op.add_column("events", sa.Column("incident_id", sa.String))
    op.create_index(
        "ix_events_incident", "events", ["incident_id", "seq"], sqlite_where=sa.text("incident_id IS NOT NULL")
    )
    op.add_column("deliveries", sa.Column("story", sa.String))
    op.add_column("deliveries", sa.Column("quiet", sa.Boolean, nullable=False, server_default=sa.text("0")))
    op.add_column("deliveries", sa.Column("mentions", sa.String))
    op.create_table(
        "posted",
        sa.Column("receiver", sa.String, primary_key=True),
        sa.Column("story", sa.String, primary_key=True),
        sa.Column("reference", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
