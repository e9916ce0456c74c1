"""A worker's place at its database: what of the work is its own, and how its writes are made.

At a file of SQLite there is one place, and who holds the file's lock has it. At a PostgreSQL server workers are
replicas of one notifier (postgres/replica.py).
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from notifier.store.sql.parts import Group
    from notifier.store.thread import ConnectionThread


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who takes a place, for people."""

    name: str
    """Of the replica: NOTIFIER_REPLICA, or the host's name."""
    pid: int
    version: str


def replica_name(env: Mapping[str, str]) -> str:
    """What people call the worker of this environment."""
    return env.get("NOTIFIER_REPLICA") or os.uname().nodename


class Counters(NamedTuple):
    """What others than this worker have written, as numbers that move with it."""

    commanded: int
    """Something that commands and the page order, of which all is read again."""
    appended: int = 0
    """Deliveries, by workers who watch what this one does not."""
    hinted: int = 0
    """What Census told another worker."""


class Seat(Protocol):
    """A worker's place. What is not said to run in the writer's thread is for the event loop."""

    is_shared: bool
    """Whether others may have places beside this one."""

    @property
    def trusted(self) -> bool:
        """Whether what is this worker's is certainly nobody else's at this moment. False without a place."""

    @property
    def idle(self) -> timedelta | None:
        """How long ago this worker last gave a sign of life; None where its writes are that."""

    @property
    def parts(self) -> frozenset[str]:
        """What of the work is this worker's, now and as far as is planned, and has rested since another had it."""

    @property
    def leaving(self) -> frozenset[str]:
        """What is this worker's and planned for another: to be given once nothing is done for it any more."""

    @property
    def elsewhere(self) -> frozenset[str]:
        """What of the work is another worker's, as far as is known."""

    @property
    def nobodys(self) -> frozenset[str]:
        """What of the work is no worker's, as far as is known."""

    @property
    def members(self) -> int:
        """How many workers have a place."""

    @property
    def is_unanimous(self) -> bool:
        """Whether all workers go by this one's watchlist, and none has anything that it does not name."""

    def wants(self, parts: Collection[str], watchlist: str) -> None:
        """What there is to do by the watchlist that this worker has loaded, and that one's fingerprint. The last that
        anyone has loaded is in force; who goes by another has no part, and neither has who wants nothing."""

    def insist(self) -> None:
        """What it goes by was loaded once more, as someone wanted: it is in force again, if another one is."""

    async def changed(self, parts: frozenset[str], leaving: frozenset[str]) -> None:
        """Waits until `parts` or `leaving` are others than those."""

    async def until(self, *, trusted: bool) -> None:
        """Waits until this worker is trusted, or is it no more."""

    async def take_alone(self, parts: Collection[str], watchlist: str) -> None:
        """Waits until nobody else is there, wants that, and waits until all of it is this worker's. Raises
        AlreadyRunning where another lives, who has noticed nothing."""

    async def run(self, writing: "ConnectionThread") -> None:
        """Takes part until cancelled: shows that it is alive, looks who else is, and takes what is planned for it.
        `writing` is the writer's thread."""

    async def give(self, parts: Collection[str], writing: "ConnectionThread") -> None:
        """Parts that this worker no longer works at may be another's. Raises StoreError."""

    @property
    def life(self) -> object:
        """This stay at its place. What is asked for in one is never written in another."""

    @property
    def is_lost(self) -> bool:
        """Whether the place itself is gone, until `anew`."""

    @property
    def is_overtaken(self) -> bool:
        """Whether a newer version has the work, or is about to: this worker is trusted with none of it."""

    @property
    def is_alive(self) -> bool:
        """Whether this worker could say in time that it lives, or waits for a migration before it does. False where the
        database does not answer."""

    @property
    def stands_aside(self) -> bool:
        """Whether it is for another version's sake that this worker is not trusted: nothing is wrong with it."""

    @property
    def ailment(self) -> str | None:
        """Why this place is of no use and nobody else does the work either; None while that is not so."""

    def anew(self) -> None:
        """Whatever was done for the work that was lost has ended: another life may begin."""

    def hurry(self) -> None:
        """The process is about to end: nothing is asked until it is answered any more."""

    async def leave(self, writing: "ConnectionThread") -> None:
        """Gives all away, at the end. Raises nothing: who can't be told will notice."""

    def transact(self, groups: "Sequence[Group]", life: object, connection: "Connection") -> None:
        """One transaction, in the writer's thread, that was asked for in that life. Raises DBAPIError, and SeatLost
        where nothing may be written."""

    def changes(self, connection: "Connection") -> Counters:
        """In the writer's thread, whose connection it is. Raises DBAPIError."""
