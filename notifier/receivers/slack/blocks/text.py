"""What all Slack messages are made of: cleaned and cut text, names with links, errors, mentions, dates. Pure.

What comes from the API stands in `rich_text` and `plain_text` only, where Slack reads neither markup nor mentions nor
links, and is cut long before Slack's limits (docs.slack.dev/reference/block-kit).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    MarkdownTextObject,
    PlainTextObject,
    RichTextElement,
    RichTextElementParts,
    RichTextPreformattedElement,
    RichTextSectionElement,
)

from notifier.judging.body import ELLIPSIS, parsed_time
from notifier.model.foreign import tidied, without_code
from notifier.model.times import spoken

LATE_AFTER: Final = timedelta(minutes=10)
LARGEST_TEXT: Final = 3_800  # bytes, escaped; chat.update takes 4,000
LONGEST_URL: Final = 3_000
LONGEST_LABEL: Final = 150
LONGEST_CODE: Final = 120
LONGEST_MESSAGE: Final = 600
LONGEST_DETAIL: Final = 1_500
LONGEST_FACTS: Final = 900
LONGEST_FOOTER: Final = 400
LARGEST_COUNT: Final = 10**15
MOST_MENTIONS: Final = 20

Text = RichTextElementParts.Text
BOLD: Final = RichTextElementParts.TextStyle(bold=True)
CODE: Final = RichTextElementParts.TextStyle(code=True)


@dataclass(frozen=True, slots=True)
class When:
    """A time that each reader sees in their own zone, with words of ours around it. They are part of Slack's date
    format, so that it writes "since today at 09:01" rather than "since  Today at 09:01"."""

    time: datetime
    before: str = ""
    after: str = ""

    @property
    def in_slack(self) -> str:
        seconds, shown = int(self.time.timestamp()), f"{self.before}{{date_short_pretty}} at {{time}}{self.after}"
        return f"<!date^{seconds}^{shown}|{self.in_utc}>" if seconds > 0 else self.in_utc

    @property
    def in_utc(self) -> str:
        return f"{self.before}{self.time:%Y-%m-%d %H:%M} UTC{self.after}"


Parts: TypeAlias = Sequence[str | When]
"""A grey line: words, and times."""

# Marks that turn the direction of what follows, and halves of characters.
_UNFIT: Final = re.compile("[\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MENTION: Final = re.compile(r"@(here|channel|everyone)|<@([UW][A-Z0-9]{1,40})>|<!subteam\^(S[A-Z0-9]{1,40})>")


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message. `text` is the notification beside `blocks`; `plain` says all of it without them."""

    text: str
    blocks: tuple[Mapping[str, Any], ...]
    plain: str


def rendered(text: str, blocks: Iterable[Block], plain: Iterable[str], mentions: Sequence[str] = ()) -> Rendered:
    """The message. `plain`: its lines; who is mentioned is named at the end of the first."""
    first, *others = [line for line in plain if line]
    called = mentions_in_text(mentions)
    room = LARGEST_TEXT - len(called.encode())
    head = escaped(first, room, in_bytes)
    rest = escaped("\n" + "\n".join(others), room - in_bytes(head), in_bytes) if others else ""
    return Rendered(
        escaped(text, LARGEST_TEXT, in_bytes), tuple(block.to_dict() for block in blocks), head + called + rest
    )


@dataclass(frozen=True, slots=True)
class Whose:
    """The sync of an event, its workspace and its labels, in words; without a sync, the workspace."""

    sync: str
    url: str
    workspace: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Whose":
        sync, workspace = data.get("sync"), line(data.get("workspace"), LONGEST_LABEL)
        name = (line(sync.get("label"), LONGEST_LABEL) or f"sync {line(sync.get('id'), 40)}") if sync else workspace
        labels = tuple(f"{line(key, 40)}: {line(value, 60)}" for key, value in (data.get("labels") or {}).items())
        return cls(name, str(sync.get("url") or "") if sync else "", workspace, labels)

    def footer(self, *more: str) -> str:
        """Where it was: the last grey line, less its times."""
        return cleaned(" · ".join(part for part in (self.workspace, *self.labels, *more) if part), LONGEST_FOOTER)


@dataclass(frozen=True, slots=True)
class RunError:
    """What a run says went wrong; falsy where it says nothing."""

    code: str
    message: str
    detail: str

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "RunError":
        code, message = line(run.get("error_code"), LONGEST_CODE), cleaned(run.get("error_message"), LONGEST_MESSAGE)
        detail = cleaned(run.get("error_detail"), LONGEST_DETAIL)
        return cls(code, without_code(message, code), detail if detail not in (message, code) else "")

    def __bool__(self) -> bool:
        return bool(self.code or self.message or self.detail)

    @property
    def reason(self) -> str:
        """The shortest form of it, which says something whenever any of the three does."""
        return self.code or line(self.message or self.detail, LONGEST_LABEL)

    def elements(self) -> Iterator[RichTextElement]:
        """All of it, under a headline."""
        if self.code or self.message:
            yield RichTextSectionElement(elements=list(self._first()))
        if self.detail:
            yield RichTextPreformattedElement(elements=[Text(text=self.detail)])

    def _first(self) -> Iterator[RichTextElement]:
        if self.code:
            yield Text(text=self.code, style=CODE)
        if self.message:
            yield Text(text=f" {self.message}" if self.code else self.message)

    def plain(self) -> tuple[str, str]:
        """All of it, as lines."""
        return ": ".join(part for part in (self.code, self.message) if part), self.detail


# --- parts of blocks ---


def emoji(name: str) -> Iterator[RichTextElement]:
    """An emoji and the space behind it."""
    yield RichTextElementParts.Emoji(name=name)
    yield Text(text=" ")


def linked(name: str, url: str) -> RichTextElement:
    """A name in bold, a link where there is one that Slack takes."""
    if 0 < len(url) <= LONGEST_URL:
        return RichTextElementParts.Link(url=url, text=name, style=BOLD)
    return Text(text=name, style=BOLD)


def mentioned(mentions: Sequence[str]) -> Iterator[RichTextElement]:
    """Who is mentioned, behind a headline."""
    for everyone, user, group in map(_parsed, _known(mentions)):
        yield Text(text=" ")
        if everyone:
            yield RichTextElementParts.Broadcast(range=everyone)
        elif user:
            yield RichTextElementParts.User(user_id=user)
        else:
            yield RichTextElementParts.UserGroup(usergroup_id=group)


def mentions_in_text(mentions: Sequence[str]) -> str:
    """Who is mentioned, behind the escaped text of a message without blocks."""
    return "".join(f" <!{mention[1:]}>" if mention[0] == "@" else f" {mention}" for mention in _known(mentions))


def _known(mentions: Sequence[str]) -> list[str]:
    return [mention for mention in dict.fromkeys(mentions) if _MENTION.fullmatch(mention)][:MOST_MENTIONS]


def _parsed(mention: str) -> tuple[str, str, str]:
    found = _MENTION.fullmatch(mention)
    everyone, user, group = found.groups(default="") if found else ("", "", "")
    return everyone, user, group


def grey(parts: Parts) -> ContextBlock:
    """A small line of words and times."""
    return ContextBlock(
        elements=[
            PlainTextObject(text=part, emoji=False)
            if isinstance(part, str)
            else MarkdownTextObject(text=part.in_slack, verbatim=True)
            for part in parts
        ]
    )


def spelled(parts: Parts) -> str:
    """The same line as text."""
    return " ".join(part if isinstance(part, str) else part.in_utc for part in parts)


# --- values ---


def happened_at(event: Mapping[str, Any], now: datetime, *, ended: bool) -> datetime:
    """When it happened, as far as the API says; never after it was seen. `ended`: it is about how its run ended."""
    seen_at, run = parsed_time(event.get("timestamp")) or now, event["data"].get("sync_run") or {}
    ended_at = parsed_time(run.get("completed_at")) if ended else None
    said = ended_at or parsed_time(run.get("updated_at"))
    return min(said, seen_at) if said else seen_at


def lateness(happened: datetime, now: datetime) -> str:
    """How late the message is, where that is worth a word."""
    return f"{spoken(now - happened)} late" if now - happened > LATE_AFTER else ""


def count_of(run: Mapping[str, Any], *fields: str) -> int | None:
    """The first of these fields that holds a whole number which may be one of records."""
    values = (run.get(name) for name in fields)
    counts = (value for value in values if isinstance(value, int) and not isinstance(value, bool))
    return next((count for count in counts if 0 <= count <= LARGEST_COUNT), None)


def cleaned(value: object, most: int) -> str:
    """Text of at most `most` characters that Slack can show; "" for nothing. What is no text is shown as JSON."""
    if value is None:
        return ""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = tidied(_UNFIT.sub("", shown)).strip()
    return text if len(text) <= most else text[: most - 1].rstrip() + ELLIPSIS


def line(value: object, most: int) -> str:
    """As `cleaned`, on one line."""
    return cleaned(" ".join(cleaned(value, most * 4).split()), most)


def in_bytes(text: str) -> int:
    """How long a text is where Slack counts bytes."""
    return len(text.encode())


def escaped(text: str, most: int, size: Callable[[str], int] = len) -> str:
    """For a `text` argument: Slack's three entities, cut to `most` (characters) but never inside of one."""
    parts = [_ENTITIES.get(character, character) for character in text]
    if sum(map(size, parts)) <= most:
        return "".join(parts)
    left = most - size(ELLIPSIS)
    for place, part in enumerate(parts):
        left -= size(part)
        if left < 0:
            return "".join(parts[:place]) + ELLIPSIS
    return "".join(parts) + ELLIPSIS
