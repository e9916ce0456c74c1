"""Files that are no database of ours: each is refused with its path and the remedy, and nothing is made of it."""

import asyncio
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.store.migrate import check_current, migrate
from notifier.store.orders import retry_deliveries
from notifier.store.sqlite.files import check_file
from notifier.store.sqlite.lock import worker_lock
from notifier.store.store import Store, open_store
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from notifier.store.views.status import read_status, require_recent_worker
from tests.integration.store.builders import DAY, FULL, NOW, an_event, an_observation, left_of_threads, rows

LOOKS: list[Callable[[Path], object]] = [
    check_current,
    lambda path: read_status(path, []),
    lambda path: read_deliveries(path, DeliveryFilter(), 9),
    lambda path: retry_deliveries(path, DeliveryFilter(), NOW, []),
    lambda path: require_recent_worker(path, "here", NOW, DAY),
]


def lock(path: Path) -> None:
    with worker_lock(path):
        pass


def refusals(path: Path, *ways: Callable[[Path], object]) -> set[str]:
    """What each way of opening the file says of it; all must refuse."""
    said = set()
    for way in ways:
        with pytest.raises(DatabaseUnusable) as caught:
            way(path)
        said.add(str(caught.value))
    return said


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"version: 1\nworkspaces: {}\n" * 400, id="a text"),
        pytest.param(b"x", id="one byte"),
        pytest.param(b"SQLite format 3", id="half a header"),
        pytest.param(b"SQLite format 2\x00" + b"\x00" * 4096, id="another format"),
        pytest.param(os.urandom(8192), id="noise, or an encrypted database"),
    ],
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notifier.db"
    path.write_bytes(content)
    assert refusals(path, migrate, lock, *LOOKS) == {f"{path}: the file is not an SQLite database"}
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_without_a_database_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8000)
    [said] = refusals(path, migrate, check_current)
    assert said == f"{path}: the file is not an SQLite database"


def test_a_directory_is_refused_with_the_remedy(tmp_path: Path) -> None:
    assert refusals(tmp_path, migrate, lock, *LOOKS) == {f"{tmp_path} is a directory; `database` must name a file"}


def test_a_missing_directory_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "data" / "notifier.db"
    assert refusals(path, migrate, lock, *LOOKS) == {
        f"{path}: the directory {path.parent} does not exist; create it or change `database`"
    }
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    path = tmp_path / "data" / "notifier.db"
    [said] = refusals(path, migrate, lock, *LOOKS)
    assert str(path) in said


@pytest.mark.parametrize("exists", [False, True])
def test_commands_make_no_database_and_say_who_does(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "notifier.db"
    if exists:
        path.touch()
    assert refusals(path, *LOOKS) == {f"{path}: no database there yet; `notifier run` or `notifier migrate` makes it"}
    assert [(file.name, file.stat().st_size) for file in tmp_path.iterdir()] == ([("notifier.db", 0)] if exists else [])


def test_an_empty_file_alone_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    path.touch()
    assert migrate(path) is True


@pytest.mark.parametrize("lost", [lambda path: path.write_bytes(b""), Path.unlink], ids=["emptied", "gone"])
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "by a link"])
def test_a_lost_file_beside_its_wal_is_refused_and_the_wal_is_kept(
    tmp_path: Path, lost: Callable[[Path], object], linked: bool
) -> None:
    """SQLite would throw the WAL away, and with it what was recorded last."""
    path = tmp_path / "notifier.db"
    wal = tmp_path / "notifier.db-wal"
    lost_content = b"frames " * 1000
    path.touch()
    lost(path)
    wal.write_bytes(lost_content)
    named = path
    if linked:
        (tmp_path / "elsewhere").mkdir()
        named = tmp_path / "elsewhere" / "link.db"
        named.symlink_to(path)
    [said] = refusals(named, migrate, lock, *LOOKS)
    assert said == (f"{named} is empty or gone but notifier.db-wal is not: restore both, or remove notifier.db-wal")
    assert wal.read_bytes() == lost_content
    wal.unlink()
    assert migrate(named) is True


def test_an_empty_wal_is_nothing_to_lose(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    (tmp_path / "notifier.db-wal").touch()
    assert migrate(path) is True


def test_a_link_to_itself_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    path.symlink_to(path)
    for said in refusals(path, migrate, *LOOKS):
        assert str(path) in said


def test_a_name_too_long_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    for said in refusals(path, migrate, lock, *LOOKS):
        assert said == f"{path}: File name too long"


@pytest.mark.asyncio
async def test_the_store_makes_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    before = set(threading.enumerate())
    with pytest.raises(DatabaseUnusable, match=re.escape(str(path))):
        async with open_store(path):
            pytest.fail("opened")
    assert left_of_threads(before) == []  # they end while the loop that they speak to is there
    assert list(tmp_path.iterdir()) == []


def damage(path: Path, table: str) -> None:
    """Overwrites a table's first page."""
    [(page_size,)] = rows(path, "PRAGMA page_size")
    [(root,)] = rows(path, "SELECT rootpage FROM sqlite_master WHERE name = ?", table)
    with path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xa5" * page_size)


@pytest.fixture
def damaged(database: Path) -> Path:
    async def fill() -> None:
        async with open_store(database) as store:
            await store.watching.record(FULL)
            await store.watching.record(an_observation(*(an_event(f"evt_more_{n}", "growth") for n in range(500))))

    asyncio.run(fill())
    damage(database, "deliveries")
    return database


def test_a_damaged_database_opens_but_what_meets_the_damage_says_so(damaged: Path) -> None:
    check_current(damaged)
    said = refusals(damaged, *LOOKS[2:4])
    assert said == {f"{damaged}: the file is damaged; restore a backup"}


def test_the_worker_on_a_damaged_database_is_told_to_restore_a_backup(damaged: Path) -> None:
    async def work() -> None:
        async with open_store(damaged) as store:
            with pytest.raises(DatabaseUnusable, match=r"notifier\.db: the file is damaged; restore a backup"):
                await store.delivering.pending("growth", 0, 9)
            with pytest.raises(DatabaseUnusable, match=r"notifier\.db: the file is damaged; restore a backup"):
                await store.watching.record(an_observation(an_event("evt_new", "growth")))
            assert not store.works
            assert (await store.delivering.message("evt_1")).event_id == "evt_1"  # what is whole can still be read

    asyncio.run(work())


def test_a_damaged_schema_is_found_when_the_database_is_opened(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 3000)
    assert refusals(database, migrate, *LOOKS) == {f"{database}: the file is damaged; restore a backup"}


def test_a_truncated_database_is_refused(database: Path) -> None:
    with database.open("r+b") as file:
        file.truncate(database.stat().st_size // 2)
    assert refusals(database, migrate) == {f"{database}: the file is damaged; restore a backup"}


@pytest.mark.asyncio
async def test_an_error_of_the_work_inside_is_not_taken_for_an_error_of_opening(database: Path) -> None:
    async def work(store: Store) -> None:
        await store.watching.record(FULL)
        await store.watching.record(FULL)

    with pytest.raises(IntegrityError):
        async with open_store(database) as store:
            await work(store)


@pytest.mark.asyncio
async def test_an_unavailable_store_inside_stays_that(database: Path) -> None:
    with pytest.raises(StoreUnavailable, match="later"):
        async with open_store(database):
            raise StoreUnavailable("later")


def test_a_good_database_passes_every_look(database: Path) -> None:
    check_file(database, may_create=False)
    for look in LOOKS[:4]:
        look(database)
    with pytest.raises(DatabaseUnusable, match=r"notifier\.db: no worker has run yet"):
        require_recent_worker(database, "here", NOW, DAY)


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    database = tmp_path / "theirs.db"
    with closing(sqlite3.connect(database)) as theirs:
        theirs.execute("CREATE TABLE events (id INTEGER)")
        theirs.commit()
    before = database.read_bytes()
    with pytest.raises(DatabaseUnusable, match="another program's database"):
        migrate(database)
    assert database.read_bytes() == before
