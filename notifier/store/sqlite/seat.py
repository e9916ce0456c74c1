"""The only place at a file of SQLite: who holds the file's lock has it."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from notifier.store.sql.parts import Group
from notifier.store.thread import ConnectionThread


class SoleSeat:
    """The only place: all is this worker's, always."""

    trusted = True
    is_held = True
    is_anothers = False
    is_lost = False
    idle = None
    life = None

    async def until(self, *, held: bool) -> None:
        if not held:
            await asyncio.Event().wait()

    async def take_alone(self) -> None:
        """It is alone."""

    async def until_trusted(self) -> None:
        """It has its place."""

    async def run(self, writing: ConnectionThread) -> None:
        await asyncio.Event().wait()

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
