"""A worker's place at its database: whether the work is its own, and how its writes are made.

At a file of SQLite there is one place, and who holds the file's lock has it. At a PostgreSQL server workers are
replicas of one notifier (postgres/replica.py).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

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


class Seat(Protocol):
    """A worker's place. What is not said to run in the writer's thread is for the event loop."""

    @property
    def trusted(self) -> bool:
        """Whether the work is certainly nobody else's at this moment."""

    @property
    def idle(self) -> timedelta | None:
        """How long ago this worker last gave a sign of life; None where its writes are that."""

    @property
    def is_held(self) -> bool:
        """Whether the work is this worker's."""

    @property
    def is_anothers(self) -> bool:
        """Whether another worker does the work, as far as is known."""

    async def until(self, *, held: bool) -> None:
        """Waits until the work is this worker's, or is it no more."""

    async def take_alone(self) -> None:
        """Waits until the work is this worker's, and raises AlreadyRunning where another lives."""

    async def until_trusted(self) -> None:
        """Waits until this worker has its place, whoever does the work."""

    async def run(self, writing: "ConnectionThread") -> None:
        """Takes part until cancelled: shows that it is alive, looks who else is. `writing` is the writer's thread."""

    @property
    def life(self) -> object:
        """This stay at its place. What is asked for in one is never written in another."""

    @property
    def is_lost(self) -> bool:
        """Whether the place itself is gone, until `anew`."""

    def anew(self) -> None:
        """Whatever was done for the work that was lost has ended: another life may begin."""

    def hurry(self) -> None:
        """The process is about to end: nothing is asked until it is answered any more."""

    async def leave(self, writing: "ConnectionThread") -> None:
        """Gives the work away, at the end. Raises nothing: who can't be told will notice."""

    def transact(self, groups: "Sequence[Group]", life: object, connection: "Connection") -> None:
        """One transaction, in the writer's thread, that was asked for in that life. Raises DBAPIError, and SeatLost
        where nothing may be written."""
