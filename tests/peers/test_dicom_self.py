"""A door asks itself whether it answers, whoever else is let in."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge.domain.errors import SourceLostError
from edge.sources.dicom import Caller, DoorTls
from edge.sources.dicom_echo import echo
from tests.builders.door import AE_TITLE, open_door
from tests.builders.raw_scu import RawScu
from tests.peers.test_dicom_door_tls import certificate

SOON_S = 5.0
ACCEPTED = 2


def test_a_door_that_lets_hardly_anybody_in_answers_itself_and_nobody_else(tmp_path: Path) -> None:
    nobody = Caller("SCANNER", "192.0.2.1")
    with open_door(tmp_path, allowed=[nobody], only_own_title=True) as door:
        door.door.answer_ourselves(timeout_s=SOON_S)
        with RawScu(door.port) as stranger:
            assert stranger.associate() != ACCEPTED
        with pytest.raises(SourceLostError, match="lets us not in"):
            echo(
                "127.0.0.1",
                door.port,
                calling="SELF000000000000",
                called=AE_TITLE,
                is_tls=False,
                timeout_s=SOON_S,
            )
    assert door.kept == []


def test_a_door_that_is_full_answers_itself(tmp_path: Path) -> None:
    with open_door(tmp_path, associations_max=1) as door, RawScu(door.port) as scanner:
        assert scanner.associate() == ACCEPTED
        assert door.door.associations == 1
        door.door.answer_ourselves(timeout_s=SOON_S)
        scanner.release()


@pytest.mark.parametrize("asks_for_certificates", [False, True])
def test_a_door_behind_tls_answers_itself(tmp_path: Path, asks_for_certificates: bool) -> None:
    certificate_file, key_file = certificate(tmp_path, "door")
    ca_file = [None, certificate_file][asks_for_certificates]
    tls = DoorTls(certificate_file=certificate_file, key_file=key_file, ca_file=ca_file)
    with open_door(tmp_path, tls=tls) as door:
        door.door.answer_ourselves(timeout_s=SOON_S)


@pytest.mark.parametrize("asks_for_certificates", [False, True])
def test_a_door_that_is_closed_is_found_out(tmp_path: Path, asks_for_certificates: bool) -> None:
    certificate_file, key_file = certificate(tmp_path, "door")
    tls = [None, DoorTls(certificate_file=certificate_file, key_file=key_file, ca_file=certificate_file)]
    with open_door(tmp_path, tls=tls[asks_for_certificates]) as door:
        pass
    with pytest.raises(SourceLostError):
        door.door.answer_ourselves(timeout_s=SOON_S)


def test_somebody_else_behind_the_port_is_no_door(tmp_path: Path) -> None:
    with open_door(tmp_path) as door:
        pass
    with socket.create_server(("127.0.0.1", door.port)), pytest.raises(SourceLostError):
        door.door.answer_ourselves(timeout_s=0.3)
