"""Slack's channels drawn for a terminal: what a reader of them would notice, and nothing that the terminal obeys."""

import asyncio
import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import aiohttp
import pytest
from rich.console import Console, RenderableType

from notifier.cli.demo.channel_view import ChannelView, happenings
from notifier.cli.demo.slack_terminal import drawn, drawn_broadcast, drawn_edit, drawn_reply, emoji, headline_of
from notifier.receivers.slack.blocks.run import EMOJI
from notifier.receivers.words.phrases import PARTLY
from notifier.simulator import SlackSimulator
from tests.builders import NOW


def on_screen(what: RenderableType, width: int = 80) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, highlight=False, markup=False, emoji=False).print(what)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def clock(seconds: int = 0) -> str:
    return f"{(NOW + timedelta(seconds=seconds)).astimezone():%H:%M:%S}"


def local() -> datetime:
    return datetime.fromtimestamp(int(NOW.timestamp())).astimezone()


def lines(text: str = "", blocks: Any = None) -> list[str]:
    head, *rest = on_screen(drawn("growth", text, blocks, NOW))
    assert head == f"#growth  Census notifier APP  {clock()}"
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
    assert lines(blocks=[block]) == [f"  run 93 {local():%b %-d at %H:%M}", ""]


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("since {date_short_pretty} at {time}", f"since {local():%b %-d at %H:%M}"),
        ("({date_short_pretty} at {time})", f"({local():%b %-d at %H:%M})"),
        ("from {time} on^https://x", f"from {local():%H:%M} on"),
        ("since {date_num}", "some time"),  # which it does not know
    ],
)
def test_words_around_a_date_stay_around_it(form: str, shown: str) -> None:
    date = f"<!date^{int(NOW.timestamp())}^{form}|some time>"
    block = {"type": "context", "elements": [{"type": "mrkdwn", "text": f"{date} {date}"}]}
    assert lines(blocks=[block]) == [f"  {shown} {shown}", ""]


def test_without_blocks_the_text_is_shown_with_its_entities_read() -> None:
    assert lines("a &lt;b&gt; &amp; c\nsecond line") == ["  a <b> & c", "  second line", ""]


def test_a_block_that_it_can_not_draw_is_named() -> None:
    assert lines(blocks=[{"type": "divider"}]) == ["  [divider]", ""]


def test_who_is_mentioned_is_shown_as_slack_does() -> None:
    mentions = (
        {"type": "broadcast", "range": "here"},
        {"type": "text", "text": " "},
        {"type": "user", "user_id": "U0123"},
        {"type": "text", "text": " "},
        {"type": "usergroup", "usergroup_id": "S0123"},
    )
    assert lines(blocks=[rich_text(*mentions)]) == ["  @here @U0123 @S0123", ""]


def test_what_it_does_not_know_is_named_and_breaks_nothing() -> None:
    blocks = [
        rich_text({"type": "color", "value": "#F405B3"}, {"type": "text", "text": "x", "style": {"underline": True}}),
        rich_text({"type": "rich_text_section", "elements": []}, kind="rich_text_list"),
        {"type": "context", "elements": [{"type": "image", "image_url": "https://x", "alt_text": "y"}]},
    ]
    assert lines(blocks=blocks) == ["  [color]x", "  [rich_text_list]", "  [image]", ""]


# --- edits and threads ---


FACTS = {"type": "context", "elements": [{"type": "plain_text", "text": "2 runs failed"}]}
FOOTER = {"type": "context", "elements": [{"type": "plain_text", "text": "run 93"}]}
DETAIL = rich_text({"type": "text", "text": "a long error"}, kind="rich_text_preformatted")


def words(text: str) -> dict[str, Any]:
    return rich_text({"type": "text", "text": text})


def edit(before: Any, after: Any, text: str = "") -> list[str]:
    later = NOW + timedelta(seconds=6)
    head, *rest = on_screen(drawn_edit("growth", text, after, later, before=before, posted_at=NOW))
    assert head == f"#growth  ✎ {clock(6)}  edited the message of {clock()}"
    return rest


def test_an_edit_is_its_headline_and_what_else_is_new() -> None:
    before, after = [words("is failing"), DETAIL, FOOTER], [words("is failing"), DETAIL, FACTS, FOOTER]
    assert edit(before, after) == ["  is failing", "  2 runs failed", ""]
    assert edit(after, [words("recovered"), FACTS]) == ["  recovered", ""]
    assert "a long error" in edit([words("is failing")], after)[2]
    assert edit(before, [], "plain\ntext") == ["  plain", "  text", ""]


def test_a_reply_in_a_thread_is_indented_under_the_headline_of_its_message() -> None:
    headline = headline_of("", [words("A sync with a name of some length is failing\nand more"), FOOTER])
    reply = drawn_reply("growth", "", [words("run 94 failed too")], NOW, headline=headline)
    assert on_screen(reply)[:2] == [f"#growth  ↳ {clock()}  reply to {headline}", "    run 94 failed too"]
    narrow = on_screen(reply, width=40)
    assert narrow[0].endswith("…")
    assert narrow[1:] == ["    run 94 failed too", ""]
    assert headline_of("a &amp; b\nc", None) == "a & b"


def test_a_reply_that_the_channel_sees_says_where_it_belongs() -> None:
    later = NOW + timedelta(seconds=9)
    assert on_screen(drawn_broadcast("growth", "", [words("recovered")], later, parent_at=NOW)) == [
        f"#growth  Census notifier APP  {clock(9)}",
        f"  ↳ reply to the message of {clock()}, also sent to the channel",
        "  recovered",
        "",
    ]


# --- the view ---


class Channel:
    """A simulated Slack with one channel, written to through its API, and a view of it."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.slack = SlackSimulator()
        self.channel = self.slack.add_channel("growth")
        self.out = StringIO()
        self.view = ChannelView(Console(file=self.out, width=80), self.slack, {self.channel: "growth"}, as_json=as_json)

    async def send(self, method: str, **arguments: Any) -> str:
        headers = {"Authorization": "Bearer xoxb-simulated"}
        url = f"{self.slack.api_url}{method}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json={"channel": self.channel, **arguments}, headers=headers) as response,
        ):
            answer = await response.json()
        assert answer["ok"], answer
        return str(answer["ts"])

    async def tell(self) -> str:
        """A message, its edit, a line in its thread, and one that the channel sees as well."""
        ts = await self.send("chat.postMessage", text="is failing", blocks=[words("is failing"), DETAIL])
        await self.send("chat.update", ts=ts, text="still failing", blocks=[words("still failing"), DETAIL])
        await self.send("chat.postMessage", text="run 94 failed too", thread_ts=ts)
        await self.send("chat.postMessage", text="recovered", thread_ts=ts, reply_broadcast=True)
        return ts


def marked(shown: str) -> list[str]:
    """What each piece of a view is."""
    marks = {"✎": "edit", "also sent to the channel": "broadcast", "↳": "reply", "APP": "post"}
    return [next(name for mark, name in marks.items() if mark in piece) for piece in shown.strip().split("\n\n")]


@pytest.mark.asyncio
async def test_a_view_shows_each_thing_once_when_it_happens() -> None:
    channel = Channel()
    async with channel.slack.serve():
        following = asyncio.create_task(channel.view.follow(timedelta(seconds=60)))
        await channel.tell()
        await asyncio.sleep(0)  # the last request woke it up before it was answered
        following.cancel()
        channel.view.look()
        await asyncio.gather(following, return_exceptions=True)
    shown = "\n".join(line.rstrip() for line in channel.out.getvalue().splitlines())
    assert marked(shown) == ["post", "edit", "reply", "broadcast"]
    assert shown.count("a long error") == 1
    assert channel.view.summary == "1 message, 1 edit, 2 replies"


@pytest.mark.asyncio
async def test_a_late_look_shows_everything_in_its_order_and_as_it_was() -> None:
    channel = Channel()
    assert channel.view.summary == "no messages, no edits, no replies"
    async with channel.slack.serve():
        ts = await channel.tell()
        await channel.send("chat.postMessage", text="another")
        await channel.send("chat.update", ts=ts, text="over", blocks=[words("over")])
    told = ["is failing", "still failing", "run 94 failed too", "recovered", "another", "over"]
    assert [one.text for one in happenings(channel.slack.messages())] == told
    channel.view.look()
    shown = channel.out.getvalue()
    assert [line for line in map(str.strip, shown.splitlines()) if line in told] == told
    assert "reply to over" in shown


@pytest.mark.asyncio
async def test_a_reply_to_what_was_deleted_is_shown_without_it() -> None:
    channel = Channel()
    async with channel.slack.serve():
        channel.slack.delete_message(channel.channel, await channel.tell())
    channel.view.look()
    assert "reply to a message that is gone" in channel.out.getvalue()
    assert channel.view.summary == "no messages, no edits, 2 replies"


@pytest.mark.asyncio
async def test_as_json_a_view_is_a_line_for_each_thing_that_slack_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    channel = Channel(as_json=True)
    async with channel.slack.serve():
        ts = await channel.tell()
    channel.view.look()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {tuple(one) for one in told} == {
        ("channel", "action", "ts", "thread_ts", "broadcast", "text", "blocks", "metadata")
    }
    assert [(one["action"], one["text"], one["broadcast"]) for one in told] == [
        ("post", "is failing", False),
        ("edit", "still failing", False),
        ("reply", "run 94 failed too", False),
        ("reply", "recovered", True),
    ]
    assert [one["ts"] == ts for one in told] == [True, True, False, False]
    assert [one["thread_ts"] for one in told] == [None, None, ts, ts]
    assert told[0]["blocks"] == [words("is failing"), DETAIL]
    assert channel.out.getvalue() == ""


# --- hostile and unknown text ---


def test_nothing_in_a_message_is_obeyed_by_the_terminal() -> None:
    hostile = "\x1b[31mred\x07 [bold]x[/] :smile: \u202egnp"
    blocks = [
        rich_text({"type": "text", "text": hostile}, {"type": "link", "url": "https://x", "text": hostile}),
        {"type": "context", "elements": [{"type": "plain_text", "text": hostile}]},
    ]
    reply = drawn_reply("growth", hostile, None, NOW, headline=headline_of(hostile, None))
    shown = "\n".join([*lines(hostile), *lines(blocks=blocks), *on_screen(reply), *edit([], blocks)])
    assert not set("\x1b\x07\u202e") & set(shown)
    assert shown.count("[bold]x[/] :smile:") == 9


@pytest.mark.parametrize("name", [*EMOJI.values(), PARTLY, "wave"])
def test_every_emoji_that_we_send_is_known(name: str) -> None:
    assert not emoji(name).startswith(":")


def test_an_emoji_that_it_does_not_know_is_shown_by_its_name() -> None:
    assert emoji("partyparrot") == ":partyparrot:"
