"""A new watchlist while the worker runs: when there is one, whether it is good, and what of it has to wait.

Looked for on SIGHUP, and when the content of the watchlist or of a file that a `NAME_FILE` names has changed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from notifier.model.errors import NotifierError
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.source import WatchlistFile

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0  # seconds; a change that stays for so long is taken: an editor may still be writing
OUR_FAULT: Final = "a fault of the notifier; see its log"


class Report(Protocol):
    """Is told, each time that the watchlist was read, whether it could be used."""

    def __call__(self, *, successful: bool) -> None: ...


Rehearsal = Callable[[Watchlist], Awaitable[None]]
"""Finds what makes a watchlist useless that only shows when it is used; raises NotifierError."""


class Reloads:
    """Hands out each good watchlist that differs from the one in force."""

    def __init__(self, source: WatchlistFile, in_force: Watchlist, *, every: float = LOOK_EVERY) -> None:
        self._source = source
        self._in_force = in_force
        self._every = every
        self._asked = asyncio.Event()
        self.problem: str | None = None
        """What is wrong with the newest content; None while it is in force."""

    def ask(self) -> None:
        """Someone wants it to be read now (SIGHUP)."""
        self._asked.set()

    async def next(self, rehearse: Rehearsal, report: Report, insist: Callable[[], None] = lambda: None) -> Watchlist:
        """Waits for a good watchlist that says something else than the one in force, which it is from then on. `insist`
        is called when someone wanted it to be read and it is the same: other workers may go by another."""
        while True:
            was_asked = await self._until_changed()
            try:
                read = await self._read(rehearse)
            except asyncio.CancelledError:
                self._asked.set()  # who waits next reads it again: what was read, or asked for, is not in force
                raise
            self.problem = str(read) if isinstance(read, NotifierError) else None
            report(successful=self.problem is None)
            if (new := self._change_of(read)) is not None:
                self._in_force = new
                return new
            if was_asked and self.problem is None:
                insist()

    async def _until_changed(self) -> bool:
        """Until it is asked for, or the same new content was there at two looks; whether it was asked for."""
        before = self._source.fingerprint
        while True:
            try:
                async with asyncio.timeout(self._every):
                    await self._asked.wait()
            except TimeoutError:
                seen = await asyncio.to_thread(self._source.look)
                if seen == before != self._source.fingerprint:
                    return False
                before = seen
            else:
                self._asked.clear()
                return True

    def _change_of(self, read: Watchlist | NotifierError) -> Watchlist | None:
        """What of a watchlist that was read takes effect; None where nothing does. The log says what became of it."""
        if isinstance(read, NotifierError):
            for problem in str(read).splitlines():
                log.error("the changed watchlist is wrong; the one in force stays", problem=problem)
            return None
        new = _what_may_change(read, self._in_force)
        if new == self._in_force:
            log.info("watchlist was read again: nothing changes", watchlist=str(self._source.path))
            return None
        return new

    async def _read(self, rehearse: Rehearsal) -> Watchlist | NotifierError:
        try:
            new = await asyncio.to_thread(self._source.load)
            await rehearse(new)
        except NotifierError as error:
            return error
        except Exception:  # the border: what a new watchlist brings about must not end a worker that goes by a good one
            log.exception("a changed watchlist can't be used by a fault of the notifier; please report it")
            return NotifierError(OUR_FAULT)
        return new


def _what_may_change(new: Watchlist, old: Watchlist) -> Watchlist:
    """The new watchlist, but for what a running worker can't change."""
    if new.database_place != old.database_place:
        log.warning("a change of database takes effect with a restart", in_force=str(old.database_place))
    if new.server.address != old.server.address:
        in_force = str(old.server.address) if old.server.address is not None else None
        log.warning("a change of server.listen takes effect with a restart", in_force=in_force)
    server = new.server.model_copy(update={"listen": old.server.listen})
    return new.model_copy(update={"database": old.database, "server": server})
