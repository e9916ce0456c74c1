"""GET /live: tells browsers that there is something new to see. They ask for it themselves.

One loop looks, once a second, however many listen; and none while nobody does.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web

from notifier.model.errors import StoreError
from notifier.store.database import database_at
from notifier.web.answers import HEADERS, refusal
from notifier.web.socket import Connection
from notifier.web.worker import InForce

log = structlog.get_logger(__name__)

MOST_LISTENERS: Final = 32
LOOK_EVERY: Final = 1.0  # seconds
BEAT: Final = 15.0  # seconds without news until a listener gets a sign of life; proxies let go after 60
LONGEST_LISTENING: Final = 3600.0  # seconds until a browser has to come anew, and pass the door again
STUCK: Final = 10.0  # seconds for a browser to take what it is told
HELLO: Final = b"retry: 3000\nevent: hello\ndata: 1\n\n"
CHANGED: Final = b"event: changed\ndata: 1\n\n"
STILL_HERE: Final = b": still here\n\n"


@dataclass(eq=False, slots=True)
class Listener:
    """One browser."""

    request: web.Request
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    """Rung when there may be something to tell it."""
    news: bool = False
    """Whether something has changed since it was last told."""

    @property
    def is_gone(self) -> bool:
        protocol = self.request.protocol
        if isinstance(protocol, Connection) and protocol.has_said_all:
            return True  # a browser that has gone: no other would end its side
        return self.request.transport is None or self.request.transport.is_closing()


class Live:
    """`listen` is the route's handler."""

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force
        self._listeners: set[Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self._ended = False

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: `hello`, then `changed` whenever something did. 503 where too many listen."""
        if len(self._listeners) >= MOST_LISTENERS or self._ended:
            return refusal(503, "too many listen already; ask for the page now and then", {"Retry-After": "60"})
        response = web.StreamResponse(headers={**HEADERS, "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        listener = Listener(request)
        self._listeners.add(listener)
        try:
            await response.prepare(request)
            self._look()
            with suppress(ConnectionError, TimeoutError):
                await self._tell(listener, response)
        finally:
            self._listeners.discard(listener)
        return response

    async def end(self, _: object = None) -> None:
        """The server ends: so do all who listen, at once."""
        self._ended = True
        for listener in self._listeners:
            listener.bell.set()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _tell(self, listener: Listener, response: web.StreamResponse) -> None:
        door, loop = self._in_force.door, asyncio.get_running_loop()
        end = loop.time() + LONGEST_LISTENING
        await _write(response, HELLO)
        while not listener.is_gone and loop.time() < end:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await listener.bell.wait()
            listener.bell.clear()
            if self._ended or self._in_force.door is not door or listener.is_gone:
                return
            await _write(response, CHANGED if listener.news else STILL_HERE)
            listener.news = False

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(), name="look for changes")

    async def _look_on(self) -> None:
        """Until nobody listens any more."""
        while self._listeners:
            try:
                with database_at(self._in_force.worker.database).pulse() as pulse:
                    last = None
                    while self._listeners:
                        seen = self._in_force.worker
                        troubles = seen.ailment(), seen.not_ready(), seen.not_in_force()
                        now = id(seen), await asyncio.to_thread(pulse), troubles
                        self._ring(news=last not in (None, now))
                        last = now
                        await asyncio.sleep(LOOK_EVERY)
            except StoreError as error:
                log.debug("no look for changes: the database can't be read", error=str(error))
                self._ring(news=True)
                await asyncio.sleep(LOOK_EVERY)

    def _ring(self, *, news: bool) -> None:
        for listener in self._listeners:
            listener.news |= news
            if news or listener.is_gone:
                listener.bell.set()


async def _write(response: web.StreamResponse, said: bytes) -> None:
    async with asyncio.timeout(STUCK):
        await response.write(said)
