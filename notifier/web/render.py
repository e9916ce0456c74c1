"""Templates and static files: what the wheel brings along, read once.

Every text is escaped. What others wrote is disarmed besides: no terminal sequences, no control characters, and none
that turn the direction of what follows.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.resources import files
from typing import ClassVar, Final
from urllib.parse import urlencode

from jinja2 import FunctionLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifier.model.api_version import ending
from notifier.model.foreign import ELLIPSIS, error_line, safe
from notifier.model.incident import in_words
from notifier.model.times import counted, spoken, timestamp

CONTENT_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
LONGEST_SHOWN: Final = 200  # characters of what others wrote, unless told otherwise


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file whose name changes with what is in it: a browser may keep it for good."""

    name: str
    content_type: str
    body: bytes


def static_files() -> Mapping[str, StaticFile]:
    """By the names that pages use."""
    found = {}
    for path in (files("notifier.web") / "static").iterdir():
        stem, _, kind = path.name.rpartition(".")
        if kind in CONTENT_TYPES:
            body = path.read_bytes()
            name = f"{stem}-{hashlib.sha256(body).hexdigest()[:12]}.{kind}"
            found[path.name] = StaticFile(name, CONTENT_TYPES[kind], body)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlPage:
    """What a template shows: the fields of a subclass are the names that its template uses."""

    template: ClassVar[str]

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    root: str = ""
    """The way from the page's path to the server's root."""


class Renderer:
    """Makes pages. Once made it may be used from any thread."""

    def __init__(self, static: Mapping[str, StaticFile]) -> None:
        templates = files("notifier.web") / "templates"
        self._environment = ImmutableSandboxedEnvironment(
            autoescape=True,
            loader=FunctionLoader(lambda name: (templates / name).read_text("utf-8")),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "disarmed": disarmed,
            "stamp": stamp,
            "spoken": spoken,
            "query": query,
            "counted": counted,
            "error_line": error_line,
            "in_words": in_words,
            "number": "{:,}".format,
        }
        self._environment.globals["static"] = {name: f"static/{file.name}" for name, file in static.items()}

    def page(self, page: HtmlPage) -> bytes:
        """A page as HTML."""
        shown = {each.name: getattr(page, each.name) for each in fields(page)}
        words = {
            "ago": partial(ago, now=page.now),
            "lasting": partial(lasting, now=page.now),
            "ending": partial(ending, today=page.now.astimezone(UTC).date()),
            "utc": utc,
        }
        return self._environment.get_template(page.template).render(shown, **words).encode("utf-8", "replace")


def disarmed(text: object, longest: int = LONGEST_SHOWN) -> str:
    """What others wrote, fit to be shown: cut, and without characters that change how what is around them looks."""
    whole = safe(str(text))
    return whole if len(whole) <= longest else whole[: longest - 1] + ELLIPSIS


def stamp(time: datetime) -> str:
    """RFC 3339, for a machine."""
    return timestamp(time)


def ago(time: datetime, now: datetime) -> str:
    """A time in words, by how far it is: "4 min ago", "in 20 s"."""
    away = now - time
    if abs(away) < timedelta(seconds=5):
        return "just now"
    words = _roughly(abs(away))
    return f"{words} ago" if away > timedelta(0) else f"in {words}"


def lasting(time: datetime, now: datetime) -> str:
    """How long something has lasted, in words: "4 min"."""
    return _roughly(max(now - time, timedelta(seconds=1)))


def _roughly(length: timedelta) -> str:
    """In its largest unit; the length is a second at least."""
    return " ".join(spoken(length).split(" ")[:2])


def utc(time: datetime) -> str:
    """For a person."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def query(parameters: Mapping[str, object]) -> str:
    """A link to the page with these parameters; those that are empty are left out."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return "./" + (f"?{urlencode(given)}" if given else "")
