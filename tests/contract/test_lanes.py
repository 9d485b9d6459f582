"""Live models answer while volumes are segmented, and volumes get on while live models are never idle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundles.store import load
from edge.inference.background import NICENESS
from edge.inference.deadline import Deadline
from edge.inference.forms import Form, open_session
from edge.inference.lanes import Lanes, TurnTaking
from edge.kit.clock import SystemClock
from tests.builders.bundles import network, write_bundle
from tests.builders.picture_bundles import SIDE_PX, picture_network, write_picture_bundle
from tests.builders.spectra_bundles import write_spectra_bundle
from tests.builders.volumes import volume
from tests.contract.test_models import FORMS, engine_of
from tests.fakes.picture import FakePicture

ROOT = Path(__file__).parents[2]
CLOCK = SystemClock()
VOXELS = np.random.default_rng(0).random((1, 1, 64, 64, 64), np.float32)


def heavy(root: Path) -> Path:
    """A bundle for volumes whose network takes some hundred ms for 64³ voxels."""
    return write_bundle(root, networks={"fp32": network(extra_convolutions=12)})


# ── on the CPU: threads that give way ─────────────────────────────────────────────────────────────


def worked(form: Form, *folders: Path) -> Any:
    """The niceness of the threads that worked for the last of these bundles, after the others ran.

    In a process of its own, as the daemon is one: OpenVINO's threads are one pool in each process, and stay
    what the first network that needed them made of them.
    """
    command = [sys.executable, "-m", "tests.contract.lane_workers"]
    command += [form.precision, form.runtime, form.device, *map(str, folders)]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60).stdout
    return json.loads(told)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_thread_that_works_for_a_volume_gives_way_but_the_callers(tmp_path: Path, form: Form) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    # A caller that gave way while it has the interpreter would hold up all.
    assert worked(form, heavy(tmp_path)) == {"workers": [own + NICENESS], "caller": own}


def test_live_networks_that_were_opened_first_change_nothing_about_that(tmp_path: Path) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    live = write_picture_bundle(tmp_path, networks={"fp32": picture_network(extra_convolutions=3)})
    assert worked(FORMS[0], live, heavy(tmp_path)) == {"workers": [own + NICENESS], "caller": own}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nobody_but_imaging_opens_openvino_with_several_threads(tmp_path: Path, precision: str) -> None:
    with pytest.raises(AssertionError, match="2 threads would not give way, nor later ones"):
        open_session(load(heavy(tmp_path)), Form(precision, "openvino", "cpu"), threads=2)


@contextmanager
def calling(*asks: Any) -> Iterator[list[float]]:
    """Threads that ask without a pause; how long each answer took, in s."""
    ends, took_s = threading.Event(), list[float]()

    def call(ask: Any) -> None:
        while not ends.is_set():
            began = time.monotonic()
            ask()
            took_s.append(time.monotonic() - began)

    callers = [threading.Thread(target=call, args=(ask,)) for ask in asks]
    for caller in callers:
        caller.start()
    try:
        yield took_s
    finally:  # where the test fails, they would ask for ever
        ends.set()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()


def test_live_answers_while_a_volume_runs_and_volumes_get_on_while_live_never_rests(tmp_path: Path) -> None:
    heavy(tmp_path)
    write_picture_bundle(tmp_path)
    write_spectra_bundle(tmp_path)
    with engine_of(
        tmp_path, "tiny", "brightness", "levels", threads=2, live_callers=2, providers=["cpu"]
    ) as engine:
        assert engine.refusals == {}
        pictures, spectra = engine.picture_model("brightness"), engine.spectra_model("levels")
        head = volume((VOXELS[0, 0] * 1000).astype(np.int16), spacing_mm=(2.0, 2.0, 2.0))
        asks = [lambda: pictures.look(FakePicture.grey(99), deadline_s=30)] * 3
        volumes_s = []
        with calling(*asks, lambda: spectra.estimate(np.ones((20, 5), np.float32), deadline_s=30)) as live_s:
            for _ in range(3):
                began = time.monotonic()
                assert engine.model("tiny").infer(head, deadline_s=90).labels.shape == head.voxels.shape
                volumes_s.append(time.monotonic() - began)
    assert len(live_s) > 10 * len(volumes_s)
    assert sorted(live_s)[len(live_s) // 2] < min(volumes_s) / 4


# ── on a device that serves one at a time ─────────────────────────────────────────────────────────


def test_on_such_a_device_a_frame_waits_for_a_tile_and_not_for_a_volume(tmp_path: Path) -> None:
    lanes = Lanes(live_burst_max=4)
    tiled = load(write_bundle(tmp_path, networks={"fp32": network(extra_convolutions=6)}))
    picture = load(write_picture_bundle(tmp_path))
    form = Form("fp32", "onnxruntime", "cpu")
    with ExitStack() as rooms:
        imaging = TurnTaking(open_session(tiled, form, threads=1), lanes.imaging)
        live = TurnTaking(open_session(picture, form, threads=1), lanes.live)
        rooms.callback(imaging.close)
        rooms.callback(live.close)
        tile = np.ascontiguousarray(VOXELS[:, :, :32, :32, :32])
        pixels = np.zeros((1, 3, SIDE_PX, SIDE_PX), np.uint8)
        with calling(lambda: live.run(pixels, Deadline(CLOCK, 30))) as live_s:
            began = time.monotonic()
            for _ in range(20):  # the tiles of a volume
                imaging.run(tile, Deadline(CLOCK, 30))
            volume_s = time.monotonic() - began
    assert len(live_s) >= 20  # at least one for each tile: live goes first
    assert max(live_s) < volume_s
