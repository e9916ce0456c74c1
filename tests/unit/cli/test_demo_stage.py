"""What the demo's simulators are told before anyone talks to them."""

from notifier.cli.demo.stage import set_stage


def test_the_demos_list_of_syncs_tells_of_runs() -> None:
    census = set_stage().census
    census.add_sync(id=52, status="up to date")
    census.add_run(52)
    assert census.sync(52)["status"] == "working"
