"""The names of what can be wrong. Apart from the incidents themselves: who only counts them needs no more."""

from enum import StrEnum


class Check(StrEnum):
    """What can be wrong with a sync, or with a workspace, for longer. The order is that of weight."""

    FAILING = "failing"
    REJECTED_RECORDS = "rejected_records"
    RECORD_COUNT = "record_count"
    SLOW_RUN = "slow_run"
    STALE = "stale"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"


def in_words(name: str) -> str:
    """The name of a check or a reason, for a person: rejected records."""
    return name.replace("_", " ")
