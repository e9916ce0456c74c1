"""Who wrote what at a PostgreSQL database: each row's transaction, the life that it began with, and whose part it was.

A transaction that is fenced moves the counter of its worker's row. Until it ends nobody can take that worker's place,
so what it writes is always written by the life that has the part at that moment. Of a workspace and of a receiver
that is whoever has its part; the upkeep may write all of it.
"""

from collections.abc import Sequence
from typing import Final

from faults.account import WEBHOOKS
from faults.crew import Crew
from faults.row import must

TABLES: Final = {
    "events": "'workspace:' || it.workspace",
    "deliveries": "CASE TG_OP WHEN 'INSERT' THEN 'workspace:' || it.workspace ELSE 'receiver:' || it.receiver END",
    "snapshots": "'workspace:' || it.workspace",
    "syncs": "'workspace:' || it.workspace",
    "incidents": "'workspace:' || it.workspace",
    "receivers": "'receiver:' || it.name",
    "posted": "'receiver:' || it.receiver",
}
"""By name, the part to which a row of it belongs. Of a receiver that is its own, or that of all of Slack's."""
_LOG: Final = """
CREATE SCHEMA watch;
CREATE TABLE watch.fences (transaction bigint, life text);
CREATE TABLE watch.writes (transaction bigint, what text, writer text, part text, owners text[], at timestamptz);
CREATE FUNCTION watch.fenced() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watch.fences VALUES (txid_current(), NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER fenced AFTER UPDATE OF written ON replicas FOR EACH ROW EXECUTE FUNCTION watch.fenced();
"""
_WROTE: Final = """
CREATE FUNCTION watch.wrote_{table}() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
DECLARE
    it public.{table} := coalesce(NEW, OLD);
    wanted text := {part};
    allowed text[] := ARRAY['everything', 'upkeep', wanted,
        CASE WHEN wanted LIKE 'receiver:%' THEN
            CASE WHEN wanted = ANY({hooks}) THEN replace(wanted, 'receiver:', 'webhook:') ELSE 'slack' END
        END];
BEGIN
    INSERT INTO watch.writes SELECT txid_current(), TG_TABLE_NAME, current_setting('application_name'), wanted,
        (SELECT array_agg(owner) FROM public.parts WHERE name = ANY(allowed)), clock_timestamp();
    RETURN NULL;
END $$;
CREATE TRIGGER wrote AFTER INSERT OR UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION watch.wrote_{table}();
"""
_STRANGERS: Final = (
    "SELECT writer, what, part, count(*), min(at)::text, count(fences.life) FROM watch.writes "
    "LEFT JOIN watch.fences USING (transaction) WHERE (fences.life = ANY(owners)) IS NOT TRUE "
    "GROUP BY writer, what, part"
)
_WRITES: Final = (
    "SELECT count(DISTINCT transaction), count(DISTINCT life) FROM watch.writes JOIN watch.fences USING (transaction)"
)


def log_writers(crew: Crew, webhooks: Sequence[str] = WEBHOOKS) -> None:
    """From now on each row that is changed is logged, in its own transaction."""
    hooks = f"ARRAY[{', '.join(repr(f'receiver:{name}') for name in webhooks)}]"
    with crew.server.admin(crew.database) as connection:
        connection.execute(_LOG)
        for table, part in TABLES.items():
            connection.execute(_WROTE.format(table=table, part=part, hooks=hooks).encode())


def must_have_written_alone(crew: Crew) -> str:
    """Nothing was written but by the life that had the part then. How many transactions that is about."""
    strangers = crew.look(_STRANGERS)
    must(not strangers, f"others than the owner wrote (who, what, whose, how often, since when, fenced): {strangers}")
    transactions, lives = crew.look(_WRITES)[0]
    must(transactions and lives, "no write was logged")
    return f"{transactions} transactions of {lives} lives"
