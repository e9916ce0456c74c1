"""`send-test`: one message through the real path, and what came back."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final, assert_never

import typer

from notifier.cli import completion
from notifier.cli.help import Panel, examples
from notifier.cli.loading import load
from notifier.cli.loop import new_loop
from notifier.cli.options import DEFAULT_CONFIG, Config
from notifier.cli.probe import SentTest, send_test_message
from notifier.cli.terminal import brief, plain, waiting
from notifier.model.delivery import Broken, Delivered, Outcome, Refused, Retry
from notifier.model.errors import StoreError
from notifier.model.event import TEST_TYPE
from notifier.service import log
from notifier.store.database import database_at
from notifier.store.orders import try_receiver
from notifier.watchlist.reading.wording import Quotes
from notifier.watchlist.receivers import ReceiverSettings, WebhookReceiver

MOST_OF_ANSWER: Final = 300
EXAMPLES = examples(("notifier send-test growth", "the receiver named growth in the watchlist"))


def register(app: typer.Typer) -> None:
    app.command("send-test", rich_help_panel=Panel.WATCHLIST, epilog=EXAMPLES)(send_test)


def send_test(
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER", help="Its name.", autocompletion=completion.receivers)],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Sends a receiver a test message, and shows what came back and where to look for it.

    When it was delivered, a worker that had found the receiver broken tries it again at once.

    Exit code 1 when it was not delivered.
    """
    log.configure(log.LogFormat.AUTO, log.LogLevel.WARNING)
    watchlist = load(config)
    if receiver not in watchlist.receivers:
        unknown = Quotes(()).unknown("receiver", receiver, watchlist.receivers)
        raise typer.BadParameter(unknown, param_hint="RECEIVER")
    with waiting(f"Sending a test to {receiver} …"), asyncio.Runner(loop_factory=new_loop()) as runner:
        sent = runner.run(send_test_message(watchlist, receiver))
    typer.echo(f"{receiver}: {plain(_told(sent.outcome))} ({sent.took.total_seconds():.2f} s)")
    for line in _details(watchlist.receivers[receiver], sent):
        typer.echo(f"  {line}")
    if not isinstance(sent.outcome, Delivered):
        typer.echo(f"notifier: {receiver} did not get the test message", err=True)
        raise typer.Exit(1)
    if database_at(watchlist.database_place).has_been_made():
        try:
            try_receiver(watchlist.database_place, receiver, datetime.now(UTC))
        except StoreError as error:  # the message is in the channel all the same
            typer.echo(f"notifier: a running worker can't be told that {receiver} works: {error}", err=True)


def _details(settings: ReceiverSettings, sent: SentTest) -> Iterator[str]:
    """What was sent, what a webhook answered, and where a person finds the message."""
    arrived = isinstance(sent.outcome, Delivered)
    if isinstance(settings, WebhookReceiver):
        signed = "signed" if settings.secret is not None else "not signed: the watchlist gives it no secret"
        yield f"sent: a {TEST_TYPE} with webhook-id {sent.message_id}, {signed}"
        if sent.answer is not None:
            begins = brief(sent.answer, MOST_OF_ANSWER)
            yield f"its answer: {begins}" if begins else "its answer has no body"
    if arrived and settings.where_to_look is not None:
        yield f'look for "Test message" in {plain(settings.where_to_look)}'
    called, _ = settings.calls
    if arrived and called:
        yield f"a test calls nobody: whether Slack takes {plain(', '.join(called))} was not tried"


def _told(outcome: Outcome) -> str:
    match outcome:
        case Delivered(answer=answer):
            return f"delivered: {answer}"
        case Retry(reason, after):
            return f"not delivered, try again{f' in {after.total_seconds():g} s' if after else ''}: {reason}"
        case Broken(reason):
            return f"not delivered, the receiver is broken: {reason}"
        case Refused(reason):
            return f"not delivered, the message was refused: {reason}"
        case unreachable:
            assert_never(unreachable)
