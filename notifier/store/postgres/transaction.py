"""What a worker's transaction does behind its fence: what was asked for, and the counters that others look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from notifier.store.postgres import statements as sql
from notifier.store.sql.parts import Group
from notifier.store.sql.replicas import ADD_HINT
from notifier.store.sql.watching import ADD_DELIVERY


@dataclass(frozen=True, slots=True)
class Life:
    """One stay of a worker; the ID is never used again."""

    id: str


def execute(groups: Sequence[Group], connection: Connection) -> None:
    """Raises DBAPIError."""
    if appends(groups):
        connection.execute(sql.TAKE_TURN)
    if any(statement is ADD_HINT for statement, _ in groups):
        connection.execute(sql.HINTED)
    for statement, rows in groups:
        connection.execute(statement, list(rows))


def appends(groups: Sequence[Group]) -> bool:
    """Whether there are new deliveries among it."""
    return any(statement is ADD_DELIVERY for statement, _ in groups)


def give(life: Life, watchlist: str, parts: Sequence[str], connection: Connection) -> None:
    """What of these parts is this worker's is nobody's any more. Raises DBAPIError."""
    connection.execute(sql.GO_BY, {"id": life.id, "watchlist": watchlist})
    for part in parts:
        connection.execute(sql.GIVE, {"id": life.id, "part": part})
