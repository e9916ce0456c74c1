"""A request to Slack, read: which method is called, with which arguments, by whom; and what is answered to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson
from aiohttp import web

API: Final = "/api/"
SERVICES: Final = "/services/"
WEBHOOK: Final = "incoming_webhook"
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Call:
    """`method` is one of the Web API, or "incoming_webhook"; `problem` is the error code of an unreadable body."""

    method: str
    path: str
    arguments: Mapping[str, Any]
    token: str | None
    problem: str | None

    @property
    def is_webhook(self) -> bool:
        """Whether it went to an incoming webhook and wants text for an answer."""
        return self.method == WEBHOOK


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `status` is None where the connection ends without an answer; `accepted` is whether Slack did as
    it was asked, whatever the answer says; `code` is "ok", the error code, or None where the answer has neither."""

    status: int | None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    accepted: bool = False


def json_answer(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer of the Web API."""
    accepted = value["ok"] is True
    return Answer(
        status,
        orjson.dumps(value),
        {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
        "ok" if accepted else value["error"],
        accepted,
    )


def text_answer(code: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer of an incoming webhook: the bare word."""
    return Answer(status, code.encode(), {"Content-Type": "text/html", **(headers or {})}, code, code == "ok")


def read_call(request: web.BaseRequest, body: bytes) -> Call | None:
    """What is asked; None for a path that is neither a method's nor a webhook's."""
    path = request.path
    if path.startswith(SERVICES):
        arguments, problem = _payload(request.content_type, body)
        return Call(WEBHOOK, path, arguments, None, problem)
    if path.startswith(API):
        given, problem = _body_arguments(request, body)
        arguments = dict(parse_qsl(urlsplit(request.path_qs).query, keep_blank_values=True)) | given
        return Call(path.removeprefix(API), path, arguments, _token(request, arguments), problem)
    return None


def _token(request: web.BaseRequest, arguments: Mapping[str, Any]) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return token
    argument = arguments.get("token")
    return argument if isinstance(argument, str) else None


def _body_arguments(request: web.BaseRequest, body: bytes) -> tuple[dict[str, Any], str | None]:
    if not body:
        return {}, None
    if request.content_type == "application/json":
        return _json_object(body)
    if request.content_type == _FORM:
        return _form(body)
    return {}, "invalid_post_type"


def _payload(content_type: str, body: bytes) -> tuple[dict[str, Any], str | None]:
    """A webhook's body is JSON, whatever type it claims, or a form whose field `payload` is JSON."""
    if content_type == _FORM:
        fields, problem = _form(body)
        body = fields.get("payload", "").encode()
        if problem is not None:
            return {}, problem
    return _json_object(body)


def _json_object(body: bytes) -> tuple[dict[str, Any], str | None]:
    # orjson refuses bad UTF-8 and lone surrogates, as Slack's own decoder does.
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}, "invalid_json"
    return (value, None) if isinstance(value, dict) else ({}, "json_not_object")


def _form(body: bytes) -> tuple[dict[str, Any], str | None]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict")), None
    except UnicodeDecodeError:
        return {}, "invalid_form_data"
