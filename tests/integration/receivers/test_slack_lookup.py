"""What a Slack sender asks before it sends: for a message that may have arrived, and for what `check --online` says."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import pytest_asyncio

from notifier.model.delivery import Broken, Delivered, Outcome, Refused, Retry, Verdict
from notifier.receivers.slack.channel import is_channel_id
from notifier.receivers.slack.check import NO_HISTORY
from notifier.receivers.slack.lookup import HISTORY_PAGE, MOST_HISTORY_PAGES
from notifier.simulator import Status
from notifier.simulator.faults import Body, Hang, Redirect
from notifier.simulator.slack.faults import POST_MESSAGE, Drop, RateLimit, SlackError, SlackFault
from tests.builders import NOW, TOKEN, a_slack_channel, a_slack_webhook
from tests.integration.receivers.desk import (
    HISTORY,
    LIST,
    SHORT,
    Desk,
    an_event,
    open_desk,
    pauses_noted,
    without_proxies,
)

WITHOUT_HISTORY: Final = ("chat:write", "channels:read", "groups:read")
WITHOUT_LIST: Final = ("chat:write", "channels:history", "groups:history")
DROPPED: Final = Retry("the connection was dropped before an answer", maybe_sent=True)
SLOW_DOWN: Final = "HTTP 429 Too Many Requests: Slack asks to slow down"
NOT_SLACKS: Final = "HTTP 200 OK, but not with an answer of Slack's"
WHO: Final = "census_notifier in Simulated"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as opened:
        yield opened


async def sent_into_the_dark(desk: Desk, channel: str = "#data-syncs", event_id: str = "evt_1") -> datetime:
    """An attempt that Slack took and did not answer; when it began."""
    began_at = datetime.now(UTC)
    desk.slack.accept_then_drop(times=1)
    assert await desk.to_channel(channel).send(an_event(event_id)) == DROPPED
    assert len(desk.slack.messages()) == 1
    return began_at


def posts(desk: Desk) -> int:
    return len(desk.asked(POST_MESSAGE))


# --- found, or not ---


@pytest.mark.asyncio
async def test_without_an_earlier_attempt_nothing_is_looked_for(desk: Desk) -> None:
    assert isinstance(await desk.to_channel().send(an_event()), Delivered)
    assert desk.methods == [POST_MESSAGE]


@pytest.mark.asyncio
async def test_a_message_that_arrived_is_found_by_the_channels_id_and_not_sent_again(desk: Desk) -> None:
    began_at = await sent_into_the_dark(desk, desk.channel)
    outcome = await desk.to_channel(desk.channel).send(an_event(maybe_sent_at=began_at))
    assert outcome == Delivered(note=f"{desk.channel}={desk.channel}")
    assert isinstance(outcome, Delivered)
    assert outcome.answer == f"found in the channel, ts {desk.only_message.ts}"
    assert desk.methods == [POST_MESSAGE, HISTORY]


@pytest.mark.asyncio
@pytest.mark.parametrize("channel", ["#data-syncs", "data-syncs"])
async def test_a_message_that_arrived_is_found_by_the_channels_name(desk: Desk, channel: str) -> None:
    for number in range(250):  # its own comes on the second page
        desk.slack.add_channel(f"other-{number}")
    desk.slack.remove_channel(desk.channel)
    desk.channel = desk.slack.add_channel("data-syncs", private=True)
    began_at = await sent_into_the_dark(desk, channel)
    outcome = await desk.to_channel(channel).send(an_event(maybe_sent_at=began_at))
    assert outcome == Delivered(note=f"{channel}={desk.channel}")
    assert desk.methods == [POST_MESSAGE, LIST, LIST, HISTORY]


@pytest.mark.asyncio
async def test_after_a_restart_the_note_spares_the_search_for_the_channel(desk: Desk) -> None:
    delivered = await desk.to_channel().send(an_event("evt_0"))
    assert isinstance(delivered, Delivered)
    desk.slack.reset()
    began_at = await sent_into_the_dark(desk)
    outcome = await desk.to_channel(note=delivered.note).send(an_event(maybe_sent_at=began_at))
    assert outcome == delivered
    assert desk.methods == [POST_MESSAGE, HISTORY]


@pytest.mark.asyncio
async def test_without_a_restart_the_last_answer_spares_it_too(desk: Desk) -> None:
    sender = desk.to_channel()
    await sender.send(an_event("evt_0"))
    desk.slack.accept_then_drop(times=1)
    assert await sender.send(an_event()) == DROPPED
    assert isinstance(await sender.send(an_event(maybe_sent_at=datetime.now(UTC))), Delivered)
    assert desk.methods == [POST_MESSAGE, POST_MESSAGE, HISTORY]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "note", ["#other=C0000000009", "data-syncs=C0000000009", "C0000000009", "#data-syncs=", "=", ""]
)
async def test_a_note_about_another_channel_is_ignored(desk: Desk, note: str) -> None:
    began_at = await sent_into_the_dark(desk)
    outcome = await desk.to_channel(note=note).send(an_event(maybe_sent_at=began_at))
    assert outcome == Delivered(note=f"#data-syncs={desk.channel}")
    assert desk.methods == [POST_MESSAGE, LIST, HISTORY]


@pytest.mark.asyncio
async def test_a_message_that_did_not_arrive_is_sent(desk: Desk) -> None:
    sender = desk.to_channel()
    desk.slack.drop(times=1)
    began_at = datetime.now(UTC)
    assert await sender.send(an_event()) == DROPPED
    await sender.send(an_event("evt_2"))  # of another event
    assert isinstance(await sender.send(an_event(maybe_sent_at=began_at)), Delivered)
    assert [m.metadata["event_payload"]["event_id"] for m in desk.slack.messages() if m.metadata] == ["evt_2", "evt_1"]


@pytest.mark.asyncio
async def test_history_is_asked_for_from_five_minutes_before_the_attempt_because_clocks_differ(desk: Desk) -> None:
    await desk.to_channel(desk.channel).send(an_event(maybe_sent_at=NOW))
    [look] = desk.asked(HISTORY)
    assert look.arguments == {
        "channel": desk.channel,
        "oldest": "1795428630.123000",  # 2026-11-23T10:10:30.123Z
        "limit": str(HISTORY_PAGE),
        "include_all_metadata": "1",
    }
    assert look.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.asyncio
async def test_a_message_is_found_below_hundreds_of_others(desk: Desk) -> None:
    began_at = await sent_into_the_dark(desk)
    for number in range(450):
        desk.slack.post_elsewhere(desk.channel, f"chatter {number}")
    assert isinstance(await desk.to_channel().send(an_event(maybe_sent_at=began_at)), Delivered)
    assert desk.methods == [POST_MESSAGE, LIST, HISTORY, HISTORY, HISTORY]


@pytest.mark.asyncio
async def test_a_history_without_end_is_given_up_and_the_message_sent(desk: Desk) -> None:
    page = {"ok": True, "messages": [], "response_metadata": {"next_cursor": "again"}}
    desk.slack.body(json.dumps(page).encode(), method=HISTORY)
    assert isinstance(await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC))), Delivered)
    assert desk.methods == [LIST, *[HISTORY] * MOST_HISTORY_PAGES, POST_MESSAGE]


OWN: Final = {"ts": "1.000001", "metadata": {"event_type": "x", "event_payload": {"event_id": "evt_1"}}}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "message",
    [
        *(None, 7, "evt_1", [], {}, {"metadata": None}, {"metadata": "evt_1"}, {"metadata": []}),
        *({"metadata": {}}, {"metadata": {"event_payload": None}}, {"metadata": {"event_payload": "evt_1"}}),
        *({"metadata": {"event_payload": {"event_id": value}}} for value in (None, 1, ["evt_1"], "evt_11", "EVT_1")),
        {"text": "evt_1", "client_msg_id": "evt_1"},
    ],
)
async def test_messages_of_others_may_look_like_anything(desk: Desk, message: Any) -> None:
    for messages, found in (([message], False), ([message, OWN], True)):
        desk.slack.reset()
        desk.slack.body(json.dumps({"ok": True, "messages": messages}).encode(), method=HISTORY)
        assert isinstance(await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC))), Delivered)
        assert posts(desk) == (0 if found else 1)


@pytest.mark.asyncio
@pytest.mark.parametrize("metadata", [None, [], "x", {}, {"next_cursor": None}, {"next_cursor": 7}])
async def test_a_last_page_may_end_in_any_way(desk: Desk, metadata: Any) -> None:
    page = {"ok": True, "messages": [], "response_metadata": metadata}
    desk.slack.body(json.dumps(page).encode(), method=HISTORY)
    assert isinstance(await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC))), Delivered)
    assert len(desk.asked(HISTORY)) == 1


# --- whose message it is ---


@pytest.mark.asyncio
async def test_of_two_receivers_on_one_channel_each_finds_its_own_message(desk: Desk) -> None:
    began_at = datetime.now(UTC)
    delivered = await desk.to_channel(desk.channel, name="sales").send(an_event())
    assert isinstance(delivered, Delivered)
    desk.slack.accept_then_drop(times=1)
    assert await desk.to_channel(desk.channel).send(an_event()) == DROPPED
    await desk.to_channel(desk.channel, name="later").send(an_event())
    outcome = await desk.to_channel(desk.channel).send(an_event(maybe_sent_at=began_at))
    assert isinstance(outcome, Delivered)
    assert outcome.answer == f"found in the channel, ts {desk.slack.messages()[1].ts}"
    assert len(desk.slack.messages()) == 3


@pytest.mark.asyncio
async def test_another_receivers_message_about_the_event_is_not_taken_for_ones_own(desk: Desk) -> None:
    began_at = datetime.now(UTC)
    await desk.to_channel(desk.channel, name="sales").send(an_event())
    desk.slack.drop(times=1)
    assert await desk.to_channel(desk.channel).send(an_event()) == DROPPED
    await desk.to_channel(desk.channel).send(an_event(maybe_sent_at=began_at))
    assert len(desk.slack.messages()) == 2


# --- from when on: our clock may be anything ---


def seconds_before(desk: Desk, moment: datetime, request: int = -1) -> float:
    """From how long before a moment a look asked for history."""
    return moment.timestamp() - float(desk.asked(HISTORY)[request].arguments["oldest"])


@pytest.mark.asyncio
@pytest.mark.parametrize("hours", [-48, -2, -0.1, 0, 0.1, 2, 48])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_that_is_always_wrong_hides_no_message(desk: Desk, hours: float, restarted: bool) -> None:
    def ahead() -> timedelta:
        return timedelta(hours=hours)

    began_at = datetime.now(UTC)
    sender = desk.to_channel(desk.channel, ahead=ahead)
    desk.slack.accept_then_drop(times=1)
    assert await sender.send(an_event()) == DROPPED
    again = desk.to_channel(desk.channel, ahead=ahead) if restarted else sender
    assert isinstance(await again.send(an_event(maybe_sent_at=began_at + ahead())), Delivered)
    assert len(desk.slack.messages()) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "after"), [(2, 0), (0, 2), (0, -2), (-2, 0), (48, 0), (0, -48)])
async def test_a_clock_that_is_set_between_two_attempts_hides_no_message(
    desk: Desk, before: float, after: float
) -> None:
    ahead = [timedelta(hours=before)]
    began_at = datetime.now(UTC)
    sender = desk.to_channel(desk.channel, ahead=lambda: ahead[0])
    desk.slack.accept_then_drop(times=1)
    assert await sender.send(an_event()) == DROPPED
    maybe_sent_at = began_at + ahead[0]
    ahead[0] = timedelta(hours=after)
    for again in (sender, desk.to_channel(desk.channel, ahead=lambda: ahead[0])):
        assert isinstance(await again.send(an_event(maybe_sent_at=maybe_sent_at)), Delivered)
    assert len(desk.slack.messages()) == 1


@pytest.mark.asyncio
async def test_a_clock_that_is_right_asks_once_and_from_five_minutes_before(desk: Desk) -> None:
    desk.slack.drop(times=1)
    sender = desk.to_channel(desk.channel)
    began_at = datetime.now(UTC)
    assert await sender.send(an_event()) == DROPPED
    assert isinstance(await sender.send(an_event(maybe_sent_at=began_at)), Delivered)
    assert len(desk.asked(HISTORY)) == 1
    assert 300 <= seconds_before(desk, began_at) < 360


@pytest.mark.asyncio
async def test_a_clock_that_is_ahead_is_found_out_by_slacks_answer(desk: Desk) -> None:
    began_at = datetime.now(UTC)
    desk.slack.drop(times=1)
    sender = desk.to_channel(desk.channel, ahead=lambda: timedelta(hours=2))
    assert await sender.send(an_event()) == DROPPED
    assert isinstance(await sender.send(an_event(maybe_sent_at=began_at + timedelta(hours=2))), Delivered)
    assert len(desk.asked(HISTORY)) == 2
    assert 300 <= seconds_before(desk, began_at) < 360


@pytest.mark.asyncio
async def test_a_clock_that_is_behind_reads_no_more_of_the_history_than_it_needs(desk: Desk) -> None:
    began_at = datetime.now(UTC)
    behind = timedelta(days=-3)
    desk.slack.drop(times=1)
    sender = desk.to_channel(desk.channel, ahead=lambda: behind)
    assert await sender.send(an_event()) == DROPPED
    an_hour_ago = f"{(began_at - timedelta(hours=1)).timestamp():.6f}"
    page = {"ok": True, "messages": [{"ts": an_hour_ago}], "response_metadata": {"next_cursor": "older"}}
    desk.slack.body(json.dumps(page).encode(), method=HISTORY)
    assert isinstance(await sender.send(an_event(maybe_sent_at=began_at + behind)), Delivered)
    assert len(desk.asked(HISTORY)) == 1


# --- Slack can't say now: nothing is sent until it can ---


@pytest.mark.asyncio
@pytest.mark.parametrize("method", [HISTORY, LIST])
@pytest.mark.parametrize(
    ("fault", "said", "after"),
    [
        (RateLimit(7), SLOW_DOWN, timedelta(seconds=7)),
        (RateLimit("soon"), SLOW_DOWN, None),
        (Status(429, b"<html>", {"Retry-After": "7"}), SLOW_DOWN, timedelta(seconds=7)),
        (SlackError("ratelimited"), "ratelimited", None),
        (SlackError("internal_error"), "internal_error", None),
        (SlackError("fatal_error", 500), "fatal_error", None),
        (SlackError("team_added_to_org"), "team_added_to_org", timedelta(minutes=5)),
        (SlackError("quite_new_error", 503), "HTTP 503 Service Unavailable: quite_new_error", None),
        (Status(502, b"<html>"), "HTTP 502 Bad Gateway", None),
        (Body(b"<html>", "text/html"), NOT_SLACKS, None),
        (Body(b"{}"), NOT_SLACKS, None),
        (Body(b'{"ok": "yes", "messages": [], "channels": []}'), NOT_SLACKS, None),
        (Body(b'{"ok": true}'), NOT_SLACKS, None),
        (Body(b'{"ok": true, "messages": 7, "channels": 7}'), NOT_SLACKS, None),
        (Body(b'{"ok": true, "messages": {}, "channels": "x"}'), NOT_SLACKS, None),
        (Drop(), "the connection was dropped before an answer", None),
    ],
)
async def test_while_slack_can_not_say_nothing_is_sent_and_the_question_stays_open(
    desk: Desk, method: str, fault: SlackFault, said: str, after: timedelta | None
) -> None:
    desk.slack.fault(fault, method=method)
    outcome = await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))
    assert outcome == Retry(f"looking for the message: {said}", after, maybe_sent=True)
    assert posts(desk) == 0


@pytest.mark.asyncio
async def test_a_look_that_gets_no_answer_in_time_sends_nothing() -> None:
    async with open_desk(SHORT) as desk:
        desk.slack.fault(Hang(), method=HISTORY)
        outcome = await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))
        assert outcome == Retry("looking for the message: no answer in time", maybe_sent=True)
        assert posts(desk) == 0


@pytest.mark.asyncio
async def test_a_look_without_a_connection_sends_nothing(desk: Desk) -> None:
    sender = desk.senders.build("growth", a_slack_channel(api_url="http://127.0.0.1:1/api/"))
    outcome = await sender.send(an_event(maybe_sent_at=datetime.now(UTC)))
    assert outcome == Retry("looking for the message: no connection: connection refused", maybe_sent=True)


# --- the token may not look: the message is sent without ---


@pytest.mark.asyncio
@pytest.mark.parametrize(("scopes", "asked"), [(WITHOUT_HISTORY, [LIST, HISTORY]), (WITHOUT_LIST, [LIST, LIST])])
async def test_a_token_that_may_not_look_sends(desk: Desk, scopes: tuple[str, ...], asked: list[str]) -> None:
    began_at = await sent_into_the_dark(desk)
    desk.slack.add_token(TOKEN, scopes)
    assert isinstance(await desk.to_channel().send(an_event(maybe_sent_at=began_at)), Delivered)
    assert desk.methods == [POST_MESSAGE, *asked, POST_MESSAGE]


@pytest.mark.asyncio
async def test_a_channel_that_is_not_listed_is_sent_to(desk: Desk) -> None:
    desk.slack.update_channel(desk.channel, name="renamed")
    outcome = await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))
    assert isinstance(outcome, Broken)
    assert outcome.reason.startswith("channel_not_found")
    assert desk.methods == [LIST, POST_MESSAGE]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (RateLimit(7), Retry(SLOW_DOWN, timedelta(seconds=7), maybe_sent=True)),
        (SlackError("no_permission"), Broken("no_permission", maybe_sent=True)),
        (SlackError("quite_new_error"), Retry("quite_new_error: an unknown error", maybe_sent=True)),
        (Drop(), DROPPED),
    ],
)
@pytest.mark.parametrize(
    "blind", [SlackError("missing_scope"), SlackError("token_revoked"), SlackError("new"), Redirect("/x"), Status(404)]
)
async def test_an_attempt_that_could_not_look_leaves_the_question_open(
    desk: Desk, blind: SlackFault, fault: SlackFault, expected: Outcome
) -> None:
    desk.slack.fault(blind, method=HISTORY)
    desk.slack.fault(fault)
    assert await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC))) == expected


@pytest.mark.asyncio
async def test_a_history_without_end_leaves_the_question_open(desk: Desk) -> None:
    page = {"ok": True, "messages": [], "response_metadata": {"next_cursor": "again"}}
    desk.slack.body(json.dumps(page).encode(), method=HISTORY)
    desk.slack.error("no_permission")
    outcome = await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))
    assert outcome == Broken("no_permission", maybe_sent=True)


@pytest.mark.asyncio
async def test_a_message_that_arrived_before_the_token_ended_is_found_with_its_successor(desk: Desk) -> None:
    began_at = await sent_into_the_dark(desk)
    desk.slack.revoke_token(TOKEN)
    outcome = await desk.to_channel().send(an_event(maybe_sent_at=began_at))
    assert isinstance(outcome, Broken)
    assert outcome.maybe_sent
    desk.slack.add_token("xoxb-successor")
    assert isinstance(await desk.to_channel(token="xoxb-successor").send(an_event(maybe_sent_at=began_at)), Delivered)
    assert len(desk.slack.messages()) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "maybe_sent"),
    [(RateLimit(7), False), (SlackError("no_permission"), False), (Status(500), True), (Drop(), True)],
)
async def test_an_attempt_that_looked_and_found_nothing_answers_for_itself_alone(
    desk: Desk, fault: SlackFault, maybe_sent: bool
) -> None:
    desk.slack.fault(fault)
    outcome = await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC)))
    assert isinstance(outcome, Retry | Broken)
    assert outcome.maybe_sent is maybe_sent


@pytest.mark.asyncio
async def test_a_message_refused_after_a_blind_look_is_refused(desk: Desk) -> None:
    desk.slack.error("missing_scope", method=HISTORY)
    desk.slack.error("no_text")
    assert await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC))) == Refused("no_text")


# --- which channel ---


@pytest.mark.parametrize("channel", ["C0123ABCD", "G0123ABCD", "D0123ABCD", "C0000000001"])
def test_an_id_is_told_from_a_name(channel: str) -> None:
    assert is_channel_id(channel)


@pytest.mark.parametrize(
    "channel", ["#C0123ABCD", "c0123abcd", "CHANNEL-1", "U0123ABCD", "data-syncs", "", "#", "C0123abcd"]
)
def test_a_name_is_told_from_an_id(channel: str) -> None:
    assert not is_channel_id(channel)


# --- what `check --online` says ---


@pytest.mark.asyncio
async def test_a_receiver_that_works_is_named_with_its_channel_and_bot(desk: Desk) -> None:
    works = Verdict(ok=True, said=f"#data-syncs ({desk.channel}) as {WHO}")
    for channel in ("#data-syncs", "data-syncs", desk.channel):
        assert await desk.check(channel) == works
    assert desk.slack.messages() == []
    assert set(desk.methods) == {"auth.test", LIST, "conversations.info"}


@pytest.mark.asyncio
@pytest.mark.parametrize("channel", ["#data-syncs", "C0000000001"])
async def test_a_receiver_that_would_not_work_is_told_why(desk: Desk, channel: str) -> None:
    async def says(token: str = TOKEN) -> str:
        verdict = await desk.check(channel, token=token)
        assert (verdict.ok, verdict.notes) == (False, ())
        return verdict.said

    desk.slack.add_token("xoxb-poor", ("channels:read", "groups:read", "channels:history"))
    assert (await says("xoxb-wrong")).startswith("invalid_auth: check the token")
    assert (await says("xoxb-poor")).startswith("missing_scope (needed: chat:write): add the scope")
    desk.slack.update_channel(desk.channel, member=False)
    assert (await says()).startswith("not_in_channel: invite the app")
    desk.slack.update_channel(desk.channel, private=True)
    assert (await says()).startswith("channel_not_found: check the channel's ID; if it is private, invite")
    desk.slack.update_channel(desk.channel, archived=True, private=False, member=True)
    assert (await says()).startswith("is_archived: unarchive the channel")
    desk.slack.remove_channel(desk.channel)
    assert (await says()).startswith("channel_not_found")
    desk.slack.revoke_token(TOKEN)
    assert (await says()).startswith("token_revoked")


@pytest.mark.asyncio
async def test_a_bot_that_may_write_to_public_channels_need_not_be_in_them(desk: Desk) -> None:
    desk.slack.add_token(TOKEN, (*WITHOUT_HISTORY, "channels:history", "chat:write.public"))
    desk.slack.update_channel(desk.channel, member=False)
    assert await desk.check() == Verdict(ok=True, said=f"#data-syncs ({desk.channel}) as {WHO}")


@pytest.mark.asyncio
async def test_a_token_that_may_not_ask_about_the_channel_leaves_it_unchecked(desk: Desk) -> None:
    desk.slack.add_token(TOKEN, WITHOUT_LIST)
    said = f"the token works ({WHO}); the channel was not checked: that needs the scopes channels:read and groups:read"
    unchecked = Verdict(ok=None, said=said)
    assert await desk.check() == unchecked
    assert await desk.check(desk.channel) == unchecked
    desk.slack.add_token(TOKEN, ("chat:write",))
    assert await desk.check() == replace(unchecked, notes=(NO_HISTORY,))


@pytest.mark.asyncio
async def test_a_direct_message_needs_no_membership(desk: Desk) -> None:
    shown = {"ok": True, "channel": {"id": "D012AB3CD", "is_im": True, "user": "U1"}}
    desk.slack.body(json.dumps(shown).encode(), method="conversations.info")
    assert (await desk.check("D012AB3CD")).ok is True


@pytest.mark.asyncio
async def test_a_token_that_may_list_public_channels_alone_finds_a_name_among_those(desk: Desk) -> None:
    desk.slack.add_token(TOKEN, ("chat:write", "channels:history", "channels:read"))
    assert (await desk.check()).ok is True
    desk.slack.add_channel("secret", private=True)
    verdict = await desk.check("#secret")
    assert verdict.ok is None
    assert "groups:read" in verdict.said


@pytest.mark.asyncio
async def test_a_token_without_a_history_scope_works_and_is_told_what_that_costs(desk: Desk) -> None:
    desk.slack.add_token(TOKEN, WITHOUT_HISTORY)
    verdict = await desk.check()
    assert (verdict.ok, verdict.notes) == (True, (NO_HISTORY,))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (SlackError("internal_error"), "internal_error"),
        (Status(500, b'{"ok": false}'), "HTTP 500 Internal Server Error"),
        (Status(404, b"<html>"), "HTTP 404 Not Found: this does not answer as Slack does"),
        (Redirect("http://127.0.0.1:1/"), "HTTP 302 Found: redirects are not followed"),
        (Body(b"{}"), NOT_SLACKS),
        (Body(b'{"ok": "yes"}'), NOT_SLACKS),
        (Drop(), "the connection was dropped before an answer"),
    ],
)
async def test_a_slack_that_does_not_answer_as_it_should_is_no_verdict_in_favor(
    desk: Desk, fault: SlackFault, said: str
) -> None:
    desk.slack.fault(fault, method="auth.test")
    assert await desk.check() == Verdict(ok=False, said=said)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RateLimit(90), "ratelimited"),
        (SlackError("internal_error"), "internal_error"),
        (SlackError("quite_new_error"), "quite_new_error"),
        (Status(500, b'{"ok": false}'), "HTTP 500 Internal Server Error"),
        (Status(429, b"<html>", {"Retry-After": "90"}), SLOW_DOWN),
        (Body(b"{}"), NOT_SLACKS),
        (Body(b'{"ok": true}'), NOT_SLACKS),
        (Drop(), "the connection was dropped before an answer"),
    ],
)
async def test_what_can_not_be_found_out_of_a_channel_is_not_called_wrong(
    desk: Desk, fault: SlackFault, said: str
) -> None:
    desk.slack.fault(fault, method="conversations.*")
    unchecked = Verdict(ok=None, said=f"the token works ({WHO}); the channel was not checked: {said}")
    assert [await desk.check(), await desk.check(desk.channel)] == [unchecked, unchecked]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (SlackError("token_revoked"), "token_revoked: install the app again"),
        (Status(404, b"<html>"), "HTTP 404 Not Found: this does not answer as Slack does"),
        (Redirect("http://127.0.0.1:1/"), "HTTP 302 Found: redirects are not followed"),
    ],
)
async def test_what_is_wrong_while_the_channels_are_listed_is_called_wrong(
    desk: Desk, fault: SlackFault, said: str
) -> None:
    desk.slack.fault(fault, method=LIST)
    verdict = await desk.check()
    assert verdict.ok is False
    assert verdict.said.startswith(said)


@pytest.mark.asyncio
async def test_a_429_is_waited_out_as_it_asks_while_thousands_of_channels_are_listed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = pauses_noted(monkeypatch)
    for number in range(450):
        desk.slack.add_channel(f"other-{number}")
    desk.slack.remove_channel(desk.channel)
    desk.channel = desk.slack.add_channel("data-syncs")
    desk.slack.fault(RateLimit(3), method="auth.test", times=1)
    desk.slack.fault(RateLimit(2), method=LIST, times=2)
    desk.slack.fault(Status(429, b"<html>"), method=LIST, times=1)
    assert await desk.check() == Verdict(ok=True, said=f"#data-syncs ({desk.channel}) as {WHO}")
    assert pauses == [3, 2, 2, 1]


@pytest.mark.asyncio
async def test_429s_without_end_are_waited_out_for_a_minute_in_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = pauses_noted(monkeypatch)
    desk.slack.fault(RateLimit(25), method=LIST)
    assert (await desk.check()).ok is None
    assert pauses == [25, 25]
    desk.slack.fault(RateLimit(25), method="auth.test")
    assert await desk.check() == Verdict(ok=None, said="ratelimited")


@pytest.mark.asyncio
async def test_a_channel_beyond_those_that_are_listed_is_not_called_missing(desk: Desk) -> None:
    page = {"ok": True, "channels": [], "response_metadata": {"next_cursor": "again"}}
    desk.slack.body(json.dumps(page).encode(), method=LIST)
    verdict = await desk.check()
    assert verdict.ok is None
    assert verdict.said.endswith("not among the first 10,000; its ID would be found")
    assert isinstance(await desk.to_channel().send(an_event(maybe_sent_at=datetime.now(UTC))), Delivered)


@pytest.mark.asyncio
@pytest.mark.parametrize("person", ["U0123ABCD", "W0123ABCD"])
async def test_a_persons_id_is_posted_to_and_can_not_be_checked_without(desk: Desk, person: str) -> None:
    desk.slack.add_channel("im", id="D0123ABCD")
    desk.slack.add_alias("D0123ABCD", person)
    verdict = await desk.check(person)
    assert verdict.ok is None
    assert "the channel was not checked: a person can only be asked for by posting" in verdict.said
    assert desk.methods == ["auth.test"]
    outcome = await desk.to_channel(person).send(an_event())
    assert outcome == Delivered(note=f"{person}=D0123ABCD")


@pytest.mark.asyncio
async def test_without_a_connection_the_check_fails_without_the_address(desk: Desk) -> None:
    settings = a_slack_channel(api_url="http://127.0.0.1:1/api/")
    verdict = await desk.senders.check("growth", settings)
    assert verdict == Verdict(ok=False, said="no connection: connection refused")


@pytest.mark.asyncio
async def test_a_webhook_can_not_be_checked_without_sending(desk: Desk) -> None:
    verdict = await desk.senders.check("growth", a_slack_webhook(desk.webhook_url))
    assert verdict == Verdict(ok=None, said="can't be checked without sending; try: notifier send-test growth")
    assert desk.slack.requests == []
