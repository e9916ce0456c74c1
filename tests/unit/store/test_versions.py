"""What a worker makes of the versions of all workers, look by look: for how long it waits for whom. Pure."""

import pytest

from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.store.attendance import LONGEST_ABSENCE, Sign
from notifier.store.postgres import takeover
from notifier.store.postgres.roll import Member, Roll
from notifier.store.postgres.takeover import LONGEST_TRY, LONGEST_WAIT, PATIENCE, STRANDED, Versions
from notifier.watchlist.database import ServerUrl

PLACE = ServerUrl("postgresql://127.0.0.1/n")
OLD, MINE, NEWER = "0012", "9001", "9002"


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def roll(*, schema: str | None = OLD, has_part: bool = False, **revisions: str) -> Roll:
    """Of these workers; the older one may have the only part."""
    members = {name: Member(name, Sign(0, 0), "", revision) for name, revision in revisions.items()}
    return Roll(members, {"everything": "old" if has_part else None}, None, schema)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def versions(clock: Clock) -> Versions:
    return Versions(MINE, clock)


async def looks(versions: Versions, clock: Clock, seen: Roll, seconds: float) -> bool:
    """Looks every second for so long; whether it has migrated."""
    end, done = clock.now + seconds, False
    while clock.now < end and not done:
        clock.now += 1
        versions.note(seen)
        done = await versions.upgrade(PLACE, seen, "me")
    return done


WAITING = roll(me=MINE, old=OLD, has_part=True)
DUE = roll(me=MINE)


@pytest.mark.asyncio
async def test_the_wait_for_an_older_one_begins_anew_once_there_was_none_to_wait_for(
    versions: Versions, clock: Clock
) -> None:
    assert not await looks(versions, clock, WAITING, LONGEST_WAIT - 10)
    assert not await looks(versions, clock, roll(me=MINE, old=OLD, newest=NEWER, has_part=True), 5)
    assert not await looks(versions, clock, WAITING, LONGEST_WAIT - 10)
    with pytest.raises(DatabaseUnusable, match="old of an older version still has parts"):
        await looks(versions, clock, WAITING, 20)


@pytest.mark.asyncio
async def test_tries_are_counted_together_though_each_takes_longer_than_an_absence(
    versions: Versions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bool:
        clock.now += LONGEST_ABSENCE + 1
        raise StoreUnavailable("held")

    monkeypatch.setattr(takeover, "migrate_beside", fails)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await looks(versions, clock, DUE, 1)
    with pytest.raises(DatabaseUnusable, match="held; so it can't be brought"):
        await looks(versions, clock, DUE, 1)


@pytest.mark.asyncio
async def test_tries_from_before_an_absence_do_not_count(
    versions: Versions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bool:
        raise StoreUnavailable("held")

    monkeypatch.setattr(takeover, "migrate_beside", fails)
    with pytest.raises(StoreUnavailable):
        await looks(versions, clock, DUE, 1)
    clock.now += LONGEST_TRY + LONGEST_ABSENCE
    with pytest.raises(StoreUnavailable):
        await looks(versions, clock, DUE, 1)


@pytest.mark.asyncio
async def test_an_absence_is_no_time_in_which_nobody_did_the_work(versions: Versions, clock: Clock) -> None:
    stranded = roll(schema=NEWER, me=MINE)
    await looks(versions, clock, stranded, 2)
    clock.now += PATIENCE
    await looks(versions, clock, stranded, 1)
    assert versions.ailment is None
    await looks(versions, clock, stranded, PATIENCE)
    assert versions.ailment == STRANDED


def test_who_is_the_newest_is_not_overtaken_and_works_once_the_database_is_as_new(versions: Versions) -> None:
    versions.note(DUE)
    assert not versions.is_overtaken
    assert versions.stands_aside
    assert not versions.may_work
    assert versions.said == ""
    versions.note(roll(schema=MINE, me=MINE, old=OLD))
    assert versions.may_work
    assert not versions.stands_aside
    versions.forget()
    assert not versions.may_work, "until a look of the next life"


def test_where_no_version_is_known_nobody_stands_aside_for_another(versions: Versions) -> None:
    versions.note(roll(schema=None, me=MINE))
    assert not versions.stands_aside
    assert not versions.may_work
    assert versions.ailment == takeover.UNKNOWN


def test_who_waits_for_an_older_one_says_so(versions: Versions) -> None:
    versions.note(WAITING)
    assert versions.said == takeover.OLDER
