"""The Census API's answers, decided from the workspace's state: no sockets here.

Follows census-openapi.yaml and census-openapi-v2.yaml. Where the files are silent: a missing or wrong key gets
the plain text of Rails' token authentication, and so does nothing else; an unknown path, method or ID gets the
documented 404.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote, urlencode

import orjson

from notifier.simulator import paging
from notifier.simulator.defaults import ENDED
from notifier.simulator.stored import Stored
from notifier.simulator.workspace import UnknownObjectError, Workspace

PREFIX: Final = {"v1": "/api/v1", "v2": "/api/v2"}
JSON: Final = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Question:
    """A request, read: the path is the one under the version's prefix; `origin` is what the caller reached, http://HOST.

    `version`: v1 or v2; None for a path under neither.
    """

    version: str | None
    method: str
    path: str
    query: Mapping[str, str]
    authorization: str
    origin: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Retirement:
    """That version 1 answers no more, from a time on: what the vendor's documentation announces for 2027-01-15."""

    at: datetime
    status: int = 410


class Api:
    """Answers requests from a workspace's state, and changes that state where the API would."""

    def __init__(self, workspace: Workspace, keys: Mapping[str, str]) -> None:
        """`keys`: what each version that is served takes."""
        self._workspace = workspace
        self._expected = {version: f"Bearer {key}".encode() for version, key in keys.items()}
        self.retirement: Retirement | None = None

    def answer(self, question: Question, now: datetime) -> Answer:
        """The answer to one request at a time. Never raises for anything that a client can send."""
        expected = self._expected.get(question.version or "")
        if expected is None:
            return _not_found("No such path")
        if question.version == "v1" and self.retirement is not None and now >= self.retirement.at:
            said = {"status": self.retirement.status, "message": "This version of the API is no longer available"}
            return _json(self.retirement.status, said)
        if not hmac.compare_digest(question.authorization.encode("utf-8", "surrogateescape"), expected):
            return Answer(401, b"HTTP Token: Access denied.\n", "text/html; charset=utf-8")
        try:
            return self._route(question)
        except UnknownObjectError:
            return _not_found("The requested object was not found")

    def _route(self, question: Question) -> Answer:
        method = "GET" if question.method == "HEAD" else question.method
        match method, question.path.split("/")[1:]:
            case "GET", ["syncs"]:
                return self._list(question, self._of_group(question, self._workspace.listed()))
            case "GET", ["syncs", sync_id]:
                return _one(self._workspace.stored_sync(_known(sync_id)))
            case "GET", ["syncs", sync_id, "sync_runs"]:
                return self._list(question, self._workspace.runs_of(_known(sync_id)))
            case "POST", ["syncs", sync_id, "trigger"]:
                return self._trigger(_known(sync_id), question.body)
            case "GET", ["sync_runs", run_id]:
                return _one(self._workspace.stored_run(_known(run_id)))
            case "POST", ["sync_runs", run_id, "cancel"]:
                return self._cancel(_known(run_id))
            case "GET", ["sync_runs", run_id, "records"]:
                return self._records(_known(run_id), question.query)
            case _:
                return _not_found("No such path")

    @staticmethod
    def _of_group(question: Question, syncs: Sequence[Stored]) -> Sequence[Stored]:
        """Version 2 shows the syncs of the group that is asked for; a sync that names none belongs to each."""
        group = question.query.get("group_id")
        if question.version == "v1" or group is None:
            return syncs
        return [stored for stored in syncs if stored.value.get("group_id") in (None, group)]

    def _list(self, question: Question, oldest_first: Sequence[Stored]) -> Answer:
        part, page = paging.cut(oldest_first, paging.read_page_request(question.query))
        following = None
        if page.next_page is not None:
            query = dict(question.query) | {"page": page.next_page, "per_page": page.per_page}
            following = f"{question.origin}{PREFIX[question.version or '']}{question.path}?{urlencode(query)}"
        # Joined by hand: the objects are already JSON, and this is the answer that a benchmark asks for all the time.
        return Answer(
            200,
            b'{"status":"success","data":[%b],"pagination":%b,"next":%b}'
            % (b",".join([stored.json() for stored in part]), orjson.dumps(page), orjson.dumps(following)),
        )

    def _trigger(self, sync_id: str, body: bytes) -> Answer:
        run = self._workspace.add_run(
            sync_id,
            None,
            "queued",
            {
                "full_sync": _asks_for_full_sync(body),
                "sync_trigger_reason": {"ui_tag": "API", "ui_detail": "Triggered via the API"},
            },
        )
        return _json(200, {"status": "success", "data": {"sync_run_id": run["id"]}})

    def _cancel(self, run_id: str) -> Answer:
        run = self._workspace.stored_run(run_id).value
        if run.get("status") not in ENDED:
            # The vendor's sample of a canceled run: completed, and canceled.
            self._workspace.update_run(run_id, {"status": "completed", "canceled": True})
        return _json(200, {"status": "cancelled", "data": {}})

    def _records(self, run_id: str, query: Mapping[str, str]) -> Answer:
        records = self._workspace.records_of(run_id)
        if records is None:
            return _not_found("Sync Tracking is not enabled for this sync")
        wanted = [
            record
            for record in records
            if query.get("status") in (None, record.get("status"))
            and query.get("operation") in (None, record.get("operation"))
            and query.get("primary_identifier") in (None, record.get("identifier"))
        ]
        asked = paging.read_page_request({**query, "order": "asc"})
        return _json(200, {"status": "success", "data": list(paging.cut(wanted, asked)[0])})


def _known(text: str) -> str:
    """The ID in a path, as it was written: the workspace knows 52 by "52", and a word by itself."""
    return unquote(text)


def _asks_for_full_sync(body: bytes) -> bool:
    try:
        wish = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(wish, dict) and wish.get("force_full_sync") is True


def _one(stored: Stored) -> Answer:
    return Answer(200, b'{"status":"success","data":%b}' % stored.json())


def _not_found(message: str) -> Answer:
    return _json(404, {"status": 404, "message": message})


def _json(status: int, value: Any) -> Answer:
    return Answer(status, orjson.dumps(value))
