"""How a worker looks at the others at one PostgreSQL server."""

import structlog
from sqlalchemy.exc import DBAPIError

from notifier.model.errors import StoreUnavailable
from notifier.store.postgres.connect import explain
from notifier.store.postgres.engine import as_store_errors
from notifier.store.postgres.roll import Roll, call_roll
from notifier.store.thread import ConnectionThread
from notifier.watchlist.database import ServerUrl

log = structlog.get_logger(__name__)


class Sight:
    """By a connection of its own, which waits for no write. By the one that writes where there is no other to be had,
    as at a server that lets in no more: who only seemed to live would keep its parts from all others."""

    def __init__(self, place: ServerUrl) -> None:
        self._place = place
        self._lacks_a_connection = False

    async def look(self, writing: ConnectionThread, looking: ConnectionThread, *, mute: bool) -> Roll:
        """One look. `mute`: whether the one that writes is of no use either. Raises StoreError."""
        with as_store_errors(self._place):
            try:
                roll = await looking.run(call_roll)
            except DBAPIError as error:
                ours = explain(self._place, error)
                if mute or not isinstance(ours, StoreUnavailable):
                    raise
                if not self._lacks_a_connection:
                    log.warning("there is no connection to look by; the one that writes is used", error=str(ours))
                self._lacks_a_connection = True
                return await writing.run(call_roll)
            self._lacks_a_connection = False
            return roll
