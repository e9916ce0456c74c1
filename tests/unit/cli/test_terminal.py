"""What a terminal is shown: never what it would obey, never more than there is room for."""

import io
import json
import sys
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from notifier.cli import terminal
from notifier.cli.events import what_changed
from notifier.cli.terminal import (
    LONGEST_CELL,
    ago,
    brief,
    long,
    plain,
    print_json,
    print_json_array,
    short,
    styled,
    table,
)
from notifier.model.run import Change, WatchedValue
from tests.builders import NOW

OBEYED = [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]


def shown(*args: object, width: int = 80) -> str:
    """What a terminal of that width gets, without the spaces that fill a line."""
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    console.print(*args)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


# --- text of others ---


@given(st.text())
def test_plain_text_holds_nothing_that_a_terminal_obeys_and_is_one_line(text: str) -> None:
    assert not {ord(character) for character in plain(text)} & set(OBEYED)
    assert len(plain(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "Snowflake · accounts → Ünï 顧客 👩‍💻",
            "Snowflake · accounts → Ünï 顧客 👩‍💻",
            id="letters of all languages",
        ),
        pytest.param("a\x1b[2Jb\x9b31mc\x1b]0;title\x07", "abc", id="escape sequences"),
        pytest.param("a\x07b\0c\x0bd", "a b c d", id="control characters"),
        pytest.param("one\r\n\ttwo\u2028three ", "one two three", id="lines"),
        pytest.param("user\u202etxt.exe", "user�txt.exe", id="a turn of direction"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_text_of_others_is_shown_as_it_is_but_for_what_a_terminal_obeys(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_cell_is_neither_markup_nor_an_emoji_whoever_styled_it() -> None:
    rows = [("[red]a[/] :smile:", Text("[b]\x1b[0m\u202e", "red"))]
    assert shown(table(long("label"), long("note"), rows=rows)).splitlines()[1] == "[red]a[/] :smile:  [b]�"


def test_a_style_hides_no_end_of_a_sequence() -> None:
    rows = [(styled("a\x1b]0;title\x07b", "red"),)]
    assert shown(table(long("label"), rows=rows)).splitlines()[1] == "ab"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert brief("word " * 100, 11) == "word word…"
    assert brief("x" * 11, 11) == "x" * 11
    assert brief(None) == ""
    text = shown(table(long("note"), rows=[("x" * 1_000,)]), width=1_000)
    assert text.splitlines()[1] == "x" * (LONGEST_CELL - 1) + "…"


# --- tables ---


def test_columns_without_anything_in_them_leave_their_room_to_others() -> None:
    rows: list[tuple[str | Text, ...]] = [("1", "", "a"), ("2", Text("", "red"), "b")]
    assert shown(table(short("id"), long("note"), long("label"), rows=rows)) == "id  label\n1   a\n2   b"
    assert shown(table(short("id"), long("note"), rows=[])) == "id  note"


def test_short_columns_stay_whole_where_long_ones_have_to_wrap() -> None:
    text = shown(table(short("id"), long("label"), short("when"), rows=[("100012", "x" * 100, "3 min ago")]), width=40)
    assert text.splitlines()[1] == f"100012  {'x' * 21}  3 min ago"
    assert max(map(len, text.splitlines())) <= 40


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7_199, "119 min ago"),
        (7_200, "2 h ago"),
        (172_799, "47 h ago"),
        (172_800, "2 d ago"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_fits(seconds: float, expected: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == expected


# --- JSON ---


@pytest.mark.slow
@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_says_the_same_and_holds_nothing_that_a_terminal_obeys(document: object) -> None:
    stdout, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    try:
        print_json(document)
        print_json_array([document, document])
        sys.stdout.flush()
        assert isinstance(sys.stdout.buffer, io.BytesIO)
        text = sys.stdout.buffer.getvalue().decode()
    finally:
        sys.stdout = stdout
    assert not {ord(character) for character in text} & (set(OBEYED) - {ord("\n")})
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(text)
    assert (first, json.loads(text[end:])) == (document, [document, document])


def test_an_array_is_laid_out_as_the_json_module_does(capsys: pytest.CaptureFixture[str]) -> None:
    for documents in ([], [{"a": [1, "ü\n"]}, {"b": None}]):
        print_json_array(documents)
        assert capsys.readouterr().out == json.dumps(documents, indent=2, ensure_ascii=False) + "\n"


# --- progress ---


class Stream(io.StringIO):
    """Standard error, of a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("force_color", [None, "1"])
def test_what_is_waited_for_is_said_to_a_person_and_not_to_a_pipe(
    monkeypatch: pytest.MonkeyPatch, force_color: str | None
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if force_color:
        monkeypatch.setenv("FORCE_COLOR", force_color)
    person, pipe = Stream(terminal=True), Stream(terminal=False)
    for stream in (person, pipe):
        monkeypatch.setattr(sys, "stderr", stream)
        with terminal.waiting("Asking Census for the syncs of [red]\x1b[2J\u202e …"):
            pass
    assert "Asking Census for the syncs of [red]� …" in person.getvalue()
    assert pipe.getvalue() == ""


# --- events ---


def a_change(field: str, old: WatchedValue, new: WatchedValue) -> Change:
    return Change(field, old, new)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([a_change("status", None, "queued")], "new → queued"),
        (
            [a_change("status", "working", "failed"), a_change("error_code", None, "E1")],
            "working → failed, E1",
        ),
        ([a_change("status", "failed", "working"), a_change("error_code", "E1", None)], "failed → working"),
        (
            [a_change("status", "working", "completed"), a_change("canceled", None, True)],
            "working → completed, canceled",
        ),
        ([a_change("canceled", True, None)], "no longer canceled"),
        ([a_change("error_code", "E1", None)], "no error code any more"),
        ([a_change("error_message", "a", "b")], "another error text"),
    ],
    ids=str,
)
def test_the_changes_of_an_event_are_told_in_a_few_words(changes: list[Change], expected: str) -> None:
    assert what_changed(changes) == expected
