"""A Slack channel, by a bot token: chat.postMessage, and chat.update for messages that are kept true.

What one message of a story tells is decided here; how it gets to Slack is in `calls.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import aiohttp
import structlog

from notifier.model.body import EventBody
from notifier.model.delivery import Delivered, Message, Outcome, Posted, Retry, Story, Verdict
from notifier.receivers.base import Kind, Shared
from notifier.receivers.pace import Paces, Turnstile
from notifier.receivers.slack.blocks.page_link import with_page
from notifier.receivers.slack.blocks.run import render
from notifier.receivers.slack.blocks.text import Rendered
from notifier.receivers.slack.calls import Calls, Post, still_open
from notifier.receivers.slack.check import check_slack
from notifier.receivers.slack.client import api_session
from notifier.receivers.slack.draft import THREADS, Draft
from notifier.receivers.slack.errors import Fault, fault_of, shown
from notifier.receivers.slack.lookup import CanNotLook
from notifier.receivers.slack.story import Chapter, Reference, is_announced
from notifier.watchlist.receivers import SlackReceiver

log = structlog.get_logger(__name__)

MOST_MERGED: Final = 20  # events of one story that are merged
NOTHING_TO_SHOW: Final = "nothing to show"
TAKES_NO_REPLIES: Final = "cannot_reply_to_message"  # said of one message, or for ever of all that we post
# What is not there to be edited or answered: the story goes on without it.
_NOT_THERE: Final = frozenset({Fault.MESSAGES, Fault.THREADS, Fault.ALL_THREADS})


class SlackSender:
    """Posts events to one channel. `note`: what `Delivered.note` said before the last restart."""

    concurrency = 1
    can_be_asked = True
    most_at_once = MOST_MERGED

    def __init__(
        self,
        name: str,
        settings: SlackReceiver,
        session: aiohttp.ClientSession,
        paces: Paces,
        *,
        note: str | None = None,
        public_url: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`public_url`: where the status page is, for links."""
        self.name = name
        self._public_url = public_url
        self._calls = Calls(name, settings, session, paces.messages, note, clock)
        self._edits = paces.edits.of(settings.token.get_secret_value())
        self._edits.join(name)
        self._clock = clock
        self._posted_anew: set[str] = set()

    @property
    def turnstile(self) -> Turnstile:
        """The channel's."""
        return self._calls.turnstile

    def gate(self, message: Message) -> Turnstile | None:
        """Edits have a pace of their own."""
        story = message.story
        return self._edits if story is not None and self._is_to_be_edited(story) else None

    async def send(self, message: Message) -> Outcome:
        """One attempt: where an earlier one may have arrived, a look first; what Slack refuses of it is left out."""
        self._calls.begins(message)
        if message.story is not None:
            outcome = await self._go_on(Chapter.of(message, message.story))
        else:
            outcome = await self._tell(message, EventBody.of(message.body))
        return self._calls.ended(message.event_id, outcome)

    async def _tell(self, message: Message, event: EventBody) -> Outcome:
        """Posts one event that goes on with nothing."""
        if not is_announced(event):
            return Delivered(answer=NOTHING_TO_SHOW, unsent=True)

        def whole(draft: Draft) -> Rendered:
            return self._linked(render(event, self._clock(), mentions=draft.mentions), event)

        outcome = await self._calls.post_once(Post(message, whole, Draft(message.mentions)))
        # No later event comes back to it.
        return replace(outcome, posted=None) if isinstance(outcome, Delivered) else outcome

    # --- a story: one message that is kept true, and its thread ---

    async def _go_on(self, chapter: Chapter) -> Outcome:
        story, head = chapter.story, chapter.events[0]
        if (waits := await self._find_out(story)) is not None:
            return still_open(waits) if head.maybe_sent_at is not None else waits
        reference = self._reference(story)
        if reference is None:
            return await self._begin(chapter)
        if self._is_to_be_edited(story):
            outcome, code = await self._edit(chapter, reference)
            if fault_of(code) in _NOT_THERE:
                return await self._begin(chapter)
            if not isinstance(outcome, Delivered):
                # What an earlier attempt left open about the thread stays so.
                return still_open(outcome) if head.maybe_sent_at is not None else outcome
        if not story.is_incident or not chapter.told:
            return self._went_on(chapter, reference, len(chapter.events))
        return await self._reply(chapter, reference)

    def _root(self, chapter: Chapter, mentions: tuple[str, ...] = ()) -> Rendered:
        return self._linked(chapter.root(self._clock(), mentions=mentions), chapter.state)

    def _linked(self, rendered: Rendered, event: EventBody) -> Rendered:
        return with_page(rendered, event, self._public_url)

    async def _find_out(self, story: Story) -> Retry | None:
        """Asks Slack whether the story's message is in this channel, where it alone knows: the channel may have been
        renamed, or go by another ID, or the receiver may have moved. Retry where it can't say now."""
        reference = Reference.of(story.posted or story.posted_of_run)
        if reference is None or self._calls.identity.is_it(reference.channel) is not None:
            return None
        return await self._calls.find_out(reference.channel)

    def _reference(self, story: Story) -> Reference | None:
        """The story's message, unless the receiver has moved to another channel since."""
        reference = Reference.of(story.posted or story.posted_of_run)
        identity = self._calls.identity
        if reference is None or not identity.is_it(reference.channel):
            return None
        return replace(reference, channel=identity.id or reference.channel)

    def _is_to_be_edited(self, story: Story) -> bool:
        return self._reference(story) is not None and (story.posted is None or not story.is_current)

    async def _begin(self, chapter: Chapter) -> Outcome:
        """Posts the story's message, anew where it is gone."""
        if not chapter.told:
            return Delivered(answer=NOTHING_TO_SHOW, count=len(chapter.events), unsent=True)
        outcome = await self._calls.post_once(
            Post(
                chapter.events[0],
                lambda draft: self._root(chapter, draft.mentions),
                Draft(chapter.called),
                through=chapter.story.state_id,
            )
        )
        if not isinstance(outcome, Delivered):
            return outcome
        return replace(outcome, count=chapter.count_of_first_message)

    async def _edit(self, chapter: Chapter, reference: Reference) -> tuple[Outcome, str]:
        outcome, code = await self._calls.edit(chapter.events[0].event_id, reference, self._root(chapter))
        if isinstance(outcome, Retry):
            outcome = replace(outcome, maybe_sent=False, for_all=outcome.after is None)
        return outcome, code

    async def _reply(self, chapter: Chapter, reference: Reference) -> Outcome:
        """Adds what the events tell to the thread."""
        head = chapter.events[0]
        unsure = False
        if head.maybe_sent_at is not None:
            try:
                found = await self._calls.found_in_thread(head, reference)
            except CanNotLook:
                found, unsure = None, True
            if isinstance(found, Retry):
                return found
            if found is not None:
                return self._went_on(chapter, reference, chapter.count_through(found.through))
        if (why := self._without_thread(reference)) is not None:
            return await self._tell_without_thread(chapter, reference, why)
        outcome, code = await self._calls.post(self._lines(chapter, reference, thread_ts=reference.ts))
        fault = fault_of(code)
        if fault is Fault.MESSAGES and (code != TAKES_NO_REPLIES or chapter.story.name not in self._posted_anew):
            self._posted_anew.add(chapter.story.name)
            return await self._begin(chapter)
        if fault in _NOT_THERE:
            self._forbid_thread(reference, THREADS if fault is Fault.ALL_THREADS else str(reference), shown(code))
            return await self._tell_without_thread(chapter, reference, shown(code))
        if not isinstance(outcome, Delivered):
            return still_open(outcome) if unsure else outcome
        went_on = self._went_on(chapter, reference, len(chapter.events))
        return replace(went_on, answer=outcome.answer, caveat=outcome.caveat)

    def _lines(self, chapter: Chapter, reference: Reference, *, thread_ts: str | None) -> Post:
        """What the events tell, as a reply, or as a message of its own that stands without its thread."""
        in_channel = chapter.in_channel(reference, taken_over=chapter.story.posted is None)

        def lines(draft: Draft) -> Rendered:
            return chapter.reply(
                self._clock(), in_channel=draft.in_channel or thread_ts is None, mentions=draft.mentions
            )

        draft = Draft(chapter.called, in_channel=in_channel and thread_ts is not None)
        return Post(chapter.events[0], lines, draft, chapter.told[-1].event_id, thread_ts)

    def _went_on(self, chapter: Chapter, reference: Reference, count: int) -> Delivered:
        posted = Posted(str(reference), chapter.story.state_id) if self._is_to_be_edited(chapter.story) else None
        return Delivered(
            note=self._calls.identity.note, answer=f"edited, ts {reference.ts}", count=count, posted=posted
        )

    # --- a story whose message takes no replies ---

    def _without_thread(self, reference: Reference) -> str | None:
        """Why the message takes no replies, as far as Slack has said so."""
        now, forbidden = self._clock(), self._calls.forbidden
        return forbidden.why(THREADS, now) or forbidden.why(str(reference), now)

    def _forbid_thread(self, reference: Reference, what: str, why: str) -> None:
        if self._calls.forbidden.add(what, why, self._clock()):
            log.warning(
                "Slack takes no replies to a message; its story goes on without a thread",
                receiver=self.name,
                channel=reference.channel,
                ts=reference.ts,
                error=why,
            )

    async def _tell_without_thread(self, chapter: Chapter, reference: Reference, why: str) -> Outcome:
        """The message itself shows how things are; what else the channel would have been shown, or somebody called for,
        becomes a message of its own."""
        caveat = f"Slack takes no reply in the thread: {why}"
        went_on = replace(self._went_on(chapter, reference, len(chapter.events)), caveat=caveat)
        if not chapter.called and not chapter.in_channel(reference, taken_over=chapter.story.posted is None):
            return replace(went_on, answer=f"{went_on.answer}; {caveat}")
        outcome = await self._calls.post_once(self._lines(chapter, reference, thread_ts=None))
        if not isinstance(outcome, Delivered):
            return outcome
        told = outcome.posted.event_id if outcome.posted is not None else chapter.told[-1].event_id
        count = went_on.count if told == chapter.told[-1].event_id else chapter.count_through(told)
        caveats = "; ".join(each for each in (caveat, outcome.caveat) if each)
        return replace(went_on, answer=f"{outcome.answer}; {caveat}", caveat=caveats, count=count)


def _build(name: str, settings: SlackReceiver, shared: Shared, note: str | None) -> SlackSender:
    return SlackSender(
        name, settings, shared.session(api_session), shared.paces, note=note, public_url=shared.public_url
    )


def _check(settings: SlackReceiver, shared: Shared) -> Awaitable[Verdict]:
    return check_slack(settings, shared.session(api_session))


KIND: Final = Kind(SlackReceiver, _build, _check)
