"""Sessions and forms: what is ours, what has ended, and what somebody else made."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.web.session import LASTS, Seal, WrongTokens, is_same_origin, local_path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEAL = Seal(b"token")
NONCE, OTHER = b"0123456789abcdef", b"fedcba9876543210"


def test_a_session_is_one_until_its_end() -> None:
    cookie = SEAL.session(NOW, NONCE)
    assert SEAL.is_session(cookie, NOW)
    assert SEAL.is_session(cookie, NOW + LASTS - timedelta(seconds=1))
    assert not SEAL.is_session(cookie, NOW + LASTS)


def test_a_new_token_ends_every_session() -> None:
    assert not Seal(b"another").is_session(SEAL.session(NOW, NONCE), NOW)


def test_nobody_can_prolong_a_session() -> None:
    version, end, nonce, signature = SEAL.session(NOW, NONCE).split(".")
    later = str(int(end) + 86_400)
    assert not SEAL.is_session(".".join([version, later, nonce, signature]), NOW)
    assert not SEAL.is_session(".".join([version, end, OTHER.hex(), signature]), NOW)


@pytest.mark.parametrize(
    "cookie", [None, "", "1", "1.2.3.4", "1." + "9" * 40 + ".a.b", "tök\udcff", "1.٣.x.y", "." * 200]
)
def test_what_is_no_session_is_just_none(cookie: str | None) -> None:
    assert not SEAL.is_session(cookie, NOW)


def test_a_form_belongs_to_its_session() -> None:
    mine, yours = SEAL.session(NOW, NONCE), SEAL.session(NOW, OTHER)
    token = SEAL.form(mine, NONCE)
    assert SEAL.is_form(token, mine)
    assert SEAL.is_form(SEAL.form("", OTHER), "")
    assert not SEAL.is_form(token, yours)
    assert not SEAL.is_form(token, "")
    assert not Seal(b"another").is_form(token, mine)


def test_a_cookie_that_is_no_text_is_no_session_that_a_form_belongs_to() -> None:
    assert not SEAL.is_form(SEAL.form("", NONCE), "tök\udcff")


def test_each_page_has_another_form_token() -> None:
    assert SEAL.form("s", NONCE) != SEAL.form("s", OTHER)


def test_a_session_is_no_form_token_and_a_form_token_no_session() -> None:
    cookie = SEAL.session(NOW, NONCE)
    assert not SEAL.is_form(cookie, "")
    assert not SEAL.is_session(SEAL.form(cookie, NONCE), NOW)
    assert not SEAL.is_form("é" * 97, "")


def test_a_seal_does_not_show_its_secret() -> None:
    assert "canary" not in repr(Seal(b"canary"))


def test_ten_wrong_logins_a_minute_are_heard_from_everyone_together() -> None:
    patience = WrongTokens()
    for second in range(10):
        assert patience.wait(second) == 0
        patience.failed(second)
    assert patience.wait(9) == 51
    assert patience.wait(59.5) == 0.5
    assert patience.wait(60) == 0
    patience.failed(60)
    assert patience.wait(60) == 1


@pytest.mark.parametrize(
    ("site", "origin", "host", "ours"),
    [
        ("same-origin", None, "n.example.com", True),
        ("same-origin", "https://evil.example.com", "n.example.com", True),  # the browser itself says where it is from
        ("cross-site", "https://n.example.com", "n.example.com", False),
        ("same-site", None, "n.example.com", False),
        ("none", None, "n.example.com", False),
        (None, "http://10.0.0.7:8080", "10.0.0.7:8080", True),
        (None, "http://10.0.0.7:8081", "10.0.0.7:8080", False),
        (None, "http://Inner.example.com", "inner.Example.com", True),
        (None, "https://public.example.com", "inner:8080", True),
        (None, "http://public.example.com", "inner:8080", False),
        (None, "https://public.example.com.evil.com", "inner:8080", False),
        (None, "null", "n.example.com", False),
        (None, "https://evil.example.com", None, False),
        (None, None, "n.example.com", True),
    ],
)
def test_whose_page_sent_a_form(site: str | None, origin: str | None, host: str | None, ours: bool) -> None:
    assert is_same_origin(site, origin, host, "https://public.example.com/notifier") is ours


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (None, "/"),
        ("", "/"),
        ("/", "/"),
        ("/?sync=52&workspace=a%20b#runs", "/?sync=52&workspace=a%20b#runs"),
        ("https://evil.example.com/", "/"),
        ("//evil.example.com", "/"),
        ("/\\evil.example.com", "/"),
        ("/\t/evil.example.com", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("javascript:alert(1)", "/"),
        ("evil", "/"),
    ],
)
def test_a_login_leads_nowhere_else(given: str | None, path: str) -> None:
    assert local_path(given) == path
