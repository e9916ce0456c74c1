"""Brings a PostgreSQL database to the newest schema, and says how it stands to this version."""

import time
from typing import Any, Final

import psycopg

from notifier.model.errors import DatabaseUnusable
from notifier.store.postgres.connect import OLDEST, Connection, connect, explain, is_refusal
from notifier.store.sql.revision import (
    SchemaState,
    refuse_older,
    refuse_others,
    revisions,
    schema_state,
    scripts_directory,
)
from notifier.watchlist.database import ServerUrl

PATIENCE: Final = 30.0  # seconds: a server and its workers are often started together
PAUSE: Final = 0.5
SOON: Final = "1s"  # for a lock that a frozen worker may hold: looks must go on, that it is seen to be dead
LOCK: Final = 0x6E6F74696669  # the key of our advisory lock: "notifi"
SHARED_SINCE: Final = "0012"  # with that schema workers can see of which version each other is
# Whoever wants a part waits, and so does who orders something; what they are then told is that it is another's now.
CLOSE: Final = "LOCK TABLE parts IN SHARE ROW EXCLUSIVE MODE; LOCK TABLE deliveries IN EXCLUSIVE MODE"
HELD: Final = "SELECT name FROM parts WHERE owner IN (SELECT id FROM replicas WHERE revision < %s)"
# Who is amid a write may wait for what this transaction has locked: it is not waited for.
EXPEL_OLDER: Final = (
    "DELETE FROM replicas WHERE id IN (SELECT id FROM replicas WHERE revision < %s FOR UPDATE SKIP LOCKED)"
)
OLDER: Final = "SELECT id FROM replicas WHERE revision < %s"
MIGRATES: Final = "census-notifier migrates for "  # and the ID of whose migration it is: so a connection is named


def state_of(connection: Connection) -> tuple[SchemaState, str | None]:
    """How the schema stands to this version's, and its revision if it has one."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
    names = {str(name) for (name,) in tables}
    revision: str | None = None
    if "alembic_version" in names:
        revision, *_ = connection.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
    return schema_state(names, revision), revision


def check_made(place: ServerUrl, connection: Connection) -> None:
    """For what all versions have in common. Raises DatabaseUnusable where there is no database of ours."""
    state, revision = state_of(connection)
    if revision is None:
        refuse_others(place, state, revision)
        raise DatabaseUnusable(f"{place}: no tables there yet; `notifier run` or `notifier migrate` makes them")


def check_current(place: ServerUrl, connection: Connection) -> None:
    """Raises DatabaseUnusable unless the schema is this version's."""
    state, revision = state_of(connection)
    check_made(place, connection)
    refuse_others(place, state, revision)
    refuse_older(place, state)


def prepare(place: ServerUrl) -> bool:
    """Creates the tables where there are none; True when it did. Waits a while for a server that is not there yet.

    What an older version made is for `migrate_beside`: workers of that version may be at work.
    Raises DatabaseUnusable with the remedy.
    """
    give_up, waits = time.monotonic() + PATIENCE, False
    while True:
        try:
            return _prepare(place)
        except psycopg.Error as error:
            ours = explain(place, error)
            if ours is None:
                raise
            if isinstance(ours, DatabaseUnusable) or is_refusal(error) or time.monotonic() > give_up:
                raise explain(place, error, opening=True) or error from error
        if not waits:  # a wrong password looks no other than a server that is not there yet
            _say_that_it_waits(ours)
        waits = True
        time.sleep(PAUSE)


def _say_that_it_waits(why: Exception) -> None:
    import structlog  # which a look at the status needs not

    structlog.get_logger(__name__).warning("the database can't be used yet; waiting half a minute", error=str(why))


def _prepare(place: ServerUrl) -> bool:
    with connect(place) as connection:
        _check_server(place, connection)
        state, revision = state_of(connection)
    refuse_others(place, state, revision)
    if state == "current" or (revision is not None and revision >= SHARED_SINCE):
        return False
    changed = _upgrade(place)
    with connect(place) as connection:
        state, _ = state_of(connection)
    if state == "older":
        raise DatabaseUnusable(f"{place}: a worker of an older version is at work there; stop it first")
    return changed


def migrate_beside(place: ServerUrl, worker: str) -> bool:
    """Upgrades where workers of older versions may have places, and none of them a part of the work; False where one
    has, or another migrates, or all is done. What they had begun to write can't be written any more: they find that
    their places are taken. `worker`: the ID of the one that does it.

    Raises StoreError; any fault but the server's is one for good, or it would be tried for ever while nobody works."""
    from sqlalchemy.exc import DBAPIError

    try:
        return _upgrade(place, worker)
    except (psycopg.Error, DBAPIError) as error:
        raise explain(place, error) or explain(place, error, opening=True) or error from error


def _upgrade(place: ServerUrl, worker: str | None = None) -> bool:
    """In one transaction, and one worker at a time: who comes second finds that all is done. A worker that has a place
    waits for nobody, but comes back: it has to look at the others, of whom whoever migrates may be dead."""
    import alembic.command  # noqa: F401 - before the transaction: nobody else does anything while that is open

    from notifier.store.postgres.engine import as_store_errors, engine_for_looks
    from notifier.store.sql.upgrade import upgrade

    opening = worker is None
    with as_store_errors(place, opening=opening), engine_for_looks(place, "READ COMMITTED").begin() as connection:
        driver: Any = connection.connection.driver_connection
        _limit(driver)
        if opening:
            driver.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        elif driver.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone() != (True,):
            return False
        state, revision = state_of(driver)
        if state == "current" or (revision is not None and not _is_ours(driver, worker)):
            return False
        if revision is None:
            driver.execute((scripts_directory() / "postgresql.sql").read_bytes())
        upgrade(connection, place)
        return True


def _is_ours(driver: Connection, worker: str | None) -> bool:
    """Whether the database is this transaction's alone, and nobody of an older version has a part of the work; where a
    worker takes over, nor a place."""
    mine = (revisions()[-1],)
    if worker is not None:
        driver.execute("SELECT set_config('application_name', %s, true)", (MIGRATES + worker,))
        driver.execute("SELECT set_config('lock_timeout', %s, true)", (SOON,))
    driver.execute(CLOSE)
    _limit(driver)
    if driver.execute(HELD, mine).fetchone() is not None:
        return False
    if worker is not None:
        driver.execute(EXPEL_OLDER, mine)
        return driver.execute(OLDER, mine).fetchone() is None
    return True


def _limit(connection: Connection) -> None:
    """For the transaction: it holds behind a pooler too, and ends with it."""
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', '10s', true)")
    connection.execute("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '10s', true)")


def _check_server(place: ServerUrl, connection: Connection) -> None:
    import structlog  # which a look at the status needs not

    name, encoding = connection.execute("SELECT version(), current_setting('server_encoding')").fetchone() or ("", "")
    if not name.startswith("PostgreSQL ") or "-YB-" in name or connection.info.server_version < OLDEST * 10_000:
        raise DatabaseUnusable(f"{place}: PostgreSQL {OLDEST} or newer is needed; this is {name[:60]}")
    if encoding != "UTF8":
        raise DatabaseUnusable(f"{place}: the database's encoding must be UTF8; it is {encoding}")
    if connection.execute("SELECT current_setting('fsync')").fetchone() == ("off",):
        log = structlog.get_logger(__name__)
        log.warning("the server has fsync = off: a loss of power may take back what was told", database=str(place))
    if connection.execute("SELECT current_schema()").fetchone() == (None,):
        raise DatabaseUnusable(f"{place}: no schema of the user's search_path is there")
