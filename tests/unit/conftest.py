"""What several unit tests share: the parts of an appliance with one bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.bundles import write_bundle
from tests.builders.works import Workshop, workshop


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workshop]:
    """Looks with the bundle `tiny`."""
    write_bundle(tmp_path / "bundles", name="tiny")
    with workshop(tmp_path) as place:
        yield place
