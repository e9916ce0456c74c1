"""The link to the status page, where the watchlist says where that is: in every message, also after an edit."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from notifier.model.body import EventBody
from notifier.receivers.slack.blocks.page_link import with_page
from notifier.receivers.slack.blocks.run import render
from notifier.simulator.slack.faults import POST_MESSAGE
from tests.builders import NOW, an_event_body
from tests.integration.receivers.desk import BOTH, Desk, an_event, open_desk, without_proxies
from tests.integration.receivers.test_slack_living import begun, changed, chapter

PAGE = "https://notifier.example.com/census"
LINK = "· <https://notifier.example.com/census/?workspace=production&amp;sync=52|status page>"


@pytest_asyncio.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    without_proxies(monkeypatch)
    async with open_desk() as opened_desk:
        opened_desk.senders = replace(opened_desk.senders, public_url=PAGE)
        yield opened_desk


@pytest.mark.asyncio
@BOTH
async def test_a_message_ends_with_a_link_to_what_the_page_shows_of_its_sync(desk: Desk, kind: str) -> None:
    await desk.sender(kind).send(an_event())
    footer = desk.only_message.blocks[-1]
    assert footer["type"] == "context"
    assert footer["elements"][-1] == {"type": "mrkdwn", "text": LINK, "verbatim": True}
    assert "notifier.example.com" not in desk.only_message.text  # a notification is no place for it


@pytest.mark.asyncio
async def test_an_edited_message_keeps_the_link(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    [root] = desk.slack.messages()
    assert root.blocks[-1]["elements"][-1]["text"] == LINK
    await sender.send(chapter(changed(), posted=posted))
    root, _ = desk.slack.messages()
    assert len(root.edits) == 1
    assert root.blocks[-1]["elements"][-1]["text"] == LINK


@pytest.mark.asyncio
async def test_without_public_url_there_is_no_link(desk: Desk) -> None:
    desk.senders = replace(desk.senders, public_url=None)
    await desk.sender(POST_MESSAGE).send(an_event())
    assert "status page" not in json.dumps(desk.only_message.blocks)


def test_what_is_about_a_whole_workspace_leads_to_the_page_itself() -> None:
    event = json.loads(an_event_body())
    rendered = render(EventBody.of(an_event_body()), NOW)
    event["data"]["sync"] = None
    linked = with_page(rendered, EventBody.of(json.dumps(event).encode()), PAGE)
    assert linked.blocks[-1]["elements"][-1]["text"] == f"· <{PAGE}/|status page>"
    assert linked.blocks[:-1] == rendered.blocks[:-1]


def test_a_name_can_not_break_out_of_the_link() -> None:
    event = json.loads(an_event_body())
    event["data"]["workspace"] = "a|b> <!channel> &c"
    linked = with_page(render(EventBody.of(an_event_body()), NOW), EventBody.of(json.dumps(event).encode()), PAGE)
    text = linked.blocks[-1]["elements"][-1]["text"]
    assert text == f"· <{PAGE}/?workspace=a%7Cb%3E+%3C%21channel%3E+%26c&amp;sync=52|status page>"
