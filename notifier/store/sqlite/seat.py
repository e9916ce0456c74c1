"""The only place at a file of SQLite: who holds the file's lock has it."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection

from notifier.store.seat import Counters
from notifier.store.sql.parts import Group
from notifier.store.thread import ConnectionThread


class SoleSeat:
    """The only place: all is this worker's, always."""

    is_shared = False
    trusted = True
    is_lost = False
    is_alive = True
    is_overtaken = False
    stands_aside = False
    ailment = None
    is_unanimous = True
    idle = None
    life = None
    elsewhere: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    nobodys: frozenset[str] = frozenset()
    members = 1

    def __init__(self, version: Callable[[Connection], int]) -> None:
        """`version` gives a number that differs once another process has written."""
        self.parts: frozenset[str] = frozenset()
        self._version = version

    def wants(self, parts: Collection[str], watchlist: str) -> None:
        self.parts = frozenset(parts)

    def insist(self) -> None:
        """There is no other."""

    async def changed(self, parts: frozenset[str], leaving: frozenset[str]) -> None:
        if self.parts == parts:
            await asyncio.Event().wait()

    async def until(self, *, trusted: bool) -> None:
        if not trusted:
            await asyncio.Event().wait()

    async def take_alone(self, parts: Collection[str], watchlist: str) -> None:
        self.wants(parts, watchlist)

    async def run(self, writing: ConnectionThread) -> None:
        await asyncio.Event().wait()

    async def give(self, parts: Collection[str], writing: ConnectionThread) -> None:
        """There is nobody else."""

    def anew(self) -> None:
        """Nothing is ever lost."""

    def hurry(self) -> None:
        """Nothing waits for long."""

    async def leave(self, writing: ConnectionThread) -> None:
        """The lock's end is the place's."""

    def transact(self, groups: Sequence[Group], life: object, connection: Connection) -> None:
        with connection.begin():
            for statement, rows in groups:
                connection.execute(statement, list(rows))

    def changes(self, connection: Connection) -> Counters:
        return Counters(self._version(connection))
