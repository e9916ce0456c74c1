"""The simulated Slack, asked by Slack's own library and by a plain client over real sockets."""

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
from slack_sdk.webhook.async_client import AsyncWebhookClient

from notifier.simulator import FaultHandle, SimulatorThread, SlackSimulator, UnknownObjectError

EVENT = {"event_type": "census_sync_run", "event_payload": {"event_id": "evt_1"}}
DIVIDER = {"type": "divider"}
DEFAULT_TOKEN = "xoxb-simulated"
SCOPES = "chat:write,channels:history,groups:history,channels:read,groups:read"


class Asking:
    """The simulator, a channel with its webhook, Slack's clients and a plain session."""

    def __init__(self, slack: SlackSimulator, session: aiohttp.ClientSession) -> None:
        self.slack = slack
        self.session = session
        self.channel = slack.add_channel("data-syncs")
        self.hook = slack.add_webhook(self.channel)
        self.web = self.client("xoxb-simulated")
        self.webhook = AsyncWebhookClient(slack.webhook_url(self.hook), session=session, retry_handlers=[])

    def client(self, token: str | None) -> AsyncWebClient:
        return AsyncWebClient(token, base_url=self.slack.api_url, session=self.session, retry_handlers=[])

    async def refusal(self, method: str, token: str | None = DEFAULT_TOKEN, **arguments: Any) -> dict[str, Any]:
        with pytest.raises(SlackApiError) as refused:
            await self.client(token).api_call(method, json=arguments)
        answer = refused.value.response
        assert answer.status_code == 200
        assert isinstance(answer.data, dict)
        return answer.data

    async def post(self, text: str = "x", **more: Any) -> str:
        answer = await self.web.chat_postMessage(channel=self.channel, text=text, **more)
        return str(answer["ts"])

    async def raw(self, path: str, **options: Any) -> tuple[int, str]:
        async with self.session.post(self.slack.origin + path, allow_redirects=False, **options) as response:
            return response.status, await response.text()


@pytest_asyncio.fixture
async def asking() -> AsyncIterator[Asking]:
    slack = SlackSimulator()
    async with slack.serve(), aiohttp.ClientSession() as session:
        yield Asking(slack, session)


async def texts(asking: Asking, **arguments: Any) -> list[str]:
    history = await asking.web.conversations_history(channel=asking.channel, **arguments)
    return [message["text"] for message in history["messages"]]


# Who asks.


@pytest.mark.asyncio
async def test_auth_test_says_who_asks_and_shows_the_scopes(asking: Asking) -> None:
    answer = await asking.web.auth_test()
    assert (answer["team"], answer["user"], answer["bot_id"]) == ("Simulated", "census_notifier", "B0000000001")
    assert answer["url"].startswith("https://")
    assert answer.headers["X-OAuth-Scopes"] == SCOPES


@pytest.mark.asyncio
async def test_a_token_may_come_as_an_argument_of_a_form(asking: Asking) -> None:
    status, body = await asking.raw("/api/auth.test", data={"token": "xoxb-simulated"})
    assert (status, json.loads(body)["ok"]) == (200, True)


@pytest.mark.asyncio
@pytest.mark.parametrize(("token", "code"), [(None, "not_authed"), ("xoxb-other", "invalid_auth")])
async def test_without_a_valid_token_nothing_is_done(asking: Asking, token: str | None, code: str) -> None:
    assert (await asking.refusal("chat.postMessage", token, channel="data-syncs", text="x"))["error"] == code
    assert asking.slack.messages() == []


@pytest.mark.asyncio
async def test_a_revoked_token_is_told_so_until_it_is_added_again(asking: Asking) -> None:
    asking.slack.revoke_token("xoxb-simulated")
    assert (await asking.refusal("auth.test"))["error"] == "token_revoked"
    with pytest.raises(UnknownObjectError):
        asking.slack.revoke_token("xoxb-simulated")
    asking.slack.add_token("xoxb-simulated")
    await asking.web.auth_test()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "arguments", "scopes", "needed"),
    [
        ("chat.postMessage", {"channel": "C0000000001", "text": "x"}, ("channels:read",), "chat:write"),
        ("conversations.history", {"channel": "C0000000001"}, ("channels:read",), "channels:history,groups:history"),
        ("conversations.history", {"channel": "C0000000001"}, ("groups:history",), "channels:history"),
        ("conversations.history", {"channel": "C0000000002"}, ("channels:history",), "groups:history"),
        ("conversations.replies", {"channel": "C0000000001", "ts": "1.0"}, (), "channels:history,groups:history"),
        ("conversations.info", {"channel": "C0000000001"}, ("groups:read",), "channels:read"),
        ("conversations.list", {}, ("groups:read",), "channels:read"),
        ("conversations.list", {"types": "public_channel, private_channel"}, ("channels:read",), "groups:read"),
    ],
)
async def test_a_scope_that_is_missing_is_named(
    asking: Asking, method: str, arguments: dict[str, Any], scopes: tuple[str, ...], needed: str
) -> None:
    assert asking.slack.add_channel("hidden", private=True) == "C0000000002"
    asking.slack.add_token("xoxb-poor", scopes)
    answer = await asking.refusal(method, "xoxb-poor", **arguments)
    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", needed, ",".join(scopes))


@pytest.mark.asyncio
async def test_an_unknown_method_is_told_so_before_the_token_is_looked_at(asking: Asking) -> None:
    assert (await asking.refusal("chat.delete", None))["error"] == "unknown_method"


# chat.postMessage.


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["C0000000001", "data-syncs", "#data-syncs"])
async def test_a_message_is_kept_with_all_that_came_and_its_channel_is_answered_as_an_id(
    asking: Asking, name: str
) -> None:
    answer = await asking.web.chat_postMessage(
        channel=name, text="hi", blocks=[DIVIDER], metadata=EVENT, mrkdwn=False, unfurl_links=False
    )
    (message,) = asking.slack.messages(asking.channel)
    assert (message.channel, message.ts) == (answer["channel"], answer["ts"]) == ("C0000000001", message.ts)
    assert (message.text, message.blocks, message.metadata, message.mrkdwn) == ("hi", [DIVIDER], EVENT, False)
    assert (message.thread_ts, message.request["unfurl_links"]) == (None, False)
    assert message.at <= time.monotonic()
    assert answer["message"]["text"] == "hi"
    (request,) = asking.slack.requests
    assert (request.method, request.channel) == ("chat.postMessage", "C0000000001")
    assert (request.status, request.answer, request.accepted) == (200, "ok", True)
    assert request.headers["Authorization"] == "Bearer xoxb-simulated"


@pytest.mark.asyncio
async def test_a_form_may_hold_blocks_and_metadata_as_text(asking: Asking) -> None:
    form = {"channel": "data-syncs", "blocks": json.dumps([DIVIDER]), "metadata": json.dumps(EVENT), "mrkdwn": "false"}
    await asking.raw("/api/chat.postMessage", data=form, headers={"Authorization": "Bearer xoxb-simulated"})
    (message,) = asking.slack.messages()
    assert (message.text, message.blocks, message.metadata, message.mrkdwn) == ("", [DIVIDER], EVENT, False)


@pytest.mark.asyncio
async def test_times_of_messages_are_unique_increasing_and_of_now(asking: Asking) -> None:
    before = time.time()
    times = [await asking.post(str(number)) for number in range(5)]
    assert times == sorted(set(times))
    assert before - 1 < float(times[0]) < time.time() + 1
    assert all(len(ts.split(".")[1]) == 6 for ts in times)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "no_text"),
        ({"text": " \n"}, "no_text"),
        ({"blocks": []}, "no_text"),
        ({"text": 7}, "invalid_arguments"),
        ({"text": "x" * 4_001}, "msg_too_long"),
        ({"blocks": "["}, "invalid_blocks_format"),
        ({"blocks": DIVIDER}, "invalid_blocks_format"),
        ({"blocks": [DIVIDER] * 51}, "invalid_blocks"),
        (
            {"blocks": [{"type": "markdown", "text": "x" * 4_500}] * 2 + [{"type": "markdown", "text": "x"}]},
            "msg_blocks_too_long",
        ),
        ({"text": "x", "metadata": "x"}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "x", "event_payload": []}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {**EVENT, "more": 1}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "x", "event_payload": {"a": "x" * 958}}}, "metadata_too_large"),
        ({"text": "x", "thread_ts": "1700000000.000100"}, "thread_not_found"),
    ],
)
async def test_a_message_out_of_shape_is_refused(asking: Asking, arguments: dict[str, Any], code: str) -> None:
    assert (await asking.refusal("chat.postMessage", channel=asking.channel, **arguments))["error"] == code
    assert asking.slack.messages() == []
    assert (asking.slack.requests[0].answer, asking.slack.requests[0].accepted) == (code, False)


@pytest.mark.asyncio
async def test_a_message_at_every_limit_is_taken(asking: Asking) -> None:
    blocks = [{"type": "markdown", "text": "x" * 4_500}] * 2 + [DIVIDER] * 48
    metadata = {"event_type": "x", "event_payload": {"a": "x" * 957}}
    assert len(json.dumps(metadata, separators=(",", ":"))) == 1_000
    await asking.post("x" * 4_000, blocks=blocks, metadata=metadata)


@pytest.mark.asyncio
async def test_blocks_that_are_refused_are_told_why(asking: Asking) -> None:
    bad = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
    answer = await asking.refusal("chat.postMessage", channel=asking.channel, text="x", blocks=[bad])
    told = ["[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]"]
    assert (answer["errors"], answer["response_metadata"]) == (told, {"messages": told})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{", "application/json", "invalid_json"),
        (b"[]", "application/json", "json_not_object"),
        (b'{"text": "\\ud800"}', "application/json", "invalid_json"),
        (b'{"text": "\xff"}', "application/json", "invalid_json"),
        (b"text=%FF", "application/x-www-form-urlencoded", "invalid_form_data"),
        (b"text", "image/png", "invalid_post_type"),
    ],
)
async def test_a_body_that_can_not_be_read_is_told_so(
    asking: Asking, body: bytes, content_type: str, code: str
) -> None:
    headers = {"Content-Type": content_type, "Authorization": "Bearer xoxb-simulated"}
    status, answer = await asking.raw("/api/chat.postMessage", data=body, headers=headers)
    assert (status, json.loads(answer)) == (200, {"ok": False, "error": code})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "method", "code"),
    [
        ({"archived": True}, "chat.postMessage", "is_archived"),
        ({"member": False}, "chat.postMessage", "not_in_channel"),
        ({"member": False, "private": True}, "chat.postMessage", "channel_not_found"),
        ({"member": False}, "conversations.history", "not_in_channel"),
        ({"member": False, "private": True}, "conversations.history", "channel_not_found"),
        ({"member": False, "private": True}, "conversations.info", "channel_not_found"),
    ],
)
async def test_a_channel_that_takes_nothing_is_refused(
    asking: Asking, state: dict[str, bool], method: str, code: str
) -> None:
    asking.slack.update_channel(asking.channel, **state)
    assert (await asking.refusal(method, channel=asking.channel, text="x"))["error"] == code


@pytest.mark.asyncio
async def test_a_public_channel_may_be_written_to_from_outside_with_the_scope_for_it(asking: Asking) -> None:
    asking.slack.update_channel(asking.channel, member=False)
    asking.slack.add_token("xoxb-wide", ("chat:write", "chat:write.public"))
    await asking.client("xoxb-wide").chat_postMessage(channel="#data-syncs", text="x")
    assert len(asking.slack.messages(asking.channel)) == 1


@pytest.mark.asyncio
async def test_a_channel_that_is_gone_or_not_named_is_refused(asking: Asking) -> None:
    assert (await asking.refusal("chat.postMessage", text="x"))["error"] == "invalid_arguments"
    assert (await asking.refusal("chat.postMessage", text="x", channel="#other"))["error"] == "channel_not_found"
    assert (await asking.refusal("conversations.info", channel="data-syncs"))["error"] == "channel_not_found"
    asking.slack.remove_channel(asking.channel)
    assert (await asking.refusal("chat.postMessage", text="x", channel=asking.channel))["error"] == "channel_not_found"


# Reading.


@pytest.mark.asyncio
async def test_history_is_newest_first_with_the_words_of_others_and_without_replies(asking: Asking) -> None:
    first = await asking.post("first")
    asking.slack.post_elsewhere(asking.channel, "by somebody")
    await asking.post("reply", thread_ts=first)
    await asking.post("shown reply", thread_ts=first, reply_broadcast=True)
    assert await texts(asking) == ["shown reply", "by somebody", "first"]
    history = (await asking.web.conversations_history(channel=asking.channel))["messages"]
    assert ["bot_id" in message for message in history] == [True, False, True]
    assert (history[2]["reply_count"], history[0]["thread_ts"]) == (2, first)
    assert [message.text for message in asking.slack.messages(asking.channel)] == ["first", "reply", "shown reply"]


@pytest.mark.asyncio
async def test_metadata_is_shown_only_when_asked_for(asking: Asking) -> None:
    await asking.post(metadata=EVENT)
    plain = await asking.web.conversations_history(channel=asking.channel)
    assert "metadata" not in plain["messages"][0]
    asked = await asking.web.conversations_history(channel=asking.channel, include_all_metadata=True)
    assert asked["messages"][0]["metadata"] == EVENT


@pytest.mark.asyncio
async def test_history_is_cut_by_time_with_bounds_only_when_inclusive(asking: Asking) -> None:
    times = [await asking.post(str(number)) for number in range(4)]
    assert await texts(asking, oldest=times[1]) == ["3", "2"]
    assert await texts(asking, latest=times[2]) == ["1", "0"]
    assert await texts(asking, oldest=times[1], latest=times[2], inclusive=True) == ["2", "1"]
    assert await texts(asking, oldest=times[1], latest=times[2], inclusive=False) == []
    assert await texts(asking, oldest=str(int(time.time()) + 100)) == []


@pytest.mark.asyncio
async def test_following_cursors_shows_every_message_once_whatever_comes_meanwhile(asking: Asking) -> None:
    for number in range(7):
        await asking.post(str(number))
    seen: list[str] = []
    cursor: str | None = None
    sizes = []
    while cursor != "":
        page = await asking.web.conversations_history(channel=asking.channel, limit=3, cursor=cursor)
        seen += [message["text"] for message in page["messages"]]
        sizes.append(len(page["messages"]))
        cursor = page["response_metadata"]["next_cursor"] if page["has_more"] else ""
        await asking.post("late")
    assert (seen, sizes) == (["6", "5", "4", "3", "2", "1", "0"], [3, 3, 1])


@pytest.mark.asyncio
async def test_a_page_holds_a_hundred_unless_asked(asking: Asking) -> None:
    for number in range(101):
        asking.slack.post_elsewhere(asking.channel, str(number))
    assert len(await texts(asking)) == 100
    assert len(await texts(asking, limit=999)) == 101


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"limit": 0}, "invalid_limit"),
        ({"limit": 1_000}, "invalid_limit"),
        ({"limit": "all"}, "invalid_limit"),
        ({"cursor": "bmV4dDow"}, "invalid_cursor"),
        ({"oldest": "yesterday"}, "invalid_ts_oldest"),
        ({"latest": "1700000000.1234567"}, "invalid_ts_latest"),
    ],
)
async def test_a_page_that_can_not_be_is_refused(asking: Asking, arguments: dict[str, Any], code: str) -> None:
    assert (await asking.refusal("conversations.history", channel=asking.channel, **arguments))["error"] == code


@pytest.mark.asyncio
async def test_replies_are_the_message_and_its_thread_oldest_first(asking: Asking) -> None:
    first = await asking.post("first")
    await asking.post("other")
    reply = await asking.post("one", thread_ts=first, metadata=EVENT)
    await asking.post("two", thread_ts=first)
    web = asking.web
    thread = await web.conversations_replies(channel=asking.channel, ts=first, include_all_metadata=True)
    assert [message["text"] for message in thread["messages"]] == ["first", "one", "two"]
    assert thread["messages"][1]["metadata"] == EVENT
    later = await web.conversations_replies(channel=asking.channel, ts=first, oldest=reply, limit=1)
    assert ([message["text"] for message in later["messages"]], later["has_more"]) == (["first"], True)
    cursor = later["response_metadata"]["next_cursor"]
    later = await web.conversations_replies(channel=asking.channel, ts=first, oldest=reply, cursor=cursor)
    assert [message["text"] for message in later["messages"]] == ["two"]
    answer = await asking.refusal("conversations.replies", channel=asking.channel, ts=reply)
    assert answer["error"] == "thread_not_found"


@pytest.mark.asyncio
async def test_info_shows_what_a_channel_is(asking: Asking) -> None:
    asking.slack.update_channel(asking.channel, member=False, archived=True, name="old")
    shown = (await asking.web.conversations_info(channel=asking.channel))["channel"]
    assert (shown["id"], shown["name"]) == (asking.channel, "old")
    assert (shown["is_member"], shown["is_archived"], shown["is_private"]) == (False, True, False)


@pytest.mark.asyncio
async def test_list_shows_the_types_asked_for_and_no_private_channel_of_others(asking: Asking) -> None:
    asking.slack.add_channel("private", private=True)
    asking.slack.add_channel("of others", private=True, member=False)
    asking.slack.add_channel("archived", id="C0OLD", archived=True)

    async def names(**arguments: Any) -> list[str]:
        answer = await asking.web.conversations_list(**arguments)
        return [channel["name"] for channel in answer["channels"]]

    assert await names() == ["data-syncs", "archived"]
    assert await names(exclude_archived=True) == ["data-syncs"]
    assert await names(types="public_channel,private_channel,im") == ["data-syncs", "private", "archived"]
    first = await asking.web.conversations_list(limit=1)
    cursor = first["response_metadata"]["next_cursor"]
    assert await names(limit=1, cursor=cursor) == ["archived"]
    assert (await asking.refusal("conversations.list", types="everything"))["error"] == "invalid_types"


@pytest.mark.asyncio
async def test_two_channels_can_not_have_one_name_and_an_unknown_one_can_not_be_changed(asking: Asking) -> None:
    with pytest.raises(ValueError, match="data-syncs"):
        asking.slack.add_channel("#data-syncs")
    for change in (asking.slack.update_channel, asking.slack.remove_channel, asking.slack.add_webhook):
        with pytest.raises(UnknownObjectError):
            change("C9")


# Incoming webhooks.


@pytest.mark.asyncio
async def test_a_webhook_keeps_the_message_and_answers_ok(asking: Asking) -> None:
    answer = await asking.webhook.send_dict({"text": "hi", "blocks": [DIVIDER], "metadata": EVENT})
    assert (answer.status_code, answer.body) == (200, "ok")
    (message,) = asking.slack.messages(asking.channel)
    assert (message.text, message.blocks, message.metadata) == ("hi", [DIVIDER], EVENT)
    (request,) = asking.slack.requests
    assert (request.method, request.channel, request.answer) == ("incoming_webhook", asking.channel, "ok")


@pytest.mark.asyncio
async def test_a_webhook_takes_a_form_whose_payload_is_json(asking: Asking) -> None:
    assert await asking.raw(asking.hook, data={"payload": '{"text": "hi"}'}) == (200, "ok")
    assert [message.text for message in asking.slack.messages()] == ["hi"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "invalid_payload"),
        (b"text", "invalid_payload"),
        (b"[]", "invalid_payload"),
        (b'{"text": "\\ud800"}', "invalid_payload"),
        (b'{"text": "x", "blocks": [{"type": "header"}]}', "invalid_payload"),
        (b'{"text": "x", "metadata": {}}', "invalid_payload"),
        (b'{"text": "%s"}' % (b"x" * 4_001), "invalid_payload"),
        (b"{}", "no_text"),
        (b'{"text": ""}', "no_text"),
    ],
)
async def test_a_webhook_refuses_a_message_out_of_shape(asking: Asking, body: bytes, word: str) -> None:
    assert await asking.raw(asking.hook, data=body, headers={"Content-Type": "application/json"}) == (400, word)
    assert asking.slack.messages() == []


@pytest.mark.asyncio
async def test_a_webhook_that_leads_nowhere_says_so(asking: Asking) -> None:
    slack, hello = asking.slack, {"text": "x"}
    assert await asking.raw("/services/T1/B1/x", json=hello) == (404, "no_service")
    slack.update_channel(asking.channel, archived=True)
    assert await asking.raw(asking.hook, json=hello) == (410, "channel_is_archived")
    slack.remove_channel(asking.channel)
    assert await asking.raw(asking.hook, json=hello) == (404, "channel_not_found")
    slack.remove_webhook(asking.hook)
    assert await asking.raw(asking.hook, json=hello) == (404, "no_service")
    with pytest.raises(UnknownObjectError):
        slack.remove_webhook(asking.hook)
    assert (await asking.raw("/elsewhere", json=hello))[0] == 404
    assert [request.answer for request in slack.requests] == [
        "no_service",
        "channel_is_archived",
        "channel_not_found",
        "no_service",
    ]


# Faults.


@pytest.mark.asyncio
async def test_errors_come_so_often_as_told_and_keep_nothing(asking: Asking) -> None:
    twice = asking.slack.error("internal_error", times=2, warning="w")
    for _ in range(2):
        answer = await asking.refusal("chat.postMessage", channel=asking.channel, text="x")
        assert answer == {"ok": False, "error": "internal_error", "warning": "w"}
    await asking.post()
    assert (twice.hits, len(asking.slack.messages())) == (2, 1)


@pytest.mark.asyncio
async def test_a_fault_holds_for_its_method_and_its_channel_until_it_is_cleared(asking: Asking) -> None:
    other = asking.slack.add_channel("other")
    lasting = asking.slack.error("is_archived", method="*", channel="#data-syncs")
    await asking.web.chat_postMessage(channel=other, text="x")
    await asking.web.auth_test()
    assert (await asking.refusal("conversations.info", channel=asking.channel))["error"] == "is_archived"
    assert (await asking.webhook.send(text="x")).status_code == 400
    lasting.clear()
    await asking.post()
    asking.slack.error("fatal_error", method="conversations.*")
    await asking.post()
    assert (await asking.refusal("conversations.list"))["error"] == "fatal_error"
    asking.slack.clear_faults()
    await asking.web.conversations_list()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "told", "status"),
    [("action_prohibited", None, 403), ("no_team", None, 404), ("odd", None, 400), ("odd", 500, 500)],
)
async def test_an_error_of_a_webhook_is_a_word_with_the_status_that_goes_with_it(
    asking: Asking, code: str, told: int | None, status: int
) -> None:
    asking.slack.error(code, method="incoming_webhook", status=told)
    answer = await asking.webhook.send(text="x")
    assert (answer.status_code, answer.body) == (status, code)
    assert asking.slack.requests[0].answer == code


@pytest.mark.asyncio
@pytest.mark.parametrize(("retry_after", "header"), [(30, "30"), ("soon", "soon"), (None, None)])
async def test_a_rate_limit_is_a_429_with_or_without_a_time(
    asking: Asking, retry_after: int | str | None, header: str | None
) -> None:
    asking.slack.rate_limit(retry_after, method="*")
    with pytest.raises(SlackApiError) as limited:
        await asking.post()
    assert (limited.value.response.status_code, limited.value.response["error"]) == (429, "ratelimited")
    assert limited.value.response.headers.get("Retry-After") == header
    answer = await asking.webhook.send(text="x")
    assert (answer.status_code, answer.body, answer.headers.get("Retry-After")) == (429, "rate_limited", header)


@pytest.mark.asyncio
async def test_a_status_a_body_and_a_redirect_are_answered_as_given_and_keep_nothing(asking: Asking) -> None:
    path, form = "/api/chat.postMessage", {"token": "xoxb-simulated", "channel": "data-syncs", "text": "x"}
    asking.slack.status(503, b"<html>", {"Retry-After": "7"}, times=1)
    asking.slack.body(b"\xff", times=1)
    asking.slack.body(b"hello", "text/plain", times=1)
    asking.slack.redirect("/elsewhere", 307, times=1)
    assert await asking.raw(path, data=form) == (503, "<html>")
    async with asking.session.post(asking.slack.origin + path, data=form) as response:
        assert (response.status, response.content_type, await response.read()) == (200, "application/json", b"\xff")
    assert await asking.raw(path, data=form) == (200, "hello")
    async with asking.session.post(asking.slack.origin + path, data=form, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "/elsewhere")
    assert asking.slack.messages() == []
    assert [(r.status, r.answer, r.accepted) for r in asking.slack.requests] == [
        (503, None, False),
        (200, None, False),
        (200, None, False),
        (307, None, False),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("hang_up", "kept"),
    [(lambda slack: slack.drop(times=1), False), (lambda slack: slack.accept_then_drop(times=1), True)],
    ids=["nothing kept", "kept"],
)
async def test_a_connection_drops_before_or_after_the_message_is_kept(
    asking: Asking, hang_up: Callable[[SlackSimulator], FaultHandle], kept: bool
) -> None:
    fault = hang_up(asking.slack)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asking.post()
    (request,) = asking.slack.requests
    assert (request.status, request.answer, request.accepted) == (None, None, kept)
    assert (len(asking.slack.messages()), fault.hits) == (int(kept), 1)


@pytest.mark.asyncio
async def test_a_message_may_be_kept_and_answered_with_an_error_all_the_same(asking: Asking) -> None:
    asking.slack.accept_then_status(502, b"bad", method="*", times=2)
    with pytest.raises(SlackApiError) as failed:
        await asking.post(metadata=EVENT)
    assert failed.value.response.status_code == 502
    assert (await asking.webhook.send(text="x")).status_code == 502
    assert [message.metadata for message in asking.slack.messages()] == [EVENT, None]
    assert [(r.status, r.accepted) for r in asking.slack.requests] == [(502, True), (502, True)]


@pytest.mark.asyncio
async def test_what_is_accepted_is_checked_first(asking: Asking) -> None:
    asking.slack.accept_then_drop()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asking.post("x" * 4_001)
    assert (asking.slack.messages(), asking.slack.requests[0].accepted) == ([], False)


@pytest.mark.asyncio
async def test_a_hanging_request_goes_on_when_the_fault_is_cleared(asking: Asking) -> None:
    fault = asking.slack.hang(times=1)
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(asking.post("late"))
        await asking.slack.wait_for(lambda _: fault.hits == 1)
        await asking.post("in time")
        assert not hanging.done()
        fault.clear()
    assert [message.text for message in asking.slack.messages()] == ["in time", "late"]


# Pace.


@pytest.mark.asyncio
async def test_a_second_message_within_a_second_is_too_soon_when_pace_is_enforced(asking: Asking) -> None:
    slack = asking.slack
    other = slack.add_channel("other")
    slack.enforce_pace = True
    await asking.post()
    fault = slack.error("fatal_error", times=1)
    with pytest.raises(SlackApiError) as limited:
        await asking.post()
    assert (limited.value.response.status_code, limited.value.response.headers["Retry-After"]) == (429, "1")
    assert fault.hits == 0
    fault.clear()
    await asking.web.chat_postMessage(channel=other, text="another channel")
    await asking.web.conversations_history(channel=asking.channel)
    assert [(await asking.webhook.send(text="x")).status_code for _ in range(2)] == [200, 429]
    slack.enforce_pace = False
    await asking.post()


# Waiting.


@pytest.mark.asyncio
async def test_waiting_ends_when_enough_messages_are_kept_or_the_condition_holds(asking: Asking) -> None:
    async with asyncio.TaskGroup() as tasks:
        two = tasks.create_task(asking.slack.wait_for(2))
        late = tasks.create_task(asking.slack.wait_for(lambda messages: any(m.text == "late" for m in messages)))
        asking.slack.post_elsewhere(asking.channel, "late")
        await asking.post("x")
        await asking.post("late")
    assert [message.text for message in two.result()] == [message.text for message in late.result()] == ["x", "late"]


@pytest.mark.asyncio
async def test_waiting_in_vain_shows_what_came_instead(asking: Asking) -> None:
    await asking.post("hello")
    await asking.refusal("chat.postMessage", channel="#other", text="x")
    with pytest.raises(AssertionError) as shown:
        await asking.slack.wait_for(2, timeout=0.01)
    for part in ("0.01 s for 2 messages", "kept 1:", "hello", "asked 2:", "#other -> 200 channel_not_found"):
        assert part in str(shown.value)


@pytest.mark.asyncio
async def test_a_reset_forgets_what_came_and_keeps_the_workspace(asking: Asking) -> None:
    asking.slack.error("fatal_error")
    await asking.webhook.send(text="x")
    asking.slack.reset()
    assert (asking.slack.messages(), asking.slack.requests, asking.slack.request_count) == ([], [], 0)
    await asking.post()
    assert (await asking.webhook.send(text="x")).body == "ok"


# The thread.


def test_the_thread_serves_slack_to_callers_that_block() -> None:
    with SimulatorThread() as simulator, ThreadPoolExecutor(1) as pool:
        slack = simulator.slack
        assert simulator.slack_url not in ("", simulator.base_url, simulator.sink_url)
        assert slack.api_url == f"{simulator.slack_url}/api/"
        channel = slack.add_channel("data-syncs")
        web = AsyncWebClient("xoxb-simulated", base_url=slack.api_url, retry_handlers=[])
        posted = pool.submit(lambda: asyncio.run(_post(web, channel)))
        assert [message.text for message in slack.wait_for(1)] == ["hi"]
        posted.result()
        fault = slack.error("is_archived")
        with pytest.raises(SlackApiError):
            asyncio.run(_post(web, channel))
        fault.clear()
        assert (fault.hits, len(slack.messages(channel)), len(slack.requests)) == (1, 1, 2)
        assert slack.connections == 2
        slack.enforce_pace = True
        with pytest.raises(SlackApiError, match="ratelimited"):
            asyncio.run(_post(web, channel))
        slack.reset()
        assert slack.messages() == []


async def _post(web: AsyncWebClient, channel: str) -> None:
    await web.chat_postMessage(channel=channel, text="hi")


# What Slack refuses of one message.


async def said_to(asking: Asking, **arguments: Any) -> str:
    try:
        answer = await asking.web.chat_postMessage(channel=asking.channel, text="x", **arguments)
    except SlackApiError as refused:
        return str(refused.response["error"])
    return str(answer["channel"])


@pytest.mark.asyncio
async def test_a_locked_thread_takes_no_reply_and_all_else_goes_on(asking: Asking) -> None:
    ts, other = await asking.post(), await asking.post()
    asking.slack.lock_thread(asking.channel, ts)
    assert await said_to(asking, thread_ts=ts) == "restricted_action_thread_locked"
    assert await said_to(asking, thread_ts=other) == await said_to(asking) == asking.channel
    assert (await asking.web.chat_update(channel=asking.channel, ts=ts, text="y"))["ok"] is True
    with pytest.raises(UnknownObjectError):
        asking.slack.lock_thread(asking.channel, "1.0")


@pytest.mark.asyncio
async def test_a_channel_may_take_no_replies_or_replies_alone(asking: Asking) -> None:
    ts = await asking.post()
    asking.slack.update_channel(asking.channel, threads=False)
    assert await said_to(asking, thread_ts=ts) == "restricted_action_non_threadable_channel"
    assert await said_to(asking) == asking.channel
    asking.slack.update_channel(asking.channel, threads=True, posts=False)
    assert await said_to(asking) == "restricted_action_thread_only_channel"
    assert await said_to(asking, thread_ts=ts, reply_broadcast=True) == "restricted_action_thread_only_channel"
    assert await said_to(asking, thread_ts=ts) == asking.channel


@pytest.mark.asyncio
async def test_a_workspace_may_forbid_to_call_all(asking: Asking) -> None:
    asking.slack.update_channel(asking.channel, broadcasts=False)

    def calling(piece: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [piece]}]}]

    here, user = {"type": "broadcast", "range": "here"}, {"type": "user", "user_id": "U0123"}
    assert await said_to(asking, blocks=calling(here)) == "restricted_action"
    assert await said_to(asking, blocks=calling(user)) == asking.channel
    with pytest.raises(SlackApiError, match="restricted_action"):
        await asking.web.chat_postMessage(channel=asking.channel, text="look <!channel>")
    refused = await asking.webhook.send(text="x", blocks=calling(here))
    assert (refused.status_code, refused.body) == (403, "action_prohibited")
    assert (await asking.webhook.send(text="x <@U0123>")).body == "ok"


@pytest.mark.asyncio
async def test_an_id_that_a_channel_had_before_is_posted_to_and_not_read(asking: Asking) -> None:
    asking.slack.add_alias(asking.channel, "C0OLD00001")
    posted = await asking.web.chat_postMessage(channel="C0OLD00001", text="x")
    assert posted["channel"] == asking.channel
    edit = await asking.refusal("chat.update", channel="C0OLD00001", ts=posted["ts"], text="y")
    history = await asking.refusal("conversations.history", channel="C0OLD00001")
    assert (edit["error"], history["error"]) == ("channel_not_found", "channel_not_found")
    with pytest.raises(UnknownObjectError):
        asking.slack.add_alias("C9", "C8")


def test_the_thread_can_lock_and_rename() -> None:
    with SimulatorThread() as simulator:
        slack = simulator.slack
        channel = slack.add_channel("data-syncs")
        slack.add_alias(channel, "C0OLD00001")
        with pytest.raises(UnknownObjectError):
            slack.lock_thread(channel, "1.0")
