"""Stories from the database to the receiver: what goes together, what it is told of itself, and what is kept of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.delivering.queue import ReceiverQueue
from notifier.model.delivery import (
    Delivered,
    DeliveryState,
    Message,
    Outcome,
    PendingDelivery,
    Posted,
    ReceiverState,
    Refused,
    Retry,
    Shown,
)
from notifier.model.errors import StoreUnavailable
from notifier.model.event import Addressee, Event, EventType
from notifier.model.incident import Check
from notifier.receivers.pace import Turnstile
from notifier.store.store import Store
from notifier.watchlist.models import DeliverySettings
from tests.builders import an_incident, an_incident_body
from tests.integration.delivering.test_queue import Scripted, Stage, until_quiet
from tests.integration.store.builders import NOW, a_settlement, a_snapshot, an_observation, nobody, rows
from tests.integration.watching.kit import running, until

pytestmark = pytest.mark.standing_clock

Script = Callable[[Message], Outcome]


class Storyteller(Scripted):
    """A receiver that takes the events of a story together, and whose edits have a gate of their own."""

    most_at_once = 3

    def __init__(self, script: Script = lambda m: Delivered(count=1 + len(m.followers))) -> None:
        super().__init__(lambda _: Delivered())
        self.tell = script
        self.messages: list[Message] = []
        self.edits = Turnstile(60.0)

    def gate(self, message: Message) -> Turnstile | None:
        return self.edits if message.story is not None and message.story.posted is not None else None

    async def send(self, message: Message) -> Outcome:
        self.messages.append(message)
        self.sent += [message.event_id, *(follower.event_id for follower in message.followers)]
        return self.tell(message)


def an_event(
    name: str, *, story: str | None = "inc_1", sync_id: int = 52, run_id: int | None = 93, of_run: bool = False
) -> Event:
    incident_id = story if story is not None and story.startswith("inc_") and not of_run else None
    kind = EventType.INCIDENT_CHANGED if incident_id else EventType.WORKING
    body = an_incident_body(kind, replace(an_incident(), id=incident_id or "none"), run_id=run_id)
    return Event(
        name, kind, "main", sync_id, run_id, NOW, body, (Addressee("pipeline", story),), incident_id=incident_id
    )


async def record(store: Store, *events: Event) -> None:
    for event in events:
        await store.watching.record(an_observation(event, sync_id=event.sync_id))


async def ids(store: Store) -> list[int]:
    return [delivery.id for delivery in await store.delivering.pending("pipeline", 0, 100)]


# --- what goes together ---


@pytest.mark.asyncio
async def test_events_of_one_story_that_wait_go_together_and_those_of_another_do_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Storyteller()
    stage = Stage(store, monkeypatch, receiver)
    await record(
        store,
        an_event("evt_1"),
        an_event("evt_2"),
        an_event("evt_3", story="inc_2"),
        an_event("evt_4"),
        an_event("evt_5", story=None),
        an_event("evt_6", story=None),
    )
    async with running(stage.queue().run()):
        await until_quiet()
    told = [[m.event_id, *(f.event_id for f in m.followers)] for m in receiver.messages]
    assert told == [["evt_1", "evt_2"], ["evt_3"], ["evt_4"], ["evt_5"], ["evt_6"]]
    assert await ids(store) == []
    assert (await store.delivering.story("pipeline", "inc_1", [1])).story is not None


@pytest.mark.asyncio
async def test_no_more_go_together_than_the_receiver_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Storyteller()
    stage = Stage(store, monkeypatch, receiver)
    await record(store, *(an_event(f"evt_{number}") for number in range(1, 8)))
    async with running(stage.queue().run()):
        await until_quiet()
    assert [1 + len(message.followers) for message in receiver.messages] == [3, 3, 1]


@pytest.mark.asyncio
async def test_what_the_receiver_did_not_take_of_them_comes_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Storyteller(lambda _: Delivered(count=1))
    stage = Stage(store, monkeypatch, receiver)
    await record(store, an_event("evt_1"), an_event("evt_2"))
    async with running(stage.queue().run()):
        await until_quiet()
    assert [message.event_id for message in receiver.messages] == ["evt_1", "evt_2"]
    assert await ids(store) == []


@pytest.mark.parametrize("outcome", [Retry("HTTP 500"), Refused("invalid_blocks")])
@pytest.mark.asyncio
async def test_what_fails_is_the_first_alone(store: Store, monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
    receiver = Storyteller(lambda m: outcome if m.event_id == "evt_1" else Delivered())
    stage = Stage(store, monkeypatch, receiver)
    await record(store, an_event("evt_1"), an_event("evt_2"))
    async with running(stage.queue().run()):
        await until_quiet()
    pending = await store.delivering.pending("pipeline", 0, 9)
    if isinstance(outcome, Retry):
        assert [(delivery.event_id, delivery.attempts) for delivery in pending] == [("evt_1", 1), ("evt_2", 0)]
    else:
        assert [message.event_id for message in receiver.messages] == ["evt_1", "evt_2"]
        assert pending == []


@pytest.mark.asyncio
async def test_a_lane_that_is_longer_than_memory_holds_goes_on_to_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Storyteller()
    stage = Stage(store, monkeypatch, receiver)
    await record(store, *(an_event(f"evt_{number:02}") for number in range(1, 64)))
    async with running(stage.queue().run()):
        await until_quiet()
    assert receiver.sent == [f"evt_{number:02}" for number in range(1, 64)]


@pytest.mark.asyncio
async def test_a_command_that_changes_the_database_in_mid_send_disturbs_no_story(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue forgets what waits and reads it again, while the receiver has several of them in hand."""
    may_go_on = asyncio.Event()
    receiver = Storyteller()
    send = receiver.send

    async def slowly(message: Message) -> Outcome:
        outcome = await send(message)
        await may_go_on.wait()
        return outcome

    monkeypatch.setattr(receiver, "send", slowly)
    stage = Stage(store, monkeypatch, receiver)
    queue = stage.queue()
    await record(store, *(an_event(f"evt_{number}") for number in range(1, 6)))
    has_read, slow_read = asyncio.Event(), asyncio.Event()
    read = store.delivering.pending

    async def pending_slowly(*given: Any) -> list[PendingDelivery]:
        found = await read(*given)
        has_read.set()
        await slow_read.wait()
        return found

    async with running(queue.run()):
        await until_quiet()
        assert receiver.sent == ["evt_1", "evt_2", "evt_3"]
        monkeypatch.setattr(store.delivering, "pending", pending_slowly)
        queue.reload(None)
        await until(has_read.is_set)  # and it says what was pending before the outcome
        may_go_on.set()
        await until(lambda: not queue._lanes.flying)  # the outcome is kept, and the old list is still to come
        slow_read.set()
        await until(lambda: len(receiver.sent) == 5)
        await until_quiet()
    assert receiver.sent == ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"]
    assert await ids(store) == []


# --- a gate that is closed ---


@pytest.mark.asyncio
async def test_a_message_before_a_closed_gate_waits_and_holds_up_no_other_and_costs_no_attempt(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Storyteller(lambda m: Delivered(posted=Posted("there", m.event_id)))
    stage = Stage(store, monkeypatch, receiver)
    queue = stage.queue()
    await record(store, an_event("evt_1", sync_id=1), an_event("evt_2", story="inc_2", sync_id=2))
    async with running(queue.run()):
        await until_quiet()
        assert receiver.take() == ["evt_1", "evt_2"]
        # Both have a message now: of their next events one may pass the gate, and the other has to wait a minute.
        await record(store, an_event("evt_3", sync_id=1), an_event("evt_4", story="inc_2", sync_id=2))
        await record(store, an_event("evt_5", story=None, sync_id=3))
        queue.wake()
        await until_quiet()
        assert sorted(receiver.take()) == ["evt_3", "evt_5"]
        [waits] = await store.delivering.pending("pipeline", 0, 9)
        assert (waits.event_id, waits.attempts, waits.maybe_sent_at) == ("evt_4", 0, None)
        await stage.passes(seconds=61)
        assert receiver.take() == ["evt_4"]


@pytest.mark.asyncio
async def test_a_hold_for_edits_alone_does_not_hold_the_channel(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down = Retry("HTTP 429", timedelta(minutes=5), for_all=False)

    def script(message: Message) -> Outcome:
        posted = message.story.posted if message.story is not None else None
        return slow_down if posted is not None else Delivered(posted=Posted("there", message.event_id))

    receiver = Storyteller(script)
    stage = Stage(store, monkeypatch, receiver)
    queue = stage.queue()
    await record(store, an_event("evt_1", sync_id=1))
    async with running(queue.run()):
        await until_quiet()
        await record(store, an_event("evt_2", sync_id=1))
        queue.wake()
        await until_quiet()
        await record(store, an_event("evt_3", story="inc_3", sync_id=3))
        queue.wake()
        await until_quiet()
        assert receiver.take() == ["evt_1", "evt_2", "evt_3"]
    assert (await store.delivering.receivers())["pipeline"].hold_until is None


# --- what it is told of itself ---


async def settle(store: Store, *delivery_ids: int, shown: Shown | None = None) -> None:
    first, *others = (a_settlement(number, DeliveryState.DELIVERED) for number in delivery_ids)
    await store.delivering.settle(first, followers=others, shown=shown)


@pytest.mark.asyncio
async def test_where_a_story_stands_is_kept_and_told_to_the_next_event_also_after_a_restart(store: Store) -> None:
    await record(store, an_event("evt_1"), an_event("evt_2"))
    before = await store.delivering.story("pipeline", "inc_1", [1])
    assert before.story is not None
    assert (before.story.posted, before.story.is_current) == (None, False)
    await settle(store, 1, shown=Shown("pipeline", "inc_1", Posted("C1:1.2:evt_1", "evt_1"), NOW))
    after = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert after is not None
    assert (after.posted, after.is_current) == (Posted("C1:1.2:evt_1", "evt_1"), False)
    assert (await store.delivering.story("another", "inc_1", [2])).story == replace(after, posted=None)


@pytest.mark.asyncio
async def test_the_state_of_an_incident_is_that_of_its_newest_event_whoever_gets_it(store: Store) -> None:
    """A delivery that was held up never takes a message back to how things were."""
    newest = replace(an_event("evt_2"), addressees=())
    await record(store, an_event("evt_1"), newest)
    story = (await store.delivering.story("pipeline", "inc_1", [1])).story
    assert story is not None
    assert (story.state_id, story.state) == ("evt_2", newest.body)
    await settle(store, 1, shown=Shown("pipeline", "inc_1", Posted("there", "evt_2"), NOW))
    again = (await store.delivering.story("pipeline", "inc_1", [1])).story
    assert again is not None
    assert again.is_current


@pytest.mark.asyncio
async def test_an_event_without_a_run_comes_with_the_incidents_last_run(store: Store) -> None:
    first = an_event("evt_1")
    await record(store, first, an_event("evt_2", run_id=None))
    story = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert story is not None
    assert (story.state_id, story.run, story.latest) == ("evt_2", first.body, None)


@pytest.mark.asyncio
async def test_a_run_that_came_after_the_incidents_newest_event_is_the_latest(store: Store) -> None:
    first, run = an_event("evt_1"), an_event("evt_2", of_run=True, run_id=94)
    await record(store, first, run)
    story = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert story is not None
    assert (story.state, story.state_id, story.latest) == (first.body, "evt_2", run.body)
    await settle(store, 2, shown=Shown("pipeline", "inc_1", Posted("there", "evt_1"), NOW))
    again = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert again is not None
    assert not again.is_current


@pytest.mark.asyncio
async def test_the_runs_message_is_the_incidents_from_its_first_event_on(store: Store) -> None:
    await record(store, an_event("evt_1", story="run:93:52:main"), an_event("evt_2"))
    await settle(store, 1, shown=Shown("pipeline", "run:93:52:main", Posted("there", "evt_1"), NOW))
    story = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert story is not None
    assert (story.posted, story.posted_of_run, story.run_story) == (None, Posted("there", "evt_1"), "run:93:52:main")
    await settle(store, 2, shown=Shown("pipeline", "inc_1", Posted("there", "evt_2"), NOW, ("run:93:52:main",)))
    after = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert after is not None
    assert (after.posted, after.posted_of_run) == (Posted("there", "evt_2"), None)
    assert (await store.delivering.story("pipeline", "run:93:52:main", [1])).story == replace(
        after,
        name="run:93:52:main",
        posted=None,
        state=an_event("evt_1", story="run:93:52:main").body,
        state_id="evt_1",
        is_current=False,
    )


@pytest.mark.asyncio
async def test_messages_of_open_incidents_outlast_retention(store: Store) -> None:
    still, over = replace(an_incident(), id="inc_1"), replace(an_incident(), id="inc_2", sync_id=53, resolved_at=NOW)
    await store.watching.record(an_observation(an_event("evt_1"), incidents=(still, over)))
    for story in ("inc_1", "inc_2", "run:1:52:main"):
        await settle(store, 1, shown=Shown("pipeline", story, Posted("there", "evt_1"), NOW))
    await store.prune(NOW + timedelta(seconds=1), nobody)
    assert rows(store.place, "SELECT story FROM posted") == [("inc_1",)]


@pytest.mark.asyncio
async def test_each_event_of_a_story_comes_with_whom_it_mentions_and_whether_it_is_quiet(store: Store) -> None:
    loud = Addressee("pipeline", "inc_1", mentions=("@here", "<!subteam^S1>"))
    quiet = Addressee("pipeline", "inc_1", quiet=True)
    await record(
        store,
        replace(an_event("evt_1"), addressees=(loud,)),
        replace(an_event("evt_2"), addressees=(quiet,)),
        an_event("evt_3"),
    )
    first = await store.delivering.story("pipeline", "inc_1", [1, 2, 3])
    assert [(m.event_id, m.quiet, m.mentions) for m in (first, *first.followers)] == [
        ("evt_1", False, ("@here", "<!subteam^S1>")),
        ("evt_2", True, ()),
        ("evt_3", False, ()),
    ]


@pytest.mark.asyncio
async def test_an_incident_that_has_its_message_takes_over_no_other(store: Store) -> None:
    await record(store, an_event("evt_1"), an_event("evt_2"))
    for name in ("run:93:52:main", "inc_1"):
        await settle(store, 1, shown=Shown("pipeline", name, Posted(name, "evt_1"), NOW))
    story = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert story is not None
    assert (story.posted, story.posted_of_run, story.run_story) == (Posted("inc_1", "evt_1"), None, None)


@pytest.mark.asyncio
async def test_a_runs_event_that_was_held_up_is_not_later_than_what_came_after_it(store: Store) -> None:
    run, changed = an_event("evt_1", of_run=True), an_event("evt_2")
    await record(store, run, changed)
    await settle(store, 2, shown=Shown("pipeline", "inc_1", Posted("there", "evt_1"), NOW))
    story = (await store.delivering.story("pipeline", "inc_1", [1])).story
    assert story is not None
    assert (story.state_id, story.latest, story.is_current) == ("evt_2", None, False)


@pytest.mark.asyncio
async def test_a_message_that_is_taken_over_stays_that_of_other_receivers(store: Store) -> None:
    await record(store, an_event("evt_1", story="run:93:52:main"), an_event("evt_2"))
    for receiver in ("pipeline", "another"):
        await settle(store, 1, shown=Shown(receiver, "run:93:52:main", Posted(receiver, "evt_1"), NOW))
    await settle(store, 2, shown=Shown("pipeline", "inc_1", Posted("pipeline", "evt_2"), NOW, ("run:93:52:main",)))
    assert rows(store.place, "SELECT receiver, story FROM posted ORDER BY receiver") == [
        ("another", "run:93:52:main"),
        ("pipeline", "inc_1"),
    ]


@pytest.mark.asyncio
async def test_of_incidents_that_are_over_the_newest_of_each_workspace_sync_and_check_outlasts_retention(
    store: Store,
) -> None:
    """It says up to which run results were of an incident that is over."""
    over = replace(an_incident(), workspace="main", resolved_at=NOW)
    left = {
        "old": over,
        "newest": over,
        "of another check": replace(over, check=Check.STALE),
        "of another sync": replace(over, sync_id=53),
        "of another workspace": replace(over, workspace="staging"),
        "open": replace(over, sync_id=54, resolved_at=None),
        "over again": replace(over, sync_id=54, resolved_at=NOW + timedelta(days=1)),
    }
    await store.watching.record(
        an_observation(incidents=tuple(replace(incident, id=name) for name, incident in left.items()))
    )
    await store.prune(NOW + timedelta(hours=1), nobody)
    assert {name for (name,) in rows(store.place, "SELECT id FROM incidents")} == left.keys() - {"old"}


@pytest.mark.asyncio
async def test_a_run_that_is_seen_again_is_still_unusual(store: Store) -> None:
    run = a_snapshot(1, "completed", records_sent=1000)
    await store.watching.record(an_observation(snapshots=(run,), outliers=(1,)))
    await store.watching.record(an_observation(snapshots=(run,)))
    assert [result.outlier for result in await store.watching.results("main", 52, 9)] == [True]


# --- what is not right yet ---


@pytest.mark.asyncio
async def test_mentions_reach_a_receiver_without_stories(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Slack webhook, or a channel with a message for each event."""
    receiver = Storyteller(lambda _: Delivered())
    stage = Stage(store, monkeypatch, receiver)
    plain = Addressee("pipeline", mentions=("@here", "<@U0123>"))
    await record(store, replace(an_event("evt_1", story=None), addressees=(plain,)))
    async with running(stage.queue().run()):
        await until_quiet()
    assert [message.mentions for message in receiver.messages] == [("@here", "<@U0123>")]


@pytest.mark.asyncio
async def test_one_round_does_not_wait_for_edits_that_are_held(store: Store) -> None:
    receiver = Storyteller()
    await record(store, an_event("evt_1"), an_event("evt_2"))
    await settle(store, 1, shown=Shown("pipeline", "inc_1", Posted("there", "evt_1"), NOW))
    receiver.edits.hold(asyncio.get_running_loop().time() + 3600)
    queue = ReceiverQueue(receiver, ReceiverState("pipeline"), store.delivering, DeliverySettings(), once=True)
    async with asyncio.timeout(1):
        await queue.run()
    assert (receiver.sent, await ids(store)) == ([], [2])


@pytest.mark.asyncio
async def test_an_incident_that_is_open_for_longer_than_retention_is_still_told_as_one(store: Store) -> None:
    """Without that its message would show the run that comes then, as if nothing were wrong."""
    opened = an_event("evt_1")
    await store.watching.record(an_observation(opened, incidents=(replace(an_incident(), id="inc_1"),)))
    await settle(store, 1, shown=Shown("pipeline", "inc_1", Posted("there", "evt_1"), NOW))
    await store.prune(NOW + timedelta(days=30), nobody)
    run = an_event("evt_2", of_run=True, run_id=94)
    await record(store, run)
    story = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert story is not None
    assert (story.state, story.latest) == (opened.body, run.body)


@pytest.mark.asyncio
async def test_where_a_story_stands_is_known_while_a_delivery_of_it_waits(store: Store) -> None:
    """A receiver that is broken for longer than retention: its message would say for ever that the incident lasts."""
    over = replace(an_incident(), id="inc_1", resolved_at=NOW)
    await store.watching.record(an_observation(an_event("evt_1"), an_event("evt_2"), incidents=(over,)))
    posted = Posted("there", "evt_1")
    await settle(store, 1, shown=Shown("pipeline", "inc_1", posted, NOW))
    await store.prune(NOW + timedelta(days=30), nobody)
    story = (await store.delivering.story("pipeline", "inc_1", [2])).story
    assert story is not None
    assert story.posted == posted


@pytest.mark.asyncio
async def test_an_event_that_may_have_arrived_is_not_merged_into_an_earlier_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`deliveries retry` made a dead one before it pending again: the later one is to be looked for by its own ID."""
    receiver = Storyteller()
    stage = Stage(store, monkeypatch, receiver)
    await record(store, an_event("evt_1"), an_event("evt_2"))
    await store.delivering.begin_attempt(2, NOW)
    async with running(stage.queue().run()):
        await until_quiet()
    assert [[message.event_id, *(f.event_id for f in message.followers)] for message in receiver.messages] == [
        ["evt_1"],
        ["evt_2"],
    ]


# --- what the queue writes down, and when ---


@pytest.mark.asyncio
async def test_a_message_before_a_closed_gate_is_not_taken_for_one_that_may_have_arrived(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a receiver that can be asked, that an attempt begins is written down; here none did."""
    receiver = Storyteller()
    receiver.can_be_asked = True
    stage = Stage(store, monkeypatch, receiver)
    await record(store, an_event("evt_1"), an_event("evt_2"))
    await settle(store, 1, shown=Shown("pipeline", "inc_1", Posted("there", "evt_1"), NOW))
    receiver.edits.hold(asyncio.get_running_loop().time() + 60)
    async with running(stage.queue().run()):
        await until_quiet()
        [waits] = await store.delivering.pending("pipeline", 0, 9)
        assert (waits.attempts, waits.maybe_sent_at, receiver.sent) == (0, None, [])


@pytest.mark.asyncio
async def test_a_runs_message_is_given_up_by_the_run_once_the_receiver_has_made_it_the_incidents(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Storyteller(lambda m: Delivered(posted=Posted("there", m.event_id)))
    stage = Stage(store, monkeypatch, receiver)
    await record(store, an_event("evt_1", story="run:93:52:main"), an_event("evt_2"))
    async with running(stage.queue().run()):
        await until_quiet()
    assert rows(store.place, "SELECT story, event_id FROM posted") == [("inc_1", "evt_2")]


@pytest.mark.asyncio
async def test_of_what_is_not_in_the_database_any_more_nothing_is_told(store: Store) -> None:
    """As after a fail-over of the server that lost what another worker had recorded: it is noticed soon."""
    with pytest.raises(StoreUnavailable, match="not in the database any more"):
        await store.delivering.message("evt_lost", "growth")
    with pytest.raises(StoreUnavailable, match="not in the database any more"):
        await store.delivering.story("growth", "run:main:52:1", [1, 2])
