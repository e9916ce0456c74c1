"""A workspace's API that gives no usable answer, as an incident: opened once, told again, resolved once."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from notifier.judging import checks as rules
from notifier.model.incident import Check, Incident, Reason
from notifier.model.measure import Measure, Said, Silent
from notifier.store.watching import WatchingStore
from notifier.watching.health import Health
from notifier.watching.record import Recorder
from notifier.watchlist.checks import ChecksInForce

REFUSALS: Final = 2  # polls in a row


class Outage:
    """Looks at a workspace's health now and then. Ages are by our clock: the API's own is silent with it."""

    def __init__(
        self,
        health: Health,
        recorder: Recorder,
        store: WatchingStore,
        checks: ChecksInForce,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._health = health
        self._recorder = recorder
        self._store = store
        self._checks = checks
        self._clock = clock
        self._incident: Incident | None = None

    async def load(self) -> None:
        """Takes up the incident that was open before. Raises StoreUnavailable."""
        found = await self._store.open_incidents(self._recorder.workspace)
        self._incident = next((i for i in found if i.check is Check.UNREACHABLE), None)

    async def end(self) -> None:
        """The workspace has left the watchlist, and its incident ends with it. Raises StoreUnavailable."""
        if self._incident is not None:
            await self._end(self._recorder.workspace_scene().resolved(self._incident, Reason.UNWATCHED))

    async def look(self) -> None:
        """Opens, repeats or resolves the incident where it is time.

        Raises StoreUnavailable; the next look tries again.
        """
        scene, incident = self._recorder.workspace_scene(), self._incident
        if incident is None:
            if (found := self._why()) is not None:
                step = scene.opened(Check.UNREACHABLE, measure=found)
                self._incident = await self._recorder.take_workspace_step(step)
                await self._health.has_been_silent_too_long()
            return
        if self._checks.unreachable is None:
            await self._end(scene.resolved(incident, Reason.CHECK_OFF))
        elif self._health.is_well:
            await self._end(scene.resolved(incident, Reason.RECOVERED))
        else:
            for step in rules.reminders(self._checks.reminders, [incident], scene.now):
                self._incident = await self._recorder.take_workspace_step(step)

    async def _end(self, step: rules.Step) -> None:
        await self._recorder.take_workspace_step(step)
        self._incident = None

    def _why(self) -> Measure | None:
        """Why the API counts as unreachable; None while it does not."""
        settings, silent_for = self._checks.unreachable, self._health.silent_for
        if settings is None or silent_for is None:
            return None
        if self._health.refusals >= REFUSALS and not self._health.state.ok and not self._health.is_of_another:
            return Said(self._health.last_failure)
        if silent_for >= settings.after:
            return Silent(settings.after, self._health.why_silent)
        return None
