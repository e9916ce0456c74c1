"""The statements by which workers at one PostgreSQL server agree on who works. SQLite has none of these tables.

The times are the server's, and for people.
"""

from typing import Final

from sqlalchemy import TextClause, text

from notifier.store.postgres.migration import LOCK, MIGRATES

# The time-outs are the transaction's: they hold behind a pooler. Without the first, a worker that is frozen in a
# transaction, or whose line was cut in it, would hold its locks for ever: nobody could take its place.
_LIMITS: Final = (
    "set_config('idle_in_transaction_session_timeout', '5s', true), "
    "set_config('statement_timeout', '20s', true), set_config('lock_timeout', '10s', true)"
)


def _limited(statement: str, *more: str) -> TextClause:
    """A first statement, which limits what follows in its transaction."""
    return text(f"{statement} RETURNING {', '.join((_LIMITS, *more))}")


# Not amid a migration: who has a place before it is told to give it up by whoever migrates.
WAIT_FOR_MIGRATION: Final = text(
    "WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '10s', true)) "  # noqa: S608 - no value
    f"SELECT pg_advisory_xact_lock_shared({LOCK}) FROM patience"
)
JOIN: Final = _limited(
    "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
    "SELECT :id, :name, :pid, :version, :revision, :watchlist, now, now "
    "FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS clock"
)
GO_BY: Final = text("UPDATE replicas SET watchlist = :watchlist WHERE id = :id AND watchlist <> :watchlist")
PUT_IN_FORCE: Final = text(
    "INSERT INTO in_force (id, watchlist, since) "
    "VALUES (1, :watchlist, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) ON CONFLICT (id) DO UPDATE "
    "SET watchlist = excluded.watchlist, since = excluded.since WHERE in_force.watchlist <> excluded.watchlist"
)
PUT_BACK: Final = text(
    "UPDATE in_force SET watchlist = :watchlist, since = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
    "WHERE watchlist = :instead_of AND NOT EXISTS "
    "(SELECT FROM replicas WHERE replicas.watchlist = :instead_of AND revision = "
    "(SELECT me.revision FROM replicas AS me WHERE me.id = :id))"
)
MAKE_PART: Final = text(
    "INSERT INTO parts (name, since) VALUES (:part, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) "
    "ON CONFLICT DO NOTHING"
)
FENCE: Final = _limited(
    "UPDATE replicas SET written = written + 1, seen_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
    "WHERE id = :id AND written = :written",
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
    "ELSE current_setting('synchronous_commit') END, true)",
)
# Numbers of rows are not in the order of their commits: who asks for what is beyond the last would never see the rest.
# A row that somebody deleted comes back: without it nobody would take a turn, nor hear of anything.
_COUNT: Final = (
    "INSERT INTO counters (name, value) VALUES ('{}', 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
)
# Who holds the turn may be frozen: whoever waits for it tries again soon, and gives signs of life in between. The limit
# is set before the row is locked: where there is no row to lock, nobody waits.
TAKE_TURN: Final = text(
    "WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '2s', true)) "
    "INSERT INTO counters (name, value) SELECT 'appended', 1 FROM patience "
    "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
)
HINTED: Final = text(_COUNT.format("hinted"))
COMMANDED: Final = text(_COUNT.format("commanded"))
COUNTERS: Final = text("SELECT name, value FROM counters")
BEAT: Final = _limited(
    "UPDATE replicas SET beats = beats + 1, seen_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
    "WHERE id = :id AND written = :written"
)
OUTCOME: Final = text(f"SELECT written, {_LIMITS} FROM replicas WHERE id = :id FOR UPDATE")  # noqa: S608 - no value
LOOK: Final = text(
    "SELECT 'replica' AS kind, id, name, beats, written, watchlist, revision FROM replicas "
    "UNION ALL SELECT 'part', owner, name, 0, 0, '', '' FROM parts "
    "UNION ALL SELECT 'in force', '', '', 0, 0, watchlist, '' FROM in_force "
    "UNION ALL SELECT 'schema', '', '', 0, 0, '', version_num FROM alembic_version"
)
# One at a time: whoever deletes the row of one that is dead holds it too, and is not to be ended for that.
MAY_EXPEL: Final = text(f"SELECT pg_try_advisory_xact_lock({LOCK + 1})")
# What a frozen worker left open holds its row, and no time-out ends that surely: it may be frozen amid what it sends,
# and psycopg ends each `executemany` with a Flush behind its Sync, upon which the server no longer counts as idle.
FREE: Final = text(
    "SELECT pg_terminate_backend(held.pid) FROM replicas "
    "JOIN pg_locks AS held ON held.locktype = 'transactionid' AND held.transactionid = replicas.xmax AND held.granted "
    "JOIN pg_stat_activity AS holder ON holder.pid = held.pid AND holder.usename = current_user "
    "WHERE replicas.id = :id AND beats = :beats AND written = :written AND held.pid <> pg_backend_pid()"
)
# A migration that a frozen worker left open holds up everything; one of another is none of its business.
FREE_MIGRATION: Final = text(
    "SELECT pg_terminate_backend(held.pid) FROM pg_locks AS held JOIN pg_stat_activity AS holder USING (pid) "  # noqa: S608
    f"WHERE holder.usename = current_user AND holder.application_name = '{MIGRATES}' || :id "
    "AND held.locktype = 'advisory' AND held.granted "
    "AND held.mode = 'ExclusiveLock' AND objsubid = 1 "
    f"AND classid = {LOCK >> 32} AND objid = {LOCK & 0xFFFFFFFF} "
    "AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND EXISTS (SELECT FROM replicas WHERE id = :id AND beats = :beats AND written = :written)"
)
EXPEL: Final = text("DELETE FROM replicas WHERE id = :id AND beats = :beats AND written = :written")
CLAIM: Final = text(
    "UPDATE parts SET owner = :id, since = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
    "WHERE name = :part AND owner IS NULL "
    "AND EXISTS (SELECT FROM alembic_version JOIN replicas ON revision = version_num WHERE replicas.id = :id)"
)
GIVE: Final = text(
    "UPDATE parts SET owner = NULL, since = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
    "WHERE name = :part AND owner = :id"
)
DROP_PART: Final = text("DELETE FROM parts WHERE name = :part AND owner IS NULL")
LEAVE: Final = _limited("DELETE FROM replicas WHERE id = :id AND written = :written")
