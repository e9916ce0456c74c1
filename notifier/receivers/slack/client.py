"""slack-sdk's two clients, made to keep our rules: by the sessions that they get, and by their settings.

slack-sdk 3.47 follows redirects, reads answers without a limit, posts again after a dropped connection, ignores
NO_PROXY, writes webhook URLs into its log, and trips over answers of 200 that are not Slack's.
"""

import logging
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import orjson
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from notifier.http.answer import ForgivingAnswer
from notifier.http.client import (
    CHUNK,
    USER_AGENT,
    as_written,
    describe,
    proxy_for,
    read_capped,
    retry_after,
    sending_session,
)
from notifier.model.delivery import Broken, Delivered, Outcome, Refused, Retry
from notifier.receivers.slack.errors import error_in_words, outcome_of_error, outcome_of_status
from notifier.watchlist.receivers import SlackReceiver

API_URL: Final = "https://slack.com/api/"
LARGEST_ANSWER: Final = 8 * 1024 * 1024  # bytes; a page of history holds up to 200 messages with their blocks
MOST_UNKNOWN: Final = 5  # attempts at an error code that nobody knows
MOST_NOT_OK: Final = 3  # attempts at an incoming webhook that answers 2xx and not `ok`
SHORTEST_TOKEN: Final = 16  # characters; Slack's own have fifty, and a shorter one may be a word of the answer
IDENTITY: Final = {"Accept-Encoding": "identity"}

_silent = logging.getLogger("notifier.slack_sdk")  # it would log URLs that are secrets
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL)


class NotSlacks(aiohttp.ClientError):
    """An answer that is none of Slack's: its status, and how long it asks to wait."""

    def __init__(self, status: int, after: timedelta | None) -> None:
        self.status = status
        self.after = after
        super().__init__(f"HTTP {status} with an answer that is not Slack's")


async def refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A client middleware; without it a 302 becomes a GET somewhere else, and its 200 a success."""
    answer = await handler(request)
    if 300 <= answer.status < 400:
        answer.close()
        raise NotSlacks(answer.status, wait_of(answer))
    return answer


def wait_of(answer: aiohttp.ClientResponse) -> timedelta | None:
    """Retry-After of an answer."""
    return retry_after(answer.headers, datetime.now(UTC))


async def body_of(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body. One that can't be read counts as empty, so that the status decides; with a 200 it raises what
    read_capped does."""
    try:
        return await read_capped(answer, most)
    except (aiohttp.ClientError, TimeoutError):
        if answer.status == 200:
            raise
        return b""


class HalfRead(aiohttp.ClientError):
    """A 2xx whose body can't be read; the text says why."""


class WebhookAnswer(ForgivingAnswer):
    """An incoming webhook's answer, a short text."""

    async def text(self, encoding: str | None = None, errors: str = "replace") -> str:
        """The text, whatever its encoding. One that can't be read counts as empty, so that the status decides; with a
        2xx it raises HalfRead."""
        try:
            return (await read_capped(self, CHUNK)).decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            if 200 <= self.status < 300:
                raise HalfRead(describe(error)) from error
            return ""


class ApiAnswer(ForgivingAnswer):
    """A Web API answer: a JSON object that says whether it is ok, or none of Slack's."""

    async def json(self, **_: Any) -> Any:
        """The object: `ok` is true, or false with an error code beside it. Raises NotSlacks for anything else."""
        try:
            value = orjson.loads(self._without_token(await body_of(self, LARGEST_ANSWER)))
        except orjson.JSONDecodeError:
            value = None
        match value:
            case {"ok": True} if self.status == 200:
                return value
            case {"ok": False, "error": str(code)} if code:
                return value
            case _:
                raise NotSlacks(self.status, wait_of(self))

    def _without_token(self, body: bytes) -> bytes:
        """What is none of Slack's may repeat what it was asked with, and error codes are shown as they are."""
        token = self.request_info.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        return body.replace(token, b"***") if len(token) >= SHORTEST_TOKEN else body

    @property
    def content_type(self) -> str:
        """By this slack-sdk chooses how to read. It takes text and gzip for success; `json` finds out what it is."""
        return "application/json"


def api_session(timeout: timedelta, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """The session of all Web API clients."""
    return sending_session(timeout, tls, answers=ApiAnswer, middlewares=(refuse_redirects,))


def webhook_session(timeout: timedelta, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """The session of all incoming webhooks."""
    return sending_session(timeout, tls, answers=WebhookAnswer, middlewares=(refuse_redirects,))


class _ApiClient(AsyncWebClient):
    """Asks at the address of the watchlist as it is written."""

    async def _request(self, *, http_verb: str, api_url: str, req_args: dict[str, Any]) -> dict[str, Any]:
        return await super()._request(http_verb=http_verb, api_url=as_written(api_url), req_args=req_args)


def api_client(settings: SlackReceiver, session: aiohttp.ClientSession) -> AsyncWebClient:
    """slack-sdk's client of the Web API. Raises ProxyUnusable."""
    api_url = settings.api_url or API_URL
    client = _ApiClient(
        settings.token.get_secret_value(),
        base_url=api_url,
        session=session,
        headers=dict(IDENTITY),
        user_agent_prefix=USER_AGENT,
        logger=_silent,
        retry_handlers=[],
    )
    client.proxy = _proxy(api_url)  # it has read the environment in its own way by now
    return client


def webhook_client(url: str, session: aiohttp.ClientSession) -> AsyncWebhookClient:
    """slack-sdk's client of an incoming webhook. Raises ProxyUnusable."""
    client = AsyncWebhookClient(
        as_written(url),  # type: ignore[arg-type]  # which it hands on to the session
        session=session,
        default_headers=dict(IDENTITY),
        user_agent_prefix=USER_AGENT,
        logger=_silent,
        retry_handlers=[],
    )
    client.proxy = _proxy(url)
    return client


def _proxy(url: str) -> str | None:
    proxy = proxy_for(url)
    return str(proxy) if proxy is not None else None


def outcome_of_failure(error: Exception) -> Retry | Broken:
    """What an attempt without an answer of Slack's means. Re-raises what is a fault of ours."""
    match error:
        case NotSlacks():
            return outcome_of_status(error.status, error.after) or Retry(str(error), error.after)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.ClientHttpProxyError():
            return Retry(describe(error))  # nothing was sent
        case aiohttp.InvalidURL():
            return Broken("the request can't be made: its URL is not valid")
        case aiohttp.ClientError() | TimeoutError() | OSError():
            return Retry(describe(error), maybe_sent=True)
        case _:
            raise error


def error_code(error: SlackApiError) -> str:
    """The code with which the Web API refused. There is one: ApiAnswer takes no refusal without."""
    return str(error.response["error"])


def error_detail(error: SlackApiError) -> str:
    """What Slack says beside a code: the scope that is missing, what is wrong with which block."""
    data = error.response.data
    if not isinstance(data, Mapping):
        return ""
    if isinstance(data.get("needed"), str):
        return f"needed: {data['needed'][:100]}"
    metadata = data.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, Mapping) else None
    return "; ".join(str(line) for line in messages)[:300] if isinstance(messages, list) else ""


class ErrorCodes:
    """What answers with an error code mean for one receiver.

    An event that is refused with codes that nobody knows has a few attempts. They are counted in memory, so that a
    restart gives it as many again.
    """

    def __init__(self) -> None:
        self._unknown: dict[str, int] = {}
        self._not_ok: dict[str, int] = {}

    def outcome(self, event_id: str, code: str, status: int, after: timedelta | None, detail: str = "") -> Outcome:
        """The outcome of an error, whether its code is known or not."""
        known = outcome_of_error(code, status, after, detail)
        if known is not None:
            return known
        times = self._unknown[event_id] = self._unknown.get(event_id, 0) + 1
        reason = f"{error_in_words(code, detail)}: an unknown error"
        return Refused(f"{reason}, {times} times", after) if times >= MOST_UNKNOWN else Retry(reason, after)

    def not_ok(self, event_id: str, reason: str, after: timedelta | None) -> Outcome:
        """The outcome of a 2xx without Slack's `ok`: whoever answered may not be Slack, and may have the message."""
        times = self._not_ok[event_id] = self._not_ok.get(event_id, 0) + 1
        if times >= MOST_NOT_OK:
            return Refused(f"{reason}, {times} times", after)
        return Retry(reason, after, maybe_sent=True)

    def ended(self, event_id: str, outcome: Outcome) -> Outcome:
        """Returns the outcome as it is. After a final one the event's attempts are forgotten."""
        if isinstance(outcome, Delivered | Refused):
            self._unknown.pop(event_id, None)
            self._not_ok.pop(event_id, None)
        return outcome
