"""Who wrote what at a PostgreSQL database: each row's transaction, the life that it began with, and whose work it was.

A transaction that is fenced moves the counter of its worker's row. Until it ends nobody can take that worker's place,
so what it writes is always written by the life that owns the work at that moment.
"""

from typing import Final

from faults.crew import Crew
from faults.row import must

TABLES: Final = ("events", "deliveries", "snapshots", "syncs", "incidents", "receivers", "posted")
_LOG: Final = """
CREATE SCHEMA watch;
CREATE TABLE watch.fences (transaction bigint, life text);
CREATE TABLE watch.writes (transaction bigint, what text, writer text, owner text, at timestamptz);
CREATE FUNCTION watch.fenced() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watch.fences VALUES (txid_current(), NEW.id);
    RETURN NULL;
END $$;
CREATE FUNCTION watch.wrote() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watch.writes SELECT txid_current(), TG_TABLE_NAME, current_setting('application_name'),
        (SELECT owner FROM public.parts WHERE name = 'everything'), clock_timestamp();
    RETURN NULL;
END $$;
CREATE TRIGGER fenced AFTER UPDATE OF written ON replicas FOR EACH ROW EXECUTE FUNCTION watch.fenced();
"""
_TRIGGER: Final = "CREATE TRIGGER wrote AFTER INSERT OR UPDATE OR DELETE ON {} EXECUTE FUNCTION watch.wrote()"
_STRANGERS: Final = (
    "SELECT writer, what, count(*), min(at)::text, count(fences.life) FROM watch.writes "
    "LEFT JOIN watch.fences USING (transaction) WHERE fences.life IS DISTINCT FROM writes.owner GROUP BY writer, what"
)
_WRITES: Final = "SELECT count(DISTINCT transaction), count(DISTINCT owner) FROM watch.writes"


def log_writers(crew: Crew) -> None:
    """From now on each statement that changes a row of these tables is logged, in its own transaction."""
    with crew.server.admin(crew.database) as connection:
        connection.execute(_LOG)
        for table in TABLES:
            connection.execute(_TRIGGER.format(table).encode())


def must_have_written_alone(crew: Crew) -> str:
    """Nothing was written but by the life that owned the work then. How many transactions that is about."""
    strangers = crew.look(_STRANGERS)
    must(not strangers, f"others than the owner wrote (who, what, how often, since when, with a fence): {strangers}")
    transactions, lives = crew.look(_WRITES)[0]
    must(transactions and lives, "no write was logged")
    return f"{transactions} transactions of {lives} lives"
