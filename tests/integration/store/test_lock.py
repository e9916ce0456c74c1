"""One worker a database: the lock beside it, in real processes."""

import fcntl
import os
import signal
import stat
import subprocess
from contextlib import AbstractContextManager, ExitStack
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from notifier.model.errors import AlreadyRunning, DatabaseUnusable
from notifier.store.sqlite.lock import is_held, lock_path, worker_lock
from tests.integration.store.builders import exit_code, meanwhile, run_to_its_end


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notifier.db"


def hold(path: str, pipe: Any) -> None:
    """Runs in a process of its own."""
    with worker_lock(Path(path)):
        pipe.send("held")
        pipe.poll(60)


def a_holder(path: Path) -> AbstractContextManager[BaseProcess]:
    """Another process that holds the lock meanwhile."""
    return meanwhile(hold, str(path))


def test_others_of_this_machine_can_neither_open_the_lock_nor_what_an_earlier_version_left_open(path: Path) -> None:
    kept = {path: 0o664, path.with_name("notifier.db-wal"): 0o644, path.with_name("notifier.db-shm"): 0o660}
    for file, mode in kept.items():
        file.touch()
        file.chmod(mode)
    with worker_lock(path):
        modes = [stat.S_IMODE(file.stat().st_mode) for file in (*kept, lock_path(path))]
    assert modes == [0o600, 0o600, 0o660, 0o600]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_group_that_may_read_the_database_may_see_whether_a_worker_runs(path: Path, mode: int) -> None:
    path.touch(mode)
    with worker_lock(path):
        assert stat.S_IMODE(lock_path(path).stat().st_mode) == mode


def test_a_second_worker_is_told_the_pid_of_the_first(path: Path) -> None:
    with a_holder(path) as first:
        with pytest.raises(AlreadyRunning) as caught, worker_lock(path):
            pytest.fail("two workers")
        assert caught.value.pid == first.pid
        assert str(caught.value) == f"{path} is in use by the worker with PID {first.pid}; one worker a database"


def test_a_refused_worker_leaves_the_first_its_lock_and_its_pid(path: Path) -> None:
    with a_holder(path) as first:
        for _ in range(2):
            with pytest.raises(AlreadyRunning), worker_lock(path):
                pytest.fail("two workers")
        assert lock_path(path).read_text() == f"{first.pid}\n"


def test_a_second_worker_in_the_same_process_is_refused_too(path: Path) -> None:
    with worker_lock(path), pytest.raises(AlreadyRunning) as caught, worker_lock(path):
        pytest.fail("two workers")
    assert caught.value.pid == os.getpid()


def test_the_lock_ends_with_its_block_whatever_happened_inside(path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), worker_lock(path):
        raise ValueError("inside")
    assert not is_held(path)
    with worker_lock(path):
        assert is_held(path)


def test_the_lock_ends_when_its_holder_is_killed(path: Path) -> None:
    with a_holder(path) as first:
        assert is_held(path)
        first.kill()
        first.join(60)
        assert first.exitcode == -signal.SIGKILL
        assert not is_held(path)
        with worker_lock(path):
            assert lock_path(path).read_text() == f"{os.getpid()}\n"


def test_a_child_of_the_worker_does_not_inherit_the_lock(path: Path) -> None:
    with worker_lock(path):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        assert child.poll() is None
        assert not is_held(path)
    finally:
        child.communicate()


def test_a_shorter_pid_leaves_nothing_of_a_longer_one(path: Path) -> None:
    lock_path(path).write_text("99999999999999\n")
    with worker_lock(path):
        assert lock_path(path).read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", [b"", b"not a number", b"\xff\xfe", b"-5\n", b"\n"])
def test_a_holder_whose_pid_can_not_be_read_is_another_worker(path: Path, content: bytes) -> None:
    with a_holder(path):
        lock_path(path).write_bytes(content)
        with pytest.raises(AlreadyRunning, match="in use by another worker") as caught, worker_lock(path):
            pytest.fail("two workers")
        assert caught.value.pid is None


# --- looking ---


def test_looking_says_whether_a_worker_runs(path: Path) -> None:
    assert not is_held(path)
    with a_holder(path):
        assert is_held(path)
    assert not is_held(path)


def test_looking_creates_nothing(path: Path) -> None:
    assert not is_held(path)
    assert not is_held(path.parent / "missing" / "notifier.db")
    assert list(path.parent.iterdir()) == []


def test_looking_takes_nothing_from_a_holder(path: Path) -> None:
    with a_holder(path) as first:
        for _ in range(50):
            assert is_held(path)
        with pytest.raises(AlreadyRunning) as caught, worker_lock(path):
            pytest.fail("two workers")
        assert caught.value.pid == first.pid


def look_from_outside(path: str) -> None:
    """Runs in a process of its own, as a user who may not open the lock."""
    if os.geteuid() == 0:
        os.seteuid(65_534)
    with pytest.raises(DatabaseUnusable, match=r"can't see whether a worker runs: .*: Permission denied"):
        is_held(Path(path))


def test_who_may_not_look_is_told_so_and_not_that_no_worker_runs(path: Path) -> None:
    with a_holder(path):
        lock_path(path).chmod(0)
        assert run_to_its_end(look_from_outside, str(path)) == 0


def look_all_the_time(path: str, pipe: Any) -> None:
    """Runs in a process of its own."""
    is_held(Path(path))
    pipe.send("looking")
    while not pipe.poll():
        is_held(Path(path))


def test_a_worker_starts_while_others_look(path: Path) -> None:
    lock_path(path).touch()
    with meanwhile(look_all_the_time, str(path)) as one, meanwhile(look_all_the_time, str(path)) as other:
        for _ in range(20):
            with worker_lock(path):
                assert is_held(path)
    assert [exit_code(one), exit_code(other)] == [0, 0]


def test_a_worker_that_meets_someone_looking_tries_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is made to last until the worker pauses for it."""
    with ExitStack() as stack:
        look = stack.enter_context(lock_path(path).open("w"))
        fcntl.flock(look, fcntl.LOCK_SH)
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            look.close()

        monkeypatch.setattr("notifier.store.sqlite.lock.time.sleep", pause)
        with worker_lock(path):
            assert is_held(path)
    assert len(pauses) == 1


# --- where no lock can be ---


def test_a_missing_directory_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "notifier.db"
    with pytest.raises(DatabaseUnusable) as caught, worker_lock(path):
        pytest.fail("locked")
    assert f"{path}: the directory {path.parent} does not exist; create it or change `database`" in str(caught.value)


def test_a_directory_in_the_place_of_the_lock_is_an_error_that_names_both(path: Path) -> None:
    lock_path(path).mkdir()
    with pytest.raises(DatabaseUnusable) as caught, worker_lock(path):
        pytest.fail("locked")
    assert str(caught.value) == f"can't lock {path}: {lock_path(path)}: Is a directory"


def test_the_lock_is_found_by_every_name_of_the_database(path: Path, tmp_path: Path) -> None:
    """SQLite follows symbolic links: two names are one database, and one worker."""
    path.touch()
    other = tmp_path / "elsewhere"
    other.mkdir()
    link = other / "link.db"
    link.symlink_to(path)
    with a_holder(path) as first:
        assert is_held(link)
        with pytest.raises(AlreadyRunning) as caught, worker_lock(link):
            pytest.fail("two workers")
        assert caught.value.pid == first.pid


def hold_relative(directory: str, name: str) -> None:
    os.chdir(directory)
    with worker_lock(Path(name)):
        pass


def test_the_lock_is_found_by_a_relative_path(path: Path) -> None:
    with a_holder(path):
        assert run_to_its_end(hold_relative, str(path.parent), path.name) == 1
    assert run_to_its_end(hold_relative, str(path.parent), path.name) == 0
