"""One reading of a workspace's list of syncs after another, page by page."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from notifier.census.client import Answer, CensusClient, NotModified, Validators
from notifier.census.wire import SyncsPage
from notifier.model.identity import Id
from notifier.model.sync import Sync

MOST_LISTING_PAGES: Final = 1_000
AT_ONCE: Final = 8
"""Pages that are asked for together, so that polls are not kept waiting while a long list is read."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One reading of a workspace's syncs."""

    syncs: dict[Id, Sync]
    ended: bool
    """Whether it was read to its end."""
    flaw: str | None
    """Why it may lack some; None where it provably lacks none."""
    pages: int
    listed_at: datetime
    """By the API's clock."""
    source: str
    """What it is a list of, as the version of the API calls it."""
    foreign: frozenset[Id] = frozenset()
    """Syncs that it shows though they are of another group than the workspace's: as good as not there."""
    items: dict[Id, int] = field(default_factory=dict)
    """A fingerprint of all that it says of each sync, for this process. The same object as that of the reading before
    where all pages were the same."""

    @property
    def complete(self) -> bool:
        """Whether a sync that it lacks is not there."""
        return self.flaw is None


@dataclass(frozen=True, slots=True)
class _Page:
    """A page as it was read last."""

    fingerprint: int
    validators: Validators | None
    read: SyncsPage


@dataclass(slots=True)
class _Gathered:
    """What the pages of one reading hold together."""

    syncs: dict[Id, Sync] = field(default_factory=dict)
    foreign: set[Id] = field(default_factory=set)
    unreadable: int = 0
    total: int | None = None
    ended: bool = False
    adds_nothing: bool = False
    """Whether the last page held only what was known."""
    repeats: bool = False
    """Whether that is because the API does not page."""

    @property
    def is_over(self) -> bool:
        """Whether another page would bring nothing."""
        return self.ended or self.adds_nothing

    def add(self, page: SyncsPage) -> None:
        before = len(self.syncs) + len(self.foreign)
        self.syncs.update((sync.id, sync) for sync in page.syncs)
        self.foreign |= page.foreign
        self.unreadable += page.unreadable
        self.total = page.paging.total
        self.ended = page.paging.more is False or (not page.syncs and not page.foreign and not page.paging.more)
        self.adds_nothing = len(self.syncs) + len(self.foreign) == before
        self.repeats = self.adds_nothing and page.paging.more is None

    @property
    def flaw(self) -> str | None:
        """Why they may lack some."""
        count = len(self.syncs.keys() | self.foreign)
        if not self.ended:
            return f"it does not end, or repeats itself, after {count:,} syncs"
        if self.unreadable:
            return f"{self.unreadable:,} of {count + self.unreadable:,} syncs in it have no ID that can be read"
        if self.foreign and not self.syncs:
            return f"all {count:,} syncs in it say that they are of another group"
        if self.total is not None and count < self.total:
            return f"it holds {count:,} syncs, and says that there are {self.total:,}"
        return None


class ListingReader:
    """Reads a workspace's list of syncs again and again. A page whose bytes are those of last time is not decoded."""

    def __init__(self, client: CensusClient) -> None:
        self._client = client
        self._pages: dict[int, _Page] = {}
        self._items: dict[Id, int] = {}

    async def read(self, now: datetime, *, conditionally: bool = False) -> Listing:
        """Reads every page; `conditionally`: only where it is another than last time, as far as the API says so.

        Raises CensusError.
        """
        before, self._pages = self._pages, {}
        ahead: dict[int, tuple[_Page, datetime | None] | BaseException] = {}
        number, at_once, listed_at = 0, 1, now
        gathered = _Gathered()
        while number < MOST_LISTING_PAGES and not gathered.is_over:
            number += 1
            if number not in ahead:
                ahead = await self._ask(number, at_once, before, conditionally=conditionally)
            answer = ahead[number]
            if isinstance(answer, BaseException):
                raise answer
            self._pages[number], date = answer
            if number == 1:
                listed_at = date or now
            page = self._pages[number].read
            gathered.add(page)
            at_once = min(max((page.paging.last or 0) - number, 1), AT_ONCE)
        return Listing(
            gathered.syncs,
            gathered.ended or gathered.repeats,
            gathered.flaw,
            number,
            listed_at,
            self._client.version.source,
            frozenset(gathered.foreign - gathered.syncs.keys()),
            self._fingerprints(before),
        )

    async def _ask(
        self, first: int, many: int, known: dict[int, _Page], *, conditionally: bool
    ) -> dict[int, tuple[_Page, datetime | None] | BaseException]:
        """So many pages from the first one on, and the API's clock with each; or why one can't be read, which matters
        where the list goes on so far."""
        numbers = range(first, min(first + many, MOST_LISTING_PAGES + 1))
        asked = (self._page(n, known.get(n), conditionally=conditionally) for n in numbers)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return dict(zip(numbers, answers, strict=True))

    async def _page(self, number: int, known: _Page | None, *, conditionally: bool) -> tuple[_Page, datetime | None]:
        if known is None:
            return self._decoded(await self._client.syncs(page=number), number)
        answer = await self._client.syncs_unless(known.validators if conditionally else None, page=number)
        if isinstance(answer, NotModified):
            return known, answer.date
        if known.fingerprint == hash(answer.body):
            return replace(known, validators=answer.validators), answer.date
        self._client.is_another(known.validators, answer)
        return self._decoded(answer, number)

    def _decoded(self, answer: Answer, number: int) -> tuple[_Page, datetime | None]:
        read = self._client.version.syncs_page(answer.body, number)
        return _Page(hash(answer.body), answer.validators, read), answer.date

    def _fingerprints(self, before: dict[int, _Page]) -> dict[Id, int]:
        """Of each sync; the same object as before where nothing is another."""
        same = before.keys() == self._pages.keys() and all(
            page.read is before[number].read for number, page in self._pages.items()
        )
        if not same:
            self._items = {i: item for page in self._pages.values() for i, item in page.read.items.items()}
        return self._items


async def read_listing(client: CensusClient, now: datetime) -> Listing:
    """Reads the list once. Raises CensusError."""
    return await ListingReader(client).read(now)
