"""A Slack message drawn for a terminal, as a reader of the channel would see it. For the demo."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import unescape
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.emoji import Emoji, NoEmoji
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from notifier.cli.terminal import plain

DATE: Final = re.compile(r"<!date\^(?P<seconds>\d+)\^(?P<format>[^|>^]*)[^|>]*\|(?P<fallback>[^>]*)>")
_SHOWN: Final = {"{date_short_pretty}": "%b %-d", "{time}": "%H:%M"}
_NEWER: Final = {"large_yellow_circle": "\U0001f7e1"}  # that Rich does not know
_STYLES: Final = {"bold": "bold", "italic": "italic", "strike": "strike", "code": "red"}
_MENTIONED: Final = {"broadcast": "range", "user": "user_id", "usergroup": "usergroup_id"}
_MENTION: Final = "bold yellow"


def drawn(channel: str, text: str, blocks: Any, posted_at: datetime) -> RenderableType:
    """A message under its channel's name. Without blocks it is its text."""
    return _under(_head(channel, posted_at), _body(text, blocks))


def drawn_edit(
    channel: str, text: str, blocks: Any, edited_at: datetime, *, before: Any, posted_at: datetime
) -> RenderableType:
    """What a reader notices of an edit: the headline, and what else is not as it was `before`."""
    known = _parts(before)
    first, *others = _parts(blocks) or [{"type": "text", "text": text}]
    shown = [_part(part) for part in (first, *(part for part in others if part not in known))]
    return _under(_small_head(channel, f"✎ {_clock(edited_at)}  edited the message of {_clock(posted_at)}"), shown)


def drawn_reply(channel: str, text: str, blocks: Any, posted_at: datetime, *, headline: str) -> RenderableType:
    """A reply in the thread of the message that has this headline."""
    head = _small_head(channel, f"↳ {_clock(posted_at)}  reply to {headline}")
    return _under(head, [Padding(part, (0, 0, 0, 2)) for part in _body(text, blocks)])


def drawn_broadcast(
    channel: str, text: str, blocks: Any, posted_at: datetime, *, parent_at: datetime
) -> RenderableType:
    """A reply in a thread that is shown in the channel too."""
    place = Text(f"↳ reply to the message of {_clock(parent_at)}, also sent to the channel", "dim")
    return _under(_head(channel, posted_at), [place, *_body(text, blocks)])


def headline_of(text: str, blocks: Any) -> str:
    """The first line of a message."""
    parts = _parts(blocks)
    first = _line(parts[0]) if parts else _lines(unescape(text))
    return first.plain.partition("\n")[0]


def _head(channel: str, posted_at: datetime) -> Text:
    head = Text.assemble((f"#{channel}", "bold cyan"), "  ", ("Census notifier", "bold"), " ", ("APP", "reverse dim"))
    return head.append(f"  {_clock(posted_at)}", "dim")


def _small_head(channel: str, told: str) -> Text:
    """Above what is not a message of its own."""
    return Text.assemble((f"#{channel}", "dim cyan"), (f"  {told}", "dim"), no_wrap=True, overflow="ellipsis")


def _under(head: Text, parts: Iterable[RenderableType]) -> RenderableType:
    return Padding(Group(head, *(Padding(part, (0, 0, 0, 2)) for part in parts)), (0, 0, 1, 0))


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


def _body(text: str, blocks: Any) -> list[RenderableType]:
    return [_part(part) for part in _parts(blocks) or [{"type": "text", "text": text}]]


def _parts(blocks: Any) -> list[Any]:
    """The blocks, those of rich text taken apart."""
    return [part for block in blocks or () for part in (block["elements"] if block["type"] == "rich_text" else [block])]


def _part(part: Mapping[str, Any]) -> RenderableType:
    match part["type"]:
        case "text":
            return _lines(unescape(part["text"]))
        case "rich_text_section" | "rich_text_quote":
            return _line(part)
        case "rich_text_preformatted":
            return Panel(_line(part), box=box.ROUNDED, border_style="dim", expand=False, padding=(0, 1))
        case "context":
            return Text(" ").join(_small(element) for element in part["elements"])
        case other:
            return Text(f"[{other}]", "dim")


def _line(element: Mapping[str, Any]) -> Text:
    text = Text()
    for piece in element.get("elements", ()):
        text.append_text(_piece(piece))
    return text


def _piece(piece: Mapping[str, Any]) -> Text:
    kind = piece["type"]
    if kind == "emoji":
        return Text(emoji(piece["name"]))
    if kind in _MENTIONED:
        return Text(f"@{plain(str(piece.get(_MENTIONED[kind], kind)))}", _MENTION)
    style = " ".join(_STYLES[name] for name, on in piece.get("style", {}).items() if on and name in _STYLES)
    text = _lines(piece.get("text") or piece.get("url") or f"[{kind}]")
    text.stylize(f"{style} underline blue" if kind == "link" else style)
    return text


def _small(element: Mapping[str, Any]) -> Text:
    """A context block's element: small and grey in Slack. Dates are in the reader's own zone."""
    shown = element.get("text") or f"[{element['type']}]"
    if element["type"] == "mrkdwn":
        shown = unescape(DATE.sub(_local, shown))
    text = _lines(shown)
    text.stylize("dim")
    return text


def _local(date: re.Match[str]) -> str:
    """A date, and the words around it in its format; what is shown without the format where that has something else."""
    time, shown = datetime.fromtimestamp(int(date["seconds"]), UTC).astimezone(), date["format"]
    for token, code in _SHOWN.items():
        shown = shown.replace(token, f"{time:{code}}")
    return date["fallback"] if "{" in shown else shown


def emoji(name: str) -> str:
    """The character of an emoji's name in Slack."""
    if name in _NEWER:
        return _NEWER[name]
    try:
        return str(Emoji(name))
    except NoEmoji:
        return f":{name}:"


def _lines(text: str) -> Text:
    """Line breaks are kept; nothing else in it moves the cursor."""
    lead, trail = text[: len(text) - len(text.lstrip(" "))], text[len(text.rstrip(" ")) :]
    return Text(lead + "\n".join(plain(line) for line in text.split("\n")) + (trail if text.strip() else ""))
