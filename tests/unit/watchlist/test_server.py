"""What a watchlist says of the server: addresses that can be listened at, and how the others are refused."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from notifier.model.errors import WatchlistError
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist
from notifier.watchlist.server import LISTEN, Address, parse_address

GOOD = """\
version: 1
workspaces:
  production: {api_key: abc}
watches:
  - sync: 52
receivers:
  pipeline: {type: webhook, url: "https://example.com/hook"}
"""
Load = Callable[..., Watchlist]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def load(text: str, env: Mapping[str, str] | None = None) -> Watchlist:
        Path("watchlist.yaml").write_text(text)
        return load_watchlist(Path("watchlist.yaml"), env or {})

    return load


def refused(load: Load, text: str, env: Mapping[str, str] | None = None) -> str:
    with pytest.raises(WatchlistError) as caught:
        load(text, env)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.8.8.8:1", "127.8.8.8", 1, True),
        ("localhost:8080", "127.0.0.1", 8080, True),
        ("[::1]:65535", "::1", 65535, True),
        ("0.0.0.0:0", "0.0.0.0", 0, False),  # noqa: S104
        ("[::]:8080", "::", 8080, False),
        ("10.0.0.7:8080", "10.0.0.7", 8080, False),
    ],
)
def test_an_address_and_a_port_are_where_to_listen(text: str, host: str, port: int, loopback: bool) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)


def test_an_address_is_written_as_it_is_read() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"
    assert str(Address("127.0.0.1", 80)) == "127.0.0.1:80"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:80a",
        "example.com:80",
        "::1:80",
        "[127.0.0.1]:80",
        "[::1%lo]:80",
        "127.0.0.1:٨٠",
        "http://127.0.0.1:80",
        "127.0.0.1:80 ",
        "256.0.0.1:80",
        "127.0.0.1:-1",
    ],
)
def test_what_is_no_address_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address and a port, such as"):
        parse_address(text)


def test_a_port_beyond_all_ports_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a port up to 65535"):
        parse_address("127.0.0.1:65536")


def test_without_a_word_there_is_no_server(load: Load) -> None:
    watchlist = load(GOOD)
    assert watchlist.server.address is None
    assert watchlist.server.token is None
    assert watchlist.workspaces["production"].lifecycle_webhook is None


def test_all_of_it_is_read_and_secrets_do_not_show(load: Load) -> None:
    hook = "{api_key: abc, lifecycle_webhook: {secret: '${HOOK}'}}"
    server = "server: {listen: 127.0.0.1:8080, token: '${TOKEN}'}\n"
    watchlist = load(GOOD.replace("{api_key: abc}", hook) + server, {"HOOK": "hook-secret", "TOKEN": "the-token"})
    assert watchlist.server.address == Address("127.0.0.1", 8080)
    assert watchlist.server.token is not None
    assert watchlist.server.token.get_secret_value() == "the-token"
    lifecycle = watchlist.workspaces["production"].lifecycle_webhook
    assert lifecycle is not None
    assert lifecycle.secret.get_secret_value() == "hook-secret"
    assert "the-token" not in repr(watchlist)
    assert "hook-secret" not in repr(watchlist)


def test_the_variable_wins_over_the_watchlist_and_is_enough_by_itself(load: Load) -> None:
    env = {"NOTIFIER_LISTEN": "0.0.0.0:9090"}
    given = load(GOOD + "server: {listen: 127.0.0.1:8080, token: t}\n", env).server
    assert given.address == Address("0.0.0.0", 9090)  # noqa: S104
    assert given.token is not None
    assert load(GOOD, env).server.address == Address("0.0.0.0", 9090)  # noqa: S104


def test_an_empty_variable_is_none(load: Load) -> None:
    given = load(GOOD + "server: {listen: 127.0.0.1:8080}\n", {"NOTIFIER_LISTEN": ""}).server
    assert given.address == Address("127.0.0.1", 8080)


def test_a_wrong_variable_is_reported_beside_the_files_own_mistakes(load: Load) -> None:
    said = refused(load, GOOD + "server: {token: ''}\n", {"NOTIFIER_LISTEN": "8080"})
    assert said.splitlines() == [
        f"watchlist.yaml:1:1: server.listen (the variable NOTIFIER_LISTEN): {LISTEN}",
        "watchlist.yaml:8:17: server.token: must not be empty",
    ]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("{listen: 8080}", f"8:18: server.listen: {LISTEN}"),
        ("{listen: ':8080'}", f"8:18: server.listen: {LISTEN}"),
        ("{lisen: 127.0.0.1:1}", '8:10: server.lisen: unknown key; did you mean "listen"?'),
        ("{token: a b}", "8:17: server.token: must not contain spaces, line breaks or characters beyond ASCII"),
        ("on", "8:9: server: must be a mapping: key: value"),
    ],
)
def test_mistakes_are_said_where_they_stand(load: Load, server: str, said: str) -> None:
    assert refused(load, GOOD + f"server: {server}\n") == f"watchlist.yaml:{said}"


def test_a_webhook_without_its_secret_is_a_mistake(load: Load) -> None:
    text = GOOD.replace("{api_key: abc}", "{api_key: abc, lifecycle_webhook: {secrets: x}}")
    assert 'unknown key; did you mean "secret"?' in refused(load, text)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://notifier.example.com", "https://notifier.example.com"),
        ("https://notifier.example.com/", "https://notifier.example.com"),
        ("http://10.0.0.7:8080/notifier//", "http://10.0.0.7:8080/notifier"),
    ],
)
def test_a_public_url_is_what_links_begin_with(load: Load, given: str, url: str) -> None:
    assert load(f"{GOOD}server: {{public_url: '{given}'}}\n").server.public_url == url
    assert load(f"{GOOD}server: {{public_url: '${{URL}}'}}\n", {"URL": given}).server.public_url == url
    assert load(GOOD).server.public_url is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("notifier.example.com", "must be a URL that starts with http:// or https://"),
        ("ftp://notifier.example.com", "must be a URL that starts with http:// or https://"),
        ("https://notifier.example.com/?a=1", "must be a URL without ? and #"),
        ("https://notifier.example.com/#a", "must be a URL without ? and #"),
        ("https://canary:pw@notifier.example.com", "without a user name and password"),
        ("https://", "must be a URL with a host"),
    ],
)
def test_what_is_no_public_url_is_refused_without_repeating_it(load: Load, given: str, why: str) -> None:
    said = refused(load, f"{GOOD}server: {{public_url: '{given}'}}\n")
    assert "server.public_url" in said
    assert why in said
    assert "canary" not in said
