"""What becomes of one version, from its arrival to its end."""

from __future__ import annotations

from edge.fleet.memory import RamMemory
from tests.builders.fleet import Life, desired
from tests.fakes.clock import FakeClock

COURSE = ["received", "verified", "planned", "staged", "waiting", "applying", "probing", "committed"]


def test_a_version_goes_through_every_state_and_is_at_work(clock: FakeClock) -> None:
    life = Life(RamMemory(), clock)
    life.offer(desired(1))
    life.run()
    assert life.states() == COURSE
    assert life.device.config == {"device": 1}
    own = life.machine.snapshot().own
    assert (own.accepted_version, own.applied_version) == (1, 1)
