"""The alert rules and the dashboard ask for what the worker tells. What promtool thinks of them: .ci/metrics."""

import asyncio
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from notifier.model.api_version import RETIRES_ON, ApiVersion
from notifier.model.delivery import Backlog
from notifier.model.meters import DeliveryOutcome, PollOutcome
from notifier.service.metrics import Metrics, SharedGauges, Sources, WorkspaceGauges
from tests.exposition import names

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in YAML(typ="safe").load(DEPLOY / "prometheus-alerts.yml")["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    shown = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return [*shown, *(rule["expr"] for rule in RULES)]


def asked_for(texts: list[str]) -> set[str]:
    return {name for text in texts for name in re.findall(r"\b(?:census_notifier|process)_\w+", text)}


@pytest.fixture(scope="module")
def told() -> set[str]:
    """The names in an exposition of a worker to which everything has happened."""

    async def backlog() -> Backlog:
        return Backlog({}, {}, {}, {})

    metrics = Metrics("0")
    workspace = metrics.workspace("production")
    workspace.poll_ended(PollOutcome.OK, 0.1)
    metrics.receiver("hook").attempt_ended(DeliveryOutcome.DELIVERED, 1)
    gauges = {"production": WorkspaceGauges(True, 1, retires_on=RETIRES_ON[ApiVersion.V1])}
    shared = SharedGauges({"upkeep"}, 2)
    sources = Sources(lambda: gauges, lambda: {"hook": True}, backlog, lambda: shared)
    asyncio.run(metrics.refresh(sources))
    return names(metrics)


def test_every_metric_that_a_rule_or_a_panel_asks_for_is_told(told: set[str]) -> None:
    assert asked_for(queries()) - told == set()


def test_every_metric_of_ours_has_a_panel(told: set[str]) -> None:
    shown = asked_for([target["expr"] for panel in PANELS for target in panel["targets"]])
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in told if name.startswith("census_notifier_")}
    assert ours - {name.removesuffix("_bucket") for name in shown} == set()


def test_every_metric_is_explained_in_the_documentation_and_no_other(told: set[str]) -> None:
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in told if name.startswith("census_notifier_")}
    rows = re.findall(r"^\| `(\w+)", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert {f"census_notifier_{name}" for name in rows} == ours


def test_every_panel_asks_the_data_source_that_the_reader_chose() -> None:
    sources = [panel["datasource"] for panel in PANELS]
    sources += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    (chosen,) = [variable for variable in DASHBOARD["templating"]["list"] if variable["type"] == "datasource"]
    assert (chosen["name"], chosen["query"]) == ("datasource", "prometheus")


def test_no_panel_lies_on_another_or_beside_the_grid() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_says_what_is_wrong_and_is_tested_firing_and_silent() -> None:
    tests = YAML(typ="safe").load(DEPLOY / "prometheus-alerts.test.yml")["tests"]
    asked = [each for test in tests for each in test["alert_rule_test"]]
    firing = {each["alertname"] for each in asked if each.get("exp_alerts")}
    silent = {each["alertname"] for each in asked if not each.get("exp_alerts")}
    alerts = {rule["alert"] for rule in RULES}
    assert firing == silent == alerts
    assert all({"summary", "description"} == set(rule["annotations"]) for rule in RULES)


def test_the_scrape_config_of_the_documentation_names_the_job_that_the_rules_go_by() -> None:
    (example,) = re.findall(r"^```yml\n(.*?)^```", (ROOT / "docs/metrics.md").read_text(), re.DOTALL | re.MULTILINE)
    (job,) = YAML(typ="safe").load(example)["scrape_configs"]
    named = {name for rule in RULES for name in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert named == {job["job_name"]}
