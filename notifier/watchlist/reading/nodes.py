"""The YAML file as a tree that remembers where everything stands. Lines and columns count from 1."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from notifier.watchlist.scalars import HEADER_NAME

Path: TypeAlias = tuple[str | int, ...]
"""The way from the root to a value: keys and list indices."""


class Position(NamedTuple):
    """A place in the file."""

    line: int
    column: int


START: Final = Position(1, 1)


@dataclass(slots=True)
class ScalarNode:
    """A single value; `plain` is one without quotes, `comment` one that is empty, with a comment in its place."""

    position: Position
    text: str
    plain: bool
    comment: bool = False
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class RejectedNode:
    """A value that was reported while it was read."""

    position: Position
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class SequenceNode:
    """A list. `size` counts all nodes in it, those behind aliases as often as they are named; `height` the levels."""

    position: Position
    items: list["Node"] = field(default_factory=list)
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class MappingNode:
    """A mapping; of a key that stands twice, the first."""

    position: Position
    entries: dict[str, "Entry"] = field(default_factory=dict)
    size: int = 1
    height: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's place and its value."""

    key: Position
    value: "Node"


Node: TypeAlias = ScalarNode | RejectedNode | SequenceNode | MappingNode


def include(parent: SequenceNode | MappingNode, child: Node) -> None:
    """Keep the size and the height of a node whose child was read."""
    parent.size += child.size
    parent.height = max(parent.height, child.height + 1)


def locate(root: Node, path: Path, *, at_key: bool = False) -> Position:
    """Where a value (or its key) stands; for one that is missing, the key or list item that lacks it.

    An empty value is where its key is.
    """
    node, key = root, root.position
    for step in path:
        if isinstance(node, MappingNode) and isinstance(step, str) and step in node.entries:
            key, node = node.entries[step].key, node.entries[step].value
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            key = node.position
        else:
            return key
    nothing = isinstance(node, ScalarNode) and node.plain and not node.text  # the parser puts it on a later line
    return key if at_key or nothing else node.position


_BARE: Final = re.compile(r"[\w-]+")


def format_path(path: Sequence[str | int]) -> str:
    """`routes[0].receivers[0]`, `workspaces.production.api_key`; odd keys as in `labels["a b"]`.

    What is no header's name may be a header's value in the wrong place (`{Authorization Bearer …}`) and is left out.
    """
    match tuple(path):
        case ("receivers", _, "headers", name, *_) if not HEADER_NAME.fullmatch(str(name)):
            path = path[:3]
        case _:
            pass
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step)}]"
    return text
