"""Who may ask the server for what is not open to everyone."""

import pytest

from notifier.web.access import Admission, Door, is_loopback_name, is_passed_on

GUARDED = Door(b"s3cret", is_loopback=True)
OPEN = Door(None, is_loopback=True)


@pytest.mark.parametrize(
    "given", [b"Bearer s3cret", b"bearer s3cret", b"BEARER   s3cret "], ids=["as documented", "small", "with spaces"]
)
def test_the_token_opens_the_door_whatever_the_host(given: bytes) -> None:
    assert Door(b"s3cret", is_loopback=False).admits(given, "any.example.com") is Admission.WELCOME


@pytest.mark.parametrize("given", [None, b"", b"Bearer", b"Bearer ", b"Bearer s3cre", b"s3cret", b"Xearer s3cret"])
def test_anything_else_does_not(given: bytes | None) -> None:
    assert Door(b"s3cret", is_loopback=True).admits(given, "localhost") is Admission.WRONG_TOKEN


def test_a_session_stands_for_the_token_and_not_for_a_wrong_one() -> None:
    assert GUARDED.admits(None, "any.example.com", in_session=True) is Admission.WELCOME
    assert GUARDED.admits(None, "any.example.com") is Admission.WRONG_TOKEN
    assert GUARDED.admits(b"Bearer x", "any.example.com", in_session=True) is Admission.WRONG_TOKEN


def test_a_login_takes_the_token_itself_and_nothing_where_there_is_none() -> None:
    assert GUARDED.takes(b"s3cret")
    assert not GUARDED.takes(b"Bearer s3cret")
    assert not OPEN.takes(b"")


def test_bytes_beyond_ascii_are_just_wrong() -> None:
    assert Door(b"s3cret", is_loopback=True).admits(b"Bearer \xff\xc3\xb6", "localhost") is Admission.WRONG_TOKEN


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST", "Forwarded", "X-Real-IP", "Via"]
)
def test_what_a_proxy_passes_on_needs_the_token_whatever_name_it_asks_by(header: str) -> None:
    passed_on = is_passed_on(["Host", header])
    assert OPEN.admits(None, "127.0.0.1:8080", passed_on=passed_on) is Admission.PASSED_ON
    assert GUARDED.admits(b"Bearer s3cret", "127.0.0.1:8080", passed_on=passed_on) is Admission.WELCOME
    assert GUARDED.admits(None, None, in_session=True, passed_on=passed_on) is Admission.WELCOME
    assert not is_passed_on(["Host", "Accept", "X-Forward", "Referer", "X-Census-Notifier"])


def test_without_a_token_only_this_machine_is_served() -> None:
    assert Door(None, is_loopback=False).admits(None, "localhost") is Admission.NO_TOKEN_SET
    assert Door(None, is_loopback=False).admits(b"Bearer x", "127.0.0.1") is Admission.NO_TOKEN_SET
    assert Door(None, is_loopback=True).admits(None, "127.0.0.1:8080") is Admission.WELCOME


@pytest.mark.parametrize("host", ["localhost", "LocalHost:80", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080"])
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback_name(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "127.0.0.1:x",
        "10.0.0.1",
        "[::2]:1",
        "[::1]:x",
        "::1",
        "localhost:80:80",
        "[127.0.0.1",
        "10.0.0.2",
        "localhost@example.com",
    ],
)
def test_names_of_others(host: str | None) -> None:
    assert not is_loopback_name(host)
    assert Door(None, is_loopback=True).admits(None, host) is Admission.FOREIGN_NAME
