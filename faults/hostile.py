"""An HTTP server that answers with any bytes: what no well-behaved one would send. Shares no code with the client."""

import asyncio
import contextlib
import gzip
import io
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

LARGEST_HEAD: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in. `at` is time.monotonic() when its body was complete; header names are in lower case."""

    at: float
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes


Script = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]
"""What happens to the connection after a request. One that closes the writer ends it, else it is kept for the next."""


class HostileServer:
    """`with HostileServer(script) as server:` serves `origin` in a thread of its own until the block ends."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.origin = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: Future[str] = Future()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="hostile server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.origin = self._started.result(timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)

    def asked_of(self, prefix: str) -> list[Asked]:
        """The requests whose target begins so."""
        return [asked for asked in list(self.asked) if asked.target.startswith(prefix)]

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LARGEST_HEAD)
        self._started.set_result(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._talk(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                asked = await _read(reader)
                self.asked.append(asked)
                await self.script(asked, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went away, as clients of such a server do; or the server ends
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(time.monotonic(), method, target, headers, body, head + body)


# --- scripts ---


def says(raw: bytes, *, close: bool = True) -> Script:
    """These bytes as they are, and then the end of the connection."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if close:
            await writer.drain()
            writer.close()

    return script


def answers(status: int | str, body: bytes = b"", *headers: str, close: bool = False) -> Script:
    """A well-formed answer: "HTTP/1.1 STATUS", these header lines, a Content-Length and the body."""
    lines = [f"HTTP/1.1 {status} Words", *headers, f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return says("\r\n".join(lines).encode() + b"\r\n\r\n" + body, close=close)


async def silent(_: Asked, writer: asyncio.StreamWriter) -> None:
    """No answer at all, for as long as the client waits."""
    await _until_gone(writer)


async def resets(_: Asked, writer: asyncio.StreamWriter) -> None:
    """A TCP reset and no answer."""
    reset(writer)


def resets_after(raw: bytes) -> Script:
    """A TCP reset after these bytes."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        await asyncio.sleep(0.02)  # else the reset may overtake them
        reset(writer)

    return script


def drips(start: bytes, piece: bytes, every: float) -> Script:
    """`start`, and then `piece` again and again without end, every so many seconds."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(start)
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(every)

    return script


def pours(start: bytes, piece: bytes, most: int) -> Script:
    """`start`, and then `piece` as fast as it is taken, `most` bytes in all."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(start)
            for _turn in range(most // len(piece)):
                if writer.is_closing():
                    break
                writer.write(piece)
                await writer.drain()
        writer.close()

    return script


def forwards(upstream: str, strip: int = 0) -> Script:
    """Hands the request on to another server, less so many characters of its target, and the answer back."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(await forwarded(upstream, asked, asked.target[strip:]))
        await writer.drain()
        writer.close()

    return script


async def forwarded(upstream: str, asked: Asked, target: str) -> bytes:
    """Another server's answer to the same request, as it comes from the wire."""
    host = urlsplit(upstream)
    reader, onward = await asyncio.open_connection(host.hostname, host.port)
    _, _, rest = asked.raw.partition(b"\r\n")
    onward.write(f"{asked.method} {target} HTTP/1.1\r\nConnection: close\r\n".encode() + _without_connection(rest))
    answer = await reader.read(-1)
    onward.close()
    return answer


async def fetched(upstream: str, target: str, headers: dict[str, str]) -> bytes:
    """The body of a well-behaved server's answer, to be twisted by a script."""
    host = urlsplit(upstream)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    auth = headers.get("authorization", "")
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {auth}\r\n\r\n".encode())
    answer = await reader.read(-1)
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def gzip_of_zeros(size: int, start: bytes = b"", end: bytes = b"") -> bytes:
    """A gzip that inflates to `start`, `size` blanks and `end`; a thousandth of that on the wire."""
    kept, block = io.BytesIO(), b" " * (1 << 20)
    with gzip.GzipFile(fileobj=kept, mode="wb", compresslevel=6) as packed:
        packed.write(start)
        for _ in range(size >> 20):
            packed.write(block)
        packed.write(end)
    return kept.getvalue()


def _without_connection(rest: bytes) -> bytes:
    head, _, body = rest.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection by a TCP reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _until_gone(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        await asyncio.sleep(0.2)
