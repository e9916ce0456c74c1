"""What strangers may do to the server: how many they may be, how long they may take, and what they can make it say."""

import asyncio
import itertools
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from notifier.web import app, hooks
from notifier.web import socket as connections
from notifier.web.access import Door
from notifier.web.socket import FAULT
from tests.page_stage import PageStage


def request(start: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([start + b" HTTP/1.1", b"Host: localhost", *headers, b"", body])


def sized(start: bytes, *headers: bytes, body: bytes) -> bytes:
    return request(start, b"Content-Length: %d" % len(body), *headers, body=body)


HEALTHZ = request(b"GET /healthz")
HOOK = b"POST /webhooks/census/production"
SIGNED = sized(HOOK, b"X-Signature: yes", body=b"{}")
FORGED = b"form=" + b"a" * 32 + b"%2E" + b"b" * 64
LOST = (ConnectionResetError, BrokenPipeError)
PATIENCE = 20.0


class Hearing:
    """Takes every webhook that says it is signed."""

    taken = 0

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        return signature == b"yes"

    async def take(self, body: bytes) -> None:
        self.taken += 1


class Held:
    """A lock that nobody gives back."""

    async def __aenter__(self) -> None:
        await asyncio.Event().wait()

    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture
def stage(tmp_path: Path) -> PageStage:
    return PageStage(tmp_path / "n.db")


@contextmanager
def served(stage: PageStage) -> Iterator[tuple[str, int]]:
    """The server's address; it takes webhooks of the workspace production."""
    with stage.serving() as url:
        assert stage.in_force is not None
        stage.in_force.worker = replace(stage.in_force.worker, inboxes={"production": Hearing()})
        address = urlsplit(url)
        yield address.hostname or "", address.port or 0


def say(address: tuple[str, int], said: bytes = b"", *, receive_buffer: int | None = None) -> socket.socket:
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PATIENCE)
    connection.connect(address)
    connection.sendall(said)
    return connection


def head_of(connection: socket.socket) -> bytes:
    """The first bytes of the answer; none where the connection has ended."""
    try:
        return connection.recv(65_536)
    except LOST:
        return b""


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection. Fails where it does not."""
    came = b""
    try:
        while chunk := connection.recv(65_536):
            came += chunk
    except LOST:
        pass
    return came


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def is_open_to(connection: socket.socket, said: bytes) -> bool:
    """Whether it takes more of what we say, or may do so later; nothing is read."""
    connection.setblocking(False)
    try:
        return connection.send(said) > 0
    except BlockingIOError:
        return True
    except LOST:
        return False


def assert_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """What the log says, which the tests have on standard output, and what Python itself says."""
    said = "".join(capsys.readouterr())
    assert FAULT not in said
    assert "Traceback" not in said
    assert "never retrieved" not in said


def held_by_the_system(port: int) -> list[int]:
    """Of each connection to this port, whether the server still has it or not, the bytes that wait to be sent."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening, over = "0A", "06"
    return [
        int(queues.partition(":")[0], 16)
        for _, local, _, state, queues, *_ in lines
        if int(local.rpartition(":")[2], 16) == port and state not in (listening, over)
    ]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not ended it."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except LOST:
        return False
    finally:
        connection.settimeout(PATIENCE)


# --- how many ---


def test_the_connections_are_a_quarter_of_the_files_and_256_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = iter(
        [(200, 8_192), (1_024, 1_048_576), (65_536, 65_536), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
    )
    monkeypatch.setattr(resource, "getrlimit", lambda _: next(limits))
    assert [connections.most_connections() for _ in range(4)] == [50, 256, 256, 256]


def test_who_comes_is_answered_and_who_was_silent_longest_goes(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 8)
    with served(stage) as address, ExitStack() as held:
        first = [held.enter_context(say(address, HEALTHZ)) for _ in range(8)]
        assert all(head_of(each).startswith(b"HTTP/1.1 200") for each in first)
        first[0].sendall(HEALTHZ)  # it is heard again: it is not the eldest any more
        assert head_of(first[0]).startswith(b"HTTP/1.1 200")
        files = open_files()
        for _ in range(7):
            assert head_of(held.enter_context(say(address, HEALTHZ))).startswith(b"HTTP/1.1 200")
        assert [is_open(each) for each in first] == [True, *[False] * 7]
        assert open_files() <= files + 7 + 1  # ours; the server has no more than it had
    assert capsys.readouterr().out.count("the server is full") == 1


def test_who_has_left_takes_no_place(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(connections, "NEWCOMERS", 1 / 3_600)
    with served(stage) as address:
        for _ in range(6):
            with say(address, HEALTHZ) as connection:
                assert head_of(connection).startswith(b"HTTP/1.1 200")
    assert "the server is full" not in capsys.readouterr().out


def test_a_full_house_lets_everyone_say_a_word(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has just come is not ended for the next one before there was time to ask."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(connections, "NEWCOMERS", 4.0)  # so each has half a second
    with served(stage) as address, ExitStack() as held:
        slow = [held.enter_context(say(address)) for _ in range(6)]
        for each in slow:
            each.sendall(HEALTHZ)
            assert head_of(each).startswith(b"HTTP/1.1 200")


def test_guests_go_before_those_who_have_shown_the_token(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(connections, "NEWCOMERS", float("inf"))
    stage.door = Door(b"token", is_loopback=False)
    with served(stage) as address, ExitStack() as held:
        ask = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token\r\n\r\n"
        owner = held.enter_context(say(address, ask))
        assert head_of(owner).startswith(b"HTTP/1.1 200")
        for _ in range(10):
            guest = held.enter_context(say(address, HEALTHZ))
            assert head_of(guest).startswith(b"HTTP/1.1 200")
        assert is_open(owner)
        owner.sendall(ask)
        assert head_of(owner).startswith(b"HTTP/1.1 200")


def test_chatter_that_never_ends_shuts_nobody_out(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All places are taken by strangers who ask again and again, each well within the grace."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 4)
    monkeypatch.setattr(connections, "NEWCOMERS", 2.0)  # so each has a second or more
    over = threading.Event()

    def chat(connection: socket.socket) -> None:
        with suppress(*LOST):
            while not over.is_set() and head_of(connection):
                connection.sendall(HEALTHZ)

    with served(stage) as address, ExitStack() as held:
        chatter = [threading.Thread(target=chat, args=[held.enter_context(say(address, HEALTHZ))]) for _ in range(4)]
        for each in chatter:
            each.start()
            held.callback(each.join)
        held.callback(over.set)
        with say(address, HEALTHZ) as connection:
            assert head_of(connection).startswith(b"HTTP/1.1 200")


def test_a_fault_of_ours_with_one_connection_does_not_end_the_listening(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, faults = connections.Connection.__init__, iter([RuntimeError("canary")])

    def made(self: connections.Connection, *args: Any) -> None:
        for fault in faults:
            raise fault
        make(self, *args)

    monkeypatch.setattr(connections.Connection, "__init__", made)
    with served(stage) as address:
        with say(address, HEALTHZ) as connection:
            assert head_of(connection) == b""
        with say(address, HEALTHZ) as connection:
            assert head_of(connection).startswith(b"HTTP/1.1 200")
    assert capsys.readouterr().out.count(FAULT) == 1


# --- how long ---


def test_whoever_asks_many_things_at_once_takes_turns_with_everyone(stage: PageStage) -> None:
    """Of one connection no two requests are answered in the same turn of the event loop, which polling needs too. From
    Python 3.12 on aiohttp would do so; before, this can't fail."""
    turns, asked = itertools.count(), list[int]()

    def ailment() -> None:
        asked.append(next(turns))
        asyncio.get_running_loop().call_soon(next, turns)

    with served(stage) as address:
        assert stage.in_force is not None
        stage.in_force.worker = replace(stage.in_force.worker, ailment=ailment)
        with say(address, HEALTHZ * 100) as connection:
            connection.shutdown(socket.SHUT_WR)
            all_of(connection)
    assert asked == [2 * place for place in range(len(asked))]
    assert len(asked) > 1


@pytest.mark.parametrize(
    "said", [b"", b"GET /healthz HTTP/1.1\r\nHost: loc", b"POST "], ids=["nothing", "head", "word"]
)
def test_who_does_not_come_to_the_point_is_let_go(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "FIRST_WORD", 0.1)
    with served(stage) as address, say(address, said) as connection:
        assert all_of(connection) == b""


def test_a_connection_that_asks_for_no_more_is_let_go(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE", 0.2)
    with served(stage) as address, say(address, HEALTHZ) as connection:
        assert all_of(connection).endswith(b'{"ok":true}\n')


def test_time_limits_are_those_that_the_documentation_tells() -> None:
    told = " ".join((Path(__file__).parents[3] / "docs" / "server.md").read_text().split())
    for limit, seconds, words in (
        (connections.FIRST_WORD, 10, "10 seconds for its first request"),
        (connections.IDLE, 75, "75 seconds for the next"),
        (app.LONGEST_ANSWER, 30, "30 seconds to be answered"),
        (connections.LAST_BYTE, 30, "30 seconds to take the answer"),
        (hooks.IN_TIME, 10, "longer than 10 seconds"),
    ):
        assert (limit, words in told) == (seconds, True)
    assert connections.LINGER == connections.LAST_WORDS == 1


def test_a_reader_that_does_not_read_is_ended(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LAST_BYTE", 0.3)
    with served(stage) as address, say(address, receive_buffer=1_024) as connection:
        # It asks for more than the system buffers.
        until(lambda: not is_open_to(connection, request(b"GET /metrics") * 20))


def test_what_is_left_to_send_at_the_end_keeps_no_connection(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All answers are made; the system does not take all of them, and what is left makes no handler wait."""
    monkeypatch.setattr(connections, "LAST_BYTE", 0.3)
    monkeypatch.setattr(connections, "IDLE", 0.2)
    begin, end, ended = (
        connections.Connection.connection_made,
        connections.Connection.connection_lost,
        threading.Event(),
    )

    def begun(self: connections.Connection, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2_048)
        begin(self, transport)

    def lost(self: connections.Connection, exc: BaseException | None) -> None:
        ended.set()
        end(self, exc)

    monkeypatch.setattr(connections.Connection, "connection_made", begun)
    monkeypatch.setattr(connections.Connection, "connection_lost", lost)
    with served(stage) as address, say(address, request(b"GET /healthz") * 200, receive_buffer=1_024):
        assert ended.wait(PATIENCE)


@pytest.mark.parametrize(
    ("answers", "limits"),
    [(3, {"IDLE": 0.3, "NO_BYTE": 1.0}), (2_000, {"LAST_BYTE": 0.5, "NO_BYTE": 3_600.0})],
    ids=["few, and idle", "many, and stuck"],
)
def test_what_nobody_reads_is_not_kept_by_the_system_either(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch, answers: int, limits: dict[str, float]
) -> None:
    """An ended connection whose answers are unread would go on in the kernel, with all that was to be sent."""
    for name, seconds in limits.items():
        monkeypatch.setattr(connections, name, seconds)
    with served(stage) as address, say(address, request(b"GET /metrics") * answers, receive_buffer=1_024):
        until(lambda: sum(held_by_the_system(address[1])) > 0)
        most = 0
        while waiting := held_by_the_system(address[1]):
            most = max(most, *waiting)
            time.sleep(0.01)
        assert 0 < most <= 4 * connections.SEND_BUFFER


def test_who_says_all_at_once_and_listens_is_answered(stage: PageStage) -> None:
    with served(stage) as address:
        for said, status in ((HEALTHZ, b"200"), (b"GET /healthz HTTP/1.0\r\n\r\n", b"200"), (SIGNED, b"202")):
            with say(address, said) as connection:
                connection.shutdown(socket.SHUT_WR)
                assert all_of(connection)[9:12] == status


@pytest.mark.parametrize(
    ("start", "where", "limit", "status"),
    [(HOOK, hooks, "IN_TIME", b"408"), (b"POST /login", app, "LONGEST_ANSWER", b"503")],
)
def test_a_body_that_never_comes_is_not_waited_for(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch, start: bytes, where: ModuleType, limit: str, status: bytes
) -> None:
    monkeypatch.setattr(where, limit, 0.1)
    with served(stage) as address, say(address, request(start, b"Content-Length: 9", body=b"1")) as connection:
        assert head_of(connection)[9:12] == status


def test_a_handler_that_hangs_is_given_up(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LONGEST_ANSWER", 0.1)
    with served(stage) as address:
        assert stage.in_force is not None
        monkeypatch.setattr(stage.in_force, "taking", Held())  # as while a reload goes on
        with say(address, SIGNED) as connection:
            assert head_of(connection).startswith(b"HTTP/1.1 503")


def test_bodies_that_drip_hold_up_no_webhook(stage: PageStage) -> None:
    with served(stage) as address, ExitStack() as held:
        for _ in range(100):
            held.enter_context(say(address, request(HOOK, b"Content-Length: 4096", body=b"1")))
        with say(address, SIGNED) as connection:
            connection.settimeout(hooks.IN_TIME / 2)  # each of the drips has longer
            assert head_of(connection).startswith(b"HTTP/1.1 202")


# --- what they can make it say ---

ODD = {
    "a webhook that breaks off": request(HOOK, b"Content-Length: 9", body=b"1"),
    "a login that breaks off": request(b"POST /login", b"Content-Length: 9", body=b"1"),
    "a retry that breaks off": request(b"POST /retry", b"Content-Length: 9", body=b"1"),
    "a chunk that is none": request(HOOK, b"Transfer-Encoding: chunked", body=b"zz\r\nnone\r\n"),
    "a later chunk that is none": request(HOOK, b"Transfer-Encoding: chunked", body=b"1\r\na\r\nzz\r\n"),
    "chunks that break off": request(HOOK, b"Transfer-Encoding: chunked", body=b"5\r\nab"),
    "30 fields": sized(b"POST /login", body=b"&" * 30),
    "fields that are no text": sized(b"POST /login", body=b"token=%ff%fe%00\xff&a=\xed\xa0"),
    "an odd Expect": request(b"GET /healthz", b"Expect: \xff"),
    "an odd Expect of nothing": request(b"GET /nothing", b"Expect: \xe4"),
    "an odd cookie": request(b"GET /", b"Cookie: notifier_session=\xff"),
    "an odd cookie at a form": sized(b"POST /retry", b"Cookie: notifier_session=\xff", body=FORGED),
    "an odd token": request(b"GET /api/status", b"Authorization: Bearer \xff"),
    "an odd host": b"GET /api/status HTTP/1.1\r\nHost: \xff[::1\r\n\r\n",
    "an odd query": request(b"GET /?sync=%ff%00&workspace=%ed%a0%80&name=%f0"),
    "an odd path": request(b"GET //[::1/%00%ff;x?y#z"),
    "an odd name of a file": request(b"GET /static/%00%ff..%2f"),
    "an odd workspace": sized(b"POST /webhooks/census/%ff%00", body=b"{}"),
    "an absolute target": request(b"GET http://[::1/%ff"),
    "odd tongues": request(b"GET /", b"Accept: text/html", b"Accept-Encoding: \xff", b"Accept-Language: \xff"),
    "an odd origin": sized(b"POST /login", b"Origin: http://[\xff", body=b""),
    "an odd range": request(b"GET /login", b"Range: bytes=\xff-", b"If-Modified-Since: \xff"),
    "an upgrade": request(b"GET /healthz", b"Connection: Upgrade", b"Upgrade: websocket", body=b"\xff\xff"),
    "two lengths": request(HOOK, b"Content-Length: 2", b"Content-Length: 3", body=b"{}"),
    "a length that is none": request(HOOK, b"Content-Length: -1"),
    "a huge length": request(HOOK, b"Content-Length: 99999999999999999999"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "no version": b"GET /healthz\r\n\r\n",
}


@pytest.mark.parametrize(
    "door", [Door(None, is_loopback=True), Door(b"token", is_loopback=False)], ids=["open", "token"]
)
@pytest.mark.parametrize("ends", [socket.SHUT_WR, None], ids=["and waits", "and goes"])
def test_whatever_strangers_send_or_break_off_is_no_fault_of_ours(
    stage: PageStage, capsys: pytest.CaptureFixture[str], door: Door, ends: int | None
) -> None:
    stage.door = door
    with served(stage) as address:
        for name, said in ODD.items():
            with say(address, said) as connection:
                if ends is None:
                    continue  # closed at once
                connection.shutdown(ends)
                assert all_of(connection)[9:10] in (b"2", b"3", b"4", b""), name
        with say(address, HEALTHZ) as connection:
            assert head_of(connection).startswith(b"HTTP/1.1 200")
    assert_no_fault(capsys)


def test_who_expects_what_nobody_does_is_told_so_and_let_go(stage: PageStage) -> None:
    with served(stage) as address, say(address, ODD["an odd Expect"]) as connection:
        assert all_of(connection).startswith(b"HTTP/1.1 417")


methods = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "get"])
paths = st.sampled_from(
    [
        "/",
        "/login",
        "/retry",
        "/logout",
        "/metrics",
        "/healthz",
        "/api/status",
        "/api/events?",
        "/static/",
        "/webhooks/census/production",
    ]
)
names = st.sampled_from(
    [
        "Host",
        "Cookie",
        "Authorization",
        "Expect",
        "Origin",
        "Accept",
        "Content-Length",
        "Transfer-Encoding",
        "Content-Type",
        "Content-Encoding",
        "Accept-Encoding",
        "Connection",
        "Upgrade",
        "Sec-Fetch-Site",
        "X-Forwarded-Proto",
        "Range",
        "X-Signature",
        "X-Census-Notifier",
    ]
)
words = st.sampled_from(
    b"localhost 1 30 chunked close text/html notifier_session=1.1.a Bearer gzip yes same-origin".split()
)
values = words | st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
requests = st.builds(
    lambda method, path, tail, headers, body: request(
        f"{method} {path}{tail.hex()}".encode(),
        *(name.encode() + b": " + value for name, value in headers),
        body=body,
    ),
    methods,
    paths,
    st.binary(max_size=3),
    st.lists(st.tuples(names, values), max_size=6),
    st.binary(max_size=60),
)


def test_no_bytes_at_all_are_a_fault_of_ours(stage: PageStage, capsys: pytest.CaptureFixture[str]) -> None:
    with served(stage) as address:

        @settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)
        @given(said=st.one_of(requests, st.binary(max_size=200)))
        @example(said=ODD["an odd Expect"])
        def throw(said: bytes) -> None:
            with say(address, said) as connection:
                connection.shutdown(socket.SHUT_WR)
                assert b"HTTP/1.1 500" not in all_of(connection)

        throw()
        with say(address, HEALTHZ) as connection:
            assert head_of(connection).startswith(b"HTTP/1.1 200")
    assert_no_fault(capsys)
