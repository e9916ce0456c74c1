"""Our rules on slack-sdk's two clients: by the session that they are given, and by what they are told.

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

from notifier.config.models import SlackReceiver
from notifier.http import CHUNK, USER_AGENT, describe, proxy_for, read_capped, retry_after, sending_session
from notifier.model import Broken, Outcome, Refused, Retry
from notifier.receivers.slack_errors import explained, outcome_of_status, outcome_of_word

API_URL: Final = "https://slack.com/api/"
LARGEST_ANSWER: Final = 8 * 1024 * 1024  # bytes; a page of history holds up to 200 messages with their blocks
PACE: Final = 1.0  # seconds between two messages to a channel (Slack: rate limits, "Posting messages")
MOST_UNKNOWN: Final = 5  # attempts at an error code that nobody knows
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


class WebhookAnswer(aiohttp.ClientResponse):
    """An incoming webhook's answer, a short text; of one that is longer, the beginning says enough."""

    async def text(self, encoding: str | None = None, errors: str = "replace") -> str:
        """Never raises for its content."""
        return (await read_capped(self, CHUNK)).decode("utf-8", "replace")


class ApiAnswer(aiohttp.ClientResponse):
    """A Web API answer: a JSON object, or none of Slack's."""

    async def json(self, **_: Any) -> Any:
        """The object. Raises NotSlacks for anything else."""
        body = await read_capped(self, LARGEST_ANSWER)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise NotSlacks(self.status, wait_of(self))
        return value

    async def text(self, encoding: str | None = None, errors: str = "replace") -> str:
        """What slack-sdk calls for text/plain, which the Web API does not answer. Raises NotSlacks."""
        raise NotSlacks(self.status, wait_of(self))


def api_session(timeout: timedelta, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """The session of all Web API clients."""
    return sending_session(timeout, tls, answers=ApiAnswer, middlewares=(refuse_redirects,))


def webhook_session(timeout: timedelta, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """The session of all incoming webhooks."""
    return sending_session(timeout, tls, answers=WebhookAnswer, middlewares=(refuse_redirects,))


def api_client(settings: SlackReceiver, session: aiohttp.ClientSession) -> AsyncWebClient:
    """slack-sdk's client of the Web API. Raises ProxyUnusable."""
    api_url = settings.api_url or API_URL
    client = AsyncWebClient(
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
        url,
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
    """The code with which the Web API refused; "" where there is none."""
    code = error.response.get("error")
    return code if isinstance(code, str) else ""


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
    """What answers with an error code mean for one receiver. Codes that nobody knows are counted by event, in memory:
    after a restart they have their five attempts again.
    """

    def __init__(self) -> None:
        self._unknown: dict[str, int] = {}

    def outcome(self, event_id: str, code: str, status: int, after: timedelta | None, detail: str = "") -> Outcome:
        """The outcome of an error, by its code where it is known, else by the HTTP status."""
        known = outcome_of_status(status, after) if status == 429 else outcome_of_word(code, after, detail)
        if known is None and not 200 <= status < 300:
            known = outcome_of_status(status, after)
        if known is not None:
            self._unknown.pop(event_id, None)
            return known
        return self._of_unknown(event_id, explained(code, detail), after)

    def _of_unknown(self, event_id: str, reason: str, after: timedelta | None) -> Outcome:
        times = self._unknown.pop(event_id, 0) + 1
        if times >= MOST_UNKNOWN:
            return Refused(f"{reason}: an unknown error, {times} times", after)
        self._unknown[event_id] = times
        return Retry(f"{reason}: an unknown error", after)
