"""Values for tests: whole and valid unless the test says otherwise, so that a test names only what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import SecretStr

from notifier.judging import checks as rules
from notifier.judging.body import event_body
from notifier.judging.checks import Judged, SyncState
from notifier.judging.checks import Scene as CheckScene
from notifier.judging.diff import changes_between
from notifier.judging.results import after_run, with_good_run
from notifier.judging.sightings import Sighting
from notifier.model.delivery import Message, PendingDelivery
from notifier.model.event import EventType
from notifier.model.identity import Id
from notifier.model.incident import Check, Incident, Reason
from notifier.model.run import Change, Records, Result, SyncRun, Watched
from notifier.model.sync import Labels, Mark
from notifier.watchlist.checks import ChecksInForce
from notifier.watchlist.models import DeliverySettings, Route, SyncSelector, Watch
from notifier.watchlist.receivers import SlackReceiver, SlackWebhookReceiver, WebhookReceiver

NOW: Final = datetime(2026, 11, 23, 10, 15, 30, 123_000, tzinfo=UTC)
TOKEN: Final = "xoxb-canary-of-a-token"
SECRET: Final = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"  # base64 of the 24 bytes 0123456789abcdef01234567


def minutes(count: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=count)


def at(minute: float) -> datetime:
    """A time, by its minutes after NOW."""
    return NOW + minutes(minute)


def a_run(
    number: int = 93,
    *,
    sync_id: int = 52,
    watched: Watched | None = None,
    status: str | None = "working",
    created_at: datetime | None = NOW,
    updated_at: datetime | None = None,
    completed_at: datetime | None = None,
    fields: Mapping[str, Any] | None = None,
) -> SyncRun:
    """A sync run; `watched` beats `status`."""
    shown = watched if watched is not None else Watched(status=status)
    whole = fields if fields is not None else {"id": number, "sync_id": sync_id, "status": shown.status}
    return SyncRun(number, sync_id, shown, created_at, updated_at, completed_at, whole)


def a_mark(run_id: Id | None, created_at: datetime | None = NOW, floor: datetime | None = NOW) -> Mark:
    """A mark on a run."""
    return Mark(run_id, created_at, floor)


def a_sync_watch(sync: int, *, workspace: str = "production", **labels: str) -> Watch:
    """A watch of one sync."""
    return Watch(sync=sync, workspace=workspace, labels=labels)


def a_watch_of_all(*, workspace: str = "production", **labels: str) -> Watch:
    """A watch of every sync."""
    return Watch(syncs="all", workspace=workspace, labels=labels)


def a_label_watch(
    label: str | Sequence[str] = (), exclude: str | Sequence[str] = (), *, workspace: str = "production", **labels: str
) -> Watch:
    """A watch of syncs by their label, as a watchlist would give it: a glob, or a list of them."""
    given = {
        key: globs if isinstance(globs, str) else tuple(globs)
        for key, globs in (("label", label), ("exclude_label", exclude))
        if globs
    }
    return Watch(syncs=SyncSelector.model_validate(given), workspace=workspace, labels=labels)


def a_run_watch(sync_run: int, *, workspace: str = "production", **labels: str) -> Watch:
    """A watch of one run."""
    return Watch(sync_run=sync_run, workspace=workspace, labels=labels)


def a_route(
    *receivers: str,
    events: Sequence[str] | None = None,
    workspaces: Sequence[str] | None = None,
    syncs: Sequence[int | str] | None = None,
    labels: Labels | None = None,
    checks: Sequence[str] | None = None,
) -> Route:
    """A route; a condition that is left out is not given."""
    return Route(
        events=None if events is None else tuple(events),
        workspaces=None if workspaces is None else tuple(workspaces),
        syncs=None if syncs is None else tuple(syncs),
        labels=None if labels is None else dict(labels),
        checks=None if checks is None else tuple(Check(name) for name in checks),
        receivers=receivers,
    )


def a_webhook(
    url: str = "http://127.0.0.1:9/hook", *, secret: str | None = SECRET, headers: Mapping[str, str] | None = None
) -> WebhookReceiver:
    """A webhook receiver of a watchlist."""
    return WebhookReceiver(
        type="webhook",
        url=SecretStr(url),
        secret=SecretStr(secret) if secret is not None else None,
        headers={name: SecretStr(value) for name, value in (headers or {}).items()},
    )


def a_slack_channel(
    channel: str = "#data-syncs", *, token: str = TOKEN, api_url: str | None = "http://127.0.0.1:9/api/"
) -> SlackReceiver:
    """A Slack receiver of a watchlist."""
    return SlackReceiver(type="slack", token=SecretStr(token), channel=channel, api_url=api_url)


def a_slack_webhook(url: str = "http://127.0.0.1:9/services/T1/B1/x") -> SlackWebhookReceiver:
    """A receiver of a watchlist by an incoming webhook of Slack's."""
    return SlackWebhookReceiver(type="slack_webhook", url=SecretStr(url))


def an_event_body(number: int = 93, *, label: str | None = "New Signups to Leads", seen_at: datetime = NOW) -> bytes:
    """The body of an event: a run of sync 52 failed."""
    fields = {"id": number, "sync_id": 52, "status": "failed", "error_code": "JSON_ARRAY_ERROR"}
    return event_body(
        type=EventType.FAILED,
        seen_at=seen_at,
        workspace="production",
        app_url="https://app.getcensus.com",
        labels={"team": "growth"},
        sync_id=52,
        sync_label=label,
        run=a_run(number, status="failed", fields=fields),
        previous_run=None,
        changes=(Change("status", "working", "failed"),),
    )


def a_message(
    event_id: str = "evt_1",
    *,
    event_type: str = "sync_run.failed",
    body: bytes = b'{"type":"sync_run.failed"}',
    maybe_sent_at: datetime | None = None,
) -> Message:
    """A message on its way."""
    return Message(event_id, event_type, body, maybe_sent_at)


def a_delivery(
    number: int = 1,
    *,
    workspace: str = "production",
    sync_id: int = 52,
    attempts: int = 0,
    due: datetime = NOW,
    clock_started_at: datetime = NOW,
    first_failed_at: datetime | None = None,
    aside: bool = False,
) -> PendingDelivery:
    """A pending delivery."""
    return PendingDelivery(
        id=number,
        event_id=f"evt_{number}",
        event_type="sync_run.failed",
        workspace=workspace,
        sync_id=sync_id,
        attempts=attempts,
        created_at=clock_started_at,
        next_attempt_at=due,
        clock_started_at=clock_started_at,
        first_failed_at=first_failed_at,
        aside=aside,
    )


def delivery_settings(**durations: timedelta) -> DeliverySettings:
    """The delivery settings of a watchlist; those left out have their defaults."""
    return DeliverySettings(**durations)


class Course:
    """A sync whose runs end one after another, and what its checks make of that.

    Run N is created N minutes after NOW, and time stands there once it ended. `told`: the steps of incidents so far.
    """

    def __init__(self, **checks: Any) -> None:
        self.checks = ChecksInForce(**checks)
        self.state = SyncState()
        self.now = NOW
        self.results: dict[Id, Result] = {}
        self.incidents: list[Incident] = []
        self.told: list[str] = []
        self._opened = 0

    @property
    def scene(self) -> CheckScene:
        return CheckScene("production", 52, "Leads", {"team": "growth"}, self.now, self._new_id)

    def _new_id(self) -> str:
        self._opened += 1
        return f"inc_{self._opened}"

    # --- what happens ---

    def fails(self, *numbers: int, code: str | None = "E1", message: str | None = "no access") -> None:
        """Runs fail."""
        for number in numbers:
            self._ends(number, Watched("failed", error_code=code, error_message=message), Records())

    def completes(
        self, *numbers: int, sent: int | None = 100, rejected: int | None = 0, invalid: int | None = 0
    ) -> None:
        """Runs complete."""
        for number in numbers:
            self._ends(number, Watched("completed"), Records(sent, rejected, invalid))

    def _ends(self, number: int, watched: Watched, records: Records) -> None:
        created = at(number)
        self.now = max(self.now, created)
        completed_at = self.now if watched.status == "completed" else None
        run = replace(a_run(number, watched=watched, created_at=created, completed_at=completed_at), records=records)
        sighting = Sighting(run, None, changes_between(None, watched), None)
        self.take(after_run(self.state, self.checks, sighting, self.results, (), self.scene))
        self.state = with_good_run(self.state, run, self.now)

    def error_changes(self, number: int, code: str | None = "E1", message: str | None = "no access") -> None:
        """The error fields of a run that failed change."""
        run = a_run(number, watched=Watched("failed", error_code=code, error_message=message), created_at=at(number))
        self.take(Judged(rules.after_error(self.state, run)))

    def still_runs(self, number: int) -> None:
        """A poll sees a run that has not ended, created `number` minutes after NOW."""
        if rules.is_slow(self.checks, self.state, at(number), self.now):
            run = a_run(number, created_at=at(number))
            assert self.checks.slow_run is not None
            self.take(Judged((rules.slow(self.checks.slow_run.after, self.state, run, self.scene),)))

    def polled(self, now: datetime | None = None) -> None:
        """A poll sees nothing new."""
        self.now = now if now is not None else self.now
        self.take(Judged(rules.stale(self.checks, self.state, self.scene)))
        self.take(Judged(rules.reminders(self.checks.reminders, self.state.open.values(), self.now)))

    def ends(self, reason: Reason, *checks: Check) -> None:
        """Incidents end without having recovered."""
        newest = max(self.results.values(), key=lambda result: result.created_at or NOW, default=None)
        self.take(Judged(rules.ended_by(self.state, checks or tuple(Check), reason, self.scene, newest)))

    def take(self, judged: Judged) -> None:
        """Keeps steps."""
        for step in judged.steps:
            incident = step.incident
            self.state = self.state.with_incident(incident)
            self.incidents.append(incident)
            by = f" by {step.run.id}" if step.run is not None else ""
            self.told.append(f"{incident.check} {step.type.removeprefix('incident.')}{by}")

    # --- what came of it ---

    def since(self, count: int) -> list[str]:
        """What was told after the first `count` steps."""
        return self.told[count:]

    @property
    def last(self) -> Incident:
        """The incident as it was after its last step."""
        return self.incidents[-1]


def an_incident(check: Check = Check.FAILING, **given: Any) -> Incident:
    """An incident of sync 52; open, with one bad run, unless something else is given."""
    fields: dict[str, Any] = {"opened_at": NOW, "runs": 1, "labels": {"team": "growth"}, "last_run_id": 93}
    return Incident("inc_1", "production", 52, check, **{**fields, **given})


def an_incident_body(
    kind: EventType = EventType.INCIDENT_OPENED,
    incident: Incident | None = None,
    *,
    run_id: int | None = 93,
    status: str = "failed",
    seen_at: datetime = NOW,
) -> bytes:
    """The body of an incident's event, brought about by a run unless `run_id` is None."""
    fields = {"id": run_id, "sync_id": 52, "status": status, "error_code": "JSON_ARRAY_ERROR"}
    return event_body(
        type=kind,
        seen_at=seen_at,
        workspace="production",
        app_url="https://app.getcensus.com",
        labels={"team": "growth"},
        sync_id=52,
        sync_label="New Signups to Leads",
        run=a_run(run_id, status=status, fields=fields) if run_id is not None else None,
        changes=(Change("status", "working", status),) if run_id is not None else (),
        incident=incident or an_incident(),
    )
