"""Living messages over real HTTP: what is posted, edited and said in the thread, and what an unknown end leads to."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from notifier.model.delivery import Broken, Delivered, Message, Outcome, Posted, Refused, Retry, Story
from notifier.model.event import EventType
from notifier.model.incident import Reason
from notifier.receivers.base import Receiver
from notifier.receivers.slack.story import Reference
from notifier.simulator import SlackMessage, Status
from notifier.simulator.faults import Body
from notifier.simulator.slack.faults import POST_MESSAGE, UPDATE, Accept, Drop, RateLimit, SlackError
from tests.builders import NOW, an_event_body, an_incident, an_incident_body
from tests.integration.receivers.desk import Desk, open_desk, without_proxies

NAME = "inc_1"
REPLIES = "conversations.replies"
HISTORY = "conversations.history"
INFO = "conversations.info"
LATER = timedelta(hours=3)
OVER = an_incident(runs=2, resolved_at=NOW + LATER, reason=Reason.RECOVERED)


@pytest_asyncio.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    without_proxies(monkeypatch)
    async with open_desk() as opened:
        yield opened


def now() -> datetime:
    """The real time: message times are the simulator's, and looks go by them."""
    return datetime.now(UTC)


def event(number: int, kind: EventType, body: bytes, **given: Any) -> Message:
    return Message(f"evt_{number}", kind, body, **given)


def opened(number: int = 1, **given: Any) -> Message:
    return event(number, EventType.INCIDENT_OPENED, an_incident_body(seen_at=now()), **given)


def changed(number: int = 2, run: int = 94, **given: Any) -> Message:
    body = an_incident_body(EventType.INCIDENT_CHANGED, an_incident(runs=2), run_id=run, seen_at=now())
    return event(number, EventType.INCIDENT_CHANGED, body, **given)


def reminder(number: int = 3, **given: Any) -> Message:
    body = an_incident_body(EventType.INCIDENT_REMINDER, an_incident(runs=2), run_id=None, seen_at=now())
    return event(number, EventType.INCIDENT_REMINDER, body, **given)


def resolved(number: int = 4, reason: Reason = Reason.RECOVERED, **given: Any) -> Message:
    incident = replace(OVER, reason=reason)
    run_id = 95 if reason is Reason.RECOVERED else None
    body = an_incident_body(EventType.INCIDENT_RESOLVED, incident, run_id=run_id, status="completed", seen_at=now())
    return event(number, EventType.INCIDENT_RESOLVED, body, **given)


def of_run(number: int, status: EventType, run: int = 96) -> Message:
    document = json.loads(an_event_body(run, seen_at=now()))
    document["type"] = status
    document["data"]["sync_run"]["status"] = status.rpartition(".")[2]
    return event(number, status, json.dumps(document).encode())


def chapter(first: Message, *others: Message, name: str = NAME, **story: Any) -> Message:
    """The events of a story that wait, as the store hands them out."""
    last = others[-1] if others else first
    told = Story(name, **{"state": last.body, "state_id": last.event_id, **story})
    return replace(first, story=told, followers=others)


async def begun(desk: Desk, sender: Receiver) -> Posted:
    """The incident's message, posted."""
    outcome = await sender.send(chapter(opened()))
    assert isinstance(outcome, Delivered)
    assert outcome.posted is not None
    desk.slack.requests.clear()
    return outcome.posted


def roots(desk: Desk) -> list[SlackMessage]:
    return [message for message in desk.slack.messages() if message.thread_ts is None]


def replies(desk: Desk) -> list[SlackMessage]:
    return [message for message in desk.slack.messages() if message.thread_ts is not None]


def delivered(outcome: Outcome) -> Delivered:
    assert isinstance(outcome, Delivered), outcome
    return outcome


# --- the life of an incident ---


@pytest.mark.asyncio
async def test_the_first_event_posts_the_message_and_says_where_it_is(desk: Desk) -> None:
    outcome = delivered(await desk.to_channel().send(chapter(opened())))
    [root] = desk.slack.messages()
    assert root.text == "New Signups to Leads is failing: run 93, JSON_ARRAY_ERROR"
    assert root.metadata == {
        "event_type": "census_sync_run",
        "event_payload": {"event_id": "evt_1", "receiver": "growth"},
    }
    assert outcome.posted == Posted(str(Reference(desk.channel, root.ts, "evt_1")), "evt_1")
    assert outcome.count == 1


@pytest.mark.asyncio
async def test_a_later_event_edits_the_message_and_adds_a_line_to_its_thread(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert desk.methods == [UPDATE, POST_MESSAGE]
    [root], [reply] = roots(desk), replies(desk)
    assert root.text == "New Signups to Leads is failing · 2 runs: run 94, JSON_ARRAY_ERROR"
    assert (reply.thread_ts, reply.broadcast, reply.text) == (root.ts, False, "New Signups to Leads: run 94 failed too")
    assert reply.metadata == {
        "event_type": "census_sync_run",
        "event_payload": {"event_id": "evt_2", "receiver": "growth"},
    }
    assert outcome.posted == Posted(posted.reference, "evt_2")


@pytest.mark.asyncio
async def test_reminders_and_the_recovery_are_shown_in_the_channel_too(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    await sender.send(chapter(reminder(), posted=posted, run=opened().body))
    await sender.send(chapter(resolved(), posted=posted))
    [root], [remembered, recovered] = roots(desk), replies(desk)
    assert [remembered.broadcast, recovered.broadcast] == [True, True]
    assert root.text == "New Signups to Leads recovered after 3 h, 2 runs had failed"
    assert recovered.text == "New Signups to Leads recovered after 3 h: 2 runs failed, run 95 succeeded"


@pytest.mark.asyncio
async def test_a_reminder_leaves_the_error_of_the_last_run_in_the_message(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    await sender.send(chapter(reminder(), posted=posted, run=changed().body))
    [root] = roots(desk)
    assert root.text == "New Signups to Leads is still failing · 2 runs: run 94, JSON_ARRAY_ERROR"


@pytest.mark.asyncio
async def test_events_that_waited_are_one_edit_and_one_reply(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    outcome = delivered(await sender.send(chapter(changed(2, 94), changed(3, 95), resolved(4), posted=posted)))
    assert desk.methods == [UPDATE, POST_MESSAGE]
    [reply] = replies(desk)
    assert reply.broadcast
    shown = json.dumps(reply.blocks)
    assert [word in shown for word in ("run 94", "run 95", "recovered")] == [True, True, True]
    assert reply.metadata is not None
    assert reply.metadata["event_payload"] == {"event_id": "evt_2", "receiver": "growth", "through": "evt_4"}
    assert outcome.count == 3


@pytest.mark.asyncio
async def test_a_message_that_shows_the_state_already_is_not_edited(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted, is_current=True)))
    assert desk.methods == [POST_MESSAGE]
    assert outcome.posted is None


@pytest.mark.asyncio
async def test_what_waited_before_the_first_message_is_shown_by_it_and_told_in_its_thread_alone(desk: Desk) -> None:
    sender = desk.to_channel()
    first = delivered(await sender.send(chapter(opened(1), changed(2), resolved(4))))
    assert (first.count, desk.methods) == (1, [POST_MESSAGE])
    assert first.posted is not None
    assert first.posted.event_id == "evt_4"
    second = delivered(await sender.send(chapter(changed(2), resolved(4), posted=first.posted, is_current=True)))
    assert (second.count, desk.methods) == (2, [POST_MESSAGE, POST_MESSAGE])
    [root], [reply] = roots(desk), replies(desk)
    assert root.text == "New Signups to Leads recovered after 3 h, 2 runs had failed"
    assert not reply.broadcast
    after = delivered(await sender.send(chapter(reminder(5), posted=first.posted, is_current=True)))
    assert after.count == 1
    assert replies(desk)[-1].broadcast


@pytest.mark.asyncio
async def test_what_is_tried_again_by_hand_once_it_is_over_calls_nobody_and_says_that_it_is_over(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    late = chapter(opened(5, mentions=("@here",)), posted=posted, state=resolved(9).body, state_id="evt_9")
    delivered(await sender.send(late))
    [root], [reply] = roots(desk), replies(desk)
    assert root.text == "New Signups to Leads recovered after 3 h, 2 runs had failed"
    assert not reply.broadcast
    assert reply.text.startswith(
        "New Signups to Leads recovered after 3 h: 2 runs failed, run 95 succeeded\nearlier: run "
    )
    assert "is failing" not in reply.text
    assert '"range": "here"' not in json.dumps(reply.blocks)


@pytest.mark.parametrize("reason", [Reason.CHECK_OFF, Reason.UNWATCHED, Reason.DELETED])
@pytest.mark.asyncio
async def test_an_end_that_is_no_recovery_is_edited_and_not_announced(desk: Desk, reason: Reason) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    outcome = delivered(await sender.send(chapter(resolved(reason=reason), posted=posted, run=opened().body)))
    assert desk.methods == [UPDATE]
    assert outcome.posted == Posted(posted.reference, "evt_4")
    assert "recovered" not in roots(desk)[0].text


@pytest.mark.parametrize("event", [opened(quiet=True), resolved(reason=Reason.CHECK_OFF)], ids=["quiet", "check_off"])
@pytest.mark.asyncio
async def test_what_is_not_announced_makes_no_message_where_there_is_none(desk: Desk, event: Message) -> None:
    outcome = delivered(await desk.to_channel().send(chapter(event)))
    assert (desk.methods, outcome.answer, outcome.posted) == ([], "nothing to show", None)


@pytest.mark.asyncio
async def test_a_quiet_event_edits_the_message_and_says_nothing(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    await sender.send(chapter(resolved(quiet=True), posted=posted))
    assert desk.methods == [UPDATE]


@pytest.mark.asyncio
async def test_a_run_event_while_the_incident_lasts_is_told_in_its_message_and_thread(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    working = of_run(5, EventType.WORKING)
    await sender.send(chapter(working, posted=posted, state=opened().body, state_id="evt_5", latest=working.body))
    [root], [reply] = roots(desk), replies(desk)
    assert "now: run 96 is running" in root.text
    assert (reply.text, reply.broadcast) == ("New Signups to Leads: run 96 is running", False)


# --- runs by themselves, and the run's message that becomes the incident's ---


@pytest.mark.asyncio
async def test_a_run_by_itself_has_one_message_and_no_thread(desk: Desk) -> None:
    sender = desk.to_channel()
    first = delivered(await sender.send(chapter(of_run(1, EventType.QUEUED), name="run:96")))
    outcome = delivered(
        await sender.send(
            chapter(of_run(2, EventType.WORKING), of_run(3, EventType.COMPLETED), name="run:96", posted=first.posted)
        )
    )
    assert desk.methods == [POST_MESSAGE, UPDATE]
    assert (outcome.count, [m.text for m in desk.slack.messages()]) == (
        2,
        ["New Signups to Leads: run 96 completed, JSON_ARRAY_ERROR"],
    )


@pytest.mark.asyncio
async def test_events_of_a_run_that_waited_are_one_message(desk: Desk) -> None:
    outcome = delivered(
        await desk.to_channel().send(chapter(of_run(1, EventType.QUEUED), of_run(2, EventType.WORKING), name="run:96"))
    )
    assert outcome.count == 2
    assert [m.text for m in desk.slack.messages()] == ["New Signups to Leads: run 96 is running, JSON_ARRAY_ERROR"]


@pytest.mark.asyncio
async def test_a_runs_message_becomes_the_incidents_and_the_channel_hears_of_it(desk: Desk) -> None:
    sender = desk.to_channel()
    first = delivered(await sender.send(chapter(of_run(1, EventType.WORKING, 93), name="run:93")))
    mentioned = opened(2, mentions=("@here",))
    outcome = delivered(await sender.send(chapter(mentioned, posted_of_run=first.posted, run_story="run:93")))
    assert desk.methods == [POST_MESSAGE, UPDATE, POST_MESSAGE]
    [root], [reply] = roots(desk), replies(desk)
    assert root.text == "New Signups to Leads is failing: run 93, JSON_ARRAY_ERROR"
    assert reply.broadcast
    assert {"type": "broadcast", "range": "here"} in reply.blocks[0]["elements"][0]["elements"]
    assert outcome.posted is not None
    assert outcome.posted.event_id == "evt_2"


# --- mentions ---


@pytest.mark.asyncio
async def test_mentions_are_in_what_is_posted_and_never_in_an_edit(desk: Desk) -> None:
    sender = desk.to_channel()
    who = ("@here", "<@U0123>", "<!subteam^S0123>")
    posted = delivered(await sender.send(chapter(opened(mentions=who)))).posted
    [root] = roots(desk)
    assert [
        piece["type"]
        for piece in root.blocks[0]["elements"][0]["elements"]
        if piece["type"] not in ("emoji", "text", "link")
    ] == ["broadcast", "user", "usergroup"]
    await sender.send(chapter(changed(), posted=posted))
    assert "broadcast" not in json.dumps(roots(desk)[0].blocks)
    await sender.send(chapter(reminder(mentions=who), posted=posted, run=opened().body))
    assert "broadcast" in json.dumps(replies(desk)[-1].blocks)


@pytest.mark.asyncio
async def test_nobody_is_called_for_what_is_over_by_the_time_it_is_posted(desk: Desk) -> None:
    await desk.to_channel().send(chapter(opened(mentions=("@here",)), resolved()))
    assert "broadcast" not in json.dumps(roots(desk)[0].blocks)


# --- a message that can't be edited any more ---


@pytest.mark.parametrize("code", ["message_not_found", "edit_window_closed", "cant_update_message"])
@pytest.mark.asyncio
async def test_a_message_that_can_not_be_edited_any_more_is_posted_anew(desk: Desk, code: str) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(SlackError(code), method=UPDATE, times=1)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert desk.methods == [UPDATE, POST_MESSAGE]
    _, new = roots(desk)
    assert new.text == "New Signups to Leads is failing · 2 runs: run 94, JSON_ARRAY_ERROR"
    assert outcome.posted == Posted(str(Reference(desk.channel, new.ts, "evt_2")), "evt_2")


@pytest.mark.asyncio
async def test_a_message_that_somebody_deleted_is_posted_anew_also_where_only_a_line_was_due(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.delete_message(desk.channel, roots(desk)[0].ts)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted, is_current=True)))
    assert desk.methods == [POST_MESSAGE, POST_MESSAGE]
    [new] = roots(desk)
    assert outcome.posted == Posted(str(Reference(desk.channel, new.ts, "evt_2")), "evt_2")


@pytest.mark.parametrize("code", ["thread_not_found", "cannot_reply_to_message"])
@pytest.mark.asyncio
async def test_a_message_that_can_have_no_thread_any_more_is_posted_anew_at_once(desk: Desk, code: str) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(SlackError(code), method=POST_MESSAGE, times=1)
    delivered(await sender.send(chapter(changed(), posted=posted, is_current=True)))
    assert desk.methods == [POST_MESSAGE, POST_MESSAGE]
    assert [message.thread_ts for message in desk.slack.messages()] == [None, None]


@pytest.mark.asyncio
async def test_a_receiver_that_was_moved_to_another_channel_posts_there_anew(desk: Desk) -> None:
    posted = await begun(desk, desk.to_channel())
    other = desk.slack.add_channel("elsewhere")
    await desk.to_channel(other).send(chapter(changed(), posted=posted))
    assert desk.methods == [INFO, POST_MESSAGE]
    assert [message.channel for message in roots(desk)] == [desk.channel, other]


# --- an edit that fails ---


@pytest.mark.asyncio
async def test_a_429_on_an_edit_holds_edits_and_not_the_channel(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(RateLimit(30), method=UPDATE, times=1)
    outcome = await sender.send(chapter(changed(), posted=posted))
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.for_all) == (timedelta(seconds=30), False)
    assert desk.methods == [UPDATE]


@pytest.mark.asyncio
async def test_an_edit_whose_end_is_unknown_is_simply_made_again(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(Accept(Drop()), method=UPDATE, times=1)
    outcome = await sender.send(chapter(changed(), posted=posted))
    assert isinstance(outcome, Retry)
    assert not outcome.maybe_sent
    delivered(await sender.send(chapter(changed(), posted=posted)))
    assert len(roots(desk)) == len(replies(desk)) == 1


@pytest.mark.parametrize("fault", [SlackError("missing_scope"), SlackError("is_inactive"), SlackError("invalid_auth")])
@pytest.mark.asyncio
async def test_an_edit_that_the_credentials_or_the_channel_forbid_breaks_the_receiver(
    desk: Desk, fault: SlackError
) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(fault, method=UPDATE, times=1)
    assert isinstance(await sender.send(chapter(changed(), posted=posted)), Broken)


@pytest.mark.asyncio
async def test_an_edit_whose_blocks_are_refused_is_made_as_plain_text(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    monkeypatch.setattr("notifier.receivers.slack.post.PACE", 0.0)
    desk.slack.fault(SlackError("invalid_blocks"), method=UPDATE, times=1)
    delivered(await sender.send(chapter(changed(), posted=posted)))
    assert desk.methods == [UPDATE, UPDATE, POST_MESSAGE]
    [root] = roots(desk)
    assert root.blocks == []
    assert "run 94" in root.text


@pytest.mark.asyncio
async def test_an_edit_that_is_refused_twice_kills_its_event_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    monkeypatch.setattr("notifier.receivers.slack.post.PACE", 0.0)
    desk.slack.fault(SlackError("invalid_blocks"), method=UPDATE, times=2)
    assert isinstance(await sender.send(chapter(changed(), posted=posted)), Refused)


@pytest.mark.parametrize("fault", [Status(503), Body(b"<html>"), Drop()])
@pytest.mark.asyncio
async def test_a_failing_edit_leaves_open_what_an_earlier_attempt_left_open(desk: Desk, fault: Any) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    desk.slack.fault(fault, method=UPDATE, times=1)
    outcome = await sender.send(chapter(changed(maybe_sent_at=now()), posted=posted))
    assert isinstance(outcome, Retry)
    assert outcome.maybe_sent


# --- unknown ends ---


@pytest.mark.asyncio
async def test_a_reply_that_slack_took_before_the_connection_dropped_is_found_in_the_thread(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    began = now()
    desk.slack.fault(Accept(Drop()), method=POST_MESSAGE, times=1)
    outcome = await sender.send(chapter(changed(), posted=posted))
    assert isinstance(outcome, Retry)
    assert outcome.maybe_sent
    again = delivered(await desk.to_channel().send(chapter(changed(maybe_sent_at=began), posted=posted)))
    assert len(replies(desk)) == 1
    assert (again.count, again.posted) == (1, Posted(posted.reference, "evt_2"))
    assert desk.methods[-2:] == [UPDATE, REPLIES]


@pytest.mark.asyncio
async def test_of_merged_lines_that_were_found_only_those_behind_them_are_told(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    began = now()
    desk.slack.fault(Accept(Drop()), method=POST_MESSAGE, times=1)
    await sender.send(chapter(changed(2, 94), changed(3, 95), posted=posted))
    waiting = (changed(2, 94, maybe_sent_at=began), changed(3, 95), resolved(4))
    outcome = delivered(await sender.send(chapter(*waiting, posted=posted)))
    assert outcome.count == 2
    rest = delivered(await sender.send(chapter(resolved(4), posted=outcome.posted, is_current=True)))
    assert rest.count == 1
    assert [reply.broadcast for reply in replies(desk)] == [False, True]


@pytest.mark.asyncio
async def test_a_first_message_that_slack_took_is_found_in_the_channel_and_goes_on_from_there(desk: Desk) -> None:
    sender = desk.to_channel(desk.channel)
    began = now()
    desk.slack.fault(Accept(Drop()), method=POST_MESSAGE, times=1)
    assert isinstance(await sender.send(chapter(opened(1), changed(2))), Retry)
    waiting = (opened(1, maybe_sent_at=began), changed(2), resolved(4))
    outcome = delivered(await desk.to_channel(desk.channel).send(chapter(*waiting)))
    [root] = roots(desk)
    assert (outcome.count, outcome.posted) == (1, Posted(str(Reference(desk.channel, root.ts, "evt_2")), "evt_2"))


@pytest.mark.asyncio
async def test_a_broadcast_reply_is_not_taken_for_the_message_itself(desk: Desk) -> None:
    """The message was deleted while a reply to it was under way."""
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    began = now()
    desk.slack.fault(Accept(Drop()), method=POST_MESSAGE, times=1)
    await sender.send(chapter(reminder(), posted=posted, run=opened().body))
    desk.slack.delete_message(desk.channel, roots(desk)[0].ts)
    outcome = delivered(await sender.send(chapter(reminder(maybe_sent_at=began), posted=posted, run=opened().body)))
    [root] = roots(desk)
    assert outcome.posted == Posted(str(Reference(desk.channel, root.ts, "evt_3")), "evt_3")


@pytest.mark.parametrize("method", [HISTORY, REPLIES])
@pytest.mark.asyncio
async def test_a_look_that_slack_puts_off_puts_the_message_off(desk: Desk, method: str) -> None:
    sender = desk.to_channel(desk.channel)
    posted = await begun(desk, sender)
    desk.slack.fault(RateLimit(7), method=method, times=1)
    waiting = changed(maybe_sent_at=now())
    outcome = await sender.send(chapter(waiting, posted=posted) if method == REPLIES else chapter(waiting))
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.maybe_sent) == (timedelta(seconds=7), True)
    assert POST_MESSAGE not in desk.methods


@pytest.mark.asyncio
async def test_without_the_right_to_read_the_thread_the_line_is_told_again(desk: Desk) -> None:
    desk.slack.add_token("xoxb-writer", ("chat:write",))
    sender = desk.to_channel(desk.channel, token="xoxb-writer")
    posted = await begun(desk, sender)
    delivered(await sender.send(chapter(changed(maybe_sent_at=now()), posted=posted)))
    assert desk.methods == [UPDATE, REPLIES, POST_MESSAGE]


@pytest.mark.asyncio
async def test_of_two_receivers_in_one_thread_each_finds_its_own_line(desk: Desk) -> None:
    """Two receivers of one channel have a message each; here they came to share one."""
    posted = await begun(desk, desk.to_channel())
    began = now()
    await desk.to_channel(name="sales").send(chapter(changed(), posted=posted))
    desk.slack.fault(Drop(), method=POST_MESSAGE, times=1)
    assert isinstance(await desk.to_channel().send(chapter(changed(), posted=posted)), Retry)
    delivered(await desk.to_channel().send(chapter(changed(maybe_sent_at=began), posted=posted)))
    assert len(replies(desk)) == 2


@pytest.mark.asyncio
async def test_a_line_that_an_older_version_wrote_is_found(desk: Desk) -> None:
    sender = desk.to_channel()
    posted = await begun(desk, sender)
    ts = roots(desk)[0].ts
    old = {"ts": "1.000001", "thread_ts": ts, "metadata": {"event_type": "x", "event_payload": {"event_id": "evt_2"}}}
    desk.slack.body(json.dumps({"ok": True, "messages": [old]}).encode(), method=REPLIES)
    delivered(await sender.send(chapter(changed(maybe_sent_at=now()), posted=posted)))
    assert desk.methods == [UPDATE, REPLIES]


# --- the pace of edits ---


@pytest.mark.asyncio
async def test_edits_have_a_gate_of_their_own_that_all_receivers_of_a_token_share(desk: Desk) -> None:
    one, other = desk.to_channel(), desk.to_channel(desk.slack.add_channel("elsewhere"))
    posted = await begun(desk, one)
    gate = one.gate(chapter(changed(), posted=posted))
    assert gate is not None
    assert gate is not one.turnstile
    elsewhere = Posted(posted.reference.replace(desk.channel, "C0000000002"), "evt_1")
    assert other.gate(chapter(changed(), posted=elsewhere)) is gate
    assert one.gate(chapter(opened())) is None
    assert one.gate(chapter(changed(), posted=posted, is_current=True)) is None
    assert one.gate(opened()) is None
    assert desk.to_webhook().gate(opened()) is None


@pytest.mark.asyncio
async def test_a_receiver_that_was_moved_to_another_channel_by_its_name_posts_there_anew(desk: Desk) -> None:
    """As one that was moved by its ID: Slack is asked what the channel is called that it left, and no more."""
    posted = await begun(desk, desk.to_channel())
    other = desk.slack.add_channel("elsewhere")
    await desk.to_channel("#elsewhere", note=f"#data-syncs={desk.channel}").send(chapter(changed(), posted=posted))
    assert desk.methods == [INFO, POST_MESSAGE]
    assert [message.channel for message in roots(desk)] == [desk.channel, other]


# --- what is of no story, and what leaves nothing behind ---


@pytest.mark.asyncio
async def test_a_message_for_each_event_is_nobodys_to_come_back_to(desk: Desk) -> None:
    outcome = delivered(await desk.to_channel().send(opened()))
    assert (desk.methods, outcome.posted) == ([POST_MESSAGE], None)


@pytest.mark.asyncio
async def test_where_each_event_has_a_message_an_end_that_is_no_recovery_has_none(desk: Desk) -> None:
    outcome = delivered(await desk.to_channel().send(resolved(reason=Reason.CHECK_OFF)))
    assert (desk.methods, outcome.answer) == ([], "nothing to show")


@pytest.mark.asyncio
async def test_all_that_is_not_announced_is_done_at_once_where_there_is_no_message(desk: Desk) -> None:
    outcome = delivered(await desk.to_channel().send(chapter(changed(quiet=True), resolved(reason=Reason.CHECK_OFF))))
    assert (desk.methods, outcome.count) == ([], 2)


@pytest.mark.asyncio
async def test_a_line_that_nobody_could_look_for_and_that_fails_again_may_still_have_arrived(desk: Desk) -> None:
    desk.slack.add_token("xoxb-writer", ("chat:write",))
    sender = desk.to_channel(desk.channel, token="xoxb-writer")
    posted = await begun(desk, sender)
    desk.slack.fault(RateLimit(7), method=POST_MESSAGE, times=1)
    outcome = await sender.send(chapter(changed(maybe_sent_at=now()), posted=posted))
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.maybe_sent) == (timedelta(seconds=7), True)


@pytest.mark.asyncio
async def test_a_first_message_that_slack_took_is_found_also_when_somebody_has_answered_it(desk: Desk) -> None:
    sender = desk.to_channel(desk.channel)
    began = now()
    first = delivered(await sender.send(chapter(opened())))
    await sender.send(chapter(changed(), posted=first.posted))  # a thread: Slack says so in the message itself
    desk.slack.requests.clear()
    again = delivered(await sender.send(chapter(opened(maybe_sent_at=began))))
    assert desk.methods == [HISTORY]
    assert again.posted == first.posted
