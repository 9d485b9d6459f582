"""A run is ended when its time is up, never before, and no thread wakes for each of them."""

from __future__ import annotations

import threading
import time

import pytest

from edge.inference.ender import Ender
from tests.waiting import until


class Run:
    terminate = False


@pytest.fixture
def ender() -> Ender:
    return Ender()


def test_a_run_that_lasts_too_long_is_told_to_end(ender: Ender) -> None:
    run = Run()
    ender.begin(run, after_s=0.02)
    until(lambda: run.terminate, within_s=5)
    ender.end()
    ender.close()


def test_a_run_that_was_done_in_time_is_left_alone_and_so_is_the_next(ender: Ender) -> None:
    quick, patient = Run(), Run()
    ender.begin(quick, after_s=0.02)
    ender.end()
    ender.begin(patient, after_s=60)
    time.sleep(0.05)  # longer than the first was given
    ender.end()
    assert not quick.terminate
    assert not patient.terminate
    ender.close()


def test_a_short_time_after_a_long_one_is_not_overslept(ender: Ender) -> None:
    ender.begin(Run(), after_s=60)
    ender.end()
    run = Run()
    ender.begin(run, after_s=0.02)
    until(lambda: run.terminate, within_s=5)
    ender.end()
    ender.close()


def test_an_ender_that_was_never_needed_has_no_thread_and_one_that_is_closed_has_none_left() -> None:
    before = set(threading.enumerate())
    Ender().close()
    used = Ender()
    used.begin(Run(), after_s=60)
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["engine-deadline"]
    used.end()
    used.close()
    assert set(threading.enumerate()) - before == set()
