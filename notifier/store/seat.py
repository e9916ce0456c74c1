"""A worker's place at its database: whether the work is its own, and how its writes are made.

At a file of SQLite there is one place, and who holds the file's lock has it. At a PostgreSQL server workers are
replicas of one notifier (postgres/replica.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from notifier.store.sql.parts import Group
    from notifier.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who takes a place, for people."""

    name: str
    """Of the replica: NOTIFIER_REPLICA, or the host's name."""
    pid: int
    version: str


class Seat(Protocol):
    """A worker's place. What is not said to run in the writer's thread is for the event loop."""

    @property
    def trusted(self) -> bool:
        """Whether the work is certainly nobody else's at this moment."""

    @property
    def is_held(self) -> bool:
        """Whether the work is this worker's."""

    async def until(self, *, held: bool) -> None:
        """Waits until the work is this worker's, or is it no more."""

    async def run(self, writer: "Writer") -> None:
        """Takes part until cancelled: shows that it is alive, looks who else is."""

    async def anew(self) -> None:
        """Whatever was done for the work that was lost has ended: another life may begin."""

    async def leave(self, writer: "Writer") -> None:
        """Gives the work away, at the end. Raises nothing: who can't be told will notice."""

    def transact(self, groups: "Sequence[Group]", connection: "Connection") -> None:
        """One transaction, in the writer's thread. Raises DBAPIError, and SeatLost where nothing may be written."""


class SoleSeat:
    """The only place: all is this worker's, always."""

    trusted = True
    is_held = True

    async def until(self, *, held: bool) -> None:
        if not held:
            await asyncio.Event().wait()

    async def run(self, writer: "Writer") -> None:
        await asyncio.Event().wait()

    async def anew(self) -> None:
        """Nothing is ever lost."""

    async def leave(self, writer: "Writer") -> None:
        """The lock's end is the place's."""

    def transact(self, groups: "Sequence[Group]", connection: "Connection") -> None:
        with connection.begin():
            for statement, rows in groups:
                connection.execute(statement, list(rows))
