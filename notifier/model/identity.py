"""What Census calls its objects, and where their pages are. Pure."""

import re
from typing import Final, TypeAlias
from urllib.parse import quote

Id: TypeAlias = int | str
"""The ID of a sync or a run: a number or a word. It says nothing but which one it is, and is never computed with."""

LONGEST_ID: Final = 200  # characters: what a page, a message and an index can bear
LARGEST_NUMBER: Final = 2**63 - 1  # the largest that JSON's readers all hold; larger ones are words of digits
NO_ID: Final = f"must be an ID: a positive whole number, or a word without spaces of {LONGEST_ID} characters at most"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")
_NO_WORD: Final = re.compile(r"-[0-9]+|0|\.\.?")  # numbers that are no IDs, and what is no part of a URL's path


def id_of(value: object) -> Id | None:
    """The ID that a value of the API, of the database or of a person is; None for what can be none.

    "52" is 52, so that a version of the API that writes numbers as text speaks of the same syncs; "007" is a word.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 < value <= LARGEST_NUMBER:
            return value
        value = str(value) if value.bit_length() < 1_000 else None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        return None
    if _NUMBER.fullmatch(value) and int(value) <= LARGEST_NUMBER:
        return int(value)
    is_word = value.isprintable() and " " not in value and not _NO_WORD.fullmatch(value)
    return value if is_word else None


def in_order(identity: Id) -> tuple[bool, int, str]:
    """Where it stands in a list for people: numbers first, by their size, then words."""
    return (False, identity, "") if isinstance(identity, int) else (True, 0, identity)


def in_path(identity: Id) -> str:
    """As a part of a URL."""
    return str(identity) if isinstance(identity, int) else quote(identity, safe="")


def sync_page(app_url: str, sync_id: Id) -> str:
    """The page of a sync in Census. `app_url`: scheme and host of Census' pages."""
    return f"{app_url}/syncs/{in_path(sync_id)}/history"


def run_page(app_url: str, sync_id: Id, run_id: Id) -> str:
    """The page of a run in Census: the vendor's own Airflow provider links so."""
    return f"{sync_page(app_url, sync_id)}?sync_run_id={in_path(run_id)}"
