"""What the log says of deliveries and receivers, once it is in the database: a kill in between must not have it told
twice."""

import structlog

from notifier.model.delivery import DeliveryState, PendingDelivery, ReceiverState, Settlement

log = structlog.get_logger(__name__)


def receiver_fares(name: str, old: ReceiverState, new: ReceiverState) -> None:
    """That a receiver works no longer, or works again."""
    broken = new.broken_since is not None
    if old.broken_since is None and broken:
        log.error(
            "receiver is broken; its messages wait and one is tried every 5 minutes",
            receiver=name,
            error=new.last_error,
        )
    elif not old.failing and new.failing and not broken:
        log.error("receiver has taken nothing for 5 minutes; trying goes on", receiver=name, error=new.last_error)
    if not old.works and new.works:
        log.info("receiver works again", receiver=name)


def delivery_settled(name: str, delivery: PendingDelivery, settlement: Settlement, *, is_broken: bool) -> None:
    """How an attempt ended; not that it failed at a receiver that `is_broken`, which has a line of its own."""
    known = {
        "receiver": name,
        "event_id": delivery.event_id,
        "type": delivery.event_type,
        "attempts": settlement.attempts,
    }
    if settlement.state is DeliveryState.DELIVERED:
        log.info("event delivered", **known)
    elif settlement.state is DeliveryState.DEAD:
        log.error("delivery is dead", **known, error=settlement.last_error)
    elif not is_broken:
        log.warning(
            "delivery failed; it is tried again",
            **known,
            error=settlement.last_error,
            next_attempt_at=settlement.next_attempt_at.isoformat() if settlement.next_attempt_at else None,
        )
