"""Who can't write accuses nobody: perhaps nobody can."""

import pytest

from notifier.store.attendance import LEASE, Attendance, Sign

LOOK = 0.5
STILL = {"other": Sign(3, 5)}


def looks(attendance: Attendance, since: float, until: float, renewed: float | None) -> list[float]:
    """When the other was taken for dead, looking all the time; `renewed` is one's own last sign, None: each look."""
    times = [since + LOOK * number for number in range(int((until - since) / LOOK))]
    return [at for at in times if attendance.look(STILL, at, at, at if renewed is None else renewed)]


@pytest.mark.parametrize("outage", [4.0, 20.0, 120.0])
def test_an_outage_in_which_all_can_read_and_none_can_write_is_nobodys_silence(outage: float) -> None:
    attendance, back = Attendance(), 100.0 + outage
    assert looks(attendance, 97.0, 100.0, None) == []  # the other's last sign was seen then
    assert looks(attendance, 100.0, back, 100.0) == []
    dead = looks(attendance, back, back + 2 * LEASE, None)
    assert dead
    assert dead[0] >= (back if outage > LEASE else 97.0) + LEASE - LOOK


def test_who_can_write_takes_one_for_dead_that_is_silent_for_a_lease() -> None:
    assert looks(Attendance(), 0.0, 20.0, None)[0] == LEASE
