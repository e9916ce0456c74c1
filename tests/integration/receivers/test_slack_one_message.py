"""What Slack refuses of one message, its thread or its mention: the channel gets what there is to say all the same."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.model.delivery import Broken, Delivered, Message, Posted, Refused, Retry
from notifier.model.event import EventType
from notifier.simulator.slack.faults import POST_MESSAGE, UPDATE, Accept, Drop, SlackError
from tests.integration.receivers.desk import BOTH, WEBHOOK, Desk, an_event, open_desk, pauses_noted, without_proxies
from tests.integration.receivers.test_slack_living import (
    begun,
    changed,
    chapter,
    delivered,
    now,
    of_run,
    opened,
    reminder,
    replies,
    resolved,
    roots,
)

LOCKED = "restricted_action_thread_locked"
NO_THREADS = "restricted_action_non_threadable_channel"
THREADS_ONLY = "restricted_action_thread_only_channel"
REPLIES = "conversations.replies"
HISTORY = "conversations.history"


@pytest_asyncio.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    without_proxies(monkeypatch)
    pauses_noted(monkeypatch)
    async with open_desk() as opened_desk:
        yield opened_desk


def mentioning(event_id: str = "evt_1", who: tuple[str, ...] = ("@channel",)) -> Message:
    return Message(event_id, "sync_run.failed", an_event().body, mentions=who)


def refused(desk: Desk) -> int:
    """The requests that Slack said no to."""
    return len([request for request in desk.slack.requests if not request.accepted])


async def locked(desk: Desk, sender: Any) -> Posted:
    """An incident's message in whose thread nobody may write."""
    posted = await begun(desk, sender)
    desk.slack.lock_thread(desk.channel, roots(desk)[0].ts)
    return posted


# --- its thread ---


@pytest.mark.asyncio
async def test_a_line_for_a_locked_thread_is_shown_by_the_message_alone(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await locked(desk, sender)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert desk.methods == [UPDATE, POST_MESSAGE]
    [root] = desk.slack.messages()
    assert root.text == "New Signups to Leads is failing · 2 runs: run 94, JSON_ARRAY_ERROR"
    assert outcome.posted == Posted(posted.reference, "evt_2")
    assert outcome.caveat == f"Slack takes no reply in the thread: {LOCKED}"
    assert LOCKED in outcome.answer


@pytest.mark.asyncio
@pytest.mark.parametrize(("event", "said"), [(reminder(), "still failing"), (resolved(), "recovered after 3 h")])
async def test_what_the_channel_would_have_been_shown_beside_a_locked_thread_it_gets_as_a_message(
    desk: Desk, event: Message, said: str
) -> None:
    sender = desk.to_channel()
    posted = await locked(desk, sender)
    outcome = delivered(await sender.send(chapter(event, posted=posted, run=opened().body)))
    root, told = roots(desk)
    assert said in root.text
    assert said in told.text
    assert "New Signups to Leads" in told.text
    assert outcome.posted == Posted(posted.reference, event.event_id)  # the story's message is the one that it was
    assert outcome.caveat is not None


@pytest.mark.asyncio
async def test_who_is_called_by_a_line_is_called_beside_a_locked_thread_too(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await locked(desk, sender)
    delivered(await sender.send(chapter(changed(mentions=("<@U0123>",)), posted=posted)))
    _, told = roots(desk)
    assert {"type": "user", "user_id": "U0123"} in told.blocks[0]["elements"][0]["elements"]


@pytest.mark.asyncio
async def test_a_locked_thread_is_asked_once_and_others_are_answered_as_ever(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await locked(desk, sender)
    with capture_logs() as logged:
        for number in (2, 3, 4):
            delivered(await sender.send(chapter(changed(number, 92 + number), posted=posted)))
    assert refused(desk) == 1
    [line] = logged
    assert (line["log_level"], line["receiver"], line["error"]) == ("warning", "growth", LOCKED)
    other = delivered(await sender.send(chapter(opened(11), name="inc_2"))).posted
    delivered(await sender.send(chapter(changed(12), name="inc_2", posted=other)))
    assert [reply.thread_ts for reply in replies(desk)] == [roots(desk)[1].ts]


@pytest.mark.asyncio
async def test_in_a_channel_without_threads_one_reply_is_tried_for_all_stories(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    other = delivered(await sender.send(chapter(opened(11), name="inc_2"))).posted
    desk.slack.update_channel(desk.channel, threads=False)
    with capture_logs() as logged:
        delivered(await sender.send(chapter(changed(), posted=posted)))
        delivered(await sender.send(chapter(changed(12), name="inc_2", posted=other)))
    assert refused(desk) == 1
    assert [line["error"] for line in logged] == [NO_THREADS]
    assert replies(desk) == []
    assert ["run 94" in root.text for root in roots(desk)] == [True, True]


@pytest.mark.asyncio
async def test_an_hour_later_the_thread_is_tried_again(desk: Desk) -> None:
    later = [timedelta()]
    sender = desk.to_channel(ahead=lambda: later[0])
    posted = await begun(desk, sender)
    handle = desk.slack.error(LOCKED)
    delivered(await sender.send(chapter(changed(), posted=posted)))
    handle.clear()
    later[0] = timedelta(hours=1)
    delivered(await sender.send(chapter(changed(3), posted=posted)))
    assert len(replies(desk)) == 1


@pytest.mark.asyncio
async def test_a_message_beside_a_locked_thread_whose_answer_is_lost_is_found_after_a_restart(desk: Desk) -> None:
    posted = await locked(desk, desk.to_channel(desk.channel))
    began = now()
    desk.slack.fault(SlackError(LOCKED), times=1)
    desk.slack.fault(Accept(Drop()), times=1)
    lost = await desk.to_channel(desk.channel).send(chapter(resolved(), posted=posted))
    assert isinstance(lost, Retry)
    assert lost.maybe_sent
    desk.slack.requests.clear()
    again = await desk.to_channel(desk.channel).send(chapter(resolved(maybe_sent_at=began), posted=posted))
    assert delivered(again).posted == Posted(posted.reference, "evt_4")
    assert desk.methods == [UPDATE, REPLIES, POST_MESSAGE, HISTORY]
    assert len(roots(desk)) == 2


@pytest.mark.asyncio
async def test_a_message_that_takes_no_replies_even_when_it_is_posted_anew_is_only_edited_from_then_on(
    desk: Desk,
) -> None:
    sender = desk.to_channel()
    posted: Posted | None = await begun(desk, sender)
    for number in (2, 3, 4, 5):
        desk.slack.fault(SlackError("cannot_reply_to_message"), times=1)
        outcome = delivered(await sender.send(chapter(changed(number, 90 + number), posted=posted)))
        posted = outcome.posted
        desk.slack.clear_faults()
    assert len(roots(desk)) == 2
    assert replies(desk) == []
    assert "run 95" in roots(desk)[1].text


@pytest.mark.asyncio
async def test_a_message_that_is_deleted_again_and_again_is_posted_anew_each_time(desk: Desk) -> None:
    sender = desk.to_channel()
    posted: Posted | None = await begun(desk, sender)
    for number in (2, 3, 4):
        desk.slack.delete_message(desk.channel, roots(desk)[0].ts)
        outcome = delivered(await sender.send(chapter(changed(number), posted=posted, is_current=True)))
        posted = outcome.posted
        assert len(roots(desk)) == 1


@pytest.mark.asyncio
async def test_an_edit_that_is_refused_for_its_thread_is_posted_anew(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(SlackError(LOCKED), method=UPDATE, times=1)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert outcome.posted is not None
    assert outcome.posted.reference != posted.reference


@pytest.mark.asyncio
async def test_an_edit_without_blocks_that_may_not_take_the_place_of_blocks_is_posted_anew(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(SlackError("invalid_blocks"), method=UPDATE, times=1)
    desk.slack.fault(SlackError("block_mismatch"), method=UPDATE, times=1)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert outcome.posted is not None
    assert outcome.posted.reference != posted.reference


@pytest.mark.asyncio
async def test_a_reply_that_the_channel_may_not_be_shown_is_made_in_the_thread_alone(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.update_channel(desk.channel, posts=False)
    outcome = delivered(await sender.send(chapter(reminder(), posted=posted, run=opened().body)))
    assert outcome.caveat == f"Slack refuses that the channel sees a reply: {THREADS_ONLY}"
    delivered(await sender.send(chapter(resolved(), posted=posted)))
    assert [reply.broadcast for reply in replies(desk)] == [False, False]
    assert refused(desk) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [LOCKED, NO_THREADS, THREADS_ONLY, "restricted_action"])
async def test_of_a_message_without_thread_and_mention_the_same_words_are_the_channels(desk: Desk, code: str) -> None:
    desk.slack.error(code)
    assert isinstance(await desk.to_channel().send(an_event()), Broken)
    assert isinstance(await desk.to_channel().send(chapter(opened())), Broken)
    assert len(desk.slack.requests) == 2


@pytest.mark.asyncio
async def test_a_reply_that_nobody_may_make_there_breaks_the_receiver(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.error("restricted_action_read_only_channel")
    assert isinstance(await sender.send(chapter(changed(), posted=posted)), Broken)


# --- its mention ---


@BOTH
@pytest.mark.asyncio
async def test_a_message_that_is_refused_for_its_mention_is_sent_without_it(desk: Desk, kind: str) -> None:
    desk.slack.update_channel(desk.channel, broadcasts=False)
    outcome = delivered(await desk.sender(kind).send(mentioning()))
    assert len(desk.slack.requests) == 2
    assert [block["type"] for block in desk.only_message.blocks] == ["rich_text", "context", "context"]
    code = "action_prohibited" if kind == WEBHOOK else "restricted_action"
    assert outcome.caveat == f"Slack refuses @channel: {code}"
    assert outcome.caveat in outcome.answer


@BOTH
@pytest.mark.asyncio
async def test_a_forbidden_mention_is_tried_once_and_told_once(desk: Desk, kind: str) -> None:
    desk.slack.update_channel(desk.channel, broadcasts=False)
    sender = desk.sender(kind)
    with capture_logs() as logged:
        outcomes = [delivered(await sender.send(mentioning(f"evt_{number}"))) for number in range(3)]
        plain = delivered(await sender.send(an_event("evt_9")))
    assert refused(desk) == 1
    assert len(desk.slack.messages()) == 4
    assert len({outcome.caveat for outcome in outcomes}) == 1
    assert plain.caveat is None
    [line] = logged
    assert (line["log_level"], line["receiver"], line["part"]) == ("warning", "growth", "@channel")


@pytest.mark.asyncio
async def test_people_are_called_still_where_calling_all_is_forbidden(desk: Desk) -> None:
    desk.slack.update_channel(desk.channel, broadcasts=False)
    sender = desk.to_channel()
    posted = delivered(await sender.send(chapter(opened(mentions=("@here", "<@U0123>"))))).posted
    delivered(await sender.send(chapter(reminder(mentions=("@here", "<@U0123>")), posted=posted, run=opened().body)))
    called = {"type": "user", "user_id": "U0123"}
    for message in desk.slack.messages():
        pieces = message.request["blocks"][0]["elements"][0]["elements"]
        assert called in pieces
        assert {"type": "broadcast", "range": "here"} not in pieces
    assert refused(desk) == 1


@pytest.mark.asyncio
async def test_a_reply_that_is_refused_for_its_mention_is_made_without_it_and_shown_as_ever(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.update_channel(desk.channel, broadcasts=False)
    event = reminder(mentions=("@here",))
    outcome = delivered(await sender.send(chapter(event, posted=posted, run=opened().body)))
    [reply] = replies(desk)
    assert reply.broadcast
    assert outcome.caveat == "Slack refuses @here: restricted_action"


@BOTH
@pytest.mark.asyncio
async def test_a_channel_that_takes_nothing_is_broken_and_no_mention_is_blamed(desk: Desk, kind: str) -> None:
    code = "action_prohibited" if kind == WEBHOOK else "restricted_action"
    handle = desk.slack.error(code, method=kind)
    sender = desk.sender(kind)
    outcome = await sender.send(mentioning())
    assert isinstance(outcome, Broken)
    assert outcome.reason.startswith(code)
    handle.clear()
    assert delivered(await sender.send(mentioning())).caveat is None
    assert "broadcast" in str(desk.only_message.blocks)


@pytest.mark.asyncio
async def test_a_word_that_nobody_knows_is_the_mentions_only_when_the_message_would_be_given_up(desk: Desk) -> None:
    sender = desk.to_channel()
    desk.slack.fault(SlackError("quite_new_error"), times=5)
    for _ in range(4):
        assert isinstance(await sender.send(mentioning()), Retry)
    assert delivered(await sender.send(mentioning())).caveat == "Slack refuses @channel: quite_new_error"
    assert len(desk.slack.requests) == 6


@BOTH
@pytest.mark.asyncio
async def test_a_message_with_a_mention_that_is_refused_for_its_shape_keeps_the_mention_as_plain_text(
    desk: Desk, kind: str
) -> None:
    desk.slack.fault(SlackError("invalid_blocks"), method=kind, times=1)
    outcome = delivered(await desk.sender(kind).send(mentioning()))
    assert outcome.caveat is None
    assert "<!channel>" in desk.only_message.text


@pytest.mark.asyncio
async def test_plain_text_in_a_thread_stays_there_and_in_the_channel(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(SlackError("invalid_blocks"), times=1)
    event = reminder(mentions=("<@U0123>",))
    delivered(await sender.send(chapter(event, posted=posted, run=opened().body)))
    [reply] = replies(desk)
    assert (reply.broadcast, reply.blocks) == (True, [])
    assert "<@U0123>" in reply.text
    assert reply.metadata is not None
    assert reply.metadata["event_payload"] == {"event_id": "evt_3", "receiver": "growth"}


@pytest.mark.asyncio
async def test_a_mention_that_slack_takes_in_no_shape_is_left_out(desk: Desk) -> None:
    desk.slack.fault(SlackError("invalid_blocks"), times=2)
    outcome = delivered(await desk.to_channel().send(mentioning(who=("<@U0GONE>",))))
    assert outcome.caveat == "Slack refuses <@U0GONE>: invalid_blocks"
    assert "<@" not in desk.only_message.text


@pytest.mark.asyncio
async def test_a_message_that_is_refused_in_every_shape_is_given_up(desk: Desk) -> None:
    desk.slack.error("invalid_blocks")
    assert isinstance(await desk.to_channel().send(mentioning()), Refused)
    assert len(desk.slack.requests) == 3


@pytest.mark.asyncio
async def test_an_end_that_is_unknown_is_followed_by_no_other_shape(desk: Desk) -> None:
    desk.slack.fault(Accept(Drop()), times=1)
    assert isinstance(await desk.to_channel().send(mentioning()), Retry)
    assert len(desk.slack.requests) == 1


@pytest.mark.asyncio
async def test_a_run_by_itself_has_no_thread_and_is_edited(desk: Desk) -> None:
    sender = desk.to_channel()
    first = await sender.send(chapter(of_run(1, EventType.WORKING), name="run:96"))
    desk.slack.update_channel(desk.channel, threads=False)
    assert isinstance(first, Delivered)
    await sender.send(chapter(of_run(2, EventType.COMPLETED), name="run:96", posted=first.posted))
    assert refused(desk) == 0
