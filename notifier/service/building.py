"""What a worker is built of, from a watchlist: the queues of its receivers, and what watches a workspace."""

from contextlib import AsyncExitStack

from notifier.delivering.deliverer import Builder, Deliverer
from notifier.delivering.queue import ReceiverQueue
from notifier.judging.route import readers_of
from notifier.model.delivery import ReceiverState
from notifier.model.meters import NO_WORKSPACE_METER, WorkspaceMeter
from notifier.model.sync import WorkspaceState
from notifier.receivers.senders import open_senders
from notifier.service.resources import Line, Resources
from notifier.store.watching import WatchingStore
from notifier.watching.health import Health
from notifier.watching.inbox import Inbox
from notifier.watching.listings import Listings
from notifier.watching.outage import Outage
from notifier.watching.poll import Observer
from notifier.watching.record import Recorder
from notifier.watching.roster import Roster
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.checks import Checks, ChecksInForce
from notifier.watchlist.covers import watches_of
from notifier.watchlist.models import Watchlist
from notifier.watchlist.receivers import Receiver


async def builders_of(
    watchlist: Watchlist, resources: Resources, stack: AsyncExitStack, *, once: bool
) -> dict[str, Builder]:
    """What makes each receiver's queue from its state. The sessions are closed with `stack`."""
    senders = await stack.enter_async_context(
        open_senders(watchlist.delivery.timeout, resources.tls, resources.paces, watchlist.server.public_url)
    )
    resources.paces.disband()  # those of a watchlist before this one begin nothing any more

    def builder(name: str, settings: Receiver) -> Builder:
        def build(state: ReceiverState) -> ReceiverQueue:
            sender = senders.build(name, settings, state.note)
            meter = resources.metrics.receiver(name)
            return ReceiverQueue(sender, state, resources.store.delivering, watchlist.delivery, once=once, meter=meter)

        return build

    return {name: builder(name, settings) for name, settings in watchlist.receivers.items()}


def watcher_of(
    watchlist: Watchlist, name: str, line: Line, store: WatchingStore, deliverer: Deliverer, *, once: bool
) -> tuple[WorkspaceWatcher, Inbox | None]:
    """What watches a workspace, and what takes its webhooks where it has some."""
    settings, health = line.settings, line.health
    recorder = _recorder(watchlist, name, settings.app_url, store, deliverer, line.meter)
    checks = watchlist.checks or Checks()
    roster = Roster(name, watches_of(name, watchlist.watches), store, recorder, checks=checks)
    outage = Outage(health, recorder, store, ChecksInForce.of(checks))
    observer = Observer(line.client, store, recorder, is_listed=lambda: health.is_listed, may_lag=not once)
    watcher = WorkspaceWatcher(settings, line.client, observer, roster, health, outage, meter=line.meter)
    if (hook := settings.lifecycle_webhook) is None:
        return watcher, None
    inbox = Inbox(
        hook.secret.get_secret_value(),
        settings.app_url,
        roster,
        recorder,
        store,
        loaded=watcher.loaded,
        poll_soon=watcher.poll_soon,
    )
    return watcher, inbox


async def forget(watchlist: Watchlist, gone: WorkspaceState, store: WatchingStore, deliverer: Deliverer) -> None:
    """Ends what was open of a workspace that the watchlist no longer names, and forgets the workspace."""
    recorder = _recorder(watchlist, gone.name, gone.app_url or "", store, deliverer)
    await Roster(gone.name, (), store, recorder, checks=Checks()).load(Listings())
    outage = Outage(Health(WorkspaceState(gone.name), store.save_workspace), recorder, store, ChecksInForce())
    await outage.load()
    await outage.end()
    await store.forget_workspace(gone.name)


def _recorder(
    watchlist: Watchlist,
    workspace: str,
    app_url: str,
    store: WatchingStore,
    deliverer: Deliverer,
    meter: WorkspaceMeter = NO_WORKSPACE_METER,
) -> Recorder:
    return Recorder(
        workspace,
        app_url,
        store,
        routes=watchlist.routes,
        readers=readers_of(watchlist.receivers),
        recorded=deliverer.wake,
        meter=meter,
    )
