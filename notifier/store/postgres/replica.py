"""One of several workers at one PostgreSQL server: what is its own, and how nobody else's writes get in between.

The first statement of each transaction that writes is a fence: it moves a counter in this worker's row, which must
stand where this worker left it. Who takes a dead worker's place deletes that row, if its counters still stand where
they were seen. So one of the two finds nothing to write to. The same counter says what became of a COMMIT whose answer
was lost.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from notifier.model.errors import AlreadyRunning, SeatLost, StoreError, StoreUnavailable, first_of
from notifier.store.attendance import LEASE, Attendance, Sign
from notifier.store.postgres import statements as sql
from notifier.store.postgres.clock import for_ever, passed, until
from notifier.store.postgres.connect import explain
from notifier.store.postgres.engine import as_store_errors, engine_for_thread, lazy_thread
from notifier.store.postgres.roll import Roll, Todo, call_roll
from notifier.store.postgres.transaction import Life, appends, execute, give, join
from notifier.store.seat import Counters, Introduction
from notifier.store.sql.parts import Group
from notifier.store.thread import ConnectionThread
from notifier.watchlist.database import ServerUrl

log = structlog.get_logger(__name__)

LOOK: Final = 0.25  # seconds between two looks at the others
BEAT: Final = 3.0  # seconds without a write after which one is made, so that three of them fit into a lease
MARGIN: Final = 1.0  # seconds of a lease in which one does not trust it any more: two clocks may run unlike
REST: Final = 1.25  # seconds between another's work and one's own: no destination is met twice in its interval
RECONNECT: Final = 0.5  # seconds between two questions for the end of a commit
NOBODY: Final = Roll({}, {}, None)
GONE: Final = "its place was taken, or the database went back in time"
FAREWELL: Final = 2.0  # seconds for giving the work away at the end


class Replica:
    """See `Seat`, which says what is what. Whatever writes runs in the writer's thread, one after the other."""

    is_shared = True

    def __init__(self, place: ServerUrl, introduction: Introduction, clock: Callable[[], float] = passed) -> None:
        self._place = place
        self._introduction = introduction
        self._clock = clock
        self._attendance = Attendance()
        self._life: Life | None = None
        self._written = 0
        self._renewed_at = clock()
        """When the last transaction that came to its end was begun: a slow answer must not stretch the trust."""
        self._may_join = True
        self._ending = False
        self._wanted: frozenset[str] = frozenset()
        self._watchlist = ""
        self._has_loaded = False
        """Whether that watchlist is yet to be put in force."""
        self._roll = NOBODY
        self._planned: frozenset[str] = frozenset()
        """What this worker is to have."""
        self._owned: dict[str, float] = {}
        """Since when each of its parts is its own; what others did before may not be over yet."""
        self._gifts = 0
        """Moves when a part is given: what a look that was begun before has shown is no more."""
        self._alive: str | None = None
        """The name of another that has shown a new sign since it was first seen."""
        self._turns = 0
        """How often this worker has moved the counter of deliveries."""
        self._said = ""

    @property
    def trusted(self) -> bool:
        return self._life is not None and self._clock() < self._renewed_at + LEASE - MARGIN

    @property
    def idle(self) -> timedelta:
        return timedelta(seconds=self._clock() - self._renewed_at)

    @property
    def parts(self) -> frozenset[str]:
        if not self.trusted:
            return frozenset()
        rested = self._clock() - REST
        return frozenset(part for part, since in self._owned.items() if since <= rested and part in self._planned)

    @property
    def leaving(self) -> frozenset[str]:
        return frozenset(self._owned.keys() - self._planned) if self.trusted else frozenset()

    @property
    def elsewhere(self) -> frozenset[str]:
        mine = self._life.id if self._life is not None else None
        return frozenset(part for part, owner in self._roll.owners.items() if owner not in (None, mine))

    @property
    def nobodys(self) -> frozenset[str]:
        return frozenset(part for part in self._wanted if self._roll.owners.get(part) is None)

    @property
    def members(self) -> int:
        return len(self._roll.members)

    @property
    def is_unanimous(self) -> bool:
        mine = self._roll.watchlist == self._watchlist
        return self.trusted and mine and self._roll.is_unanimous(self._wanted)

    def wants(self, parts: Collection[str], watchlist: str) -> None:
        self._has_loaded = bool(watchlist) and (self._has_loaded or watchlist != self._watchlist)
        self._wanted, self._watchlist = frozenset(parts), watchlist
        self._planned &= self._wanted

    def insist(self) -> None:
        self._has_loaded = bool(self._watchlist)

    async def changed(self, parts: frozenset[str], leaving: frozenset[str]) -> None:
        await until(lambda: self.parts != parts or self.leaving != leaving)

    async def until(self, *, trusted: bool) -> None:
        await until(lambda: self.trusted == trusted)

    @property
    def life(self) -> Life | None:
        return self._life

    @property
    def is_lost(self) -> bool:
        return not self._may_join

    def anew(self) -> None:
        self._may_join = True

    async def take_alone(self, parts: Collection[str], watchlist: str) -> None:
        """Whoever is there and shows no sign of life within a lease is dead, and taken away by the next look. Nothing
        is wanted before that: parts of those that live would move, and another watchlist would stop them."""
        await self._until_alone(lambda: True)
        self.wants(parts, watchlist)
        await self._until_alone(lambda: self.parts == self._wanted)

    async def _until_alone(self, holds: Callable[[], bool]) -> None:
        def so() -> bool:
            if self._alive is not None:
                raise AlreadyRunning(str(self._place), None, self._alive)
            return self._life is not None and self._roll.members.keys() == {self._life.id} and holds()

        await until(so)

    async def run(self, writing: ConnectionThread) -> None:
        async with lazy_thread(engine_for_thread(self._place, "AUTOCOMMIT")) as looking:
            try:
                async with asyncio.TaskGroup() as loops:
                    look = for_ever(partial(self._look, writing, looking), LOOK, self._put_off)
                    loops.create_task(look, name="look at the others")
                    show = for_ever(partial(self._show_life, writing), LOOK, self._put_off)
                    loops.create_task(show, name="show life")
            except BaseExceptionGroup as group:
                raise first_of(group, StoreError) or group from group

    async def give(self, parts: Collection[str], writing: ConnectionThread) -> None:
        if (life := self._life) is None:
            return
        self._forget(parts)
        try:
            await self._do(writing, partial(self._fenced, partial(give, life.id, self._watchlist, sorted(parts)), life))
        finally:
            self._forget(parts)  # which a look may have shown meanwhile

    def _forget(self, parts: Collection[str]) -> None:
        self._gifts += 1
        for part in parts:
            self._owned.pop(part, None)

    def hurry(self) -> None:
        self._ending = True

    async def leave(self, writing: ConnectionThread) -> None:
        self._ending, self._owned = True, {}
        if (life := self._life) is None:
            return
        try:
            async with asyncio.timeout(FAREWELL):
                await self._do(writing, partial(self._leave, life))
        except (TimeoutError, StoreError) as error:
            log.warning("the others could not be told that this worker ends; they will notice", error=str(error))

    # --- writes, in the writer's thread ---

    def transact(self, groups: Sequence[Group], life: object, connection: Connection) -> None:
        """One transaction behind the fence. Raises DBAPIError, and SeatLost where nothing may be written."""
        self._fenced(partial(execute, groups), life, connection)
        self._turns += appends(groups)

    def _fenced(self, work: Callable[[Connection], None], asked_in: object, connection: Connection) -> None:
        life, begun = self._life, self._clock()
        if life is None or life is not asked_in:
            raise SeatLost(f"{self._place}: this worker has no place there now")
        lost: DBAPIError | None = None
        with connection.begin() as transaction:
            if connection.execute(sql.FENCE, {"id": life.id, "written": self._written}).first() is None:
                self._lose(GONE)
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

    def _was_committed(self, life: Life, connection: Connection) -> bool:
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
                self._lose(GONE)
                break
        raise SeatLost(f"{self._place}: what became of the last commit is not known")

    async def _do(self, writing: ConnectionThread, work: Callable[[Connection], None]) -> None:
        """In the writer's thread, whose connection may have to be made first. Raises StoreError."""
        with as_store_errors(self._place):
            await writing.run(work)

    def _join(self, connection: Connection) -> None:
        begun, life = self._clock(), Life(uuid.uuid4().hex)
        with connection.begin():
            join(life.id, self._introduction, self._watchlist, connection)
        self._written, self._renewed_at, self._owned, self._life = 0, begun, {}, life

    def _beat(self, connection: Connection) -> None:
        life, begun = self._life, self._clock()
        if life is None:
            return
        with connection.begin():
            moved = connection.execute(sql.BEAT, {"id": life.id, "written": self._written}).first()
        if moved is None:
            self._lose(GONE)
        else:
            self._renewed_at = begun

    def _leave(self, life: Life, connection: Connection) -> None:
        with connection.begin():
            connection.execute(sql.LEAVE, {"id": life.id, "written": self._written})
        self._life = None

    def _lose(self, reason: str) -> None:
        if self._life is not None:
            log.warning("another worker may do the work now; this one begins anew", reason=reason)
        self._life, self._owned, self._may_join = None, {}, False

    def changes(self, connection: Connection) -> Counters:
        with connection.begin():
            seen = {row.name: row.value for row in connection.execute(sql.COUNTERS)}
        if self._attendance.is_short_of_some(seen.get("appended", 0), self._life):
            self._lose(GONE)
        return Counters(seen.get("commanded", 0), seen.get("appended", 0) - self._turns, seen.get("hinted", 0))

    # --- looks ---

    def _put_off(self, error: StoreUnavailable) -> None:
        self._say("the other workers can't be seen now", error=str(error))

    async def _show_life(self, writing: ConnectionThread) -> bool:
        """Beside the looks: who has to wait for a write, as for another's turn, goes on looking."""
        if self._life is not None and self._clock() - self._renewed_at >= BEAT - LOOK:
            await self._do(writing, self._beat)
        return False

    async def _look(self, writing: ConnectionThread, looking: ConnectionThread) -> bool:
        """One look, and what follows from it; whether to look again at once."""
        if self._life is None:
            if not self._may_join:
                return False
            await self._do(writing, self._join)
        begun, gifts = self._clock(), self._gifts
        with as_store_errors(self._place):
            roll = await looking.run(call_roll)
        if gifts != self._gifts:
            return True
        dead = self._attendance.look(roll.signs, begun, self._clock(), self._renewed_at)
        if (life := self._life) is None:
            return False
        if self._attendance.is_behind(roll.signs, life) or life.id not in roll.members:
            self._lose(GONE)
            return False
        dead.pop(life.id, None)
        self._note(life, roll, roll.plan(self._wanted, dead), begun)
        if (todo := self._todo(life, roll, dead)) is not None:
            todo.announce(roll)
            await self._do(writing, partial(self._fenced, todo.carry_out, life))
            self._has_loaded &= self._watchlist != todo.in_force
            return True
        return False

    def _note(self, life: Life, roll: Roll, plan: Mapping[str, str], begun: float) -> None:
        """What a look has shown: who is there, what is this worker's, and what it is to have."""
        self._alive = roll.anyone_moved(self._roll, life.id) or self._alive
        self._roll = roll
        self._owned = {part: self._owned.get(part, begun) for part in roll.parts_of(life.id)}
        self._planned = frozenset(part for part, worker in plan.items() if worker == life.id)
        if self._watchlist in ("", roll.watchlist) or self._has_loaded or not roll.able:
            self._say("")
        else:
            self._say("another watchlist was loaded after this worker's, which stands by until its own is the same")

    def _todo(self, life: Life, roll: Roll, dead: Mapping[str, Sign]) -> Todo | None:
        """What is to be written after a look; None for nothing."""
        free = {part for part, owner in roll.owners.items() if owner is None or owner in dead}
        todo = Todo(
            life.id,
            dead,
            make=sorted(self._wanted - roll.owners.keys()),
            claim=sorted(self._planned & (free | (self._wanted - roll.owners.keys()))),
            drop=sorted(free - self._wanted) if "upkeep" in self.parts and self.is_unanimous else [],
            watchlist=self._watchlist,
            in_force=self._watchlist if self._has_loaded or roll.watchlist is None else "",
            instead_of=roll.watchlist if self._watchlist and not (roll.able or self._has_loaded) else None,
        )
        return todo if todo.is_any(roll.members[life.id].watchlist) else None

    def _say(self, sentence: str, **fields: Any) -> None:
        """Once, until there is something else to say, or nothing."""
        if sentence and self._said != sentence:
            log.info(sentence, **fields)
        self._said = sentence
