"""Packed bodies in pieces, whichever way they are cut."""

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.http.unpack import MOST_MEMBERS, BrokenPack, Unpacker

ENOUGH = 10_000
MEMBERS = st.lists(st.binary(max_size=100), min_size=1, max_size=5)


def unpacked(body: bytes, size: int) -> bytes:
    """By pieces of so many bytes."""
    unpacker = Unpacker()
    parts = [unpacker.feed(body[start : start + size], ENOUGH) for start in range(0, len(body), size)]
    unpacker.feed_eof()
    return b"".join(parts)


@given(MEMBERS, st.integers(0, 5), st.integers(1, 50))
def test_all_members_of_a_gzip_are_read(members: list[bytes], zeros: int, size: int) -> None:
    body = b"".join(gzip.compress(member) + bytes(zeros) for member in members)
    assert unpacked(body, size) == b"".join(members)


@given(st.binary(min_size=1, max_size=200), st.sampled_from([zlib.MAX_WBITS, -zlib.MAX_WBITS]), st.integers(1, 50))
def test_deflate_is_read_with_and_without_its_head(plain: bytes, wbits: int, size: int) -> None:
    assert unpacked(zlib.compress(plain, wbits=wbits), size) == plain


@given(MEMBERS, st.data())
def test_a_gzip_that_breaks_off_within_a_member_is_broken(members: list[bytes], data: st.DataObject) -> None:
    *whole, last = [gzip.compress(member) for member in members]
    kept = data.draw(st.integers(2, len(last) - 1))
    with pytest.raises(BrokenPack):
        unpacked(b"".join(whole) + last[:kept], 7)


@given(MEMBERS, st.integers(1, 300), st.integers(1, 50))
def test_no_more_is_inflated_than_was_asked(members: list[bytes], most: int, size: int) -> None:
    body = b"".join(gzip.compress(member) for member in members)
    unpacker, got = Unpacker(), b""
    for start in range(0, len(body), size):
        if len(got) < most:
            got += unpacker.feed(body[start : start + size], most - len(got))
    assert got == b"".join(members)[:most]


@given(st.binary(max_size=300))
def test_what_is_not_packed_is_broken_and_nothing_worse(body: bytes) -> None:
    with contextlib.suppress(BrokenPack):
        unpacked(body, 7)


def test_members_that_come_together_are_no_way_around_what_was_asked() -> None:
    for most in (25, 20):  # within a member, and at the end of one: zlib takes a limit of 0 for none
        assert Unpacker().feed(gzip.compress(b"a" * 10) * 5, most) == b"a" * most


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
@pytest.mark.parametrize("behind", [b"x", b"\x1f", b"\x1fx", b"\x78\x9c", b"\0\0\0x", b"noise " * 20])
def test_what_stands_behind_a_gzip_is_not_read(behind: bytes, size: int) -> None:
    assert unpacked(gzip.compress(b"one") + behind, size) == b"one"
    assert unpacked(gzip.compress(b"one") + gzip.compress(b"two") + behind, size) == b"onetwo"


def test_a_body_of_more_members_than_anyone_makes_is_broken() -> None:
    most = gzip.compress(b"") * MOST_MEMBERS
    assert unpacked(most, 1_000) == b""
    with pytest.raises(BrokenPack, match=r"^the compressed body is in too many pieces$"):
        unpacked(most + gzip.compress(b""), 1_000)


def test_a_body_that_broke_off_and_one_that_is_broken_say_so() -> None:
    for kept in (1, 2, 20, -1):
        with pytest.raises(BrokenPack, match=r"^the compressed body broke off$"):
            unpacked(gzip.compress(b"abc")[:kept], 7)
    with pytest.raises(BrokenPack, match=r"^the compressed body is broken$"):
        unpacked(b"no such thing", 7)


def test_nothing_at_all_is_an_empty_body() -> None:
    assert unpacked(b"", 7) == b""
