"""The server's socket: how many connections there may be, and how long one may take to say what it wants."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from notifier.config.server import Address
from notifier.errors import AddressUnusable

log = structlog.get_logger(__name__)

MOST_CONNECTIONS: Final = 256
FIRST_WORD: Final = 10.0  # seconds until a new connection has sent the head of a request
IDLE: Final = 75.0  # seconds that a connection is kept for its next request; proxies let go after 60
LINGER: Final = 1.0  # seconds for a body that nobody reads
LAST_WORDS: Final = 1.0  # seconds for requests under way when the server ends
FAULT: Final = "a request failed by a fault of the notifier; please report it"
NAME: Final = "census-notifier"  # in the Server header: which libraries answer is nobody's business


class Connection(web.RequestHandler):
    """One connection. What is no HTTP is answered without a word about the libraries."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # aiohttp's own way to have none
            keepalive_timeout=IDLE,
            lingering_time=LINGER,
            max_line_size=8_190,
            max_field_size=8_190,
            max_headers=100,
            auto_decompress=False,  # a signature is of the bytes that were sent, and a bomb stays small
        )
        self._server = server
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._server.connections) >= MOST_CONNECTIONS and isinstance(transport, asyncio.Transport):
            transport.abort()
        super().connection_made(transport)
        self._patience = self._loop.call_later(FIRST_WORD, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.has_spoken()
        super().connection_lost(exc)

    def has_spoken(self) -> None:
        """The first request has come: from here on the time-outs of requests hold."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def log_exception(self, *args: object, **kwargs: object) -> None:
        """What a stranger sent that is no HTTP is not worth a log line; see `handle_error` for the rest."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            log.error(FAULT, exc_info=exc)
        response = super().handle_error(request, status, exc, "Bad request" if status < 500 else None)
        response.headers["Server"] = NAME
        return response


@asynccontextmanager
async def listening(app: web.Application, address: Address) -> AsyncIterator[Address]:
    """Serves the application; gives the address, with a real port in place of 0. Raises AddressUnusable."""
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=LAST_WORDS)
    await runner.setup()
    try:
        server = runner.server
        assert server is not None  # noqa: S101 - setup made it
        try:
            listener = await loop.create_server(lambda: Connection(server, loop), address.host, address.port)
        except OSError as error:
            raise AddressUnusable(f"can't listen at {address}: {_why(error)}") from error
        try:
            yield Address(address.host, listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
            await app.shutdown()  # what never ends by itself does now
            await server.shutdown(LAST_WORDS)
    finally:
        await runner.cleanup()


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program listens there; change server.listen (or NOTIFIER_LISTEN), or stop it"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; change server.listen (or NOTIFIER_LISTEN)"
        case errno.EACCES:
            return "this user may not; choose a port above 1023"
        case _:
            return (error.strerror or "unknown reason").lower()
