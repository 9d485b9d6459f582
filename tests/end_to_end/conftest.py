"""What the paths through a whole daemon share: a broker, and somebody who listens there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.receiver import Receiver
from tests.peers.broker import Mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real one."""
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def receiver(broker: Mosquitto) -> Iterator[Receiver]:
    """Listens to every finding."""
    with Receiver(broker.port) as listening:
        yield listening
