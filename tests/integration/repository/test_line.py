"""The line between a worker and its PostgreSQL, which the faults cut: what it does is what it says."""

import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, LiteralString

import psycopg
import pytest

from faults.line import Line
from faults.protocol import Answers, Requests
from tests.postgres.server import Postgres, name_of

STATE: Final = "SELECT state FROM pg_stat_activity WHERE pid = %s"


class Office:
    """A server and a line to it; `url` goes by the line, `look` past it."""

    def __init__(self, server: Postgres, direct: str, line: Line) -> None:
        self.line = line
        self.direct = direct
        self.url = server.url(name_of(direct), line.port)
        self.threads = ThreadPoolExecutor(1)

    def connect(self, **more: object) -> psycopg.Connection:
        return psycopg.connect(self.url, **more)  # type: ignore[arg-type]

    def look(self) -> list[int]:
        with psycopg.connect(self.direct) as connection:
            return [number for (number,) in connection.execute("SELECT n FROM kept ORDER BY n").fetchall()]


@pytest.fixture
def office(postgres_server: Postgres, postgres_url: str) -> Iterator[Office]:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
    with Line(postgres_server.port) as line:
        office = Office(postgres_server, postgres_url, line)
        yield office
        line.close()
        office.threads.shutdown()


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def keep(connection: psycopg.Connection, number: int) -> None:
    connection.execute("INSERT INTO kept VALUES (%s)", [number])


def test_all_passes_in_both_directions_and_a_password_is_needed(office: Office) -> None:
    large = "x" * 3_000_000
    with office.connect() as connection:
        keep(connection, 1)
        assert connection.execute("SELECT %s::text", [large]).fetchone() == (large,)
    assert (office.look(), office.line.taken, office.line.held) == ([1], 1, 0)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(office.url.replace("canary", "another"))


def test_where_it_is_cut_nothing_passes_and_then_what_was_sent_meanwhile(office: Office) -> None:
    with office.connect(autocommit=True) as connection:
        office.line.cut()
        sent = office.threads.submit(keep, connection, 1)
        until(lambda: office.line.held)
        assert office.look() == []
        assert not sent.done()
        office.line.mend()
        sent.result(timeout=60)
    assert office.look() == [1]


def test_who_connects_where_it_is_cut_hears_nothing(office: Office) -> None:
    office.line.cut()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        office.connect(connect_timeout=2)
    office.line.mend()
    office.connect().close()


def test_a_cut_that_took_too_long_costs_the_connections_of_then_and_nothing_of_theirs_arrives(office: Office) -> None:
    connection = office.connect(autocommit=True)
    office.line.cut()
    sent = office.threads.submit(keep, connection, 1)
    until(lambda: office.line.held)
    office.line.mend(lost=True)
    with pytest.raises(psycopg.OperationalError):
        sent.result(timeout=60)
    with office.connect() as another:
        keep(another, 2)
    assert office.look() == [2]


def test_it_is_cut_when_a_commit_is_done_and_then_answers_may_pass_and_nothing_else(office: Office) -> None:
    with office.connect() as connection:
        keep(connection, 1)
        connection.rollback()  # not by this
        office.line.cut_at_commit()
        keep(connection, 2)
        assert not office.line.is_cut
        sent = office.threads.submit(connection.commit)
        until(lambda: office.line.is_cut)
        assert office.look() == [2]
        assert not sent.done()
        office.line.cut(but_answers=True)
        sent.result(timeout=60)
        more = office.threads.submit(keep, connection, 3)
        until(lambda: office.line.held)
        assert not more.done()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            office.connect(connect_timeout=2)
        office.line.mend()
        more.result(timeout=60)
    assert office.look() == [2, 3]


@pytest.mark.parametrize("pipelined", [False, True])
def test_it_is_cut_before_a_commit_comes_to_the_server(office: Office, pipelined: bool) -> None:
    with office.connect() as connection:
        office.line.cut_at_commit(before=True)
        sent = office.threads.submit(commit, connection, 1, pipelined)
        until(lambda: office.line.is_cut)
        assert office.look() == []
        assert not sent.done()
        office.line.mend()
        sent.result(timeout=60)
    assert office.look() == [1]


@pytest.mark.parametrize("how", ["in order", "by a reset"])
def test_the_server_does_not_hear_of_a_client_that_goes_while_it_is_cut(office: Office, how: str) -> None:
    connection = office.connect()
    keep(connection, 1)
    backend = connection.info.backend_pid
    office.line.cut()
    if how == "by a reset":
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    until(lambda: office.line.held)
    with psycopg.connect(office.direct, autocommit=True) as beside:

        def states() -> list[str]:
            return [state for (state,) in beside.execute(STATE, [backend]).fetchall()]

        assert states() == ["idle in transaction"]
        office.line.mend()
        until(lambda: states() == [])
    assert office.look() == []


def test_a_slow_line_holds_what_is_sent_until_its_time(office: Office) -> None:
    with office.connect(autocommit=True) as connection:
        office.line.delay(3600)
        sent = office.threads.submit(keep, connection, 1)
        until(lambda: office.line.held)
        assert office.look() == []
        office.line.delay(0.01)
        sent.result(timeout=60)
    assert office.look() == [1]


def test_a_reset_takes_the_connections_of_now(office: Office) -> None:
    connection = office.connect()
    office.line.close()
    with pytest.raises(psycopg.OperationalError):
        keep(connection, 1)
    with office.connect() as another:
        keep(another, 2)
    assert office.look() == [2]


def test_a_server_that_is_gone_resets(postgres_url: str, postgres_server: Postgres) -> None:
    with Line(1) as line, pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres_server.url(name_of(postgres_url), line.port))


@pytest.mark.parametrize("pipelined", [False, True])
def test_the_answer_to_a_commit_is_swallowed_and_it_is_committed(office: Office, pipelined: bool) -> None:
    connection = office.connect()
    office.line.swallow_commit()
    with pytest.raises(psycopg.OperationalError):
        commit(connection, 1, pipelined)
    assert (office.look(), office.line.swallowed, office.line.lost) == ([1], 1, 0)
    with office.connect() as another:
        commit(another, 2, pipelined)
    assert office.look() == [1, 2]


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_commit_that_is_lost_is_rolled_back(office: Office, pipelined: bool) -> None:
    connection = office.connect()
    office.line.lose_commit()
    with pytest.raises(psycopg.OperationalError):
        commit(connection, 1, pipelined)
    with office.connect() as another:
        commit(another, 2, pipelined)
    until(lambda: office.look() == [2])
    assert (office.line.swallowed, office.line.lost) == (0, 1)


def commit(connection: psycopg.Connection, number: int, pipelined: bool) -> None:
    if not pipelined:
        keep(connection, number)
        connection.commit()
        return
    with connection.pipeline(), connection.transaction():
        keep(connection, number)


def test_a_prepared_commit_is_one_too(office: Office) -> None:
    connection = office.connect(autocommit=True)
    words: LiteralString = "commit"
    for number in (1, 2):
        connection.execute("BEGIN")
        keep(connection, number)
        if number == 2:
            office.line.lose_commit()
            with pytest.raises(psycopg.OperationalError):
                connection.execute(words, prepare=True)
        else:
            connection.execute(words, prepare=True)
    until(lambda: office.look() == [1])
    assert office.line.lost == 1


def test_an_answer_that_is_swallowed_silently_is_waited_for(office: Office) -> None:
    connection = office.connect()
    keep(connection, 1)
    office.line.swallow_commit(silently=True)
    sent = office.threads.submit(connection.commit)
    until(lambda: office.line.swallowed)
    assert office.look() == [1]
    office.connect().close()  # the others' connections are not silent
    assert not sent.done()
    office.line.close()
    with pytest.raises(psycopg.OperationalError):
        sent.result(timeout=60)


def test_answers_are_swallowed_by_chance_and_only_those_to_a_commit(office: Office) -> None:
    office.line.swallow_commits(0.5, random.Random(7))
    failed = 0
    for number in range(20):
        connection = office.connect()
        keep(connection, number)
        connection.rollback()  # none of these
        keep(connection, number)
        try:
            connection.commit()
        except psycopg.OperationalError:
            failed += 1
        connection.close()
    assert failed == office.line.swallowed
    assert 0 < failed < 20
    assert office.look() == list(range(20))


def test_a_commit_that_could_not_be_is_answered(office: Office) -> None:
    office.line.swallow_commit()
    with office.connect() as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        connection.commit()
    assert office.line.swallowed == 0


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def test_messages_are_told_apart_wherever_the_stream_is_broken() -> None:
    asked = [message(b"", (80877103).to_bytes(4)), message(b"", (196608).to_bytes(4) + b"user\0x\0\0")]
    asked += [
        message(b"Q", b"COMMIT\0"),
        message(b"P", b"s\0commit;\0\0\0"),
        message(b"B", b"\0s\0"),
        message(b"X", b""),
    ]
    said = [
        b"N",
        message(b"R", bytes(4)),
        message(b"C", b"COMMIT\0"),
        message(b"C", b"ROLLBACK\0"),
        message(b"Z", b"I"),
    ]
    for size in (1, 2, 3, 5, 1000):
        answers = Answers()
        requests = Requests(answers)
        got = [each for piece in pieces(asked, size) for each in requests.whole(piece)]
        assert (got, [requests.is_commit(each) for each in got]) == (asked, [False, False, True, False, True, False])
        heard = [each for piece in pieces(said, size) for each in answers.whole(piece)]
        assert (heard, [answers.is_of_commit(each) for each in heard]) == (said, [False, False, True, False, False])


def test_what_is_encrypted_passes_as_it_is() -> None:
    answers = Answers()
    requests = Requests(answers)
    assert list(requests.whole(message(b"", (80877103).to_bytes(4))))
    assert list(answers.whole(b"S")) == [b"S"]
    assert list(requests.whole(b"\x16\x03")) == [b"\x16\x03"]
    assert list(answers.whole(b"\x16")) == [b"\x16"]


def pieces(messages: list[bytes], size: int) -> list[bytes]:
    whole = b"".join(messages)
    return [whole[place : place + size] for place in range(0, len(whole), size)]
