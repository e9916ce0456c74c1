"""What others wrote, before it is shown anywhere."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.model.foreign import error_line, safe, tidied, without_code

SEQUENCES = [
    pytest.param("\x1b[31m", id="colour"),
    pytest.param("\x1b[0m", id="reset"),
    pytest.param("\x1b[38;2;255;100;0m", id="true colour"),
    pytest.param("\x1b[38:2::255:100:0m", id="true colour with colons"),
    pytest.param("\x1b[?25l", id="private mode"),
    pytest.param("\x1b[2 q", id="with an intermediate"),
    pytest.param("\x1b[2J", id="clear"),
    pytest.param("\x9b31m", id="C1 CSI"),
    pytest.param("\x1b]0;a title\x07", id="OSC to BEL"),
    pytest.param("\x1b]0;a title\x1b\\", id="OSC to ST"),
    pytest.param("\x1b]0;a title\x9c", id="OSC to C1 ST"),
    pytest.param("\x9d0;a title\x9c", id="C1 OSC"),
    pytest.param("\x9d0;a title\x07", id="C1 OSC to BEL"),
    pytest.param("\x1b]8;;https://evil.example/?a=b\x1b\\", id="a link"),
    pytest.param("\x1bP1$r0m\x1b\\", id="DCS"),
    pytest.param("\x90q#0;2\n#1\x9c", id="C1 DCS of two lines"),
    pytest.param("\x1b_G a=T\x1b\\", id="APC"),
    pytest.param("\x1b^privacy\x1b\\", id="PM"),
    pytest.param("\x1bXstring\x1b\\", id="SOS"),
    pytest.param("\x1bc", id="reset of all"),
    pytest.param("\x1b7", id="save the cursor"),
    pytest.param("\x1b(B", id="a character set"),
    pytest.param("\x1b#8", id="a test picture"),
]


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_terminal_sequence_is_taken_out_whole(sequence: str) -> None:
    assert tidied(f"a{sequence}b {sequence}{sequence}c{sequence}") == "ab c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("\x1b]0;never ended", "0;never ended", id="a string without an end hides nothing"),
        pytest.param("\x9d0;never ended", " 0;never ended", id="nor does its C1 form"),
        pytest.param("cut \x1b[3", "cut ", id="a sequence that was cut"),
        pytest.param("cut \x1b", "cut ", id="an escape that was cut"),
        pytest.param("\x1b\x1b[31m[32mred", " [32mred", id="what is left makes no new one"),
        pytest.param("\x1b[\x1b[31mred", "red", id="one in another"),
        pytest.param("[31m is no sequence", "[31m is no sequence", id="brackets"),
    ],
)
def test_what_is_no_whole_sequence_hides_nothing_and_starts_none(text: str, expected: str) -> None:
    assert tidied(text) == expected


@pytest.mark.parametrize("control", ["\0", "\x07", "\x08", "\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\x91", "\0\x0b\0"])
def test_words_do_not_run_together_where_a_control_character_stood_between_them(control: str) -> None:
    assert tidied(f"one{control}two") == "one two"
    assert tidied(f"one {control} two") == "one two"


def test_lines_stay_lines_and_blank_ones_in_a_row_are_one() -> None:
    assert tidied("one\r\ntwo\rthree\u2028four\tfour\n\nfive") == "one\ntwo\nthree\nfour\tfour\n\nfive"
    assert tidied("one\n\n\n\n \t\n\x1b[0m\n\0\ntwo") == "one\n\ntwo"


@given(st.text(st.sampled_from("\x1b\x9b\x9d\x90\x9c\x07\\[]P^_X0;m \n\x00a")))
def test_no_control_character_is_left_whatever_stands_where(text: str) -> None:
    left = tidied(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", left)
    assert tidied(left) == left


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("E1", "E1", ""),
        ("E1", "E1: the disk is full", "the disk is full"),
        ("E1", "e1 - the disk is full", "the disk is full"),
        ("connection_failed", "connection_failed", ""),
        ("connection_failed", "Connection_Failed. Try again", "Try again"),
        ("Error", "Error -5", "-5"),
        ("E1", "E10 the disk", "E10 the disk"),
        ("E", "E_1: the disk", "E_1: the disk"),
        ("E1", "the disk: E1", "the disk: E1"),
        ("", "the disk", "the disk"),
        ("E1", "", ""),
    ],
)
def test_a_code_that_the_message_begins_with_is_said_once(code: str, message: str, expected: str) -> None:
    assert without_code(message, code) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("E1", "the disk is full", "at /data"), "E1: the disk is full"),
        (("E1", "E1", "at /data"), "E1: at /data"),
        (("E1", None, None), "E1"),
        ((None, "the\n disk\0is full", None), "the disk is full"),
        ((None, None, "Something happened"), "Something happened"),
        ((None, "", None), ""),
        (("\x1b[31mE1\x1b[0m", "E1: bad", None), "E1: bad"),
    ],
)
def test_an_error_in_a_line_says_something_whenever_any_field_does(
    fields: tuple[str | None, str | None, str | None], expected: str
) -> None:
    assert error_line(*fields) == expected


def test_an_error_in_a_line_is_cut() -> None:
    assert error_line("E1", "x" * 1_000, most=20) == "E1: " + "x" * 15 + "…"


MARKS = ("\u061c", "\u200e", "\u200f", "\u2028", "\u202e", "\u2069", "\ufeff", "\ud800", "\x7f", "\x9b")


@pytest.mark.parametrize("mark", MARKS)
def test_no_character_that_changes_how_others_look_is_shown(mark: str) -> None:
    for text in (f"a{mark}b", f"{mark}b", f"a{mark}"):
        assert mark not in safe(text)
        assert mark not in safe(text, "")


def test_a_mark_of_direction_leaves_a_sign_that_it_was_there_or_nothing() -> None:
    assert safe("paid\u202efdp.exe") == "paid\N{REPLACEMENT CHARACTER}fdp.exe"
    assert safe("paid\u202efdp.exe", "") == "paidfdp.exe"
