"""YAML text to a tree of nodes with positions, without building anything that the text asks for.

Composed from the parser's events, because the library's own composer recurses without a limit, expands aliases
unseen, and overlooks duplicate keys.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from notifier.model.errors import Problem, WatchlistError
from notifier.watchlist.reading.nodes import (
    START,
    Entry,
    MappingNode,
    Node,
    Path,
    Position,
    RejectedNode,
    ScalarNode,
    SequenceNode,
    format_path,
    include,
)
from notifier.watchlist.scalars import plain_value

MOST_NODES: Final = 100_000
DEEPEST: Final = 50
_MERGE: Final = "<<"
_COMMENT: Final = re.compile(r"[ \t]*:[ \t]+#")  # behind a key


def compose(text: str, file: str) -> tuple[MappingNode, list[Problem]]:
    """Read one document whose root is a mapping; also what is wrong with it that need not stop the reading.

    Raises WatchlistError with the one problem that did.
    """
    composer = _Composer(file, text, _events(text, file))
    root = composer.document()
    if isinstance(root, ScalarNode) and root.plain and plain_value(root.text) is None:
        composer.stop(START, "the file is empty; a watchlist has version, workspaces, watches and receivers")
    if not isinstance(root, MappingNode):
        composer.stop(root.position, "a watchlist must be a mapping: lines of the form key: value")
    return root, composer.problems


def _events(text: str, file: str) -> Iterator[Any]:
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except ReaderError as error:
        before = text[: error.position]
        position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        reason = "not valid YAML: a control character stands here"
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else START
        reason = _in_plain_words(error)
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError):
        # What the parser trips over itself (an escape beyond Unicode is a bare ValueError) is still wrong YAML.
        position, reason = START, "not valid YAML"
    else:
        return
    raise WatchlistError((Problem(position.line, position.column, "", reason, file),)) from None


_PLAIN_WORDS: Final = (
    ("mapping values are not allowed", 'a ":" is not allowed here; put quotes around a value that contains ": "'),
    ("sequence entries are not allowed", 'a list item ("- ") is not allowed here; check the indentation'),
    ("that cannot start any token", "no value can start with this character; use spaces to indent, quotes for text"),
    ("could not find expected", 'a ":" is missing after this key'),
    ("unexpected end of stream", "a quote is not closed"),
    ("expected <block end>", "the indentation does not fit the lines above, or a quote is too many"),
    ("expected ',' or", "a comma or a closing bracket is missing; inside of { } and [ ] put quotes around ${NAME}"),
    ("expected the node content", "a value is missing here"),
    ("unknown escape character", 'a backslash in double quotes starts an escape; write "\\\\" or use single quotes'),
)


def _in_plain_words(error: MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context or "").split())
    for phrase, words in _PLAIN_WORDS:
        if phrase in problem:
            return f"not valid YAML: {words}"
    # Without what the parser quotes: it may be part of a secret.
    unquoted = re.sub(r"(['\"]).*\1", "…", problem)
    return f"not valid YAML: {unquoted}" if unquoted else "not valid YAML"


class _Composer:
    def __init__(self, file: str, text: str, events: Iterator[Any]) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._text = text
        self._events = events
        self._anchors: dict[str, Node | None] = {}  # None: not yet closed
        self._nodes = 0

    def stop(self, position: Position, message: str) -> NoReturn:
        """Give up: what follows could not be trusted."""
        raise WatchlistError((Problem(position.line, position.column, "", message, self._file),))

    def document(self) -> Node:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), StreamEndEvent):
            return ScalarNode(START, "", plain=True)
        root = self._node(next(self._events), ())
        next(self._events)  # the document's end
        following = next(self._events)
        if isinstance(following, DocumentStartEvent):
            self.stop(_position(following), "a second document starts here; a watchlist is one document")
        return root

    def _node(self, event: NodeEvent, path: Path) -> Node:
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        if len(path) > DEEPEST:
            self.stop(_position(event), f"nested more than {DEEPEST} levels deep")
        self._count(event, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node: Node
        if isinstance(event, ScalarEvent):
            node = ScalarNode(_position(event), event.value, plain=event.style is None)
            if not _is_unicode(event.value):
                node = self._reject(event, path, "contains half a character (a lone surrogate)")
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(event, path)
        else:
            node = self._mapping(event, path)
        tag = getattr(event, "tag", None)  # which each of the three has, and their base class does not declare
        if tag is not None and tag != "!":
            node = self._reject(event, path, "tags (words after !) are not supported; put quotes around text")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: AliasEvent, path: Path) -> Node:
        if event.anchor not in self._anchors:
            self.stop(_position(event), "this alias (*) names no anchor (&) above it")
        node = self._anchors[event.anchor]
        if node is None:
            self.stop(_position(event), "this alias (*) stands inside of what it names")
        self._count(event, node.size)
        if len(path) + node.height > DEEPEST:  # a chain of aliases grows without a line that is deeply nested
            self.stop(_position(event), f"nested more than {DEEPEST} levels deep")
        return node

    def _sequence(self, start: SequenceStartEvent, path: Path) -> Node:
        node = SequenceNode(_position(start))
        while not isinstance(event := next(self._events), SequenceEndEvent):
            item = self._node(event, (*path, len(node.items)))
            node.items.append(item)
            include(node, item)
        return node

    def _mapping(self, start: NodeEvent, path: Path) -> Node:
        node = MappingNode(_position(start))
        merged: list[tuple[NodeEvent, Node]] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, path)
            name = self._key(key, event, path)
            value = self._node(next(self._events), path if name is None else (*path, name))
            include(node, value)
            if isinstance(value, ScalarNode) and value.plain and not value.text:
                value.comment = _COMMENT.match(self._text, event.end_mark.index) is not None
            if name is None:
                continue
            if name == _MERGE and isinstance(key, ScalarNode) and key.plain:
                merged.append((event, value))
            elif name in node.entries:
                line = node.entries[name].key.line
                self._report(event, (*path, name), f"this key is given twice; first in line {line}")
            else:
                node.entries[name] = Entry(_position(event), value)
        for event, value in merged:
            self._merge(node, value, event, path)
        return node

    def _key(self, key: Node, event: NodeEvent, path: Path) -> str | None:
        if isinstance(key, RejectedNode):
            return None
        if not isinstance(key, ScalarNode):
            self._report(event, path, "a key must be text, not a list or a mapping")
            return None
        if key.plain and not isinstance(plain_value(key.text), str):
            self._report(event, path, "a key must be text; put it in quotes")
            return None
        return key.text

    def _merge(self, into: MappingNode, value: Node, event: NodeEvent, path: Path) -> None:
        """`<<: *anchor` or `<<: [*one, *two]`: keys given here win, then those of the earlier mapping."""
        sources = value.items if isinstance(value, SequenceNode) else [value]
        for source in sources:
            if isinstance(source, MappingNode):
                for name, entry in source.entries.items():
                    into.entries.setdefault(name, entry)
            elif not isinstance(source, RejectedNode):
                self._report(event, (*path, _MERGE), "merges mappings: give an alias (*) of one, or a list of them")

    def _count(self, event: NodeEvent, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            self.stop(_position(event), f"too large: more than {MOST_NODES:,} values, aliases counted each time")

    def _reject(self, event: NodeEvent, path: Path, message: str) -> RejectedNode:
        self._report(event, path, message)
        return RejectedNode(_position(event))

    def _report(self, event: NodeEvent, path: Path, message: str) -> None:
        self.problems.append(Problem(*_position(event), format_path(path), message, self._file))


def _position(event: Event) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
