"""A condition that lasts: what can be wrong, and why it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from notifier.model.run import (
    GoodRun,
    Result,
)
from notifier.model.sync import Labels


class Check(StrEnum):
    """What can be wrong with a sync, or with a workspace, for longer. The order is that of weight."""

    FAILING = "failing"
    REJECTED_RECORDS = "rejected_records"
    RECORD_COUNT = "record_count"
    SLOW_RUN = "slow_run"
    STALE = "stale"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"


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


def in_words(name: str) -> str:
    """The name of a check or a reason, for a person: rejected records."""
    return name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class CountedTo:
    """The newest result that an incident has seen which is over: what came after it counts for the next."""

    run_id: int | None
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
    """A condition of a sync, or of a workspace (`sync_id` is None), that lasts; open until `resolved_at`.

    Times are in the API's own time, a workspace's in ours. `runs`: how many bad runs it has seen, `last_run_id`: the
    last of them, `likeness`: what its error was like, `wrong`: what was wrong, in a line. `counted_to`: the newest
    result that was known at the end. `told`: the receivers that got an event of it. `labels`: those of the sync when it
    was opened.
    """

    id: str
    workspace: str
    sync_id: int | None
    check: Check
    opened_at: datetime
    labels: Labels = field(default_factory=dict)
    runs: int = 0
    last_run_id: int | None = None
    likeness: str | None = None
    last_good_run: GoodRun | None = None
    summary: str | None = None
    reminders: int = 0
    reminded_at: datetime | None = None
    told: frozenset[str] = frozenset()
    sync_label: str | None = None
    resolved_at: datetime | None = None
    reason: Reason | None = None
    counted_to: CountedTo | None = None
    wrong: str | None = None

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None
