"""Which receivers get an event, and how. Pure; decided when the event is recorded, never again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from notifier.config.models import Receiver, Route, SlackReceiver, SlackWebhookReceiver
from notifier.model import Addressee, Check, EventType, Labels


@dataclass(frozen=True, slots=True)
class Subject:
    """What a route's conditions look at. A workspace's own event has no `sync_id`."""

    type: EventType
    workspace: str
    sync_id: int | None
    sync_label: str | None
    labels: Labels
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """A receiver of the watchlist, as far as routing cares.

    `selective`: it shows one message for what was seen at once; others get every event. `living`: it has one message
    for each incident or run, which later events change.
    """

    name: str
    selective: bool = False
    living: bool = False
    mentions: tuple[str, ...] = ()
    mention_on: tuple[str, ...] = ()


def readers_of(receivers: Mapping[str, Receiver]) -> tuple[Reader, ...]:
    """The receivers of a watchlist, in its order."""
    return tuple(_reader(name, settings) for name, settings in receivers.items())


def _reader(name: str, settings: Receiver) -> Reader:
    if isinstance(settings, SlackReceiver | SlackWebhookReceiver):
        living = settings.messages == "living"
        return Reader(name, selective=True, living=living, mentions=settings.mentions, mention_on=settings.mention_on)
    return Reader(name)


@dataclass(frozen=True, slots=True)
class Finding:
    """One event of what was seen at once. `story`: the incident that it is of or falls into, `told`: who knows of that
    incident already; `run_story`: the story of its run by itself."""

    subject: Subject
    story: str | None = None
    told: frozenset[str] = frozenset()
    run_story: str | None = None

    @property
    def of_incident(self) -> bool:
        """Whether it is an incident's own event."""
        return self.subject.check is not None

    @property
    def weight(self) -> int:
        """What a selective receiver shows first: failing, other incidents, a full sync, the run."""
        if self.subject.check is not None:
            return _CHECKS.index(self.subject.check)
        return len(_CHECKS) + (self.subject.type is not EventType.FULL_SYNC)


_CHECKS: Final = tuple(Check)


def addressed(
    findings: Sequence[Finding], routes: Sequence[Route] | None, readers: Iterable[Reader]
) -> tuple[tuple[Addressee, ...], ...]:
    """For each event of what was seen at once, who gets it."""
    chosen: list[list[Addressee]] = [[] for _ in findings]
    for reader in readers:
        places = [p for p, finding in enumerate(findings) if reader.name in _named(finding.subject, routes, reader)]
        if not places:
            continue
        first = min(places, key=lambda place: findings[place].weight)
        for place in places:
            finding = findings[place]
            if reader.selective and place != first and not (reader.living and finding.of_incident):
                continue
            quiet = reader.selective and place != first
            # Who is to be mentioned on an event that another one stands for is mentioned on that one.
            told_of = [findings[p] for p in places] if reader.selective else []
            mentions = () if quiet else _mentions(told_of, routes, reader)
            chosen[place].append(Addressee(reader.name, _story(finding, reader), quiet, mentions))
    return tuple(tuple(addressees) for addressees in chosen)


def _story(finding: Finding, reader: Reader) -> str | None:
    if not reader.living:
        return None
    return finding.story if finding.of_incident or reader.name in finding.told else finding.run_story


def _mentions(findings: Iterable[Finding], routes: Sequence[Route] | None, reader: Reader) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for finding in findings:
        kind = finding.subject.type
        if is_any(kind, reader.mention_on):
            found |= dict.fromkeys(reader.mentions)
        for route in routes or ():
            if reader.name in route.receivers and is_any(kind, route.mention_on) and matches(route, finding.subject):
                found |= dict.fromkeys(route.mentions)
    return tuple(found)


def is_any(kind: EventType, patterns: Iterable[str]) -> bool:
    """Whether a type of event is one of these names or globs."""
    return any(fnmatchcase(kind, pattern) for pattern in patterns)


def _named(subject: Subject, routes: Sequence[Route] | None, reader: Reader) -> tuple[str, ...]:
    return receivers_of(subject, routes, (reader.name,))


def receivers_of(subject: Subject, routes: Sequence[Route] | None, receivers: Sequence[str]) -> tuple[str, ...]:
    """Names of the receivers, each once, in the order of `receivers`; without routes, all of them."""
    if routes is None:
        return tuple(receivers)
    named = {name for route in routes if matches(route, subject) for name in route.receivers}
    return tuple(name for name in receivers if name in named)


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
    return fnmatchcase(subject.sync_label or "", wanted)
