"""The tables, as SQLAlchemy Core knows them. Migrations build them; a test holds the two to the same shape.

What `sqlite_where` says of an index holds for PostgreSQL's too (migrations/postgresql.py); to say it here would load
SQLAlchemy's other dialect with every SQLite.

Times are stored as whole microseconds since 1970 in UTC: they sort, and no zone can creep in.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from notifier.model.identity import Id
from notifier.store.sql.stored import EPOCH, MICROSECOND, maybe_identity, maybe_time


class Time(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return maybe_time(value)


class IdText(TypeDecorator[Id]):
    """An ID of a sync or a run, as text: a number by its digits."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Id | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Id | None:
        return maybe_identity(value)


RowNumber = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives a row. SQLite numbers INTEGER keys by itself, and all of them have 64 bits."""

metadata = MetaData()

worker = Table(
    "worker",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", String, nullable=False),
    Column("started_at", Time, nullable=False),
    Column("last_seen_at", Time, nullable=False),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("name", String, primary_key=True),
    Column("ok", Boolean, nullable=False),
    Column("last_error", String),
    Column("last_polled_at", Time),
    Column("first_listed_at", Time),
    Column("stretch", Float, nullable=False, server_default=text("1.0")),
    Column("needed_rate", Float),
    Column("silent_since", Time),
    Column("listed_at", Time),
    Column("unlisted_since", Time),
    Column("doubted_since", Time),
    Column("refusals", Integer, nullable=False, server_default=text("0")),
    Column("app_url", String),
    Column("api", String),
    Column("source", String),
    Column("hints", String),
    Column("announced", Integer, nullable=False, server_default=text("0")),
    Column("requests_per_minute", Integer),
)

syncs = Table(
    "syncs",
    metadata,
    Column("workspace", String, primary_key=True),
    Column("sync_id", IdText, primary_key=True),
    Column("label", String),
    Column("watched", Boolean, nullable=False),
    Column("marked", Boolean, nullable=False),
    Column("mark_run_id", IdText),
    Column("mark_created_at", Time),
    Column("floor", Time),
    Column("missing_listings", Integer, nullable=False, server_default=text("0")),
    Column("gap_noticed_at", Time),
    Column("gap_oldest_reported_run_id", IdText),
    Column("paused", Boolean),
    Column("scheduled", Boolean),
    Column("stale_from", Time),
    Column("deleted", Boolean, nullable=False, server_default=false()),
    Column("unread_since", Time),
    Column("last_error", String),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("workspace", String, nullable=False),
    Column("sync_id", IdText, nullable=False),
    Column("run_id", IdText, nullable=False),
    Column("status", String),
    Column("canceled", Boolean),
    Column("error_code", String),
    Column("error_message", String),
    Column("error_detail", String),
    Column("counted", Boolean, nullable=False),
    Column("followed", Boolean, nullable=False),
    Column("created_at", Time),
    Column("updated_at", Time),
    Column("changed_at", Time, nullable=False),
    Column("completed_at", Time),
    Column("records_sent", BigInteger),
    Column("full_sync", Boolean),
    Column("outlier", Boolean, nullable=False, server_default=false()),
    Column("counts", String),
    Column("api", String),
    UniqueConstraint("workspace", "run_id", name="uq_snapshots_workspace_run_id"),
)
Index("ix_snapshots_sync", snapshots.c.workspace, snapshots.c.sync_id, snapshots.c.created_at)
Index("ix_snapshots_followed", snapshots.c.workspace, sqlite_where=snapshots.c.followed)

run_watches = Table(
    "run_watches",
    metadata,
    Column("workspace", String, primary_key=True),
    Column("run_id", IdText, primary_key=True),
    Column("sync_id", IdText),
    Column("ended_at", Time),
    Column("end_reason", String),
    Column("misses", Integer, nullable=False, server_default=text("0")),
    Column("missing_since", Time),
)

incidents = Table(
    "incidents",
    metadata,
    Column("seq", RowNumber, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("workspace", String, nullable=False),
    Column("sync_id", IdText, nullable=False),
    Column("sync_label", String),
    Column("check", String, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("opened_at", Time, nullable=False),
    Column("labels", String, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("last_run_id", IdText),
    Column("likeness", String),
    Column("last_good_run_id", IdText),
    Column("last_good_run_completed_at", Time),
    Column("summary", String),
    Column("reminders", Integer, nullable=False),
    Column("reminded_at", Time),
    Column("told", String, nullable=False),
    Column("resolved_at", Time),
    Column("reason", String),
    Column("counted_to", Time),
    Column("wrong", String),
    Column("counted_run_id", IdText),
    Column("measure", String),
    sqlite_autoincrement=True,
)
Index(
    "uq_incidents_open",
    incidents.c.workspace,
    incidents.c.sync_id,
    incidents.c.check,
    unique=True,
    sqlite_where=incidents.c.open,
)
Index("ix_incidents_sync", incidents.c.workspace, incidents.c.sync_id, incidents.c.check, incidents.c.seq)

NONE = ""  # stands for no sync and no run, where a column has to have one: no ID is empty

events = Table(
    "events",
    metadata,
    Column("seq", RowNumber, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("type", String, nullable=False),
    Column("workspace", String, nullable=False),
    Column("sync_id", IdText, nullable=False),
    Column("run_id", IdText, nullable=False),
    Column("seen_at", Time, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("incident_id", String),
    sqlite_autoincrement=True,
)
Index("ix_events_incident", events.c.incident_id, events.c.seq, sqlite_where=events.c.incident_id.is_not(None))
Index("ix_events_seen_at", events.c.seen_at)
Index("ix_events_sync", events.c.sync_id, events.c.workspace)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("event_id", String, ForeignKey("events.id"), nullable=False),
    Column("event_type", String, nullable=False),
    Column("receiver", String, nullable=False),
    Column("workspace", String, nullable=False),
    Column("sync_id", IdText, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Time, nullable=False),
    Column("next_attempt_at", Time),
    Column("clock_started_at", Time, nullable=False),
    Column("first_failed_at", Time),
    Column("aside", Boolean, nullable=False, server_default=false()),
    Column("finished_at", Time),
    Column("last_error", String),
    Column("maybe_sent_at", Time),
    Column("story", String),
    Column("quiet", Boolean, nullable=False, server_default=false()),
    Column("mentions", String),
    UniqueConstraint("event_id", "receiver", name="uq_deliveries_event_id_receiver"),
    sqlite_autoincrement=True,
)
Index(
    "ix_deliveries_pending",
    deliveries.c.receiver,
    deliveries.c.id,
    sqlite_where=deliveries.c.state == text("'pending'"),
)
Index(
    "ix_deliveries_lane",
    deliveries.c.receiver,
    deliveries.c.workspace,
    deliveries.c.sync_id,
    deliveries.c.id,
    sqlite_where=deliveries.c.state == text("'pending'"),
)
Index(
    "ix_deliveries_dead",
    deliveries.c.receiver,
    deliveries.c.id,
    sqlite_where=deliveries.c.state == text("'dead'"),
)

census_alerts = Table(
    "census_alerts",
    metadata,
    Column("workspace", String, primary_key=True),
    Column("alert_id", String, primary_key=True),
    Column("type", String, primary_key=True),
    Column("seen_at", Time, nullable=False),
)

receivers = Table(
    "receivers",
    metadata,
    Column("name", String, primary_key=True),
    Column("broken_since", Time),
    Column("last_error", String),
    Column("last_accepted_at", Time),
    Column("hold_until", Time),
    Column("probe_at", Time),
    Column("note", String),
    Column("failed_since", Time),
    Column("failing", Boolean, nullable=False, server_default=false()),
)

posted = Table(
    "posted",
    metadata,
    Column("receiver", String, primary_key=True),
    Column("story", String, primary_key=True),
    Column("reference", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("changed_at", Time, nullable=False),
)
