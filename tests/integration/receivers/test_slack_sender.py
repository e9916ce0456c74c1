"""The senders of Slack receivers against a Slack on real sockets: what they send, and what its error codes come to."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import pytest_asyncio

import notifier
from notifier.model.delivery import Broken, Delivered, Outcome, Refused, Retry
from notifier.model.errors import ProxyUnusable
from notifier.receivers.slack.incoming import SlackWebhookSender
from notifier.receivers.slack.sender import SlackSender
from notifier.simulator import Status
from notifier.simulator.faults import Body, Redirect
from notifier.simulator.slack.faults import POST_MESSAGE, Accept, Drop, RateLimit, SlackError, SlackFault
from tests.builders import TOKEN, a_slack_channel, a_slack_webhook
from tests.integration.receivers.desk import (
    BOTH,
    WEBHOOK,
    Canned,
    Desk,
    an_event,
    open_desk,
    pauses_noted,
    without_proxies,
)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


# --- what is sent ---


@pytest.mark.asyncio
async def test_a_channel_gets_blocks_text_and_metadata_and_nothing_that_slack_could_make_more_of(desk: Desk) -> None:
    outcome = await desk.to_channel().send(an_event())
    assert outcome == Delivered(note=f"#data-syncs={desk.channel}")
    message = desk.only_message
    assert isinstance(outcome, Delivered)
    assert outcome.answer == f"ok, channel {desk.channel}, ts {message.ts}"
    assert message.request["channel"] == "#data-syncs"
    assert message.text == "New Signups to Leads: run 93 failed, JSON_ARRAY_ERROR"
    assert [block["type"] for block in message.blocks] == ["rich_text", "context", "context"]
    assert message.metadata == {
        "event_type": "census_sync_run",
        "event_payload": {"event_id": "evt_1", "receiver": "growth"},
    }
    rest = {key: value for key, value in message.request.items() if key not in ("channel", "text", "blocks")}
    assert rest == {
        "metadata": message.metadata,
        "unfurl_links": False,
        "unfurl_media": False,
        "mrkdwn": False,
        "parse": "none",
    }


@pytest.mark.asyncio
async def test_a_webhook_gets_the_same_but_for_the_channel(desk: Desk) -> None:
    assert await desk.to_channel().send(an_event()) == Delivered(note=f"#data-syncs={desk.channel}")
    outcome = await desk.to_webhook().send(an_event())
    assert outcome == Delivered()
    assert isinstance(outcome, Delivered)
    assert outcome.answer == "HTTP 200 ok"
    by_token, by_webhook = desk.slack.messages()
    assert {**by_webhook.request, "channel": "#data-syncs"} == by_token.request


@BOTH
@pytest.mark.asyncio
async def test_the_headers_say_who_sends_and_ask_for_a_plain_answer(desk: Desk, kind: str) -> None:
    await desk.send(kind)
    [request] = desk.slack.requests
    assert request.headers["User-Agent"].startswith(f"census-notifier/{notifier.__version__} ")
    assert request.headers["Content-Type"].lower().replace(" ", "") == "application/json;charset=utf-8"
    assert request.headers.getall("Accept-Encoding") == ["identity"]
    assert request.headers.get("Authorization") == (f"Bearer {TOKEN}" if kind == POST_MESSAGE else None)


@pytest.mark.asyncio
@pytest.mark.parametrize("channel", ["C0000000001", "#data-syncs", "data-syncs"])
async def test_the_channel_is_sent_as_the_watchlist_has_it(desk: Desk, channel: str) -> None:
    assert await desk.to_channel(channel).send(an_event()) == Delivered(note=f"{channel}={desk.channel}")
    assert desk.only_message.request["channel"] == channel


@pytest.mark.asyncio
async def test_an_api_url_may_end_with_a_slash_or_without(desk: Desk) -> None:
    settings = a_slack_channel(token=TOKEN, api_url=desk.slack.api_url.rstrip("/"))
    assert isinstance(await desk.senders.build("growth", settings).send(an_event()), Delivered)


@BOTH
@pytest.mark.asyncio
async def test_messages_share_a_connection(desk: Desk, kind: str) -> None:
    sender = desk.sender(kind)
    for number in range(5):
        assert isinstance(await sender.send(an_event(f"evt_{number}")), Delivered)
    assert desk.slack.connections == 1


@pytest.mark.asyncio
async def test_each_kind_of_receiver_gets_its_sender(desk: Desk) -> None:
    to_channel, to_webhook = desk.to_channel(), desk.to_webhook()
    assert isinstance(to_channel, SlackSender)
    assert isinstance(to_webhook, SlackWebhookSender)
    assert (to_channel.name, to_channel.concurrency, to_channel.can_be_asked) == ("growth", 1, True)
    assert (to_webhook.name, to_webhook.concurrency, to_webhook.can_be_asked) == ("growth", 1, False)


# --- proxies ---


def answer_of(body: bytes, content_type: str = "application/json", head: str = "") -> bytes:
    """A whole answer of 200."""
    length = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length.encode() + body


@BOTH
@pytest.mark.asyncio
async def test_a_proxy_of_the_environment_is_used_with_its_credentials(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = b"ok" if kind == WEBHOOK else b'{"ok": true, "channel": "C0000000001", "ts": "1.0"}'
    async with Canned().answering(answer_of(said)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://somebody:canary@{proxy.place}")
        monkeypatch.setenv("NO_PROXY", "census.example,127.0.0.2")
        assert isinstance(await desk.send(kind), Delivered)
    [head] = proxy.heads
    assert head.startswith(f"POST {desk.slack.origin}/")
    assert "Proxy-Authorization: Basic c29tZWJvZHk6Y2FuYXJ5\r\n" in head
    assert desk.slack.connections == 0


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize("spared", ["127.0.0.1", "census.example,127.0.0.1", "*"])
async def test_no_proxy_is_obeyed(desk: Desk, kind: str, spared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", spared)
    assert isinstance(await desk.send(kind), Delivered)


@pytest.mark.asyncio
async def test_slack_itself_is_asked_through_the_proxy_for_https(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Canned().answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.place}")
        refused = Retry("no connection: the proxy answered HTTP 403")
        for settings in (a_slack_channel(api_url=None), a_slack_webhook("https://hooks.slack.com/services/canary")):
            assert await desk.senders.build("growth", settings).send(an_event()) == refused
    assert [head.split(" HTTP")[0] for head in proxy.heads] == ["CONNECT slack.com:443", "CONNECT hooks.slack.com:443"]


@BOTH
@pytest.mark.asyncio
async def test_a_proxy_that_is_none_is_an_error_of_ours_that_does_not_show_it(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://somebody:canary@127.0.0.1:1")
    with pytest.raises(ProxyUnusable, match=r"^HTTP_PROXY: must be a URL") as raised:
        desk.sender(kind)
    assert "canary" not in str(raised.value)


@BOTH
@pytest.mark.asyncio
async def test_a_proxy_that_can_not_be_reached_sent_nothing(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await desk.send(kind) == Retry("no connection: the proxy can't be reached")


# --- error codes ---


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (SlackError("ratelimited"), Retry("ratelimited")),
        (SlackError("org_login_required"), Retry("org_login_required", timedelta(minutes=5))),
        (SlackError("internal_error"), Retry("internal_error", maybe_sent=True)),
        (SlackError("fatal_error", 500), Retry("fatal_error", maybe_sent=True)),
        (SlackError("service_unavailable", 503), Retry("service_unavailable", maybe_sent=True)),
        (SlackError("no_permission"), Broken("no_permission")),
        (SlackError("access_denied", 403), Broken("access_denied")),
        (SlackError("quite_new_error"), Retry("quite_new_error: an unknown error")),
        (SlackError("quite_new_error", 500), Retry("HTTP 500 Internal Server Error: quite_new_error", maybe_sent=True)),
    ],
)
async def test_an_error_of_the_web_api_becomes_an_outcome(desk: Desk, fault: SlackFault, expected: Outcome) -> None:
    assert await desk.send(POST_MESSAGE, fault) == expected
    assert len(desk.slack.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("rate_limited", Retry("rate_limited")),
        ("rollup_error", Retry("rollup_error", maybe_sent=True)),
        ("invalid_token", Broken("invalid_token")),
        ("user_not_found", Broken("user_not_found")),
        ("quite_new_error", Retry("quite_new_error: an unknown error")),
    ],
)
async def test_an_error_of_a_webhook_becomes_an_outcome(desk: Desk, code: str, expected: Outcome) -> None:
    assert await desk.send(WEBHOOK, SlackError(code)) == expected
    assert len(desk.slack.requests) == 1


@pytest.mark.asyncio
async def test_a_channel_or_token_that_does_not_work_breaks_the_receiver_with_a_remedy(desk: Desk) -> None:
    async def breaks(channel: str = "#data-syncs", token: str = TOKEN) -> str:
        outcome = await desk.to_channel(channel, token=token).send(an_event())
        assert isinstance(outcome, Broken)
        assert not outcome.maybe_sent
        return outcome.reason

    desk.slack.add_token("xoxb-poor", ("channels:read",))
    assert (await breaks("#nowhere")).startswith("channel_not_found: check the channel's ID; if it is private, invite")
    assert (await breaks(token="xoxb-wrong")).startswith("invalid_auth: check the token")
    assert (await breaks(token="xoxb-poor")).startswith("missing_scope (needed: chat:write): add the scope to the app")
    desk.slack.update_channel(desk.channel, member=False)
    assert (await breaks()).startswith("not_in_channel: invite the app")
    desk.slack.update_channel(desk.channel, member=True, archived=True)
    assert (await breaks()).startswith("is_archived: unarchive the channel")
    desk.slack.revoke_token(TOKEN)
    assert (await breaks()).startswith("token_revoked: install the app again")
    assert desk.slack.messages() == []


@pytest.mark.asyncio
async def test_a_webhook_that_does_not_work_breaks_the_receiver_with_a_remedy(desk: Desk) -> None:
    desk.slack.update_channel(desk.channel, archived=True)
    assert await desk.send(WEBHOOK) == Broken(
        "channel_is_archived: unarchive the channel, or make a webhook for another"
    )
    desk.slack.remove_webhook(desk.path)
    assert await desk.send(WEBHOOK) == Broken("no_service: the webhook was removed or its URL is wrong; make a new one")


@BOTH
@pytest.mark.asyncio
async def test_an_unknown_code_is_tried_five_times_for_each_event_and_then_counted_anew(desk: Desk, kind: str) -> None:
    desk.slack.error("quite_new_error", method=kind)
    sender = desk.sender(kind)
    again = Retry("quite_new_error: an unknown error")
    for _ in range(4):
        assert await sender.send(an_event("evt_1")) == again
    assert await sender.send(an_event("evt_2")) == again
    refused = await sender.send(an_event("evt_1"))
    assert refused == Refused("quite_new_error: an unknown error, 5 times")
    assert await sender.send(an_event("evt_1")) == again
    assert len(desk.slack.requests) == 7  # never as plain text: it is not known to be about the shape


@BOTH
@pytest.mark.asyncio
async def test_unknown_codes_are_counted_anew_after_a_delivery(desk: Desk, kind: str) -> None:
    sender = desk.sender(kind)
    for _ in range(2):
        desk.slack.error("quite_new_error", method=kind, times=4)
        for _ in range(4):
            assert isinstance(await sender.send(an_event()), Retry)
        assert isinstance(await sender.send(an_event()), Delivered)


@BOTH
@pytest.mark.asyncio
async def test_what_slack_says_beside_an_error_is_shown_and_bounded(desk: Desk, kind: str) -> None:
    said = ["[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]", "x" * 10_000]
    extra = {"response_metadata": {"messages": said}}
    outcome = await desk.send(kind, SlackError("c" * 70, extra=extra))
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("c" * 70)
    assert ("json-pointer:/blocks/0" in outcome.reason) is (kind == POST_MESSAGE)
    assert len(outcome.reason) < 500


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "extra",
    [
        {"needed": 7},
        {"response_metadata": None},
        {"response_metadata": []},
        {"response_metadata": {"messages": "x"}},
        {"response_metadata": {"messages": {"x": 1}}},
    ],
)
async def test_a_detail_of_another_shape_is_left_out(desk: Desk, extra: dict[str, object]) -> None:
    assert await desk.send(POST_MESSAGE, SlackError("no_permission", extra=extra)) == Broken("no_permission")


# --- a message that is refused for its shape ---


@BOTH
@pytest.mark.asyncio
async def test_a_message_whose_blocks_are_refused_is_sent_as_plain_text_a_second_later(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = pauses_noted(monkeypatch)
    assert isinstance(await desk.send(kind, SlackError("invalid_blocks")), Delivered)
    assert len(desk.slack.requests) == 2
    assert pauses == [1.0]  # Slack's pace
    message = desk.only_message
    assert "blocks" not in message.request
    assert message.text.splitlines()[:2] == ["New Signups to Leads: run 93 failed", "JSON_ARRAY_ERROR"]
    assert message.metadata == {
        "event_type": "census_sync_run",
        "event_payload": {"event_id": "evt_1", "receiver": "growth"},
    }


@BOTH
@pytest.mark.asyncio
async def test_a_message_that_is_refused_as_plain_text_too_is_given_up(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses_noted(monkeypatch)
    outcome = await desk.send(kind, SlackError("invalid_blocks_format"), SlackError("msg_too_long"))
    assert outcome == Refused("msg_too_long")
    assert len(desk.slack.requests) == 2


@pytest.mark.asyncio
async def test_a_message_whose_metadata_is_refused_is_sent_without_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses_noted(monkeypatch)
    assert isinstance(await desk.send(POST_MESSAGE, SlackError("metadata_too_large")), Delivered)
    assert "metadata" not in desk.only_message.request
    assert "blocks" not in desk.only_message.request


@pytest.mark.asyncio
async def test_the_outcome_is_that_of_the_plain_text(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses_noted(monkeypatch)
    outcome = await desk.send(POST_MESSAGE, SlackError("invalid_blocks"), Accept(Drop()))
    assert outcome == Retry("the connection was dropped before an answer", maybe_sent=True)


# --- who shares a turnstile ---


@pytest.mark.asyncio
async def test_receivers_with_the_same_token_and_channel_share_a_turnstile_and_others_do_not(desk: Desk) -> None:
    first = desk.to_channel("#data-syncs").turnstile
    assert desk.to_channel("data-syncs").turnstile is first
    webhook = desk.to_webhook().turnstile
    assert desk.to_webhook().turnstile is webhook
    elsewhere = a_slack_webhook(desk.webhook_url + "x")
    all_of_them = [
        first,
        webhook,
        desk.to_channel("#other").turnstile,
        desk.to_channel("#data-syncs", token="xoxb-other").turnstile,
        desk.senders.build("growth", elsewhere).turnstile,
    ]
    assert len({id(turnstile) for turnstile in all_of_them}) == 5


@pytest.mark.asyncio
async def test_one_channel_by_its_name_and_by_its_id_is_one_destination_once_slack_said_so(desk: Desk) -> None:
    by_id, by_name, other = desk.to_channel(desk.channel), desk.to_channel(), desk.to_channel("#other")
    desk.slack.add_channel("other")
    assert by_name.turnstile is not by_id.turnstile
    for sender in (by_name, other):
        assert isinstance(await sender.send(an_event()), Delivered)
    assert by_name.turnstile is by_id.turnstile
    assert other.turnstile is not by_id.turnstile
    assert desk.to_channel(note=f"#data-syncs={desk.channel}").turnstile is by_id.turnstile
    looked = desk.to_channel()
    outcome = await looked.send(an_event(maybe_sent_at=datetime.now(UTC)))
    assert isinstance(outcome, Delivered)
    assert desk.methods.count(POST_MESSAGE) == 2  # it found what `by_name` had sent
    assert looked.turnstile is by_id.turnstile


@BOTH
@pytest.mark.asyncio
async def test_the_pace_is_one_message_a_second(desk: Desk, kind: str) -> None:
    turnstile = desk.sender(kind).turnstile
    turnstile.enter("growth", 10.0).leave(10.5)
    assert turnstile.opens_at("growth") == 11.5


# --- secrets ---


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All that any logger says at DEBUG, also those that show it to nobody."""
    said: list[str] = []
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    level = root.level

    def keep(*args: object, **kwargs: object) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        said.append(f"{record.getMessage()} {record.exc_info!r}")
        return record

    root.setLevel(logging.DEBUG)
    logging.setLogRecordFactory(keep)
    yield said
    logging.setLogRecordFactory(factory)
    root.setLevel(level)


FAILURES: Final[tuple[SlackFault, ...]] = (
    SlackError("channel_not_found"),
    SlackError("quite_new_error"),
    SlackError("internal_error", 500),
    RateLimit(1),
    Redirect("http://127.0.0.1:1/"),
    Status(404, b"<html>"),
    Body(b"\xff"),
    Drop(),
)


@pytest.mark.asyncio
async def test_no_log_no_outcome_and_no_repr_holds_a_secret(
    desk: Desk, logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("canary").debug("the logs are watched")
    shown = [repr(await desk.check()), repr(await desk.check("#nowhere", token="xoxb-canary-2"))]
    for kind in (POST_MESSAGE, WEBHOOK):
        sender = desk.sender(kind)
        shown += [repr(desk.senders), repr(sender), repr(sender.turnstile), repr(await desk.send(kind))]
        shown += [repr(await desk.send(kind, fault)) for fault in FAILURES]
        echo = json.dumps({"ok": False, "said": TOKEN, "url": desk.webhook_url}).encode()
        shown += [repr(await desk.send(kind, Status(status, echo))) for status in (200, 400, 404, 500)]
        shown.append(repr(await desk.send(kind, Status(400, desk.webhook_url.encode()))))
    shown.append(repr(await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))))
    desk.slack.error("internal_error", method="conversations.*")
    shown.append(repr(await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))))
    assert "the logs are watched None" in logged
    captured = capfd.readouterr()
    everything = "\n".join([*logged, *shown, captured.out, captured.err])
    for secret in (TOKEN, "xoxb-canary-2", desk.path, "127.0.0.1"):
        assert secret not in everything


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        {"ok": False, "error": TOKEN},
        {"ok": False, "error": f"no {TOKEN}"},
        {"ok": False, "error": "missing_scope", "needed": TOKEN},
        {"ok": False, "error": "quite_new_error", "response_metadata": {"messages": [f"Bearer {TOKEN}"]}},
        {"ok": True, "channel": f"C {TOKEN}", "ts": TOKEN, "user": TOKEN, "team": TOKEN},
    ],
)
async def test_a_server_that_repeats_the_token_does_not_bring_it_into_words(
    desk: Desk, answer: dict[str, object]
) -> None:
    content = json.dumps(answer).encode()
    desk.slack.body(content, method="auth.test")
    shown = [repr(await desk.send(POST_MESSAGE, Body(content))), repr(await desk.check())]
    desk.slack.body(content, method="conversations.*")
    shown.append(repr(await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))))
    assert TOKEN not in "".join(shown)


@pytest.mark.asyncio
async def test_a_token_that_is_a_word_of_slacks_answers_breaks_none_of_them(desk: Desk) -> None:
    desk.slack.add_token("channel")  # of a test server: Slack's own are longer
    outcome = await desk.to_channel(token="channel").send(an_event())
    assert outcome == Delivered(note=f"#data-syncs={desk.channel}")
