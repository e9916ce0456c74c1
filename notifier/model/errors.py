"""Every error of ours: one class for each decision of the caller.

NotifierError
├── WatchlistError          edit the watchlist: all its problems, one a line            (exit code 2)
├── CensusError             the Census API did not give what was asked
│   ├── Unauthorized        401, 403: someone must mend the key; tried again soon, then every 5 minutes
│   ├── Throttled           429: the whole workspace waits as long as it says
│   ├── Unreachable         no answer, or a 5xx: back off, try again
│   ├── Unusable            an answer that can't be understood: back off, try again
│   └── NotFound            404, 410: this one object is gone; the others go on
├── ProxyUnusable           the environment's proxy is no HTTP proxy: stop              (exit code 1)
├── AddressUnusable         the server can't listen where it should: stop               (exit code 1)
├── OutputUnwritable        standard output takes nothing more: stop                    (exit code 1)
├── ReaderGone              who read the output has seen enough: stop                   (exit code 0)
└── StoreError
    ├── StoreUnavailable    full or locked for now: nothing was written, try again
    │   └── SeatLost        another worker does the work now: nothing was written; what was done for it ends
    ├── DatabaseUnusable    wrong file, wrong version, not writable: stop               (exit code 1)
    │   └── AnothersVersion it is from an older or a newer one: a worker may stand by until it is not
    └── AlreadyRunning      another worker holds the database's lock: stop              (exit code 1)
"""

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus


def status_in_words(status: int) -> str:
    """HTTP 404 Not Found."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP {status} {phrase}".strip()


class NotifierError(Exception):
    """The root; its text is fit for the user's eyes and holds no secret."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a watchlist. Lines and columns count from 1."""

    line: int
    column: int
    path: str
    message: str
    file: str = "watchlist.yaml"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.path}: " if self.path else "") + self.message


class WatchlistError(NotifierError):
    """The watchlist can't be used as it is; carries every problem found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CensusError(NotifierError):
    """The Census API did not give what was asked."""


class Unauthorized(CensusError):
    """401 or 403, as `status` says. `credential`: the key of the watchlist that was refused."""

    def __init__(self, status: int, message: str, *, credential: str = "api_key") -> None:
        self.status = status
        self.credential = credential
        super().__init__(message)


class NotFound(CensusError):
    """404 or 410: the object is not, or no longer, in the key's workspace."""


class Throttled(CensusError):
    """429: no request of this workspace for `retry_after`."""

    def __init__(self, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(f"too many requests, asked to wait {retry_after.total_seconds():g} s")


class Unreachable(CensusError):
    """No connection, a time-out, or a 5xx."""

    asks_to_wait = False
    """Whether it came with a Retry-After that is obeyed: no request of the workspace is made until then."""


class Unusable(CensusError):
    """An answer that is not what the API documents: not JSON, another shape, too large, a redirect."""


class ProxyUnusable(NotifierError):
    """HTTPS_PROXY or HTTP_PROXY can't be used; says which, and not what it is."""


class AddressUnusable(NotifierError):
    """The server's address is taken, or not this machine's."""


class OutputUnwritable(NotifierError):
    """Standard output takes nothing more: a full disk, say."""


class ReaderGone(NotifierError):
    """The reader of standard output has seen enough, as `head` has. No BrokenPipeError, for which libraries would end
    the process."""


class StoreError(NotifierError):
    """The database did not do what was asked."""


class StoreUnavailable(StoreError):
    """For now: the disk is full, or another process holds the write lock. Nothing of the transaction was written."""


class SeatLost(StoreUnavailable):
    """The work is not this worker's any more: another has taken it, or may have."""


class DatabaseUnusable(StoreError):
    """For good: not a database, damaged, from a newer version, not writable."""


class AnothersVersion(DatabaseUnusable):
    """The database's schema is an older or a newer version's; carries the remedy."""


class AlreadyRunning(StoreError):
    """Another worker has the database. `replica`: its name, where several may share one, but not with this command."""

    def __init__(self, path: str, pid: int | None, replica: str | None = None) -> None:
        self.pid = pid
        who = f"the worker with PID {pid}" if pid else "another worker"
        rule = "one worker a database"
        if replica is not None:
            who, rule = f"the replica {replica}", "a round by itself wants to be alone"
        super().__init__(f"{path} is in use by {who}; {rule}")


def first_of(group: BaseExceptionGroup[BaseException], kind: type[StoreError]) -> StoreError | None:
    """The first error of a kind in a group, or in a group within it."""
    for error in group.exceptions:
        found = first_of(error, kind) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, kind):
            return found
    return None
