"""The statements by which workers that share the work tell each other what they know. Their tables are PostgreSQL's."""

from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    select,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from notifier.store.sql.parts import save
from notifier.store.sql.schema import IdText, Time

shared = MetaData()
"""Apart from the tables of all databases, which SQLite has too."""
hints = Table(
    "hints",
    shared,
    Column("id", BigInteger, primary_key=True),
    Column("workspace", String, nullable=False),
    Column("sync_id", IdText, nullable=False),
    Column("kind", String, nullable=False),
    Column("alert", LargeBinary),
    UniqueConstraint("workspace", "sync_id", "kind"),
)
listings = Table(
    "listings",
    shared,
    Column("workspace", String, primary_key=True),
    Column("listed_at", Time, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

ADD_HINT = (
    upsert(hints)
    .values({name: bindparam(name) for name in ("workspace", "sync_id", "kind", "alert")})
    .on_conflict_do_nothing()
    .inline()
)
HINT = select(hints.c.id).where(
    and_(
        hints.c.workspace == bindparam("workspace"),
        hints.c.sync_id == bindparam("sync_id"),
        hints.c.kind == bindparam("kind"),
    )
)
HINTS = select(hints).where(hints.c.workspace == bindparam("workspace")).order_by(hints.c.id).limit(bindparam("most"))
FORGET_HINT = delete(hints).where(hints.c.id == bindparam("of_id"))
SAVE_LISTING = save(listings)
FORGET_WORKSPACE = tuple(
    delete(table).where(table.c.workspace == bindparam("of_workspace")) for table in (hints, listings)
)
