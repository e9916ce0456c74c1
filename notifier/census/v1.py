"""Version 1 of the Census API: an API key, which is that of one workspace. Census ends it on 15 January 2027.

Facts: developers.getcensus.com/api-reference. No I/O.
"""

from typing import ClassVar, Final

from notifier.census import wire
from notifier.census.version import Version
from notifier.model.api_version import REMEDY, RETIRES_ON, ApiVersion
from notifier.model.errors import CensusError, NotFound, Unauthorized, Unusable, status_in_words
from notifier.watchlist.models import Workspace

END: Final = f"version 1 of the API ends on {RETIRES_ON[ApiVersion.V1]}"
ENDS: Final = f"{END}; {REMEDY}"
OR: Final = "; or else check its region or base_url"


class V1(Version):
    """Version 1, asked with an API key."""

    NAME: ClassVar = ApiVersion.V1

    def __init__(self, base_url: str, api_key: str, *, is_spare: bool = False) -> None:
        """`is_spare`: the workspace has a token too, and uses that."""
        super().__init__(base_url, api_key)
        self._ends = END if is_spare else ENDS + OR

    @classmethod
    def of(cls, settings: Workspace, base_url: str) -> "V1 | None":
        """As a workspace's settings have it; None where they have no API key."""
        if settings.api_key is None:
            return None
        return cls(base_url, settings.api_key.get_secret_value(), is_spare=settings.token is not None)

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
