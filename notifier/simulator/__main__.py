"""python -m notifier.simulator: the simulated Census API on a port, until SIGTERM or SIGINT."""

import argparse
import asyncio
import signal
import sys
from datetime import UTC, datetime

from notifier.simulator.census import CensusSimulator
from notifier.simulator.conditional import Tags, Validator
from notifier.simulator.listing import Announced
from notifier.simulator.scenario import Scenario, ScenarioError, play
from notifier.simulator.scenario_file import load_scenario


def main() -> int:
    """Reads the command line and serves; 2 for a scenario that can not be played, 1 for a port that is taken."""
    options = _options()
    try:
        scenario = load_scenario(options.scenario) if options.scenario else None
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    simulator = CensusSimulator(
        api_key=options.api_key, token=options.token, versions=options.api, latency=options.latency
    )
    if options.v1_ends is not None:
        simulator.retire_v1(options.v1_ends, options.v1_answers)
    simulator.announce_runs(Announced(options.announce))
    simulator.lag_list(options.list_lag)
    simulator.tag_answers(Tags(options.tags), by=[Validator(name) for name in options.validators])
    simulator.record_requests = False  # nobody can ask for the record from here, and it would only grow
    failure = 0
    try:
        asyncio.run(_serve(simulator, scenario, options))
    except* OSError as group:
        print(f"can not serve on {options.host}:{options.port}: {group.exceptions[0]}", file=sys.stderr)
        failure = 1
    except* ScenarioError as group:
        print(group.exceptions[0], file=sys.stderr)
        failure = 2
    return failure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m notifier.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8700, help="0 takes a free one (default 8700)")
    parser.add_argument("--api", choices=("v1", "v2", "both"), default="both", help="versions to serve (default both)")
    parser.add_argument("--api-key", default="simulated-key", help="what version 1 takes")
    parser.add_argument("--token", default="simulated-token", help="what version 2 takes")
    parser.add_argument(
        "--v1-ends", metavar="DATE", type=_moment, help="from then on version 1 answers 410, or --v1-answers"
    )
    parser.add_argument("--v1-answers", type=int, choices=(404, 410), default=410, help="what it answers then")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument(
        "--announce",
        choices=[*Announced],
        default=Announced.NOTHING,
        help="after what a sync's item in the list changes",
    )
    parser.add_argument("--list-lag", type=float, default=0.0, help="seconds by which the list of syncs is late")
    parser.add_argument(
        "--tags", choices=[*Tags], default=Tags.OFF, help="whether lists have validators, or lying ones"
    )
    parser.add_argument("--validators", nargs="+", choices=[*Validator], default=[Validator.ETAG])
    parser.add_argument("--scenario", metavar="NAME|FILE", help='a shipped scenario such as "demo", or a YAML file')
    parser.add_argument("--speed", type=float, default=1.0, help="plays the scenario so many times as fast")
    parser.add_argument("--syncs", type=int, default=0, help="adds so many syncs, each with one completed run")
    options = parser.parse_args()
    if options.speed <= 0:
        parser.error("--speed must be positive")
    if not 0 <= options.port <= 65535 or min(options.syncs, options.latency, options.list_lag) < 0:
        parser.error("--port is 0 to 65535, --syncs, --latency and --list-lag are not negative")
    return options


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)  # argparse turns its ValueError into a sentence
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _serve(simulator: CensusSimulator, scenario: Scenario | None, options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        playing = None
        if scenario is not None:
            playing = tasks.create_task(play(simulator, scenario, speed=options.speed), name="scenario")
            await asyncio.sleep(0)  # lets it do the steps of second 0, before anyone can ask and before IDs are given
        for _ in range(options.syncs):
            simulator.add_run(simulator.add_sync()["id"], status="completed")
        async with simulator.serve(host=options.host, port=options.port) as base_url:
            print(base_url, flush=True)
            await stop.wait()
        if playing is not None:
            playing.cancel()


if __name__ == "__main__":
    sys.exit(main())
