"""What all Slack messages are made of: cleaned and cut text, names with links, errors, mentions, dates. Pure.

What comes from the API stands in `rich_text` and `plain_text` only, where Slack reads neither markup nor mentions nor
links, and is cut long before Slack's limits (docs.slack.dev/reference/block-kit).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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

from notifier.model.foreign import ELLIPSIS
from notifier.receivers.words.event import (
    LONGEST_URL,
    Parts,
    RunError,
    When,
)

LARGEST_TEXT: Final = 3_800  # bytes, escaped; chat.update takes 4,000
LONGEST_FACTS: Final = 900
MOST_MENTIONS: Final = 20

Text = RichTextElementParts.Text
BOLD: Final = RichTextElementParts.TextStyle(bold=True)
CODE: Final = RichTextElementParts.TextStyle(code=True)
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MENTION: Final = re.compile(r"@(here|channel|everyone)|<@([UW][A-Z0-9]{1,40})>|<!subteam\^(S[A-Z0-9]{1,40})>")


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message."""

    text: str
    """The notification, beside the blocks."""
    blocks: tuple[Mapping[str, Any], ...]
    plain: str
    """All of it without blocks, for where Slack refuses them."""


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


def error_below(error: RunError) -> Iterator[RichTextElement]:
    """All of what a run says went wrong, under a headline."""
    if error.code or error.message:
        yield RichTextSectionElement(elements=list(_first_line(error)))
    if error.detail:
        yield RichTextPreformattedElement(elements=[Text(text=error.detail)])


def _first_line(error: RunError) -> Iterator[RichTextElement]:
    if error.code:
        yield Text(text=error.code, style=CODE)
    if error.message:
        yield Text(text=f" {error.message}" if error.code else error.message)


def dated(when: When) -> str:
    """A time in Slack's date format."""
    seconds, shown = int(when.time.timestamp()), f"{when.before}{{date_short_pretty}} at {{time}}{when.after}"
    return f"<!date^{seconds}^{shown}|{when.in_utc}>" if seconds > 0 else when.in_utc


def grey(parts: Parts) -> ContextBlock:
    """A small line of words and times."""
    return ContextBlock(
        elements=[
            PlainTextObject(text=part, emoji=False)
            if isinstance(part, str)
            else MarkdownTextObject(text=dated(part), verbatim=True)
            for part in parts
        ]
    )


def spelled(parts: Parts) -> str:
    """The same line as text."""
    return " ".join(part if isinstance(part, str) else part.in_utc for part in parts)


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
