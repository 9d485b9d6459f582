"""What every test may ask for: the corpus, and a clock that the test owns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes.clock import FakeClock

CORPUS = Path(os.environ.get("EDGE_CORPUS", Path(__file__).parents[1] / ".." / "shared" / "corpus")).resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the corpus where there is none, and say so."""
    if CORPUS.is_dir():
        return
    absent = pytest.mark.skip(reason=f"no corpus at {CORPUS}: set EDGE_CORPUS")
    for item in items:
        if item.get_closest_marker("corpus"):
            item.add_marker(absent)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    """Turn a skip of a corpus test into a failure where the corpus is there."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's result has no public stub
    if report.skipped and item.get_closest_marker("corpus") and CORPUS.is_dir():
        report.outcome = "failed"
        report.longrepr = f"a corpus test may not be skipped where the corpus is: {report.longrepr}"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real data."""
    return CORPUS


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    return FakeClock()
