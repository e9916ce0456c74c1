"""What all workers at one PostgreSQL server can see of each other, and what one of them does upon a look."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from notifier.store.attendance import Sign
from notifier.store.postgres import statements as sql
from notifier.store.shares import share_out


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that has a place."""

    name: str
    sign: Sign
    watchlist: str
    """The fingerprint of the one that it goes by; empty while it wants no part."""


@dataclass(frozen=True, slots=True)
class Roll:
    """One look."""

    members: Mapping[str, Member]
    """By their IDs."""
    owners: Mapping[str, str | None]
    """By part."""
    watchlist: str | None
    """The fingerprint of the one that is in force; None before any was."""
    since: int = 0
    """A number that is higher the later that one was loaded."""

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

    def plan(self, wanted: Collection[str], dead: Collection[str]) -> dict[str, str]:
        """By part of those that are wanted, who is to have it: of the living that go by the watchlist in force."""
        able = {
            worker
            for worker, member in self.members.items()
            if worker not in dead and member.watchlist and member.watchlist == self.watchlist
        }
        return share_out({part: self.owners.get(part) for part in wanted}, able)

    def has_forgotten(self, watchlist: str, before: "Roll") -> bool:
        """Whether this watchlist was in force at that look and is no more, though none was loaded after it: somebody
        deleted the row, or the database went back in time."""
        return bool(watchlist) and before.watchlist == watchlist != self.watchlist and self.since < before.since

    def is_unanimous(self, wanted: Collection[str]) -> bool:
        """Whether all go by the watchlist in force, and nobody has what is not wanted by it."""
        agreed = all(member.watchlist == self.watchlist for member in self.members.values())
        return agreed and all(owner is None or part in wanted for part, owner in self.owners.items())


def call_roll(connection: Connection) -> Roll:
    """One look, in one statement: what it shows was so at one moment."""
    members: dict[str, Member] = {}
    owners: dict[str, str | None] = {}
    watchlist, since = None, 0
    for row in connection.execute(sql.LOOK):
        if row.kind == "replica":
            members[row.id] = Member(row.name, Sign(row.beats, row.written), row.watchlist)
        elif row.kind == "part":
            owners[row.name] = row.id
        else:
            watchlist, since = row.watchlist, row.beats
    return Roll(members, owners, watchlist, since)


@dataclass(frozen=True, slots=True)
class Todo:
    """What a worker writes after a look, in one transaction."""

    worker: str
    dead: Mapping[str, Sign]
    """Whose place is taken, unless they have moved since."""
    make: Sequence[str]
    claim: Sequence[str]
    drop: Sequence[str]
    """Parts of the work that there are no more."""
    watchlist: str
    in_force: str | None
    """The fingerprint of a watchlist that was loaded; None for none."""

    def carry_out(self, connection: Connection) -> None:
        """What comes behind the fence."""
        for worker, sign in self.dead.items():
            seen = {"id": worker, "beats": sign.beats, "written": sign.written}
            connection.execute(sql.FREE, seen)
            connection.execute(sql.EXPEL, seen)
        connection.execute(sql.GO_BY, {"id": self.worker, "watchlist": self.watchlist})
        if self.in_force is not None:
            connection.execute(sql.PUT_IN_FORCE, {"watchlist": self.in_force})
        for statement, parts in ((sql.MAKE_PART, self.make), (sql.CLAIM, self.claim), (sql.DROP_PART, self.drop)):
            for part in parts:
                connection.execute(statement, {"id": self.worker, "part": part})
