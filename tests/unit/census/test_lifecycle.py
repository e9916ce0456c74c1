"""What Census' webhooks say, and whether they are signed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.census.lifecycle import is_signed, notice_of, own_link
from notifier.model.event import CensusAlert, EventType
from notifier.model.notice import Notice

APP = "https://app.getcensus.com"
# The vendor's own sample: docs.getcensus.com, Sync Lifecycle Webhooks
SAMPLE: dict[str, Any] = {
    "workspace_id": 3167,
    "sync_id": 3167956,
    "sync_run_id": 324402082,
    "alert_instance_id": 626248,
    "alert_type": "FailureAlertConfiguration",
    "message": "Sync Failed",
    "details": "Sync has failed with error: A mapped source column has been deleted: email",
    "followup_url": "https://app.getcensus.com/workspaces/3167/syncs/3167956/sync-history",
    "event": "sync.alert.raised",
}


def notice(**changes: object) -> Notice | None:
    return notice_of(json.dumps({**SAMPLE, **changes}).encode(), APP)


def test_a_signature_made_elsewhere_fits() -> None:
    # printf '{"sync_id":52}' | openssl dgst -sha256 -hmac my123secret -binary | base64
    assert is_signed(b"my123secret", b'{"sync_id":52}', b"oY/mnbyP+VaNQ1oYzXWUAeOyfAIcLrdOpJlrV9kmeKg=")


@pytest.mark.parametrize(
    "signature",
    [
        None,
        b"",
        b"%%%",
        b"\xff\xfe",
        b"oY/mnbyP+VaNQ1oYzXWUAeOyfAIcLrdOpJlrV9kmeKg=x",
        b"oY/mnbyP+VaNQ1oYzXWUAeOyfAIcLrdOpJlrV9kmeKg="[:-1],
    ],
)
def test_another_one_does_not(signature: bytes | None) -> None:
    assert not is_signed(b"my123secret", b'{"sync_id":52}', signature)
    assert not is_signed(b"my123secret", b'{"sync_id":53}', b"oY/mnbyP+VaNQ1oYzXWUAeOyfAIcLrdOpJlrV9kmeKg=")


def test_the_vendors_sample_is_understood() -> None:
    assert notice() == Notice(
        3167956,
        CensusAlert(
            626248,
            EventType.CENSUS_ALERT_RAISED,
            "FailureAlertConfiguration",
            "Sync Failed",
            "Sync has failed with error: A mapped source column has been deleted: email",
            "https://app.getcensus.com/workspaces/3167/syncs/3167956/sync-history",
            324402082,
        ),
    )
    resolved = notice(event="sync.alert.resolved")
    assert resolved is not None
    assert resolved.alert is not None
    assert resolved.alert.type is EventType.CENSUS_ALERT_RESOLVED


def test_an_alert_that_is_nested_too_deeply_to_be_shown_is_told_without_that() -> None:
    deep = b'{"a":' * 1_015 + b"1" + b"}" * 1_015
    body = (
        b'{"sync_id": 52, "event": "sync.alert.raised", "alert_instance_id": 9, "message": "Failed", "details": '
        + deep
        + b"}"
    )
    notice = notice_of(body, APP)
    assert notice is not None
    assert notice.alert is not None
    assert (notice.alert.message, notice.alert.details) == ("Failed", None)


def test_other_events_are_hints_and_nothing_else() -> None:
    for event in ("sync.failed", "sync.completed", "sync.invented", None, 7, ["sync.alert.raised"]):
        assert notice(event=event) == Notice(3167956)
    for instance in (None, True, 1.5, "", "x" * 201, [1]):
        assert notice(alert_instance_id=instance) == Notice(3167956)


def test_an_alert_of_which_little_is_known_is_one_all_the_same() -> None:
    little = notice(sync_run_id=None, alert_type=None, message="", details={"a": 1}, followup_url=3)
    assert little == Notice(3167956, CensusAlert(626248, EventType.CENSUS_ALERT_RAISED, details='{"a": 1}'))


def test_what_an_alert_says_in_other_letters_is_kept() -> None:
    told = notice(details={"column": "prénom"})
    assert told is not None
    assert told.alert is not None
    assert told.alert.details == '{"column": "prénom"}'


@pytest.mark.parametrize("instance", [0, 7, "7", "x" * 200])
def test_an_alert_is_known_by_its_id_whatever_that_looks_like(instance: object) -> None:
    told = notice(alert_instance_id=instance)
    assert told is not None
    assert told.alert is not None
    assert told.alert.id == instance


@pytest.mark.parametrize("sync_id", [1, "1", 2**63 - 1, str(2**63 - 1)])
def test_numbers_are_ids_as_text_too(sync_id: object) -> None:
    assert notice(sync_id=sync_id, event=None) == Notice(int(str(sync_id)))


@pytest.mark.parametrize("scope", [{"workspace_id": 7}, {"group_id": "wandering_aimlessly"}, {}])
def test_words_are_ids_whether_the_webhook_names_a_workspace_or_a_group(scope: dict[str, object]) -> None:
    found = notice(sync_id="glimmering_donkey", sync_run_id="tame_yak", **scope)
    assert found is not None
    assert found.sync_id == "glimmering_donkey"
    assert found.alert is None or found.alert.run_id == "tame_yak"


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b"null", b'"a"', b"\xff", b"[" * 65_000, b'{"sync_id": NaN}']
)
def test_what_is_no_notice_is_none(body: bytes) -> None:
    assert notice_of(body, APP) is None


@pytest.mark.parametrize("sync_id", [None, True, 0, -1, 1.0, "", "0", "a b", "..", "9" * 300])
def test_without_a_syncs_id_there_is_no_notice(sync_id: object) -> None:
    assert notice(sync_id=sync_id) is None
    assert notice(sync_id="52", event=None) == Notice(52)


@given(st.binary() | st.text().map(str.encode))
def test_nothing_that_comes_is_an_error(body: bytes) -> None:
    notice_of(body, APP)
    is_signed(b"s", body, body)


@pytest.mark.parametrize(
    "url",
    [
        "http://app.getcensus.com/x",
        "https://evil.example.com/",
        "https://app.getcensus.com.evil.example.com/",
        "https://app.getcensus.com@evil.example.com/",
        "https://app.getcensus.com\\@evil.example.com/",
        "https://app.getcensus.com:8443/",
        "javascript:alert(1)",
        "//app.getcensus.com/",
        "",
        "https://[",
        7,
        None,
        "https://app.getcensus.com/a b",
        "https://app.getcensus.com/" + "a" * 3_000,
        "https://app.getcensuſ.com/",
    ],
)
def test_a_link_that_leads_elsewhere_is_dropped(url: object) -> None:
    assert own_link(url, APP) is None


def test_a_link_to_the_workspaces_own_host_is_kept() -> None:
    assert own_link("https://app-eu.getcensus.com:443/a?b#c", "https://app-eu.getcensus.com") is not None
    assert own_link("https://app.getcensus.com/", "https://app-eu.getcensus.com") is None
