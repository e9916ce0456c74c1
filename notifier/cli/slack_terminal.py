"""A Slack message drawn for a terminal, as a reader of the channel would see it. For the demo."""

import re
from collections.abc import Iterator, Mapping
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

_DATE: Final = re.compile(r"<!date\^(\d+)\^[^|>]*\|([^>]*)>")
_NEWER: Final = {"large_yellow_circle": "\U0001f7e1"}  # that Rich does not know
_STYLES: Final = {"bold": "bold", "italic": "italic", "strike": "strike", "code": "red"}


def drawn(channel: str, text: str, blocks: Any, posted_at: datetime) -> RenderableType:
    """The message under its channel's name. Without blocks it is its text."""
    head = Text.assemble((f"#{channel}", "bold cyan"), "  ", ("Census notifier", "bold"), " ", ("APP", "reverse dim"))
    head.append(f"  {posted_at.astimezone():%H:%M:%S}", "dim")
    parts = list(_blocks(blocks)) if isinstance(blocks, list | tuple) else [_lines(unescape(text))]
    return Padding(Group(head, *(Padding(part, (0, 0, 0, 2)) for part in parts)), (0, 0, 1, 0))


def _blocks(blocks: list[Any] | tuple[Any, ...]) -> Iterator[RenderableType]:
    for block in blocks:
        match block["type"]:
            case "rich_text":
                yield from (_rich_text(element) for element in block["elements"])
            case "context":
                yield Text("  ").join(_small(element) for element in block["elements"])
            case other:
                yield Text(f"[{other}]", "dim")


def _rich_text(element: Mapping[str, Any]) -> RenderableType:
    text = Text()
    for piece in element["elements"]:
        text.append_text(_piece(piece))
    if element["type"] == "rich_text_preformatted":
        return Panel(text, box=box.ROUNDED, border_style="dim", expand=False, padding=(0, 1))
    return text


def _piece(piece: Mapping[str, Any]) -> Text:
    if piece["type"] == "emoji":
        return Text(emoji(piece["name"]))
    style = " ".join(_STYLES[name] for name, on in piece.get("style", {}).items() if on)
    text = _lines(piece.get("text") or piece.get("url", ""))
    text.stylize(f"{style} underline blue" if piece["type"] == "link" else style)
    return text


def _small(element: Mapping[str, Any]) -> Text:
    """A context block's element: small and grey in Slack. Dates are in the reader's own zone."""
    shown = element["text"]
    if element["type"] == "mrkdwn":
        shown = unescape(_DATE.sub(lambda found: _local(int(found[1])), shown))
    text = _lines(shown)
    text.stylize("dim")
    return text


def _local(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%b %-d at %H:%M}"


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
