"""A Census API, a webhook receiver and a Slack to try the notifier against: for tests, the demo and benchmarks.

Written from census-openapi.yaml and Slack's documentation alone. It shares no code with the notifier, so that a wrong
belief about an API can not stand on both sides of a test.
"""

from notifier.simulator.census import CensusSimulator, RecordedRequest
from notifier.simulator.conditional import Tags, Validator
from notifier.simulator.defaults import ABSENT, GENERATED
from notifier.simulator.faults import (
    Big,
    Body,
    Delay,
    Drip,
    Fault,
    FaultHandle,
    GzipBomb,
    Hang,
    Redirect,
    Reset,
    Status,
    Transform,
)
from notifier.simulator.listing import Announced
from notifier.simulator.scenario import Scenario, ScenarioError, Step, play
from notifier.simulator.scenario_file import load_scenario
from notifier.simulator.sink import ReceivedWebhook, WebhookSink
from notifier.simulator.slack.faults import Accept, Drop, RateLimit, SlackError
from notifier.simulator.slack.simulator import SlackRequest, SlackSimulator
from notifier.simulator.slack.workspace import SlackMessage
from notifier.simulator.thread import SimulatorThread
from notifier.simulator.workspace import UnknownObjectError

__all__ = [
    "ABSENT",
    "GENERATED",
    "Accept",
    "Announced",
    "Big",
    "Body",
    "CensusSimulator",
    "Delay",
    "Drip",
    "Drop",
    "Fault",
    "FaultHandle",
    "GzipBomb",
    "Hang",
    "RateLimit",
    "ReceivedWebhook",
    "RecordedRequest",
    "Redirect",
    "Reset",
    "Scenario",
    "ScenarioError",
    "SimulatorThread",
    "SlackError",
    "SlackMessage",
    "SlackRequest",
    "SlackSimulator",
    "Status",
    "Step",
    "Tags",
    "Transform",
    "UnknownObjectError",
    "Validator",
    "WebhookSink",
    "load_scenario",
    "play",
]
