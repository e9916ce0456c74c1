"""The whole list of a workspace's syncs as one value: what a worker shows of a workspace that another one watches."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson

from notifier.model.identity import Id
from notifier.model.sync import Sync

QUICK: Final = 1  # zlib's level: three times as quick as its usual one, for a tenth more


@dataclass(frozen=True, slots=True)
class SyncAsListed:
    """A sync as Census listed it to the worker that watches its workspace."""

    workspace: str
    id: Id
    label: str | None
    status: str | None
    paused: bool
    watched: bool


def packed(listed: Iterable[tuple[Sync, bool]]) -> bytes:
    """A list of syncs, and whether each is watched. The same list is always the same bytes."""
    syncs = [
        {"id": sync.id, "label": sync.label, "status": sync.status, "paused": sync.paused, "watched": watched}
        for sync, watched in listed
    ]
    return zlib.compress(orjson.dumps(syncs), QUICK)


def unpacked(workspace: str, body: bytes) -> list[SyncAsListed]:
    """What was packed, in its order."""
    return [
        SyncAsListed(workspace, each["id"], each["label"], each["status"], each["paused"], each["watched"])
        for each in orjson.loads(zlib.decompress(body))
    ]
