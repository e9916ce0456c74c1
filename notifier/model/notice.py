"""What one of Census' lifecycle webhooks says."""

from dataclasses import dataclass

from notifier.model.event import CensusAlert
from notifier.model.identity import Id


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened to this sync."""

    sync_id: Id
    alert: CensusAlert | None = None
