"""Version 2 of the Census API: a personal access token, and Fivetran's groups in place of workspaces.

What of it is the vendor's word and what is assumed stands in notifier/simulator/census-openapi-v2.yaml. No I/O.
"""

from typing import ClassVar
from urllib.parse import quote

from notifier.census import wire
from notifier.census.version import paged, seal
from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError, NotFound, Unauthorized
from notifier.model.identity import Id, in_path
from notifier.model.run import SyncRun
from notifier.watchlist.models import Workspace


class V2:
    """Version 2, asked with a token for the syncs of one group, or for all that the token's owner sees."""

    NAME: ClassVar = ApiVersion.V2

    def __init__(self, base_url: str, token: str, group: str | None = None) -> None:
        self.base_url = base_url
        self.source = f"{base_url} key {seal(token)}" if group is None else f"{base_url} group {group}"
        self.authorization = f"Bearer {token}"
        self._group = group
        self._of_group = f"&group_id={quote(group, safe='')}" if group is not None else ""

    @classmethod
    def of(cls, settings: Workspace, base_url: str) -> "V2 | None":
        """As a workspace's settings have it; None where they have no token."""
        return cls(base_url, settings.token.get_secret_value(), settings.group) if settings.token is not None else None

    def syncs_path(self, *, page: int, per_page: int) -> str:
        return f"/syncs?{paged(page, per_page)}&order=asc{self._of_group}"

    def runs_path(self, sync_id: Id, *, page: int, per_page: int) -> str:
        return f"/syncs/{in_path(sync_id)}/sync_runs?{paged(page, per_page)}&order=desc{self._of_group}"

    def run_path(self, run_id: Id) -> str:
        return f"/sync_runs/{in_path(run_id)}"

    def syncs_page(self, body: bytes, page: int) -> wire.SyncsPage:
        """Without the syncs that say that they are of another group: an API may not heed what it is asked for."""
        return wire.syncs_page(body, page, group=self._group)

    def runs_page(self, body: bytes, sync_id: Id, page: int = 1) -> wire.RunsPage:
        return wire.runs_page(body, sync_id, page, self.NAME)

    def one_run(self, body: bytes) -> SyncRun:
        return wire.one_run(body, self.NAME)

    def error_of(self, status: int, path: str) -> CensusError | None:
        match error := wire.error_of(status):
            case Unauthorized():
                why = "the token is wrong or lacks access: a personal access token ends with its owner's access"
                return Unauthorized(status, f"{error}: {why}", credential="token")
            case NotFound() if path.startswith("/syncs?"):
                asked = "region, base_url or group" if self._group is not None else "region or base_url"
                return NotFound(f"{error}: check the workspace's {asked}, and whether its token is one of version 2")
        return error
