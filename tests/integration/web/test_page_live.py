"""What listens to /live: how long, how it ends, and how it is noticed that it left."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from notifier.web import app
from notifier.web.access import Door
from notifier.web.page import live
from tests.page_stage import PageStage

ASK = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def stage(tmp_path: Path) -> PageStage:
    return PageStage(tmp_path / "n.db")


def listening(url: str) -> socket.socket:
    """A connection that has been answered, with whatever the answer was."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    connection.sendall(ASK)
    return connection


def heard(connection: socket.socket, words: bytes) -> bytes:
    """All that comes until these words, or until the connection ends. Signs of life alone do not go on for ever."""
    said, end = b"", monotonic() + 20
    while words not in said and (chunk := connection.recv(65_536)):
        said += chunk
        assert monotonic() < end, f"{words!r} did not come; the last was {said[-200:]!r}"
    return said


def test_who_listens_outlasts_every_other_answer(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LONGEST_ANSWER", 0.05)
    monkeypatch.setattr(live, "BEAT", 0.2)
    with stage.serving() as url, listening(url) as connection:
        assert b"event: hello" in heard(connection, b"hello")
        assert heard(connection, b": still here").endswith(b": still here\n\n\r\n")


def test_a_server_that_ends_lets_its_listeners_finish(stage: PageStage) -> None:
    with stage.serving() as url:
        connection = listening(url)
        assert b"event: hello" in heard(connection, b"hello")
    with connection:
        assert heard(connection, b"nothing that is said").endswith(b"0\r\n\r\n")  # ended, not cut off


def test_who_left_makes_room_before_the_next_sign_of_life(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_LISTENERS", 1)
    monkeypatch.setattr(live, "BEAT", 3_600.0)
    monkeypatch.setattr(live, "LOOK_EVERY", 0.02)
    with stage.serving() as url:
        with listening(url) as first:
            assert b"event: hello" in heard(first, b"hello")
            with listening(url) as refused:
                assert heard(refused, b"too many").startswith(b"HTTP/1.1 503")
        assert is_let_in(url), "who left still counts"


def is_let_in(url: str) -> bool:
    """Whether another may listen, within some seconds."""
    end = monotonic() + 10
    while monotonic() < end:
        with listening(url) as another:
            if heard(another, b"\r\n").startswith(b"HTTP/1.1 200"):
                return True
    return False


def test_who_takes_nothing_any_more_makes_room(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_LISTENERS", 1)
    monkeypatch.setattr(live, "BEAT", 0.01)
    monkeypatch.setattr(live, "STUCK", 0.1)
    monkeypatch.setattr(live, "STILL_HERE", b": " + b"x" * 1_000_000 + b"\n\n")  # more than fits between the two
    with stage.serving() as url, listening(url) as deaf:
        assert b"event: hello" in heard(deaf, b"hello")
        assert is_let_in(url)


@contextmanager
def watching(url: str) -> Iterator[socket.socket]:
    """A listener that knows how things are: it has asked for something after it was greeted, as a page does."""
    with listening(url) as connection:
        assert b"event: hello" in heard(connection, b"hello")
        with urlopen(f"{url}/healthz"):  # noqa: S310
            yield connection


@pytest.mark.parametrize("what", ["ailment", "not_ready", "not_in_force"])
def test_what_the_worker_alone_knows_is_told(stage: PageStage, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(live, "LOOK_EVERY", 0.02)
    with stage.serving() as url, watching(url) as connection:
        setattr(stage, what, "something is wrong")
        assert b"event: changed" in heard(connection, b"changed")


def test_another_worker_is_told_though_it_has_written_nothing_yet(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_EVERY", 0.02)
    with stage.serving() as url, watching(url) as connection:
        assert stage.in_force is not None
        stage.in_force.worker = stage.facts()
        assert b"event: changed" in heard(connection, b"changed")


def test_a_database_that_can_not_be_read_for_a_while_is_told_and_ends_no_news(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(live, "BEAT", 0.2)
    away = stage.path.with_name("away.db")
    with stage.serving() as url:
        stage.path.rename(away)
        with watching(url) as connection:
            assert b"event: changed" in heard(
                connection, b"changed"
            )  # the page that is asked for then says what is wrong
            away.rename(stage.path)
            heard(connection, b"still here")  # there is no news any more
            stage.ailment = "something is wrong"
            assert b"event: changed" in heard(connection, b"changed")


def test_a_proxy_is_asked_to_hand_on_at_once_what_is_said(stage: PageStage) -> None:
    with stage.serving() as url, listening(url) as connection:
        assert b"\r\nX-Accel-Buffering: no\r\n" in heard(connection, b"hello")


def test_who_asks_for_the_head_alone_does_not_listen(stage: PageStage) -> None:
    with stage.serving() as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(ASK.replace(b"GET", b"HEAD"))
            assert heard(connection, b"\r\n").startswith(b"HTTP/1.1 405")


def test_a_browser_has_to_come_anew_now_and_then(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT", 0.05)
    monkeypatch.setattr(live, "LONGEST_LISTENING", 0.2)
    with stage.serving() as url, listening(url) as connection:
        said = heard(connection, b"0\r\n\r\n")
    assert b"\nretry: 3000\n" in said  # or else a browser would not come again, or at once
    assert said.endswith(b"0\r\n\r\n")


def test_a_new_door_is_passed_anew(stage: PageStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT", 0.2)
    with stage.serving() as url, listening(url) as connection:
        assert b"event: hello" in heard(connection, b"hello")
        assert stage.in_force is not None
        stage.in_force.door = Door(b"token", is_loopback=True)
        assert heard(connection, b"0\r\n\r\n").endswith(b"0\r\n\r\n")
