"""The one reader: what is asked for while it reads is read next, together, in a thread of its own.

A read is a few hundred microseconds of work on rows that are found by their key; handing each statement of it to
another thread by itself costs more than that. Who asks after a commit sees it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, Executable, Row
from sqlalchemy.exc import DBAPIError

from notifier.model.errors import StoreUnavailable
from notifier.store.database import Database
from notifier.store.thread import ConnectionThread

MOST_QUESTIONS = 100  # questions that are answered together: bounds how long the first waits for the last

Rows = Sequence[Row[Any]]


@dataclass(slots=True)
class _Question:
    statement: Executable
    parameters: dict[str, object]
    answer: "asyncio.Future[Rows]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class DatabaseReader:
    """Reads on one connection. Made by `open_reader`."""

    def __init__(self, thread: ConnectionThread, database: Database) -> None:
        self._thread = thread
        self._database = database
        self._waiting: list[_Question] = []
        self._working: asyncio.Task[None] | None = None
        self._closing = False

    async def read(self, statement: Executable, /, **parameters: object) -> Rows:
        """All rows. Raises StoreError. Cancelling the caller leaves the others, and the connection, alone."""
        if self._closing:
            raise StoreUnavailable(f"{self._database}: closed")
        question = _Question(statement, parameters)
        self._waiting.append(question)
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="store reader")
        return await question.answer

    async def close(self) -> None:
        """Answers what was asked before, then nothing any more."""
        self._closing = True
        if self._working is not None:
            await self._working

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_QUESTIONS], self._waiting[MOST_QUESTIONS:]
            answers = await self._asked(batch)
            for question, answer in zip(batch, answers, strict=True):
                if question.answer.done():  # its caller was cancelled
                    continue
                if isinstance(answer, Exception):
                    question.answer.set_exception(answer)
                else:
                    question.answer.set_result(answer)
        self._working = None

    async def _asked(self, batch: Sequence[_Question]) -> list[Rows | Exception]:
        """Whatever happens, each gets an answer: also where there is no connection to ask on."""
        try:
            return await self._thread.run(partial(self._answers, batch))
        except DBAPIError as error:
            return [self._database.explain(error) or error for _ in batch]
        except Exception as error:  # noqa: BLE001 - who asked must hear of it
            return [error for _ in batch]

    def _answers(self, batch: Sequence[_Question], connection: Connection) -> list[Rows | Exception]:
        return [self._answer(question, connection) for question in batch]

    def _answer(self, question: _Question, connection: Connection) -> Rows | Exception:
        try:
            return connection.execute(question.statement, question.parameters).all()
        except DBAPIError as error:
            if error.connection_invalidated:
                connection.rollback()  # else the next question of the batch could not even connect
            return self._database.explain(error) or error
        except Exception as error:  # noqa: BLE001 - a value that the database can't hold, say: its caller must hear of it
            return error


@asynccontextmanager
async def open_reader(database: Database) -> AsyncIterator[DatabaseReader]:
    """A connection that only reads. Raises DatabaseUnusable."""
    async with database.reading() as thread:
        reader = DatabaseReader(thread, database)
        try:
            yield reader
        finally:
            await reader.close()
