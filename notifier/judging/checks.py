"""When an incident opens, changes, is told again and ends. Pure: of a sync's results, its open incidents and the time.

A result is a run that completed (and was not canceled) or failed. Skipped and canceled runs count neither way. Results
are in the order in which their runs were created. All times are the API's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import takewhile
from typing import Final

from notifier.judging.likeness import likeness, wrong_with
from notifier.model.event import EventType
from notifier.model.identity import Id
from notifier.model.incident import Check, CountedTo, Incident, Reason
from notifier.model.measure import AnotherError, Counted, Lost, Measure, Running, Said, Standstill, sentence
from notifier.model.run import GoodRun, Records, Result, SyncRun
from notifier.model.sync import Standing
from notifier.watchlist.checks import ChecksInForce, Failing, RecordCount, RejectedRecords, Reminders

FEWEST_FOR_MEAN: Final = 3


NONE_OPEN: Final[Mapping[Check, Incident]] = {}  # one for all: there are as many as syncs


@dataclass(frozen=True, slots=True)
class SyncState:
    """What the checks remember of one sync."""

    open: Mapping[Check, Incident] = field(default_factory=lambda: NONE_OPEN)
    """Its open incidents."""
    failing_from: CountedTo | None = None
    """Results up to that one belong to a failure that is over."""
    last_good: GoodRun | None = None
    """The newest run that completed."""
    standing: Standing = field(default_factory=Standing)
    """Whether it is paused, and what else its listing says."""

    def with_incident(self, incident: Incident) -> "SyncState":
        """The state after an incident took a step."""
        others = {check: other for check, other in self.open.items() if check is not incident.check}
        if incident.is_open:
            return replace(self, open={**others, incident.check: incident})
        moved = incident.counted_to if incident.check is Check.FAILING else None
        return replace(self, open=others, failing_from=moved or self.failing_from)


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to an incident."""

    type: EventType
    incident: Incident
    """As it is after that."""
    run: SyncRun | None = None
    """The run that brought it about; None where time did."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a result means, or that time has passed."""

    steps: tuple[Step, ...] = ()
    outlier: bool = False
    """Whether the run sent an unusual number of records."""
    new_level_from: datetime | None = None
    """From the run on that was created then, such a number of records is the usual one."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What each new incident is given: whose it is, and when that was."""

    workspace: str
    sync_id: Id | None
    sync_label: str | None
    labels: Mapping[str, str]
    now: datetime
    new_id: Callable[[], str]

    def opened(
        self,
        check: Check,
        *,
        run: SyncRun | None = None,
        run_id: Id | None = None,
        runs: int = 0,
        measure: Measure | None = None,
        last_good: GoodRun | None = None,
    ) -> Step:
        """The beginning. `measure`: what the check found; of a failure, the run says it."""
        incident = Incident(
            id=self.new_id(),
            workspace=self.workspace,
            sync_id=self.sync_id,
            sync_label=self.sync_label,
            labels=self.labels,
            check=check,
            opened_at=self.now,
            runs=runs,
            last_run_id=run.id if run is not None else run_id,
            likeness=likeness(run.watched) if run is not None else None,
            last_good_run=last_good,
            measure=measure,
            wrong=sentence(measure) if measure is not None else wrong_with(run),
        )
        return Step(EventType.INCIDENT_OPENED, incident, run)

    def resolved(
        self, incident: Incident, reason: Reason, run: SyncRun | None = None, newest: Result | None = None
    ) -> Step:
        """The end, which still says what was wrong. It is never before the beginning, whatever the API's clock did.
        `newest`: the newest result that is known."""
        ended = max(self.now, incident.opened_at)
        counted_to = CountedTo(newest.run_id, newest.created_at) if newest is not None else None
        over = replace(
            incident, resolved_at=ended, reason=reason, counted_to=counted_to, measure=_what_was_wrong(incident)
        )
        return Step(EventType.INCIDENT_RESOLVED, over, run)


def _what_was_wrong(incident: Incident) -> Measure | None:
    """Of a failure, what its last run said; of all else, what was found last."""
    if incident.check is Check.FAILING:
        return Said(incident.wrong) if incident.wrong is not None else None
    return incident.measure


# --- what a run brings about ---


def after_result(
    state: SyncState, checks: ChecksInForce, run: SyncRun, results: Sequence[Result], scene: Scene
) -> Judged:
    """What a new result means. `results`: all that are known, newest first, the new one among them."""
    steps: list[Step] = []
    if checks.failing is not None:
        steps += _failing(checks.failing, state, run, results, scene)
    counted = Judged()
    if run.watched.status == "completed":
        counted = after_counts(state, checks, run, results, scene)
        steps += counted.steps
        if (stale := state.open.get(Check.STALE)) is not None:
            steps.append(scene.resolved(stale, Reason.RECOVERED, run))
    return replace(counted, steps=tuple(steps)) if steps else counted


def after_counts(
    state: SyncState, checks: ChecksInForce, run: SyncRun, results: Sequence[Result], scene: Scene
) -> Judged:
    """What the records of a completed run mean; Census may count them only after its end. `results`: as `after_result`.

    A run that ends late, after one that was created later, changes nothing: that one has said how things are now.
    """
    steps: list[Step] = []
    younger = [result for result in takewhile(lambda result: result.run_id != run.id, results) if result.completed]
    if checks.rejected_records is not None and not any(result.records_sent for result in younger):
        steps += _rejected(checks.rejected_records, state, run, scene)
    counted = Judged()
    if checks.record_count is not None and all(result.records_sent is None for result in younger):
        counted = _record_count(checks.record_count, state, run, results, scene)
    return replace(counted, steps=(*steps, *counted.steps)) if steps else counted


def _failing(
    settings: Failing, state: SyncState, run: SyncRun, results: Sequence[Result], scene: Scene
) -> Iterator[Step]:
    incident = state.open.get(Check.FAILING)
    if run.watched.status != "failed":
        latest = results[: settings.recovered_after]
        recovered = len(latest) == settings.recovered_after and all(result.completed for result in latest)
        if incident is not None and recovered:
            yield scene.resolved(incident, Reason.RECOVERED, run, latest[0])
        return
    if incident is not None:
        yield from _another(incident, run, AnotherError() if likeness(run.watched) != incident.likeness else None)
        return
    seen = state.failing_from

    def is_new(result: Result) -> bool:
        """The run itself is, also where it had completed before, and an incident ended with that."""
        return seen is None or result.run_id == run.id or not seen.has_seen(result)

    counted = list(takewhile(is_new, results))[: settings.window]
    failed = sum(not result.completed for result in counted)
    if failed >= settings.runs:
        yield scene.opened(Check.FAILING, run=run, runs=failed, last_good=state.last_good)


def _another(incident: Incident, run: SyncRun, measure: Measure | None) -> Iterator[Step]:
    """Another bad run, or another error. The same run that ended once more, with a like error, is neither."""
    like = likeness(run.watched)
    if run.id == incident.last_run_id and like == incident.likeness:
        return
    more = incident.runs + (run.id != incident.last_run_id)
    changed = replace(incident, runs=more, last_run_id=run.id, likeness=like, measure=measure)
    wrong = (wrong_with(run) if incident.check is Check.FAILING else changed.summary) or incident.wrong
    yield Step(EventType.INCIDENT_CHANGED, replace(changed, wrong=wrong), run)


def after_error(state: SyncState, run: SyncRun) -> tuple[Step, ...]:
    """What it means that the error fields of a failed run changed: nothing, while the error is like it was."""
    incident = state.open.get(Check.FAILING)
    if incident is None or incident.last_run_id != run.id:
        return ()
    return tuple(_another(incident, run, AnotherError()))


def _rejected(settings: RejectedRecords, state: SyncState, run: SyncRun, scene: Scene) -> Iterator[Step]:
    incident = state.open.get(Check.REJECTED_RECORDS)
    bad, of = lost_records(run.records)
    if bad >= settings.at_least and bad * 100 >= _exactly(settings.percent) * of:
        if incident is None:
            yield scene.opened(
                Check.REJECTED_RECORDS, run=run, runs=1, measure=Lost(bad, of), last_good=state.last_good
            )
        else:
            yield from _another(incident, run, Lost(bad, of))
    elif incident is not None and run.records.sent:
        yield scene.resolved(incident, Reason.RECOVERED, run)


def lost_records(records: Records) -> tuple[int, int]:
    """How many records were rejected or invalid, and how many there were, those sent and those invalid."""
    bad = (records.rejected or 0) + (records.invalid or 0)
    return bad, max((records.sent or 0) + (records.invalid or 0), bad)


def _record_count(
    settings: RecordCount, state: SyncState, run: SyncRun, results: Sequence[Result], scene: Scene
) -> Judged:
    """Compares with the runs before that sent a usual number. Once three in a row were unusual, and this one is as
    they were, that is the new level."""
    incident, sent = state.open.get(Check.RECORD_COUNT), run.records.sent
    newer = takewhile(lambda result: result.run_id != run.id, results)
    before = [r for r in results[len(list(newer)) + 1 :] if r.completed and r.records_sent is not None]
    if sent is None:
        return Judged()
    mean = _mean([result for result in before if not result.outlier], settings.of_last)
    if mean is not None and not _is_far(sent, mean, settings):
        return Judged((scene.resolved(incident, Reason.RECOVERED, run),) if incident else ())
    if incident is None and mean is None:
        return Judged()
    unusual = list(takewhile(lambda result: result.outlier, before)) if incident else []
    level = _mean(unusual, settings.of_last)
    if incident is not None and level is not None and not _is_far(sent, level, settings):
        return Judged((scene.resolved(incident, Reason.RECOVERED, run),), new_level_from=unusual[-1].created_at)
    if mean is None:
        return Judged(outlier=True)
    found = Counted(sent, round(mean))
    if incident is not None:
        return Judged(tuple(_another(incident, run, found)), outlier=True)
    step = scene.opened(Check.RECORD_COUNT, run=run, runs=1, measure=found, last_good=state.last_good)
    return Judged((step,), outlier=True)


def _mean(results: Sequence[Result], most: int) -> Fraction | None:
    counts = [result.records_sent for result in results[:most] if result.records_sent is not None]
    return Fraction(sum(counts), len(counts)) if len(counts) >= FEWEST_FOR_MEAN else None


def _is_far(sent: int, mean: Fraction, settings: RecordCount) -> bool:
    return abs(sent - mean) * 100 > _exactly(settings.deviation_percent) * mean


def _exactly(percent: float) -> Fraction:
    """A percentage as the watchlist has it: 1.1 is eleven tenths, which no float is."""
    return Fraction(str(percent))


def after_end(state: SyncState, run_id: Id, run: SyncRun | None, reason: Reason, scene: Scene) -> tuple[Step, ...]:
    """What it means that a run ended, or (without `run`) is no longer followed: its `slow_run` incident is over."""
    incident = state.open.get(Check.SLOW_RUN)
    if incident is None or incident.last_run_id != run_id:
        return ()
    return (scene.resolved(incident, reason, run),)


# --- what time brings about ---


def is_slow(checks: ChecksInForce, state: SyncState, created_at: datetime | None, now: datetime) -> bool:
    """Whether a run that has not ended opens an incident."""
    settings = checks.slow_run
    return (
        settings is not None
        and created_at is not None
        and Check.SLOW_RUN not in state.open
        and not state.standing.paused
        and now - created_at >= settings.after
    )


def slow(after: timedelta, state: SyncState, run: SyncRun, scene: Scene) -> Step:
    """Opens the incident of a run that `is_slow`."""
    return scene.opened(Check.SLOW_RUN, run=run, runs=1, measure=Running(after), last_good=state.last_good)


def stale(checks: ChecksInForce, state: SyncState, scene: Scene) -> tuple[Step, ...]:
    """Opens an incident where no run of the sync has completed for too long."""
    settings, standing = checks.stale, state.standing
    rests = standing.paused or standing.scheduled is False
    since = good_since(state)
    if settings is None or rests or since is None or Check.STALE in state.open or scene.now - since < settings.after:
        return ()
    return (scene.opened(Check.STALE, measure=Standstill(settings.after), last_good=state.last_good),)


def good_since(state: SyncState) -> datetime | None:
    """The time from which `stale` counts; None while nothing is known to count from."""
    good = state.last_good.completed_at if state.last_good is not None else None
    return max((time for time in (good, state.standing.stale_from) if time is not None), default=None)


def reminders(settings: Reminders | None, incidents: Iterable[Incident], now: datetime) -> tuple[Step, ...]:
    """The open incidents that are due to be told again: after `first`, then after pauses that double."""
    if settings is None:
        return ()
    due = (incident for incident in incidents if _reminder_is_due(settings, incident, now))
    return tuple(Step(EventType.INCIDENT_REMINDER, _reminded(incident, now)) for incident in due)


def _reminded(incident: Incident, now: datetime) -> Incident:
    measure = incident.measure if incident.measure != AnotherError() else None  # that was news once
    return replace(incident, reminders=incident.reminders + 1, reminded_at=now, measure=measure)


def _reminder_is_due(settings: Reminders, incident: Incident, now: datetime) -> bool:
    times = 2**incident.reminders  # compared first: the product may be more than a timedelta holds
    pause = settings.first * times if times < settings.longest / settings.first else settings.longest
    last = incident.reminded_at or incident.opened_at
    return now - last >= pause


def ended_by(
    state: SyncState, checks: Iterable[Check], reason: Reason, scene: Scene, newest: Result | None = None
) -> tuple[Step, ...]:
    """Ends a sync's open incidents of these checks, though nothing recovered. `newest`: its newest result."""
    open_ones = (state.open[check] for check in checks if check in state.open)
    return tuple(scene.resolved(incident, reason, newest=newest) for incident in open_ones)
