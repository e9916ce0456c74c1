"""Answers that no well-behaved server gives, done to a real connection: resets, drips, bombs, silence.

Used by the API and by the sink. None of these looks at what is asked.
"""

import asyncio
import socket
import struct
import zlib
from functools import lru_cache
from typing import Final, NoReturn

from aiohttp import web

_HEAD: Final = b'{"status":"success","data":"'
_TAIL: Final = b'"}'
_BLOCK: Final = 1 << 20


async def reset(request: web.BaseRequest) -> NoReturn:
    """Ends the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            # Linger for zero seconds: close() then sends RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    await _until_cancelled()


async def drop(request: web.BaseRequest) -> NoReturn:
    """Closes the connection in order, without an answer."""
    if request.transport is not None:
        request.transport.close()
    await _until_cancelled()


async def drip(request: web.BaseRequest, interval: float, content_type: str) -> NoReturn:
    """Headers at once, then a space every `interval` seconds until the client leaves or the server closes."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.enable_chunked_encoding()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(interval)


@lru_cache(maxsize=4)
def big_json(size: int) -> bytes:
    """A JSON object of exactly `size` bytes (of 30 at least, its frame)."""
    return _HEAD + b"x" * (size - len(_HEAD) - len(_TAIL)) + _TAIL


@lru_cache(maxsize=4)
def gzip_bomb(size: int) -> bytes:
    """A gzip that inflates to a JSON object of `size` bytes, made without ever holding that object."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(_HEAD)]
    left = max(size - len(_HEAD) - len(_TAIL), 0)
    block = b"x" * min(_BLOCK, left)
    while left:
        parts.append(packer.compress(block[:left]))
        left -= min(len(block), left)
    parts.append(packer.compress(_TAIL))
    parts.append(packer.flush())
    return b"".join(parts)


async def _until_cancelled() -> NoReturn:
    """The server cancels the handler of a connection that has gone; nothing may be written before that."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody resolves this future")
