"""Paging as the API documents it: from page 1, 0 is read as 1, 25 a page unless asked, 100 at most.

What is no number is read as Ruby's `to_i` reads it, that is as 0 or as its leading digits: the API documents no error
for a parameter, so none is made up.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

DEFAULT_PER_PAGE: Final = 25
MOST_PER_PAGE: Final = 100

_LEADING_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,18})", re.ASCII)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for, after the API's own reading of the query."""

    page: int
    per_page: int
    ascending: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page stands among all; the fields of the API's `pagination`."""

    total_records: int
    per_page: int
    prev_page: int | None
    page: int
    next_page: int | None
    last_page: int


def read_page_request(query: Mapping[str, str]) -> PageRequest:
    """The page that a query asks for."""
    per_page = _integer(query.get("per_page"))
    return PageRequest(
        page=max(_integer(query.get("page")), 1),
        per_page=min(per_page, MOST_PER_PAGE) if per_page > 0 else DEFAULT_PER_PAGE,
        ascending=query.get("order") == "asc",
    )


def cut(oldest_first: Sequence[_T], asked: PageRequest) -> tuple[Sequence[_T], Page]:
    """The asked page of a list that is kept oldest first; a page past the last one is empty."""
    total = len(oldest_first)
    last = max(-(-total // asked.per_page), 1)
    start = (asked.page - 1) * asked.per_page
    if asked.ascending:
        part = oldest_first[start : start + asked.per_page]
    else:
        part = oldest_first[max(total - start - asked.per_page, 0) : max(total - start, 0)][::-1]
    return part, Page(
        total_records=total,
        per_page=asked.per_page,
        prev_page=asked.page - 1 if 1 < asked.page <= last else None,
        page=asked.page,
        next_page=asked.page + 1 if asked.page < last else None,
        last_page=last,
    )


def _integer(text: str | None) -> int:
    found = _LEADING_INTEGER.match(text or "")
    return int(found.group(1)) if found else 0
