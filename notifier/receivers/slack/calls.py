"""What is asked of Slack for one channel, a call or a few for each question, and what comes of it.

chat.postMessage is not idempotent. After an attempt whose end is unknown, the event's ID is looked for in the metadata
of the channel's messages before it is sent again, where the token may read them. An edit may be made twice.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from notifier.http.client import retry_after
from notifier.model.delivery import Broken, Delivered, Message, Outcome, Posted, Refused, Retry
from notifier.receivers.pace import Turnstile, Turnstiles
from notifier.receivers.slack.blocks.text import Rendered
from notifier.receivers.slack.channel import CanNotTell, channel_of, find_channel
from notifier.receivers.slack.client import ErrorCodes, api_client, error_code, error_detail, outcome_of_failure
from notifier.receivers.slack.draft import Draft, Forbidden
from notifier.receivers.slack.errors import outcome_of_error
from notifier.receivers.slack.identity import Identity
from notifier.receivers.slack.lookup import Attempt, CanNotLook, FoundMessage, find_in_channel, find_in_thread
from notifier.receivers.slack.post import LeftOut, edit_arguments, post_arguments
from notifier.receivers.slack.story import Reference
from notifier.watchlist.receivers import SlackReceiver

_UPTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps, where it can

Render = Callable[[Draft], Rendered]
"""Makes a message, with those mentions and for the thread alone or not."""


@dataclass(frozen=True, slots=True)
class Post:
    """A message to post."""

    head: Message
    """The event by whose ID it is looked for."""
    render: Render
    draft: Draft
    through: str | None = None
    """The last event that it tells of."""
    thread_ts: str | None = None
    """Where it is a reply: the message above the thread."""


class Calls:
    """One receiver's calls."""

    def __init__(
        self,
        name: str,
        settings: SlackReceiver,
        session: aiohttp.ClientSession,
        turnstiles: Turnstiles,
        note: str | None,
        clock: Callable[[], datetime],
    ) -> None:
        """`note`: what `identity.note` was before the last restart."""
        self.identity = Identity(settings.channel, note)
        self._left_out = LeftOut(name, clock)
        self._name = name
        self._client = api_client(settings, session)
        self._token = settings.token
        self._turnstiles = turnstiles
        self._turnstile = turnstiles.of(*self._place)
        self._clock = clock
        self._codes = ErrorCodes()
        self._began: dict[str, float] = {}

    @property
    def forbidden(self) -> Forbidden:
        """What Slack refuses of this receiver's messages."""
        return self._left_out.forbidden

    @property
    def turnstile(self) -> Turnstile:
        """The channel's, by whatever ID Slack knows it now: all receivers that post there share it."""
        found = self._turnstiles.of(*self._place)
        if found is not self._turnstile:
            found.join(self._name)
            self._turnstile = found
        return found

    @property
    def _place(self) -> tuple[str, str]:
        return self._token.get_secret_value(), self.identity.id or self.identity.configured.removeprefix("#")

    def begins(self, message: Message) -> None:
        """An attempt begins. Its age will be known by a clock that nobody sets, whatever our wall clock says."""
        if message.maybe_sent_at is None:
            self._began[message.event_id] = time.clock_gettime(_UPTIME)

    def ended(self, event_id: str, outcome: Outcome) -> Outcome:
        """Returns the outcome as it is. After a final one, nothing is remembered of the event."""
        if isinstance(outcome, Delivered | Refused):
            self._began.pop(event_id, None)
        return self._codes.ended(event_id, outcome)

    # --- one message ---

    async def post_once(self, post: Post) -> Outcome:
        """Posts a message to the channel, unless a look finds that an earlier attempt arrived."""
        unsure = False
        if post.head.maybe_sent_at is not None:
            try:
                found = await self.found_in_channel(post.head)
            except CanNotLook:
                found, unsure = None, True
            if isinstance(found, Retry):
                return found
            if found is not None:
                shows = found.through or post.head.event_id
                posted = self._posted(self.identity.id or "", found.ts, shows)
                answer = f"found in the channel, ts {found.ts}"
                return Delivered(note=self.identity.note, answer=answer, posted=posted)
        outcome, _ = await self.post(post)
        return still_open(outcome) if unsure else outcome

    async def post(self, post: Post) -> tuple[Outcome, str]:
        """Posts a message, less what Slack refuses of it; the outcome, and the error code where there was one."""
        event_id, through = post.head.event_id, post.through

        async def send(draft: Draft) -> tuple[Outcome, str]:
            place: dict[str, Any] = {}
            if post.thread_ts is not None:
                place = {"thread_ts": post.thread_ts, "reply_broadcast": draft.in_channel}
            arguments = post_arguments(event_id, self._name, post.render(draft), through, draft.refused)
            call = self._client.chat_postMessage(channel=self.identity.configured, **place, **arguments)
            return await self._called(event_id, call, through)

        return await self._left_out.send(send, post.draft)

    async def edit(self, event_id: str, reference: Reference, rendered: Rendered) -> tuple[Outcome, str]:
        """Makes a message say something else."""

        async def send(draft: Draft) -> tuple[Outcome, str]:
            arguments = edit_arguments(rendered, draft.refused)
            call = self._client.chat_update(channel=reference.channel, ts=reference.ts, **arguments)
            return await self._called(event_id, call)

        return await self._left_out.send(send, Draft())

    async def _called(
        self, event_id: str, call: Awaitable[AsyncSlackResponse], through: str | None = None
    ) -> tuple[Outcome, str]:
        """What came of a call, and the error code where it is one that counts."""
        try:
            answer = await call
        except SlackApiError as error:
            return self._refused(event_id, error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return outcome_of_failure(error), ""
        channel, ts = answer.get("channel"), answer.get("ts")
        posted = None
        if isinstance(channel, str) and isinstance(ts, str):
            self.is_answered(channel)
            posted = self._posted(channel, ts, through or event_id)
        return Delivered(note=self.identity.note, answer=f"ok, channel {channel}, ts {ts}", posted=posted), ""

    def _refused(self, event_id: str, error: SlackApiError) -> tuple[Outcome, str]:
        code, status = error_code(error), error.response.status_code
        after = retry_after(error.response.headers, self._clock())
        outcome = self._codes.outcome(event_id, code, status, after, error_detail(error))
        return outcome, code if status != 429 else ""

    def _posted(self, channel: str, ts: str, shows: str) -> Posted:
        return Posted(str(Reference(channel, ts, shows)), shows)

    # --- which channel it is ---

    def is_answered(self, channel_id: str) -> None:
        """Slack says that this is the channel's ID; another receiver may know it by that, and then shares its pace."""
        before = self.turnstile
        self.identity.is_answered(channel_id)
        self._turnstiles.same(before, *self._place)

    async def find_out(self, channel_id: str) -> Retry | None:
        """Asks whether an ID is this channel's; Retry where Slack can't say now. Where it never will, it is not."""
        try:
            found = channel_of(await self._client.conversations_info(channel=channel_id))
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            failed = self._failed(error)
            if isinstance(failed, Retry):
                return replace(failed, reason=f"asking about the channel: {failed.reason}", maybe_sent=False)
            found = None
        self.identity.shows(channel_id, found)
        if self.identity.id is not None:
            self.is_answered(self.identity.id)
        return None

    # --- looking for a message that may have been sent ---

    async def found_in_channel(self, head: Message) -> FoundMessage | Retry | None:
        """The channel's message about an event; Retry where Slack can't say now. Raises CanNotLook, where it won't."""
        return await self._looked(self._find(head))

    async def found_in_thread(self, head: Message, reference: Reference) -> FoundMessage | Retry | None:
        """The reply about an event, likewise."""
        return await self._looked(find_in_thread(self._client, reference.channel, reference.ts, self._attempt_of(head)))

    async def _looked(self, look: Awaitable[FoundMessage | None]) -> FoundMessage | Retry | None:
        try:
            return await look
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            failed = self._failed(error)
        if isinstance(failed, Retry):
            return Retry(f"looking for the message: {failed.reason}", failed.after, maybe_sent=True)
        raise CanNotLook  # what is broken for looking may not be for sending, and says so then

    async def _find(self, head: Message) -> FoundMessage | None:
        """Raises CanNotLook, what slack-sdk and aiohttp raise."""
        if self.identity.id is None:
            try:
                found = await find_channel(self._client, self.identity.configured)
            except CanNotTell:
                found = None
            if found is not None:
                self.is_answered(found.id)
        if self.identity.id is None:
            raise CanNotLook
        return await find_in_channel(self._client, self.identity.id, self._attempt_of(head))

    def _attempt_of(self, head: Message) -> Attempt:
        began, now = self._began.get(head.event_id), self._clock()
        seconds = time.clock_gettime(_UPTIME) - began if began is not None else None
        age = timedelta(seconds=seconds) if seconds is not None else None
        return Attempt(head.event_id, self._name, head.maybe_sent_at or now, now, age)

    def _failed(self, error: Exception) -> Outcome | None:
        """What the failure of a question means; None for a code that nobody knows."""
        if not isinstance(error, SlackApiError):
            return outcome_of_failure(error)
        answer = error.response
        after = retry_after(answer.headers, self._clock())
        return outcome_of_error(error_code(error), answer.status_code, after, error_detail(error))


def still_open(outcome: Outcome) -> Outcome:
    """The outcome of an attempt before which nobody could look for the earlier one, whose end so stays unknown."""
    return replace(outcome, maybe_sent=True) if isinstance(outcome, Retry | Broken) else outcome
