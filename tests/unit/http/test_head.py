"""Heads that a strict parser refuses, taken apart and mended: pure, whichever bytes they are."""

import contextlib
import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.http.head import Head, NotAHead


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        (b"A: b\r\n", ((b"A", b"b"),)),
        (b"A : b\r\n", ((b"A", b"b"),)),
        (b"A:b\r\nC:\r\n", ((b"A", b"b"), (b"C", b""))),
        (b"A: b\r\n c\r\n\td\r\n", ((b"A", b"b c d"),)),
        (b" folded below nothing\r\nA: b\r\n", ((b"A", b"b"),)),
        (b"A: b\rc\0d\x7f\r\n", ((b"A", b"b c d"),)),
        (b": b\r\nnonsense\r\nOdd Name: c\r\nA: b\r\n", ((b"A", b"b"),)),
        (b"A: b\nC: d\r\r\n", ((b"A", b"b"), (b"C", b"d"))),
    ],
)
def test_lines_are_read_as_far_as_they_make_sense(lines: bytes, fields: tuple[tuple[bytes, bytes], ...]) -> None:
    data = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nbody"
    head = Head.read(data)
    assert head == Head(200, fields, len(data) - len(b"body"))


def test_a_head_that_goes_on_shows_its_whole_lines_and_no_end() -> None:
    assert Head.read(b"") is None
    assert Head.read(b"HTT") is None
    assert Head.read(b"HTTP/1.1 200 O") is None
    assert Head.read(b"HTTP/1.1 200 OK\r\nA: b\r\nC: d") == Head(200, ((b"A", b"b"),), None)


def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 103 Hint\r\nA: b\r\n\r\n"
    assert Head.read(interim) is None
    assert Head.read(interim[:-2]) is None
    assert Head.read(interim * 2 + b"HTTP/1.1 200 OK\r\n\r\n") == Head(200, (), len(interim) * 2 + 19)


@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        (b"", None),
        (b"Content-Length: 2\r\n", b"Content-Length: 2"),
        (b"Content-Length: 2\r\nContent-Length: 2, 2\r\n", b"Content-Length: 2"),
        (b"Content-Length: 2\r\nTransfer-Encoding: gzip, Chunked\r\n", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip\r\n", None),
    ],
)
def test_a_mended_head_says_once_where_the_body_ends(lines: bytes, framing: bytes | None) -> None:
    head = Head.read(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
    assert head is not None
    assert head.is_sound
    said = [line for line in head.mended().split(b"\r\n") if line.lower().startswith((b"content-l", b"transfer-"))]
    assert said == ([framing] if framing else [])


@pytest.mark.parametrize("lines", [b"Content-Length: 2\r\nContent-Length: 3\r\n", b"Content-Length: -1\r\n"])
def test_lengths_at_odds_are_no_length(lines: bytes) -> None:
    head = Head.read(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
    assert head is not None
    assert not head.is_sound
    bodiless = Head.read(b"HTTP/1.1 204 No\r\n" + lines + b"\r\n")
    assert bodiless is not None
    assert bodiless.is_sound, "there is no body that could end anywhere"


@given(st.integers(200, 999), st.binary(max_size=200))
def test_what_is_mended_is_read_by_http_client_with_the_same_status(status: int, rest: bytes) -> None:
    head = Head.read(b"HTTP/1.1 %d \r\n" % status + rest + b"\r\n\r\n")
    assert head is not None
    response = http.client.HTTPResponse(_Socket(head.mended()))  # type: ignore[arg-type]
    response.begin()
    assert response.status == status == head.status
    assert response.will_close


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_are_told_not_to_be(data: bytes) -> None:
    with contextlib.suppress(NotAHead):
        head = Head.read(data)
        assert head is None or 200 <= head.status <= 999 or head.status == 101
