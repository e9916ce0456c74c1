"""What a version of the Census API is to the rest: paths, authentication, and how its answers become our values.

A version is one module beside this one; `notifier.census.versions` knows which there are. No I/O.
"""

import hashlib
from typing import ClassVar, Protocol

from notifier.census import wire
from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError
from notifier.model.identity import Id
from notifier.model.run import SyncRun


class Version(Protocol):
    """One version of the API, with what a workspace of the watchlist says of it."""

    NAME: ClassVar[ApiVersion]
    base_url: str
    """The API's root, without a slash at its end."""
    authorization: str
    """The header of that name: a secret."""
    source: str
    """What its lists are of: an address, and a group or, where none is named, whose key it is. Two that differ may show
    two workspaces."""

    def syncs_path(self, *, page: int, per_page: int) -> str:
        """One page of the workspace's syncs, oldest first so that new ones do not shift pages."""
        ...

    def runs_path(self, sync_id: Id, *, page: int, per_page: int) -> str:
        """One page of a sync's runs, newest first."""
        ...

    def run_path(self, run_id: Id) -> str:
        """One run."""
        ...

    def syncs_page(self, body: bytes, page: int) -> wire.SyncsPage:
        """Reads a page of syncs. Raises Unusable."""
        ...

    def runs_page(self, body: bytes, sync_id: Id, page: int = 1) -> wire.RunsPage:
        """Reads a page of a sync's runs. Raises Unusable where there is no list, or one that can't be read."""
        ...

    def one_run(self, body: bytes) -> SyncRun:
        """Reads a run. Raises Unusable."""
        ...

    def error_of(self, status: int, path: str) -> CensusError | None:
        """The error that a status means, None for 2xx. 429 is the client's: it needs a header."""
        ...


def seal(key: str) -> str:
    """Tells a key from another one, and not which it is: this is kept in the database."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def paged(page: int, per_page: int) -> str:
    """What asks for a page of a list, in the query."""
    return f"page={page}&per_page={per_page}"
