"""What the server knows of the worker: as questions, so that it needs to know none of its parts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from notifier.model.sync import Sync
from notifier.watching.target import SyncTarget
from notifier.watchlist.models import Workspace


class Hearing(Protocol):
    """What takes one workspace's signed webhooks."""

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        """Whether Census sent it."""

    async def take(self, body: bytes) -> None:
        """Raises StoreUnavailable where it can't be kept now."""


class Exposed(Protocol):
    """What Prometheus is told."""

    def token_refused(self) -> None:
        """Somebody gave a wrong token."""

    async def refresh(self) -> None:
        """Reads what is only read when asked for."""

    def exposition(self) -> tuple[bytes, str]:
        """The text and its content type; may be made in another thread."""
        ...


@dataclass(frozen=True, slots=True)
class Insight:
    """`ailment`, `not_ready` and `not_in_force` say why, or None where all is well.

    `listed` gives each workspace's syncs as Census last listed them, and whether each is watched; `watched` the watched
    ones as the worker holds them. `hearings`: by workspace, only those with a secret.
    """

    database: Path
    workspaces: Mapping[str, Workspace]
    receivers: tuple[str, ...]
    ailment: Callable[[], str | None]
    not_ready: Callable[[], str | None]
    not_in_force: Callable[[], str | None]
    """What is wrong with the newest watchlist: one line for each mistake, none with a secret."""
    listed: Callable[[], Iterable[tuple[str, Sync, bool]]]
    watched: Callable[[], Iterable[tuple[str, SyncTarget]]]
    hearings: Mapping[str, Hearing]
    metrics: Exposed
