"""What a webhook's receiver answered, for a person to read: without the secrets that an answer may repeat. Pure."""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

from notifier.watchlist.receivers import SlackWebhookReceiver, WebhookReceiver

STAND_IN: Final = "[secret]"
SHORTEST_SECRET: Final = 4  # what is shorter keeps nobody out, and stands in every text


def echo(body: bytes, settings: WebhookReceiver | SlackWebhookReceiver, proxy: str | None = None) -> str:
    """The body as text; the receiver's URL, its signing secret, its headers' values and the proxy's password are taken
    out. `proxy`: the URL of the proxy between, which may be who answered."""
    text = body.decode(errors="replace")
    secrets = [*_secrets(settings), *_proxy_secrets(proxy or "")]
    for secret in sorted(set(_spellings(secrets)), key=len, reverse=True):
        text = text.replace(secret, STAND_IN)
    return text


def _spellings(secrets: Iterable[str]) -> Iterator[str]:
    """Each secret as it is, percent-decoded, and as JSON writes it (some escape the slash)."""
    for secret in secrets:
        for plain in (secret, unquote(secret)):
            if len(plain) < SHORTEST_SECRET:
                continue
            for ascii_only in (True, False):
                written = json.dumps(plain, ensure_ascii=ascii_only)[1:-1]
                yield from (plain, written, written.replace("/", "\\/"))


def _secrets(settings: WebhookReceiver | SlackWebhookReceiver) -> Iterator[str]:
    url = settings.url.get_secret_value()
    parts = urlsplit(url)
    yield url
    yield parts._replace(scheme="", netloc="").geturl()
    yield parts.netloc
    yield parts.hostname or ""
    yield parts.path
    yield parts.query
    yield from (part for part in parts.path.split("/") if len(part) >= 2 * SHORTEST_SECRET)  # a token among the steps
    yield from (value for pair in parts.query.split("&") for value in [pair.partition("=")[2]])
    if isinstance(settings, SlackWebhookReceiver):
        return
    for value in settings.headers.values():
        yield value.get_secret_value()
        yield value.get_secret_value().rpartition(" ")[2]  # Bearer …
    if settings.secret is not None:
        yield settings.secret.get_secret_value()
        yield settings.secret.get_secret_value().removeprefix("whsec_")


def _proxy_secrets(proxy: str) -> Iterator[str]:
    parts = urlsplit(proxy)
    if parts.password is not None:
        yield parts.password
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
        yield base64.b64encode(pair.encode()).decode()  # Proxy-Authorization: Basic …
