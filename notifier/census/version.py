"""What a version of the Census API is to the rest: address, authentication, paths, and how answers become our values.

A version is one module beside this one, and says in it what is not as here; `notifier.census.versions` knows which
there are. No I/O.
"""

import hashlib
from typing import ClassVar

from notifier.census import wire
from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError
from notifier.model.identity import Id, in_path
from notifier.model.run import SyncRun


class Version:
    """A version of the API, with what a workspace of the watchlist says of it."""

    NAME: ClassVar[ApiVersion]

    def __init__(self, base_url: str, key: str, group: str | None = None) -> None:
        self.base_url = base_url
        """The API's root, without a slash at its end."""
        self.authorization = f"Bearer {key}"
        """The header of that name: a secret."""
        self.group = group
        """Whose syncs are asked for; None: all that the key shows."""
        self.source = f"{base_url} key {seal(key)}" if group is None else f"{base_url} group {group}"
        """What its lists are of: an address, and a group or, where none is named, whose key it is. Two that differ may
        show two workspaces."""

    def syncs_path(self, *, page: int, per_page: int) -> str:
        """One page of the workspace's syncs, oldest first so that new ones do not shift pages."""
        return f"/syncs?page={page}&per_page={per_page}&order=asc"

    def runs_path(self, sync_id: Id, *, page: int, per_page: int) -> str:
        """One page of a sync's runs, newest first."""
        return f"/syncs/{in_path(sync_id)}/sync_runs?page={page}&per_page={per_page}&order=desc"

    def run_path(self, run_id: Id) -> str:
        """One run."""
        return f"/sync_runs/{in_path(run_id)}"

    def syncs_page(self, body: bytes, page: int) -> wire.SyncsPage:
        """Reads a page of syncs, without those that say that they are of another group: an API may not heed which one
        it is asked for. Raises Unusable."""
        return wire.syncs_page(body, page, group=self.group)

    def runs_page(self, body: bytes, sync_id: Id, page: int = 1) -> wire.RunsPage:
        """Reads a page of a sync's runs. Raises Unusable where there is no list, or one that can't be read."""
        return wire.runs_page(body, sync_id, page, self.NAME)

    def one_run(self, body: bytes) -> SyncRun:
        """Reads a run. Raises Unusable."""
        return wire.one_run(body, self.NAME)

    def error_of(self, status: int, path: str) -> CensusError | None:
        """The error that a status means, None for 2xx. 429 is the client's: it needs a header."""
        raise NotImplementedError


def seal(key: str) -> str:
    """Tells a key from another one, and not which it is: this is kept in the database."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]
