"""How far a delivery is. Apart from the deliveries themselves: who only counts them needs no more."""

from enum import StrEnum


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
