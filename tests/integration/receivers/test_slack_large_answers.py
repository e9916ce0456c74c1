"""Answers of Slack whose header lines are long (CSP, cookies, a company's proxy): what the status says, counts.

The limits are those of `notifier.http.client.new_session`.
"""

from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio

from notifier.model.delivery import Delivered, Verdict
from tests.builders import a_slack_channel, a_slack_webhook
from tests.integration.receivers.desk import Canned, Desk, an_event, open_desk, without_proxies
from tests.integration.receivers.test_slack_living import changed, chapter, delivered, now, opened

CHANNEL = "C0123ABCD"
LARGE = pytest.mark.parametrize(
    "head",
    [
        b"Content-Security-Policy: " + b"x" * 9_000 + b"\r\n",
        b"Content-Security-Policy: " + b"x" * 20_000 + b"\r\n",
        b"X-" + b"n" * 9_000 + b": 1\r\n",
    ],
    ids=["a value of 9 kB", "a value of 20 kB", "a name of 9 kB"],
)


@pytest_asyncio.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    without_proxies(monkeypatch)
    async with open_desk() as opened_desk:
        yield opened_desk


def an_answer(head: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@LARGE
@pytest.mark.asyncio
async def test_a_message_that_is_taken_by_an_answer_with_a_large_header_is_delivered_once(
    desk: Desk, head: bytes
) -> None:
    taken = orjson.dumps({"ok": True, "channel": CHANNEL, "ts": "1.000001"})
    async with Canned().answering(an_answer(head, taken)) as slack:
        settings = a_slack_channel(CHANNEL, api_url=f"http://{slack.place}/api/")
        sender = desk.senders.build("growth", settings)
        first = delivered(await sender.send(chapter(opened())))
        delivered(await sender.send(chapter(changed(), posted=first.posted)))
    methods = [asked.split(" HTTP")[0].rpartition("/")[2] for asked in slack.heads]
    assert methods == ["chat.postMessage", "chat.update", "chat.postMessage"]


@LARGE
@pytest.mark.asyncio
async def test_a_look_that_is_answered_with_a_large_header_finds_the_message(desk: Desk, head: bytes) -> None:
    payload = {"event_id": "evt_1", "receiver": "growth"}
    posted = {"ts": "1.000001", "metadata": {"event_type": "x", "event_payload": payload}}
    async with Canned().answering(an_answer(head, orjson.dumps({"ok": True, "messages": [posted]}))) as slack:
        settings = a_slack_channel(CHANNEL, api_url=f"http://{slack.place}/api/")
        outcome = await desk.senders.build("growth", settings).send(an_event(maybe_sent_at=now()))
    assert delivered(outcome).answer == "found in the channel, ts 1.000001"


@LARGE
@pytest.mark.asyncio
async def test_an_incoming_webhook_with_a_large_header_is_delivered(desk: Desk, head: bytes) -> None:
    async with Canned().answering(an_answer(head, b"ok")) as slack:
        settings = a_slack_webhook(f"http://{slack.place}/services/canary")
        outcome = await desk.senders.build("growth", settings).send(an_event())
    assert outcome == Delivered()


@LARGE
@pytest.mark.asyncio
async def test_a_token_whose_answer_has_a_large_header_is_checked(desk: Desk, head: bytes) -> None:
    channel = {"id": CHANNEL, "name": "data-syncs", "is_member": True}
    answer = orjson.dumps({"ok": True, "user": "bot", "team": "T", "channel": channel})
    async with Canned().answering(an_answer(head, answer)) as slack:
        settings = a_slack_channel(CHANNEL, api_url=f"http://{slack.place}/api/")
        assert await desk.senders.check("growth", settings) == Verdict(
            ok=True, said=f"#data-syncs ({CHANNEL}) as bot in T"
        )
