"""A worker's row among those at one PostgreSQL server, and how nobody else's writes get in between its own.

The first statement of each transaction that writes is a fence: it moves a counter in this worker's row, which must
stand where this worker left it. Who takes a dead worker's place deletes that row, if its counters still stand where
they were seen. So one of the two finds nothing to write to. The same counter says what became of a COMMIT whose answer
was lost.
"""

import time
import uuid
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from notifier.model.errors import SeatLost, StoreUnavailable
from notifier.store.attendance import LEASE
from notifier.store.postgres import statements as sql
from notifier.store.postgres.connect import explain
from notifier.store.postgres.transaction import Life, join
from notifier.store.seat import Introduction
from notifier.watchlist.database import ServerUrl

log = structlog.get_logger(__name__)

MARGIN: Final = 1.0  # seconds of a lease in which one does not trust it any more: two clocks may run unlike
RECONNECT: Final = 0.5  # seconds between two questions for the end of a commit
TAKEN: Final = "its place was taken, or the database went back in time"


class Fence:
    """One worker's. Whatever takes a connection runs in the writer's thread, one after the other."""

    def __init__(self, place: ServerUrl, clock: Callable[[], float]) -> None:
        self._place = place
        self._clock = clock
        self.life: Life | None = None
        """None without a row."""
        self.is_lost = False
        """Whether a life has ended, and what was done in it may not have."""
        self.is_in_the_way = False
        """Whether it is no wonder when the row goes: a newer version takes over."""
        self._written = 0
        self._renewed_at = clock()
        """When the last transaction that came to its end was begun: a slow answer must not stretch the trust."""
        self._ending = False

    @property
    def holds(self) -> bool:
        """Whether nobody else can have taken this worker's place yet."""
        return self.life is not None and self.idle < LEASE - MARGIN

    @property
    def idle(self) -> float:
        """Seconds since this worker last gave a sign of life."""
        return self._clock() - self._renewed_at

    @property
    def renewed_at(self) -> float:
        """By the clock, when that was."""
        return self._renewed_at

    def hurry(self) -> None:
        """The process is about to end: nothing is asked until it is answered any more."""
        self._ending = True

    def lose(self) -> None:
        """The row is gone. Nothing is written until another one may be taken."""
        if self.life is not None and not self.is_in_the_way:
            log.warning("another worker may do the work now; this one begins anew", reason=TAKEN)
        self.life, self.is_lost = None, True

    def join(self, introduction: Introduction, revision: str, watchlist: str, connection: Connection) -> None:
        """Takes a place. `revision`: the newest schema that this version knows."""
        begun, life = self._clock(), Life(uuid.uuid4().hex)
        with connection.begin():
            join(life.id, introduction, revision, watchlist, connection)
        self._written, self._renewed_at, self.life = 0, begun, life

    def write(self, work: Callable[[Connection], None], asked_in: object, connection: Connection) -> None:
        """One transaction that was asked for in that life. Raises DBAPIError, and SeatLost where nothing may be
        written."""
        life, begun = self.life, self._clock()
        if life is None or life is not asked_in:
            raise SeatLost(f"{self._place}: this worker has no place there now")
        lost: DBAPIError | None = None
        with connection.begin() as transaction:
            if connection.execute(sql.FENCE, {"id": life.id, "written": self._written}).first() is None:
                self.lose()
                raise SeatLost(f"{self._place}: another worker has taken over")
            work(connection)
            try:
                transaction.commit()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                lost = error
        if lost is not None and not self.was_committed(life, connection):
            raise lost
        self._written += 1
        self._renewed_at = begun

    def was_committed(self, life: Life, connection: Connection) -> bool:
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
                self.lose()
                break
        raise SeatLost(f"{self._place}: what became of the last commit is not known")

    def beat(self, connection: Connection) -> None:
        """A sign of life where nothing else is to be written."""
        life, begun = self.life, self._clock()
        if life is None:
            return
        with connection.begin():
            moved = connection.execute(sql.BEAT, {"id": life.id, "written": self._written}).first()
        if moved is None:
            self.lose()
        else:
            self._renewed_at = begun

    def leave(self, life: Life, connection: Connection) -> None:
        """Gives the place away, with all that is this worker's."""
        with connection.begin():
            connection.execute(sql.LEAVE, {"id": life.id, "written": self._written})
        self.life = None
