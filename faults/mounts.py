"""A small disk of a row's own: a tmpfs in a mount namespace, which ends with the row's processes and touches nobody."""

import ctypes
import os
from pathlib import Path

from faults.row import must

NEW_NAMESPACE, NEW_USER = 0x00020000, 0x10000000  # linux/sched.h
READ_ONLY, REMOUNT, RECURSIVE, PRIVATE = 0x1, 0x20, 0x4000, 0x40000  # linux/mount.h
DETACH = 0x2
_libc = ctypes.CDLL(None, use_errno=True)


def leave_the_others_mounts() -> None:
    """Before any thread is started. Without root a user namespace has to allow it."""
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", NEW_NAMESPACE | (NEW_USER if uid else 0))
    if uid:
        for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{name}").write_text(line)
    _call("mount", None, b"/", None, RECURSIVE | PRIVATE, None)


class SmallDisk:
    """A tmpfs over a directory, of so many bytes."""

    def __init__(self, place: Path, size: int) -> None:
        self.place = place
        self._size = size
        place.mkdir()
        self._mount(0)

    def fill(self, leave: int) -> None:
        """Takes all space but so many bytes."""
        ballast = self.place / "ballast"
        ballast.unlink(missing_ok=True)
        free = os.statvfs(self.place)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_bsize - leave, 1))

    def free(self) -> None:
        """Gives it back."""
        (self.place / "ballast").unlink()

    def set_read_only(self, on: bool) -> None:
        """Only while nobody has a file of it open for writing."""
        self._mount(REMOUNT | (READ_ONLY if on else 0))

    def detach(self) -> None:
        """Takes it away; before the directory can go."""
        _call("umount2", os.fsencode(self.place), DETACH)

    def _mount(self, flags: int) -> None:
        _call("mount", b"faults", os.fsencode(self.place), b"tmpfs", flags, f"size={self._size}".encode())


def _call(name: str, *arguments: object) -> None:
    result = getattr(_libc, name)(*arguments)
    must(result == 0, f"{name}: {os.strerror(ctypes.get_errno())}; this row needs root or user namespaces")
