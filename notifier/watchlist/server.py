"""What a watchlist may say of the notifier's own server, and of the webhooks that it takes."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from notifier.watchlist.part import Part
from notifier.watchlist.values import INTERPOLATED, BaseUrl, Credential

LISTEN_VARIABLE: Final = "NOTIFIER_LISTEN"
LISTEN: Final = (
    "must be an address and a port, such as 127.0.0.1:8080 (this machine alone) or 0.0.0.0:8080 (every network); "
    'IPv6 is written "[::1]:8080"'
)
LARGEST_PORT: Final = 65_535
_PATTERN: Final = r"^([0-9.]+|localhost|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$"
_ADDRESS: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+)):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. Port 0 takes any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """An IP address, or localhost, and a port. ValueError says what is wrong."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(LISTEN)
    bracketed, bare, digits = found.groups()
    host = "127.0.0.1" if bare == "localhost" else (bracketed or bare)
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(LISTEN) from None
    if (ip.version == 6) != bool(bracketed) or "%" in host:
        raise ValueError(LISTEN)
    if int(digits) > LARGEST_PORT:
        raise ValueError(f"must be a port up to {LARGEST_PORT}")
    return Address(host, int(digits))


def _listen(value: str) -> str:
    parse_address(value)
    return value


def _no_number(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):  # a port by itself
        raise ValueError(LISTEN)  # noqa: TRY004 (pydantic wants ValueError)
    return value


Listen = Annotated[
    str,
    AfterValidator(_listen),
    BeforeValidator(_no_number),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _PATTERN}, INTERPOLATED]}),
]


PublicUrl = Annotated[BaseUrl, AfterValidator(lambda value: value.rstrip("/"))]


class LifecycleWebhook(Part):
    """Census' webhooks of one workspace (Census: Workspace settings, Webhooks)."""

    secret: Credential
    """The secret that Census showed once when the webhook was made; best as ${CENSUS_WEBHOOK_SECRET}."""


class Server(Part):
    """The notifier's own HTTP server: the status page, probes, JSON, and Census' webhooks."""

    listen: Listen | None = None
    """Where it listens, such as 127.0.0.1:8080; no server without. The variable NOTIFIER_LISTEN wins over it."""
    token: Credential | None = None
    """Asked of everyone but probes, metrics and signed webhooks; best as ${NOTIFIER_TOKEN}."""

    public_url: PublicUrl | None = None
    """Where people find the status page, such as https://notifier.example.com; with a path where a proxy cuts it."""

    @property
    def address(self) -> Address | None:
        """Where it listens; None without a server."""
        return parse_address(self.listen) if self.listen is not None else None
