"""aiohttp's connections, but an answer that its parser refuses is read all the same.

curl, Go and http.client read a 204 with a body, two lengths, a blank before a colon. For aiohttp 3.14 each is no answer
at all, and the message would be sent again and again to a receiver that has it. So the bytes of a head are kept until
it has been read; what the parser refuses is mended (`head.py`) and given to another one. Whatever else ends a request
once its status line is there, a time-out or a lost connection, leaves an answer with that status and without a body.
"""

import contextlib
import functools
from typing import Any, Final, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from notifier.http.head import HEAD_END, LARGEST_HEAD, Head, NotAHead

_Parsed = tuple[Any, bool, bytes]
_NOTHING: Final[_Parsed] = ((), False, b"")
NOT_AS_ANNOUNCED: Final = "the body is not as announced"


class NotHttp(aiohttp.ClientError):
    """What came is no answer. Says what is wrong with it, without a byte of it."""


class AnswerTooLarge(aiohttp.ClientPayloadError):
    """The body is larger than its reader takes, or the head has no end."""


class LenientConnector(aiohttp.TCPConnector):
    """Makes lenient connections; also behind a proxy and over TLS."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory = functools.partial(LenientHandler, loop=self._loop)  # type: ignore[assignment]  # it is invariant


class LenientHandler(ResponseHandler):
    """A connection. `reading`: how the answer to its request is read."""

    reading: "_Reading"

    def set_response_params(self, **params: Any) -> None:
        """A request begins. The limits are ours: the head as a whole has one."""
        params |= {"max_line_size": LARGEST_HEAD, "max_field_size": LARGEST_HEAD, "max_headers": LARGEST_HEAD}
        early, self._tail = self._tail, b""
        self.reading = _Reading(self, params)
        self._tail = early
        self._drain_tail()

    def renew_parser(self, reading: "_Reading", params: dict[str, Any]) -> Any:
        """aiohttp's parser, which `reading` stands in for."""
        super().set_response_params(**params)
        parser, self._parser = self._parser, reading  # type: ignore[assignment]  # a parser in all but its class
        return parser


class _Reading:
    """Reads the answer to one request. Keeps the bytes of a head until it has been read."""

    __slots__ = ("_handler", "_is_refused", "_kept", "_params", "_parser", "_payload")

    def __init__(self, handler: LenientHandler, params: dict[str, Any]) -> None:
        self._handler = handler
        self._params = params
        self._parser = handler.renew_parser(self, params)
        self._kept: bytearray | None = bytearray()
        self._is_refused = False
        self._payload: aiohttp.StreamReader | None = None

    def head(self) -> Head | None:
        """The head as far as it came, where it did not come to its end. Raises NotAHead."""
        return Head.read(bytes(self._kept)) if self._kept else None

    def feed_data(self, data: bytes) -> _Parsed:
        """What aiohttp's parser makes of it, if need be of the mended head. Raises HttpProcessingError, NotAHead."""
        kept = self._kept
        if kept is None:
            return self._feed_body(data)
        kept += data
        parsed = self._feed_refused(kept, len(data)) if self._is_refused else self._feed_head(kept, data)
        if self._payload is None and len(kept) > LARGEST_HEAD:
            raise HttpProcessingError
        return parsed

    def feed_eof(self) -> Any:
        """The connection has ended."""
        return None if self._is_refused else self._parser.feed_eof()

    def pause_reading(self) -> None:
        """The body is not taken as fast as it comes."""
        self._parser.pause_reading()

    def _feed_head(self, kept: bytearray, data: bytes) -> _Parsed:
        try:
            parsed: _Parsed = self._parser.feed_data(data)
        except HttpProcessingError:
            self._is_refused = True
            Head.read(bytes(kept))  # may say that there will never be a status
            return self._feed_refused(kept, len(kept))
        for message, payload in parsed[0]:
            if message.code >= 200 or message.code == 101:
                self._goes_on_with(payload)
                if message.code == 204 and (message.chunked or "Content-Length" in message.headers):
                    self._handler.force_close()  # the body that it says is there may come next
                break
        return parsed

    def _feed_refused(self, kept: bytearray, newest: int) -> _Parsed:
        """Once the head is whole, all of it; so many of its last bytes have not been looked at."""
        if not HEAD_END.search(kept, max(0, len(kept) - newest - 3)):
            return _NOTHING
        whole = bytes(kept)
        head = Head.read(whole)
        if head is None or head.end is None:
            return _NOTHING
        self._is_refused = False
        self._parser = self._handler.renew_parser(self, self._params)
        parsed: _Parsed = self._parser.feed_data(head.mended())
        for _, payload in parsed[0]:
            self._goes_on_with(payload)
            if not head.is_sound:
                payload.set_exception(aiohttp.ClientPayloadError(NOT_AS_ANNOUNCED))
        with contextlib.suppress(HttpProcessingError):  # the payload knows, or it is over and what follows is nobody's
            self._feed_body(whole[head.end :])
        return parsed

    def _goes_on_with(self, payload: aiohttp.StreamReader) -> None:
        self._kept = None
        self._payload = payload

    def _feed_body(self, data: bytes) -> _Parsed:
        try:
            parsed: _Parsed = self._parser.feed_data(data)
        except HttpProcessingError:
            if self._payload is not None and not self._payload.is_eof():  # aiohttp 3.14 lets its reader wait for ever
                self._payload.set_exception(aiohttp.ClientPayloadError(NOT_AS_ANNOUNCED))
            raise
        return parsed


class ForgivingAnswer(aiohttp.ClientResponse):
    """An answer whose status counts once it is there, whatever becomes of the rest."""

    async def start(self, connection: Connection) -> Self:
        """Reads the head. Raises NotHttp, and what aiohttp does where there is not even a status."""
        handler = connection.protocol
        try:
            await super().start(connection)
        except (aiohttp.ClientError, TimeoutError) as error:
            if not isinstance(handler, LenientHandler):
                raise
            try:
                head = handler.reading.head()
            except NotAHead as complaint:
                raise NotHttp(str(complaint)) from error
            if head is None and isinstance(error, aiohttp.ClientResponseError):
                raise NotHttp(f"there is no status in the first {LARGEST_HEAD} bytes of the answer") from error
            if head is None:
                raise
            self._make_do_with(head, handler, _without_body(error))
        return self

    def _make_do_with(self, head: Head, handler: LenientHandler, error: Exception) -> None:
        self.status = head.status
        fields = ((name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in head.fields)
        self._headers = CIMultiDictProxy(CIMultiDict(fields))
        self._raw_headers = head.fields
        self.content = aiohttp.StreamReader(handler, 1, loop=handler._loop)
        self.content.set_exception(error)
        self.close()


def _without_body(error: Exception) -> Exception:
    """What whoever reads the body is told."""
    if isinstance(error, aiohttp.ClientResponseError):  # a head that is refused has a status, so it is too large
        return AnswerTooLarge(f"the answer's headers are larger than {LARGEST_HEAD} bytes")
    return error
