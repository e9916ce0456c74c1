"""What a webhook's receiver answered, for a person to read: without the secrets that an answer may repeat. Pure."""

import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

from notifier.config.models import WebhookReceiver

STAND_IN: Final = "[secret]"
SHORTEST_SECRET: Final = 4  # what is shorter keeps nobody out, and stands in every text


def echo(body: bytes, settings: WebhookReceiver) -> str:
    """The body as text; the receiver's URL, its signing secret and its headers' values are taken out."""
    text = body.decode(errors="replace")
    for secret in sorted(set(_spellings(settings)), key=len, reverse=True):
        text = text.replace(secret, STAND_IN)
    return text


def _spellings(settings: WebhookReceiver) -> Iterator[str]:
    """Each secret as it is, percent-decoded, and as JSON writes it (some escape the slash)."""
    for secret in _secrets(settings):
        for plain in (secret, unquote(secret)):
            if len(plain) < SHORTEST_SECRET:
                continue
            for ascii_only in (True, False):
                written = json.dumps(plain, ensure_ascii=ascii_only)[1:-1]
                yield from (plain, written, written.replace("/", "\\/"))


def _secrets(settings: WebhookReceiver) -> Iterator[str]:
    url = settings.url.get_secret_value()
    parts = urlsplit(url)
    yield url
    yield parts._replace(scheme="", netloc="").geturl()
    yield parts.path
    yield parts.query
    yield from (part for part in parts.path.split("/") if len(part) >= 2 * SHORTEST_SECRET)  # a token among the steps
    yield from (value for pair in parts.query.split("&") for value in [pair.partition("=")[2]])
    for value in settings.headers.values():
        yield value.get_secret_value()
        yield value.get_secret_value().rpartition(" ")[2]  # Bearer …
    if settings.secret is not None:
        yield settings.secret.get_secret_value()
        yield settings.secret.get_secret_value().removeprefix("whsec_")
