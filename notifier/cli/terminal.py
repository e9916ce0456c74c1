"""What every command shows things with: tables and progress for a person, JSON for a program.

Labels and errors are written by others. None of their text is read as markup or obeyed by the terminal as an escape
sequence, and none turns the direction of a line around.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from textwrap import indent
from typing import Final

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from notifier.model.foreign import ELLIPSIS, disarmed_json, safe

MOST_SHOWN: Final = 50  # rows, where the command line does not say
LONGEST_CELL: Final = 160  # characters; the whole text is in the JSON
LONGEST_SHORT_TEXT: Final = 48
DASH: Final = "-"  # in a cell that has nothing to say while its column has


def console(*, stderr: bool = False) -> Console:
    """Rich's console, as the environment has it (NO_COLOR, FORCE_COLOR, TERM, pipes), which shows text as it is."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def plain(text: str) -> str:
    """The text on one line, without anything that a terminal obeys."""
    return " ".join(safe(text).split())


def brief(text: str | None, most: int = LONGEST_SHORT_TEXT) -> str:
    """The text on one line, made plain and cut to `most` characters."""
    shown = plain(text or "")
    return shown if len(shown) <= most else shown[: most - 1].rstrip() + ELLIPSIS


def styled(text: str, style: str) -> Text:
    """A cell of text of others in a style. Rich's own Text drops single control characters, and so the ends of
    sequences by which they are known as such."""
    return Text(plain(text), style)


def short(header: str) -> Column:
    """A column that stays whole: numbers, states, times."""
    return Column(header, no_wrap=True)


def long(header: str) -> Column:
    """A column that takes the room that is left and wraps: names, labels, errors."""
    return Column(header, overflow="fold")


def table(*columns: Column, rows: Iterable[Sequence[str | Text]], title: str = "") -> Table:
    """A table of cells that are safe to show. Columns with nothing in them are left out, to give the others room."""
    cells = [[_cell(value) for value in row] for row in rows]
    used = [place for place in range(len(columns)) if not cells or any(row[place] for row in cells)]
    made = Table(
        *(columns[place] for place in used),
        title=title or None,
        title_justify="left",
        title_style="bold cyan",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    for row in cells:
        made.add_row(*(row[place] for place in used))
    return made


def _cell(value: str | Text) -> Text:
    text, style = (value.plain, value.style) if isinstance(value, Text) else (value, "")
    return Text(brief(text, LONGEST_CELL), style)


def ago(time: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits: 3 min ago."""
    seconds = max(0, int((now - time).total_seconds()))
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def show_newest(shown: Table, *, more: bool, nothing: str) -> None:
    """The newest of something, with a hint where there is `more`; or the sentence that there is `nothing`."""
    out = console()
    out.print(shown if shown.row_count else nothing)
    if more:
        out.print(f"The newest {shown.row_count}; --limit shows more, --json all.", style="dim")


@contextmanager
def waiting(sentence: str) -> Iterator[None]:
    """Says on standard error what is waited for meanwhile, where a person looks at it; nothing in a pipe or a file."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(Text(plain(sentence))):
        yield


def print_json(document: object) -> None:
    """One document."""
    typer.echo(_json(document))


def print_json_array(documents: Iterable[object]) -> None:
    """An array, an element at a time: a year of events need not be in memory as text."""
    separator = "[\n"
    for document in documents:
        typer.echo(separator + indent(_json(document), "  "), nl=False)
        separator = ",\n"
    typer.echo("[]" if separator == "[\n" else "\n]")


def _json(document: object) -> str:
    """Letters as they are where the output takes them; what a terminal obeys as JSON's escapes, which say the same."""
    ascii_only = sys.stdout.encoding.lower() != "utf-8"
    return disarmed_json(json.dumps(document, indent=2, ensure_ascii=ascii_only))
