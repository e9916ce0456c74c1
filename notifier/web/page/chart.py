"""A sync's last runs as bars, and as words. Pure.

A bar's height is how long its run took, against the longest that is shown. What became of it can be told without
colour: a completed run is a full bar, a failed one has a cross under it, a canceled one is hollow, a skipped one a dash
on the ground, one that goes on is dashed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from notifier.model.foreign import error_line
from notifier.model.run import CANCELED_STATUSES, RUNNING_STATUSES
from notifier.model.times import counted, spoken
from notifier.store.views.runs import RunSummary
from notifier.web.render import disarmed

STEP: Final = 9  # of the drawing's units, from one bar to the next
WIDTH: Final = 7
GROUND: Final = 32  # where bars stand; beneath it is room for a cross
LEAST: Final = 3
LONGEST_WORDS: Final = 400
LONGEST_BAR_ERROR: Final = 140  # characters


class RunOutcome(StrEnum):
    """What became of a run."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    RUNNING = "running"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Bar:
    """One run."""

    run: RunSummary
    outcome: RunOutcome
    took: timedelta | None
    path: str
    """Its shape, as SVG's path data."""
    words: str
    """All that is known of it, in a line."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A sync's runs, oldest first."""

    bars: Sequence[Bar]
    words: str
    """All of it in a line."""
    room: int
    """For how many bars there is space."""

    @property
    def drawn(self) -> Sequence[tuple[str, str, str]]:
        """Each bar as the template draws it; at once, because the sandbox looks at every attribute it is asked for."""
        return [(bar.outcome.value, bar.path, disarmed(bar.words, LONGEST_WORDS)) for bar in self.bars]


def chart_of(runs: Sequence[RunSummary], room: int, now: datetime) -> Chart:
    """`room`: for how many bars there is space; the newest run is always at the right end."""
    took = [took_of(run, now) for run in runs]
    longest = max((length for length in took if length), default=timedelta(seconds=1))
    bars = []
    for place, (run, length) in enumerate(zip(runs, took, strict=True), start=room - len(runs)):
        share = length / longest if length else 0.0
        outcome = run_outcome(run)
        bars.append(Bar(run, outcome, length, _shape(outcome, place * STEP, share), words_of(run, outcome, length)))
    return Chart(bars, _summary(bars), room)


def run_outcome(run: RunSummary) -> RunOutcome:
    """An unknown status is none of the known outcomes."""
    if run.canceled or run.status in CANCELED_STATUSES:
        return RunOutcome.CANCELED
    match run.status:
        case "completed":
            return RunOutcome.COMPLETED
        case "failed":
            return RunOutcome.FAILED
        case "skipped":
            return RunOutcome.SKIPPED
        case status if status in RUNNING_STATUSES:
            return RunOutcome.RUNNING
        case _:
            return RunOutcome.OTHER


def took_of(run: RunSummary, now: datetime) -> timedelta | None:
    """How long it took, or goes on; None where that can't be told, and where nothing was done."""
    if run_outcome(run) is RunOutcome.SKIPPED:
        return None
    going_on = run_outcome(run) in (RunOutcome.RUNNING, RunOutcome.OTHER)
    ended = run.completed_at or (now if going_on else run.updated_at)
    if run.created_at is None or ended is None or ended < run.created_at:
        return None
    return ended - run.created_at


def words_of(run: RunSummary, outcome: RunOutcome, took: timedelta | None) -> str:
    """One run in a line."""
    status = run.status or "without a status" if outcome is RunOutcome.OTHER else outcome.value
    parts = [f"Run {run.id} {status}"]
    if run.created_at is not None:
        parts.append(f"{run.created_at:%d %b %H:%M} UTC")
    if took is not None:
        parts.append(f"{'for' if outcome is RunOutcome.RUNNING else 'took'} {spoken(took)}")
    if run.records_sent is not None:
        parts.append(counted(run.records_sent, "record"))
    if error := error_line(run.error_code, run.error_message, most=LONGEST_BAR_ERROR):
        parts.append(error)
    return " · ".join(parts)


def _summary(bars: Sequence[Bar]) -> str:
    if not bars:
        return "no runs yet"
    counts = Counter(bar.outcome for bar in bars)
    each = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in RunOutcome if counts[outcome])
    return f"last {len(bars)} runs: {each}. Newest: {bars[-1].words}" if len(bars) > 1 else bars[0].words


def _shape(outcome: RunOutcome, left: int, share: float) -> str:
    height = max(LEAST, round(share * (GROUND - 2)))
    top = GROUND - height
    match outcome:
        case RunOutcome.SKIPPED:
            return f"M{left} {GROUND - 2}h{WIDTH}v2h-{WIDTH}z"
        case RunOutcome.CANCELED | RunOutcome.RUNNING | RunOutcome.OTHER:  # drawn by their outline, half a unit inside
            return f"M{left}.5 {top}.5h{WIDTH - 1}v{max(height - 1, 1)}h-{WIDTH - 1}z"
        case RunOutcome.FAILED:
            return f"M{left} {top}h{WIDTH}V{GROUND}h-{WIDTH}zM{left + 1} {GROUND + 3}l5 5m0-5l-5 5"
        case RunOutcome.COMPLETED:
            return f"M{left} {top}h{WIDTH}V{GROUND}h-{WIDTH}z"
