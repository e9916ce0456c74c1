"""Scenarios: what happens in the simulated workspace, and when. Built in Python, or from YAML by `scenario_file`.

Steps speak of syncs, runs and faults by names of their own; the IDs come from the simulator.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from notifier.simulator.census import CensusSimulator
from notifier.simulator.defaults import Id
from notifier.simulator.faults import Fault, FaultHandle

Names = dict[str, Id]
"""The ID that the simulator gave to each name of a sync or run."""


class ScenarioError(ValueError):
    """A scenario that can not be played; says every reason, a line each."""


@dataclass(frozen=True, slots=True)
class AddSync:
    """A sync appears."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdateSync:
    """Fields of a sync change."""

    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoveSync:
    """A sync vanishes with its runs."""

    name: str


@dataclass(frozen=True, slots=True)
class AddRun:
    """A run appears; `ago`: created so long before the step; `lasted`: and ended so long after that."""

    name: str
    sync: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    ago: timedelta | None = None
    lasted: timedelta | None = None


@dataclass(frozen=True, slots=True)
class UpdateRun:
    """Fields of a run change."""

    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoveRun:
    """A run vanishes."""

    name: str


@dataclass(frozen=True, slots=True)
class HangFault:
    """A fault is hung up."""

    name: str
    fault: Fault
    path: str = "*"
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Clear:
    """A fault is taken away."""

    name: str


Action = AddSync | UpdateSync | RemoveSync | AddRun | UpdateRun | RemoveRun | HangFault | Clear


@dataclass(frozen=True, slots=True)
class Step:
    """An action so many seconds after the start. `where` is its place in a file, for errors."""

    at: float
    action: Action
    where: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps in the order of their time; of one second, in the order given. Raises ScenarioError for dangling names."""

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(sorted(self.steps, key=lambda step: step.at)))
        known: dict[str, str] = {}
        problems = []
        for number, step in enumerate(self.steps, start=1):
            problem = _problem(step, known)
            if problem:
                problems.append(f"{step.where or f'{self.name}: step {number}'} (at {step.at:g} s): {problem}")
        if problems:
            raise ScenarioError("\n".join(problems))

    @property
    def length(self) -> float:
        """Seconds from the start to the last step."""
        return self.steps[-1].at if self.steps else 0.0


async def play(
    simulator: CensusSimulator,
    scenario: Scenario,
    *,
    speed: float = 1.0,
    on_step: Callable[[Step, Names], None] | None = None,
    curtain: asyncio.Event | None = None,
) -> Names:
    """Plays the scenario to its end, `speed` times as fast as written; `on_step` sees each step after it was done.

    The steps of second 0 are done before the first wait, so that a server started afterwards never shows less. Time
    begins to run then, or when the `curtain` rises: when whoever is to see the rest has taken a seat.
    Raises ScenarioError when the simulator refuses a step, for example an ID that is taken.
    """
    if speed <= 0:
        raise ValueError(f"speed must be positive, not {speed:g}")
    stage = _Stage(simulator)
    clock = asyncio.get_running_loop()
    start = None
    for step in scenario.steps:
        if step.at > 0:
            if start is None:
                await (curtain.wait() if curtain is not None else asyncio.sleep(0))
                start = clock.time()
            await asyncio.sleep(max(start + step.at / speed - clock.time(), 0))
        try:
            stage.perform(step.action)
        except (ValueError, LookupError) as error:
            raise ScenarioError(f"{step.where or scenario.name} (at {step.at:g} s): {error}") from error
        if on_step is not None:
            on_step(step, stage.ids)
    return stage.ids


@dataclass(slots=True)
class _Stage:
    """A scenario being played: the simulator, and what the names stand for."""

    simulator: CensusSimulator
    ids: Names = field(default_factory=dict)
    faults: dict[str, FaultHandle] = field(default_factory=dict)

    def perform(self, action: Action) -> None:
        match action:
            case AddSync(name, fields):
                self.ids[name] = self.simulator.add_sync(**fields)["id"]
            case UpdateSync(name, fields):
                self.simulator.update_sync(self.ids[name], **fields)
            case RemoveSync(name):
                self.simulator.remove_sync(self.ids[name])
            case AddRun(name, sync, fields, ago, lasted):
                moments = _moments(ago, lasted)
                self.ids[name] = self.simulator.add_run(self.ids[sync], **(moments | dict(fields)))["id"]
            case UpdateRun(name, fields):
                self.simulator.update_run(self.ids[name], **fields)
            case RemoveRun(name):
                self.simulator.remove_run(self.ids[name])
            case HangFault(name, fault, path, times):
                self.faults[name] = self.simulator.fault(fault, path=path, times=times)
            case Clear(name):
                self.faults[name].clear()
            case unknown:
                assert_never(unknown)


def _moments(ago: timedelta | None, lasted: timedelta | None) -> dict[str, Any]:
    created = datetime.now(UTC) - (ago or timedelta())
    moments: dict[str, Any] = {} if ago is None else {"created_at": created, "updated_at": created}
    if lasted is not None:
        moments |= {"updated_at": created + lasted, "completed_at": created + lasted}
    return moments


def _problem(step: Step, known: dict[str, str]) -> str | None:
    """What is wrong with a step, given the names known so far and what they stand for; notes the new ones."""
    action = step.action
    if not 0 <= step.at < float("inf"):
        return "a step's time is 0 or later"
    match action:
        case AddSync(name):
            return _declare(known, name, "sync")
        case AddRun(name, sync):
            return _refer(known, sync, "sync") or _declare(known, name, "run")
        case HangFault(name):
            return _declare(known, name, "fault")
        case UpdateSync(name):
            return _refer(known, name, "sync")
        case UpdateRun(name):
            return _refer(known, name, "run")
        case RemoveSync(name):
            return _refer(known, name, "sync", gone=True)
        case RemoveRun(name):
            return _refer(known, name, "run", gone=True)
        case Clear(name):
            return _refer(known, name, "fault")
        case unknown:
            assert_never(unknown)


def _declare(known: dict[str, str], name: str, kind: str) -> str | None:
    if name in known:
        return f'the name "{name}" is taken'
    known[name] = kind
    return None


def _refer(known: dict[str, str], name: str, kind: str, *, gone: bool = False) -> str | None:
    found = known.get(name)
    if found != kind:
        return f'there is no {kind} "{name}" by then' if found is None else f'"{name}" is a {found}, not a {kind}'
    if gone:
        known[name] = f"removed {kind}"
    return None
