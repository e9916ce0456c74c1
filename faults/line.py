"""The line between a worker and its PostgreSQL server: it is cut, slow or reset, or loses what is said of a COMMIT."""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from faults.hostile import reset
from faults.protocol import Answers, Messages, Requests

CHUNK: Final = 64 * 1024
MOST: Final = 64  # pieces that are on the line; more wait where they are sent

Pieces = asyncio.Queue[tuple[float, bytes | None]]
"""What is on the line in one direction, and since when. No bytes are its end; None is a reset, on the line too."""


class _Over(Exception):
    """This connection is to be reset."""


@dataclass(eq=False, slots=True)
class _Connection:
    """One of the worker's with its other half at the server."""

    task: "asyncio.Task[None] | None"
    writers: list[asyncio.StreamWriter]
    was_cut: bool
    is_silent: bool = False
    held: int = 0

    def end(self) -> None:
        """At once, whatever is on it."""
        if self.task is not None:
            self.task.cancel()
        self.reset()

    def reset(self) -> None:
        """On both sides."""
        for writer in self.writers:
            if not writer.is_closing():
                reset(writer)


class Line:
    """`with Line(server.port) as line:` takes connections at `line.port`, in a thread of its own, until the block ends.

    Whatever a method changes holds when it returns.
    """

    def __init__(self, onward: int) -> None:
        self.port = 0
        self.taken = 0
        """Connections, so far."""
        self.swallowed = 0
        """Answers to a COMMIT, so far."""
        self.lost = 0
        """COMMITs that never came to the server, so far."""
        self._onward = onward
        self._is_cut = False
        self._cuts_before_commit = False
        self._cuts_behind_commit = False
        self._answers_pass = False
        self._delay = 0.0
        self._to_lose = 0
        self._to_swallow = 0
        self._silently = False
        self._chance = 0.0
        self._random = random.Random(0)
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Condition()
        self._stop = asyncio.Event()
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="line", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.result().call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)

    @property
    def held(self) -> int:
        """Pieces that were sent and have not been passed on yet."""
        return sum(connection.held for connection in tuple(self._connections))

    @property
    def is_cut(self) -> bool:
        """Whether it is now."""
        return self._is_cut

    def cut(self, *, but_answers: bool = False) -> None:
        """From now on nothing passes and nobody is told, as where a cable was pulled: who connects hears nothing.

        What is sent meanwhile is kept, as TCP keeps it and sends it again. One thing a real cut does not have: this
        system acknowledges it, so that none of TCP's time-outs ends a connection (keepalives, `tcp_user_timeout`).
        `but_answers`: what the server says passes, also what was held, and nothing that is said to it.
        """

        def change() -> None:
            self._cut(answers_pass=but_answers)

        self._do(change)

    def cut_at_commit(self, *, before: bool = False) -> None:
        """The same, from when the next COMMIT has been done, and before its answer has passed; or before it passes."""

        def change() -> None:
            self._cuts_before_commit, self._cuts_behind_commit = before, not before

        self._do(change)

    def mend(self, *, lost: bool = False) -> None:
        """All passes again, first what was sent meanwhile. `lost`: too late for those connections, which are reset."""

        def change() -> None:
            self._is_cut = self._cuts_before_commit = self._cuts_behind_commit = False
            for connection in self._connections:
                if connection.was_cut and lost:
                    connection.end()
                connection.was_cut = False

        self._do(change)

    def delay(self, seconds: float) -> None:
        """Whatever passes does so this much later than it was sent, in each direction; also what is on the line now."""

        def change() -> None:
            self._delay = seconds

        self._do(change)

    def lead_to(self, port: int) -> None:
        """Who connects from now on comes there, as where an address was moved. Connections stay."""

        def change() -> None:
            self._onward = port

        self._do(change)

    def close(self) -> None:
        """Resets all connections, on both sides. New ones are taken."""

        def change() -> None:
            for connection in self._connections:
                connection.end()

        self._do(change)

    def swallow_commit(self, count: int = 1, *, silently: bool = False) -> None:
        """The next so many COMMITs are done by the server, and its answer never arrives.

        Instead both sides are reset; or, `silently`, that connection says nothing more, as if it were cut for good.
        """

        def change() -> None:
            self._to_swallow, self._silently = count, silently

        self._do(change)

    def swallow_commits(self, chance: float, luck: random.Random) -> None:
        """The same, by resets, of each COMMIT with this probability."""

        def change() -> None:
            self._chance, self._random, self._silently = chance, luck, False

        self._do(change)

    def lose_commit(self, count: int = 1) -> None:
        """The next so many COMMITs never come to the server: both sides are reset instead."""

        def change() -> None:
            self._to_lose = count

        self._do(change)

    def _do(self, change: Callable[[], None]) -> None:
        async def do() -> None:
            async with self._moved:
                change()
                self._moved.notify_all()

        asyncio.run_coroutine_threadsafe(do(), self._started.result()).result(timeout=30)

    def _cut(self, *, answers_pass: bool) -> None:
        self._is_cut, self._answers_pass = True, answers_pass
        for connection in self._connections:
            connection.was_cut = True

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        task = asyncio.create_task(self._talk(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        connection = _Connection(task, [writer], was_cut=self._is_cut)
        self._connections.add(connection)
        answers = Answers()
        requests = Requests(answers)
        try:
            await self._may_pass(connection, 0)
            there, back = await asyncio.open_connection("127.0.0.1", self._onward)
            connection.writers.append(back)
            async with asyncio.TaskGroup() as ways:
                for source, target, messages, is_gone in (
                    (reader, back, requests, lambda message: requests.is_commit(message) and self._never_comes()),
                    (
                        there,
                        writer,
                        answers,
                        lambda message: answers.is_of_commit(message) and self._is_kept_back(connection),
                    ),
                ):
                    pieces: Pieces = asyncio.Queue(MOST)
                    ways.create_task(self._take(connection, source, pieces))
                    ways.create_task(self._pass_on(connection, pieces, target, messages, is_gone))
            writer.close()
            back.close()
        except* (_Over, OSError):
            pass  # reset, by us or by a side of it, or there is no server
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _take(self, connection: _Connection, source: asyncio.StreamReader, pieces: Pieces) -> None:
        data: bytes | None = b"something"
        while data:
            try:
                data = await source.read(CHUNK)
            except OSError:
                data = None  # where the line is cut, the other side does not hear of it
            connection.held += 1
            await pieces.put((asyncio.get_running_loop().time(), data))

    async def _pass_on(
        self,
        connection: _Connection,
        pieces: Pieces,
        target: asyncio.StreamWriter,
        messages: Messages,
        is_gone: Callable[[bytes], bool],
    ) -> None:
        are_answers = isinstance(messages, Answers)
        while True:
            since, data = await pieces.get()
            await self._may_pass(connection, since, are_answers=are_answers)
            connection.held -= 1
            if data is None:
                raise _Over
            if not data:
                break
            for message in messages.whole(data):
                gone = is_gone(message)  # or it is what the line is cut by, and waits
                if gone or self._is_cut:
                    await self._may_pass(connection, since, are_answers=are_answers)  # never, where it is silent
                if gone:
                    raise _Over
                target.write(message)
            await target.drain()
        target.write_eof()

    async def _may_pass(self, connection: _Connection, since: float, *, are_answers: bool = False) -> None:
        loop = asyncio.get_running_loop()
        async with self._moved:
            while True:
                rest = since + self._delay - loop.time()
                held = (self._is_cut and not (are_answers and self._answers_pass)) or connection.is_silent
                if not held and rest <= 0:
                    return
                try:
                    await asyncio.wait_for(self._moved.wait(), None if held else rest)
                except TimeoutError:
                    continue

    def _never_comes(self) -> bool:
        """Whether a COMMIT is lost. It may be that the line is cut by now."""
        if self._cuts_before_commit:
            self._cuts_before_commit = False
            self._cut(answers_pass=False)
        if self._to_lose == 0:
            return False
        self._to_lose -= 1
        self.lost += 1
        return True

    def _is_kept_back(self, connection: _Connection) -> bool:
        """Whether the answer to a COMMIT never comes. It may be that the line is cut by now."""
        if self._cuts_behind_commit:
            self._cuts_behind_commit = False
            self._cut(answers_pass=False)
        if self._to_swallow:
            self._to_swallow -= 1
            connection.is_silent = self._silently
        elif self._random.random() >= self._chance:
            return False
        self.swallowed += 1
        return True
