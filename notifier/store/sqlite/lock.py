"""One worker a database: an flock on a file beside it, which holds the worker's PID.

flock(2) ends with the process, however it ends; the file stays, because removing it would race with a newcomer.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from notifier.model.errors import AlreadyRunning, DatabaseUnusable
from notifier.store.sqlite.files import check_file

ATTEMPTS = 10
PAUSE = 0.05  # seconds; `status` takes the lock for an instant to see whether it is free


def lock_path(database: Path) -> Path:
    """The lock's file, beside the database itself: a symbolic link to it is no second database."""
    real = Path(os.path.realpath(database))
    return real.with_name(real.name + ".lock")


@contextmanager
def worker_lock(database: Path) -> Iterator[None]:
    """Holds the worker's lock. Raises AlreadyRunning with the holder's PID, DatabaseUnusable where no file can be."""
    check_file(database, may_create=True)
    path = lock_path(database)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseUnusable(f"can't lock {database}: {path}: {error.strerror}") from error
    try:
        _acquire(descriptor, database)
        _close_to_others(database)
        _open_to_readers(descriptor, database)
        with suppress(OSError):  # a full disk: the lock holds all the same, only its PID can't be named
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _close_to_others(database: Path) -> None:
    """Takes from other users of this machine what an earlier version, or SQLite by itself, gave them: who may read the
    index of the WAL, or open the lock, can hold it. So did the group get its rights, unless it alone has them: then
    someone wanted that, and they stay."""
    real = Path(os.path.realpath(database))
    for path in (lock_path(database), *(real.with_name(real.name + suffix) for suffix in ("", "-wal", "-shm"))):
        with suppress(OSError):  # it is not there yet, or another's: then it is not ours to say
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & stat.S_IRWXO:
                path.chmod(mode & stat.S_IRWXU)


def _open_to_readers(descriptor: int, database: Path) -> None:
    """The group that may read the database may see whether a worker runs, which needs the lock. SQLite gives its other
    companions the database's mode by itself; nor does it give them another group (the systemd unit allows no chown)."""
    with suppress(OSError):  # there is no database yet
        wanted, ours = database.stat(), os.fstat(descriptor)
        if wanted.st_gid == ours.st_gid:
            os.fchmod(descriptor, stat.S_IMODE(ours.st_mode) | wanted.st_mode & stat.S_IRGRP)


def _acquire(descriptor: int, database: Path) -> None:
    for attempt in range(ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if attempt == ATTEMPTS - 1:
                raise AlreadyRunning(str(database), _holder(descriptor)) from None
            time.sleep(PAUSE)
        else:
            return


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def is_held(database: Path) -> bool:
    """Whether a worker runs on the database now. Never waits. Raises DatabaseUnusable to who may not look."""
    path = lock_path(database)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise DatabaseUnusable(f"can't see whether a worker runs: {path}: {error.strerror}") from error
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
