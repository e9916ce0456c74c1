"""What there is to do for the events of one story: how many are done by what, and what the channel is shown."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.model.body import EventBody
from notifier.model.delivery import Message, Posted, Story
from notifier.model.event import EventType
from notifier.model.incident import Check, Reason
from notifier.receivers.slack.story import Chapter, Reference, is_announced
from tests.builders import NOW, an_event_body, an_incident, an_incident_body

HERE = {"type": "broadcast", "range": "here"}
SHOWED_FIRST = Reference("C1", "1.2", "evt_1")
OVER = an_incident(runs=2, resolved_at=NOW + timedelta(hours=3), reason=Reason.RECOVERED)


def event(number: int, kind: EventType = EventType.INCIDENT_CHANGED, **given: Any) -> Message:
    """An event of an open incident."""
    return Message(f"evt_{number}", kind, an_incident_body(kind, an_incident(runs=2)), **given)


def resolved(number: int, reason: Reason = Reason.RECOVERED, **given: Any) -> Message:
    body = an_incident_body(EventType.INCIDENT_RESOLVED, replace(OVER, reason=reason), run_id=None)
    return Message(f"evt_{number}", EventType.INCIDENT_RESOLVED, body, **given)


def of_run(number: int) -> Message:
    return Message(f"evt_{number}", EventType.FAILED, an_event_body())


def a_chapter(first: Message, *others: Message, name: str = "inc_1", **story: Any) -> Chapter:
    last = others[-1] if others else first
    told = Story(name, **{"state": last.body, "state_id": last.event_id, **story})
    return Chapter.of(replace(first, followers=others), told)


# --- where the message is ---


def test_a_reference_comes_back_from_its_text() -> None:
    assert str(SHOWED_FIRST) == "C1:1.2:evt_1"
    assert Reference.of(Posted("C1:1.2:evt_1", "evt_9")) == SHOWED_FIRST


@pytest.mark.parametrize("text", ["", "C1:1.2", "C1:1.2:evt_1:more", "elsewhere"])
def test_what_is_no_reference_is_as_no_message(text: str) -> None:
    assert Reference.of(Posted(text, "evt_1")) is None
    assert Reference.of(None) is None


# --- what is told ---


@pytest.mark.parametrize("reason", list(Reason))
def test_of_the_ends_only_a_recovery_is_announced(reason: Reason) -> None:
    assert is_announced(EventBody.of(resolved(1, reason).body)) is (reason is Reason.RECOVERED)


@pytest.mark.parametrize("kind", [EventType.INCIDENT_OPENED, EventType.INCIDENT_CHANGED, EventType.INCIDENT_REMINDER])
def test_all_else_of_an_incident_is_announced(kind: EventType) -> None:
    assert is_announced(EventBody.of(event(1, kind).body))


def test_a_run_is_announced_and_so_is_what_is_of_neither() -> None:
    assert is_announced(EventBody.of(of_run(1).body))
    assert is_announced(EventBody.of(Message("evt_1", EventType.SYNC_DELETED, b'{"data": {"incident": null}}').body))


def test_told_is_what_is_neither_quiet_nor_an_end_without_recovery_in_its_order() -> None:
    chapter = a_chapter(event(1), event(2, quiet=True), resolved(3, Reason.CHECK_OFF), event(4))
    assert [message.event_id for message in chapter.events] == ["evt_1", "evt_2", "evt_3", "evt_4"]
    assert [message.event_id for message in chapter.told] == ["evt_1", "evt_4"]


# --- how many are done ---


@pytest.mark.parametrize(
    ("through", "count"), [("evt_1", 1), ("evt_2", 2), ("evt_3", 3), (None, 1), ("evt_of_another_chapter", 1)]
)
def test_a_reply_that_was_found_is_about_the_events_up_to_the_one_it_names(through: str | None, count: int) -> None:
    assert a_chapter(event(1), event(2), event(3)).count_through(through) == count


def test_the_first_message_of_an_incident_is_about_the_first_event_that_is_told() -> None:
    assert a_chapter(event(1), event(2), event(3)).count_of_first_message == 1
    assert a_chapter(event(1, quiet=True), event(2), event(3)).count_of_first_message == 2


def test_the_message_of_a_run_is_about_all_of_its_events() -> None:
    assert a_chapter(of_run(1), of_run(2), name="run:93").count_of_first_message == 2


def test_where_nothing_is_told_all_is_done() -> None:
    assert a_chapter(event(1, quiet=True), resolved(2, Reason.DELETED)).count_of_first_message == 2


# --- what the channel is shown too ---


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (event(2, EventType.INCIDENT_OPENED), False),
        (event(2), False),
        (event(2, EventType.INCIDENT_REMINDER), True),
        (resolved(2), True),
        (resolved(2, Reason.UNWATCHED), False),
        (event(2, EventType.INCIDENT_REMINDER, quiet=True), False),
        (of_run(2), False),
    ],
)
def test_reminders_and_recoveries_are_for_the_whole_channel(message: Message, shown: bool) -> None:
    assert a_chapter(message).in_channel(SHOWED_FIRST, taken_over=False) is shown


def test_one_of_several_that_is_for_the_whole_channel_is_enough() -> None:
    assert a_chapter(event(2), event(3, EventType.INCIDENT_REMINDER), event(4)).in_channel(
        SHOWED_FIRST, taken_over=False
    )


def test_an_incident_that_takes_over_a_runs_message_is_told_to_the_channel_once() -> None:
    chapter = a_chapter(event(2, EventType.INCIDENT_OPENED))
    assert chapter.in_channel(SHOWED_FIRST, taken_over=True)
    assert not a_chapter(event(2)).in_channel(SHOWED_FIRST, taken_over=True)


def test_what_the_message_showed_when_it_was_new_is_not_shown_again() -> None:
    chapter = a_chapter(event(2, EventType.INCIDENT_REMINDER), resolved(3))
    assert not chapter.in_channel(Reference("C1", "1.2", "evt_3"), taken_over=False)
    assert chapter.in_channel(Reference("C1", "1.2", "evt_2"), taken_over=False)
    assert chapter.in_channel(Reference("C1", "1.2", "evt_of_before"), taken_over=False)


# --- what it says ---


def in_blocks(piece: object, blocks: object) -> bool:
    return json.dumps(piece, sort_keys=True) in json.dumps(blocks, sort_keys=True)


def rendered(chapter: Chapter, *, posting: bool) -> object:
    return chapter.root(NOW, mentions=chapter.called if posting else ()).blocks


def lines(chapter: Chapter) -> object:
    return chapter.reply(NOW, in_channel=False, mentions=chapter.called).blocks


def test_mentions_are_those_of_all_that_is_told_each_once() -> None:
    chapter = a_chapter(
        event(1, mentions=("@here", "<@U1>")),
        event(2, mentions=("<@U2>", "@here")),
        event(3, mentions=("<@U3>",), quiet=True),
    )
    assert chapter.called == ("@here", "<@U1>", "<@U2>")


def test_a_message_that_is_posted_mentions_and_one_that_is_edited_does_not() -> None:
    chapter = a_chapter(event(1, mentions=("@here",)))
    assert in_blocks(HERE, rendered(chapter, posting=True))
    assert not in_blocks(HERE, rendered(chapter, posting=False))


def test_nobody_is_called_for_what_is_over_neither_by_the_message_nor_in_its_thread() -> None:
    chapter = a_chapter(event(1, mentions=("@here",)), resolved(2, mentions=("@here",)))
    assert not in_blocks(HERE, rendered(chapter, posting=True))
    assert not in_blocks(HERE, lines(chapter))
    lasting = a_chapter(event(1, mentions=("@here",)), resolved(2, mentions=("@here",)), state=event(3).body)
    assert in_blocks(HERE, lines(lasting))


def test_the_message_shows_the_state_whatever_the_events_that_wait_say() -> None:
    chapter = a_chapter(event(1), state=resolved(9).body, state_id="evt_9")
    assert chapter.root(NOW).text == "New Signups to Leads recovered after 3 h, 2 runs had failed"


def test_a_state_that_tells_of_no_run_is_shown_with_the_run_that_was_told_of_last() -> None:
    """A reminder; without the run its error would be gone from the message."""
    reminder = an_incident_body(EventType.INCIDENT_REMINDER, an_incident(runs=2), run_id=None)
    earlier = an_incident_body(EventType.INCIDENT_CHANGED, an_incident(runs=2), run_id=94)
    chapter = a_chapter(event(1), state=reminder, run=earlier)
    assert "run 94, JSON_ARRAY_ERROR" in chapter.root(NOW).text
    assert "run 94" not in a_chapter(event(1), state=reminder).root(NOW).text


def test_an_incident_that_never_had_a_run_is_shown_without_one() -> None:
    stale = an_incident_body(EventType.INCIDENT_OPENED, an_incident(Check.STALE, last_run_id=None), run_id=None)
    chapter = a_chapter(Message("evt_1", EventType.INCIDENT_OPENED, stale))
    assert "run 9" not in chapter.root(NOW).text


def test_the_thread_tells_only_what_is_told() -> None:
    chapter = a_chapter(event(1), event(2, quiet=True), resolved(3, Reason.CHECK_OFF))
    assert len(chapter.reply(NOW, in_channel=False).text.splitlines()) == 1


def test_a_reply_that_is_shown_in_the_channel_says_of_which_sync_it_is() -> None:
    chapter = a_chapter(event(1, EventType.INCIDENT_REMINDER))
    shown = [json.dumps(chapter.reply(NOW, in_channel=where).blocks) for where in (True, False)]
    assert ["New Signups to Leads" in blocks for blocks in shown] == [True, False]


def test_what_is_told_once_the_incident_is_over_calls_nobody_and_says_so_first() -> None:
    chapter = a_chapter(event(1, EventType.INCIDENT_OPENED), state=resolved(9).body, state_id="evt_9")
    reply = chapter.reply(NOW, in_channel=False)
    assert reply.text.startswith("New Signups to Leads recovered after 3 h: 2 runs failed")
    assert "is failing" not in reply.text
    reminded = a_chapter(event(1, EventType.INCIDENT_REMINDER), state=resolved(9).body, state_id="evt_9")
    for taken_over in (True, False):
        assert not chapter.in_channel(Reference("C1", "1.2", "evt_0"), taken_over=taken_over)
        assert not reminded.in_channel(Reference("C1", "1.2", "evt_0"), taken_over=taken_over)
