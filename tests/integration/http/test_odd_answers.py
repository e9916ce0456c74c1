"""Answers that curl and http.client read and aiohttp's parser refuses, on real sockets and both event loops."""

import asyncio
import http.client
import io
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from notifier.census.client import client_of, new_census_session
from notifier.http.client import sending_session
from notifier.model.delivery import Broken, Delivered, Outcome, Refused, Retry
from notifier.model.errors import CensusError, Throttled, Unreachable, Unusable
from notifier.receivers.senders import open_senders
from notifier.receivers.webhook import WebhookSender, outcome_of
from notifier.watchlist.models import Workspace
from tests.builders import TOKEN, a_message, a_slack_channel, a_slack_webhook, a_webhook, an_event_body
from tests.integration.receivers.desk import TLS, without_proxies

Made = TypeVar("Made")
Loop = Callable[[], asyncio.AbstractEventLoop]
WAIT: Final = timedelta(seconds=10)
SHORT: Final = timedelta(seconds=0.3)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    made: Loop = request.param
    return made


def run(loop: Loop, story: Coroutine[Any, Any, Made]) -> Made:
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(story)


class Server:
    """Gives these pieces to each request, each in a packet of its own; `holds`: and leaves the connection open.

    `late`: what comes of one answer only with the next request.
    """

    def __init__(self, *pieces: bytes, holds: bool = False, late: bytes = b"") -> None:
        self.pieces = pieces
        self.holds = holds
        self.late = late
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        pieces = self.pieces
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or b"0"))
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if not self.holds:
                    break
                pieces = (self.late, *self.pieces)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await asyncio.gather(*self._tasks)  # clients are gone by now


async def sent(*pieces: bytes, holds: bool = False, timeout: timedelta = WAIT, times: int = 1) -> list[Outcome]:
    async with Server(*pieces, holds=holds).open() as url, sending_session(timeout, TLS) as session:
        sender = WebhookSender("pipeline", a_webhook(url + "/hook"), session)
        return [await sender.send(a_message()) for _ in range(times)]


async def asked(*pieces: bytes, holds: bool = False) -> bytes:
    """The body that the Census API's client reads."""
    async with Server(*pieces, holds=holds).open() as url:
        settings = Workspace(api_key=SecretStr("key"), base_url=url + "/api/v1")
        async with new_census_session(settings, TLS) as session:
            client = client_of(settings, session, patient=False)
            return (await client.runs(52, page=1, per_page=5)).body


JSON: Final = b'{"status": "success", "data": []}'
LENGTH: Final = b"Content-Length: %d\r\n" % len(JSON)


def with_lines(lines: bytes, status: bytes = b"200 OK", body: bytes = JSON) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + lines + b"\r\n" + body


READABLE: Final = {
    "9 kB in one line": with_lines(b"Content-Security-Policy: " + b"x" * 9_000 + b"\r\n" + LENGTH),
    "20 kB in one line": with_lines(LENGTH + b"Set-Cookie: a=" + b"x" * 20_000 + b"\r\n"),
    "60 kB in one line": with_lines(LENGTH + b"X-Debug: " + b"x" * 60_000 + b"\r\n"),
    "150 lines": with_lines(LENGTH + b"".join(b"X-%d: y\r\n" % n for n in range(150))),
    "600 lines": with_lines(b"".join(b"X-%d: %s\r\n" % (n, b"y" * 50) for n in range(600)) + LENGTH),
    "a long reason": with_lines(LENGTH, status=b"200 " + b"OK" * 5_000),
    "the length twice": with_lines(LENGTH * 2),
    "the length twice in a line": with_lines(LENGTH.replace(b"\r\n", b", %d\r\n" % len(JSON))),
    "a length beside chunks": with_lines(
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(JSON), JSON)
    ),
    "chunks beside a length": with_lines(
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(JSON), JSON)
    ),
    "a blank before the colon": with_lines(b"X-A : b\r\n" + LENGTH),
    "no name": with_lines(LENGTH + b": b\r\n"),
    "no colon": with_lines(LENGTH + b"nonsense\r\n"),
    "a name of two words": with_lines(LENGTH + b"Odd Name: b\r\n"),
    "a stray CR": with_lines(LENGTH + b"X-A: b\rc\r\n"),
    "a stray CR in a name": with_lines(LENGTH + b"X-\rA: b\r\n"),
    "NUL": with_lines(LENGTH + b"X-A: b\0c\r\n"),
    "something after the body": with_lines(LENGTH, body=JSON + b"\r\nand so on"),
    "another answer after the body": with_lines(LENGTH, body=JSON + with_lines(LENGTH, status=b"500 No")),
    "an early hint before it": b"HTTP/1.1 103 Hint\r\nX-A : b\r\n\r\n" + with_lines(b"X-A : b\r\n" + LENGTH),
    "an empty line before it": b"\r\n" + with_lines(b"X-A : b\r\n" + LENGTH),
    "bare LF and an odd line": with_lines(b"X-A : b\r\n" + LENGTH).replace(b"\r\n", b"\n"),
}  # fmt: skip
UNSOUND: Final = {
    "two lengths": with_lines(LENGTH + b"Content-Length: 999\r\n"),
    "two lengths in a line": with_lines(LENGTH.replace(b"\r\n", b", 999\r\n")),
    "a length that is none": with_lines(b"Content-Length: many\r\n"),
    "a length below zero": with_lines(b"Content-Length: -1\r\n"),
    "a length beyond all": with_lines(b"Content-Length: " + b"9" * 30 + b"\r\n"),
}
BODILESS: Final = {
    "204 with a body": with_lines(b"Content-Length: 2\r\n", b"204 No Content", b"{}"),
    "204 with a body of no length": with_lines(b"", b"204 No Content", b"{}"),
    "204 in chunks": with_lines(b"Transfer-Encoding: chunked\r\n", b"204 No Content", b"0\r\n\r\n"),
    "204 with a body in chunks": with_lines(b"Transfer-Encoding: chunked\r\n", b"204 No", b"2\r\n{}\r\n0\r\n\r\n"),
    "204 in chunks and an odd line": with_lines(b"A : b\r\nTransfer-Encoding: chunked\r\n", b"204 No", b"0\r\n\r\n"),
}


ALL: Final = READABLE | UNSOUND | BODILESS


@pytest.mark.parametrize("answer", ALL.values(), ids=ALL)
def test_an_answer_that_curl_reads_as_2xx_is_a_delivery(loop: Loop, answer: bytes) -> None:
    [outcome] = run(loop, sent(answer))
    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize("answer", ALL.values(), ids=ALL)
def test_the_next_message_does_not_read_what_was_left_of_an_odd_answer(loop: Loop, answer: bytes) -> None:
    outcomes = run(loop, sent(answer, holds=True, times=3))
    assert [type(outcome) for outcome in outcomes] == [Delivered] * 3


@pytest.mark.parametrize("answer", READABLE.values(), ids=READABLE)
def test_the_api_is_read_whatever_its_headers_are(loop: Loop, answer: bytes) -> None:
    body = run(loop, asked(answer))
    assert body == JSON


ODD: Final = b"X-A : b\r\n"


@pytest.mark.parametrize("answer", UNSOUND.values(), ids=UNSOUND)
def test_a_body_of_which_nobody_knows_where_it_ends_is_not_believed(loop: Loop, answer: bytes) -> None:
    with pytest.raises(Unreachable, match="the answer broke off or is not as announced"):
        run(loop, asked(answer))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (with_lines(b"X: " + b"x" * 9_000 + b"\r\n", b"401 No"), outcome_of(401, None)),
        (with_lines(ODD, b"410 Gone"), outcome_of(410, None)),
        (with_lines(ODD, b"302 Found"), outcome_of(302, None)),
        (with_lines(ODD, b"400 Bad"), outcome_of(400, None)),
        (with_lines(ODD, b"304 Not Modified", JSON), outcome_of(304, None)),
        (with_lines(b"Retry-After: 7\r\n" + ODD, b"429 Slow"), outcome_of(429, timedelta(seconds=7))),
        (with_lines(ODD + b"Retry-After: 7\r\n", b"429 Slow"), outcome_of(429, timedelta(seconds=7))),
        (with_lines(ODD + b"Retry-After : 7\r\n", b"503 Down"), outcome_of(503, timedelta(seconds=7))),
        (with_lines(ODD + b"Retry-After\r\n", b"503 Down"), outcome_of(503, None)),
        (with_lines(ODD, b"999 What"), outcome_of(999, None)),
        (with_lines(ODD + b"Retry-After: 7\r\nX", b"503 Down", b""), outcome_of(503, timedelta(seconds=7))),
    ],
)
def test_a_status_means_the_same_whatever_the_lines_below_it_are(loop: Loop, answer: bytes, expected: Outcome) -> None:
    assert run(loop, sent(answer)) == [expected]


STATUS: Final = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "pieces", [(STATUS,), (STATUS, b"X-A: b\r\nX-"), (STATUS, b"X-A : b\r\nX-"), (b"\r\n", STATUS)]
)
def test_a_status_counts_where_the_connection_ends_within_the_headers(loop: Loop, pieces: tuple[bytes, ...]) -> None:
    assert run(loop, sent(*pieces)) == [outcome_of(200, None)]


@pytest.mark.parametrize("lines", [b"", b"X-A: b\r\n", b"X-A : b\r\n"])
def test_a_status_counts_where_the_headers_stand_still(loop: Loop, lines: bytes) -> None:
    assert run(loop, sent(STATUS + lines, holds=True, timeout=SHORT)) == [outcome_of(200, None)]


@pytest.mark.parametrize("line", [b"X-A: b\r\n", b"X-A : b\r\n", b"x" * 1_000])
def test_a_status_counts_where_the_headers_never_end(loop: Loop, line: bytes) -> None:
    assert run(loop, sent(STATUS, *[line * 100] * 1_000)) == [outcome_of(200, None)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the connection was dropped before an answer"),
        (b"HTTP/1.1 20", "the connection was dropped before an answer"),
        (b"HTTP/1.1 103 Hint\r\n\r\n", "the connection was dropped before an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP"),
        (b"\0\xff\r\n\r\n", "the answer is not HTTP"),
        (b"<html>secret.example</html>", "the answer is not HTTP"),
        (b"ICY 200 OK\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "the answer's status line can't be read"),
        (b"HTTP/7.3 200 OK\r\n\r\n", "the answer's status line can't be read"),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 20_000, "there is no status in the first 262144 bytes of the answer"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "the answer's status line can't be read"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the answer's status line can't be read"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "the answer is TLS, not HTTP: the URL should begin with https"),
    ],
)
def test_where_there_is_no_status_the_reason_says_what_is_wrong(loop: Loop, answer: bytes, reason: str) -> None:
    assert run(loop, sent(answer)) == [Retry(reason)]


def test_an_odd_answer_ends_its_connection_and_a_usual_one_does_not(loop: Loop) -> None:
    async def connections(answer: bytes) -> int:
        server = Server(answer, holds=True)
        async with server.open() as url, sending_session(WAIT, TLS) as session:
            sender = WebhookSender("pipeline", a_webhook(url), session)
            for _ in range(3):
                assert isinstance(await sender.send(a_message()), Delivered)
        return server.connections

    assert run(loop, connections(with_lines(LENGTH))) == 1
    assert run(loop, connections(with_lines(LENGTH + b"X-Long: " + b"x" * 60_000 + b"\r\n"))) == 1
    assert run(loop, connections(with_lines(LENGTH + ODD))) == 3
    assert run(loop, connections(BODILESS["204 in chunks"])) == 3


@pytest.mark.parametrize("lines", [b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_the_body_of_a_204_that_comes_late_is_not_the_next_answer(loop: Loop, lines: bytes) -> None:
    async def story() -> list[Outcome]:
        server = Server(with_lines(lines, b"204 No", b""), holds=True, late=b"{}")
        async with server.open() as url, sending_session(WAIT, TLS) as session:
            sender = WebhookSender("pipeline", a_webhook(url), session)
            return [await sender.send(a_message()) for _ in range(2)]

    assert run(loop, story()) == [outcome_of(204, None)] * 2


def test_a_body_that_breaks_off_in_a_later_packet_is_told_at_once(loop: Loop) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    for lines in (b"\r\n", b"X-A : b\r\n\r\n"):
        with pytest.raises(Unreachable, match="broke off or is not as announced"):
            run(loop, asked(head + lines + b"2\r\n{}\r\n", b"zz\r\n", holds=True))


def test_an_answer_of_the_api_whose_headers_never_end_is_unusable(loop: Loop) -> None:
    with pytest.raises(Unusable, match="headers are larger than 262144 bytes"):
        run(loop, asked(STATUS, *[b"X-A: b\r\n" * 100] * 1_000))


@pytest.mark.parametrize(("status", "error"), [(b"429 Slow", Throttled), (b"500 No", Unreachable)])
def test_a_status_of_the_api_counts_whatever_its_headers_are(
    loop: Loop, status: bytes, error: type[CensusError]
) -> None:
    with pytest.raises(error):
        run(loop, asked(with_lines(ODD, status)))


async def posted(slack_answers: dict[str, bytes], lines: bytes) -> list[Outcome]:
    """What comes of an event in a channel and in an incoming webhook, when Slack's answers have these lines too."""
    outcomes = []
    for kind, body in slack_answers.items():
        answer = with_lines(b"Content-Length: %d\r\n" % len(body) + lines, body=body)
        async with Server(answer).open() as url, open_senders(WAIT, TLS) as senders:
            settings = a_slack_channel("C0123ABCD", token=TOKEN, api_url=url + "/api/") if kind == "api" else None
            sender = senders.build("growth", settings or a_slack_webhook(url + "/services/x"))
            outcomes.append(await sender.send(a_message(body=an_event_body())))
    return outcomes


@pytest.mark.parametrize("lines", [ODD, b"X-Long: " + b"x" * 20_000 + b"\r\n", b"X: y\r\n" * 300])
def test_slacks_answers_are_read_whatever_their_headers_are(loop: Loop, lines: bytes) -> None:
    slack = {"api": b'{"ok": true, "channel": "C0123ABCD", "ts": "1795428930.000100"}', "webhook": b"ok"}
    assert [type(outcome) for outcome in run(loop, posted(slack, lines))] == [Delivered, Delivered]
    refusals = {"api": b'{"ok": false, "error": "channel_not_found"}'}
    assert [type(outcome) for outcome in run(loop, posted(refusals, lines))] == [Broken]


# --- any head ---

TEXT = st.binary(min_size=0, max_size=30).map(lambda text: text.replace(b"\n", b" "))
LINES = st.one_of(
    TEXT,
    st.tuples(TEXT, TEXT).map(lambda pair: pair[0] + b":" + pair[1]),
    st.sampled_from(
        [
            *(b"Content-Length: 2", b"Content-Length: 7", b"Content-Length: x", b"Content-Length:"),
            *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding : chunked", b" folded"),
            *(b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c", b"Content-Encoding: gzip"),
            *(b"X: " + b"x" * 9_000, b": x", b"X\0: y"),
        ]
    ),
)
HEADS = st.builds(
    lambda version, status, reason, lines, end: end.join(
        [b"HTTP/1.%d %d%s" % (version, status, reason), *lines, b"", b""]
    ),
    st.integers(0, 1),
    st.integers(200, 999),
    st.sampled_from([b"", b" ", b" OK", b" \xff\xfe", b"  two  words"]),
    st.lists(LINES.filter(lambda line: line.strip(b"\r") != b""), max_size=8),
    st.sampled_from([b"\r\n", b"\n"]),
)
BODIES = st.sampled_from([b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"zz", b"HTTP/1.1 500 No\r\n\r\n", b"\0" * 100])


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def status_by_http_client(answer: bytes) -> int:
    """What Python's own library says about the status."""
    response = http.client.HTTPResponse(_Socket(answer))  # type: ignore[arg-type]
    response.begin()
    return response.status


@given(
    HEADS,
    BODIES,
    st.lists(st.integers(0, 400), max_size=3),
    st.sampled_from([asyncio.new_event_loop, uvloop.new_event_loop]),
)
def test_a_status_that_http_client_reads_is_what_counts(head: bytes, body: bytes, cuts: list[int], loop: Loop) -> None:
    answer = head + body
    places = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    pieces = [answer[start:end] for start, end in itertools.pairwise(places)]
    [outcome] = run(loop, sent(*pieces))
    expected = outcome_of(status_by_http_client(answer), None)
    assert type(outcome) is type(expected)
    if isinstance(expected, Retry | Broken | Refused) and isinstance(outcome, Retry | Broken | Refused):
        assert outcome.reason == expected.reason


# --- behind a proxy ---


async def through(proxy_says: bytes, monkeypatch: pytest.MonkeyPatch, scheme: str = "http") -> Outcome:
    """What comes of a message whose proxy, of either scheme's requests, says this."""
    async with Server(proxy_says).open() as proxy, sending_session(WAIT, TLS) as session:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy)
        sender = WebhookSender("pipeline", a_webhook(f"{scheme}://receiver.example/hook"), session)
        return await sender.send(a_message())


@pytest.mark.parametrize("answer", ALL.values(), ids=ALL)
def test_an_odd_answer_that_a_proxy_hands_on_is_a_delivery(
    loop: Loop, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(run(loop, through(answer, monkeypatch)), Delivered)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Who\r\nX-A : b\r\n\r\n", "no connection: the proxy answered HTTP 407"),
        (b"HTTP/1.1 502 No\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "no connection: the proxy answered HTTP 502"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no connection: the proxy's answer can't be read"),
        # A tunnel that is open, whatever its lines are; what is in it is no TLS.
        (b"HTTP/1.1 200 OK\r\nX-A : b\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "no connection: "),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_told_by_its_status(
    loop: Loop, answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(loop, through(answer, monkeypatch, "https"))
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith(reason)
