"""The head of an HTTP answer, read as widely as curl and http.client read it. No I/O.

It is asked where the HTTP library refuses a head: a receiver that said 200 has the message, whatever else it says.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

LARGEST_HEAD: Final = 256 * 1024  # bytes, with all its lines
HEAD_END: Final = re.compile(rb"\n\r*\n")
_PREFIX: Final = b"HTTP/"
_STATUS_LINE: Final = re.compile(rb"HTTP/(?:1\.\d+|[23](?:\.0)?)[ \t]+([1-9]\d\d)(?:[ \t].*)?", re.DOTALL)
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_UNFIT: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_BODILESS: Final = frozenset({101, 204, 304})  # RFC 9112, 6.3
_MENDED: Final = frozenset({b"connection", b"content-length", b"keep-alive", b"transfer-encoding", b"upgrade"})


class NotAHead(ValueError):
    """These bytes are no answer; says what is wrong with them, without one of them."""


@dataclass(frozen=True, slots=True)
class Head:
    """A final status, and those of the lines below it that can be read, until the empty one or as far as they came.

    `end`: where the body begins; None where the head is not over.
    """

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    end: int | None

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """The head of the final answer in these bytes; None while its status line is not there. Raises NotAHead."""
        start = 0
        while (head := cls._read_one(data, start)) is not None and head.status < 200 and head.status != 101:
            if head.end is None:
                return None
            start = head.end
        return head

    @classmethod
    def _read_one(cls, data: bytes, start: int) -> Self | None:
        while data[start : start + 1] in (b"\r", b"\n"):  # what is left of an earlier answer
            start += 1
        first_end = data.find(b"\n", start)
        if first_end < 0:
            if not _PREFIX.startswith(data[start : start + len(_PREFIX)]):
                raise NotAHead(_complaint(data))
            return None
        matched = _STATUS_LINE.fullmatch(data[start:first_end].rstrip(b"\r"))
        if matched is None:
            raise NotAHead(_complaint(data))
        end = HEAD_END.search(data, first_end)
        lines = data[first_end + 1 : end.start() + 1 if end else len(data)].split(b"\n")[:-1]  # the last may go on
        return cls(int(matched[1]), tuple(_fields(lines)), end.end() if end else None)

    def mended(self) -> bytes:
        """The same for a strict reader: one word on where the body ends, and on nothing after it."""
        lines = [b"HTTP/1.1 %d Mended" % self.status, b"Connection: close"]
        lines += [name + b": " + value for name, value in self.fields if name.lower() not in _MENDED]
        framing = self._framing()
        return b"\r\n".join([*lines, *([framing] if framing else []), b"", b""])

    @property
    def is_sound(self) -> bool:
        """Whether it is clear where the body ends. A status has no need of that; who reads a body has."""
        return self._framing() is not None

    def _framing(self) -> bytes | None:
        """The line that says it, empty where there is no need of one; None where the lines are at odds."""
        if self.status in _BODILESS:
            return b""
        named = [(name.lower(), value.lower()) for name, value in self.fields]
        if any(name == b"transfer-encoding" and value.endswith(b"chunked") for name, value in named):
            return b"Transfer-Encoding: chunked"  # beside lengths too: RFC 9112, 6.3
        lengths = {each.strip() for name, value in named if name == b"content-length" for each in value.split(b",")}
        if not lengths:
            return b""
        length = lengths.pop()
        return b"Content-Length: " + length if not lengths and _LENGTH.fullmatch(length) else None


def _fields(lines: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names and values. A line that begins with a blank continues the one above; one that is no field is left out."""
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and unfolded:
            unfolded[-1] = unfolded[-1].rstrip() + b" " + line.strip()
        else:
            unfolded.append(line)
    for line in unfolded:
        if matched := _FIELD.fullmatch(line.strip()):
            yield matched[1], _UNFIT.sub(b" ", matched[2]).strip()


def _complaint(data: bytes) -> str:
    if data.startswith((b"\x15\x03", b"\x16\x03")):
        return "the answer is TLS, not HTTP: the URL should begin with https"
    if data.startswith(_PREFIX):
        return "the answer's status line can't be read"
    return "the answer is not HTTP"
