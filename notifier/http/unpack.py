"""Packed bodies, inflated piece by piece and never further than asked. No I/O."""

import zlib
from typing import Final

PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
FOREIGN: Final = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Content codings that we can't take off; RFC 9110's registry has few others."""
MOST_MEMBERS: Final = 1_000  # a gzip in blocks of 64 kB, as bgzip makes them, has 256 in our largest answer
_GZIP: Final = b"\x1f\x8b"


class BrokenPack(ValueError):
    """The body is not packed as announced."""


class Unpacker:
    """gzip of one member or several (RFC 1952, 2.2) with zeros or anything else behind; deflate with zlib's head, as
    RFC 9110 has it, and without, as some servers do.
    """

    def __init__(self) -> None:
        self._inflate: zlib._Decompress | None = None
        self._held = b""  # the beginning of a member, too short to tell what it is
        self._members = 0
        self._is_done = False

    def feed(self, data: bytes, most: int) -> bytes:
        """What it comes to, so many bytes at most: whoever gets as many has reason to stop. Raises BrokenPack."""
        data, self._held = self._held + data, b""
        parts: list[bytes] = []
        while data and most > 0 and not self._is_done:
            if self._members and self._inflate is None:
                data = data.lstrip(b"\0")
            inflate = self._inflate = self._inflate or self._begin(data)
            if inflate is None:
                break
            try:
                parts.append(inflate.decompress(data, most))
            except zlib.error as error:
                raise BrokenPack("the compressed body is broken") from error
            most -= len(parts[-1])
            data = inflate.unused_data
            if inflate.eof:
                self._inflate = None
                self._members += 1
        return b"".join(parts)

    def feed_eof(self) -> None:
        """Raises BrokenPack where a member is not over; nothing at all is an empty body."""
        if self._inflate is not None or (self._held and not self._members):
            raise BrokenPack("the compressed body broke off")

    def _begin(self, data: bytes) -> "zlib._Decompress | None":
        """A member begins with these bytes; None where it can't be told yet, or where they are none."""
        self._is_done = self._members > 0 and not _GZIP.startswith(data[:2])
        if self._members >= MOST_MEMBERS:
            raise BrokenPack("the compressed body is in too many pieces")
        if len(data) < 2 or self._is_done:
            self._held = data[:2]
            return None
        is_zlib = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, 2.2
        has_head = is_zlib or data.startswith(_GZIP)
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32 if has_head else -zlib.MAX_WBITS)
