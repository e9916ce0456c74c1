"""One of several workers at one PostgreSQL server: which of them works, and how nobody else's writes get in between.

The first statement of each transaction that writes is a fence: it moves a counter in this worker's row, which must
stand where this worker left it. Who takes a dead worker's place deletes that row, if its counters still stand where
they were seen. So one of the two finds nothing to write to. The same counter says what became of a COMMIT whose answer
was lost.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import DBAPIError

from notifier.model.errors import AlreadyRunning, SeatLost, StoreError, StoreUnavailable, first_of
from notifier.store.attendance import LEASE, Attendance, Sign
from notifier.store.postgres import statements as sql
from notifier.store.postgres.connect import explain
from notifier.store.postgres.engine import as_store_errors, engine_for_thread, lazy_thread
from notifier.store.seat import Introduction
from notifier.store.sql.parts import Group
from notifier.store.sql.revision import revisions
from notifier.store.sql.watching import ADD_DELIVERY
from notifier.store.thread import ConnectionThread
from notifier.watchlist.database import ServerUrl

log = structlog.get_logger(__name__)

EVERYTHING: Final = "everything"
"""The one part that there is: whoever owns it does all the work."""
LOOK: Final = 0.5  # seconds between two looks at the others
BEAT: Final = 3.0  # seconds without a write after which one is made, so that three of them fit into a lease
MARGIN: Final = 1.0  # seconds of a lease in which one does not trust it any more: two clocks may run unlike
REST: Final = 1.25  # seconds between another's work and one's own: no destination is met twice in its interval
GLANCE: Final = 0.1  # seconds between two looks at one's own clock
RECONNECT: Final = 0.5  # seconds between two questions for the end of a commit
FAREWELL: Final = 2.0  # seconds for giving the work away at the end


def passed() -> float:
    """Seconds by a clock that never leaps; what the machine slept through counts, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class _Life:
    """One stay of this worker; the ID is never used again."""

    id: str


class Replica:
    """See `Seat`, which says what is what. Whatever writes runs in the writer's thread, one after the other."""

    def __init__(self, place: ServerUrl, introduction: Introduction, clock: Callable[[], float] = passed) -> None:
        self._place = place
        self._introduction = introduction
        self._clock = clock
        self._attendance = Attendance()
        self._life: _Life | None = None
        self._written = 0
        self._renewed_at = clock()
        """When the last transaction that came to its end was begun: a slow answer must not stretch the trust."""
        self._owned_at: float | None = None
        """Since when all the work is this worker's; what others did before may not be over yet."""
        self._is_anothers = False
        self._may_join = True
        self._ending = False
        self._held, self._free = asyncio.Event(), asyncio.Event()
        self._free.set()
        self._others: dict[str, Sign] = {}
        """The signs of all others that are there, by their IDs."""
        self._alive: str | None = None
        """The name of one of them that has shown a new sign since it was first seen."""
        self._joined = asyncio.Event()
        self._said: str | None = None

    @property
    def trusted(self) -> bool:
        return self._life is not None and self._clock() < self._renewed_at + LEASE - MARGIN

    @property
    def idle(self) -> timedelta:
        return timedelta(seconds=self._clock() - self._renewed_at)

    @property
    def is_held(self) -> bool:
        return self._owned_at is not None and self._clock() >= self._owned_at + REST and self.trusted

    @property
    def is_anothers(self) -> bool:
        return self._is_anothers

    async def until(self, *, held: bool) -> None:
        await (self._held if held else self._free).wait()

    @property
    def life(self) -> _Life | None:
        return self._life

    @property
    def is_lost(self) -> bool:
        return not self._may_join

    def anew(self) -> None:
        self._may_join = True

    async def take_alone(self) -> None:
        """Whoever is there and shows no sign of life within a lease is dead, and taken away by the next look."""
        while not (self.is_held and not self._others):
            if self._alive is not None:
                raise AlreadyRunning(str(self._place), None, self._alive)
            await asyncio.sleep(GLANCE)

    async def until_trusted(self) -> None:
        await self._joined.wait()

    async def run(self, writing: ConnectionThread) -> None:
        async with lazy_thread(engine_for_thread(self._place, "AUTOCOMMIT")) as looking:
            try:
                async with asyncio.TaskGroup() as loops:
                    loops.create_task(self._attend(writing, looking), name="attend")
                    loops.create_task(self._watch_clock(), name="watch the lease")
            except BaseExceptionGroup as group:
                raise first_of(group, StoreError) or group from group

    def hurry(self) -> None:
        self._ending = True

    async def leave(self, writing: ConnectionThread) -> None:
        self.hurry()
        life, self._owned_at = self._life, None
        if life is None:
            return
        try:
            async with asyncio.timeout(FAREWELL):
                await self._do(writing, partial(self._leave, life))
        except (TimeoutError, StoreError) as error:
            log.warning("the others could not be told that this worker ends; they will notice", error=str(error))

    # --- writes, in the writer's thread ---

    def transact(self, groups: Sequence[Group], life: object, connection: Connection) -> None:
        """One transaction behind the fence. Raises DBAPIError, and SeatLost where nothing may be written."""
        self._fenced(partial(_execute, groups), life, connection)

    def _fenced(self, work: Callable[[Connection], None], asked_in: object, connection: Connection) -> None:
        life, begun = self._life, self._clock()
        if life is None or life is not asked_in:
            raise SeatLost(f"{self._place}: this worker has no place there now")
        lost: DBAPIError | None = None
        with connection.begin() as transaction:
            if connection.execute(sql.FENCE, {"id": life.id, "written": self._written}).first() is None:
                self._lose("its place was taken, or the database went back in time")
                raise SeatLost(f"{self._place}: another worker has taken over")
            work(connection)
            try:
                transaction.commit()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                lost = error
        if lost is not None and not self._was_committed(life, connection):
            raise lost
        self._written += 1
        self._renewed_at = begun

    def _was_committed(self, life: _Life, connection: Connection) -> bool:
        """What became of a COMMIT whose answer was lost: asked until the database tells. Raises SeatLost.

        Meanwhile nothing else is written, and nothing is sent once the lease is over. At the end it is asked once."""
        while True:
            try:
                connection.rollback()
                written = connection.execute(sql.OUTCOME, {"id": life.id}).scalar()
                connection.rollback()
            except DBAPIError as error:
                if not isinstance(explain(self._place, error), StoreUnavailable):
                    raise
                if self._ending:
                    break
                time.sleep(RECONNECT)
            else:
                if written in (self._written, self._written + 1):
                    return bool(written == self._written + 1)
                self._lose("its place was taken, or the database went back in time")
                break
        raise SeatLost(f"{self._place}: what became of the last commit is not known")

    async def _do(self, writing: ConnectionThread, work: Callable[[Connection], None]) -> None:
        """In the writer's thread, whose connection may have to be made first. Raises StoreError."""
        with as_store_errors(self._place):
            await writing.run(work)

    def _join(self, connection: Connection) -> None:
        begun, life = self._clock(), _Life(uuid.uuid4().hex)
        me = self._introduction
        with connection.begin():
            given = {"id": life.id, "name": me.name, "pid": me.pid, "version": me.version}
            connection.execute(sql.JOIN, {**given, "revision": revisions()[-1]})
            connection.execute(sql.MAKE_PART, {"part": EVERYTHING})
        self._written, self._renewed_at, self._owned_at, self._life = 0, begun, None, life

    def _beat(self, connection: Connection) -> None:
        life, begun = self._life, self._clock()
        if life is None:
            return
        with connection.begin():
            moved = connection.execute(sql.BEAT, {"id": life.id, "written": self._written}).first()
        if moved is None:
            self._lose("its place was taken, or the database went back in time")
            return
        self._renewed_at = begun

    def _leave(self, life: _Life, connection: Connection) -> None:
        with connection.begin():
            connection.execute(sql.LEAVE, {"id": life.id, "written": self._written})
        self._life = None

    def _lose(self, reason: str) -> None:
        if self._life is not None:
            log.warning("another worker may do the work now; this one begins anew", reason=reason)
        self._life, self._owned_at, self._may_join = None, None, False

    # --- looks ---

    async def _watch_clock(self) -> None:
        """Tells those who wait when the work is this worker's, and when it is no more."""
        while True:
            if self.is_held:
                self._free.clear()
                self._held.set()
            else:
                self._held.clear()
                self._free.set()
            await asyncio.sleep(GLANCE)

    async def _attend(self, writing: ConnectionThread, looking: ConnectionThread) -> None:
        """The loop's border: what can't be seen or done now is at the next look."""
        while True:
            try:
                again = await self._look(writing, looking)
            except StoreUnavailable as error:
                again = False
                self._say("the other workers can't be seen now", error=str(error))
            except StoreError:
                raise
            except Exception:
                again = False
                log.exception("the other workers can't be seen by a fault of the notifier; please report it")
            if not again:
                await asyncio.sleep(LOOK)

    async def _look(self, writing: ConnectionThread, looking: ConnectionThread) -> bool:
        """One look, and what follows from it; whether to look again at once."""
        if self._life is None:
            if not self._may_join:
                return False
            await self._do(writing, self._join)
            self._joined.set()
        begun = self._clock()
        with as_store_errors(self._place):
            seen = await looking.run(_all)
        signs = {row["id"]: Sign(row["beats"], row["written"]) for row in seen}
        dead = self._attendance.look(signs, begun, self._clock(), self._renewed_at)
        life = self._life
        if life is None:
            return False
        if life.id not in signs:
            self._lose("its place was taken, or the database went back in time")
            return False
        dead.pop(life.id, None)
        owner = next((row for row in seen if row["part"] == EVERYTHING), None)
        self._note_others(life, seen, signs)
        self._is_anothers = owner is not None and owner["id"] != life.id
        if owner is None or owner["id"] != life.id:
            self._owned_at = None
        elif self._owned_at is None:
            self._owned_at = begun
        if dead or owner is None:
            for row in seen:
                if row["id"] in dead:
                    log.warning("another worker is silent; its place is taken", replica=row["name"])
            await self._do(writing, partial(self._fenced, partial(_take, life.id, dead), life))
            return True
        if self._owned_at is not None:
            self._say("this worker does the work")
        else:
            self._say("this worker stands by: another does the work", replica=owner["name"])
        if self._clock() - self._renewed_at >= BEAT - LOOK:
            await self._do(writing, self._beat)
        return False

    def _note_others(self, life: _Life, seen: Sequence[RowMapping], signs: dict[str, Sign]) -> None:
        moved = (row["name"] for row in seen if self._others.get(row["id"], signs[row["id"]]) != signs[row["id"]])
        self._alive = next(moved, self._alive)
        self._others = {other: sign for other, sign in signs.items() if other != life.id}

    def _say(self, sentence: str, **fields: Any) -> None:
        """Once, until there is something else to say."""
        if self._said != sentence:
            self._said = sentence
            log.info(sentence, **fields)


def _execute(groups: Sequence[Group], connection: Connection) -> None:
    if any(statement is ADD_DELIVERY for statement, _ in groups):
        connection.execute(sql.TAKE_TURN)
    for statement, rows in groups:
        connection.execute(statement, list(rows))


def _take(life: str, dead: dict[str, Sign], connection: Connection) -> None:
    for worker, sign in dead.items():
        seen = {"id": worker, "beats": sign.beats, "written": sign.written}
        connection.execute(sql.FREE, seen)
        connection.execute(sql.EXPEL, seen)
    connection.execute(sql.MAKE_PART, {"part": EVERYTHING})  # or nobody would work, should somebody have deleted it
    connection.execute(sql.CLAIM, {"id": life, "part": EVERYTHING})


def _all(connection: Connection) -> Sequence[RowMapping]:
    return connection.execute(sql.LOOK).mappings().all()
