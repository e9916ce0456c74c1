"""Which receivers get an event. Pure; decided when the event is recorded, never again."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from notifier.config.models import Route
from notifier.model import EventType, Labels


@dataclass(frozen=True, slots=True)
class Subject:
    """What a route's conditions look at."""

    type: EventType
    workspace: str
    sync_id: int
    sync_label: str | None
    labels: Labels


def receivers_of(subject: Subject, routes: Sequence[Route] | None, receivers: Sequence[str]) -> tuple[str, ...]:
    """Names of the receivers, each once, in the order of `receivers`; without routes, all of them."""
    if routes is None:
        return tuple(receivers)
    named = {name for route in routes if matches(route, subject) for name in route.receivers}
    return tuple(name for name in receivers if name in named)


def matches(route: Route, subject: Subject) -> bool:
    """Whether every condition that the route gives holds. Globs match the whole text, with case."""
    return (
        (route.events is None or any(fnmatchcase(subject.type, pattern) for pattern in route.events))
        and (route.workspaces is None or subject.workspace in route.workspaces)
        and (route.syncs is None or any(_is_sync(wanted, subject) for wanted in route.syncs))
        and (route.labels is None or all(subject.labels.get(k) == v for k, v in route.labels.items()))
    )


def _is_sync(wanted: int | str, subject: Subject) -> bool:
    if isinstance(wanted, int):
        return subject.sync_id == wanted
    return fnmatchcase(subject.sync_label or "", wanted)
