"""A new watchlist's text, with comments: what `notifier init` writes. It has the names of secrets, never a secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from notifier.model.api_version import RETIRES_ON, ApiVersion
from notifier.model.identity import Id


class To(StrEnum):
    """The kinds of receivers that `init` offers, by the names that the watchlist has for them."""

    SLACK = "slack"
    SLACK_WEBHOOK = "slack_webhook"
    WEBHOOK = "webhook"


TOKEN: Final = "ACTIVATIONS_TOKEN"  # noqa: S105 - a variable's name
API_KEY: Final = "CENSUS_API_KEY"
SLACK_TOKEN: Final = "SLACK_BOT_TOKEN"  # noqa: S105
SLACK_URL: Final = "SLACK_WEBHOOK_URL"
HOOK_URL: Final = "WEBHOOK_URL"
HOOK_SECRET: Final = "WEBHOOK_SECRET"  # noqa: S105
_COLUMN: Final = 40  # where comments begin


@dataclass(frozen=True, slots=True)
class Selection:
    """Syncs to watch, by ID and by globs for their label; neither means all."""

    ids: tuple[Id, ...] = ()
    globs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered, or given as options."""

    api: ApiVersion = ApiVersion.V2
    group: str = ""
    """Of version 2 alone; "" is none."""
    region: str = "us"
    base_url: str = ""
    selection: Selection = Selection()
    labels: Mapping[Id, str] = field(default_factory=dict)
    """Those of the syncs, for comments."""
    kind: To = To.SLACK
    channel: str = ""
    slack_api_url: str = ""
    signed: bool = False
    """Whether the webhook has a secret."""

    @property
    def receiver(self) -> str:
        """The receiver's name."""
        return "pipeline" if self.kind is To.WEBHOOK else "data"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that the watchlist names without a default."""
        key = TOKEN if self.api is ApiVersion.V2 else API_KEY
        match self.kind:
            case To.SLACK:
                return (key, SLACK_TOKEN)
            case To.SLACK_WEBHOOK:
                return (key, SLACK_URL)
            case To.WEBHOOK:
                return (key, HOOK_URL, *([HOOK_SECRET] if self.signed else []))
            case unknown:
                assert_never(unknown)


def watchlist_text(answers: Answers) -> str:
    """The whole file."""
    parts = [_HEAD, _workspaces(answers), _watches(answers), _CHECKS, _receivers(answers), _routes(answers), _HEARTBEAT]
    return "\n".join(parts)


def quoted(text: str) -> str:
    """Text as YAML in double quotes, whatever is in it; nothing in it is a variable."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    literal = text.replace("${", "$${")
    shown = (escapes.get(sign, sign if sign.isprintable() else f"\\U{ord(sign):08x}") for sign in literal)
    return f'"{"".join(shown)}"'


_HEAD: Final = """\
# yaml-language-server: $schema=./watchlist.schema.json
#
# What to follow in Census, and who is told. After a change: notifier check
# ${NAME} is the environment variable NAME, or else the content of the file that NAME_FILE names. No secret stands here.
# `notifier schema > watchlist.schema.json` lets your editor check and complete this file.
version: 1

# Where the state is kept. Three slashes: relative to the working directory; four: an absolute path.
database: ${NOTIFIER_DATABASE:-sqlite:///notifier.db}
"""

_CHECKS: Final = """\
# What lasts is an incident: told when it opens, changes and is over, however many runs it spans. These are on unless
# `false` turns them off; a watch may have `checks` of its own.
checks:
  failing: {runs: 1}                    # so many runs in a row failed
  rejected_records: {percent: 75}       # a run completed, but most of its records did not arrive
  unreachable: {after: 5m}              # Census' API does not answer, or refuses the key
  unreadable: {after: 30m}              # the runs of one sync can't be read, though Census answers
  reminders: {first: 24h, longest: 7d}  # while it lasts; each pause is twice the last
  # slow_run: {after: 4h}               # a run takes too long
  # stale: {after: 26h}                 # no run has completed for too long
  # record_count: {deviation_percent: 50}    # far more or fewer records than usual
"""

_HEARTBEAT: Final = """\
# A monitor's address that is called while all is well, so that it can raise the alarm when the notifier is gone.
# heartbeat: {url: "${HEARTBEAT_URL}", every: 60s}
"""


def _line(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN - 1}} # {comment}\n" if comment else f"{text}\n"


def _workspaces(answers: Answers) -> str:
    if answers.base_url:
        address = f"    base_url: {quoted(answers.base_url)}\n"
    else:
        address = _line(f"    region: {answers.region}", "us, eu or au")
    return (
        "workspaces:\n"
        + _line("  production:", "a name of your choice; all that is known of the workspace hangs on it")
        + _key(answers)
        + address
    )


def _key(answers: Answers) -> str:
    if answers.api is ApiVersion.V1:
        end = f"Census ends on {RETIRES_ON[ApiVersion.V1]}: docs/v2.md"
        return _line(f"    api_key: ${{{API_KEY}}}", f"version 1 of the API, which {end}")
    group = f"    group: {quoted(answers.group)}" if answers.group else "    # group: wandering_aimlessly"
    return _line(f"    token: ${{{TOKEN}}}", "Fivetran: account settings, Activations personal access token") + _line(
        group, "this Fivetran group's syncs; without it, all that the token's owner sees"
    )


def _watches(answers: Answers) -> str:
    selection = answers.selection
    lines = [_line(f"  - sync: {_id(i)}", _comment(answers.labels.get(i, ""))) for i in selection.ids]
    if selection.globs:
        lines.append(f"  - syncs: {{label: [{', '.join(map(quoted, selection.globs))}]}}\n")
    if not lines:
        lines.append(_line("  - syncs: all", "new ones too, as they appear"))
    else:
        lines.append(_line("  # - syncs: all", "every sync, new ones as they appear"))
    lines.append(
        "  # - sync: 52                          # one that has to complete every day, with labels for routes\n"
    )
    lines.append("  #   labels: {team: growth}\n")
    lines.append("  #   checks: {stale: {after: 26h}}\n")
    return "watches:\n" + "".join(lines)


def _id(identity: Id) -> str:
    return str(identity) if isinstance(identity, int) else quoted(identity)


def _comment(label: str) -> str:
    shown = " ".join("".join(sign if sign.isprintable() else " " for sign in label).split())
    return f"{shown[:59]}…" if len(shown) > 60 else shown


def _receivers(answers: Answers) -> str:
    head = f"receivers:\n  {answers.receiver}:\n    type: {answers.kind}\n"
    mentions = _line('    # mentions: ["@here"]', "called when an incident opens, and with each reminder")
    match answers.kind:
        case To.SLACK:
            api_url = f"    api_url: {quoted(answers.slack_api_url)}\n" if answers.slack_api_url else ""
            channel = _line(f"    channel: {quoted(answers.channel)}", "a name or an ID; the app has to be its member")
            return f"{head}    token: ${{{SLACK_TOKEN}}}\n{channel}{api_url}{mentions}"
        case To.SLACK_WEBHOOK:
            return f"{head}    url: ${{{SLACK_URL}}}\n{mentions}"
        case To.WEBHOOK:
            secret = _line(
                f"    secret: ${{{HOOK_SECRET}}}", '"whsec_" and base64 of 24 bytes or more; signs each request'
            )
            return (
                f"{head}    url: ${{{HOOK_URL}}}\n{secret if answers.signed else secret.replace('    s', '    # s', 1)}"
            )
        case unknown:
            assert_never(unknown)


def _routes(answers: Answers) -> str:
    head = "# Every route that matches gets the event; a condition that is left out matches all.\nroutes:\n"
    if answers.kind is To.WEBHOOK:
        return head + _line(f"  - receivers: [{answers.receiver}]", "a program gets everything: no condition")
    events = "incident.*, sync_run.canceled, sync_run.skipped, sync_run.status_changed"
    return f"{head}  - events: [{events}]\n    receivers: [{answers.receiver}]\n"
