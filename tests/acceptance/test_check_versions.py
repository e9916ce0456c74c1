"""What `check` says of the API's versions: until when there is one, and whether two keys show the same."""

from datetime import UTC, date, datetime

import pytest

from notifier.simulator import SimulatorThread, Status

from .conftest import V1, V2, Workplace

BOTH = (V2, V1)
REMEDY = "give the workspace a token, as docs/v2.md says"
HINTS = "watchlist.yaml: warning: workspaces.production"


def words(text: str) -> str:
    """What a table says, wherever it wraps."""
    return " ".join(text.split())


def test_check_warns_of_the_end_of_version_1_and_all_is_good_beside_it(workplace: Workplace) -> None:
    before = datetime.now(UTC).date()
    ended = workplace.run("check")
    lefts = {(date(2027, 1, 15) - day).days for day in (before, datetime.now(UTC).date())}
    assert ended.returncode == 0
    assert ended.stdout.startswith("watchlist.yaml: good.")
    says = f"{HINTS} uses version 1 of the Census API, which Census ends: until 2027-01-15, {{}} days left; {REMEDY}\n"
    assert ended.stderr in {says.format(left) for left in lefts} or max(lefts) <= 1


@pytest.mark.parametrize("keys", [(V2,), BOTH])
def test_a_token_is_warned_of_nothing(workplace: Workplace, keys: tuple[str, ...]) -> None:
    workplace.write_watchlist(keys=keys)
    ended = workplace.run("check")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_address_of_the_other_version_is_told_with_what_it_should_be(workplace: Workplace) -> None:
    path = workplace.directory / "watchlist.yaml"
    path.write_text(path.read_text().replace("/api/v1", "/api/v2"))
    ended = workplace.run("check")
    assert ended.returncode == 0
    assert ended.stderr.splitlines()[1] == (
        f"{HINTS} has an api_key and no token, so it uses version 1 of the Census API: its base_url should end with /v1"
    )
    workplace.write_watchlist(keys=BOTH)
    path.write_text(path.read_text().replace("/api/v2", "/api/v1"))
    ended = workplace.run("check")
    assert ended.returncode == 0
    assert ended.stderr == (
        f"{HINTS} has a token, so it uses version 2 of the Census API: its base_url should end with /v2\n"
    )


def test_two_keys_that_show_the_same_are_a_row_each_and_one_for_both(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.environment["COLUMNS"] = "80"
    workplace.write_watchlist(keys=BOTH, watches="- sync: 52")
    for sync_id in (52, "glimmering_donkey"):
        simulator.add_run(simulator.add_sync(id=sync_id)["id"], status="completed")
    ended = workplace.run("check", "--online")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = [line.rstrip() for line in ended.stdout.splitlines()[2:5]]
    assert rows == [
        "ok  production  version 2, in use: 2 syncs, 1 watched",
        "ok  production  version 1: 2 syncs, 1 watched",
        "ok  production  both: the same 2 syncs; newest runs: they agree",
    ]


def test_two_keys_that_show_different_syncs_are_exit_code_1(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.write_watchlist(keys=[*BOTH, "group: wandering_aimlessly"])
    simulator.add_sync(id=52)
    simulator.add_sync(id="glimmering_donkey", label="New Signups to Leads", group_id="other")
    ended = workplace.run("check", "--online")
    assert ended.returncode == 1
    assert "failed production both: 1 sync only by version 1; newest runs: they agree" in words(ended.stdout)
    assert ended.stderr.splitlines() == [
        f"{HINTS}: only version 1 shows sync glimmering_donkey (New Signups to Leads)",
        "notifier: workspaces.production: its two keys do not show the same syncs, see above; docs/v2.md says what to "
        "look at",
    ]


def test_only_the_key_in_use_decides_whether_it_works(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.write_watchlist(keys=BOTH)
    simulator.add_sync(id=52)
    simulator.retire_v1(datetime(2026, 1, 1, tzinfo=UTC))
    ended = workplace.run("check", "--online")
    assert ended.returncode == 0
    assert "failed production version 1: HTTP 410 Gone: " in words(ended.stdout)
    assert ended.stderr == (
        f"{HINTS}: only the key of version 1 fails, which is not in use; the two can't be compared\n"
    )
    workplace.environment["ACTIVATIONS_TOKEN"] = "canary-of-a-token"
    ended = workplace.run("check", "--online")
    assert ended.returncode == 1
    assert "failed production version 2, in use: HTTP 401 Unauthorized: the token is wrong" in words(ended.stdout)
    assert ended.stderr == "notifier: workspaces.production: does not work, see above\n"
    assert "canary" not in ended.stdout
    assert simulator.api_key not in ended.stdout


def test_runs_that_can_not_be_read_are_a_warning(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.write_watchlist(keys=BOTH)
    simulator.add_sync(id=52)
    simulator.fault(Status(500), path="/syncs/52/sync_runs")
    ended = workplace.run("check", "--online")
    assert ended.returncode == 0
    assert "? production both: the same 1 sync; newest runs: 1 can't be read" in words(ended.stdout)
    assert f"{HINTS}: the runs of sync 52 (" in ended.stderr
