"""What a worker's transactions do, each but the first behind its fence."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from notifier.store.postgres import statements as sql
from notifier.store.seat import Introduction
from notifier.store.sql.parts import Group
from notifier.store.sql.replicas import ADD_HINT
from notifier.store.sql.watching import ADD_DELIVERY


@dataclass(frozen=True, slots=True)
class Life:
    """One stay of a worker; the ID is never used again."""

    id: str


def join(worker: str, introduction: Introduction, revision: str, watchlist: str, connection: Connection) -> None:
    """Takes a place, under an ID that nobody ever had."""
    me = {"name": introduction.name, "pid": introduction.pid, "version": introduction.version}
    connection.execute(sql.WAIT_FOR_MIGRATION)
    connection.execute(sql.JOIN, {"id": worker, **me, "revision": revision, "watchlist": watchlist})


def give(worker: str, watchlist: str, parts: Sequence[str], connection: Connection) -> None:
    """Parts may be another's, and this worker goes by that watchlist."""
    connection.execute(sql.GO_BY, {"id": worker, "watchlist": watchlist})
    for part in parts:
        connection.execute(sql.GIVE, {"id": worker, "part": part})


def execute(groups: Sequence[Group], connection: Connection) -> None:
    """Raises DBAPIError. New deliveries come last: from the turn on until the end everybody else who has some waits."""
    if any(statement is ADD_HINT for statement, _ in groups):
        connection.execute(sql.HINTED)
    for statement, rows in groups:
        if statement is not ADD_DELIVERY:
            connection.execute(statement, list(rows))
    for statement, rows in groups:
        if statement is ADD_DELIVERY:
            connection.execute(sql.TAKE_TURN)
            connection.execute(statement, list(rows))


def appends(groups: Sequence[Group]) -> bool:
    """Whether there are new deliveries among it."""
    return any(statement is ADD_DELIVERY for statement, _ in groups)
