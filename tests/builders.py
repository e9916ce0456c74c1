"""Values for tests: whole and valid unless the test says otherwise, so that a test names only what it is about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import SecretStr

from notifier.body import event_body
from notifier.config.models import (
    DeliverySettings,
    Route,
    SlackReceiver,
    SlackWebhookReceiver,
    SyncSelector,
    Watch,
    WebhookReceiver,
)
from notifier.model import Change, EventType, Labels, Mark, Message, PendingDelivery, SyncRun, Watched

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


def a_mark(run_id: int | None, created_at: datetime | None = NOW, floor: datetime | None = NOW) -> Mark:
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
) -> Route:
    """A route; a condition that is left out is not given."""
    return Route(
        events=None if events is None else tuple(events),
        workspaces=None if workspaces is None else tuple(workspaces),
        syncs=None if syncs is None else tuple(syncs),
        labels=None if labels is None else dict(labels),
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
        next_attempt_at=due,
        clock_started_at=clock_started_at,
        first_failed_at=first_failed_at,
        aside=aside,
    )


def delivery_settings(**durations: timedelta) -> DeliverySettings:
    """The delivery settings of a watchlist; those left out have their defaults."""
    return DeliverySettings(**durations)
