"""The delivering's half of the store: what waits, what became of it, and where receivers stand."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from notifier.model.delivery import Message, PendingDelivery, Posted, ReceiverState, Settlement, Shown, Story
from notifier.model.errors import StoreUnavailable
from notifier.model.event import run_story
from notifier.model.identity import Id
from notifier.store.reader import DatabaseReader
from notifier.store.sql import delivering as sql
from notifier.store.sql.parts import Group
from notifier.store.sql.rows import mentions_of, pending_of, receiver_of, receiver_row, settlement_row
from notifier.store.sql.schema import NONE
from notifier.store.writer import Writer


class DeliveringStore:
    """What the deliverer, and each receiver's queue, keeps and asks. Each method raises StoreError."""

    def __init__(self, reader: DatabaseReader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def works(self) -> bool:
        """Whether the last write succeeded: while it did not, nothing may be sent whose outcome must be kept."""
        return self._writer.works

    async def receivers(self) -> dict[str, ReceiverState]:
        return {row.name: receiver_of(row) for row in await self._reader.read(sql.RECEIVERS)}

    async def abandon_all_but(self, receivers: Collection[str], now: datetime) -> None:
        """Pending deliveries of receivers that are gone become dead."""
        names = list(receivers)
        await self._writer.write(
            (sql.ABANDON, [{"names": names, "now": now}]), (sql.FORGET_RECEIVERS, [{"names": names}])
        )

    async def pending(self, receiver: str, after: int, most: int) -> list[PendingDelivery]:
        """The oldest pending deliveries whose ID is greater than `after`, in order."""
        return [
            pending_of(row) for row in await self._reader.read(sql.PENDING, receiver=receiver, after=after, most=most)
        ]

    async def pending_in_lane(
        self, receiver: str, workspace: str, sync_id: Id, after: int, upto: int, most: int
    ) -> list[PendingDelivery]:
        """As `pending`, of one sync, and of IDs up to `upto`."""
        lane = {"of_workspace": workspace, "of_sync_id": sync_id, "upto": upto}
        rows = await self._reader.read(sql.PENDING_IN_LANE, receiver=receiver, **lane, after=after, most=most)
        return [pending_of(row) for row in rows]

    async def count_pending(self) -> int:
        """Deliveries that are pending, of all receivers."""
        return int((await self._reader.read(sql.COUNT_PENDING))[0][0])

    async def message(self, event_id: str, receiver: str = "") -> Message:
        """An event as it is sent to a receiver, by itself."""
        rows = await self._reader.read(sql.EVENT, event_id=event_id, receiver=receiver)
        _must_be_there(rows, 1)
        row = rows[0]
        return Message(row.id, row.type, row.body, mentions=mentions_of(row.mentions))

    async def story(self, receiver: str, name: str, delivery_ids: Sequence[int]) -> Message:
        """The first of a receiver's deliveries of one story, with what is known of that story; the others follow it."""
        rows = await self._reader.read(sql.STORY_EVENTS, ids=list(delivery_ids))
        _must_be_there(rows, len(delivery_ids))
        story = await self._story(receiver, name, rows)
        first, *others = (
            Message(row.id, row.type, row.body, quiet=row.quiet, mentions=mentions_of(row.mentions)) for row in rows
        )
        return replace(first, story=story, followers=tuple(others))

    async def _story(self, receiver: str, name: str, rows: Sequence[Row[Any]]) -> Story:
        of_runs = [run_story(row.workspace, row.sync_id, row.run_id) for row in rows if row.run_id != NONE]
        found = await self._reader.read(sql.POSTED, receiver=receiver, stories=[name, *of_runs])
        posted = {row.story: Posted(row.reference, row.event_id) for row in found}
        last = rows[-1]
        story = Story(name, last.body, last.id)
        newest = last.seq
        if story.is_incident and (states := await self._reader.read(sql.INCIDENT_STATE, incident_id=name)):
            story, newest = await self._of_incident(story, states[0], last)
        own = posted.pop(name, None)
        shown = await self._reader.read(sql.PLACE_OF_EVENT, event_id=own.event_id) if own is not None else []
        of_run = next(iter(posted), None) if own is None else None
        return replace(
            story,
            posted=own,
            posted_of_run=posted[of_run] if of_run is not None else None,
            run_story=of_run,
            is_current=bool(shown) and shown[0].seq >= newest,
        )

    async def _of_incident(self, story: Story, state: Row[Any], last: Row[Any]) -> tuple[Story, int]:
        """The story of an incident, and the place of the event that tells how it is now."""
        run = await self._reader.read(sql.INCIDENT_RUN, incident_id=story.name) if state.run_id == NONE else []
        is_later = last.seq > state.seq  # a run's event, while the incident lasts
        story = replace(
            story,
            state=state.body,
            state_id=last.id if is_later else state.id,
            run=run[0].body if run else None,
            latest=last.body if is_later else None,
        )
        return story, max(last.seq, state.seq)

    async def begin_attempt(self, delivery_id: int, at: datetime) -> None:
        """Remembers that the receiver may have the message from now on, whatever becomes of this process."""
        await self._writer.write((sql.BEGIN_ATTEMPT, [{"of_id": delivery_id, "new_maybe_sent_at": at}]))

    async def settle(
        self,
        settlement: Settlement,
        receiver: ReceiverState | None = None,
        *,
        followers: Sequence[Settlement] = (),
        shown: Shown | None = None,
    ) -> None:
        """Keeps the outcome of an attempt, what it says of the receiver, and where the receiver's story stands now."""
        settled = [settlement_row(each) for each in (settlement, *followers)]
        groups: list[Group] = [(sql.SETTLE, settled)]
        if receiver is not None:
            groups.append((sql.SAVE_RECEIVER, [receiver_row(receiver)]))
        if shown is not None:
            key = {"of_receiver": shown.receiver}
            groups.append((sql.FORGET_POSTED, [{**key, "of_story": story} for story in shown.taken_over]))
            row = {"receiver": shown.receiver, "story": shown.story, "changed_at": shown.at}
            groups.append(
                (sql.SAVE_POSTED, [{**row, "reference": shown.posted.reference, "event_id": shown.posted.event_id}])
            )
        await self._writer.write(*groups)


def _must_be_there(rows: Sequence[Row[Any]], count: int) -> None:
    """What waits is never taken away: but a server may lose it, whose fail-over another worker's commits do not
    survive. Until that is noticed nothing of it is told."""
    if len(rows) < count:
        raise StoreUnavailable("what is to be sent is not in the database any more; it went back in time")
