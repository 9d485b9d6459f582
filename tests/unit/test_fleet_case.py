"""Whether a case is running is told carefully: in doubt there is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.fleet.case import ALERT, FILE, Case
from edge.fleet.words import CASE
from tests.fakes.alerts import FakeAlerts
from tests.fakes.clock import FakeClock


def case(folder: Path, *, ago_s: dict[str, float] | None = None, alerts: FakeAlerts | None = None) -> Case:
    made = Case(
        folder,
        quiet_min=10,
        inside=lambda: ago_s or {},
        alerts=alerts or FakeAlerts(),
        clock=FakeClock(),
    )
    made.recall()
    return made


@pytest.mark.parametrize(
    "payload", [b"open", b" OPEN\n", b'{"state":"open"}', b'{"state": "open", "by": "x"}']
)
def test_a_case_that_is_said_to_be_open_is(tmp_path: Path, payload: bytes) -> None:
    made = case(tmp_path)
    made.hear(payload)
    assert made.under_way() == f"{CASE} is open since 2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize("payload", [b"closed", b'{"state":"closed"}', b"", b'"closed"'])
def test_a_case_that_is_said_to_be_closed_is_not(tmp_path: Path, payload: bytes) -> None:
    made = case(tmp_path)
    made.hear(b"open")
    made.hear(payload)
    assert made.under_way() == ""


@pytest.mark.parametrize(
    "payload",
    [
        b"close",
        b"\xff",
        b"{",
        b"[]",
        b'{"state":null}',
        b'{"state":""}',
        b'{"state":[]}',
        b"0",
        b"[" * 900,
        b" " * 2000,
    ],
)
def test_what_nobody_understands_counts_as_open_and_is_an_alert(tmp_path: Path, payload: bytes) -> None:
    alerts = FakeAlerts()
    made = case(tmp_path, alerts=alerts)
    made.hear(b"closed")
    made.hear(payload)
    assert made.under_way()
    assert ALERT in alerts.raised
    made.hear(b"closed")
    assert (made.under_way(), alerts.raised) == ("", {})


def test_of_what_nobody_understands_only_its_length_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = FakeAlerts()
    case(tmp_path, alerts=alerts).hear(b'{"patient":"DOE^JOHN","born":"1950"}')
    assert "36 bytes" in alerts.raised[ALERT]
    assert "DOE" not in alerts.raised[ALERT] + caplog.text


def test_an_open_case_outlives_a_restart_with_the_time_it_began(tmp_path: Path) -> None:
    made = case(tmp_path / "new")
    made.hear(b"open")
    again = case(tmp_path / "new")
    assert again.under_way() == made.under_way()
    again.hear(b"closed")
    assert case(tmp_path / "new").under_way() == ""


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"said": "closed"}', b"null"])
def test_a_memory_that_cannot_be_read_counts_as_open(tmp_path: Path, left: bytes) -> None:
    (tmp_path / FILE).write_bytes(left)
    assert case(tmp_path).under_way() == f"{CASE} is open"


def test_what_could_not_be_remembered_counts_and_is_remembered_when_it_is_said_again(tmp_path: Path) -> None:
    folder = tmp_path / "a-file"
    folder.write_text("in the way")
    made = case(folder)
    with pytest.raises(OSError, match="a-file"):
        made.hear(b"open")
    assert made.under_way()
    folder.unlink()
    made.hear(b"open")
    assert json.loads((folder / FILE).read_bytes())["said"] == "open"


def test_what_could_not_be_remembered_is_once_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "a-file"
    folder.write_text("in the way")
    made = case(folder)
    with pytest.raises(OSError, match="a-file"):
        made.hear(b"open")
    folder.unlink()
    assert made.under_way()
    assert case(folder).under_way() == made.under_way()


@pytest.mark.parametrize(
    ("ago_s", "why"),
    [
        (0.0, "a case: or-camera sees the inside of a patient"),
        (120.0, "a case: or-camera saw the inside of a patient 2 min ago"),
        (601.0, ""),
    ],
)
def test_a_camera_that_saw_the_inside_lately_is_a_case(tmp_path: Path, ago_s: float, why: str) -> None:
    assert case(tmp_path, ago_s={"or-camera": ago_s}).under_way() == why
