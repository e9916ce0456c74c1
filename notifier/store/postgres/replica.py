"""One of several workers at one PostgreSQL server: what is its own, by what all can see of each other.

How its writes are made, and that it writes nothing where another has taken its place, is fence.py's.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from notifier.model.errors import AlreadyRunning, StoreError, StoreUnavailable, first_of
from notifier.store.attendance import Attendance, Sign
from notifier.store.postgres import statements as sql
from notifier.store.postgres.clock import for_ever, passed, until
from notifier.store.postgres.engine import as_store_errors, engine_for_thread, lazy_thread
from notifier.store.postgres.fence import Fence
from notifier.store.postgres.roll import Roll, Todo
from notifier.store.postgres.sight import Sight
from notifier.store.postgres.takeover import Versions
from notifier.store.postgres.transaction import Life, appends, execute, give
from notifier.store.seat import Counters, Introduction
from notifier.store.sql.parts import Group
from notifier.store.sql.revision import refuse_others, revisions
from notifier.store.thread import ConnectionThread
from notifier.watchlist.database import ServerUrl

log = structlog.get_logger(__name__)

LOOK: Final = 0.25  # seconds between two looks at the others
BEAT: Final = 3.0  # seconds without a write after which one is made, so that three of them fit into a lease
REST: Final = 1.25  # seconds between another's work and one's own: no destination is met twice in its interval
SIGHT: Final = 1.0  # seconds for which a look says what all go by: less than who takes a new part has it rest
NOBODY: Final = Roll({}, {}, None, None)
FAREWELL: Final = 2.0  # seconds for giving the work away at the end


class Replica:
    """See `Seat`, which says what is what. Whatever writes runs in the writer's thread, one after the other."""

    is_shared = True

    def __init__(self, place: ServerUrl, introduction: Introduction, clock: Callable[[], float] = passed) -> None:
        self._place = place
        self._introduction = introduction
        self._clock = clock
        self._fence = Fence(place, clock)
        self._attendance = Attendance()
        self._sight = Sight(place)
        self._revision = revisions()[-1]
        self._version = Versions(self._revision, clock)
        self._wanted: frozenset[str] = frozenset()
        self._watchlist = ""
        self._has_loaded = False
        """Whether that watchlist is yet to be put in force."""
        self._roll, self._seen_at = NOBODY, clock()
        """What the last look showed, and when that was begun."""
        self._wants_to_be_alone = False
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
        return self._fence.holds and (self._version.may_work or bool(self._owned))

    @property
    def idle(self) -> timedelta:
        return timedelta(seconds=self._fence.idle)

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
        mine = self._fence.life.id if self._fence.life is not None else None
        return frozenset(part for part, owner in self._roll.owners.items() if owner not in (None, mine))

    @property
    def nobodys(self) -> frozenset[str]:
        return frozenset(part for part in self._wanted if self._roll.owners.get(part) is None)

    @property
    def members(self) -> int:
        return len(self._roll.members)

    @property
    def is_unanimous(self) -> bool:
        mine = self._roll.watchlist == self._watchlist and self._clock() - self._seen_at < SIGHT
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
        return self._fence.life

    @property
    def is_lost(self) -> bool:
        return self._fence.is_lost

    def anew(self) -> None:
        self._fence.is_lost = False

    @property
    def is_overtaken(self) -> bool:
        return self._version.is_overtaken

    @property
    def is_alive(self) -> bool:
        return self._fence.holds or self._version.only_waits

    @property
    def stands_aside(self) -> bool:
        return self._version.stands_aside

    @property
    def ailment(self) -> str | None:
        return self._version.ailment

    async def take_alone(self, parts: Collection[str], watchlist: str) -> None:
        """Whoever is there and shows no sign of life within a lease is dead, and taken away by the next look. Nothing
        is wanted before that: parts of those that live would move, and another watchlist would stop them."""
        self._wants_to_be_alone = True
        await self._until_alone(lambda: True)
        self.wants(parts, watchlist)
        await self._until_alone(lambda: self.parts == self._wanted)

    async def _until_alone(self, holds: Callable[[], bool]) -> None:
        def so() -> bool:
            if self._alive is not None:
                raise AlreadyRunning(str(self._place), None, self._alive)
            self._go_on_waiting()
            life = self._fence.life
            return life is not None and self._roll.members.keys() == {life.id} and holds()

        await until(so)

    async def until_migrated(self) -> None:
        """Waits until the database has this version's schema. Raises AnothersVersion."""

        def so() -> bool:
            self._go_on_waiting()
            return self.trusted

        await until(so)

    def _go_on_waiting(self) -> None:
        """For who has done nothing yet: another place is as good as the one that was taken. Raises AnothersVersion
        where a newer version has come before, for which no command stands by."""
        if self.is_lost:
            self.anew()
        if self._roll.revision is not None and self._roll.revision > self._revision:
            refuse_others(self._place, "newer", self._roll.revision)

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
        if (life := self._fence.life) is None:
            return
        self._forget(parts)
        giving = partial(give, life.id, self._watchlist, sorted(parts))
        try:
            await self._do(writing, partial(self._fence.write, giving, life))
        finally:
            self._forget(parts)  # which a look may have shown meanwhile

    def _forget(self, parts: Collection[str]) -> None:
        self._gifts += 1
        for part in parts:
            self._owned.pop(part, None)

    def hurry(self) -> None:
        self._fence.hurry()

    async def leave(self, writing: ConnectionThread) -> None:
        self.hurry()
        self._owned = {}
        life = self._fence.life
        if life is None:
            return
        try:
            async with asyncio.timeout(FAREWELL):
                await self._do(writing, partial(self._fence.leave, life))
        except (TimeoutError, StoreError) as error:
            log.warning("the others could not be told that this worker ends; they will notice", error=str(error))

    # --- writes, in the writer's thread ---

    def transact(self, groups: Sequence[Group], life: object, connection: Connection) -> None:
        """One transaction behind the fence. Raises DBAPIError, and SeatLost where nothing may be written."""
        self._fence.write(partial(execute, groups), life, connection)
        self._turns += appends(groups)

    async def _do(self, writing: ConnectionThread, work: Callable[[Connection], None]) -> None:
        """In the writer's thread, whose connection may have to be made first. Raises StoreError."""
        with as_store_errors(self._place):
            await writing.run(work)

    def _join(self, connection: Connection) -> None:
        self._owned = {}
        self._version.forget()
        self._fence.join(self._introduction, self._revision, self._watchlist, connection)

    def changes(self, connection: Connection) -> Counters:
        with connection.begin():
            seen = {row.name: row.value for row in connection.execute(sql.COUNTERS)}
        if self._attendance.is_short_of_some(seen.get("appended", 0), self._fence.life):
            self._fence.lose()
        return Counters(seen.get("commanded", 0), seen.get("appended", 0) - self._turns, seen.get("hinted", 0))

    # --- looks ---

    def _put_off(self, error: StoreUnavailable) -> None:
        self._say("the other workers can't be seen now", error=str(error))

    async def _show_life(self, writing: ConnectionThread) -> bool:
        """Beside the looks: who has to wait for a write, as for another's turn, goes on looking."""
        if self._fence.life is not None and self._fence.idle >= BEAT - LOOK:
            await self._do(writing, self._fence.beat)
        return False

    async def _look(self, writing: ConnectionThread, looking: ConnectionThread) -> bool:
        """One look, and what follows from it; whether to look again at once."""
        if self._fence.life is None:
            if self._fence.is_lost:
                return False
            try:
                await self._do(writing, self._join)
            except StoreUnavailable:
                await self._sight.look(writing, looking, mute=True)
                self._version.hear()  # as amid a migration, which nobody can join
                raise
        begun, gifts = self._clock(), self._gifts
        roll = await self._sight.look(writing, looking, mute=self._fence.idle >= BEAT)
        if gifts != self._gifts:
            return True
        dead = self._attendance.look(roll.signs, begun, self._clock(), self._fence.renewed_at)
        if (life := self._fence.life) is None:
            return False
        self._fence.is_in_the_way = roll.newest > self._revision
        if self._attendance.is_behind(roll.signs, life) or life.id not in roll.members:
            self._fence.lose()
            return False
        dead.pop(life.id, None)
        living = self._version.heeded(roll.without(dead))
        dead = {worker: sign for worker, sign in dead.items() if worker not in roll.in_nobodys_way}
        self._note(life, roll, living, begun)
        if (todo := self._todo(life, living, dead)) is not None:
            todo.announce(roll)
            await self._do(writing, partial(self._fence.write, todo.carry_out, life))
            self._has_loaded &= self._watchlist != todo.in_force
            return not dead  # whose places another may be taking just now
        if self._wants_to_be_alone and living.members.keys() != {life.id}:
            return False  # else those of older versions would find a database that they can't work at
        return await self._version.upgrade(self._place, living, life.id)

    def _note(self, life: Life, roll: Roll, living: Roll, begun: float) -> None:
        """What a look has shown: who is there, what is this worker's, and what it is to have."""
        self._alive = roll.anyone_moved(self._roll, life.id) or self._alive
        self._roll, self._seen_at = roll, begun
        self._owned = {part: self._owned.get(part, begun) for part in roll.parts_of(life.id)}
        self._planned = frozenset(part for part, worker in living.plan(self._wanted).items() if worker == life.id)
        self._version.note(living)
        if not self._version.may_work:
            self._say(self._version.said, log.error if self.ailment else log.info)
        elif self._watchlist in ("", roll.watchlist) or self._has_loaded or not living.able:
            self._say("")
        else:
            self._say("another watchlist was loaded after this worker's, which stands by until its own is the same")

    def _todo(self, life: Life, living: Roll, dead: Mapping[str, Sign]) -> Todo | None:
        """What is to be written after a look; None for nothing."""
        todo = Todo(life.id, dead, watchlist=self._watchlist)
        if self._version.may_work:
            free = {part for part, owner in living.owners.items() if owner is None or owner in dead}
            new = self._wanted - living.owners.keys()
            todo = replace(
                todo,
                make=sorted(new),
                claim=sorted(self._planned & (free | new)),
                drop=sorted(free - self._wanted) if "upkeep" in self.parts and self.is_unanimous else [],
                in_force=self._watchlist if self._has_loaded or living.watchlist is None else "",
                instead_of=living.watchlist if self._watchlist and not (living.able or self._has_loaded) else None,
            )
        return todo if todo.is_any(living.members[life.id].watchlist) else None

    def _say(self, sentence: str, say: Callable[..., None] = log.info, **fields: Any) -> None:
        """Once, until there is something else to say, or nothing."""
        if sentence and self._said != sentence:
            say(sentence, **fields)
        self._said = sentence
