"""A new kind of receiver: once it is a member of the watchlist's union and its file gives a `Kind`, all follow."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

import pytest

from notifier.cli.init.template import To
from notifier.judging.advice import noisy_receivers
from notifier.judging.route import Reader, readers_of
from notifier.model.delivery import Delivered, Message, Outcome, Verdict
from notifier.model.errors import WatchlistError
from notifier.receivers.base import Kind, Receiver, Shared
from notifier.receivers.pace import Turnstile
from notifier.receivers.senders import KINDS, Senders
from notifier.watchlist import receivers
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist, watchlist_schema
from notifier.watchlist.receivers import RECEIVERS, Mentions, ReceiverSettings, kinds_in
from notifier.watchlist.values import Name
from tests.builders import a_message

GOOD: Final = """\
version: 1
workspaces:
  production: {api_key: abc}
watches:
  - syncs: all
receivers:
  oncall: {type: pager, number: "0123", mentions: ["@here"]}
"""


class PagerReceiver(ReceiverSettings):
    """Somebody's pager."""

    selective: ClassVar[bool] = True
    shows_every_start: ClassVar[bool] = True

    type: Literal["pager"]
    number: str
    """Whom to call."""
    mentions: Mentions = ()
    """Who is told besides."""

    @property
    def living(self) -> bool:
        """A pager keeps what it shows true."""
        return True

    @property
    def calls(self) -> tuple[Mentions, tuple[str, ...]]:
        """Whenever one opens."""
        return self.mentions, ("incident.opened",)

    @property
    def where_to_look(self) -> str:
        """On the belt."""
        return f"the pager {self.number}"


PAGER: Final[type[ReceiverSettings]] = PagerReceiver


class PagerSender:
    """Calls a number."""

    concurrency = 1
    can_be_asked = False
    most_at_once = 1

    def __init__(self, name: str, number: str, note: str | None) -> None:
        self.name = name
        self.number = number
        self.note = note
        self.turnstile = Turnstile()

    def gate(self, message: Message) -> Turnstile | None:
        return None

    async def send(self, message: Message) -> Outcome:
        return Delivered(answer=f"called {self.number}")


def build(name: str, settings: PagerReceiver, shared: Shared, note: str | None) -> Receiver:
    return PagerSender(name, settings.number, note)


async def check(settings: PagerReceiver, shared: Shared) -> Verdict:
    return Verdict(ok=True, said=f"{settings.number} answers")


KIND = Kind(PagerReceiver, build, check)


@pytest.fixture(autouse=True)
def a_pager_among_them(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if it were written into the union, and this file into the list of kinds."""
    members, discriminator = get_args(receivers.Receiver)
    union: Any = Annotated[members | PagerReceiver, discriminator]
    for name, settings in kinds_in(union).items():
        monkeypatch.setitem(RECEIVERS, name, settings)
    monkeypatch.setitem(KINDS, PAGER, __name__)
    field = Watchlist.model_fields["receivers"]
    written = field.annotation
    field.annotation = dict[Name, union]
    Watchlist.model_rebuild(force=True)
    yield
    field.annotation = written
    Watchlist.model_rebuild(force=True)


def senders() -> Senders:
    nothing: Any = None  # a session that nobody asks
    return Senders(nothing)


@pytest.fixture
def watchlist(tmp_path: Path) -> Watchlist:
    return loaded(tmp_path, GOOD)


def loaded(directory: Path, text: str) -> Watchlist:
    path = directory / "watchlist.yaml"
    path.write_text(text)
    return load_watchlist(path, {})


def test_the_loader_reads_it(watchlist: Watchlist) -> None:
    settings: ReceiverSettings = watchlist.receivers["oncall"]
    assert settings == PagerReceiver(type="pager", number="0123", mentions=("@here",))


def test_the_schema_offers_it_with_what_its_fields_mean() -> None:
    definitions = watchlist_schema()["$defs"]
    assert definitions["PagerReceiver"]["properties"]["number"]["description"] == "Whom to call."


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ('{type: pager, numbr: "1"}', 'unknown key; did you mean "number"?'),
        ("{type: pager}", "is missing"),
        ("{number: 1}", "is missing; give one of slack, slack_webhook, webhook, pager"),
        ('{type: pagr, number: "1"}', 'no type of receiver is named "pagr"; did you mean "pager"?'),
    ],
)
def test_mistakes_in_one_are_said_in_words(tmp_path: Path, given: str, mistake: str) -> None:
    with pytest.raises(WatchlistError) as caught:
        loaded(tmp_path, GOOD.replace('{type: pager, number: "0123", mentions: ["@here"]}', given))
    [problem] = caught.value.problems
    assert problem.message == mistake


def test_events_are_routed_to_it_as_its_settings_say(watchlist: Watchlist) -> None:
    [reader] = readers_of(watchlist.receivers)
    assert reader == Reader("oncall", selective=True, living=True, mentions=("@here",), mention_on=("incident.opened",))


def test_the_advice_looks_at_it_too(watchlist: Watchlist) -> None:
    assert noisy_receivers(watchlist) == ("oncall",)


@pytest.mark.asyncio
async def test_its_own_file_builds_its_sender_and_checks_it(watchlist: Watchlist) -> None:
    settings = watchlist.receivers["oncall"]
    sender = senders().build("oncall", settings, "remembered")
    assert isinstance(sender, PagerSender)
    assert (sender.name, sender.note) == ("oncall", "remembered")
    assert await sender.send(a_message()) == Delivered(answer="called 0123")
    assert await senders().check("oncall", settings) == Verdict(ok=True, said="0123 answers")


@pytest.mark.asyncio
async def test_of_a_kind_that_can_not_be_asked_the_check_says_how_to_try_it(
    watchlist: Watchlist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "KIND", Kind(PagerReceiver, build))
    verdict = await senders().check("oncall", watchlist.receivers["oncall"])
    assert verdict == Verdict(ok=None, said="can't be checked without sending; try: notifier send-test oncall")


def test_every_kind_of_the_union_can_be_built_and_says_its_traits() -> None:
    assert set(KINDS) == set(RECEIVERS.values())
    for settings, module in KINDS.items():
        assert import_module(module).KIND.settings is settings
    for settings in RECEIVERS.values():
        assert isinstance(settings.selective, bool)
        assert isinstance(settings.shows_every_start, bool)


def test_what_init_offers_the_watchlist_knows() -> None:
    assert set(To) <= RECEIVERS.keys()
