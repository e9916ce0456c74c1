"""Who may ask for what. Pure.

Probes, metrics, signed webhooks and the login are open to everyone. The rest wants the token, or the session of someone
who has given it (session.py). Where the watchlist has no token, the rest is served to this machine alone, and only to
programs that call it by a name of this machine: a web page elsewhere whose own name was made to lead here (DNS
rebinding) sends that name.
"""

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

SCHEME: Final = b"bearer "
OF_PROXIES: Final = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip"})


class Admission(Enum):
    """What a request is answered."""

    WELCOME = auto()
    WRONG_TOKEN = auto()
    NO_TOKEN_SET = auto()
    PASSED_ON = auto()
    FOREIGN_NAME = auto()


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in, by the watchlist's `server`."""

    token: bytes | None
    """What is asked for; None where the watchlist has none."""
    is_loopback: bool
    """Whether the server is reached from this machine only."""
    public_url: str | None = None
    """Where people find the server."""

    def admits(
        self, authorization: bytes | None, host: str | None, *, in_session: bool = False, passed_on: bool = False
    ) -> Admission:
        """Judges the headers Authorization and Host of a request that is not open to everyone.

        `in_session`: it brings the session of someone who gave the token. A wrong token is wrong all the same.
        `passed_on`: it has headers of a proxy. Many a proxy asks by the name 127.0.0.1, whoever asked the proxy.
        """
        if self.token is not None:
            fits = in_session if authorization is None else self._is_token(authorization)
            return Admission.WELCOME if fits else Admission.WRONG_TOKEN
        if not self.is_loopback:
            return Admission.NO_TOKEN_SET
        if passed_on:
            return Admission.PASSED_ON
        return Admission.WELCOME if is_loopback_name(host) else Admission.FOREIGN_NAME

    def takes(self, token: bytes) -> bool:
        """Whether this is the token, as a login gives it."""
        return self.token is not None and hmac.compare_digest(token, self.token)

    def _is_token(self, authorization: bytes | None) -> bool:
        given = authorization or b""
        is_bearer = given[: len(SCHEME)].lower() == SCHEME
        fits = hmac.compare_digest(given[len(SCHEME) :].strip(), self.token or b"")
        return is_bearer and fits


def is_passed_on(headers: Iterable[str]) -> bool:
    """Whether headers of these names tell of a proxy. One that adds none looks like a program on this machine."""
    names = [name.lower() for name in headers]
    return any(name in OF_PROXIES or name.startswith("x-forwarded-") for name in names)


def is_loopback_name(host: str | None) -> bool:
    """Whether a Host header names this machine: localhost or a loopback address, with or without a port."""
    if host is None:
        return False
    bracketed, found, rest = host.rpartition("]")
    if found:
        name = bracketed.removeprefix("[")
        port = rest.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
