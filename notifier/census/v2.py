"""Version 2 of the Census API: a personal access token, and Fivetran's groups in place of workspaces.

What of it is the vendor's word and what is assumed stands in notifier/simulator/census-openapi-v2.yaml. No I/O.
"""

from typing import ClassVar
from urllib.parse import quote

from notifier.census import wire
from notifier.census.version import Version
from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError, NotFound, Unauthorized
from notifier.model.identity import Id
from notifier.watchlist.models import Workspace


class V2(Version):
    """Version 2, asked with a token for the syncs of one group, or for all that the token's owner sees."""

    NAME: ClassVar = ApiVersion.V2

    @classmethod
    def of(cls, settings: Workspace, base_url: str) -> "V2 | None":
        """As a workspace's settings have it; None where they have no token."""
        return cls(base_url, settings.token.get_secret_value(), settings.group) if settings.token is not None else None

    def syncs_path(self, *, page: int, per_page: int) -> str:
        return super().syncs_path(page=page, per_page=per_page) + self._of_group

    def runs_path(self, sync_id: Id, *, page: int, per_page: int) -> str:
        return super().runs_path(sync_id, page=page, per_page=per_page) + self._of_group

    @property
    def _of_group(self) -> str:
        """What goes with each request for a list."""
        return f"&group_id={quote(self.group, safe='')}" if self.group is not None else ""

    def error_of(self, status: int, path: str) -> CensusError | None:
        match error := wire.error_of(status):
            case Unauthorized():
                why = "the token is wrong or lacks access: a personal access token ends with its owner's access"
                return Unauthorized(status, f"{error}: {why}", credential="token")
            case NotFound() if path.startswith("/syncs?"):
                asked = "region, base_url or group" if self.group is not None else "region or base_url"
                return NotFound(f"{error}: check the workspace's {asked}, and whether its token is one of version 2")
        return error
