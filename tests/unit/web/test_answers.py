"""The server's JSON: one line, that `curl` may show on a terminal."""

import json

from hypothesis import given
from hypothesis import strategies as st

from notifier.web.answers import to_json

texts = st.text(st.characters() | st.sampled_from("\x1b\x7f\x9b\u202e\u2066\u200f\u2028\ud800\udfff\0\n"))


@given(document=st.dictionaries(texts, texts | st.none() | st.integers() | st.lists(texts)))
def test_json_says_the_same_and_holds_nothing_that_a_terminal_obeys(document: object) -> None:
    said = to_json(document).decode()
    assert json.loads(said) == document
    assert said.endswith("\n")
    assert not [
        letter
        for letter in said[:-1]
        if letter < " " or "\x7f" <= letter <= "\x9f" or letter in "\u202e\u2066\u200f\u2028"
    ]


def test_letters_stay_as_they_are() -> None:
    assert to_json({"label": "Zürich → 東京"}) == '{"label":"Zürich → 東京"}\n'.encode()
