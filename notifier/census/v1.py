"""Version 1 of the Census API: an API key, which is that of one workspace. Census ends it on 15 January 2027.

Facts: developers.getcensus.com/api-reference. No I/O.
"""

from typing import ClassVar, Final

from notifier.census import wire
from notifier.census.version import paged, seal
from notifier.model.api_version import REMEDY, RETIRES_ON, ApiVersion
from notifier.model.errors import CensusError, NotFound, Unauthorized, Unusable, status_in_words
from notifier.model.identity import Id, in_path
from notifier.model.run import SyncRun
from notifier.watchlist.models import Workspace

ENDS: Final = f"version 1 of the API ends on {RETIRES_ON[ApiVersion.V1]}; {REMEDY}"
OR: Final = "; or else check its region or base_url"


class V1:
    """Version 1, asked with an API key."""

    NAME: ClassVar = ApiVersion.V1

    def __init__(self, base_url: str, api_key: str, *, is_spare: bool = False) -> None:
        """`is_spare`: the workspace has a token too, and uses that."""
        self.base_url = base_url
        self.source = f"{base_url} key {seal(api_key)}"
        self.authorization = f"Bearer {api_key}"
        self._ends = ENDS.partition(";")[0] if is_spare else ENDS + OR

    @classmethod
    def of(cls, settings: Workspace, base_url: str) -> "V1 | None":
        """As a workspace's settings have it; None where they have no API key."""
        if settings.api_key is None:
            return None
        return cls(base_url, settings.api_key.get_secret_value(), is_spare=settings.token is not None)

    def syncs_path(self, *, page: int, per_page: int) -> str:
        return f"/syncs?{paged(page, per_page)}&order=asc"

    def runs_path(self, sync_id: Id, *, page: int, per_page: int) -> str:
        return f"/syncs/{in_path(sync_id)}/sync_runs?{paged(page, per_page)}&order=desc"

    def run_path(self, run_id: Id) -> str:
        return f"/sync_runs/{in_path(run_id)}"

    def syncs_page(self, body: bytes, page: int) -> wire.SyncsPage:
        return wire.syncs_page(body, page)

    def runs_page(self, body: bytes, sync_id: Id, page: int = 1) -> wire.RunsPage:
        return wire.runs_page(body, sync_id, page, self.NAME)

    def one_run(self, body: bytes) -> SyncRun:
        return wire.one_run(body, self.NAME)

    def error_of(self, status: int, path: str) -> CensusError | None:
        """What a version that has ended answers is not published: not found, gone, or a redirect are expected."""
        match error := wire.error_of(status):
            case Unauthorized():
                return Unauthorized(status, f"{error}: the API key is wrong or lacks access", credential="api_key")
            case NotFound() if path.startswith("/syncs?"):
                return NotFound(f"{error}: {self._ends}")
            case Unusable() if 300 <= status < 400:
                return Unusable(f"{status_in_words(status)}: redirects are not followed; {self._ends}")
        return error
