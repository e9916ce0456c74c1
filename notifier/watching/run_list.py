"""Reads a sync's list of runs back to its mark, however many runs came meanwhile and whatever its pages do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from notifier.census import wire
from notifier.census.client import PAGE, CensusClient
from notifier.judging.diff import Reading, dated, read_to_mark
from notifier.model.errors import Unusable
from notifier.model.identity import Id
from notifier.model.run import Snapshot, SyncRun
from notifier.model.sync import Mark
from notifier.store.watching import WatchingStore

MOST_NEWS: Final = 1_000
MOST_PAGES: Final = 60  # of a list that never ends, or whose server gives fewer a page than asked


@dataclass(frozen=True, slots=True)
class RunList:
    """What was read of a sync's runs."""

    listed: tuple[SyncRun, ...]
    """Newest first."""
    known: dict[Id, Snapshot]
    """The snapshots of all that is listed."""
    news: tuple[SyncRun, ...]
    """Oldest first."""
    complete: bool
    """Unless news may be missing below it."""
    walked: bool = False
    """Whether it took more than one page."""


class RunListReader:
    """Reads lists of one workspace; what is read twice counts once."""

    def __init__(self, workspace: str, client: CensusClient, store: WatchingStore) -> None:
        self._workspace = workspace
        self._client = client
        self._store = store

    async def read_back(self, sync_id: Id, page: wire.RunsPage, mark: Mark, latest: datetime) -> RunList:
        """From the first page, reads on a page of 100 at a time until the mark. No run was created after `latest`.

        Raises CensusError, StoreError.
        """
        known = await self._store.snapshots(self._workspace, [run.id for run in page.runs])
        reading = read_to_mark(page.runs, mark, known)
        is_all = page.paging.more is False and (page.paging.total or 0) <= len(page.runs) + page.unreadable
        if reading.reached or is_all:
            return RunList(page.runs, known, reading.news, complete=True)
        # From here on the first page is asked for anew, larger: it holds what the small one did, and what came since.
        for last_try in (False, False, True):
            read = await self._walk(sync_id, mark, dict(known), latest, settle=last_try)
            if read is not None:
                return read
        raise AssertionError("the last try settles")

    async def _walk(
        self, sync_id: Id, mark: Mark, known: dict[Id, Snapshot], latest: datetime, *, settle: bool
    ) -> RunList | None:
        """Pages from the newest run down to the mark. None where pages contradict each other, unless `settle`.

        A run that is deleted moves those below it up by one, onto a page that was read already: one would be missed.
        Nor is a page that shows nothing new, or the last one of a list that counts more runs than it showed, its end.
        """
        listed: dict[Id, SyncRun] = {}
        reading = Reading((), reached=False)
        ended, total, unreadable = False, None, 0
        for number in range(1, MOST_PAGES + 1):
            answer = await self._client.runs(sync_id, page=number, per_page=PAGE)
            page = self._client.version.runs_page(answer.body, sync_id, number)
            if total is not None and page.paging.total is not None and page.paging.total < total and not settle:
                return None
            total = page.paging.total
            unreadable += page.unreadable
            added = {run.id: dated(run, latest) for run in page.runs if run.id not in listed}
            known |= await self._store.snapshots(self._workspace, added)
            listed |= added
            reading = read_to_mark(tuple(listed.values()), mark, known)
            if not page.runs and page.paging.more:
                raise Unusable(f"page {number} of the list is empty, and says that there are more")
            ended = page.paging.more is False or not page.runs
            is_short = ended and (total or 0) > len(listed) + unreadable
            if not reading.reached and not settle and (is_short or (not ended and not added)):
                return None
            if reading.reached or ended or len(reading.news) > MOST_NEWS or (not added and number > 1):
                break
        return RunList(tuple(listed.values()), known, reading.news, complete=reading.reached or ended, walked=True)
