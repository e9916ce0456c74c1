"""The text of a new watchlist: good as it is, whatever was answered."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.census.versions import version_of
from notifier.cli.init.template import Answers, Selection, To, watchlist_text
from notifier.model.api_version import ApiVersion
from notifier.model.identity import Id, id_of
from notifier.watchlist.models import SyncSelector, Watchlist
from notifier.watchlist.reading.load import load_watchlist

ENV = {
    "ACTIVATIONS_TOKEN": "token-canary",
    "CENSUS_API_KEY": "key-canary",
    "SLACK_BOT_TOKEN": "xoxb-canary",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
    "WEBHOOK_URL": "https://example.com/hook",
    "WEBHOOK_SECRET": "whsec_" + "QUJD" * 8,
}


def load(directory: Path, answers: Answers) -> Watchlist:
    path = directory / "watchlist.yaml"
    path.write_text(watchlist_text(answers), encoding="utf-8")
    return load_watchlist(path, {name: ENV[name] for name in answers.variables})


@pytest.mark.parametrize(
    ("kind", "signed", "base_url", "api"),
    [*product(To, (True, False), ("", "http://127.0.0.1:1/api"), ApiVersion)],
)
def test_every_kind_of_draft_loads_with_the_variables_that_it_says(
    tmp_path: Path, kind: To, signed: bool, base_url: str, api: ApiVersion
) -> None:
    answers = Answers(api=api, region="eu", base_url=base_url, kind=kind, channel="#data-syncs", signed=signed)
    loaded = load(tmp_path, answers)
    workspace = loaded.workspaces["production"]
    assert workspace.api is api
    assert workspace.group is None
    assert version_of(workspace).base_url == (base_url or f"https://app-eu.getcensus.com/api/{workspace.api}")
    assert [watch.syncs for watch in loaded.watches] == ["all"]
    assert [*loaded.receivers] == [answers.receiver]
    assert loaded.receivers[answers.receiver].type == kind
    (route,) = loaded.routes or ()
    assert route.receivers == (answers.receiver,)
    assert (route.events is None) is (kind is To.WEBHOOK)


def test_the_lines_fit_an_editor() -> None:
    text = watchlist_text(Answers(selection=Selection((52,)), labels={52: "x" * 200}, channel="#data-syncs"))
    assert max(map(len, text.splitlines())) <= 120
    assert not any(line != line.rstrip() for line in text.splitlines())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(glob=st.text(min_size=1), label=st.text())
def test_any_glob_and_any_label_stay_what_they_are(tmp_path: Path, glob: str, label: str) -> None:
    answers = Answers(selection=Selection((52,), (glob,)), labels={52: label}, channel="#data-syncs")
    by_id, by_label = load(tmp_path, answers).watches
    assert by_id.sync == 52
    assert isinstance(by_label.syncs, SyncSelector)
    assert by_label.syncs.label == (glob,)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    group=st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable()),
    identity=st.text(min_size=1).map(id_of).filter(bool),
)
def test_any_group_and_any_id_stay_what_they_are(tmp_path: Path, group: str, identity: Id) -> None:
    answers = Answers(group=group, selection=Selection((identity,)), channel="#data-syncs")
    loaded = load(tmp_path, answers)
    assert loaded.workspaces["production"].group == group
    assert loaded.watches[0].sync == identity


@pytest.mark.parametrize("word", ["no", "null", "1e5", "007", "0x10", "~", "a:b", "#x", "glimmering_donkey"])
def test_a_word_that_yaml_would_read_as_something_else_stays_an_id(tmp_path: Path, word: str) -> None:
    loaded = load(tmp_path, Answers(selection=Selection((word,)), channel="#data-syncs"))
    assert loaded.watches[0].sync == word
