"""A Slack workspace behind a socket: the Web API, incoming webhooks, faults on demand and a record of what was asked.

Written from Slack's documentation alone, like the rest of the simulator, and without Slack's own library: a wrong
belief about Slack can not stand on both sides of a test.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, assert_never

from aiohttp import web
from multidict import CIMultiDictProxy

from notifier.simulator import wire
from notifier.simulator.faults import Board, Body, FaultHandle, Hang, Redirect, Status
from notifier.simulator.listener import Listener
from notifier.simulator.slack import webhook as slack_webhook
from notifier.simulator.slack.api import SlackApi
from notifier.simulator.slack.call import API, Answer, Call, json_answer, read_call, text_answer
from notifier.simulator.slack.faults import (
    POST_MESSAGE,
    Accept,
    Drop,
    Ending,
    RateLimit,
    SlackError,
    SlackFault,
    SlackFaults,
)
from notifier.simulator.slack.pace import EDIT_WINDOW, EDITS_PER_WINDOW, Pace
from notifier.simulator.slack.workspace import DEFAULT_SCOPES, SlackMessage, SlackWorkspace


@dataclass(frozen=True, slots=True)
class SlackRequest:
    """A call as it came in. `method` is one of the Web API, or "incoming_webhook"; `channel` is an ID, where one is
    known. `at` is time.monotonic() when its body was complete. `status` is None as long as no answer went out, so for
    ever where Slack hangs or drops; `answer` is "ok", the error code, or None where the answer has neither. `accepted`
    is whether Slack did as it was asked, whatever it answered."""

    at: float
    method: str
    channel: str | None
    arguments: Mapping[str, Any]
    headers: CIMultiDictProxy[str]
    status: int | None = None
    answer: str | None = None
    accepted: bool = False


SlackWanted = int | Callable[[list[SlackMessage]], bool]
"""What to wait for: at least so many messages in all channels together, or a condition on them."""


class SlackSimulator(SlackFaults, Listener):
    """Slack, small and strict. Not for other threads: see SimulatorThread."""

    def __init__(self, *, enforce_pace: bool = False) -> None:
        super().__init__()
        self.enforce_pace = enforce_pace
        """Answers 429 to a second message within a second, to one channel or to one incoming webhook, and to more than
        `edits_per_window` accepted calls of chat.update with one token in any `edit_window` seconds."""
        self.edits_per_window = EDITS_PER_WINDOW
        self.edit_window = EDIT_WINDOW
        self.origin = ""
        self.requests: list[SlackRequest] = []
        self._workspace = SlackWorkspace()
        self._api = SlackApi(self._workspace)
        self._faults: Board[SlackFault] = Board()
        self._pace = Pace()
        self._waiting: set[asyncio.Event] = set()

    # State.

    def add_channel(
        self,
        name: str,
        *,
        id: str | None = None,  # noqa: A002 Slack's own name
        private: bool = False,
        member: bool = True,
        archived: bool = False,
    ) -> str:
        """Adds a channel and gives its ID; `member` is whether the bot is in it. Raises ValueError if it is there."""
        return self._workspace.add_channel(id, name, private=private, member=member, archived=archived)

    def update_channel(self, channel_id: str, **fields: Any) -> None:
        """Changes a channel's fields, see SlackChannel. Raises UnknownObjectError."""
        self._workspace.update_channel(channel_id, fields)

    def add_alias(self, channel_id: str, earlier_id: str) -> None:
        """The channel had another ID: messages to that one arrive, and the answer has its ID of today; reading, editing
        and asking want that. Raises UnknownObjectError."""
        self._workspace.add_alias(channel_id, earlier_id)

    def lock_thread(self, channel_id: str, ts: str) -> None:
        """An admin locks a message's thread: `restricted_action_thread_locked` for each reply. Raises
        UnknownObjectError."""
        self._workspace.lock_thread(channel_id, ts)

    def remove_channel(self, channel_id: str) -> None:
        """Removes a channel. Raises UnknownObjectError."""
        self._workspace.remove_channel(channel_id)

    def add_token(self, token: str, scopes: tuple[str, ...] = DEFAULT_SCOPES) -> None:
        """Makes a token valid, or changes the scopes of one that is."""
        self._workspace.add_token(token, tuple(scopes))

    def revoke_token(self, token: str) -> None:
        """Ends a token: `token_revoked` from now on. Raises UnknownObjectError."""
        self._workspace.revoke_token(token)

    def add_webhook(self, channel_id: str) -> str:
        """Makes an incoming webhook and gives its path. Raises UnknownObjectError."""
        return self._workspace.add_webhook(channel_id)

    def remove_webhook(self, path: str) -> None:
        """Removes an incoming webhook: `no_service` from now on. Raises UnknownObjectError."""
        self._workspace.remove_webhook(path)

    def post_elsewhere(self, channel_id: str, text: str) -> SlackMessage:
        """Somebody else writes into a channel: the history shows it, `messages` and `wait_for` do not."""
        return self._workspace.post_elsewhere(channel_id, text)

    def messages(self, channel_id: str | None = None) -> list[SlackMessage]:
        """What was posted through the API and the webhooks, as it is now, in order, to one channel or to all. Replies
        in threads are among it; what was deleted is not."""
        return self._workspace.posted(channel_id)

    def replies(self, channel_id: str, ts: str) -> list[SlackMessage]:
        """The thread under a message, oldest first, without the message; empty where there is none."""
        return self._workspace.replies(channel_id, ts)

    def delete_message(self, channel_id: str, ts: str) -> None:
        """Somebody removes a message, anybody's. Raises UnknownObjectError.

        From now on chat.update answers `message_not_found`, and what asks for a thread under it `thread_not_found`;
        replies that were there stay in `messages` and `replies`.
        """
        self._workspace.delete(channel_id, ts)
        self._tell()

    def fault(
        self, fault: SlackFault, *, method: str = POST_MESSAGE, channel: str | None = None, times: int | None = None
    ) -> FaultHandle:
        """Hangs up a fault, for so many requests or until it is cleared; see SlackFaults."""
        known = None if channel is None else self._workspace.find_channel(channel)
        return self._faults.hang(fault, _key(method, known.id if known else channel or "*"), times)

    def clear_faults(self) -> None:
        """Takes down all faults; what hangs goes on."""
        self._faults.clear()

    def reset(self) -> None:
        """Forgets messages, requests, faults and counters; channels, tokens and webhooks stay."""
        self._workspace.messages.clear()
        self.requests = []
        self._pace.clear()
        self._faults.clear()
        self.reset_counters()

    # Serving.

    @property
    def api_url(self) -> str:
        """The Web API's address while it is served, with a slash at its end."""
        return self.origin + API

    def webhook_url(self, path: str) -> str:
        """The address of an incoming webhook while it is served."""
        return self.origin + path

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serves until the block ends; gives http://HOST:PORT."""
        async with self.listening(self._handle, host, port) as origin:
            self.origin = origin
            yield origin

    async def wait_for(self, wanted: SlackWanted, timeout: float = 10.0) -> list[SlackMessage]:
        """Waits until it holds; gives all messages. Raises AssertionError that shows what came instead.

        A condition is looked at when a request comes in, when it is answered, and when a message is deleted.
        """
        happened = asyncio.Event()
        self._waiting.add(happened)
        try:
            async with asyncio.timeout(timeout):
                while not _holds(wanted, self.messages()):
                    await happened.wait()
                    happened.clear()
        except TimeoutError:
            raise AssertionError(f"waited {timeout:g} s for {_described(wanted)}; {self.described()}") from None
        finally:
            self._waiting.discard(happened)
        return self.messages()

    def described(self) -> str:
        """What was kept and what was asked, a line each, for a failing test."""
        kept, asked = self.messages(), self.requests
        lines = [
            f"kept {len(kept)}:",
            *(f"  {m.channel} {m.ts}, {len(m.edits)} edits: {m.text[:200]}" for m in kept[-50:]),
            f"asked {len(asked)}:",
            *(f"  {r.method} {r.channel or '-'} -> {r.status} {r.answer}" for r in asked[-50:]),
        ]
        return "\n".join(lines)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        call = read_call(request, body)
        if call is None:
            return web.Response(status=404)
        channel = self._channel_of(call)
        log, place = self.requests, len(self.requests)
        log.append(SlackRequest(time.monotonic(), call.method, channel, call.arguments, request.headers))
        self._tell()
        answer = self._too_soon(call, channel) or await self._answered(call, channel)
        log[place] = replace(log[place], status=answer.status, answer=answer.code, accepted=answer.accepted)
        self._tell()
        if answer.status is None:
            await wire.drop(request)
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    async def _answered(self, call: Call, channel: str | None) -> Answer:
        for rule in self._faults.matching(_key(call.method, channel or "")):
            if not isinstance(rule.what, Hang):
                return self._failed(rule.what, call, channel)
            await rule.cleared.wait()
        return self._done(call, channel)

    def _failed(self, fault: Ending, call: Call, channel: str | None) -> Answer:
        match fault:
            case SlackError(code, status, extra) if call.is_webhook:
                return slack_webhook.refusal(code, status)
            case SlackError(code, status, extra):
                return json_answer({"ok": False, "error": code, **extra}, status or 200)
            case RateLimit(retry_after):
                return _rate_limited(call, retry_after)
            case Status(status, body, headers):
                return Answer(status, body, headers)
            case Body(content, content_type):
                return Answer(200, content, {"Content-Type": content_type})
            case Redirect(location, status):
                return Answer(status, headers={"Location": location})
            case Accept(then):
                accepted = self._done(call, channel).accepted
                return replace(self._failed(then, call, channel), accepted=accepted)
            case Drop():
                return Answer(None)
            case unknown:
                assert_never(unknown)

    def _done(self, call: Call, channel: str | None) -> Answer:
        answer = slack_webhook.receive(self._workspace, call) if call.is_webhook else self._api.answer(call)
        if answer.accepted:
            self._pace.count(call, channel)
        return answer

    def _too_soon(self, call: Call, channel: str | None) -> Answer | None:
        """Comes before the faults, so that what Slack itself refuses uses up none."""
        if not self.enforce_pace:
            return None
        seconds = self._pace.wait(call, channel, self.edits_per_window, self.edit_window)
        return None if seconds is None else _rate_limited(call, seconds)

    def _tell(self) -> None:
        for event in self._waiting:
            event.set()

    def _channel_of(self, call: Call) -> str | None:
        if call.is_webhook:
            return self._workspace.webhooks.get(call.path)
        named = call.arguments.get("channel")
        if not isinstance(named, str):
            return None
        known = self._workspace.find_channel(named)
        return known.id if known else named


def _key(method: str, channel: str) -> str:
    """What the board of faults matches: neither part has a space in it."""
    return f"{method} {channel}"


def _rate_limited(call: Call, retry_after: int | str | None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if call.is_webhook:
        return text_answer("rate_limited", 429, headers)
    return json_answer({"ok": False, "error": "ratelimited"}, 429, headers)


def _holds(wanted: SlackWanted, messages: list[SlackMessage]) -> bool:
    return len(messages) >= wanted if isinstance(wanted, int) else wanted(messages)


def _described(wanted: SlackWanted) -> str:
    return f"{wanted} messages" if isinstance(wanted, int) else getattr(wanted, "__qualname__", repr(wanted))
