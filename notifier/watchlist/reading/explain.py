"""Validation errors of pydantic as mistakes that a person can mend. No input is ever taken from the error itself."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from pydantic import ValidationError

from notifier.model.incident import Check
from notifier.watchlist.checks import SETTINGS, Checks, WatchChecks
from notifier.watchlist.models import (
    APP_URLS,
    CROSS_FIELD,
    VERSION_1,
    DeliverySettings,
    HeartbeatSettings,
    Route,
    SyncSelector,
    Watch,
    Watchlist,
    Workspace,
)
from notifier.watchlist.part import Part
from notifier.watchlist.reading.nodes import Path
from notifier.watchlist.reading.wording import Mistake, Quotes, closest, meant_mention
from notifier.watchlist.receivers import RECEIVERS, SlackWebhookReceiver
from notifier.watchlist.scalars import COMMENT, EMPTY, UNRESOLVED, FromEnvironment, plain_value
from notifier.watchlist.server import LifecycleWebhook, Server
from notifier.watchlist.values import EVENT_NAMES

Data = Mapping[str, object]
_NOTHING: Final = object()
_OPTIONAL_EMPTY: Final = "has no value; give one, or leave it out"


def explain(invalid: ValidationError, data: Data, quotes: Quotes) -> Iterator[Mistake]:
    """One mistake for each error, except those that say again what was already reported."""
    for error in invalid.errors(include_url=False, include_input=False):
        path, at_key = _path(error["loc"], error["type"])
        value = _value_at(data, path)
        if _says_nothing_new(error["type"], path, value, data):
            continue
        if value in (EMPTY, COMMENT) and error["type"] != "extra_forbidden":
            yield Mistake(path, _without_value(path, data, comment=value is COMMENT))
            continue
        yield Mistake(path, _message(cast("Mapping[str, Any]", error), path, value, data, quotes), at_key)


def _without_value(path: Path, data: Data, *, comment: bool) -> str:
    if comment:
        return 'has no value: after " #" all is a comment; put quotes around a value that begins with "#"'
    part = _part_at(path[:-1], data)
    field = part.model_fields.get(str(path[-1])) if part is not None else None
    return "has no value; give one" if field is not None and field.is_required() else _OPTIONAL_EMPTY


def _says_nothing_new(kind: str, path: Path, value: object, data: Data) -> bool:
    if value is UNRESOLVED:
        return kind != "extra_forbidden"
    if kind in {"missing", "union_tag_not_found"}:
        return _is_misspelt(path, data)
    # pydantic counts the valid members only, and says why the others are not.
    return kind == CROSS_FIELD or (kind == "too_short" and bool(value))


def _path(loc: tuple[int | str, ...], kind: str) -> tuple[Path, bool]:
    """The path in the file: without the tags that pydantic adds for the members of a union."""
    at_key = kind == "extra_forbidden"
    if loc[-1:] == ("[key]",):
        loc, at_key = loc[:-1], True
    match loc:
        case ("receivers", str() as name, _, *rest):
            return ("receivers", name, *rest), at_key
        case ("receivers", str() as name) if kind.startswith("union_tag"):
            return ("receivers", name, "type"), at_key
        case ("checks", str() as check, _, *rest):
            return ("checks", check, *rest), at_key
        case ("watches", int() as index, "checks", str() as check, _, *rest):
            return ("watches", index, "checks", check, *rest), at_key
        case ("watches", int() as index, "syncs", _, *rest):
            return ("watches", index, "syncs", *rest), at_key
        case ("routes", int() as index, "syncs", int() as item, *_):
            return ("routes", index, "syncs", item), at_key
        case _:
            return loc, at_key


def _value_at(data: object, path: Path) -> object:
    """What stands there; UNRESOLVED also below such a value."""
    for step in path:
        if data is UNRESOLVED:
            return UNRESOLVED
        data = _child(data, step)
    return data


def _child(data: object, step: str | int) -> object:
    if isinstance(data, dict):
        return data.get(step, _NOTHING)
    if isinstance(data, tuple) and isinstance(step, int) and step < len(data):
        return data[step]
    return _NOTHING


def _part_at(path: Path, data: Data) -> type[Part] | None:
    """The class of the mapping at a path."""
    match path:
        case ():
            return Watchlist
        case ("delivery",):
            return DeliverySettings
        case ("heartbeat",):
            return HeartbeatSettings
        case ("server",):
            return Server
        case ("workspaces", _, "lifecycle_webhook"):
            return LifecycleWebhook
        case ("checks",):
            return Checks
        case ("watches", _, "checks"):
            return WatchChecks
        case ("checks", check) | ("watches", _, "checks", check):
            return SETTINGS.get(str(check))
        case ("workspaces", _):
            return Workspace
        case ("watches", _):
            return Watch
        case ("watches", _, "syncs"):
            return SyncSelector
        case ("routes", _):
            return Route
        case ("receivers", _):
            return RECEIVERS.get(str(_value_at(data, (*path, "type"))))
        case _:
            return None


def _keys_at(path: Path, data: Data) -> frozenset[str]:
    part = _part_at(path, data)
    return frozenset(part.model_fields) if part else frozenset()


def _is_misspelt(path: Path, data: Data) -> bool:
    """Whether the missing key is there under another spelling, which is reported as an unknown key."""
    *above, missing = path
    given = _value_at(data, tuple(above))
    known = _keys_at(tuple(above), data) or frozenset({"type"})
    return isinstance(given, dict) and any(
        closest(key, known - given.keys()) == missing for key in given.keys() - known
    )


def _message(error: Mapping[str, Any], path: Path, value: object, data: Data, quotes: Quotes) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path, data)
    if kind == "value_error":
        return _wrong_value(value, path, str(error["ctx"]["error"]), quotes)
    if kind in _LIMITS:
        return _LIMITS[kind](error["ctx"])
    if kind == "literal_error" and path[2:] == ("messages",) and _part_at(path[:2], data) is SlackWebhookReceiver:
        return "must be each: an incoming webhook can't edit what it posted; living messages need type: slack"
    if kind == "model_type" and path[-1:] == ("checks",) and value is False:
        return "must be a mapping; false turns off one check, as in {failing: false}"
    if kind == "union_tag_not_found":
        return f"is missing; give one of {', '.join(RECEIVERS)}"
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _WORDINGS:
        return _WORDINGS[kind](value, path, quotes)
    if kind == "check_kind" and value == "false" and not isinstance(value, FromEnvironment):
        return f"{error['msg']}; remove the quotes"
    if kind in {"syncs_kind", "sync_kind", "check_kind"}:
        return str(error["msg"])
    return "is not valid here"  # pydantic's own words could repeat the value


def _unknown_key(path: Path, data: Data) -> str:
    *above, key = path
    if isinstance(key, str) and key == "unreachable" and path[0] == "watches" and path[2:3] == ("checks",):
        return "belongs to the workspace, not to a sync; give it in the watchlist's own checks"
    given = _value_at(data, tuple(above))
    known = _keys_at(tuple(above), data)
    left = known - given.keys() if isinstance(given, dict) else known
    meant = closest(str(key), sorted(left)) or closest(str(key), sorted(known))
    return f'unknown key; did you mean "{meant}"?' if meant else f"unknown key; known are {', '.join(sorted(known))}"


def _wrong_value(value: object, path: Path, reason: str, quotes: Quotes) -> str:
    match path:
        case ("watches", _, "sync" | "sync_run") | ("routes", _, "syncs", _):
            return reason + _where_no_id(value, path, quotes)
        case _ if not isinstance(value, str):
            return reason
        case ("routes", _, "events" | "mention_on", _) | ("receivers", _, "mention_on", _):
            return quotes.unknown("event", value, EVENT_NAMES)
        case ("routes", _, "checks", _):
            return quotes.unknown("check", value, tuple(Check))
        case ("routes" | "receivers", _, "mentions", _):
            meant = meant_mention(value) if quotes.quote(value) is not None else None
            return f'is not a mention; did you mean "{meant}"?' if meant else reason
        case _:
            return reason


def _where_no_id(value: object, path: Path, quotes: Quotes) -> str:
    """What to do about a value that can be no ID."""
    if isinstance(value, bool | float):
        return "; put quotes around an ID that looks like another kind of value"
    if isinstance(value, str) and " " in value and path[-1] == "sync":
        label = quotes.quote(value) or '"Salesforce *"'
        return f"; to watch syncs by their label, say syncs: {{label: {label}}}"
    return ""


def _choice(value: object, path: Path, quotes: Quotes) -> str:
    match path:
        case ("version",):
            return VERSION_1
        case ("workspaces", _, "region"):
            return quotes.unknown("region", value, tuple(APP_URLS))
        case ("watches", _, "syncs"):
            return 'must be all, or a mapping such as {label: "Salesforce *"}; for one sync by its ID, say sync'
        case ("receivers", _, "messages"):
            return quotes.unknown("kind of messages", value, ("living", "each"))
        case ("receivers", _, "type"):
            return quotes.unknown("type of receiver", value, tuple(RECEIVERS))
        case _:
            return "is not one of the known values"


def _number(words: str) -> Callable[[object, Path, Quotes], str]:
    def wording(value: object, _path: Path, _quotes: Quotes) -> str:
        quoted = isinstance(value, str) and not isinstance(value, FromEnvironment)
        is_number = quoted and isinstance(plain_value(str(value)), int | float)
        return f"must be {words}; remove the quotes" if is_number else f"must be {words}"

    return wording


def _text(value: object, _path: Path, _quotes: Quotes) -> str:
    return "must be text; put it in quotes" if isinstance(value, int | float) else "must be text"


_WORDINGS: Final[Mapping[str, Callable[[object, Path, Quotes], str]]] = {
    "literal_error": _choice,
    "union_tag_invalid": _choice,
    "int_type": _number("a whole number"),
    "int_from_float": _number("a whole number"),
    "float_type": _number("a number"),
    "string_type": _text,
}


_LIMITS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than": lambda ctx: f"must be more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']:g}",
    "less_than_equal": lambda ctx: f"must not be more than {ctx['le']:,.0f}",
}
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "bool_type": "must be true or false, without quotes",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty; give at least one, or leave it out where it is optional",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping: key: value",
    "model_type": "must be a mapping: key: value",
    "model_attributes_type": "must be a mapping: key: value",
}
