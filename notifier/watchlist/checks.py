"""The watchlist's `checks`: what lasts long enough to be told as an incident, for all watches and for single ones.

A check that is left out takes its setting from above it; `false` turns one off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, TypeVar

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator

from notifier.watchlist.durations import not_below_first
from notifier.watchlist.part import Part
from notifier.watchlist.scalars import as_number
from notifier.watchlist.values import Count, Duration, FewRuns, Percent, Rate, SeveralRuns


class Failing(Part):
    """Runs of a sync fail."""

    runs: FewRuns = 1
    """How many of the last `of` runs that completed or failed must have failed."""
    of: FewRuns | None = None
    """How many runs are looked at; as many as `runs` unless given."""
    recovered_after: FewRuns = 1
    """How many runs in a row must complete before the sync has recovered."""

    @field_validator("of", mode="after")
    @classmethod
    def _not_below_runs(cls, of: int | None, others: ValidationInfo) -> int | None:
        if of is not None and of < others.data.get("runs", 0):
            raise ValueError("must not be less than runs")
        return of

    @property
    def window(self) -> int:
        """How many runs are looked at."""
        return max(self.of or self.runs, self.runs)


class RejectedRecords(Part):
    """A run completes, and many of its records were rejected or invalid."""

    percent: Percent = 75.0
    """The share of a run's records, those sent and those invalid, that must be rejected or invalid."""
    at_least: Count = 1
    """How many records that must be."""


class RecordCount(Part):
    """A run sends many more, or many fewer, records than the runs before it."""

    deviation_percent: Rate = 50.0
    """How far from the mean of the last runs is too far."""
    of_last: SeveralRuns = 10
    """How many completed runs make the mean; three are the least."""


class SlowRun(Part):
    """A run takes too long."""

    after: Duration
    """How long a run may take."""


class Stale(Part):
    """A sync that should run has not completed a run for too long."""

    after: Duration
    """How long the last completed run may be ago."""


class UnreachableSettings(Part):
    """The workspace's API does not answer, or refuses the key."""

    model_config = ConfigDict(title="Unreachable")

    after: Duration = Field(default=timedelta(minutes=5), json_schema_extra={"default": "5m"})
    """How long the API may give no usable answer."""


class Unreadable(Part):
    """A sync's runs, or one run that is followed, can't be read, while the workspace's API answers."""

    after: Duration = Field(default=timedelta(minutes=30), json_schema_extra={"default": "30m"})
    """For how long they could not be read."""


FIRST_REMINDER: Final = timedelta(hours=24)


class Reminders(Part):
    """How often an incident that stays open is told again; each pause is twice as long as the one before."""

    first: Duration = Field(default=FIRST_REMINDER, json_schema_extra={"default": "24h"})
    """How long after its opening."""
    longest: Duration = Field(default=timedelta(days=7), validate_default=True, json_schema_extra={"default": "7d"})
    """The longest pause."""

    @field_validator("longest", mode="after")
    @classmethod
    def _not_before_the_first(cls, longest: timedelta, others: ValidationInfo) -> timedelta:
        return not_below_first(longest, others.data.get("first"), "first", FIRST_REMINDER)


def _on_or_off(value: object) -> str | None:
    if value is False:
        return "off"
    return "on" if isinstance(value, dict | Part) else None


_Check = TypeVar("_Check", bound=Part)
Switched: TypeAlias = Annotated[
    Annotated[Literal[False], Tag("off")] | Annotated[_Check, Tag("on")],
    Discriminator(
        _on_or_off, custom_error_type="check_kind", custom_error_message="must be a mapping with its settings, or false"
    ),
    BeforeValidator(as_number),
]


class WatchChecks(Part):
    """The checks of one watch; what is left out is as the watchlist's `checks` say."""

    failing: Switched[Failing] | None = None
    """Runs fail; on unless false."""
    rejected_records: Switched[RejectedRecords] | None = None
    """A run completed, but many records were rejected or invalid; on unless false."""
    record_count: Switched[RecordCount] | None = None
    """A run sent many more or fewer records than usual; off unless given."""
    slow_run: Switched[SlowRun] | None = None
    """A run takes too long; off unless given."""
    stale: Switched[Stale] | None = None
    """No run has completed for too long; off unless given."""
    unreadable: Switched[Unreadable] | None = None
    """The sync's runs, or one of them, can't be read while the workspace answers; on unless false."""
    reminders: Switched[Reminders] | None = None
    """An incident that stays open is told again; on unless false."""


class Checks(WatchChecks):
    """The checks of every watch, and of its workspace."""

    unreachable: Switched[UnreachableSettings] | None = None
    """The workspace's API does not answer, or refuses the key; on unless false."""


SETTINGS: Final[Mapping[str, type[Part]]] = {
    "failing": Failing,
    "rejected_records": RejectedRecords,
    "record_count": RecordCount,
    "slow_run": SlowRun,
    "stale": Stale,
    "unreachable": UnreachableSettings,
    "unreadable": Unreadable,
    "reminders": Reminders,
}
"""The settings of each key of `checks`."""


@dataclass(frozen=True, slots=True)
class ChecksInForce:
    """What holds for one sync or workspace; None is off."""

    failing: Failing | None = None
    rejected_records: RejectedRecords | None = None
    record_count: RecordCount | None = None
    slow_run: SlowRun | None = None
    stale: Stale | None = None
    unreachable: UnreachableSettings | None = None
    unreadable: Unreadable | None = None
    reminders: Reminders | None = None

    @classmethod
    def of(cls, given: Checks | None, watches: Iterable[WatchChecks | None] = ()) -> Self:
        """The watchlist's checks, merged key by key with those of a sync's watches, later ones winning."""
        layers = [_DEFAULTS, given, *watches]
        merged: dict[str, Any] = {name: _merged(getattr(layer, name, None) for layer in layers) for name in SETTINGS}
        return cls(**merged)


_DEFAULTS: Final = Checks(
    failing=Failing(),
    rejected_records=RejectedRecords(),
    unreachable=UnreachableSettings(),
    unreadable=Unreadable(),
    reminders=Reminders(),
)
NO_CHECKS: Final = ChecksInForce()


def _merged(layers: Iterable[Part | Literal[False] | None]) -> Part | None:
    merged: Part | None = None
    for layer in layers:
        if layer is False:
            merged = None
        elif layer is not None:
            given = {name: getattr(layer, name) for name in layer.model_fields_set}
            merged = layer if merged is None else merged.model_copy(update=given)
    return merged
