"""What is shown of a webhook's answer."""

import pytest

from notifier.receivers.webhook_answer import echo
from tests.builders import SECRET, a_webhook

URL = "https://h.example.com/hooks/a%20canary/7?key=canary-2&v=1"
SETTINGS = a_webhook(URL, headers={"Authorization": "Bearer canary-3", "X-Team": "growth", "X-V": "1"})


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ""),
        (b"thank you, version 1", "thank you, version 1"),
        (b"no such key: canary-3", "no such key: [secret]"),
        (b'{"authorization": "Bearer canary-3"}', '{"authorization": "[secret]"}'),
        (b"POST " + URL.encode(), "POST [secret]"),
        (b'{"url": "https:\\/\\/h.example.com\\/hooks\\/a%20canary\\/7?key=canary-2&v=1"}', '{"url": "[secret]"}'),
        (b"no route for /hooks/a canary/7", "no route for [secret]"),
        (b"the key canary-2 has expired", "the key [secret] has expired"),
        (b"signed with " + SECRET.encode(), "signed with [secret]"),
        (b"key " + SECRET.removeprefix("whsec_").encode(), "key [secret]"),
        (b"caf\xe9", "caf\ufffd"),
    ],
)
def test_an_answer_is_shown_without_the_secrets_that_it_repeats(body: bytes, shown: str) -> None:
    assert echo(body, SETTINGS) == shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"Host: h.example.com", "Host: [secret]"),
        (b"Proxy-Authorization: Basic YWRtaW46cCFzc3dvcmQ=", "Proxy-Authorization: Basic [secret]"),
        (b"via http://admin:p%21ssword@proxy:3128", "via http://admin:[secret]@proxy:3128"),
        (b"no user with the password p!ssword", "no user with the password [secret]"),
    ],
)
def test_a_proxy_that_repeats_what_it_was_sent_gives_neither_its_password_away_nor_the_host(
    body: bytes, shown: str
) -> None:
    assert echo(body, SETTINGS, proxy="http://admin:p%21ssword@proxy:3128") == shown
