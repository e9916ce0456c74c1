"""`init`: a first watchlist, by questions or by options, checked against Census and Slack before it is written."""

import asyncio
import os
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, assert_never

import typer

from notifier.census.listing import Listing
from notifier.cli.help import Panel, examples
from notifier.cli.init.questions import Questions, as_value_of
from notifier.cli.init.template import (
    API_KEY,
    HOOK_SECRET,
    HOOK_URL,
    SLACK_TOKEN,
    SLACK_URL,
    TOKEN,
    Answers,
    To,
    watchlist_text,
)
from notifier.cli.init.which_syncs import ALL, selected
from notifier.cli.loop import new_loop
from notifier.cli.options import DEFAULT_CONFIG, Config
from notifier.cli.probe import examine, read_listings
from notifier.cli.terminal import plain, waiting
from notifier.judging.advice import misplaced_workspaces
from notifier.model.api_version import RETIRES_ON, ApiVersion, time_left
from notifier.model.errors import CensusError, Problem, Unauthorized, WatchlistError
from notifier.service import log
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist
from notifier.watchlist.values import BaseUrl, Credential, NonEmpty, SecretUrl

EXAMPLES = examples(
    ("notifier init", "asks for all it needs"),
    ("notifier init --channel '#data-syncs' --yes", "without questions"),
    ("notifier init --to webhook --watch 'Sales*'", "some syncs"),
)
_SLACK_TOKENS: Final = ("xoxb-", "xoxp-", "xoxe", "xapp-")  # how they begin
_ABOUT_TOKENS: Final = "Tokens are made in Fivetran: account settings, Activations personal access token."
_WITHOUT_ONE: Final = f"Leave it empty for an API key: version 1 of the API, which ends on {RETIRES_ON[ApiVersion.V1]}."


class Region(StrEnum):
    """Where a workspace lives."""

    US = "us"
    EU = "eu"
    AU = "au"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.WATCHLIST, epilog=EXAMPLES)(init)


def init(
    config: Config = DEFAULT_CONFIG,
    region: Annotated[Region | None, typer.Option("--region", help="Where the Census workspace lives.")] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="The Census API's address, instead of a region.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="The Fivetran group whose syncs these are.")
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option("--watch", metavar="SYNCS", help="all, a sync's ID, or a glob for labels; may be repeated."),
    ] = None,
    to: Annotated[To | None, typer.Option("--to", metavar="KIND", help=f"Who is told: {', '.join(To)}.")] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="CHANNEL", help="The Slack channel: a name or an ID.")
    ] = None,
    slack_api_url: Annotated[
        str | None, typer.Option("--slack-api-url", metavar="URL", help="Slack's Web API, when not at slack.com.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: watch all syncs and tell Slack, unless given.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
) -> None:
    """Writes a watchlist, after asking for the keys and looking at what there is to watch.

    Secrets are asked for without showing them, or taken from the environment. They are never written down.

    The key is ACTIVATIONS_TOKEN, or else CENSUS_API_KEY: version 1 of the API, which ends on 2027-01-15.

    The receiver's is SLACK_BOT_TOKEN, SLACK_WEBHOOK_URL or WEBHOOK_URL.

    Without a terminal nothing is asked, and exit code 2 says that something is missing.

    Exit code 1 when a key or channel does not work.
    """
    log.configure(log.LogFormat.AUTO, log.LogLevel.WARNING)
    if region is not None and base_url is not None:
        raise typer.BadParameter("give either --region or --base-url")
    if channel is not None and (complaint := _no_channel(channel)) is not None:
        raise typer.BadParameter(f"--channel {complaint}")
    _refuse_to_overwrite(config, force=force)
    questions = Questions(os.environ, interactive=sys.stdin.isatty() and not yes)
    kind = to or (To.SLACK if channel is not None or not questions.interactive else None)
    if not questions.interactive:
        _name_what_is_missing(questions, kind or To.SLACK, channel, group or "", named=bool(watch) or yes)
    answers = Answers(
        group=group or "", region=region or Region.US, base_url=base_url or "", slack_api_url=slack_api_url or ""
    )
    answers, listing = _connected(questions, answers, config, asks_region=region is None and base_url is None)
    answers = replace(answers, selection=selected(questions, listing, watch or ([ALL] if yes else None)))
    answers = _told(questions, answers, kind, channel)
    answers = _proven(questions, answers, config)
    _write(config, watchlist_text(answers), force=force)
    _show_what_is_next(answers, config)


def _refuse_to_overwrite(config: Path, *, force: bool) -> None:
    if not force and os.path.lexists(config):
        typer.echo(f"notifier: {config} is there already; --force overwrites it, --config names another", err=True)
        raise typer.Exit(2)


def _name_what_is_missing(questions: Questions, kind: To, channel: str | None, group: str, *, named: bool) -> None:
    """Everything at once, before anyone is asked."""
    _ask_for_key(questions, group)
    if not named:
        questions.missing.append("--watch (or --yes for all syncs)")
    _ask_for_receiver(questions, kind, channel)
    if questions.missing:
        typer.echo(
            f"notifier: nobody can be asked here, and these are missing: {', '.join(questions.missing)}", err=True
        )
        raise typer.Exit(2)


# --- Census ---


def _ask_for_key(questions: Questions, group: str, *, anew: bool = False) -> ApiVersion:
    """Sees that there is a token, or where there is none an API key; the version that takes it. Only version 2 knows
    groups."""
    if not anew and not group and questions.has(API_KEY) and not questions.has(TOKEN):
        return ApiVersion.V1
    if questions.interactive and not anew and not questions.has(TOKEN):
        typer.echo(_ABOUT_TOKENS if group else f"{_ABOUT_TOKENS}\n{_WITHOUT_ONE}", err=True)
    question = "Activations personal access token"
    questions.secret(TOKEN, question, as_value_of(Credential), anew=anew, optional=not group)
    if questions.has(TOKEN) or not questions.interactive:
        return ApiVersion.V2
    question = "API key of the Census workspace, from Workspace settings, API Access"
    questions.secret(API_KEY, question, as_value_of(Credential), anew=anew)
    return ApiVersion.V1


def _connected(questions: Questions, answers: Answers, config: Path, *, asks_region: bool) -> tuple[Answers, Listing]:
    """The answers with a region, and a token or an API key in `questions.env`, that give the list of syncs."""
    anew = False
    while True:
        if questions.interactive and asks_region and not anew:
            answers = _ask_where(questions, answers)
        # After a refusal, the key first: who types it at once must not see it on the screen, as an address.
        answers = replace(answers, api=_ask_for_key(questions, answers.group, anew=anew))
        if questions.interactive and anew:
            answers = _ask_where(questions, answers)
        watchlist = _loaded(replace(answers, kind=To.WEBHOOK), config, questions, **{HOOK_URL: "https://example.com"})
        with waiting("Asking Census for the syncs …"), asyncio.Runner(loop_factory=new_loop()) as runner:
            (found,) = runner.run(read_listings(watchlist)).values()
        if isinstance(found, Listing):
            return replace(answers, labels={sync.id: sync.label or "" for sync in found.syncs.values()}), found
        questions.again(f"The syncs can't be read: {found}.{_hint(found, answers, watchlist)}")
        anew = True


def _hint(error: CensusError, answers: Answers, watchlist: Watchlist) -> str:
    for version in misplaced_workspaces(watchlist).values():
        key = "a token" if version is ApiVersion.V2 else "an API key"
        return f" With {key} the address should end with /{version}."
    if answers.base_url or answers.api is not ApiVersion.V1 or not isinstance(error, Unauthorized):
        return ""  # whether tokens are of a region is not said
    others = " or ".join(region for region in Region if region != answers.region)
    return f" A key of the region {others} works there alone."


def _ask_where(questions: Questions, answers: Answers) -> Answers:
    if answers.base_url:
        url = questions.text(None, "", "The API's address", as_value_of(BaseUrl), default=answers.base_url)
        return replace(answers, base_url=url)

    def complain(answer: str) -> str | None:
        return None if answer in tuple(Region) else "must be us, eu or au"

    region = questions.text(None, "", "Region of the Census workspace, us, eu or au", complain, default=answers.region)
    return replace(answers, region=region)


# --- who is told ---


def _told(questions: Questions, answers: Answers, kind: To | None, channel: str | None) -> Answers:
    if kind is None:
        question = "Who is told, slack (a channel, by a bot token), slack_webhook (an incoming webhook), or webhook"

        def complain(answer: str) -> str | None:
            return None if answer in tuple(To) else f"must be one of {', '.join(To)}"

        kind = To(questions.text(None, "--to", question, complain, default=To.SLACK))
    name = _ask_for_receiver(questions, kind, channel)
    signed = bool(questions.env.get(HOOK_SECRET) or questions.env.get(f"{HOOK_SECRET}_FILE"))
    return replace(answers, kind=kind, channel=name, signed=signed)


def _ask_for_receiver(questions: Questions, kind: To, channel: str | None, *, anew: bool = False) -> str:
    """Sees that the secrets are there; the channel's name, where there is one."""
    match kind:
        case To.SLACK_WEBHOOK:
            questions.secret(SLACK_URL, "URL of the incoming webhook", as_value_of(SecretUrl), anew=anew)
            return ""
        case To.WEBHOOK:
            questions.secret(HOOK_URL, "URL of the webhook", as_value_of(SecretUrl), anew=anew)
            return ""
        case To.SLACK:
            question = "Bot token of the Slack app, xoxb-…, as docs/slack.md says"
            questions.secret(SLACK_TOKEN, question, as_value_of(Credential), anew=anew)
            name = "Channel, a name such as #data-syncs or an ID"
            return questions.text(channel, "--channel", name, _no_channel)
        case unknown:
            assert_never(unknown)


def _no_channel(answer: str) -> str | None:
    """What is wrong with a channel; it is written down, so that it must be no secret."""
    if answer.startswith(_SLACK_TOKENS):
        return "must be a channel, and this is a token"
    return as_value_of(NonEmpty)(answer)


def _proven(questions: Questions, answers: Answers, config: Path) -> Answers:
    """The answers with a receiver that works, as far as that can be told without sending."""
    while True:
        watchlist = _loaded(answers, config, questions)
        if answers.kind is not To.SLACK:
            return answers
        with waiting("Asking Slack for the channel …"), asyncio.Runner(loop_factory=new_loop()) as runner:
            verdict = runner.run(examine(watchlist)).verdicts[answers.receiver]
        if verdict.ok is not False:
            typer.echo(f"Slack: {plain(verdict.said)}", err=True)
            return answers
        questions.again(f"Slack can't be told: {verdict.said}.")
        answers = replace(answers, channel=_ask_for_receiver(questions, To.SLACK, None, anew=True))


# --- the file ---


def _loaded(answers: Answers, config: Path, questions: Questions, **env: str) -> Watchlist:
    """The answers, as `notifier check` reads it. Raises WatchlistError: an option or a variable can't be used."""
    with tempfile.TemporaryDirectory(prefix="census-notifier-init-") as directory:
        path = Path(directory) / "watchlist.yaml"
        path.write_text(watchlist_text(answers), encoding="utf-8")
        try:
            return load_watchlist(path, {**questions.env, **env})
        except WatchlistError as error:
            raise WatchlistError(tuple(_unwritten(problem, config) for problem in error.problems)) from None


def _unwritten(problem: Problem, config: Path) -> Problem:
    return replace(problem, file=f"{config} (not written)")


def _write(config: Path, text: str, *, force: bool) -> None:
    try:
        with config.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        typer.echo(f"notifier: {config} can't be written: {reason}", err=True)
        raise typer.Exit(1) from None


def _show_what_is_next(answers: Answers, config: Path) -> None:
    options = "" if config == DEFAULT_CONFIG else f" -c {config}"
    lines = [f"{config} is written. It has the names of these variables; set them where the notifier runs:", ""]
    for name in answers.variables:
        is_set = os.environ.get(name) or os.environ.get(f"{name}_FILE")
        lines.append(f"  export {name}='…'".ljust(32) + ("# is set in this shell" if is_set else ""))
    if answers.api in RETIRES_ON:
        left = time_left(RETIRES_ON[answers.api], datetime.now(UTC).date())
        lines += ["", f"It uses version {answers.api.number} of the Census API: {left}. docs/v2.md says what to do."]
    lines += ["", "Then check it, try it, run it:", ""]
    commands = ("check --online", f"send-test {answers.receiver}", "run")
    lines += [f"  notifier {command}{options}" for command in commands]
    typer.echo("\n".join(line.rstrip() for line in lines))
