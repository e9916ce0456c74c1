"""Values of the watchlist that have rules of their own: URLs, secrets, header names, globs.

No error here repeats the value: it may be a secret, or have come from the environment.
"""

import base64
import binascii
import re
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema
from yarl import URL

from notifier.model.event import EventType
from notifier.model.identity import LONGEST_ID, NO_ID, Id, id_of
from notifier.model.incident import Check
from notifier.watchlist.database import database_url
from notifier.watchlist.durations import DURATION_PATTERN, parse_duration
from notifier.watchlist.scalars import CONTROL, HEADER_NAME, as_number

LARGEST_ID: Final = 2**63 - 1  # what an INTEGER of the database holds
_RESERVED_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
INTERPOLATED: Final[dict[str, Any]] = {"type": "string", "pattern": r"\$\{"}
"""JSON Schema of text that the loader has yet to fill in."""

_MENTION: Final = re.compile(r"@(here|channel|everyone)|<@[UW][A-Z0-9]+>|<!subteam\^S[A-Z0-9]+>")
_CHECKS: Final = tuple(check.value for check in Check)
_LEAST_SECRET_BYTES: Final = 24  # Standard Webhooks


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a duration with its unit, such as 10s or 5m")  # noqa: TRY004 (pydantic wants ValueError)
    return parse_duration(value)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


def _printable(value: str) -> str:
    if CONTROL.search(value):
        raise ValueError("must not contain line breaks or control characters")
    return value


def _credential(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text:
        raise ValueError("must not be empty")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must not contain spaces, line breaks or characters beyond ASCII")
    return value


def split_url(value: str) -> SplitResult:
    """Take a URL apart that an HTTP client can call; ValueError says what is wrong with it."""
    if CONTROL.search(value) or any(character.isspace() or character == "\\" for character in value):
        raise ValueError("must be a URL without spaces, line breaks or backslashes")
    try:
        parts = urlsplit(value)
        host, _ = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:  # its own text repeats the URL
        raise ValueError("must be a URL such as https://example.com/path") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must be a URL that starts with http:// or https://")
    if not host:
        raise ValueError("must be a URL with a host")
    if "@" in parts.netloc:
        raise ValueError("must be a URL without a user name and password before the host")
    try:
        URL(value)  # the client's own, which refuses more: what copying brings along and nobody sees, U+200B say
    except ValueError:
        raise ValueError("must be a URL whose host has no characters that no host has, invisible ones say") from None
    return parts


def _base_url(value: str) -> str:
    parts = split_url(value)
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("must be a URL without ? and #: paths are added to it")
    return value


def _secret_url(value: SecretStr) -> SecretStr:
    split_url(value.get_secret_value())
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    prefix, text = "whsec_", value.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(prefix) or len(key) < _LEAST_SECRET_BYTES:
        raise ValueError(
            'must be "whsec_" and the base64 of at least 24 bytes; to make one: echo "whsec_$(openssl rand -base64 32)"'
        )
    return value


def _header_name(value: str) -> str:
    if not HEADER_NAME.fullmatch(value):
        raise ValueError("a header's name may only have letters, digits and !#$%&'*+-.^_`|~")
    if value.lower() in _RESERVED_HEADERS:
        raise ValueError("is set by the notifier")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    _printable(value.get_secret_value())
    return value


def _event_pattern(value: str) -> str:
    if not any(fnmatchcase(known, value) for known in EventType):
        raise ValueError("no event has this name")
    return value


def _identifier(value: object) -> Id:
    identity = id_of(value)
    if identity is None:
        raise ValueError(NO_ID)
    return identity if isinstance(identity, int) else str(identity)  # no longer as the environment's


def _check_name(value: str) -> str:
    if value not in _CHECKS:
        raise ValueError("no check has this name")
    return value


def _mention(value: str) -> str:
    if not _MENTION.fullmatch(value):
        raise ValueError(
            'must be "@here", "@channel", "@everyone", a member as "<@U0123>" or a user group as "<!subteam^S0123>"; '
            "a member's ID is in the menu of their profile in Slack: Copy member ID"
        )
    return value


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _interpolable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, INTERPOLATED]}


_URL_SCHEMA: Final = _interpolable({"type": "string", "pattern": "^https?://"})

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    AfterValidator(_positive),
    WithJsonSchema(_interpolable({"type": "string", "pattern": DURATION_PATTERN})),
]
Identifier = Annotated[
    Id,
    BeforeValidator(_identifier),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0},
                {"type": "string", "pattern": rf"^(?!(-[0-9]+|0|\.\.?)$)\S{{1,{LONGEST_ID}}}$"},
                INTERPOLATED,
            ]
        }
    ),
]
Count = Annotated[int, Field(gt=0, le=1_000_000), BeforeValidator(as_number)]
Flag = Annotated[bool, BeforeValidator(as_number)]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False), BeforeValidator(as_number)]
NonEmpty = Annotated[str, Field(min_length=1), AfterValidator(_printable)]
Name = NonEmpty
Glob = Annotated[str, Field(min_length=1)]
Globs = Annotated[
    tuple[Glob, ...],
    Field(min_length=1),
    BeforeValidator(_one_or_many),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    ),
]
Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), BeforeValidator(as_number)]
FewRuns = Annotated[int, Field(gt=0, le=50), BeforeValidator(as_number)]
SeveralRuns = Annotated[int, Field(ge=3, le=50), BeforeValidator(as_number)]
CheckName = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "enum": list(_CHECKS)})]
Mention = Annotated[
    str,
    AfterValidator(_mention),
    WithJsonSchema(_interpolable({"type": "string", "pattern": f"^({_MENTION.pattern})$"})),
]
EVENT_NAMES: Final = ("incident.*", "sync_run.*", "sync.*", "census_alert.*", *(kind.value for kind in EventType))
"""What an event may be named by; other globs too."""
EventPattern = Annotated[
    str, AfterValidator(_event_pattern), WithJsonSchema({"type": "string", "examples": list(EVENT_NAMES)})
]
BaseUrl = Annotated[str, AfterValidator(_base_url), WithJsonSchema(_URL_SCHEMA)]
SecretUrl = Annotated[SecretStr, AfterValidator(_secret_url), WithJsonSchema(_URL_SCHEMA)]
Credential = Annotated[SecretStr, AfterValidator(_credential), WithJsonSchema({"type": "string", "minLength": 1})]
WebhookSecret = Annotated[
    SecretStr,
    AfterValidator(_webhook_secret),
    WithJsonSchema(_interpolable({"type": "string", "pattern": "^whsec_[A-Za-z0-9+/]{32,}={0,2}$"})),
]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value), WithJsonSchema({"type": "string"})]
Database = Annotated[
    str,
    AfterValidator(database_url),
    WithJsonSchema(_interpolable({"type": "string", "pattern": "^(sqlite:///|postgres(ql)?://)."})),
]
