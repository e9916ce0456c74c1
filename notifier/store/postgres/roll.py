"""What all workers at one PostgreSQL server can see of each other, and what one of them does upon a look."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from notifier.store.attendance import Sign
from notifier.store.postgres import statements as sql
from notifier.store.shares import share_out

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that has a place."""

    name: str
    sign: Sign
    watchlist: str
    """The fingerprint of the one that it goes by; empty while it wants no part."""
    revision: str
    """The newest schema that its version knows."""


@dataclass(frozen=True, slots=True)
class Roll:
    """One look."""

    members: Mapping[str, Member]
    """By their IDs."""
    owners: Mapping[str, str | None]
    """By part."""
    watchlist: str | None
    """The fingerprint of the one that is in force; None before any was."""
    revision: str | None
    """Of the schema that the database has; None before any look."""

    def without(self, dead: Collection[str]) -> "Roll":
        """The same, of the living: what the dead had is not counted as free yet."""
        return replace(self, members={worker: each for worker, each in self.members.items() if worker not in dead})

    @property
    def newest(self) -> str:
        """The newest schema that the database has, or any of the workers knows. Who knows an older one has no part."""
        return max((self.revision or "", *(member.revision for member in self.members.values())))

    @property
    def in_nobodys_way(self) -> frozenset[str]:
        """Whose place nobody takes though they be dead: who is not of the newest version and has no part, as long as
        the database waits for its migration. That takes their places, and they can give no sign of life while it
        does."""
        if self.revision == self.newest:
            return frozenset()
        owning = set(self.owners.values())
        older = {worker for worker, each in self.members.items() if each.revision < self.newest}
        return frozenset(older - owning)

    @property
    def signs(self) -> dict[str, Sign]:
        """By ID, how far each worker's counters have come."""
        return {worker: member.sign for worker, member in self.members.items()}

    def anyone_moved(self, before: "Roll", but: str) -> str | None:
        """The name of another worker that has given a sign of life since that look."""
        known = before.members
        moved = (
            member.name
            for worker, member in self.members.items()
            if worker != but and worker in known and known[worker].sign != member.sign
        )
        return next(moved, None)

    def parts_of(self, worker: str) -> frozenset[str]:
        """What is somebody's."""
        return frozenset(part for part, owner in self.owners.items() if owner == worker)

    @property
    def able(self) -> frozenset[str]:
        """Who goes by the watchlist in force, is of the newest version, and may have parts: once the database is."""
        return frozenset(
            worker
            for worker, member in self.members.items()
            if member.watchlist
            and member.watchlist == self.watchlist
            and member.revision == self.newest == self.revision
        )

    def plan(self, wanted: Collection[str]) -> dict[str, str]:
        """By part of those that are wanted, who is to have it."""
        return share_out({part: self.owners.get(part) for part in wanted}, self.able)

    def older_with_parts(self) -> list[str]:
        """The names of those who are not of the newest version and still have something to do."""
        owning = set(self.owners.values())
        older = (each for worker, each in self.members.items() if worker in owning and each.revision < self.newest)
        return sorted(member.name for member in older)

    def is_unanimous(self, wanted: Collection[str]) -> bool:
        """Whether all go by the watchlist in force, and nobody has what is not wanted by it."""
        agreed = all(member.watchlist == self.watchlist for member in self.members.values())
        return agreed and all(owner is None or part in wanted for part, owner in self.owners.items())


def call_roll(connection: Connection) -> Roll:
    """One look, in one statement: what it shows was so at one moment."""
    members: dict[str, Member] = {}
    owners: dict[str, str | None] = {}
    watchlist = revision = None
    with connection.begin():
        seen = connection.execute(sql.LOOK).all()
    for row in seen:
        if row.kind == "replica":
            members[row.id] = Member(row.name, Sign(row.beats, row.written), row.watchlist, row.revision)
        elif row.kind == "part":
            owners[row.name] = row.id
        elif row.kind == "in force":
            watchlist = row.watchlist
        else:
            revision = row.revision
    return Roll(members, owners, watchlist, revision)


@dataclass(frozen=True, slots=True)
class Todo:
    """What a worker writes after a look, in one transaction."""

    worker: str
    dead: Mapping[str, Sign]
    """Whose place is taken, unless they have moved since."""
    watchlist: str
    make: Sequence[str] = ()
    claim: Sequence[str] = ()
    drop: Sequence[str] = ()
    """Parts of the work that there are no more."""
    in_force: str = ""
    """The fingerprint of a watchlist that was loaded; empty for none."""
    instead_of: str | None = None
    """The one in force, where nobody goes by it any more: by this worker's the work goes on."""

    def is_any(self, known: str) -> bool:
        """Whether there is anything to write; `known`: the watchlist that the others know this worker by."""
        agrees = known == self.watchlist and not self.in_force and self.instead_of is None
        return not agrees or bool(self.dead or self.make or self.claim or self.drop)

    def announce(self, roll: Roll) -> None:
        """Says what people should know of it."""
        if self.instead_of is not None:
            log.warning("nobody goes by the watchlist that was loaded last any more; the work goes on by this worker's")
        for worker in self.dead:
            log.warning("another worker is silent; its place is taken", silent_replica=roll.members[worker].name)

    def carry_out(self, connection: Connection) -> None:
        """What comes behind the fence."""
        may_expel = bool(self.dead) and connection.execute(sql.MAY_EXPEL).scalar()
        for worker, sign in self.dead.items() if may_expel else ():
            seen = {"id": worker, "beats": sign.beats, "written": sign.written}
            connection.execute(sql.FREE, seen)
            connection.execute(sql.FREE_MIGRATION, seen)
            connection.execute(sql.EXPEL, seen)
        connection.execute(sql.GO_BY, {"id": self.worker, "watchlist": self.watchlist})
        if self.in_force:
            connection.execute(sql.PUT_IN_FORCE, {"watchlist": self.in_force})
        if self.instead_of is not None:
            back = {"id": self.worker, "watchlist": self.watchlist, "instead_of": self.instead_of}
            connection.execute(sql.PUT_BACK, back)
        for statement, parts in ((sql.MAKE_PART, self.make), (sql.CLAIM, self.claim), (sql.DROP_PART, self.drop)):
            for part in parts:
                connection.execute(statement, {"id": self.worker, "part": part})
