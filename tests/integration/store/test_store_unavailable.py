"""When the disk is full, the file read-only or the lock taken: a clear error, reads go on, and later all is well."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import pytest_asyncio

from notifier.model.delivery import DeliveryState
from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.store.migrate import check_current, migrate
from notifier.store.orders import retry_deliveries
from notifier.store.sqlite.lock import worker_lock
from notifier.store.store import Store, open_store
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from tests.integration.store.builders import (
    FULL,
    NOW,
    a_settlement,
    a_snapshot,
    an_event,
    an_observation,
    counts,
    pragma,
    run_to_its_end,
    write_lock_held,
    writing_connection,
)

ROOT = Path(__file__).parents[3]
LARGE = an_observation(an_event("evt_large", "growth", body=b"x" * 400_000), snapshots=(a_snapshot(9),))


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.store.sqlite.files.BUSY_TIMEOUT", 0.05)


# --- full ---


async def make_full(store: Store, full: bool = True) -> None:
    """SQLite's own limit on a file's size raises what a full disk does."""
    connection = writing_connection(store)
    limit = await pragma(connection, "page_count") if full else 1_000_000
    assert await pragma(connection, f"max_page_count={limit}") == limit


@pytest.mark.asyncio
async def test_a_full_disk_is_said_clearly_and_leaves_nothing_half_written(store: Store, database: Path) -> None:
    await store.watching.record(FULL)
    before = counts(database)
    await make_full(store)
    with pytest.raises(StoreUnavailable) as caught:
        await store.watching.record(LARGE)
    assert str(caught.value) == f"{database}: the disk is full (SQLITE_FULL)"
    assert counts(database) == before


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_on_a_full_disk_the_store_does_not_work_and_reads_go_on(store: Store) -> None:
    await store.watching.record(FULL)
    assert store.works
    await make_full(store)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.watching.record(LARGE)
        assert not store.works
        assert len(await store.delivering.pending("growth", 0, 9)) == 2
        assert (await store.delivering.message("evt_1")).event_id == "evt_1"
        assert await store.changes_from_outside()


@pytest.mark.asyncio
async def test_when_there_is_room_again_the_same_store_works_again(store: Store, database: Path) -> None:
    await store.watching.record(FULL)
    await make_full(store)
    with pytest.raises(StoreUnavailable):
        await store.watching.record(LARGE)
    await make_full(store, full=False)
    await store.watching.record(LARGE)
    assert store.works
    assert counts(database) == {"syncs": 1, "snapshots": 3, "events": 3, "deliveries": 5}


@pytest.mark.asyncio
async def test_all_who_shared_the_commit_hear_of_the_full_disk(store: Store, database: Path) -> None:
    await make_full(store)
    wishes = [
        asyncio.ensure_future(store.watching.record(LARGE)),
        asyncio.ensure_future(store.save_worker("1", NOW, NOW)),
    ]
    outcomes = await asyncio.gather(*wishes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
    assert counts(database)["events"] == 0


@pytest.mark.asyncio
async def test_a_full_disk_at_the_end_does_not_keep_the_store_open(database: Path) -> None:
    async with open_store(database) as store:
        await make_full(store)
        task = asyncio.create_task(store.watching.record(LARGE))
        await asyncio.sleep(0)
    assert isinstance(task.exception(), StoreUnavailable)


def unshare_works() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True)
    return tried.returncode == 0


NAMESPACES = unshare_works()


def in_a_namespace(mount: str, function: str, directory: Path) -> None:
    """Runs one of this module's functions in a process with a file system of its own on the directory."""
    code = f"from tests.integration.store import {Path(__file__).stem} as here; here.{function}({str(directory)!r})"
    script = f'mount {mount} none "$1" && exec "$2" -c "$3"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(directory), sys.executable, code]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ended.returncode == 0, ended.stderr


def fill_a_small_disk(directory: str) -> None:
    """Runs in a process of its own, on a real file system of 2 MB."""
    path, ballast = Path(directory) / "notifier.db", Path(directory) / "ballast"
    migrate(path)

    async def work() -> None:
        async with open_store(path) as store:
            await store.watching.record(FULL)
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            try:
                await store.watching.record(LARGE)
            except StoreUnavailable as error:
                assert "the disk is full (SQLITE_FULL)" in str(error), error  # noqa: PT017
            else:
                raise AssertionError("there was room")
            assert not store.works
            assert len(await store.delivering.pending("growth", 0, 9)) == 2
            with worker_lock(path):
                pass  # the PID can't be written; that is no reason not to work
            ballast.unlink()
            await store.watching.record(LARGE)
            assert store.works
            assert len(await store.delivering.pending("growth", 0, 9)) == 3

    asyncio.run(work())
    new = Path(directory) / "new.db"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    try:
        migrate(new)
    except DatabaseUnusable as error:
        assert str(new) in str(error)  # noqa: PT017
        assert "the disk is full" in str(error), error  # noqa: PT017
    else:
        raise AssertionError("there was room for a new database")
    ballast.unlink()
    assert migrate(new) is True


if NAMESPACES:  # elsewhere the limit above stands for it

    def test_a_really_full_disk_is_survived_by_the_same_store(tmp_path: Path) -> None:
        in_a_namespace("-t tmpfs -o size=2m", "fill_a_small_disk", tmp_path)


# --- locked ---


@pytest.mark.asyncio
async def test_a_lock_held_by_another_process_for_long_is_unavailable_and_then_fine(
    database: Path,
) -> None:
    async with open_store(database) as store:
        with write_lock_held(database):
            with pytest.raises(StoreUnavailable) as caught:
                await store.watching.record(FULL)
            assert str(caught.value) == f"{database}: another process holds the write lock (SQLITE_BUSY)"
            assert not store.works
            assert await store.delivering.count_pending() == 0  # reads go on
        await store.watching.record(FULL)
        assert store.works
        assert await store.delivering.count_pending() == 4


@pytest.mark.asyncio
async def test_the_transaction_that_met_the_lock_is_not_left_open(database: Path) -> None:
    async with open_store(database) as store:
        with write_lock_held(database), pytest.raises(StoreUnavailable):
            await store.watching.record(FULL)
        assert not writing_connection(store).in_transaction
        assert retry_deliveries(database, DeliveryFilter(), NOW, []).ids == ()  # another process gets its turn


def test_a_command_that_meets_the_lock_says_so(database: Path) -> None:
    with write_lock_held(database):
        with pytest.raises(DatabaseUnusable, match="another process holds the write lock"):
            retry_deliveries(database, DeliveryFilter(), NOW, [])
        assert read_deliveries(database, DeliveryFilter(), 9) == ()
        check_current(database)


def test_a_migration_that_meets_the_lock_says_so(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    path.touch()
    with write_lock_held(path), pytest.raises(DatabaseUnusable, match=r"notifier\.db: another process holds"):
        migrate(path)
    assert migrate(path) is True


# --- read-only ---


@pytest_asyncio.fixture
async def unwritable(store: Store) -> AsyncIterator[Store]:
    """SQLite refuses what this connection writes as it does where the file is read-only."""
    await store.watching.record(FULL)
    connection = writing_connection(store)
    await connection.execute("PRAGMA query_only=ON")
    yield store


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_a_file_that_can_not_be_written_is_said_clearly_and_can_be_read(unwritable: Store) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await unwritable.delivering.settle(a_settlement(1, DeliveryState.DELIVERED))
    assert str(caught.value) == f"{unwritable.place}: the file can't be written (SQLITE_READONLY)"
    assert not unwritable.works
    assert await unwritable.delivering.count_pending() == 4
    await writing_connection(unwritable).execute("PRAGMA query_only=OFF")
    await unwritable.delivering.settle(a_settlement(1, DeliveryState.DELIVERED))
    assert unwritable.works
    assert await unwritable.delivering.count_pending() == 3


def on_read_only_media(directory: str) -> None:
    """Runs in a process of its own, on a file system that it makes read-only."""
    path = Path(directory) / "notifier.db"
    migrate(path)
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    must_name_the_cause(path)
    new = Path(directory) / "new.db"
    must_name_the_cause(new)


def must_name_the_cause(path: Path) -> None:
    try:
        with worker_lock(path):
            migrate(path)
            raise AssertionError("it could be written")
    except DatabaseUnusable as error:
        assert str(path) in str(error), error  # noqa: PT017
        words = ("can't be written", "can't be opened", "Read-only file system", "Permission denied", "no database")
        assert any(word in str(error) for word in words), error  # noqa: PT017
    try:
        migrate(path)
    except DatabaseUnusable as error:
        assert str(path) in str(error), error  # noqa: PT017
    else:
        raise AssertionError("it could be migrated")


if NAMESPACES:  # elsewhere the refusing connection above and the permissions below stand for it

    def test_a_database_on_read_only_media_is_refused_with_the_cause(tmp_path: Path) -> None:
        in_a_namespace("-t tmpfs", "on_read_only_media", tmp_path)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that any user can reach; pytest's own are the owner's alone."""
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        directory.chmod(0o755)
        yield directory
        directory.chmod(0o755)


def without_permission(path: str) -> None:
    """Runs in a process of its own, as a user whom permissions bind."""
    # Else they are loaded later, from where nobody else may read.
    for module in ("sql.upgrade", *(f"sqlite.{each}" for each in ("database", "engine", "pulse", "seat", "thread"))):
        import_module(f"notifier.store.{module}")
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    must_name_the_cause(Path(path))


def test_a_directory_that_can_not_be_written_is_refused_with_the_cause(open_directory: Path) -> None:
    path = open_directory / "notifier.db"
    migrate(path)
    path.chmod(0o444)
    open_directory.chmod(0o555)
    assert run_to_its_end(without_permission, str(path)) == 0
    assert run_to_its_end(without_permission, str(open_directory / "new.db")) == 0


def test_a_file_that_can_not_be_read_is_refused_with_the_cause(open_directory: Path) -> None:
    path = open_directory / "notifier.db"
    migrate(path)
    path.chmod(0o000)
    open_directory.chmod(0o555)
    assert run_to_its_end(without_permission, str(path)) == 0
