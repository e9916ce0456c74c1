"""Who of several workers has which part of the work. Pure, and the same whoever computes it.

Each has as many parts of a kind as the others, or one more; and as many in all, or one more. What somebody has stays
his as long as that allows it, so that parts move only when a worker comes or goes.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

from notifier.model.part import kind_of


def share_out(parts: Mapping[str, str | None], workers: Collection[str]) -> dict[str, str]:
    """By part, who is to have it. `parts`: who has each now, None for nobody; `workers`: the IDs of all who may."""
    plan: dict[str, str] = {}
    if not workers:
        return plan
    kinds: defaultdict[str, dict[str, str | None]] = defaultdict(dict)
    for part in sorted(parts):
        owner = parts[part]
        kinds[kind_of(part)][part] = owner if owner in workers else None
    total = dict.fromkeys(sorted(workers), 0)
    for kind in sorted(kinds):
        shared = _share_out_kind(kinds[kind], total)
        plan |= shared
        for worker in shared.values():
            total[worker] += 1
    return plan


def _share_out_kind(parts: Mapping[str, str | None], total: Mapping[str, int]) -> dict[str, str]:
    """`total`: how many parts of other kinds each worker is to have."""
    has: dict[str, list[str]] = {worker: [] for worker in total}
    for part, owner in parts.items():
        if owner is not None:
            has[owner].append(part)
    least, more = divmod(len(parts), len(total))
    # One more for those with the least in all; among these for those who have it already.
    first = sorted(total, key=lambda worker: (total[worker], len(has[worker]) <= least, worker))
    room = {worker: least + (place < more) for place, worker in enumerate(first)}
    plan = {part: worker for worker, own in has.items() for part in own[: room[worker]]}
    free = iter([part for part in parts if part not in plan])
    for worker in first:
        for _ in range(room[worker] - len(has[worker][: room[worker]])):
            plan[next(free)] = worker
    return plan
