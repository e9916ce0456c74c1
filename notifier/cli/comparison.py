"""What `check --online` says of two keys of a workspace: whether both versions of the API show the same. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from notifier.census.listing import Listing
from notifier.cli.both_keys import Comparison, NewestRuns, OtherKey
from notifier.cli.terminal import brief
from notifier.model.api_version import ApiVersion
from notifier.model.errors import CensusError
from notifier.model.identity import Id
from notifier.model.times import counted

MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Told:
    """A row of the table; `ok` is None where it is neither good nor bad."""

    ok: bool | None
    said: str


def compared(in_use: ApiVersion, listing: Listing | CensusError, other: OtherKey) -> Told | None:
    """Both in a line; None where one of them can't be read, as its own line says."""
    if isinstance(listing, CensusError) or isinstance(other.listing, CensusError):
        return None
    comparison = other.comparison
    if comparison is None:
        return Told(False, "both: can't be compared, see below")
    newest = comparison.newest
    if not comparison.same_syncs:
        only = [
            f"{counted(len(ids), 'sync')} only by version {version.number}"
            for ids, version in ((comparison.only_in_use, in_use), (comparison.only_other, other.version))
            if ids
        ]
        return Told(False, f"both: {', '.join(only)}; {_runs(newest)}")
    if not newest.of:
        return Told(True, "both: no syncs")
    are_sure = not newest.differ and not newest.unread
    return Told(True if are_sure else None, f"both: the same {counted(newest.of, 'sync')}; {_runs(newest)}")


def _runs(newest: NewestRuns) -> str:
    if not newest.of:
        return "none that both show"
    asked = len(newest.asked)
    of = "" if asked == newest.of else f" of {asked:,} of {newest.of:,}, watched ones first"
    bad = [f"{len(newest.differ):,} differ"] if newest.differ else []
    bad += [f"{len(newest.unread):,} can't be read"] if newest.unread else []
    return f"newest runs{of}: {', '.join(bad) or 'they agree'}"


def differences(in_use: ApiVersion, listing: Listing | CensusError, other: OtherKey) -> Iterator[str]:
    """What a person may want to look at, by name; and that a key fails that is not in use."""
    if isinstance(other.listing, CensusError):
        if isinstance(listing, Listing):
            yield (
                f"only the key of version {other.version.number} fails, which is not in use; the two can't be compared"
            )
        return
    comparison = other.comparison
    if comparison is None:
        yield from _why_not_compared(in_use, listing, other)
        return
    yield from _named(in_use, comparison.only_in_use, comparison.in_use)
    yield from _named(other.version, comparison.only_other, comparison.other)
    yield from _first(_differing(in_use, other.version, comparison), "the newest runs of {} differ too")
    yield from _first(_unread(comparison), "the runs of {} can't be read either")


def _why_not_compared(in_use: ApiVersion, listing: Listing | CensusError, other: OtherKey) -> Iterator[str]:
    flaws = [
        f"the list of syncs by version {version.number} is not complete: {shown.flaw}"
        for version, shown in ((in_use, listing), (other.version, other.listing))
        if isinstance(shown, Listing) and shown.flaw is not None
    ]
    if flaws or isinstance(listing, CensusError):
        yield from flaws
    else:
        yield f"the two lists of syncs differed, and that of version {in_use.number} could not be read a second time"


def _differing(in_use: ApiVersion, other: ApiVersion, comparison: Comparison) -> list[str]:
    return [
        f"the newest run of {_sync(sync_id, comparison.in_use)} is {mine or 'none'} by version {in_use.number} and "
        f"{theirs or 'none'} by version {other.number}, asked twice"
        for sync_id, (mine, theirs) in comparison.newest.differ.items()
    ]


def _unread(comparison: Comparison) -> list[str]:
    return [
        f"the runs of {_sync(sync_id, comparison.in_use)} can't be read by version {of.version.number}: {of.error}"
        for sync_id, of in comparison.newest.unread.items()
    ]


def _first(sentences: list[str], rest: str) -> Iterator[str]:
    yield from sentences[:MOST_NAMED]
    if len(sentences) > MOST_NAMED:
        yield rest.format(counted(len(sentences) - MOST_NAMED, "more sync"))


def _named(version: ApiVersion, only: tuple[Id, ...], listing: Listing) -> Iterator[str]:
    shows = f"only version {version.number} shows"
    yield from _first([f"{shows} {_sync(sync_id, listing)}" for sync_id in only], f"{shows} {{}}")


def _sync(sync_id: Id, listing: Listing) -> str:
    return f"sync {sync_id} ({brief(listing.syncs[sync_id].label)})"


def unlike(listing: Listing | CensusError, other: OtherKey) -> str | None:
    """Why a switch from one key to the other is not safe, where both work."""
    if isinstance(listing, CensusError) or isinstance(other.listing, CensusError):
        return None
    if other.comparison is None:
        return "whether its two keys show the same syncs can't be told, see above"
    if other.comparison.same_syncs:
        return None
    return "its two keys do not show the same syncs, see above; docs/v2.md says what to look at"
