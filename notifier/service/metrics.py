"""What Prometheus is told of a worker: counts made in passing, and gauges read when somebody asks.

Labels are names of the watchlist, words of our own enums and HTTP statuses; nothing that others wrote, no secret.
`Metrics` outlasts reloads and has a registry of its own. Those who count hold a meter that is bound to its series.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from notifier.model.delivery import Backlog
from notifier.model.errors import StoreError
from notifier.model.event import EventType
from notifier.model.incident import Check
from notifier.model.meters import DeliveryOutcome, PollOutcome, ReceiverMeter, WorkspaceMeter

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which Prometheus' own text format has no use for

NAMESPACE: Final = "census_notifier"
FRESH: Final = 1.0  # seconds for which what the database said is good enough, however many ask
DATABASE_PATIENCE: Final = 5.0  # seconds: a scrape does not wait longer for the database
POLL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DELIVERY_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)

Families: TypeAlias = Iterable[GaugeMetricFamily]


@dataclass(frozen=True, slots=True)
class WorkspaceGauges:
    """How a workspace fares now."""

    up: bool
    watched_syncs: int
    retires_on: date | None = None
    """The first day without the version of the API that reads it; None where no end is announced."""


@dataclass(frozen=True, slots=True)
class SharedGauges:
    """How the work is shared out, where there may be several workers."""

    parts: Collection[str]
    """Those of this worker."""
    replicas: int | None
    """How many workers there are; None where another says it."""
    others: Collection[str] = ()
    """Parts that are not this worker's, be they another's or nobody's: of one that dies the others still speak."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read when somebody asks: memory, by workspace and receiver (whether it works), and the database."""

    workspaces: Callable[[], Mapping[str, WorkspaceGauges]]
    receivers: Callable[[], Mapping[str, bool]]
    backlog: Callable[[], Awaitable[Backlog]]
    shared: Callable[[], SharedGauges | None] = lambda: None


class Metrics:
    """All metrics. `clock` tells how old the oldest delivery is, and when a poll worked."""

    def __init__(self, version: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._registry = registry = CollectorRegistry()
        self._memory: tuple[Mapping[str, WorkspaceGauges], Mapping[str, bool]] = {}, {}
        self._shared: SharedGauges | None = None
        self._backlog: Backlog | None = None
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        place, hook = ["workspace"], ["receiver"]
        self._polls = _counter(registry, "polls", "Polls of syncs and runs, by what they came to.", *place, "outcome")
        self._poll_seconds = _histogram(
            registry, "poll_seconds", "How long a poll took, its wait for the request budget included.", POLL_BUCKETS
        )
        self._lag = _gauge(registry, "poll_lag_seconds", "How late the last poll began.", *place)
        self._requests = _counter(registry, "requests", "Requests to the Census API, by HTTP status.", *place, "status")
        self._last_success = _gauge(
            registry,
            "last_successful_poll_timestamp_seconds",
            "When a poll last worked; 0 where none ever has.",
            *place,
        )
        self._events = _counter(registry, "events", "Events recorded.", *place, "type")
        self._deliveries = _counter(registry, "deliveries", "Attempts to deliver an event.", *hook, "outcome")
        self._delivery_seconds = _histogram(
            registry, "delivery_seconds", "From when an event was seen to its delivery.", DELIVERY_BUCKETS, *hook
        )
        self._refused = _counter(registry, "tokens_refused", "Requests and logins with a wrong server.token.")
        _gauge(registry, "build_info", "Always 1; the labels tell what is running.", "version").labels(version).set(1)
        registry.register(_AtScrape(self._families))
        ProcessCollector(registry=registry)

        self._reloaded = _gauge(
            registry, "config_last_reload_successful", "Whether the watchlist in force is the newest: 1, else 0."
        )
        self._reloaded.set(1)

    # --- what is counted ---

    def workspace(self, name: str, last_successful_poll: datetime | None = None) -> WorkspaceMeter:
        """The meter of one workspace; `last_successful_poll` is from before this start."""
        last = self._last_success.labels(name)
        last.set(last_successful_poll.timestamp() if last_successful_poll is not None else 0)
        return _WorkspaceMeter(
            {outcome: self._polls.labels(name, outcome.value) for outcome in PollOutcome},
            {event_type: self._events.labels(name, event_type.value) for event_type in EventType},
            lambda status: self._requests.labels(name, status),
            self._poll_seconds,
            self._lag.labels(name),
            lambda: last.set(self._clock().timestamp()),
        )

    def receiver(self, name: str) -> ReceiverMeter:
        """The meter of one receiver."""
        attempts = {outcome: self._deliveries.labels(name, outcome.value) for outcome in DeliveryOutcome}
        return _ReceiverMeter(attempts, self._delivery_seconds.labels(name))

    def reloaded(self, *, successful: bool) -> None:
        """The watchlist was read anew."""
        self._reloaded.set(successful)

    def token_refused(self) -> None:
        """Somebody gave the server a wrong token."""
        self._refused.inc()

    def forget_workspace(self, name: str) -> None:
        """The watchlist has it no more: its counts stay as they are, its gauges would be untrue."""
        self._lag.remove(name)
        self._last_success.remove(name)

    # --- what is read when somebody asks ---

    async def refresh(self, sources: Sources) -> None:
        """Reads the gauges, the database's at most once a second. Where it can't say, they are left out."""
        self._memory = sources.workspaces(), sources.receivers()
        self._shared = sources.shared()
        try:
            async with asyncio.timeout(DATABASE_PATIENCE), self._reading:
                now = asyncio.get_running_loop().time()
                if self._read_at is not None and now - self._read_at < FRESH:
                    return
                self._backlog = await sources.backlog()
                self._read_at = now
        except (StoreError, TimeoutError):
            self._backlog = self._read_at = None

    def exposition(self) -> tuple[bytes, str]:
        """All of it as Prometheus' text, and the text's content type. `refresh` first.

        It may run in a thread of its own: with dozens of receivers it takes tens of milliseconds.
        """
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _families(self) -> Families:
        workspaces, receivers = self._memory
        up = {name: float(gauges.up) for name, gauges in workspaces.items()}
        watched = {name: float(gauges.watched_syncs) for name, gauges in workspaces.items()}
        yield _family("workspace_up", "1 while the workspace's API can be read, else 0.", "workspace", up)
        yield _family("watched_syncs", "Syncs that are watched.", "workspace", watched)
        ends = {name: _midnight(each.retires_on) for name, each in workspaces.items() if each.retires_on is not None}
        yield _family(
            "api_retires_timestamp_seconds",
            "When the API's version ends by which the workspace is read.",
            "workspace",
            ends,
        )
        works = {name: float(ok) for name, ok in receivers.items()}
        yield _family(
            "receiver_up",
            "0 while the receiver is broken, or has taken nothing for five minutes of attempts, else 1.",
            "receiver",
            works,
        )
        if self._shared is not None:
            yield from _of_shared(self._shared)
        if self._backlog is not None:
            yield from self._of_backlog(self._backlog, workspaces, receivers)

    def _of_backlog(self, backlog: Backlog, workspaces: Iterable[str], receivers: Iterable[str]) -> Families:
        now = self._clock()
        pending = {name: float(backlog.pending.get(name, 0)) for name in receivers}
        dead = {name: float(backlog.dead.get(name, 0)) for name in receivers}
        oldest = {
            name: max(0.0, (now - backlog.oldest.get(name, now)).total_seconds()) if pending[name] else 0.0
            for name in receivers
        }
        yield _family("deliveries_pending", "Deliveries that wait.", "receiver", pending)
        yield _family("deliveries_dead", "Deliveries that were given up.", "receiver", dead)
        yield _family(
            "oldest_pending_delivery_seconds", "How long the oldest delivery has waited; 0: none.", "receiver", oldest
        )
        incidents = GaugeMetricFamily(
            f"{NAMESPACE}_incidents_open", "Incidents that are open.", labels=["workspace", "check"]
        )
        for workspace in workspaces:
            for check in Check:
                incidents.add_metric([workspace, check.value], backlog.incidents.get((workspace, check), 0))
        yield incidents


def _of_shared(shared: SharedGauges) -> Families:
    held = {part: float(part in shared.parts) for part in sorted({*shared.parts, *shared.others})}
    yield _family("part_held", "1 for each part of the work that this worker has, 0 for others.", "part", held)
    if shared.replicas is not None:
        replicas = GaugeMetricFamily(f"{NAMESPACE}_replicas", "Workers that have a place at the database.")
        replicas.add_metric([], shared.replicas)
        yield replicas


class _WorkspaceMeter(WorkspaceMeter):
    """Bound to its series, so that a poll at rest looks up none."""

    def __init__(
        self,
        polls: Mapping[PollOutcome, Counter],
        events: Mapping[EventType, Counter],
        requests: Callable[[str], Counter],
        poll_seconds: Histogram,
        lag: Gauge,
        note_success: Callable[[], None],
    ) -> None:
        self._polls = polls
        self._events = events
        self._new_status = requests
        self._statuses: dict[int | None, Counter] = {}
        self._poll_seconds = poll_seconds
        self._lag = lag
        self._note_success = note_success
        for status in (200, None):
            self._status(status)

    def poll_begins(self, lag: float) -> None:
        self._lag.set(max(lag, 0.0))

    def poll_ended(self, outcome: PollOutcome, seconds: float) -> None:
        self._polls[outcome].inc()
        self._poll_seconds.observe(seconds)
        if outcome is PollOutcome.OK:
            self._note_success()

    def request_ended(self, status: int | None) -> None:
        (self._statuses.get(status) or self._status(status)).inc()

    def event_recorded(self, event_type: EventType) -> None:
        self._events[event_type].inc()

    def _status(self, status: int | None) -> Counter:
        return self._statuses.setdefault(status, self._new_status("error" if status is None else str(status)))


class _ReceiverMeter(ReceiverMeter):
    def __init__(self, attempts: Mapping[DeliveryOutcome, Counter], seconds: Histogram) -> None:
        self._attempts = attempts
        self._seconds = seconds

    def attempt_ended(self, outcome: DeliveryOutcome, since_seen: float) -> None:
        self._attempts[outcome].inc()
        if outcome is DeliveryOutcome.DELIVERED:
            self._seconds.observe(max(since_seen, 0.0))


class _AtScrape(Collector):
    """Hands out families that are made when they are asked for."""

    def __init__(self, families: Callable[[], Families]) -> None:
        self._families = families

    def collect(self) -> Families:
        return self._families()

    def describe(self) -> Families:
        """Else the registry would collect to learn the names."""
        return ()


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace=NAMESPACE, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace=NAMESPACE, registry=registry)


def _histogram(
    registry: CollectorRegistry, name: str, text: str, buckets: tuple[float, ...], *labels: str
) -> Histogram:
    return Histogram(name, text, labels, namespace=NAMESPACE, registry=registry, buckets=buckets)


def _midnight(day: date) -> float:
    return datetime.combine(day, time(tzinfo=UTC)).timestamp()


def _family(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{NAMESPACE}_{name}", text, labels=[label])
    for value_of, value in values.items():
        family.add_metric([value_of], value)
    return family
