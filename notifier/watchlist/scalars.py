"""What stands in the watchlist's data beside plain values, and how YAML 1.2 reads an unquoted word."""

import re
from typing import Final

Scalar = str | int | float | bool | None

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


class FromEnvironment(str):
    """Text that `${NAME}` had a part in: never shown in a message, and read as a number where one is due."""

    __slots__ = ()


class Absent:
    """Stands where a value should be, so that validation fails there and nowhere else."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


EMPTY: Final = Absent("EMPTY")
"""A key or list item without a value. None would pass for "left out", which means something else."""

COMMENT: Final = Absent("COMMENT")
"""As EMPTY, where a comment stands in the value's place: `channel: #data-syncs`, most likely meant to be the value."""

UNRESOLVED: Final = Absent("UNRESOLVED")
"""A value that was already reported: whatever validation says about it is not worth saying."""

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))")
_LONGEST_NUMBER: Final = 300  # a float needs no more digits, and int() refuses some thousands


def plain_value(text: str) -> Scalar:
    """Read an unquoted scalar by YAML 1.2's core schema (chapter 10.3.2): `on` and `yes` are words."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def as_number(value: object) -> object:
    """Read interpolated text as the number it spells; everything else, a quoted "60" too, stays what it is."""
    if not isinstance(value, FromEnvironment):
        return value
    number = plain_value(value)
    return number if isinstance(number, int | float) else value
