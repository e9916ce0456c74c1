"""Version 2 by a server that is rude, judged by what the contract says: what is assumed of it may be wrong."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.rude_census import TOKEN, Place, Rude, run, sync

V1: dict[str, Any] = {"token": False, "key": True}
CHECKS = "{unreadable: {after: 2s}, unreachable: {after: 2s}, rejected_records: false, reminders: false}"


@pytest.fixture
def rude() -> Iterator[Rude]:
    server = Rude()
    yield server
    server.close()


@pytest.fixture
def place(tmp_path: Path, rude: Rude) -> Iterator[Place]:
    here = Place(tmp_path / "p", rude)
    yield here
    here.stop()


def two_syncs(rude: Rude) -> None:
    for i in (52, 53):
        rude.both(sync(i), [run(i * 10, minutes=-10)])


def others(rude: Rude, count: int) -> None:
    """What version 2 shows from now on: other syncs only."""
    rude.syncs["v2"] = [sync(901 + i) for i in range(count)]
    rude.runs["v2"] = {str(901 + i): [run(9010 + i, minutes=-5, sync_id=901 + i)] for i in range(count)}


def in_page(rude: Rude, request: Any, runs: list[dict[str, Any]]) -> tuple[int, dict[str, str], Any]:
    size, n = int(request.query.get("per_page", 25)), int(request.query.get("page", 1))
    last = max(1, -(-len(runs) // size))
    pagination = {
        "total_records": len(runs),
        "per_page": size,
        "page": n,
        "last_page": last,
        "prev_page": None,
        "next_page": n + 1 if n < last else None,
    }
    return 200, {}, {"status": "success", "data": runs[(n - 1) * size : n * size], "pagination": pagination}


def switched(place: Place, rude: Rude, answer: Any) -> None:
    """A worker on version 1 that has its baseline, and then gets a token; a run fails after that."""
    rude.both(sync(52), [run(100 - i, minutes=-10 * i - 5) for i in range(30)])
    place.write(checks=CHECKS, **V1)
    place.start()
    assert place.baseline(1)
    time.sleep(1.5)
    rude.answer = lambda q, v, path: answer(q, path) if v == "v2" and path.endswith("sync_runs") else None
    place.write(checks=CHECKS)
    assert place.until(lambda: any(q[0] == "v2" for q in rude.requests))
    time.sleep(1)
    rude.run_of(52, run(500, "failed", error_code="E"))
    place.until(lambda: rude.hooks, 8)


def test_version_2_that_lists_the_oldest_runs_first_is_not_silence(place: Place, rude: Rude) -> None:
    switched(place, rude, lambda q, path: in_page(rude, q, rude.runs["v2"]["52"][::-1]))
    assert rude.hooks or not place.status()["ok"], "a failed run is not told, and the workspace is 'ok'"


def test_version_2_that_calls_the_status_otherwise_is_not_silence(place: Place, rude: Rude) -> None:
    def state(q: Any, path: str) -> Any:
        return in_page(
            rude, q, [{("state" if k == "status" else k): x for k, x in r.items()} for r in rude.runs["v2"]["52"]]
        )

    switched(place, rude, state)
    assert rude.hooks or not place.status()["ok"], "no run has a status any more, and the workspace is 'ok'"


def test_none_of_two_known_syncs_by_the_same_token_forgets_nothing(place: Place, rude: Rude) -> None:
    two_syncs(rude)
    place.write()
    assert place.run("run", "--once").returncode == 0
    others(rude, 2)  # the token's owner was moved to another group
    for _ in range(3):
        place.run("run", "--once")
    assert [h["type"] for h in rude.hooks] == []
    assert place.rows("select marked from syncs where sync_id in ('52', '53')") == [(1,), (1,)]
    assert not place.status()["ok"]


def test_none_of_four_known_syncs_by_the_same_token_sets_no_mark(place: Place, rude: Rude) -> None:
    for i in range(4):
        rude.both(sync(52 + i), [run(i + 1, minutes=-10)])
    place.write()
    assert place.run("run", "--once").returncode == 0
    others(rude, 4)
    place.run("run", "--once")
    assert place.rows("select sync_id from syncs where marked and sync_id like '90%'") == []


def test_newest_runs_with_other_status_words_do_not_agree(place: Place, rude: Rude) -> None:
    for i in (52, 53):
        rude.both(sync(i), [run(i * 100 - k, minutes=-10 * k - 5) for k in range(9)])
    for runs in rude.runs["v2"].values():
        for one in runs:
            one["status"] = "Completed"
    place.write(key=True)
    assert "newest runs: they agree" not in place.run("check", "--online").stdout


def test_other_status_words_of_old_runs_are_no_news_of_the_switch(place: Place, rude: Rude) -> None:
    for i in (52, 53):
        rude.both(sync(i), [run(i * 100 - k, minutes=-10 * k - 5) for k in range(9)])
    for runs in rude.runs["v2"].values():
        for one in runs:
            one["status"] = "Completed"
    place.write(**V1)
    assert place.run("run", "--once").returncode == 0
    place.write()
    place.run("run", "--once")
    assert len(rude.hooks) == 0


def test_check_online_says_that_all_syncs_are_of_another_group(place: Place, rude: Rude) -> None:
    rude.both(sync(1, group_id="wandering_aimlessly"), [run(1)])
    place.write(group="Wandering_Aimlessly")
    ended = place.run("check", "--online")
    assert "another group" in ended.stdout + ended.stderr, ended.stdout + ended.stderr


@pytest.mark.parametrize("status", [404, 410, 301])
def test_check_online_names_the_whole_remedy(place: Place, rude: Rude, status: int) -> None:
    rude.both(sync(52), [])
    rude.answer = lambda q, v, path: (status, {"Location": "/gone"}, "")
    place.write(**V1)
    assert "as docs/v2.md says" in " ".join(place.run("check", "--online").stdout.split())


def test_with_both_keys_nobody_is_told_to_give_a_token(place: Place, rude: Rude) -> None:
    rude.both(sync(52), [])
    rude.answer = lambda q, v, path: (410, {}, "") if v == "v1" else None
    place.write(key=True)
    assert "give the workspace a token" not in " ".join(place.run("check", "--online").stdout.split())


def test_syncs_of_another_group_are_told_no_more_after_group_is_named(place: Place, rude: Rude) -> None:
    """The list ignores group_id, and half the syncs say that they are of group a."""
    for i in range(6):
        rude.both(sync(i + 1, group_id="a" if i < 3 else "b"), [run(100 + i, minutes=-10)])
    place.write()
    assert place.run("run", "--once").returncode == 0
    place.write(group="b")
    place.run("run", "--once")
    rude.run_of(1, run(502, "failed"))
    place.run("run", "--once")
    assert [h["data"]["sync"]["id"] for h in rude.hooks] == []


def test_init_does_not_write_a_bot_token_as_a_channel(place: Place, rude: Rude) -> None:
    rude.both(sync(52), [])
    place.env |= {"ACTIVATIONS_TOKEN": TOKEN, "SLACK_BOT_TOKEN": "xoxb-1-2-abc"}
    place.run(
        "init",
        "--yes",
        "--base-url",
        f"{rude.url}/api/v2",
        "--to",
        "slack",
        "--channel",
        "xoxb-1-2-abc",
        "--slack-api-url",
        f"{rude.url}/slack/",
    )
    written = place.directory / "watchlist.yaml"
    assert not written.exists() or "xoxb-1-2-abc" not in written.read_text()


def test_fast_switches_between_versions_tell_each_run_once(place: Place, rude: Rude) -> None:
    two_syncs(rude)
    for runs in rude.runs["v2"].values():
        for one in runs:
            one["id"], one["created_at"] = str(one["id"]), one["created_at"][:19] + "+00:00"
    place.write(**V1)
    place.start()
    assert place.baseline(2)
    time.sleep(1.2)
    for i in range(6):
        place.write(**({} if i % 2 == 0 else V1))
        rude.run_of(52, run(1000 + i))
        time.sleep((0.3, 1.5, 2.2)[i % 3])
        if i == 3:
            place.stop()
            place.start()
    place.until(lambda: len(rude.hooks) >= 6)
    time.sleep(2)
    assert sorted(h["data"]["sync_run"]["id"] for h in rude.hooks) == list(range(1000, 1006))


def test_version_1_that_ends_amid_a_walk_loses_nothing(place: Place, rude: Rude) -> None:
    rude.both(sync(52), [run(1, minutes=-100)])
    place.write(**V1)
    place.start()
    assert place.baseline(1)
    time.sleep(1.2)
    rude.answer = lambda q, v, path: (
        (404, {}, "") if v == "v1" and path.endswith("sync_runs") and q.query.get("page", "1") != "1" else None
    )
    for i in range(150):
        rude.run_of(52, run(1000 + i, minutes=-50 + i * 0.1))
    time.sleep(3)
    place.write()
    place.until(lambda: len(rude.hooks) >= 150)
    assert [h["data"]["sync_run"]["id"] for h in rude.hooks] == list(range(1000, 1150))
