"""The server's sockets: how many connections there may be, which end for new ones, and how long anything may take.

The listening is ours rather than `loop.create_server`'s, which accepts whatever comes: at the limit nobody is accepted
before someone has gone, so that strangers can't take the files that polling and delivery need.
"""

import asyncio
import errno
import fcntl
import resource
import socket
import struct
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from notifier.model.errors import AddressUnusable
from notifier.watchlist.server import Address
from notifier.web.answers import refusal

log = structlog.get_logger(__name__)

MOST_CONNECTIONS: Final = 256
SHARE_OF_FILES: Final = 4  # connections have a quarter of the process' open files at most
FIRST_WORD: Final = 10.0  # seconds until a new connection has sent the head of a request
IDLE: Final = 75.0  # seconds that a connection is kept for its next request; proxies let go after 60
LINGER: Final = 1.0  # seconds for a body that nobody reads
LAST_BYTE: Final = 30.0  # seconds for a client to take an answer, and for what is left when its connection ends
NO_BYTE: Final = 10.0  # seconds in which it takes nothing at all; the system sees to that, for ended connections too
SEND_BUFFER: Final = 64 * 1024  # bytes of an answer that the system holds; by itself it would take megabytes
LAST_WORDS: Final = 1.0  # seconds for requests under way when the server ends
NEWCOMERS: Final = 1_000.0  # a second, at most, for whom others have to go
LOG_EVERY: Final = 60.0  # seconds between two lines that say that it is full
ACCEPT_PAUSE: Final = 0.1  # seconds until the next try to accept where no file could be opened
BACKLOG: Final = 256
FAULT: Final = "a request failed by a fault of the notifier; please report it"
NAME: Final = "census-notifier"  # in the Server header: which libraries answer is nobody's business
BROKEN_OFF: Final = (ConnectionError, RequestPayloadError)
"""How aiohttp says that the client went before its request was whole, or sent a body that is no HTTP."""

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def most_connections() -> int:
    """How many there may be: the process' limit of open files, as it is now, has to do for everything else too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, files // SHARE_OF_FILES)


class Connections:
    """All connections that are open."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.grace = most / NEWCOMERS
        """Seconds that a new connection has, however full it is. Who waited to be accepted has mostly asked by then."""
        self._came: dict[Connection, float] = {}  # when each came, by the loop's time; who spoke last is the last
        self._left = asyncio.Event()
        self._ended = 0
        self._told_at: float | None = None

    def __len__(self) -> int:
        return len(self._came)

    def hear(self, connection: "Connection") -> None:
        """It is new, or has sent the head of a request."""
        self._came[connection] = self._came.pop(connection, asyncio.get_running_loop().time())

    def leave(self, connection: "Connection") -> None:
        """It has ended."""
        self._came.pop(connection, None)
        self._left.set()

    async def make_room(self) -> None:
        """Waits until there is room for one more. Where it is full, who has been silent longest goes; and a guest, who
        has shown neither token nor session, before those who have. Only who has just come is spared: chatter that never
        ends shuts nobody out."""
        while len(self._came) >= self.most:
            eldest = next((each for each in self._came if each.is_guest), next(iter(self._came)))
            patience = self._came[eldest] + self.grace - asyncio.get_running_loop().time()
            if patience > 0:
                self._left.clear()
                try:
                    async with asyncio.timeout(patience):
                        await self._left.wait()
                except TimeoutError:
                    pass
                continue
            eldest.abort()
            self.leave(eldest)
            self._tell()

    def _tell(self) -> None:
        self._ended += 1
        now = asyncio.get_running_loop().time()
        if self._told_at is None or now - self._told_at >= LOG_EVERY:
            log.warning("the server is full: silent connections end for new ones", most=self.most, ended=self._ended)
            self._told_at, self._ended = now, 0


class Connection(web.RequestHandler):
    """One connection. What is no HTTP is answered without a word about the libraries."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, connections: Connections) -> None:
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
        self.is_guest = True
        self.request: web.BaseRequest | None = None
        self.has_said_all = False
        self._connections = connections
        self._socket: asyncio.BaseTransport | None = None  # aiohttp forgets its own before all is sent
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport
        self._connections.hear(self)
        self._be_patient(FIRST_WORD, self.force_close)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._socket = None
        self._connections.leave(self)
        self.has_spoken()
        super().connection_lost(exc)

    def has_spoken(self) -> None:
        """A request has come: from here on the time-outs of requests hold."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._socket is not None:
            self._connections.hear(self)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's has it so: true keeps our side open
        """The client says no more, and may still listen: what it asked for in whole is answered."""
        self.has_said_all = True
        if self.request is not None:
            self.look_for_more(self.request)
        self.close()
        return True

    def look_for_more(self, request: web.BaseRequest) -> None:
        """Ends the wait for the rest of a body that will never come."""
        if self.has_said_all and not request.content.is_eof():
            request.content.set_exception(ConnectionResetError("the client has said all"))

    def abort(self) -> None:
        """Ends it now. What is still to be sent goes too: the system would keep it for as long as the client likes."""
        # Not by isinstance: uvloop's transports are no asyncio.Transport.
        if self._socket is not None:
            end: socket.socket = self._socket.get_extra_info("socket")
            if _unsent(end) or self._socket.get_write_buffer_size():  # type: ignore[attr-defined] # see below
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.abort()  # type: ignore[attr-defined] # all transports of sockets have it

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            if self._socket is not None:
                self._socket.close()
            # Which waits until all is sent: for ever, if nobody reads.
            self._be_patient(LAST_BYTE, self.abort)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            async with asyncio.timeout(LAST_BYTE):
                ended = await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.abort()
            return resp, True
        # Everyone else has a turn after each request. From Python 3.12 on aiohttp begins a request's task at once, and
        # one that waits for nothing is over then: a thousand that came together would all be answered first.
        await asyncio.sleep(0)
        return ended

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
        response = super().handle_error(request, status, None, "Bad request" if status < 500 else None)
        response.headers["Server"] = NAME
        return response

    def _be_patient(self, seconds: float, then: Callable[[], None]) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(seconds, then) if self._socket is not None else None


@asynccontextmanager
async def listening(app: web.Application, address: Address) -> AsyncIterator[Address]:
    """Serves the application; gives the address, with a real port in place of 0. Raises AddressUnusable."""
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=LAST_WORDS)
    await runner.setup()
    async with AsyncExitStack() as open_now:
        open_now.push_async_callback(runner.cleanup)
        server = runner.server
        assert server is not None  # noqa: S101 - setup made it
        server.request_handler = _with_strangers(server.request_handler)
        connections = Connections(most_connections())
        listener = open_now.enter_context(_listen(address))
        new = partial(Connection, server, loop, connections)
        accepting = asyncio.create_task(_accept(listener, connections, new), name="accept connections")
        try:
            yield Address(address.host, listener.getsockname()[1])
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            listener.close()
            await app.shutdown()  # what never ends by itself does now
            await server.shutdown(LAST_WORDS)


def _with_strangers(answer: Answering) -> Answering:
    """What comes before the application's own rules: who breaks off, and a header that aiohttp looks at by itself, and
    of which it repeats what it does not know, byte for byte."""

    def last(response: web.Response) -> web.Response:
        response.force_close()
        return response

    async def answering(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            return last(refusal(417, "Expect may be 100-continue", {"Server": NAME}))
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - there are no others
        connection.request = request
        connection.look_for_more(request)
        try:
            return await answer(request)
        except BROKEN_OFF:  # nobody may be there to read it
            return last(refusal(400, "the request broke off", {"Server": NAME}))
        finally:
            connection.request = None

    return answering


def _listen(address: Address) -> socket.socket:
    """Raises AddressUnusable."""
    [(family, kind, protocol, _, place), *_] = socket.getaddrinfo(  # of a number: nobody is asked
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )
    with ExitStack() as undo:
        try:
            listener = undo.enter_context(socket.socket(family, kind, protocol))
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Whoever is accepted has these too.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(NO_BYTE * 1_000))
            listener.bind(place)
            listener.listen(BACKLOG)
        except OSError as error:
            raise AddressUnusable(f"can't listen at {address}: {_why(error)}") from error
        undo.pop_all()
    return listener


def _unsent(end: socket.socket) -> int:
    """Bytes that the system holds and the client has not taken."""
    try:
        return int.from_bytes(fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, b"\0" * 4), sys.byteorder)
    except OSError:  # it has just ended
        return 0


async def _accept(listener: socket.socket, connections: Connections, connection: Callable[[], Connection]) -> None:
    """Takes connections, one after the other, as there is room. One more than that at most is open."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            accepted, _ = await loop.sock_accept(listener)
        except OSError as error:  # no file is left, or who came has gone
            log.debug("a connection could not be accepted", error=str(error))
            await asyncio.sleep(ACCEPT_PAUSE)
            continue
        try:
            await connections.make_room()
            await loop.connect_accepted_socket(connection, accepted)
        except OSError as error:
            accepted.close()
            log.debug("a connection could not be taken", error=str(error))
        except Exception:  # or nobody would ever be accepted again
            accepted.close()
            log.exception(FAULT)
            await asyncio.sleep(ACCEPT_PAUSE)
        except BaseException:
            accepted.close()
            raise


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
