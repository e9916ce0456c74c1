"""Which versions of the Census API a workspace can be asked by, and where each is."""

from collections.abc import Iterator, Mapping
from typing import Final

from notifier.census.v1 import V1
from notifier.census.v2 import V2
from notifier.census.version import Version
from notifier.model.api_version import ApiVersion
from notifier.watchlist.models import Workspace

VERSIONS: Final[Mapping[ApiVersion, type[V1 | V2]]] = {version.NAME: version for version in (V2, V1)}


def versions_of(settings: Workspace) -> tuple[Version, ...]:
    """The version in use, and then the others that the workspace has a key for."""
    return tuple(_versions(settings))


def version_of(settings: Workspace) -> Version:
    """The version in use."""
    return next(_versions(settings))


def _versions(settings: Workspace) -> Iterator[Version]:
    for name in sorted(VERSIONS, key=lambda name: name is not settings.api):
        version = VERSIONS[name].of(settings, _address(settings, name))
        if version is not None:
            yield version


def _address(settings: Workspace, name: ApiVersion) -> str:
    """Where a version is: `base_url` is that of the version in use, and the others' differ by their name in it."""
    if settings.base_url is None:
        return f"{settings.app_url}/api/{name}"
    parts = settings.base_url.rstrip("/").split("/")
    exchanged = {settings.api.value: name.value, name.value: settings.api.value}
    return "/".join(exchanged.get(part, part) for part in parts)
