"""What a Census sync and a sync run look like when the test names only what it cares about.

Pure: every function takes `now`. Field names and their meaning come from census-openapi.yaml; the values of a failed,
a completed and a canceled run imitate the vendor's own samples (`completed_at` stays null on a failed run, a canceled
run is `completed` with `canceled: true`).
"""

from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeAlias
from zlib import crc32

Id: TypeAlias = int | str
"""What the API calls an object: a number, or since its second version perhaps a word."""

ENDED: Final = frozenset({"completed", "failed", "skipped", "canceled", "cancelled"})


class Marker(Enum):
    """Stands where None has a meaning of its own."""

    ABSENT = "absent"
    GENERATED = "generated"


ABSENT: Final = Marker.ABSENT
"""As the value of a field: leave the field out of the object altogether."""

GENERATED: Final = Marker.GENERATED
"""As the label of a sync: one that is made up from its ID."""


def timestamp(moment: datetime) -> str:
    """The moment as the API writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(text: object, fallback: datetime) -> datetime:
    """The moment that a timestamp names; `fallback` for null and for text that is no date."""
    if not isinstance(text, str):
        return fallback
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return fallback
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def merged(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`known` overlaid with `given`: datetimes become timestamps, ABSENT takes a field away."""
    result = known | {name: timestamp(v) if isinstance(v, datetime) else v for name, v in given.items()}
    return {name: value for name, value in result.items() if value is not ABSENT}


def new_sync(sync_id: Id, label: str | None, given: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A complete Sync."""
    created = timestamp(now)
    known: dict[str, Any] = {
        "id": sync_id,
        "label": label,
        "status": "ready",
        "created_at": created,
        "updated_at": created,
        "operation": "upsert",
        "paused": False,
        "schedule_frequency": "hourly",
        "cron_expression": None,
        "mode": {"type": "triggered", "triggers": {"schedule": {"frequency": "hourly", "minute": 0}}},
        "source_attributes": {"connection_id": 12, "object": {"type": "model", "name": f"model_{sync_id}"}},
        "destination_attributes": {"connection_id": 15, "object": "contact"},
        "alert_attributes": [],
        "mappings": [],
    }
    return merged(known, given)


def new_run(run_id: Id, sync_id: Id, status: str, given: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A complete SyncRun in the given status."""
    created = timestamp(now)
    known: dict[str, Any] = {
        "id": run_id,
        "sync_id": sync_id,
        "source_record_count": None,
        "source_record_updates": None,
        "source_record_deletes": None,
        "source_record_invalids": None,
        "records_invalid": None,
        "records_processed": None,
        "records_updated": None,
        "records_failed": None,
        "created_at": created,
        "updated_at": given.get("created_at", created),
        "completed_at": None,
        "scheduled_execution_time": None,
        "error_code": None,
        "error_message": None,
        "error_detail": None,
        "status": status,
        "canceled": False,
        "full_sync": False,
        "sync_trigger_reason": {"ui_tag": "Schedule", "ui_detail": "Scheduled to run hourly"},
    }
    known |= _of_status(known, status, given, given.get("completed_at") or known["updated_at"])
    return merged(known, given)


def changed_run(run: dict[str, Any], given: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The run after an update: `updated_at` moves, and a new status brings with it what the API would set."""
    stamp = timestamp(now)
    known = run | {"updated_at": stamp}
    if "status" in given and given["status"] != run.get("status"):
        known |= _of_status(known, given["status"], given, stamp)
    return merged(known, given)


def _of_status(run: dict[str, Any], status: str, given: dict[str, Any], stamp: object) -> dict[str, Any]:
    """The fields that come with a status; ABSENT marks one that goes. Error fields are the caller's to give."""
    if status == "working":
        return {"current_step": run.get("current_step") or "Unloading data from warehouse"}
    if status == "failed":
        return {"current_step": run.get("current_step") or "Running sync"}
    if status == "completed":
        ended = {"completed_at": run.get("completed_at") or stamp, "current_step": ABSENT}
        canceled = given.get("canceled", run.get("canceled"))
        return ended if canceled else ended | _counts(run, given)
    return {"current_step": None}


def _counts(run: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Counts of a successful run that add up, with what is given or already known taken as it is."""
    identity = run["id"]
    run_id = identity if isinstance(identity, int) else crc32(str(identity).encode())

    def settled(name: str, default: int) -> int:
        value = given.get(name, run.get(name))
        return value if isinstance(value, int) else default

    total = settled("source_record_count", 1200 + run_id * 37 % 9000)
    updates = settled("source_record_updates", min(total, 40 + run_id * 13 % 260))
    deletes = settled("source_record_deletes", run_id % 4)
    invalids = settled("source_record_invalids", 0)
    failed = settled("records_failed", 0)
    processed = settled("records_processed", max(updates + deletes - invalids, 0))
    return {
        "source_record_count": total,
        "source_record_updates": updates,
        "source_record_deletes": deletes,
        "source_record_invalids": invalids,
        "records_invalid": settled("records_invalid", invalids),
        "records_processed": processed,
        "records_updated": settled("records_updated", max(processed - failed, 0)),
        "records_failed": failed,
    }
