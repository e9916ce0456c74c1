"""Answers of the Census API, read into our own values. No I/O.

The API has changed its words without notice (dagster-io/dagster issues 14542 and 16428), so all but `id` may be
missing, null or of another type: a field that can't be read is as good as absent, and the object is kept as it came.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from sys import intern
from typing import Annotated, Any, Final

import orjson
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError, NotFound, Unauthorized, Unreachable, Unusable, status_in_words
from notifier.model.identity import Id, id_of
from notifier.model.run import Records, SyncRun, Watched
from notifier.model.sync import Sync
from notifier.model.times import parsed_time

DEEPEST: Final = 100  # levels; what Python's json can write again ends below a thousand, wherever it is called
LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _truth(value: object) -> bool | None:
    if isinstance(value, str):
        return value.strip().lower() in ("true", "t", "yes", "1") or None
    return bool(value) or None


def _known_truth(value: object) -> bool | None:
    """As `_truth`, but what can't be read is unknown rather than false."""
    return value if isinstance(value, bool) else None


def _number(value: object) -> int | None:
    """A count of records that a database can hold."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _id(value: object) -> Id:
    identity = id_of(value)
    if identity is None:
        raise ValueError("not an ID")
    return identity


Text = Annotated[str | None, BeforeValidator(_text)]
Truth = Annotated[bool | None, BeforeValidator(_truth)]
Time = Annotated[datetime | None, BeforeValidator(parsed_time)]


class _Sync(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: Annotated[Id, BeforeValidator(_id)]
    label: Text = Field(default=None, validation_alias=AliasChoices("label", "name"))
    status: Text = None
    paused: Truth = None
    created_at: Time = None
    schedule_frequency: Text = None
    mode: Any = None
    group_id: Text = None


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a list ends; None is what the answer does not tell."""

    more: bool | None
    total: int | None
    last: int | None = None
    """The number of the last page."""


@dataclass(frozen=True, slots=True)
class RunsPage:
    """One page of a sync's runs, newest first. `unreadable`: items without an ID."""

    runs: tuple[SyncRun, ...]
    paging: Paging
    unreadable: int


@dataclass(frozen=True, slots=True)
class SyncsPage:
    """One page of a workspace's syncs."""

    syncs: tuple[Sync, ...]
    paging: Paging
    unreadable: int
    foreign: frozenset[Id] = frozenset()
    """Those that say that they are of another group."""
    items: Mapping[Id, int] = field(default_factory=dict)
    """A fingerprint of all that the page says of each sync, for this process."""


def error_of(status: int) -> CensusError | None:
    """The error that a status means, None for 2xx. 429 is the client's: it needs a header."""
    if 200 <= status < 300:
        return None
    said = status_in_words(status)
    if status in (401, 403):
        return Unauthorized(status, said)
    if status in (404, 410):
        return NotFound(said)
    if status >= 500 or status in (408, 425):
        return Unreachable(said)
    if status == 304:
        return Unusable(
            f"{said}: all of the answer was asked for; something between here and the API may answer for it"
        )
    if 300 <= status < 400:
        return Unusable(f"{said}: redirects are not followed; check the workspace's region or base_url")
    return Unusable(said)


def decode(body: bytes) -> Any:
    """The JSON value of a body. Broken UTF-8, lone surrogates, NaN and a BOM are mended rather than refused."""
    value = _decoded(body.removeprefix(BOM_UTF8))
    if body.count(b"{") + body.count(b"[") > DEEPEST and _is_too_deep(value):
        raise Unusable("the answer is nested too deeply")
    return value


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return _mended(json.loads(body.decode("utf-8", "replace"), parse_constant=lambda _: None))
    except (ValueError, RecursionError) as error:
        raise Unusable("the answer is not JSON") from error


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        within = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [item for items in within for item in items]
        if not level:
            return False
    return True


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return LONE_SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value


def runs_page(body: bytes, sync_id: Id, number: int = 1, api: ApiVersion = ApiVersion.V1) -> RunsPage:
    """Reads an answer to "List sync runs", page `number`. A run that it names twice is one run.

    Raises Unusable where there is no list, or one that can't be read.
    """
    items, paging = _listed(body, number)
    found = [_run(item, sync_id, api) for item in items]
    runs = [run for run in found if run is not None]
    _must_be_readable(len(runs), len(items))
    _must_make_sense(runs, paging)
    newest: dict[Id, SyncRun] = {}
    for run in runs:
        if run.id not in newest or _is_later(run, newest[run.id]):
            newest[run.id] = run  # in the place of the first
    return RunsPage(tuple(newest.values()), paging, len(items) - len(runs))


def _must_make_sense(runs: Sequence[SyncRun], paging: Paging) -> None:
    """Of three runs and more, what can't be so by chance: that would be read over and over, and never say anything."""
    if len(runs) < 3:
        return
    if not any(run.watched.status for run in runs):
        raise Unusable(f"the answer holds {len(runs):,} runs, and none of them has a status")
    times = [run.created_at for run in runs]
    rises = all(a is not None and b is not None and a < b for a, b in pairwise(times))
    if rises and paging.more:
        raise Unusable("the answer holds the oldest runs first, though the newest were asked for")


def _is_later(run: SyncRun, other: SyncRun) -> bool:
    return run.updated_at is not None and (other.updated_at is None or run.updated_at > other.updated_at)


def one_run(body: bytes, api: ApiVersion = ApiVersion.V1) -> SyncRun:
    """Reads an answer to "Fetch sync run". Raises Unusable where there is no run."""
    document = decode(body)
    item = document.get("data") if isinstance(document, dict) else None
    run = _run(item, None, api)
    if run is None:
        raise Unusable("the answer holds no sync run")
    return run


def syncs_page(body: bytes, number: int = 1, group: str | None = None) -> SyncsPage:
    """Reads an answer to "List syncs", page `number`, of a `group` if one was asked for. Raises Unusable as
    `runs_page`."""
    items, paging = _listed(body, number)
    read = [(sync, item) for item in items if (sync := _read_sync(item)) is not None]
    _must_be_readable(len(read), len(items))
    foreign = {sync.id for sync, _ in read if None not in (group, sync.group_id) and sync.group_id != group}
    own = [(sync, item) for sync, item in read if sync.id not in foreign]
    prints = {sync.id: _fingerprint(item) for sync, item in own}
    return SyncsPage(tuple(_sync(sync) for sync, _ in own), paging, len(items) - len(read), frozenset(foreign), prints)


def _fingerprint(item: Any) -> int:
    try:
        return hash(orjson.dumps(item))
    except TypeError:  # an integer beyond 64 bits
        return hash(json.dumps(item))


def _listed(body: bytes, number: int) -> tuple[list[Any], Paging]:
    document = decode(body)
    items = document.get("data") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise Unusable("the answer holds no list")
    paging = _paging(document, len(items))
    if not items and number == 1 and (paging.total or 0) > 0:
        raise Unusable(f"the answer holds an empty list, and says that there are {paging.total:,} in it")
    return items, paging


def _must_be_readable(readable: int, items: int) -> None:
    """A list of which nothing can be read says nothing, least of all that there is nothing."""
    if items and not readable:
        raise Unusable(f"the answer holds a list of {items:,}, and none of them has an ID that can be read")


def _run(item: Any, sync_id: Id | None, api: ApiVersion) -> SyncRun | None:
    """What we read of a run; the rest travels along as it came. None without an ID.

    By hand: a poll that shows a change reads five of them, and a pydantic model takes more than twice as long, as all
    that it could do is to call these same functions.
    """
    if not isinstance(item, dict):
        return None
    field = item.get
    run_id, of_sync = id_of(field("id")), sync_id if sync_id is not None else id_of(field("sync_id"))
    if run_id is None or of_sync is None:
        return None
    errors = (_text(field("error_code")), _text(field("error_message")), _text(field("error_detail")))
    watched = Watched(_text(field("status")), _truth(field("canceled")), *errors)
    invalid = _number(field("records_invalid"))
    if invalid is None:
        invalid = _number(field("source_record_invalids"))
    records = Records(_number(field("records_processed")), _number(field("records_failed")), invalid)
    times = (parsed_time(field("created_at")), parsed_time(field("updated_at")), parsed_time(field("completed_at")))
    return SyncRun(run_id, of_sync, watched, *times, item, records, _known_truth(field("full_sync")), api)


def _read_sync(item: Any) -> _Sync | None:
    if not isinstance(item, dict):
        return None
    try:
        return _Sync.model_validate(item)
    except ValidationError:
        return None


def _sync(sync: _Sync) -> Sync:
    scheduled = (sync.schedule_frequency or _frequency(sync.mode) or "").lower() != "never"
    status = None if sync.status is None else intern(sync.status)  # thousands of syncs have the same few
    return Sync(sync.id, sync.label, status, bool(sync.paused), sync.created_at, scheduled)


def _frequency(mode: object) -> str | None:
    """`mode.triggers.schedule.frequency`, where a sync's newer shape says how often it runs."""
    for key in ("triggers", "schedule", "frequency"):
        mode = mode.get(key) if isinstance(mode, dict) else None
    return mode if isinstance(mode, str) else None


def _paging(document: dict[str, Any], count: int) -> Paging:
    paging = document.get("pagination")
    if not isinstance(paging, dict):
        return Paging(more=None if count else False, total=None)
    total = paging.get("total_records")
    page, last = paging.get("page"), paging.get("last_page")
    more: bool | None = None
    if "next_page" in paging:
        more = paging["next_page"] is not None
    elif isinstance(page, int) and isinstance(last, int):
        more = page < last
    return Paging(more, _count(total), _count(last))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
