"""The statements by which workers that share the work tell each other what they know. Only PostgreSQL has the tables."""

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from notifier.store.sql.parts import save
from notifier.store.sql.schema import IdText, Time

_shared = MetaData()
hints = Table(
    "hints",
    _shared,
    Column("id", BigInteger, primary_key=True),
    Column("workspace", String),
    Column("sync_id", IdText),
    Column("kind", String),
    Column("alert", LargeBinary),
)
listings = Table(
    "listings",
    _shared,
    Column("workspace", String, primary_key=True),
    Column("listed_at", Time),
    Column("body", LargeBinary),
)

ADD_HINT = (
    upsert(hints)
    .values({name: bindparam(name) for name in ("workspace", "sync_id", "kind", "alert")})
    .on_conflict_do_nothing()
    .inline()
)
HINTS = select(hints).where(hints.c.workspace == bindparam("workspace")).order_by(hints.c.id)
FORGET_HINT = delete(hints).where(hints.c.id == bindparam("of_id"))
SAVE_LISTING = save(listings)
FORGET_LISTING = delete(listings).where(listings.c.workspace == bindparam("of_workspace"))
