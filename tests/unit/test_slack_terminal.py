"""A Slack message drawn for a terminal: what a reader of the channel would see, and nothing that the terminal obeys."""

from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from notifier.cli.slack_terminal import drawn, emoji
from notifier.receivers.blocks import EMOJI, PARTLY
from tests.builders import NOW


def lines(text: str = "", blocks: Any = None) -> list[str]:
    out = StringIO()
    Console(file=out, width=80, highlight=False, markup=False, emoji=False).print(drawn("growth", text, blocks, NOW))
    head, *rest = [line.rstrip() for line in out.getvalue().splitlines()]
    assert head == f"#growth  Census notifier APP  {NOW.astimezone():%H:%M:%S}"
    return rest


def rich_text(*elements: dict[str, Any], kind: str = "rich_text_section") -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": kind, "elements": list(elements)}]}


def test_a_headline_has_its_emoji_its_link_and_its_words() -> None:
    headline = rich_text(
        {"type": "emoji", "name": "red_circle"},
        {"type": "text", "text": " "},
        {"type": "link", "url": "https://x", "text": "New Signups", "style": {"bold": True}},
        {"type": "text", "text": " failed"},
    )
    assert lines(blocks=[headline]) == ["  🔴 New Signups failed", ""]


def test_a_preformatted_text_is_boxed_and_keeps_its_lines() -> None:
    detail = rich_text({"type": "text", "text": "one\n two"}, kind="rich_text_preformatted")
    shown = lines(blocks=[detail])
    assert [line.strip(" │") for line in shown[1:3]] == ["one", "two"]
    assert shown[0].startswith("  ╭")
    assert shown[3].startswith("  ╰")


def test_a_context_block_shows_its_dates_in_the_readers_own_zone() -> None:
    date = f"<!date^{int(NOW.timestamp())}^{{date_short_pretty}} at {{time}}|2026-11-23 10:15 UTC>"
    block = {
        "type": "context",
        "elements": [{"type": "plain_text", "text": "run 93"}, {"type": "mrkdwn", "text": date}],
    }
    local = datetime.fromtimestamp(int(NOW.timestamp())).astimezone()
    assert lines(blocks=[block]) == [f"  run 93  {local:%b %-d at %H:%M}", ""]


def test_without_blocks_the_text_is_shown_with_its_entities_read() -> None:
    assert lines("a &lt;b&gt; &amp; c\nsecond line") == ["  a <b> & c", "  second line", ""]


def test_a_block_that_it_can_not_draw_is_named() -> None:
    assert lines(blocks=[{"type": "divider"}]) == ["  [divider]", ""]


def test_nothing_in_a_message_is_obeyed_by_the_terminal() -> None:
    hostile = "\x1b[31mred\x07 [bold]x[/] :smile: \u202egnp"
    blocks = [
        rich_text({"type": "text", "text": hostile}, {"type": "link", "url": "https://x", "text": hostile}),
        {"type": "context", "elements": [{"type": "plain_text", "text": hostile}]},
    ]
    shown = "\n".join([*lines(hostile), *lines(blocks=blocks)])
    assert not set("\x1b\x07\u202e") & set(shown)
    assert shown.count("[bold]x[/] :smile:") == 4


@pytest.mark.parametrize("name", [*EMOJI.values(), PARTLY, "wave"])
def test_every_emoji_that_we_send_is_known(name: str) -> None:
    assert not emoji(name).startswith(":")


def test_an_emoji_that_it_does_not_know_is_shown_by_its_name() -> None:
    assert emoji("partyparrot") == ":partyparrot:"
