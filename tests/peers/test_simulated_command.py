"""`edge simulate` as it is typed."""

from __future__ import annotations

import itertools
import signal
import sys
from pathlib import Path
from typing import Any, get_args

import av
import pytest
import typer.main

from edge.cli import main, simulate
from edge.cli.times import seconds
from edge.domain.errors import ConfigurationError
from edge.simulate.encoding import Codec
from edge.simulate.faults import FaultName
from edge.simulate.scenes import SceneName
from edge.simulate.spectral import CubeKind
from edge.simulate.thermal import FileKind
from tests.peers.archive import Archive
from tests.peers.command import edge, start
from tests.ports import free_port

SMALL = ("--size", "320x240", "--scene", "bars", "--fps", "50")


def test_a_camera_serves_until_ctrl_c() -> None:
    port = free_port()
    camera = start("simulate", "camera", "--port", port, *SMALL)
    assert camera.stderr is not None
    assert camera.stderr.readline() == f"rtsp://127.0.0.1:{port}/or\n"
    with av.open(f"rtsp://127.0.0.1:{port}/or", options={"rtsp_transport": "tcp"}, timeout=10) as receiver:
        frames = list(itertools.islice(receiver.decode(video=0), 5))
    camera.send_signal(signal.SIGINT)
    _, said = camera.communicate(timeout=20)
    assert camera.returncode == 0
    assert "frames sent" in said
    assert "Traceback" not in said
    assert [(frame.height, frame.width) for frame in frames] == [(240, 320)] * 5


def test_several_cameras_loop_a_file_that_is_made_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "case.ts"
    done = edge(
        "simulate", "camera", "--port", "0", "--cameras", "3", "--loop", path, *SMALL, "--for", "500ms"
    )
    assert done.returncode == 0, done.stderr
    assert [line.rpartition("/")[2] for line in done.stderr.splitlines() if line.startswith("rtsp")] == [
        "or1",
        "or2",
        "or3",
    ]
    assert path.stat().st_size > 10_000


def test_a_camera_fails_and_is_well_again() -> None:
    words = ("--fault", "black", "--fault-after", "100ms", "--fault-for", "100ms", "--for", "1s")
    done = edge("simulate", "camera", "--port", "0", *SMALL, *words)
    assert done.returncode == 0, done.stderr
    assert "/or: black\n/or: well again\n" in done.stderr


def test_a_thermal_camera_writes_pictures(tmp_path: Path) -> None:
    done = edge("simulate", "thermal", tmp_path / "new", "--for", "500ms", "--picture", "png", "--keep", "2")
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".png"] * 2


def test_a_scanner_sends_a_made_up_head() -> None:
    with Archive([("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1")]) as archive:
        done = edge("simulate", "scanner", archive.address, "--studies", "1", "--every", "1s")
    assert done.returncode == 0, done.stderr
    assert f"1 studies to {archive.address}: {len(archive.data_sets)} instances stored" in done.stderr
    assert len(archive.data_sets) > 50


def test_cubes_and_spectra_appear(tmp_path: Path) -> None:
    done = edge("simulate", "files", tmp_path, "--for", "300ms")
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in tmp_path.rglob("*.*")) == [".hdr", ".raw", ".txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("camera", "--size", "10x10"), "edge: a picture of 10x10"),
        (("camera", "--size", "large"), "edge: large: wanted WIDTHxHEIGHT"),
        (("camera", "--for", "soon"), "wanted a time such as"),
        (("camera", "--loop", "nowhere/case.mp4"), "end with .ts"),
        (("camera", "--user", "or", "--password-file", "nowhere"), "edge: nowhere: No such file"),
        (("thermal", "/proc/nowhere"), "edge: /proc/nowhere"),
        (("thermal", "folder", "--planck", "1,2"), "wanted five numbers"),
        (("scanner", "nowhere"), "wanted HOST:PORT"),
        (("scanner", "127.0.0.1:104", "nowhere"), "edge: nowhere: there is no such file"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("sys.argv", ["edge", "simulate", *words])
    monkeypatch.setattr("sys.excepthook", sys.excepthook)  # typer sets its own, and the command this:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choices", "known"),
    [
        (simulate.Scene, SceneName),
        (simulate.VideoCodec, Codec),
        (simulate.Fault, FaultName),
        (simulate.Picture, FileKind),
        (simulate.CubeFile, CubeKind),
    ],
)
def test_the_command_line_knows_what_the_room_knows(choices: Any, known: Any) -> None:
    assert {choice.value for choice in choices} == set(get_args(known))


@pytest.mark.parametrize(
    ("text", "wanted"), [("30s", 30), ("500ms", 0.5), ("2min", 120), ("1h", 3600), ("7", 7)]
)
def test_times_are_read(text: str, wanted: float) -> None:
    assert seconds(text) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["0s", "-1s", "s", "1 day", ""])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(text)


def test_the_page_explains_every_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text()
    group: Any = typer.main.get_command(simulate.app)
    for name, command in group.commands.items():
        flags = {flag for option in command.params for flag in option.opts if flag.startswith("--")}
        assert f"edge simulate {name}" in page
        assert [flag for flag in sorted(flags - {"--help"}) if f"`{flag}`" not in page] == []


def test_sizes_are_read() -> None:
    assert simulate.size_px("1280x720") == (720, 1280)
    with pytest.raises(ConfigurationError):
        simulate.size_px("1280")
