"""A condition that lasts: what can be wrong, and why it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from notifier.model.check import Check as Check
from notifier.model.check import in_words as in_words
from notifier.model.identity import Id
from notifier.model.measure import Measure, sentence
from notifier.model.run import GoodRun, Result
from notifier.model.sync import Labels

CHECK_WORDS: Final[Mapping[Check, str]] = {
    Check.FAILING: "runs fail",
    Check.REJECTED_RECORDS: "records are rejected",
    Check.RECORD_COUNT: "unusual number of records",
    Check.SLOW_RUN: "a run takes long",
    Check.STALE: "no run completes",
    Check.UNREACHABLE: "the workspace can't be read",
    Check.UNREADABLE: "its runs can't be read",
}
"""What is wrong, for a person."""


class Reason(StrEnum):
    """Why an incident is over. Only `recovered` is announced."""

    RECOVERED = "recovered"
    CHECK_OFF = "check_off"
    UNWATCHED = "unwatched"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class CountedTo:
    """The newest result that an incident had seen when it ended: only what came after it counts for the next one."""

    run_id: Id | None
    created_at: datetime | None

    def has_seen(self, result: Result) -> bool:
        """Whether a result is that one, or was created before it. Of the same instant, the list's order decides."""
        if result.run_id == self.run_id:
            return True
        if result.created_at is None or self.created_at is None:
            return False
        return result.created_at < self.created_at or (self.run_id is None and result.created_at == self.created_at)


@dataclass(frozen=True, slots=True)
class Incident:
    """A condition of a sync, or of a workspace, that lasts. Times are the API's own, a workspace's are ours."""

    id: str
    workspace: str
    sync_id: Id | None
    """None: it is the workspace's."""
    check: Check
    opened_at: datetime
    labels: Labels = field(default_factory=dict)
    """Those of the sync when it was opened."""
    runs: int = 0
    """How many bad runs it has seen."""
    last_run_id: Id | None = None
    """The last of them."""
    likeness: str | None = None
    """What the error of that run was like."""
    last_good_run: GoodRun | None = None
    """The one before it was opened."""
    measure: Measure | None = None
    """What the check found, last; once it is over, what was wrong. A failure that is like the one before has none."""
    reminders: int = 0
    """How often it was told again."""
    reminded_at: datetime | None = None
    told: frozenset[str] = frozenset()
    """The receivers that got an event of it."""
    sync_label: str | None = None
    resolved_at: datetime | None = None
    """Open until then."""
    reason: Reason | None = None
    """Why it is over."""
    counted_to: CountedTo | None = None
    """The newest result that was known at the end."""
    wrong: str | None = None
    """What was wrong, in a line."""

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    @property
    def summary(self) -> str | None:
        """What the check found, in a sentence."""
        return sentence(self.measure) if self.measure is not None else None
