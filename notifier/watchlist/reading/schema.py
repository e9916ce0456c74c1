"""The watchlist's JSON Schema, from the same models that the loader uses."""

from typing import Any, Final

from notifier.watchlist.models import Watchlist
from notifier.watchlist.values import INTERPOLATED

_READ_FROM_TEXT: Final = frozenset({"integer", "number", "boolean"})
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def watchlist_schema() -> dict[str, Any]:
    """JSON Schema for editors. What the loader accepts, it accepts; names and secrets only the loader can check.

    Where text has a fixed form, and where a number or a boolean is due, text with `${` will do too.
    """
    schema: dict[str, Any] = _adapted(Watchlist.model_json_schema())
    return {"$schema": _DIALECT, **schema, "title": "Census notifier watchlist"}


def _adapted(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_adapted(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = _without_null(_any_of({key: _adapted(value) for key, value in schema.items()}))
    return _or_interpolated(schema) if _is_strict_scalar(schema) else schema


def _any_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Members that differ by the kind of their value: text with `${` may fit several of them, which `oneOf` forbids."""
    members = schema.get("oneOf")  # a list of members, except under `properties`; of a model, which keys exclude others
    if not isinstance(members, list) or {"discriminator", "properties"} & schema.keys():
        return schema
    flat = [one for member in members for one in (member["anyOf"] if member.keys() == {"anyOf"} else [member])]
    flat.sort(key=lambda member: "$ref" not in member)  # what an editor fills in first
    others = {key: value for key, value in schema.items() if key != "oneOf"}
    return {**others, "anyOf": flat}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A key that may be left out has no null: a key without a value is an error."""
    members = schema.get("anyOf")
    if not isinstance(members, list) or {"type": "null"} not in members:
        return schema
    rest = [member for member in members if member != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**others, **rest[0]} if len(rest) == 1 else {**others, "anyOf": rest}


def _is_strict_scalar(schema: dict[str, Any]) -> bool:
    """Numbers, booleans, words of a list; not the `type` of a receiver, by which an editor chooses."""
    kind = schema.get("type")  # under `properties`, the schema of a key named "type"
    return isinstance(kind, str) and (kind in _READ_FROM_TEXT or (kind == "string" and "enum" in schema))


def _or_interpolated(schema: dict[str, Any]) -> dict[str, Any]:
    about = {key: value for key, value in schema.items() if key in {"title", "description", "default"}}
    strict = {key: value for key, value in schema.items() if key not in about}
    return {**about, "anyOf": [strict, INTERPOLATED]}
