"""Who has logged in, and whether a form is one that we made. Pure: the time, and what has to be random, are given.

A session is a signed text in a cookie. Nothing of it is kept: its key comes from the token, so that a new token ends
every session, and its end is inside. A form's token is bound to the session; each page has another one, so that nobody
can guess it from the length of compressed answers.
"""

import hashlib
import hmac
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

COOKIE: Final = "notifier_session"
LASTS: Final = timedelta(days=7)
_SESSION: Final = re.compile(r"1\.([0-9]{1,12})\.[0-9a-f]{32}\.([0-9a-f]{64})", re.ASCII)
_FORM: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})", re.ASCII)
_OUTSIDE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\]")


@dataclass(frozen=True, slots=True)
class Seal:
    """Signs sessions and forms with one key."""

    secret: bytes = field(repr=False)
    """The watchlist's token; without one, bytes that this process made up."""

    def session(self, now: datetime, nonce: bytes) -> str:
        """A new session's cookie. `nonce`: 16 random bytes."""
        said = f"1.{int((now + LASTS).timestamp())}.{nonce.hex()}"
        return f"{said}.{self._sign('session', said)}"

    def is_session(self, cookie: str | None, now: datetime) -> bool:
        """Whether a cookie is a session of ours that has not ended."""
        found = _SESSION.fullmatch(cookie or "")
        if found is None or cookie is None:
            return False
        said = cookie.rpartition(".")[0]
        is_ours = hmac.compare_digest(found[2], self._sign("session", said))
        return is_ours and now < datetime.fromtimestamp(int(found[1]), UTC)

    def form(self, session: str, nonce: bytes) -> str:
        """The token of a form that a page of this session holds. `nonce`: 16 random bytes."""
        return f"{nonce.hex()}.{self._sign('form', f'{nonce.hex()}.{session}')}"

    def is_form(self, given: str, session: str) -> bool:
        """Whether a form's token was made for this session."""
        found = _FORM.fullmatch(given)
        return found is not None and hmac.compare_digest(found[2], self._sign("form", f"{found[1]}.{session}"))

    def _sign(self, purpose: str, said: str) -> str:
        key = hmac.digest(self.secret, f"census-notifier {purpose}".encode(), hashlib.sha256)
        return hmac.new(key, said.encode(errors="backslashreplace"), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class WrongTokens:
    """Limits wrong tokens, everyone's together: after `most` of them within `within` seconds, the next one has to wait.

    Times are seconds of a clock that does not jump.
    """

    most: int = 10
    within: float = 60.0
    _failed: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Seconds until one may try again; 0 where one may now."""
        while self._failed and self._failed[0] <= now - self.within:
            self._failed.popleft()
        return self._failed[0] + self.within - now if len(self._failed) >= self.most else 0.0

    def failed(self, now: float) -> None:
        """One was wrong."""
        self._failed.append(now)


def is_same_origin(site: str | None, origin: str | None, host: str | None, public_url: str | None) -> bool:
    """Whether a form was sent by a page of ours, by the headers Sec-Fetch-Site, Origin and Host.

    A browser that sends neither of the first two is an old one, or none; the form's token has to do for it.
    """
    if site is not None:
        return site == "same-origin"
    if origin is None:
        return True
    if public_url is not None and origin.lower() == _origin_of(public_url):
        return True
    return host is not None and origin.lower().partition("://")[2] == host.lower()


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def local_path(given: str | None) -> str:
    """Where to go after a login: a path of this server, and `/` where what is given leads elsewhere."""
    if not given or not given.startswith("/") or given.startswith("//") or _OUTSIDE.search(given):
        return "/"
    return given
