"""A watchlist's file as text."""

from pathlib import Path
from typing import Final

from notifier.model.errors import Problem, WatchlistError

LARGEST_FILE: Final = 10_000_000


def read_text(path: Path, file: str, *, whole: bool = True) -> str:
    """The file's text, where not `whole` whatever of it is UTF-8. Raises WatchlistError, which calls it `file`."""

    def unreadable(reason: str, line: int = 1, column: int = 1) -> WatchlistError:
        return WatchlistError((Problem(line, column, "", reason, file),))

    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise unreadable("there is no such file; name the watchlist with --config") from None
    except IsADirectoryError:
        raise unreadable("is a directory, not a watchlist") from None
    except OSError as error:
        raise unreadable(f"can't be read: {error.strerror or 'unknown reason'}") from None
    except ValueError:
        raise unreadable("is not a file name") from None
    if len(content) > LARGEST_FILE:
        raise unreadable(f"is larger than {LARGEST_FILE // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig", "strict" if whole else "replace")
    except UnicodeDecodeError as error:
        good = content[: error.start].decode("utf-8-sig")
        raise unreadable("not UTF-8 text", good.count("\n") + 1, len(good) - good.rfind("\n")) from None
