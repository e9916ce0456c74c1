"""Which channel it is: the one whose ID Slack answers, whatever the watchlist calls it, before a restart and after."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from notifier.model.delivery import Broken, Posted, Retry
from notifier.receivers.slack.identity import Identity
from notifier.simulator import Status
from notifier.simulator.slack.faults import POST_MESSAGE, UPDATE, Drop, RateLimit, SlackError, SlackFault
from tests.integration.receivers.desk import Desk, an_event, open_desk, without_proxies
from tests.integration.receivers.test_slack_living import (
    begun,
    changed,
    chapter,
    delivered,
    now,
    opened,
    replies,
    resolved,
    roots,
)

OLD = "C0OLD00001"
INFO = "conversations.info"
HISTORY = "conversations.history"
WRITER = "xoxb-writer"


@pytest_asyncio.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    without_proxies(monkeypatch)
    async with open_desk() as opened_desk:
        opened_desk.slack.add_alias(opened_desk.channel, OLD)
        opened_desk.slack.add_token(WRITER, ("chat:write",))
        yield opened_desk


# --- another ID than was asked for ---


@pytest.mark.asyncio
async def test_a_channel_that_answers_with_another_id_is_edited_by_that(desk: Desk) -> None:
    sender = desk.to_channel(OLD)
    first = delivered(await sender.send(chapter(opened())))
    assert first.note == f"{OLD}={desk.channel}"
    delivered(await sender.send(chapter(changed(), posted=first.posted)))
    assert desk.methods == [POST_MESSAGE, UPDATE, POST_MESSAGE]
    assert {request.arguments["channel"] for request in desk.asked(UPDATE)} == {desk.channel}


@pytest.mark.asyncio
async def test_after_a_restart_the_message_in_the_channel_that_answered_is_edited(desk: Desk) -> None:
    first = delivered(await desk.to_channel(OLD).send(chapter(opened())))
    again = desk.to_channel(OLD, note=first.note)
    assert again.gate(chapter(changed(), posted=first.posted)) is not None
    delivered(await again.send(chapter(changed(), posted=first.posted)))
    assert desk.methods == [POST_MESSAGE, UPDATE, POST_MESSAGE]
    assert len(roots(desk)) == 1


@pytest.mark.asyncio
async def test_a_lost_message_is_looked_for_in_the_channel_that_answered(desk: Desk) -> None:
    note = delivered(await desk.to_channel(OLD).send(an_event("evt_0"))).note
    began = now()
    desk.slack.accept_then_drop(times=1)
    assert isinstance(await desk.to_channel(OLD, note=note).send(an_event()), Retry)
    delivered(await desk.to_channel(OLD, note=note).send(an_event(maybe_sent_at=began)))
    assert desk.methods[-1] == HISTORY
    assert len(desk.slack.messages()) == 2


@pytest.mark.asyncio
async def test_a_message_from_before_the_channel_had_another_id_is_edited_by_the_new_one(desk: Desk) -> None:
    ts = (await begun(desk, desk.to_channel())).reference.split(":")[1]
    posted = Posted(f"{OLD}:{ts}:evt_1", "evt_1")
    sender = desk.to_channel(OLD, note=f"{OLD}={OLD}")
    delivered(await sender.send(an_event("evt_0")))  # the answer has the new ID
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert outcome.posted == Posted(f"{desk.channel}:{ts}:evt_1", "evt_2")
    assert [reply.thread_ts for reply in replies(desk)] == [ts]


@pytest.mark.asyncio
async def test_all_names_of_one_channel_share_its_pace_and_its_holds_also_those_that_have_not_sent_yet(
    desk: Desk,
) -> None:
    by_name, by_old, by_id = (desk.to_channel(channel) for channel in ("#data-syncs", OLD, desk.channel))
    waiting = desk.to_channel(OLD, name="sales")
    waiting.turnstile.hold(1e9)
    assert waiting.turnstile is not by_id.turnstile
    for sender in (by_name, by_old):
        delivered(await sender.send(an_event()))
    assert by_name.turnstile is by_old.turnstile is by_id.turnstile is waiting.turnstile
    assert by_id.turnstile.opens_at("growth") >= 1e9  # what the channel asked for by any name holds
    assert desk.to_channel(OLD, name="late").turnstile is by_id.turnstile


# --- the name is corrected ---


async def renamed(desk: Desk) -> tuple[Posted, str | None]:
    """An incident's message, in a channel that has another name by now, and the note from before."""
    first = delivered(await desk.to_channel("#data-syncs").send(chapter(opened())))
    desk.slack.update_channel(desk.channel, name="revenue-syncs")
    desk.slack.requests.clear()
    assert first.posted is not None
    return first.posted, first.note


@pytest.mark.asyncio
async def test_after_the_name_is_corrected_the_message_is_edited(desk: Desk) -> None:
    posted, note = await renamed(desk)
    sender = desk.to_channel("#revenue-syncs", note=note)
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert desk.methods == [INFO, UPDATE, POST_MESSAGE]
    assert outcome.note == f"#revenue-syncs={desk.channel}"
    delivered(await sender.send(chapter(resolved(), posted=outcome.posted)))
    assert desk.methods.count(INFO) == 1
    assert len(roots(desk)) == 1


@pytest.mark.asyncio
async def test_an_id_that_is_replaced_by_the_channels_name_is_the_same_channel(desk: Desk) -> None:
    first = delivered(await desk.to_channel(desk.channel).send(chapter(opened())))
    delivered(await desk.to_channel("data-syncs", note=first.note).send(chapter(changed(), posted=first.posted)))
    assert len(roots(desk)) == 1


@pytest.mark.asyncio
async def test_an_earlier_id_that_takes_the_place_of_a_name_is_asked_for_what_it_is_now(desk: Desk) -> None:
    """A watchlist with OLD by name: Slack shows the channel's ID of today under the one that the message has."""
    ts = (await begun(desk, desk.to_channel())).reference.split(":")[1]
    shown = b'{"ok": true, "channel": {"id": "%s", "name": "data-syncs"}}' % desk.channel.encode()
    desk.slack.body(shown, method=INFO)
    outcome = await desk.to_channel(desk.channel).send(chapter(changed(), posted=Posted(f"{OLD}:{ts}:evt_1", "evt_1")))
    assert delivered(outcome).posted == Posted(f"{desk.channel}:{ts}:evt_1", "evt_2")
    assert len(roots(desk)) == 1


@pytest.mark.asyncio
async def test_a_receiver_that_moved_posts_there_anew_and_asks_once(desk: Desk) -> None:
    other = desk.slack.add_channel("elsewhere")
    posted, note = await renamed(desk)
    for channel in ("#elsewhere", other):
        desk.slack.requests.clear()
        sender = desk.to_channel(channel, note=note)
        first = delivered(await sender.send(chapter(changed(), posted=posted)))
        second = delivered(await sender.send(chapter(changed(12), name="inc_2", posted=posted)))
        assert desk.methods == [INFO, POST_MESSAGE, POST_MESSAGE]
        for outcome in (first, second):
            assert outcome.posted is not None
            assert outcome.posted.reference.startswith(f"{other}:")


@pytest.mark.asyncio
async def test_a_name_that_went_over_to_another_channel_is_another_channel(desk: Desk) -> None:
    posted, note = await renamed(desk)
    other = desk.slack.add_channel("data-syncs")
    sender = desk.to_channel("#data-syncs", note=note)
    delivered(await sender.send(an_event("evt_0")))  # the answer has another ID
    outcome = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert outcome.posted is not None
    assert outcome.posted.reference.startswith(f"{other}:")


@pytest.mark.asyncio
async def test_a_token_that_may_not_ask_posts_anew_once_and_then_knows_the_channel(desk: Desk) -> None:
    posted, note = await renamed(desk)
    sender = desk.to_channel("#revenue-syncs", token=WRITER, note=note)
    anew = delivered(await sender.send(chapter(changed(), posted=posted)))
    assert desk.methods == [INFO, POST_MESSAGE]
    assert anew.note == f"#revenue-syncs={desk.channel}"
    delivered(await sender.send(chapter(changed(12), name="inc_2", posted=posted)))  # another story's, from before
    assert desk.methods == [INFO, POST_MESSAGE, UPDATE, POST_MESSAGE]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "after"),
    [(RateLimit(7), timedelta(seconds=7)), (Status(503), None), (Drop(), None), (SlackError("internal_error"), None)],
)
async def test_while_slack_can_not_say_which_channel_it_is_nothing_is_posted(
    desk: Desk, fault: SlackFault, after: timedelta | None
) -> None:
    posted, note = await renamed(desk)
    handle = desk.slack.fault(fault, method=INFO)
    sender = desk.to_channel("#revenue-syncs", note=note)
    outcome = await sender.send(chapter(changed(), posted=posted))
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("asking about the channel: ")
    assert (outcome.after, outcome.maybe_sent) == (after, False)
    again = await sender.send(chapter(changed(maybe_sent_at=now()), posted=posted))
    assert isinstance(again, Retry)
    assert again.maybe_sent  # what an earlier attempt left open stays so
    handle.clear()
    delivered(await sender.send(chapter(changed(), posted=posted)))
    assert len(roots(desk)) == 1


@pytest.mark.asyncio
async def test_while_the_old_name_is_in_the_watchlist_posts_fail_and_edits_go_on(desk: Desk) -> None:
    posted, note = await renamed(desk)
    sender = desk.to_channel("#data-syncs", note=note)
    assert isinstance(await sender.send(chapter(opened(11), name="inc_2")), Broken)
    desk.slack.requests.clear()
    await sender.send(chapter(changed(quiet=True), posted=posted))
    assert desk.methods == [UPDATE]


# --- by itself ---


@pytest.mark.parametrize("note", [None, "", "=", "#other=C9", "#sales=", "C9"])
def test_without_a_note_of_this_name_nothing_is_known(note: str | None) -> None:
    identity = Identity("#sales", note)
    assert (identity.id, identity.note) == (None, None)


def test_a_note_is_believed_rather_than_the_id_in_the_watchlist() -> None:
    identity = Identity("C1", "C1=C2")
    assert (identity.id, identity.note) == ("C2", "C1=C2")
    assert [identity.is_it(channel) for channel in ("C1", "C2", "C3")] == [True, True, None]


def test_a_name_without_a_note_is_taken_for_the_channel_of_its_message_but_not_for_one_that_it_left() -> None:
    assert Identity("#sales", None).is_it("C1") is True
    assert Identity("#sales", "#old=C1").is_it("C1") is None
