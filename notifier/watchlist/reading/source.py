"""The watchlist as a file that may change: what it says now, and whether it says something else than before.

The content is looked at, not the file's dates or its inode: editors and mounts rename, and a mounted secret is a link
that is led elsewhere.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.interpolation import LARGEST_FILE as LARGEST_SECRET
from notifier.watchlist.reading.interpolation import files_named
from notifier.watchlist.reading.load import load_watchlist
from notifier.watchlist.reading.text import LARGEST_FILE

UNREADABLE: Final = b"unreadable"


class WatchlistFile:
    """A watchlist's path, and the environment that its `${NAME}` and `${NAME_FILE}` are looked up in."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self.path = path
        self._env = env
        self.fingerprint = b""
        """Of the content that was loaded last, whether or not it was good."""

    def load(self) -> Watchlist:
        """Reads and checks it. Raises WatchlistError."""
        self.fingerprint = self.look()  # first: what changes meanwhile is another content, and is loaded again
        return load_watchlist(self.path, self._env)

    def look(self) -> bytes:
        """A digest of all that a load would read: of the file, and of the files that `NAME_FILE`s name."""
        content = _content(self.path, LARGEST_FILE)
        digest = hashlib.sha256(content)
        for file in self._secret_files(content):
            digest.update(hashlib.sha256(_content(file, LARGEST_SECRET)).digest())
        return digest.digest()

    def _secret_files(self, content: bytes) -> Iterator[Path]:
        for name in files_named(content.decode("utf-8", "replace"), self._env):
            yield Path(name)


def _content(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(most + 1)
    except (OSError, ValueError):  # what is wrong with it is for a load to say
        return UNREADABLE
