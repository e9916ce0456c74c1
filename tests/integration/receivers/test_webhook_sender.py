"""The webhook sender against a real server: what it sends, and what it makes of each answer."""

import asyncio
import base64
import hashlib
import hmac
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr
from standardwebhooks import Webhook

import notifier
from notifier.http.client import Timeouts, new_session
from notifier.model.delivery import Broken, Delivered, Message, Outcome, Refused, Retry
from notifier.receivers.senders import open_senders
from notifier.receivers.webhook import WebhookSender, outcome_of
from notifier.simulator import ReceivedWebhook, WebhookSink
from notifier.watchlist.receivers import WebhookReceiver
from tests.builders import NOW, SECRET, a_message, a_webhook

TLS = ssl.create_default_context()
HOUR = timedelta(hours=1)
BODY = '{"type":"sync_run.failed","data":{"label":"Grüße 😀"}}'.encode()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def session_of(*, total: float = 10.0) -> aiohttp.ClientSession:
    limit = timedelta(seconds=total)
    return new_session(timeouts=Timeouts(limit, limit, limit), tls=TLS, connections=16, keep_idle=timedelta(seconds=60))


class Post:
    """A sink and senders to it."""

    def __init__(self, sink: WebhookSink, url: str) -> None:
        self.sink = sink
        self.url = url + "/hooks/path-that-is-secret"

    async def send(
        self,
        message: Message | None = None,
        *,
        settings: WebhookReceiver | None = None,
        total: float = 10.0,
        now: datetime = NOW,
    ) -> Outcome:
        async with session_of(total=total) as session:
            sender = WebhookSender("pipeline", settings or a_webhook(self.url), session, clock=lambda: now)
            return await sender.send(message or a_message(body=BODY))

    @property
    def only(self) -> ReceivedWebhook:
        [webhook] = self.sink.received
        return webhook


@pytest_asyncio.fixture
async def post() -> AsyncIterator[Post]:
    sink = WebhookSink()
    async with sink.serve() as url:
        yield Post(sink, url)


# --- what is sent ---


@pytest.mark.asyncio
async def test_a_webhook_has_the_body_to_the_byte_and_the_headers_of_the_interface(post: Post) -> None:
    assert await post.send() == Delivered()
    webhook = post.only
    assert webhook.body == BODY
    assert webhook.path == "/hooks/path-that-is-secret"
    headers = webhook.headers
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-id"] == "evt_1"
    assert headers["webhook-timestamp"] == "1795428930"  # 2026-11-23T10:15:30Z
    assert headers["User-Agent"] == f"census-notifier/{notifier.__version__}"
    assert headers["Content-Length"] == str(len(BODY))
    assert set(headers) == {
        "Host",
        "User-Agent",
        "Content-Type",
        "Content-Length",
        "Accept-Encoding",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }


def signature_by_hand(webhook: ReceivedWebhook, secret: str) -> str:
    """As the specification of Standard Webhooks has it, without its library."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    head = f"{webhook.headers['webhook-id']}.{webhook.headers['webhook-timestamp']}."
    digest = hmac.new(key, head.encode() + webhook.body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


@pytest.mark.asyncio
async def test_the_signature_is_the_one_of_the_specification(post: Post) -> None:
    await post.send()
    assert post.only.headers["webhook-signature"] == signature_by_hand(post.only, SECRET)


@pytest.mark.asyncio
async def test_a_receivers_own_library_accepts_it(post: Post) -> None:
    await post.send(now=datetime.now(UTC))
    headers = {name.lower(): value for name, value in post.only.headers.items()}
    verified = Webhook(SECRET).verify(post.only.body, headers)
    assert verified["type"] == "sync_run.failed"


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"])
def local_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.asyncio
@pytest.mark.parametrize("offset", [0, 330, -300])
async def test_the_signature_does_not_depend_on_the_machines_zone(post: Post, local_zone: str, offset: int) -> None:
    await post.send(now=NOW.astimezone(timezone(timedelta(minutes=offset))))
    assert post.only.headers["webhook-timestamp"] == "1795428930"
    assert post.only.headers["webhook-signature"] == signature_by_hand(post.only, SECRET)


@pytest.mark.asyncio
async def test_without_a_secret_there_is_no_signature(post: Post) -> None:
    assert await post.send(settings=a_webhook(post.url, secret=None)) == Delivered()
    assert "webhook-signature" not in post.only.headers
    assert post.only.headers["webhook-id"] == "evt_1"


@pytest.mark.asyncio
async def test_a_later_attempt_has_the_same_id_and_body_and_a_timestamp_of_its_own(post: Post) -> None:
    await post.send()
    await post.send(now=NOW + timedelta(minutes=5))
    first, second = post.sink.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert second.headers["webhook-timestamp"] == "1795429230"
    assert second.headers["webhook-signature"] == signature_by_hand(second, SECRET)
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


@pytest.mark.asyncio
async def test_the_headers_of_the_watchlist_are_sent(post: Post) -> None:
    headers = {"X-Team": "growth", "Authorization": "Bearer abc"}
    assert await post.send(settings=a_webhook(post.url, headers=headers)) == Delivered()
    assert post.only.headers["X-Team"] == "growth"
    assert post.only.headers["Authorization"] == "Bearer abc"


# --- what comes back ---

REFUSED_STATUSES = (400, 413, 415, 422)
BROKEN_STATUSES = (401, 403, 404, 405, 410)


def expected_kind(status: int) -> type[Outcome]:
    if status in range(200, 300):
        return Delivered
    if status in REFUSED_STATUSES:
        return Refused
    if status in BROKEN_STATUSES or status in range(300, 400):
        return Broken
    return Retry


@pytest.mark.parametrize("hundred", [100, 200, 300, 400, 500])
def test_every_status_means_what_the_interface_says(hundred: int) -> None:
    for status in range(hundred, hundred + 100):
        for after in (None, HOUR):
            outcome = outcome_of(status, after)
            assert type(outcome) is expected_kind(status), status
            held = outcome.hold if isinstance(outcome, Delivered | Refused) else outcome.after
            assert held == after, status
            if not isinstance(outcome, Delivered):
                assert outcome.reason.startswith(f"HTTP {status}")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Delivered()),
        (202, Delivered()),
        (204, Delivered()),
        (301, Broken("HTTP 301 Moved Permanently: redirects are not followed")),
        (304, Broken("HTTP 304 Not Modified: redirects are not followed")),
        (400, Refused("HTTP 400 Bad Request")),
        (401, Broken("HTTP 401 Unauthorized")),
        (402, Retry("HTTP 402 Payment Required")),
        (403, Broken("HTTP 403 Forbidden")),
        (404, Broken("HTTP 404 Not Found")),
        (405, Broken("HTTP 405 Method Not Allowed")),
        (408, Retry("HTTP 408 Request Timeout")),
        (409, Retry("HTTP 409 Conflict")),
        (410, Broken("HTTP 410 Gone")),
        (415, Refused("HTTP 415 Unsupported Media Type")),
        (425, Retry("HTTP 425 Too Early")),
        (429, Retry("HTTP 429 Too Many Requests")),
        (500, Retry("HTTP 500 Internal Server Error")),
        (502, Retry("HTTP 502 Bad Gateway")),
        (503, Retry("HTTP 503 Service Unavailable")),
        (504, Retry("HTTP 504 Gateway Timeout")),
        (599, Retry("HTTP 599")),
    ],
)
async def test_an_answer_becomes_an_outcome(post: Post, status: int, expected: Outcome) -> None:
    post.sink.answer(status)
    outcome = await post.send()
    assert outcome == expected


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Delivered(timedelta(seconds=7))),
        (404, Broken("HTTP 404 Not Found", timedelta(seconds=7))),
        (400, Refused("HTTP 400 Bad Request", timedelta(seconds=7))),
        (429, Retry("HTTP 429 Too Many Requests", timedelta(seconds=7))),
        (503, Retry("HTTP 503 Service Unavailable", timedelta(seconds=7))),
    ],
)
async def test_retry_after_is_obeyed_on_any_answer(post: Post, status: int, expected: Outcome) -> None:
    post.sink.answer(status, headers={"Retry-After": "7"})
    assert await post.send() == expected


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("Mon, 23 Nov 2026 10:16:30 GMT", timedelta(seconds=59.877)),
        ("86400", HOUR),
        ("soon", None),
        ("-1", None),
        ("Mon, 23 Nov 2026 10:16:30 +99999999999999999999", None),
    ],
)
async def test_retry_after_is_a_date_too_an_hour_at_most_or_counts_as_absent(
    post: Post, header: str, after: timedelta | None
) -> None:
    post.sink.answer(503, headers={"Retry-After": header})
    assert await post.send() == Retry("HTTP 503 Service Unavailable", after)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(post: Post, status: int) -> None:
    post.sink.answer(status, headers={"Location": post.url + "/elsewhere"})
    assert isinstance(await post.send(), Broken)
    assert len(post.sink.received) == 1


# --- no answer, or a strange one ---


@pytest.mark.asyncio
async def test_a_receiver_that_hangs_is_tried_again(post: Post) -> None:
    post.sink.hang()
    assert await post.send(total=0.15) == Retry("no answer in time")


@pytest.mark.asyncio
async def test_a_receiver_that_drops_the_connection_is_tried_again(post: Post) -> None:
    post.sink.drop()
    assert await post.send() == Retry("the connection was dropped before an answer")
    assert len(post.sink.received) == 1  # no client of ours sends twice for one attempt


@pytest.mark.asyncio
async def test_a_body_that_drips_does_not_turn_a_success_into_a_failure(post: Post) -> None:
    post.sink.drip(interval=0.01)
    assert await post.send(total=0.15) == Delivered()


@pytest.mark.asyncio
async def test_a_large_body_is_not_read_to_its_end(post: Post) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while sent < 1_000_000_000:
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent += 65_536
        except ConnectionError:
            pass
        finally:
            writer.close()
            done.set()

    done = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await post.send(settings=a_webhook(url)) == Delivered()
        await done.wait()
    assert sent < 50_000_000  # what the sockets' buffers take, and no more


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Delivered()),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", Delivered()),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nplain", Delivered()),
        (b"HTTP/1.1 503 \r\nContent-Length: 100\r\n\r\nshort", Retry("HTTP 503 Service Unavailable")),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Retry("the answer is not HTTP")),
        (b"", Retry("the connection was dropped before an answer")),
    ],
)
async def test_the_status_line_says_it_all_whatever_follows(post: Post, answer: bytes, expected: Outcome) -> None:
    async with answering(answer) as url:
        assert await post.send(settings=a_webhook(url)) == expected


@pytest.mark.asyncio
async def test_a_good_answer_leaves_the_connection_for_the_next_message(post: Post) -> None:
    post.sink.answer(200, body=b"thanks")
    async with session_of() as session:
        sender = WebhookSender("pipeline", a_webhook(post.url), session)
        for number in range(5):
            assert await sender.send(a_message(f"evt_{number}")) == Delivered()
    assert post.sink.connections == 1


# --- secrets ---


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [302, 400, 404, 429, 500])
async def test_no_reason_holds_a_secret_even_if_the_receiver_repeats_it(post: Post, status: int) -> None:
    settings = a_webhook(post.url, headers={"X-Key": "header-secret"})
    post.sink.answer(
        status, headers={"Location": post.url, "X-Echo": "header-secret"}, body=f"{SECRET} header-secret".encode()
    )
    said = repr(await post.send(settings=settings))
    for secret in (SECRET, "path-that-is-secret", "header-secret", "127.0.0.1"):
        assert secret not in said


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://169.254.169.254/secret", Retry("no connection: link-local and multicast addresses are refused")),
        ("http://127.0.0.1:1/secret", Retry("no connection: connection refused")),
    ],
)
async def test_what_can_not_be_reached_is_said_without_the_address(post: Post, url: str, expected: Outcome) -> None:
    assert await post.send(settings=a_webhook(url)) == expected


@pytest.mark.asyncio
async def test_a_header_that_would_end_the_headers_breaks_the_receiver_and_is_not_shown(post: Post) -> None:
    # A watchlist can't say this: its loader refuses line breaks.
    bad = a_webhook(post.url).model_copy(update={"headers": {"X-Key": SecretStr("a\r\nX-Injected: b")}})
    outcome = await post.send(settings=bad)
    assert outcome == Broken("the request can't be made: its URL or a header is not valid")
    assert post.sink.received == []


@pytest.mark.asyncio
async def test_a_webhook_of_the_watchlist_gets_a_webhook_sender() -> None:
    async with open_senders(timedelta(seconds=10), TLS) as senders:
        sender = senders.build("pipeline", a_webhook())
    assert isinstance(sender, WebhookSender)
    assert (sender.name, sender.concurrency) == ("pipeline", 16)
