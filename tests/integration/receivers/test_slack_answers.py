"""What the senders of Slack receivers make of each answer, and of none: real sockets, both kinds."""

import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

import pytest
import pytest_asyncio

from notifier.model.delivery import Broken, Delivered, Outcome, Refused, Retry
from notifier.model.errors import status_in_words
from notifier.receivers.slack.client import LARGEST_ANSWER
from notifier.simulator import Status, WebhookSink
from notifier.simulator.faults import Body, Hang, Redirect
from notifier.simulator.slack.faults import POST_MESSAGE, Accept, Drop, RateLimit, SlackFault
from tests.builders import a_slack_channel, a_slack_webhook
from tests.integration.receivers.desk import BOTH, SHORT, WEBHOOK, Canned, Desk, an_event, open_desk, without_proxies

HOUR: Final = timedelta(hours=1)
SLOW_DOWN: Final = "HTTP 429 Too Many Requests: Slack asks to slow down"
NOT_SLACKS: Final = "HTTP 200 OK, but not with an answer of Slack's"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


# --- 429 ---


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("header", "after"),
    [
        (7, timedelta(seconds=7)),
        ("30", timedelta(seconds=30)),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("86400", HOUR),
        ("9" * 400, HOUR),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", HOUR),
    ],
)
async def test_a_429_is_obeyed_in_any_form_an_hour_at_most(
    desk: Desk, kind: str, header: int | str | None, after: timedelta | None
) -> None:
    assert await desk.send(kind, RateLimit(header)) == Retry(SLOW_DOWN, after)
    assert len(desk.slack.requests) == 1


@BOTH
@pytest.mark.asyncio
async def test_a_429_may_name_the_end_of_the_wait(desk: Desk, kind: str) -> None:
    due = datetime.now(UTC) + timedelta(minutes=30)
    outcome = await desk.send(kind, RateLimit(format_datetime(due, usegmt=True)))
    assert isinstance(outcome, Retry)
    assert outcome.after is not None
    assert timedelta(minutes=25) < outcome.after <= timedelta(minutes=30)


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>slow down</html>", {"Content-Type": "text/html"}),
        (b"slow down", {"Content-Type": "text/plain"}),
        (b"", {}),
        (b"plain", {"Content-Encoding": "gzip"}),
        (b"x" * 100_000, {"Content-Type": "text/html"}),
    ],
)
async def test_a_429_of_somebody_on_the_way_is_obeyed_too(
    desk: Desk, kind: str, body: bytes, headers: dict[str, str]
) -> None:
    assert await desk.send(kind, Status(429, body, {"Retry-After": "7", **headers})) == Retry(
        SLOW_DOWN, timedelta(seconds=7)
    )


# --- other statuses ---


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(desk: Desk, kind: str, status: int) -> None:
    elsewhere = WebhookSink()
    async with elsewhere.serve() as url:
        outcome = await desk.send(kind, Redirect(url + "/canary", status))
        assert elsewhere.connections == 0
    assert isinstance(outcome, Broken)
    assert not outcome.maybe_sent
    assert outcome.reason.startswith(f"HTTP {status} ")
    assert outcome.reason.endswith(": redirects are not followed")
    assert len(desk.slack.requests) == 1


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"", b"<html>canary</html>", b'{"message": "canary"}', b"[]", b"\xff" * 100_000])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (204, Retry("HTTP 204 No Content, but not with an answer of Slack's", maybe_sent=True)),
        (304, Broken("HTTP 304 Not Modified: redirects are not followed")),
        (400, Retry("HTTP 400 with an answer that is not Slack's")),
        (403, Broken("HTTP 403 Forbidden: this does not answer as Slack does")),
        (404, Broken("HTTP 404 Not Found: this does not answer as Slack does")),
        (408, Retry("HTTP 408 Request Timeout", maybe_sent=True)),
        (500, Retry("HTTP 500 Internal Server Error", maybe_sent=True)),
        (502, Retry("HTTP 502 Bad Gateway", maybe_sent=True)),
    ],
)
async def test_the_status_says_it_all_where_the_body_is_not_slacks(
    desk: Desk, kind: str, status: int, expected: Outcome, body: bytes
) -> None:
    sent = b"" if status in (204, 304) else body
    assert await desk.send(kind, Status(status, sent, {"Content-Type": "text/html"})) == expected
    assert len(desk.slack.requests) == 1


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize("status", [302, 404, 503])
async def test_a_wait_is_obeyed_beside_other_statuses(desk: Desk, kind: str, status: int) -> None:
    outcome = await desk.send(kind, Status(status, b"", {"Retry-After": "7", "Location": "/x"}))
    assert isinstance(outcome, Retry | Broken)
    assert outcome.after == timedelta(seconds=7)


# --- answers of 200 that are none of Slack's ---


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"ok", b"<html>welcome</html>", b"[]", b'[{"ok": true}]', b"null", b"7", b'"ok"', b"{", b"{}"),
        *(b'{"ok": "yes"}', b'{"ok": 1}', b'{"ok": null}', b'{"ok": []}', b'{"status": "ok"}', b'{"ok": false}'),
        *(b'{"ok": false, "error": ""}', b'{"ok": false, "error": 7}', b'{"ok": false, "error": null}'),
        *(b'{"ok": true, "channel": "\xff"}', b"\xff\xfe", b'{"ok": true}{"ok": true}', b"[" * 100_000),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/plain", "application/gzip", "?"])
async def test_an_answer_of_the_web_api_that_is_none_is_no_success(desk: Desk, body: bytes, content_type: str) -> None:
    assert await desk.send(POST_MESSAGE, Body(body, content_type)) == Retry(NOT_SLACKS, maybe_sent=True)
    assert len(desk.slack.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [b"", b"OK", b"ok then", b"<html>ok</html>", b'{"ok": true}', b"\xff", b"invalid_payload", b"o" * 100_000],
)
@pytest.mark.parametrize("content_type", ["text/html", "application/json; charset=no-such", "application/gzip"])
async def test_an_answer_of_a_webhook_that_is_not_ok_is_no_success(desk: Desk, body: bytes, content_type: str) -> None:
    outcome = await desk.send(WEBHOOK, Body(body, content_type))
    assert isinstance(outcome, Retry)
    assert outcome.maybe_sent
    assert len(desk.slack.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Status(200, b'{"success":true}', {"Content-Type": "application/json"}), ': "{"success":true}"'),
        (Status(202, b"accepted\n", {}), ': "accepted"'),
        (Status(200, b"<html>\n<p>Thank\tyou \x1b[1m</p>", {}), ': "<html> <p>Thank you </p>"'),
        (Status(201, b"x y" * 1000, {}), ': "' + ("x y" * 1000)[:99] + '…"'),
        (Status(200, b"\xff", {}), ': "\ufffd"'),
        (Status(204), ""),
    ],
)
async def test_a_webhook_that_answers_2xx_with_anything_but_ok_is_tried_twice_more_and_told_why(
    desk: Desk, answer: Status, said: str
) -> None:
    desk.slack.fault(answer, method=WEBHOOK)
    sender = desk.to_webhook()
    outcomes = [await sender.send(an_event()) for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [Retry, Retry, Refused]
    begins = f"{status_in_words(answer.code)}, but not with an answer of Slack's{said}"
    assert outcomes[0] == outcomes[1] == Retry(begins, maybe_sent=True)
    assert outcomes[2] == Refused(f"{begins}, 3 times")


@pytest.mark.asyncio
async def test_such_answers_are_counted_for_each_event_and_anew_after_a_delivery(desk: Desk) -> None:
    sender = desk.to_webhook()
    for event_id in ("evt_1", "evt_1", "evt_2"):
        desk.slack.fault(Body(b"accepted"), method=WEBHOOK, times=2)
        assert isinstance(await sender.send(an_event(event_id)), Retry)
        assert isinstance(await sender.send(an_event(event_id)), Retry)
        assert isinstance(await sender.send(an_event(event_id)), Delivered)


@pytest.mark.asyncio
async def test_what_a_webhook_answers_is_shown_without_its_address_and_without_what_may_be_a_secret(desk: Desk) -> None:
    parts = desk.path.split("/")
    said = f"posted to {desk.webhook_url} by {parts[-1]} of {parts[-2]}, token xoxb-1234567890-abcdef, 127.0.0.1"
    desk.slack.fault(Body(said.encode()), method=WEBHOOK)
    outcome = await desk.to_webhook().send(an_event())
    assert isinstance(outcome, Retry)
    for secret in (desk.path, *parts[-2:], "xoxb-1234567890-abcdef", "127.0.0.1"):
        assert secret not in outcome.reason


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"Content-Length: 100\r\n\r\nok", "the answer broke off or is not as announced"),
        (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", "the answer broke off or is not as announced"),
        (b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000, "the answer is larger than 65536 bytes"),
    ],
)
async def test_a_webhook_whose_2xx_can_not_be_read_is_no_success_and_tried_twice_more(
    desk: Desk, answer: bytes, said: str
) -> None:
    async with Canned().answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + answer) as server:
        sender = desk.senders.build("growth", a_slack_webhook(f"http://{server.place}/services/canary"))
        outcomes = [await sender.send(an_event()) for _ in range(3)]
    assert outcomes == [*[Retry(said, maybe_sent=True)] * 2, Refused(f"{said}, 3 times")]


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [302, 400, 404, 410, 429, 500, 503])
async def test_the_word_ok_beside_another_status_is_no_success(desk: Desk, status: int) -> None:
    outcome = await desk.send(WEBHOOK, Status(status, b"ok", {"Content-Type": "text/html"}))
    assert isinstance(outcome, Retry | Broken)
    assert outcome.reason.startswith(f"HTTP {status} ") or outcome == Retry("ok: an unknown error")


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206])
async def test_the_word_ok_of_a_webhook_is_a_success_with_every_2xx(desk: Desk, status: int) -> None:
    outcome = await desk.send(WEBHOOK, Status(status, b"ok\n", {"Content-Type": "text/html"}))
    assert outcome == Delivered(answer=f"HTTP {status} ok")


@pytest.mark.asyncio
async def test_an_answer_without_channel_and_time_is_a_success_all_the_same(desk: Desk) -> None:
    assert await desk.send(POST_MESSAGE, Body(b'{"ok": true}')) == Delivered()
    assert await desk.send(POST_MESSAGE, Body(b'{"ok": true, "channel": 7, "ts": []}')) == Delivered()


@pytest.mark.asyncio
@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_above_the_cap_is_not_read_to_its_end(desk: Desk, compressed: bool) -> None:
    body = b'{"ok": true, "more": "' + b"x" * LARGEST_ANSWER + b'"}'
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if compressed else {})
    outcome = await desk.send(POST_MESSAGE, Status(200, gzip.compress(body, 1) if compressed else body, headers))
    assert outcome == Retry(f"the answer is larger than {LARGEST_ANSWER} bytes", maybe_sent=True)


@BOTH
@pytest.mark.asyncio
async def test_a_compressed_answer_is_read_though_it_was_not_asked_for(desk: Desk, kind: str) -> None:
    body = b"ok" if kind == WEBHOOK else b'{"ok": true, "channel": "C0000000001", "ts": "1.0"}'
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert isinstance(await desk.send(kind, Status(200, gzip.compress(body), headers)), Delivered)


@pytest.mark.asyncio
@pytest.mark.parametrize("encoding", ["br", "gzip", "deflate", "zstd"])
async def test_a_compression_that_can_not_be_read_is_an_unknown_end(desk: Desk, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    outcome = await desk.send(POST_MESSAGE, Status(200, b'{"ok": true}', headers))
    assert outcome == Retry("the answer broke off or is not as announced", maybe_sent=True)


# --- no answer ---


@BOTH
@pytest.mark.asyncio
async def test_a_slack_that_hangs_is_tried_again_and_may_have_the_message(kind: str) -> None:
    async with open_desk(SHORT) as desk:
        assert await desk.send(kind, Hang()) == Retry("no answer in time", maybe_sent=True)


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "kept"), [(Drop(), 0), (Accept(Drop()), 1)])
async def test_a_dropped_connection_is_one_request_and_an_unknown_end(
    desk: Desk, kind: str, fault: SlackFault, kept: int
) -> None:
    assert await desk.send(kind, fault) == Retry("the connection was dropped before an answer", maybe_sent=True)
    assert (len(desk.slack.requests), len(desk.slack.messages())) == (1, kept)


@BOTH
@pytest.mark.asyncio
async def test_a_connection_that_is_dropped_after_others_worked_is_not_tried_twice(desk: Desk, kind: str) -> None:
    sender = desk.sender(kind)
    await sender.send(an_event("evt_1"))
    desk.slack.accept_then_drop(method=kind)
    assert isinstance(await sender.send(an_event("evt_2")), Retry)
    assert len(desk.slack.messages()) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", "the answer broke off or is not as announced"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the answer is not HTTP"),
        (b"", "the connection was dropped before an answer"),
    ],
)
async def test_an_answer_that_breaks_off_is_an_unknown_end(desk: Desk, answer: bytes, expected: str) -> None:
    async with Canned().answering(answer) as server:
        for settings in (
            a_slack_channel(api_url=f"http://{server.place}/api/"),
            a_slack_webhook(f"http://{server.place}/services/canary"),
        ):
            outcome = await desk.senders.build("growth", settings).send(an_event())
            assert outcome == Retry(expected, maybe_sent=True)
    assert len(server.heads) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("http://127.0.0.1:1", "no connection: connection refused"),
        ("http://169.254.169.254", "no connection: link-local and multicast addresses are refused"),
    ],
)
async def test_without_a_connection_nothing_was_sent(desk: Desk, origin: str, said: str) -> None:
    for settings in (a_slack_channel(api_url=f"{origin}/api/"), a_slack_webhook(f"{origin}/services/canary")):
        assert await desk.senders.build("growth", settings).send(an_event()) == Retry(said)
