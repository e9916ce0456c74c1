"""URLs, secrets, headers and the rules that a model keeps even when no file is behind it."""

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from notifier.http.client import as_written, proxy_for
from notifier.watchlist.models import Route, SyncSelector, Watch, Workspace
from notifier.watchlist.receivers import SlackReceiver, SlackWebhookReceiver, WebhookReceiver

URL = "https://example.com/hook"


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "https://example.com:8443/a?b=c",
        "http://[::1]:80/x",
        "https://bücher.example/x",
        "http://127.0.0.1:1/",
    ],
)
def test_a_url_that_can_be_called_is_taken(url: str) -> None:
    assert WebhookReceiver(type="webhook", url=SecretStr(url)).url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "ftp://h",
        "https://",
        "https:///x",
        "https://u@h/",
        "https://u:p@h/",
        "https://@h/",
        "http://a b/",
        "http://h/\n",
        "http://h:99999/",
        "http://h:x/",
        "http://[::1",
        "http://a..b/",
        "http://h\\x",
        "javascript:alert(1)",
        "http://h\u200b/",
        "https://hooks\u00ad.example.com/",
        "http://[::1]x/",
    ],
)
def test_a_url_that_can_not_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookReceiver(type="webhook", url=SecretStr(url))


@given(
    st.text(st.characters() | st.characters(categories=["Cf", "Mn", "Po"]), max_size=5),
    st.sampled_from(["", "a_b", "xn--", "[::1]", "h:1"]),
)
def test_of_any_url_that_is_taken_the_client_can_make_one(host: str, prefix: str) -> None:
    url = f"http://{prefix}{host}/x"
    try:
        WebhookReceiver(type="webhook", url=SecretStr(url))
    except ValidationError:
        return
    proxy_for(url)
    assert isinstance(as_written(url), yarl.URL)


@pytest.mark.parametrize("secret", ["whsec_" + "QUJD" * 8, "whsec_" + "QUJD" * 20 + "QQ=="])
def test_a_signing_secret_of_24_bytes_or_more_is_taken(secret: str) -> None:
    WebhookReceiver(type="webhook", url=SecretStr(URL), secret=SecretStr(secret))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "QUJD" * 8,
        "whsec_" + "QUJD" * 7,
        "whsec_" + "QUJD" * 8 + "Q",
        "whsec_" + "QU D" * 9,
        "whsec_é" + "QUJD" * 8,
    ],
)
def test_any_other_signing_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError):
        WebhookReceiver(type="webhook", url=SecretStr(URL), secret=SecretStr(secret))


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type",
        "content-length",
        "HOST",
        "webhook-id",
        "Webhook-Timestamp",
        "webhook-signature",
        "Transfer-Encoding",
        "Connection",
        "",
        "X Y",
        "X:Y",
        "X\nY",
        "Ä",
    ],
)
def test_a_header_that_is_ours_or_none_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        WebhookReceiver(type="webhook", url=SecretStr(URL), headers={name: SecretStr("v")})


@pytest.mark.parametrize("value", ["a\nb", "a\r", "\0", "a\x7f"])
def test_a_header_value_without_control_characters_only(value: str) -> None:
    with pytest.raises(ValidationError):
        WebhookReceiver(type="webhook", url=SecretStr(URL), headers={"X-A": SecretStr(value)})


@pytest.mark.parametrize("token", ["", "a b", "a\n", "é", "\x7f"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ValidationError):
        SlackReceiver(type="slack", token=SecretStr(token), channel="C1")


def test_a_slack_incoming_webhook_is_no_plain_webhook_and_the_error_names_its_type_but_not_its_url() -> None:
    url = SecretStr("https://Hooks.Slack.com/services/T/B/canary")
    SlackWebhookReceiver(type="slack_webhook", url=url)
    with pytest.raises(ValidationError, match="use type: slack_webhook") as caught:
        WebhookReceiver(type="webhook", url=url)
    assert "canary" not in str(caught.value)


def test_a_validation_error_hides_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        SlackReceiver.model_validate({"type": "slack", "token": "can ary", "channel": "C1"})
    assert "can ary" not in str(caught.value)


def test_models_built_in_code_keep_the_rules_across_fields() -> None:
    with pytest.raises(ValidationError, match="exactly one of"):
        Watch(sync=1, sync_run=2, workspace="p")
    with pytest.raises(ValidationError, match="exactly one of"):
        Watch(workspace="p")
    with pytest.raises(ValidationError, match="either region or base_url"):
        Workspace(api_key=SecretStr("k"), region="us", base_url="http://h")
    with pytest.raises(ValidationError, match="label or exclude_label"):
        SyncSelector()


def test_models_are_frozen() -> None:
    route = Route(receivers=("a",))
    with pytest.raises(ValidationError, match="frozen"):
        route.receivers = ("b",)  # type: ignore[misc]
