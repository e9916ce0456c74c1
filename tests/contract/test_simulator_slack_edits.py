"""Messages of the simulated Slack that change: edits, deletions, threads and the pace that they are held to."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from notifier.simulator import FaultHandle, SimulatorThread, SlackMessage, SlackSimulator, UnknownObjectError
from tests.contract.test_simulator_slack import DIVIDER, EVENT, Asking, texts

OTHER_EVENT = {"event_type": "census_sync_run", "event_payload": {"event_id": "evt_2"}}
SOME_TS = "1700000000.000100"


@pytest_asyncio.fixture
async def asking() -> AsyncIterator[Asking]:
    slack = SlackSimulator()
    async with slack.serve(), aiohttp.ClientSession() as session:
        yield Asking(slack, session)


async def edit(asking: Asking, ts: str, text: str = "edited", **more: Any) -> dict[str, Any]:
    answer = await asking.web.chat_update(channel=asking.channel, ts=ts, text=text, **more)
    assert isinstance(answer.data, dict)
    return answer.data


async def refused_edit(asking: Asking, ts: str, **arguments: Any) -> str:
    answer = await asking.refusal("chat.update", **{"channel": asking.channel, "ts": ts, "text": "edited", **arguments})
    return str(answer["error"])


async def shown(asking: Asking) -> dict[str, Any]:
    history = await asking.web.conversations_history(channel=asking.channel, include_all_metadata=True)
    message = history["messages"][0]
    assert isinstance(message, dict)
    return message


# chat.update.


@pytest.mark.asyncio
async def test_an_edit_changes_the_message_in_its_place_and_keeps_what_was_asked(asking: Asking) -> None:
    first = await asking.post("first", metadata=EVENT)
    second = await asking.post("second")
    answer = await edit(asking, first, "better", blocks=[DIVIDER])
    assert (answer["ok"], answer["channel"], answer["ts"], answer["text"]) == (True, asking.channel, first, "better")
    assert (answer["message"]["text"], answer["message"]["blocks"]) == ("better", [DIVIDER])
    await edit(asking, first, "best")
    message, other = asking.slack.messages(asking.channel)
    assert (message.ts, message.text, message.blocks, message.request["text"]) == (first, "best", [], "first")
    assert [(e.text, e.blocks, e.request["text"]) for e in message.edits] == [
        ("better", [DIVIDER], "better"),
        ("best", [], "best"),
    ]
    assert message.at <= message.edits[0].at <= message.edits[1].at <= time.monotonic()
    assert (other.ts, other.text, other.edits) == (second, "second", ())


@pytest.mark.asyncio
async def test_history_shows_the_present_state_and_that_it_was_edited(asking: Asking) -> None:
    ts = await asking.post("first")
    assert "edited" not in await shown(asking)
    answer = await edit(asking, ts, "second")
    message = await shown(asking)
    assert (message["ts"], message["text"], message["edited"]["user"]) == (ts, "second", message["user"])
    assert float(message["edited"]["ts"]) > float(ts)
    assert answer["message"]["edited"] == message["edited"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("given", "kept"),
    [({}, EVENT), ({"metadata": OTHER_EVENT}, OTHER_EVENT), ({"metadata": {}}, None)],
    ids=["not given", "given", "empty"],
)
async def test_metadata_is_kept_unless_an_edit_replaces_it_or_takes_it_away(
    asking: Asking, given: dict[str, Any], kept: dict[str, Any] | None
) -> None:
    ts = await asking.post(metadata=EVENT)
    await edit(asking, ts, **given)
    assert asking.slack.messages()[0].metadata == kept
    assert (await shown(asking)).get("metadata") == kept


@pytest.mark.asyncio
async def test_an_edit_with_text_alone_takes_the_blocks_away_and_one_with_blocks_alone_the_text(asking: Asking) -> None:
    ts = await asking.post("first", blocks=[DIVIDER])
    await edit(asking, ts, "text")
    assert "blocks" not in await shown(asking)
    # Not through chat_update: slack-sdk warns of a text that is missing.
    await asking.web.api_call("chat.update", json={"channel": asking.channel, "ts": ts, "blocks": [DIVIDER]})
    (message,) = asking.slack.messages()
    assert (message.text, message.blocks) == ("", [DIVIDER])


@pytest.mark.asyncio
async def test_an_edit_may_come_as_a_form(asking: Asking) -> None:
    ts = await asking.post(metadata=EVENT, mrkdwn=False)
    form = {"channel": asking.channel, "ts": ts, "blocks": json.dumps([DIVIDER]), "metadata": "{}"}
    await asking.raw("/api/chat.update", data=form, headers={"Authorization": "Bearer xoxb-simulated"})
    (message,) = asking.slack.messages()
    assert (message.blocks, message.metadata, message.mrkdwn) == ([DIVIDER], None, False)


@pytest.mark.asyncio
async def test_a_reply_can_be_edited_and_stays_in_its_thread(asking: Asking) -> None:
    first = await asking.post("first")
    reply = await asking.post("reply", thread_ts=first)
    await edit(asking, reply, "better")
    thread = await asking.web.conversations_replies(channel=asking.channel, ts=first)
    assert [message["text"] for message in thread["messages"]] == ["first", "better"]
    (message,) = asking.slack.replies(asking.channel, first)
    assert (message.thread_ts, [e.text for e in message.edits]) == (first, ["better"])


@pytest.mark.asyncio
async def test_an_edit_is_recorded_with_its_channel_and_whether_it_was_accepted(asking: Asking) -> None:
    ts = await asking.post()
    await edit(asking, ts)
    await refused_edit(asking, SOME_TS)
    _, done, refused = asking.slack.requests
    assert (done.method, done.channel, done.arguments["ts"]) == ("chat.update", asking.channel, ts)
    assert (done.status, done.answer, done.accepted) == (200, "ok", True)
    assert (refused.channel, refused.answer, refused.accepted) == (asking.channel, "message_not_found", False)


@pytest.mark.asyncio
async def test_an_edit_needs_the_scope_to_write(asking: Asking) -> None:
    ts = await asking.post()
    asking.slack.add_token("xoxb-poor", ("channels:history",))
    answer = await asking.refusal("chat.update", "xoxb-poor", channel=asking.channel, ts=ts, text="x")
    assert (answer["error"], answer["needed"]) == ("missing_scope", "chat:write")


@pytest.mark.asyncio
async def test_a_message_is_found_only_in_its_channel_and_by_the_id_of_that(asking: Asking) -> None:
    ts = await asking.post()
    other = asking.slack.add_channel("other")
    assert await refused_edit(asking, ts, channel="data-syncs") == "channel_not_found"
    assert await refused_edit(asking, ts, channel="#data-syncs") == "channel_not_found"
    assert await refused_edit(asking, ts, channel="C9") == "channel_not_found"
    assert await refused_edit(asking, ts, channel=other) == "message_not_found"
    assert await refused_edit(asking, SOME_TS) == "message_not_found"
    assert await refused_edit(asking, "") == "invalid_arguments"
    assert asking.slack.messages()[0].edits == ()


@pytest.mark.asyncio
async def test_what_others_wrote_can_not_be_edited(asking: Asking) -> None:
    theirs = asking.slack.post_elsewhere(asking.channel, "by somebody")
    assert await refused_edit(asking, theirs.ts) == "cant_update_message"
    assert await texts(asking) == ["by somebody"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "code"),
    [({"archived": True}, "is_inactive"), ({"member": False, "private": True}, "channel_not_found")],
)
async def test_a_channel_that_takes_no_edit_says_so(asking: Asking, state: dict[str, bool], code: str) -> None:
    ts = await asking.post()
    asking.slack.update_channel(asking.channel, **state)
    assert await refused_edit(asking, ts) == code
    assert asking.slack.messages()[0].edits == ()


@pytest.mark.asyncio
async def test_a_bot_that_left_a_public_channel_may_still_edit_what_it_wrote(asking: Asking) -> None:
    ts = await asking.post()
    asking.slack.update_channel(asking.channel, member=False)
    await edit(asking, ts, "from outside")
    assert asking.slack.messages()[0].text == "from outside"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"text": " "}, "no_text"),
        ({"text": "", "blocks": []}, "no_text"),
        ({"text": 7}, "invalid_arguments"),
        ({"blocks": "["}, "invalid_blocks_format"),
        ({"blocks": [DIVIDER] * 51}, "invalid_blocks"),
        ({"metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"metadata": {"event_type": "x", "event_payload": {"a": "x" * 958}}}, "metadata_too_large"),
    ],
)
async def test_an_edit_out_of_shape_is_refused_and_changes_nothing(
    asking: Asking, arguments: dict[str, Any], code: str
) -> None:
    ts = await asking.post("first")
    assert await refused_edit(asking, ts, **arguments) == code
    (message,) = asking.slack.messages()
    assert (message.text, message.edits) == ("first", ())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fits", "more"),
    [
        ("x" * 4_000, "x"),
        ("é" * 2_000, "x"),
        ("&" * 800, "x"),
        ("&amp;" * 800, "x"),
        ("<" * 1_000, "x"),
        ("<https://example.com/?a|b>" + "x" * 3_974, "x"),
    ],
    ids=["letters", "two bytes each", "escaped by Slack", "escaped before", "brackets", "a link"],
)
async def test_the_text_of_an_edit_is_counted_in_bytes_after_escaping(asking: Asking, fits: str, more: str) -> None:
    ts = await asking.post()
    await edit(asking, ts, fits)
    assert await refused_edit(asking, ts, text=fits + more) == "msg_too_long"
    assert asking.slack.messages()[0].text == fits


# Deleting.


@pytest.mark.asyncio
async def test_a_deleted_message_is_gone_for_whoever_asks(asking: Asking) -> None:
    gone = await asking.post("gone")
    await asking.post("stays")
    theirs = asking.slack.post_elsewhere(asking.channel, "by somebody")
    asking.slack.delete_message(asking.channel, gone)
    asking.slack.delete_message(asking.channel, theirs.ts)
    assert await texts(asking) == ["stays"]
    assert [message.text for message in asking.slack.messages()] == ["stays"]
    assert await refused_edit(asking, gone) == "message_not_found"
    for method, arguments in (
        ("chat.postMessage", {"thread_ts": gone, "text": "x"}),
        ("conversations.replies", {"ts": gone}),
    ):
        answer = await asking.refusal(method, channel=asking.channel, **arguments)
        assert answer["error"] == "thread_not_found"


@pytest.mark.asyncio
async def test_a_thread_whose_first_message_is_deleted_takes_no_more_replies_and_keeps_its_own(asking: Asking) -> None:
    first = await asking.post("first")
    await asking.post("reply", thread_ts=first)
    asking.slack.delete_message(asking.channel, first)
    answer = await asking.refusal("chat.postMessage", channel=asking.channel, thread_ts=first, text="late")
    assert answer["error"] == "thread_not_found"
    assert (await asking.refusal("conversations.replies", channel=asking.channel, ts=first))["error"] == answer["error"]
    assert [message.text for message in asking.slack.replies(asking.channel, first)] == ["reply"]


@pytest.mark.asyncio
async def test_what_is_not_there_can_not_be_deleted(asking: Asking) -> None:
    ts = await asking.post()
    other = asking.slack.add_channel("other")
    for channel, wanted in ((other, ts), (asking.channel, SOME_TS), ("C9", ts)):
        with pytest.raises(UnknownObjectError):
            asking.slack.delete_message(channel, wanted)
    asking.slack.delete_message(asking.channel, ts)
    with pytest.raises(UnknownObjectError):
        asking.slack.delete_message(asking.channel, ts)


# Threads.


@pytest.mark.asyncio
async def test_replies_are_shown_oldest_first_and_only_those_of_their_message(asking: Asking) -> None:
    first, other = await asking.post("first"), await asking.post("other")
    await asking.post("one", thread_ts=first)
    await asking.post("elsewhere", thread_ts=other)
    await asking.post("two", thread_ts=first)
    assert [message.text for message in asking.slack.replies(asking.channel, first)] == ["one", "two"]
    assert asking.slack.replies(asking.channel, SOME_TS) == []


@pytest.mark.asyncio
async def test_a_broadcast_reply_is_in_the_channel_in_its_thread_and_among_the_messages(asking: Asking) -> None:
    first = await asking.post("first")
    await asking.post("quiet", thread_ts=first)
    loud = await asking.post("loud", thread_ts=first, reply_broadcast=True)
    assert await texts(asking) == ["loud", "first"]
    message = await shown(asking)
    assert (message["ts"], message["thread_ts"], message["subtype"]) == (loud, first, "thread_broadcast")
    assert [m.broadcast for m in asking.slack.replies(asking.channel, first)] == [False, True]
    assert [m.text for m in asking.slack.messages()] == ["first", "quiet", "loud"]
    await edit(asking, loud, "louder")
    message = await shown(asking)
    assert (message["text"], message["subtype"]) == ("louder", "thread_broadcast")


# Pace.


async def too_soon(work: Callable[[], Any]) -> int:
    with pytest.raises(SlackApiError, match="ratelimited") as limited:
        await work()
    answer = limited.value.response
    assert (answer.status_code, answer.data) == (429, {"ok": False, "error": "ratelimited"})
    return int(answer.headers["Retry-After"])


@pytest.mark.asyncio
async def test_edits_wait_until_the_oldest_of_fifty_has_left_the_minute(asking: Asking) -> None:
    slack = asking.slack
    slack.enforce_pace = True
    ts = await asking.post()
    for number in range(50):
        await edit(asking, ts, str(number))
    fault = slack.error("fatal_error", method="chat.update", times=1)
    assert 1 <= await too_soon(lambda: edit(asking, ts, "too soon")) <= 60
    assert (fault.hits, slack.requests[-1].accepted, slack.messages()[0].text) == (0, False, "49")
    fault.clear()
    slack.edit_window = 0.05
    await asyncio.sleep(0.05)
    await edit(asking, ts, "in time")
    assert slack.messages()[0].text == "in time"


@pytest.mark.asyncio
async def test_only_edits_that_were_accepted_count_and_only_against_their_token(asking: Asking) -> None:
    slack = asking.slack
    slack.add_token("xoxb-other")
    slack.enforce_pace, slack.edits_per_window = True, 2
    ts = await asking.post()
    for _ in range(3):
        await refused_edit(asking, SOME_TS)
    slack.accept_then_status(500, method="chat.update", times=1)
    with pytest.raises(SlackApiError):
        await edit(asking, ts)
    await edit(asking, ts)
    for _ in range(2):
        assert 1 <= await too_soon(lambda: edit(asking, ts)) <= 60
    await asking.client("xoxb-other").chat_update(channel=asking.channel, ts=ts, text="with another token")
    slack.enforce_pace = False
    await edit(asking, ts)


@pytest.mark.asyncio
async def test_edits_and_messages_do_not_wait_for_each_other_but_replies_wait_for_messages(asking: Asking) -> None:
    slack = asking.slack
    slack.enforce_pace, slack.edits_per_window = True, 1
    ts = await asking.post()
    await edit(asking, ts)
    assert await too_soon(lambda: asking.post("reply", thread_ts=ts)) == 1
    await asking.web.chat_postMessage(channel=slack.add_channel("other"), text="x")
    slack.reset()
    again = await asking.post()
    await edit(asking, again)


# Waiting and faults.


@pytest.mark.asyncio
async def test_waiting_ends_when_a_message_is_edited_or_deleted(asking: Asking) -> None:
    ts = await asking.post("first")
    async with asyncio.TaskGroup() as tasks:
        edited = tasks.create_task(asking.slack.wait_for(lambda messages: messages[0].text == "second"))
        await asyncio.sleep(0)
        await edit(asking, ts, "second")
    assert [message.text for message in edited.result()] == ["second"]
    async with asyncio.TaskGroup() as tasks:
        emptied = tasks.create_task(asking.slack.wait_for(lambda messages: not messages))
        await asyncio.sleep(0)
        asking.slack.delete_message(asking.channel, ts)
    assert emptied.result() == []


@pytest.mark.asyncio
async def test_waiting_in_vain_shows_how_often_a_message_was_edited(asking: Asking) -> None:
    ts = await asking.post("first")
    await edit(asking, ts, "second")
    with pytest.raises(AssertionError, match=f"{ts}, 1 edits: second"):
        await asking.slack.wait_for(2, timeout=0.01)


@pytest.mark.asyncio
async def test_an_edit_window_closes_on_demand_and_for_edits_alone(asking: Asking) -> None:
    fault = asking.slack.error("edit_window_closed", method="chat.update", channel="data-syncs")
    ts = await asking.post("first")
    assert await refused_edit(asking, ts) == "edit_window_closed"
    assert (fault.hits, asking.slack.messages()[0].text) == (1, "first")
    fault.clear()
    await edit(asking, ts)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("hang_up", "done"),
    [
        (lambda slack: slack.drop(method="chat.update", times=1), False),
        (lambda slack: slack.accept_then_drop(method="chat.update", times=1), True),
    ],
    ids=["nothing done", "done"],
)
async def test_a_connection_drops_before_or_after_the_edit_is_made(
    asking: Asking, hang_up: Callable[[SlackSimulator], FaultHandle], done: bool
) -> None:
    ts = await asking.post("first")
    hang_up(asking.slack)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await edit(asking, ts, "second")
    assert asking.slack.messages()[0].text == ("second" if done else "first")
    request = asking.slack.requests[-1]
    assert (request.method, request.status, request.accepted) == ("chat.update", None, done)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("hang_up", "status", "done"),
    [
        (lambda slack: slack.rate_limit(7, method="chat.update"), 429, False),
        (lambda slack: slack.status(503, method="chat.update"), 503, False),
        (lambda slack: slack.body(b"[]", method="chat.update"), 200, False),
        (lambda slack: slack.redirect("/elsewhere", method="chat.update"), 302, False),
        (lambda slack: slack.accept_then_status(502, method="chat.update"), 502, True),
    ],
    ids=["rate limit", "status", "body", "redirect", "done all the same"],
)
async def test_every_fault_can_meet_an_edit(
    asking: Asking, hang_up: Callable[[SlackSimulator], FaultHandle], status: int, done: bool
) -> None:
    ts = await asking.post("first")
    fault = hang_up(asking.slack)
    form = {"token": "xoxb-simulated", "channel": asking.channel, "ts": ts, "text": "second"}
    assert (await asking.raw("/api/chat.update", data=form))[0] == status
    assert asking.slack.messages()[0].text == ("second" if done else "first")
    assert (asking.slack.requests[-1].accepted, fault.hits) == (done, 1)


@pytest.mark.asyncio
async def test_an_edit_that_hangs_meets_the_message_as_it_is_when_the_fault_is_cleared(asking: Asking) -> None:
    ts = await asking.post("first")
    fault = asking.slack.hang(method="chat.update", times=1)
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(refused_edit(asking, ts))
        await asking.slack.wait_for(lambda _: fault.hits == 1)
        asking.slack.delete_message(asking.channel, ts)
        fault.clear()
    assert hanging.result() == "message_not_found"


# The thread.


def test_the_thread_edits_deletes_and_paces_for_callers_that_block() -> None:
    with SimulatorThread() as simulator, ThreadPoolExecutor(1) as pool:
        slack = simulator.slack
        channel = slack.add_channel("data-syncs")
        web = AsyncWebClient("xoxb-simulated", base_url=slack.api_url, retry_handlers=[])
        ts = asyncio.run(_thread_of_two(web, channel))
        assert [message.text for message in slack.replies(channel, ts)] == ["reply"]
        assert (slack.edits_per_window, slack.edit_window) == (50, 60.0)
        slack.enforce_pace, slack.edits_per_window, slack.edit_window = True, 1, 30.0
        assert (slack.inner.edits_per_window, slack.inner.edit_window) == (1, 30.0)
        edited = pool.submit(lambda: asyncio.run(_edited(web, channel, ts)))
        assert _said(slack.wait_for(lambda messages: bool(messages[0].edits))) == ["edited", "reply"]
        edited.result()
        with pytest.raises(SlackApiError, match="ratelimited"):
            asyncio.run(_edited(web, channel, ts))
        slack.delete_message(channel, ts)
        assert _said(slack.messages()) == ["reply"]
        with pytest.raises(UnknownObjectError):
            slack.delete_message(channel, ts)


async def _thread_of_two(web: AsyncWebClient, channel: str) -> str:
    ts = str((await web.chat_postMessage(channel=channel, text="first"))["ts"])
    await web.chat_postMessage(channel=channel, text="reply", thread_ts=ts)
    return ts


async def _edited(web: AsyncWebClient, channel: str, ts: str) -> None:
    await web.chat_update(channel=channel, ts=ts, text="edited")


def _said(messages: list[SlackMessage]) -> list[str]:
    return [message.text for message in messages]
