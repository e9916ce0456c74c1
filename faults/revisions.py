"""Who had which part when, of which version he was, and when the database was brought to another schema: logged at the
server, with the transaction of each change, so that no moment escapes.

The server tells when a transaction was committed (`track_commit_timestamp`), and so in which order they were. Needs
faults/writers.py's log.
"""

from typing import Final

from faults.crew import Crew
from faults.row import must

SETTINGS: Final = {"track_commit_timestamp": "on"}
"""What the server must be told."""
_LOG: Final = """
CREATE TABLE watch.lives (life text PRIMARY KEY, name text, revision text);
CREATE TABLE watch.hands (place bigserial, transaction xid, part text, owner text);
CREATE TABLE watch.schemas (transaction xid, revision text);
CREATE FUNCTION watch.joined() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watch.lives VALUES (NEW.id, NEW.name, NEW.revision);
    RETURN NULL;
END $$;
CREATE FUNCTION watch.handed() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watch.hands (transaction, part, owner) VALUES (
        pg_current_xact_id()::xid, (coalesce(NEW, OLD)).name, CASE TG_OP WHEN 'DELETE' THEN NULL ELSE NEW.owner END
    );
    RETURN NULL;
END $$;
CREATE FUNCTION watch.migrated() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO watch.schemas VALUES (pg_current_xact_id()::xid, NEW.version_num);
    RETURN NULL;
END $$;
CREATE TRIGGER joined AFTER INSERT ON replicas FOR EACH ROW EXECUTE FUNCTION watch.joined();
CREATE TRIGGER handed AFTER INSERT OR UPDATE OR DELETE ON parts FOR EACH ROW EXECUTE FUNCTION watch.handed();
CREATE TRIGGER migrated AFTER INSERT OR UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION watch.migrated();
INSERT INTO watch.lives SELECT id, name, revision FROM replicas;
INSERT INTO watch.hands (transaction, part, owner) SELECT pg_current_xact_id()::xid, name, owner FROM parts;
"""
_HANDS: Final = (
    "SELECT pg_xact_commit_timestamp(transaction)::text, transaction::text, part, owner, name, revision "
    "FROM watch.hands LEFT JOIN watch.lives ON life = owner "
    "ORDER BY pg_xact_commit_timestamp(transaction), transaction::text, place"
)
_MIGRATED: Final = "SELECT revision FROM watch.schemas ORDER BY pg_xact_commit_timestamp(transaction)"
_STRAY_WRITES: Final = (
    "WITH migrated AS (SELECT revision, pg_xact_commit_timestamp(transaction) AS at FROM watch.schemas) "
    "SELECT lives.name, lives.revision, migrated.revision, what, count(*) "
    "FROM watch.writes JOIN watch.fences USING (transaction) JOIN watch.lives USING (life) CROSS JOIN migrated "
    "WHERE (lives.revision < migrated.revision) "
    "= (pg_xact_commit_timestamp(transaction::text::xid) > migrated.at) GROUP BY 1, 2, 3, 4"
)


def log_revisions(crew: Crew) -> None:
    """From now on, behind `log_writers`."""
    with crew.server.admin(crew.database) as connection, connection.transaction():
        connection.execute("LOCK TABLE replicas, parts IN SHARE ROW EXCLUSIVE MODE")
        connection.execute(_LOG)


def must_have_been_one_version(crew: Crew, migrated: list[str]) -> str:
    """At no moment did two versions have parts; the schema became these and no others, and each version wrote only
    while the schema was its own. How many changes of hands that is about."""
    had: dict[str, tuple[str, str]] = {}
    hands = crew.look(_HANDS)
    for place, (at, transaction, part, owner, name, revision) in enumerate(hands):
        had.pop(part, None)
        if owner is not None:
            had[part] = (revision, name)
        is_whole = place + 1 == len(hands) or hands[place + 1][1] != transaction
        versions = {version for version, _ in had.values()}
        must(not is_whole or len(versions) <= 1, f"at {at} two versions had parts: {had}")
    made = [revision for (revision,) in crew.look(_MIGRATED)]
    must(made == migrated, f"the schema became {made}, where it was to become {migrated}")
    stray = crew.look(_STRAY_WRITES)
    must(not stray, f"written by one version beside the schema of another (who, of which, the schema's, what): {stray}")
    return f"{len(hands)} changes of hands"
