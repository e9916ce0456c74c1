"""Checks of decoded JSON that are put together from small ones and say what is wrong in Slack's manner.

A check takes a value and where it stands, and gives a sentence for each problem, none for a good value.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Check = Callable[[object, str], Iterator[str]]
Rule = Callable[[Mapping[str, Any], str], Iterator[str]]

_UNWRITABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""NUL, and halves of surrogate pairs: what UTF-8 can't carry or Slack does not store."""


def problem(sentence: str, where: str) -> str:
    """A sentence with its place."""
    return f"[ERROR] {sentence} [json-pointer:{where}]"


@dataclass(frozen=True, slots=True)
class Fields:
    """What an object holds; `rule` is asked about it as a whole when each of its fields is in order."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    rule: Rule | None = None


def string(least: int = 1, most: int | None = None) -> Check:
    """A text of so many characters."""

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield problem("must provide a string", where)
            return
        if len(value) < least:
            yield problem(f"must be more than {least - 1} characters", where)
        if most is not None and len(value) > most:
            yield problem(f"must be less than {most + 1} characters", where)
        if _UNWRITABLE.search(value):
            yield problem("must hold no NUL and no lone surrogate", where)

    return check


def matching(pattern: str, meaning: str, most: int | None = None) -> Check:
    """A text that a regular expression fits as a whole."""
    text, compiled = string(1, most), re.compile(pattern)

    def check(value: object, where: str) -> Iterator[str]:
        problems = list(text(value, where))
        yield from problems
        if not problems and not compiled.fullmatch(str(value)):
            yield problem(f"must be {meaning}", where)

    return check


def choice(*words: str | int) -> Check:
    """One of these."""

    def check(value: object, where: str) -> Iterator[str]:
        # By type too: to Python, True is 1.
        if not any(type(value) is type(word) and value == word for word in words):
            yield problem("must be a valid enum value", where)

    return check


def integer(least: int, most: int) -> Check:
    """A whole number in these bounds."""

    def check(value: object, where: str) -> Iterator[str]:
        if isinstance(value, bool) or not isinstance(value, int):
            yield problem("must provide an integer", where)
        elif not least <= value <= most:
            yield problem(f"must be a number from {least} to {most}", where)

    return check


def boolean(value: object, where: str) -> Iterator[str]:
    """True or false."""
    if not isinstance(value, bool):
        yield problem("must provide a boolean", where)


def array(item: Check, least: int, most: int | None = None) -> Check:
    """A list of so many."""

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield problem("must provide an array", where)
            return
        if len(value) < least:
            yield problem(f"no fewer than {least} items allowed", where)
        if most is not None and len(value) > most:
            yield problem(f"no more than {most} items allowed", where)
        for place, element in enumerate(value):
            yield from item(element, f"{where}/{place}")

    return check


def shape(fields: Fields) -> Check:
    """An object with these fields and no others."""
    known = {**fields.required, **fields.optional}

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield problem("must provide an object", where)
            return
        problems = [problem(f"missing required field: {name}", where) for name in fields.required if name not in value]
        for name, content in value.items():
            if name in known:
                problems += known[name](content, f"{where}/{name}")
            else:
                problems.append(problem(f"invalid additional property: {name}", where))
        if not problems and fields.rule is not None:
            problems += fields.rule(value, where)
        yield from problems

    return check


def one_of(variants: Mapping[str, Fields]) -> Check:
    """An object whose `type` says which fields it has."""
    checks = {
        name: shape(Fields({"type": choice(name), **fields.required}, fields.optional, fields.rule))
        for name, fields in variants.items()
    }

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield problem("must provide an object", where)
        elif "type" not in value:
            yield problem("missing required field: type", where)
        elif not isinstance(value["type"], str) or value["type"] not in checks:
            yield problem(f"unsupported type: {value['type']}", f"{where}/type")
        else:
            yield from checks[value["type"]](value, where)

    return check
