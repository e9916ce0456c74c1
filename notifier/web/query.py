"""The parameters of the JSON endpoints: the commands' options, by the same names. Pure.

Whatever is wrong with one is a WrongParameter whose sentence is for the caller.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from notifier.model.delivery import DeliveryState
from notifier.model.event import EventType
from notifier.model.identity import NO_ID, Id, id_of
from notifier.web.documents import types_named

USUAL_LIMIT: Final = 50
LARGEST_LIMIT: Final = 200
Parameters = Mapping[str, str]


class WrongParameter(Exception):
    """The request asks for something that there is not; its text says what there is."""


def parameters(pairs: Sequence[tuple[str, str]], known: Collection[str]) -> Parameters:
    """The parameters of a request, each known and there once."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            listed = f"known are {', '.join(sorted(known))}" if known else "there are none here"
            raise WrongParameter(f"there is no such parameter; {listed}")
        if name in given:
            raise WrongParameter(f"{name} is given twice")
        given[name] = value
    return given


def limit_of(given: Parameters) -> int:
    """How many, newest first."""
    return _number(given, "limit", 1, LARGEST_LIMIT) or USUAL_LIMIT


def sync_of(given: Parameters) -> Id | None:
    if "sync" not in given:
        return None
    identity = id_of(given["sync"])
    if identity is None:
        raise WrongParameter(f"sync {NO_ID}")
    return identity


def types_of(given: Parameters) -> list[EventType] | None:
    """A name or a glob."""
    try:
        return types_named(given["type"]) if "type" in given else None
    except ValueError as error:
        raise WrongParameter(str(error)) from None


def delivery_state_of(given: Parameters) -> DeliveryState | None:
    if "state" not in given:
        return None
    try:
        return DeliveryState(given["state"])
    except ValueError:
        raise WrongParameter(f"state must be one of {', '.join(DeliveryState)}") from None


def flag_of(given: Parameters, name: str) -> bool:
    """A switch, off where it is not given."""
    if given.get(name, "false") not in ("true", "false"):
        raise WrongParameter(f"{name} must be true or false")
    return given.get(name) == "true"


def _number(given: Parameters, name: str, least: int, most: int) -> int | None:
    if name not in given:
        return None
    text = given[name]
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not is_number or not least <= int(text) <= most:
        raise WrongParameter(f"{name} must be a whole number from {least} to {most}")
    return int(text)
