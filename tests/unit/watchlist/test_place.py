"""A database that a command names by itself, as a watchlist would."""

import re
from pathlib import Path

import pytest

from notifier.watchlist.database import ServerUrl
from notifier.watchlist.reading.place import place_of

URL = "postgresql://notifier:canary@host/name"


def test_a_variable_is_filled_in_and_a_file_that_one_names(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(f"{URL}\n")
    assert place_of("sqlite:///data/n.db", {}) == Path("data/n.db")
    assert place_of("${OLD}", {"OLD": URL}) == ServerUrl(URL)
    assert place_of("${OLD}", {"OLD_FILE": str(secret)}) == ServerUrl(URL)
    assert place_of("postgresql://notifier:${PASSWORD}@host/name", {"PASSWORD": "canary"}) == ServerUrl(URL)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${OLD}", "OLD is not set: set OLD or OLD_FILE"),
        ("${ODD}", "in the user and the password write %40 for @"),
        ("", "must start with sqlite:///"),
        ("5", "must start with sqlite:///"),
        ("yes", "must start with sqlite:///"),
        ("{a: b}", "must start with sqlite:///"),
    ],
)
def test_what_is_wrong_is_said_without_the_value(value: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        place_of(value, {"ODD": "postgresql://notifier:canary@canary@host/name"})
    assert "canary" not in str(raised.value)
