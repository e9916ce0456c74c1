"""Which parts of the work there are by a watchlist, and by what workers tell one watchlist from another. Pure."""

import hashlib
import json
from typing import Final

from notifier.model.part import UPKEEP, workspace_part
from notifier.watchlist.models import Watchlist

OWN: Final = {"database", "server"}
"""What each worker may have otherwise than the others."""


def receivers_of(watchlist: Watchlist) -> dict[str, tuple[str, ...]]:
    """The parts that deliver, each with the names of its receivers."""
    found: dict[str, tuple[str, ...]] = {}
    for name, settings in watchlist.receivers.items():
        part = settings.paced_with or f"{settings.type}:{name}"
        found[part] = (*found.get(part, ()), name)
    return found


def parts_of(watchlist: Watchlist) -> tuple[str, ...]:
    """All parts, in the order in which one worker takes them up."""
    return (UPKEEP, *receivers_of(watchlist), *map(workspace_part, watchlist.workspaces))


def fingerprint(watchlist: Watchlist) -> str:
    """Differs where what workers share does. Secrets are masked: a token that was renewed is no difference, and no hash
    of one is kept."""
    shared = watchlist.model_dump(mode="json", exclude=OWN)
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()
