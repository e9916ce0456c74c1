"""A Slack channel, by a bot token: chat.postMessage, and chat.update for messages that are kept true.

chat.postMessage is not idempotent. After an attempt whose end is unknown, the event's ID is looked for in the metadata
of the channel's messages before it is sent again, where the token may read them. An edit may be made twice.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from notifier.config.models import SlackReceiver
from notifier.http import retry_after
from notifier.model import Broken, Delivered, Message, Outcome, Posted, Refused, Retry, Story
from notifier.receivers.blocks import Rendered, render
from notifier.receivers.page_link import with_page
from notifier.receivers.slack_channel import find_channel, is_channel_id
from notifier.receivers.slack_chapter import Chapter, Reference, is_announced
from notifier.receivers.slack_errors import GONE, outcome_of_error
from notifier.receivers.slack_http import (
    EDIT_PACE,
    ErrorCodes,
    api_client,
    error_code,
    error_detail,
    outcome_of_failure,
)
from notifier.receivers.slack_look import CanNotLook, Found, find_in_channel, find_in_thread
from notifier.receivers.slack_post import edit_arguments, post_arguments, send_in_two_shapes
from notifier.turnstile import Turnstile, Turnstiles

MOST_AT_ONCE: Final = 20  # events of one story that are merged
NOTHING_TO_SHOW: Final = "nothing to show"


class SlackSender:
    """Posts events to one channel. `note`: what `Delivered.note` said before the last restart."""

    concurrency = 1
    can_be_asked = True
    most_at_once = MOST_AT_ONCE

    def __init__(
        self,
        name: str,
        settings: SlackReceiver,
        session: aiohttp.ClientSession,
        turnstiles: Turnstiles,
        edits: Turnstiles | None = None,
        *,
        note: str | None = None,
        public_url: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`turnstiles` are of channels; `edits` are of tokens, since Slack counts those of a whole workspace.

        `public_url`: where the status page is, for links.
        """
        self.name = name
        self._public_url = public_url
        self._client = api_client(settings, session)
        self._token = settings.token
        self._channel = settings.channel
        self._channel_id = self._channel if is_channel_id(self._channel) else _remembered(note, self._channel)
        self._was_in = (note or "").rpartition("=")[2]
        self._turnstiles = turnstiles
        self.turnstile = turnstiles.of(*self._place(self._channel_id or self._channel.removeprefix("#")))
        self._edits = (edits or Turnstiles(EDIT_PACE)).of(self._token.get_secret_value())
        self._edits.join(name)
        self._clock = clock
        self._codes = ErrorCodes()

    def gate(self, message: Message) -> Turnstile | None:
        """Edits have a pace of their own."""
        story = message.story
        return self._edits if story is not None and self._is_to_be_edited(story) else None

    async def send(self, message: Message) -> Outcome:
        """One attempt: where an earlier one may have arrived, a look first; if the blocks are refused, plain text."""
        if message.story is not None:
            outcome = await self._go_on(Chapter.of(message, message.story))
        elif is_announced(message):
            rendered = self._linked(render(message.body, self._clock(), mentions=message.mentions), message.body)
            outcome = await self._post_once(message, rendered)
            if isinstance(outcome, Delivered):
                outcome = replace(outcome, posted=None)  # no later event comes back to it
        else:
            outcome = Delivered(answer=NOTHING_TO_SHOW, unsent=True)
        return self._codes.ended(message.event_id, outcome)

    # --- a story: one message that is kept true, and its thread ---

    async def _go_on(self, chapter: Chapter) -> Outcome:
        story, head = chapter.story, chapter.events[0]
        reference = self._reference(story)
        if reference is None:
            return await self._begin(chapter)
        if self._is_to_be_edited(story):
            outcome, code = await self._edit(chapter, reference)
            if code in GONE:
                return await self._begin(chapter)
            if not isinstance(outcome, Delivered):
                # What an earlier attempt left open about the thread stays so.
                return _still_open(outcome) if head.maybe_sent_at is not None else outcome
        if not story.is_incident or not chapter.told:
            return self._went_on(chapter, reference, len(chapter.events))
        return await self._reply(chapter, reference)

    def _root(self, chapter: Chapter, *, posting: bool) -> Rendered:
        return self._linked(chapter.root(self._clock(), posting=posting), chapter.story.state)

    def _linked(self, rendered: Rendered, body: bytes) -> Rendered:
        return with_page(rendered, body, self._public_url)

    def _reference(self, story: Story) -> Reference | None:
        """The story's message, unless the receiver has moved to another channel since."""
        reference = Reference.of(story.posted or story.posted_of_run)
        if reference is None:
            return None
        if self._channel_id is None:  # not known yet, and not the one in which it was under another name
            return reference if reference.channel != self._was_in else None
        return reference if reference.channel == self._channel_id else None

    def _is_to_be_edited(self, story: Story) -> bool:
        return self._reference(story) is not None and (story.posted is None or not story.is_current)

    async def _begin(self, chapter: Chapter) -> Outcome:
        """Posts the story's message, anew where it is gone."""
        if not chapter.told:
            return Delivered(answer=NOTHING_TO_SHOW, count=len(chapter.events), unsent=True)
        outcome = await self._post_once(
            chapter.events[0], self._root(chapter, posting=True), through=chapter.story.state_id
        )
        if not isinstance(outcome, Delivered):
            return outcome
        return replace(outcome, count=chapter.count_of_first_message)

    async def _edit(self, chapter: Chapter, reference: Reference) -> tuple[Outcome, str]:
        event_id = chapter.events[0].event_id

        async def edit(arguments: dict[str, Any]) -> tuple[Outcome, str]:
            call = self._client.chat_update(channel=reference.channel, ts=reference.ts, **arguments)
            return await self._called(event_id, call)

        rendered = self._root(chapter, posting=False)
        outcome, code = await send_in_two_shapes(edit, partial(edit_arguments, rendered))
        if isinstance(outcome, Retry):
            outcome = replace(outcome, maybe_sent=False, for_all=outcome.after is None)
        return outcome, code

    async def _reply(self, chapter: Chapter, reference: Reference) -> Outcome:
        """Adds what the events tell to the thread."""
        head = chapter.events[0]
        unsure = False
        if head.maybe_sent_at is not None:
            try:
                since = head.maybe_sent_at
                look = find_in_thread(self._client, reference.channel, reference.ts, head.event_id, since)
                found = await self._looked(look)
            except CanNotLook:
                found, unsure = None, True
            if isinstance(found, Retry):
                return found
            if found is not None:
                return self._went_on(chapter, reference, chapter.count_through(found.through))
        in_channel = chapter.in_channel(reference, taken_over=chapter.story.posted is None)
        rendered = chapter.reply(self._clock(), in_channel=in_channel)
        place = {"thread_ts": reference.ts, "reply_broadcast": in_channel}
        outcome, code = await self._post(head.event_id, rendered, chapter.told[-1].event_id, **place)
        if code in GONE:
            return await self._begin(chapter)
        if not isinstance(outcome, Delivered):
            return _still_open(outcome) if unsure else outcome
        return replace(self._went_on(chapter, reference, len(chapter.events)), answer=outcome.answer)

    def _went_on(self, chapter: Chapter, reference: Reference, count: int) -> Delivered:
        posted = Posted(str(reference), chapter.story.state_id) if self._is_to_be_edited(chapter.story) else None
        return Delivered(note=self._note(), answer=f"edited, ts {reference.ts}", count=count, posted=posted)

    # --- one message ---

    async def _post_once(self, message: Message, rendered: Rendered, *, through: str | None = None) -> Outcome:
        """Posts a message, unless a look finds that an earlier attempt arrived."""
        unsure = False
        if message.maybe_sent_at is not None:
            try:
                found = await self._looked(self._find(message.event_id, message.maybe_sent_at))
            except CanNotLook:
                found, unsure = None, True
            if isinstance(found, Retry):
                return found
            if found is not None:
                posted = self._posted(self._channel_id or "", found.ts, found.through or message.event_id)
                return Delivered(note=self._note(), answer=f"found in the channel, ts {found.ts}", posted=posted)
        outcome, _ = await self._post(message.event_id, rendered, through)
        return _still_open(outcome) if unsure else outcome

    async def _post(
        self, event_id: str, rendered: Rendered, through: str | None = None, **place: Any
    ) -> tuple[Outcome, str]:
        async def post(arguments: dict[str, Any]) -> tuple[Outcome, str]:
            call = self._client.chat_postMessage(channel=self._channel, **place, **arguments)
            return await self._called(event_id, call, through)

        return await send_in_two_shapes(post, partial(post_arguments, event_id, rendered, through))

    async def _called(
        self, event_id: str, call: Awaitable[AsyncSlackResponse], through: str | None = None
    ) -> tuple[Outcome, str]:
        """What came of a call, and the error code where there was one."""
        try:
            answer = await call
        except SlackApiError as error:
            code = error_code(error)
            if code in GONE:
                return Refused(code), code
            return self._outcome_of(event_id, error), code
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return outcome_of_failure(error), ""
        channel, ts = answer.get("channel"), answer.get("ts")
        posted = None
        if isinstance(channel, str) and isinstance(ts, str):
            self._is(channel)
            posted = self._posted(channel, ts, through or event_id)
        return Delivered(note=self._note(), answer=f"ok, channel {channel}, ts {ts}", posted=posted), ""

    def _posted(self, channel: str, ts: str, shows: str) -> Posted:
        return Posted(str(Reference(channel, ts, shows)), shows)

    def _outcome_of(self, event_id: str, error: SlackApiError) -> Outcome:
        answer = error.response
        after = retry_after(answer.headers, self._clock())
        return self._codes.outcome(event_id, error_code(error), answer.status_code, after, error_detail(error))

    def _place(self, channel: str) -> tuple[str, str]:
        return self._token.get_secret_value(), channel

    def _is(self, channel_id: str) -> None:
        """The channel turned out to have this ID; another receiver may know it by that, and then shares its pace."""
        self._channel_id = channel_id
        shared = self._turnstiles.same(self.turnstile, *self._place(channel_id))
        if shared is not self.turnstile:
            shared.join(self.name)
            self.turnstile = shared

    def _note(self) -> str | None:
        """The channel's ID beside the name by which it is configured: history is read by ID alone."""
        return f"{self._channel}={self._channel_id}" if self._channel_id else None

    # --- looking for a message that may have been sent ---

    async def _looked(self, look: Awaitable[Found | None]) -> Found | Retry | None:
        """What was found; Retry where Slack can't say now. Raises CanNotLook where that may never change."""
        try:
            return await look
        except SlackApiError as error:
            answer = error.response
            after = retry_after(answer.headers, self._clock())
            failed = outcome_of_error(error_code(error), answer.status_code, after, error_detail(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failed = outcome_of_failure(error)
        if isinstance(failed, Retry):
            return Retry(f"looking for the message: {failed.reason}", failed.after, maybe_sent=True)
        raise CanNotLook  # what is broken for looking may not be for sending, and says so then

    async def _find(self, event_id: str, since: datetime) -> Found | None:
        """The channel's message about this event. Raises CanNotLook, what slack-sdk and aiohttp raise."""
        if self._channel_id is None and (found := await find_channel(self._client, self._channel)):
            self._is(found.id)
        if self._channel_id is None:
            raise CanNotLook
        return await find_in_channel(self._client, self._channel_id, event_id, since)


def _still_open(outcome: Outcome) -> Outcome:
    """The outcome of an attempt before which nobody could look: the end of the earlier one is as unknown as it was."""
    return replace(outcome, maybe_sent=True) if isinstance(outcome, Retry | Broken) else outcome


def _remembered(note: str | None, channel: str) -> str | None:
    """The channel's ID out of a note, unless the watchlist names another channel by now."""
    name, _, channel_id = (note or "").rpartition("=")
    return channel_id if name == channel and channel_id else None
