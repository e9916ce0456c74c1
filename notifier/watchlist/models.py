"""What a watchlist may say. Every value is frozen; secrets are SecretStr; unknown keys are errors.

A docstring below a field is its description in the JSON Schema, so an editor shows it. Conditions and other keys
that may be left out are None then; a key that is present without a value never gets here (see `load`).
"""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from notifier.model.api_version import ApiVersion
from notifier.watchlist.checks import Checks, WatchChecks
from notifier.watchlist.database import DEFAULT_DATABASE, DatabasePlace, database_place
from notifier.watchlist.durations import not_below_first
from notifier.watchlist.part import Part
from notifier.watchlist.receivers import MENTION_ON, MentionOn, Mentions, Receiver
from notifier.watchlist.scalars import as_number
from notifier.watchlist.server import LifecycleWebhook, Server
from notifier.watchlist.values import (
    BaseUrl,
    CheckName,
    Count,
    Credential,
    Database,
    Duration,
    EventPattern,
    Flag,
    Glob,
    Globs,
    Identifier,
    Name,
    NonEmpty,
    Rate,
    SecretUrl,
)

APP_URLS: Final = {
    "us": "https://app.getcensus.com",
    "eu": "https://app-eu.getcensus.com",
    "au": "https://app-au.getcensus.com",  # the vendor's Terraform provider names the region, not its host
}
VERSION_1: Final = "must be the number 1, the version of the format that this notifier reads"
FIRST_RETRY: Final = timedelta(seconds=5)
CROSS_FIELD: Final = "cross_field"
"""Type of the errors about several fields at once; the loader finds those by `rules`, also beside other errors."""


class DeliverySettings(Part):
    """How often and how long a message is tried again."""

    first_retry: Duration = Field(default=FIRST_RETRY, json_schema_extra={"default": "5s"})
    """How long after the first failed attempt the second follows; each later pause is twice as long."""
    longest_retry: Duration = Field(
        default=timedelta(minutes=10), validate_default=True, json_schema_extra={"default": "10m"}
    )
    """The longest pause between two attempts."""
    give_up_after: Duration = Field(default=timedelta(days=3), json_schema_extra={"default": "3d"})
    """The age of an event at which a failed attempt was the last."""
    timeout: Duration = Field(default=timedelta(seconds=15), json_schema_extra={"default": "15s"})
    """How long one attempt may take."""

    @field_validator("longest_retry", mode="after")
    @classmethod
    def _not_before_the_first(cls, longest: timedelta, others: ValidationInfo) -> timedelta:
        return not_below_first(longest, others.data.get("first_retry"), "first_retry", FIRST_RETRY)


class Workspace(Part):
    """One Census workspace: where its API is, and how often it may be asked."""

    KEYS: ClassVar = ("token", "api_key")
    model_config = ConfigDict(
        json_schema_extra={
            "not": {"required": ["region", "base_url"]},
            "anyOf": [{"required": [name]} for name in KEYS],
            "dependentRequired": {"group": ["token"]},
        }
    )

    token: Credential | None = None
    """A personal access token, for version 2 of the API; best as ${ACTIVATIONS_TOKEN}."""
    group: NonEmpty | None = None
    """The Fivetran group whose syncs these are; left out, all that the token's owner sees."""
    api_key: Credential | None = None
    """The workspace's API key, for version 1 of the API, which Census ends on 2027-01-15; unused beside a token."""
    region: Literal["us", "eu", "au"] = "us"
    """Where the workspace lives."""
    base_url: BaseUrl | None = None
    """The API's address, of the version in use, instead of a region: a proxy, a simulator."""
    poll_interval: Duration = Field(default=timedelta(seconds=60), json_schema_extra={"default": "60s"})
    """How often a sync at rest is looked at."""
    active_poll_interval: Duration = Field(default=timedelta(seconds=10), json_schema_extra={"default": "10s"})
    """How often a sync is looked at while it has a run that has not ended."""
    max_requests_per_second: Rate = 10.0
    """Ceiling for all requests to this workspace together."""
    max_concurrent_requests: Count = 16
    """How many requests may be under way at once."""
    hints: Flag = True
    """Learn what the list of syncs announces: news within seconds, a fifth of the requests. False: poll all alike."""
    lifecycle_webhook: LifecycleWebhook | None = None
    """Takes Census' webhooks of this workspace at /webhooks/census/NAME of the server: news within a second."""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.base_url is not None and "region" in self.model_fields_set:
            raise PydanticCustomError(CROSS_FIELD, "either region or base_url")
        return self

    @model_validator(mode="after")
    def _a_key(self) -> Self:
        if self.token is None and (self.api_key is None or self.group is not None):
            raise PydanticCustomError(CROSS_FIELD, "token or api_key, and no group without a token")
        return self

    @property
    def api(self) -> ApiVersion:
        """The version in use."""
        return ApiVersion.V2 if self.token is not None else ApiVersion.V1

    @property
    def app_url(self) -> str:
        """Scheme, host and port of the API: what links for people start with."""
        if self.base_url is None:
            return APP_URLS[self.region]
        address = urlsplit(self.base_url)
        return f"{address.scheme}://{address.netloc}"


class SyncSelector(Part):
    """Syncs by their label: those that fit any glob of `label` (all, if it is empty) and none of `exclude_label`."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    label: Globs = Field(default_factory=tuple)
    """Globs for the whole label, with case: *, ?, [abc]. Left out: every sync."""
    exclude_label: Globs = Field(default_factory=tuple)
    """Globs for the labels of syncs to leave out."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.label and not self.exclude_label:
            raise PydanticCustomError(CROSS_FIELD, "label or exclude_label")
        return self


def _kind_of_syncs(value: object) -> str | None:
    if isinstance(value, str):
        return "all"
    return "selector" if isinstance(value, dict | SyncSelector) else None


_ALL: Final = {"type": "string", "enum": ["all"]}
SyncsOfWorkspace: TypeAlias = Annotated[
    Annotated[Literal["all"], WithJsonSchema(_ALL), Tag("all")] | Annotated[SyncSelector, Tag("selector")],
    Discriminator(
        _kind_of_syncs,
        custom_error_type="syncs_kind",
        custom_error_message="must be all, or a mapping with label or exclude_label",
    ),
]


class Watch(Part):
    """An entry of the watchlist: exactly one of `sync`, `syncs` and `sync_run`, and labels."""

    SELECTORS: ClassVar = ("sync", "syncs", "sync_run")
    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name]} for name in SELECTORS],
            "not": {"required": ["sync_run", "checks"]},
        }
    )

    sync: Identifier | None = None
    """One sync, by its ID: every run of it."""
    syncs: SyncsOfWorkspace | None = None
    """Every sync of the workspace, new ones as they appear: all, or those whose label fits."""
    sync_run: Identifier | None = None
    """One run, by its ID, until it ends."""
    workspace: Name = Field(default_factory=str)
    """The workspace's name; may be left out where there is only one (a loaded watch always has it)."""
    labels: dict[NonEmpty, str] = Field(default_factory=dict)
    """Free labels, for routes and messages."""
    checks: WatchChecks | None = None
    """What makes an incident of these syncs, where that differs from the watchlist's `checks`."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, name) is not None for name in self.SELECTORS) != 1:
            raise PydanticCustomError(CROSS_FIELD, "exactly one of sync, syncs and sync_run")
        if self.sync_run is not None and self.checks is not None:
            raise PydanticCustomError(CROSS_FIELD, "checks of a sync_run")
        return self


def _kind_of_sync(value: object) -> str | None:
    if isinstance(value, str):
        return "label"
    return "id" if isinstance(value, int) and not isinstance(value, bool) else None


SyncCondition: TypeAlias = Annotated[
    Annotated[Identifier, Tag("id")] | Annotated[Glob, Tag("label")],
    Discriminator(
        _kind_of_sync, custom_error_type="sync_kind", custom_error_message="must be a sync's ID or a glob for its label"
    ),
    BeforeValidator(as_number),
]


class Route(Part):
    """Which events go to which receivers: the given conditions must all match; one left out (None) matches all."""

    events: Annotated[tuple[EventPattern, ...], Field(min_length=1)] | None = None
    """Names of events, or globs such as sync_run.*"""
    workspaces: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Names of workspaces."""
    syncs: Annotated[tuple[SyncCondition, ...], Field(min_length=1)] | None = None
    """IDs of syncs, or globs for their labels."""
    labels: dict[NonEmpty, str] | None = None
    """Labels that the watch must have, with these values."""
    checks: Annotated[tuple[CheckName, ...], Field(min_length=1)] | None = None
    """Names of checks: events of their incidents, and no others."""
    mentions: Mentions = ()
    """Who is mentioned in what Slack receivers post by this route, beside the receiver's own mentions."""
    mention_on: MentionOn = MENTION_ON
    """The events on which this route's mentions are added."""
    receivers: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of the receivers that get the event."""


class HeartbeatSettings(Part):
    """A dead man's switch: an address that is asked for again and again while all is well."""

    url: SecretUrl
    """What is asked for (GET), which is a secret; best as ${HEARTBEAT_URL}."""
    every: Duration = Field(default=timedelta(seconds=60), json_schema_extra={"default": "60s"})
    """How often."""


def _version(value: object) -> object:
    value = as_number(value)
    if isinstance(value, bool | float):  # which Python takes for equal to 1
        raise ValueError(VERSION_1)  # noqa: TRY004 (pydantic wants ValueError)
    return value


class Watchlist(Part):
    """What to watch in which Census workspaces, and who is told."""

    version: Annotated[Literal[1], BeforeValidator(_version)]
    """The version of this format: 1."""
    database: Database = Field(default=DEFAULT_DATABASE, repr=False)
    """Where the state is kept: sqlite:///relative.db or sqlite:////absolute.db, or postgresql://user:password@host/name"""
    retention: Duration = Field(default=timedelta(days=30), json_schema_extra={"default": "30d"})
    """How long events, finished deliveries and old snapshots are kept."""
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    """How often and how long a message is tried again."""
    workspaces: dict[Name, Workspace] = Field(min_length=1)
    """The Census workspaces, by a name of your choice; the name is an identity."""
    watches: tuple[Watch, ...] = Field(min_length=1)
    """What to follow."""
    checks: Checks | None = None
    """What lasts and is told as an incident, for every watch; each check may be turned off with false."""
    receivers: dict[Name, Receiver] = Field(min_length=1)
    """Where messages go, by a name of your choice; the name is an identity."""
    routes: Annotated[tuple[Route, ...], Field(min_length=1)] | None = None
    """Which events go to which receivers; left out, every event goes to every receiver."""
    heartbeat: HeartbeatSettings | None = None
    """An address to call while all is well, for a monitor that raises the alarm when the calls stop."""
    server: Server = Field(default_factory=Server)
    """The notifier's own HTTP server; without `listen` there is none."""

    @model_validator(mode="before")
    @classmethod
    def _only_workspace(cls, given: Any) -> Any:
        """Fill in the workspace of watches where there is only one."""
        if not isinstance(given, dict):
            return given
        workspaces, watches = given.get("workspaces"), given.get("watches")
        if not (isinstance(workspaces, dict) and len(workspaces) == 1 and isinstance(watches, tuple)):
            return given
        (only,) = workspaces
        filled = ({"workspace": only, **watch} if isinstance(watch, dict) else watch for watch in watches)
        return {**given, "watches": tuple(filled)}

    @property
    def database_place(self) -> DatabasePlace:
        """Where the database is."""
        return database_place(self.database)
