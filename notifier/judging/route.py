"""Which receivers get an event, and how. Pure; decided when the event is recorded, never again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from notifier.model.event import Addressee, EventType
from notifier.model.identity import Id, id_of
from notifier.model.incident import Check, Incident
from notifier.model.sync import Labels
from notifier.watchlist.models import Route
from notifier.watchlist.receivers import ReceiverSettings


@dataclass(frozen=True, slots=True)
class Subject:
    """What a route's conditions look at."""

    type: EventType
    workspace: str
    sync_id: Id | None
    """None: it is the workspace's own event."""
    sync_label: str | None
    labels: Labels
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """A receiver of the watchlist, as far as routing cares."""

    name: str
    selective: bool = False
    """Whether it shows one message for what was seen at once; others get every event."""
    living: bool = False
    """Whether it has one message for each incident or run, which later events change."""
    mentions: tuple[str, ...] = ()
    mention_on: tuple[str, ...] = ()
    """The events on which they are mentioned: names, or globs."""


def readers_of(receivers: Mapping[str, ReceiverSettings]) -> tuple[Reader, ...]:
    """The receivers of a watchlist, in its order."""
    return tuple(_reader(name, settings) for name, settings in receivers.items())


def _reader(name: str, settings: ReceiverSettings) -> Reader:
    mentions, mention_on = settings.calls
    return Reader(name, selective=settings.selective, living=settings.living, mentions=mentions, mention_on=mention_on)


@dataclass(frozen=True, slots=True)
class Finding:
    """One event of what was seen at once."""

    subject: Subject
    incidents: tuple[Incident, ...] = ()
    """The incident whose event it is; of a run's event, those that were open meanwhile."""
    run_story: str | None = None
    """The story of its run by itself."""

    @property
    def of_incident(self) -> bool:
        """Whether it is an incident's own event."""
        return self.subject.check is not None

    @property
    def weight(self) -> int:
        """What a selective receiver shows first: failing, other incidents, a full sync, the run."""
        if self.subject.check is not None:
            return _weight(self.subject.check)
        return len(_CHECKS) + (self.subject.type is not EventType.FULL_SYNC)

    def is_told_to(self, reader: str) -> bool:
        """Whether it is of an incident that the reader was told of."""
        return self.of_incident and any(reader in incident.told for incident in self.incidents)


_CHECKS: Final = tuple(Check)


def _weight(check: Check) -> int:
    return _CHECKS.index(check)


def addressed(
    findings: Sequence[Finding], routes: Sequence[Route] | None, readers: Iterable[Reader]
) -> tuple[tuple[Addressee, ...], ...]:
    """Who gets each event of what was seen at once: those to whom a route leads; and of an incident also those who were
    told of it, wherever the routes lead by now."""
    chosen: list[list[Addressee]] = [[] for _ in findings]
    taken = [_Taken.of(finding.subject, routes) for finding in findings]
    for reader in readers:
        loud = [p for p, finding in enumerate(findings) if _is_told(finding, reader, routes, taken[p])]
        shown = [min(loud, key=lambda place: findings[place].weight)] if reader.selective and loud else loud
        # Who is to be mentioned on an event that another one stands for is mentioned on that one.
        mentions = _mentions([(findings[p], taken[p]) for p in loud], reader) if reader.selective else ()
        for place, finding in enumerate(findings):
            if place in shown:
                chosen[place].append(Addressee(reader.name, _story(finding, reader), mentions=mentions))
            elif reader.living and finding.of_incident and (place in loud or finding.is_told_to(reader.name)):
                chosen[place].append(Addressee(reader.name, _story(finding, reader), quiet=True))
    return tuple(tuple(addressees) for addressees in chosen)


def _is_told(finding: Finding, reader: Reader, routes: Sequence[Route] | None, taken: "_Taken") -> bool:
    """Whether a reader has an event told. Who was told of an incident is told of its end; where the routes ask for the
    openings of such incidents and not for their ends, a living message says it by being edited."""
    if taken.leads_to(reader.name):
        return True
    if finding.subject.type is not EventType.INCIDENT_RESOLVED or not finding.is_told_to(reader.name):
        return False
    opening = replace(finding.subject, type=EventType.INCIDENT_OPENED)
    return not (reader.living and _Taken.of(opening, routes).leads_to(reader.name))


def who_knows(
    finding: Finding, addressees: Iterable[Addressee], routes: Sequence[Route] | None, readers: Iterable[Reader]
) -> frozenset[str]:
    """Of those who get an incident's event, those who are to be told of its end, whatever the routes say by then.

    A receiver whose routes ask for openings only is not among them, unless it has a living message to keep true.
    """
    end = _Taken.of(replace(finding.subject, type=EventType.INCIDENT_RESOLVED), routes)
    living = {reader.name for reader in readers if reader.living}
    names = (to.receiver for to in addressees if not to.quiet)
    return frozenset(name for name in names if name in living or end.leads_to(name))


def _story(finding: Finding, reader: Reader) -> str | None:
    """What an event goes on with: its incident; of a run, the heaviest of those incidents that the reader knows of."""
    if not reader.living:
        return None
    known = (i for i in finding.incidents if finding.of_incident or reader.name in i.told)
    incident = min(known, key=lambda incident: _weight(incident.check), default=None)
    return incident.id if incident is not None else finding.run_story


@dataclass(frozen=True, slots=True)
class _Taken:
    """The routes that an event takes."""

    routes: tuple[Route, ...] | None
    """None: the watchlist has none, and all receivers get it."""
    calling: bool = True
    """Whether it may mention anybody."""

    @classmethod
    def of(cls, subject: Subject, routes: Sequence[Route] | None) -> "_Taken":
        if routes is None:
            return cls(None)
        fitting = tuple(route for route in routes if matches(route, subject))
        if subject.sync_id is not None:
            return cls(fitting)
        opening = replace(subject, type=EventType.INCIDENT_OPENED)
        if any(is_for_workspaces(route) and matches(route, opening) for route in routes):
            return cls(tuple(route for route in fitting if is_for_workspaces(route)))
        return cls(fitting, calling=False)

    def leads_to(self, name: str) -> bool:
        return self.routes is None or any(name in route.receivers for route in self.routes)


def _mentions(findings: Iterable[tuple[Finding, _Taken]], reader: Reader) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for finding, taken in findings:
        if not taken.calling:
            continue
        kind = finding.subject.type
        if is_any(kind, reader.mention_on):
            found |= dict.fromkeys(reader.mentions)
        for route in taken.routes or ():
            if reader.name in route.receivers and is_any(kind, route.mention_on):
                found |= dict.fromkeys(route.mentions)
    return tuple(found)


def is_any(kind: EventType, patterns: Iterable[str]) -> bool:
    """Whether a type of event is one of these names or globs."""
    return any(fnmatchcase(kind, pattern) for pattern in patterns)


def receivers_of(subject: Subject, routes: Sequence[Route] | None, receivers: Sequence[str]) -> tuple[str, ...]:
    """Names of the receivers to whom routes lead, each once, in the order of `receivers`; without routes, all."""
    taken = _Taken.of(subject, routes)
    return tuple(name for name in receivers if taken.leads_to(name))


def is_for_workspaces(route: Route) -> bool:
    """Whether it has no condition about syncs. Where such a route takes a workspace's incident, no other does."""
    return route.syncs is None and not route.labels


def matches(route: Route, subject: Subject) -> bool:
    """Whether every condition that the route gives holds. Globs match the whole text, with case.

    A workspace's own event has no sync, and the conditions about syncs and labels do not apply to it.
    """
    return (
        (route.events is None or is_any(subject.type, route.events))
        and (route.workspaces is None or subject.workspace in route.workspaces)
        and (route.checks is None or subject.check in route.checks)
        and (subject.sync_id is None or _fits_sync(route, subject))
    )


def _fits_sync(route: Route, subject: Subject) -> bool:
    return (route.syncs is None or any(_is_sync(wanted, subject) for wanted in route.syncs)) and (
        route.labels is None or all(subject.labels.get(k) == v for k, v in route.labels.items())
    )


def _is_sync(wanted: int | str, subject: Subject) -> bool:
    if isinstance(wanted, int):
        return subject.sync_id == wanted
    return id_of(wanted) == subject.sync_id or fnmatchcase(subject.sync_label or "", wanted)
