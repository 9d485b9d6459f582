"""The door behind TLS, with dcmtk's storescu as the peer."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from edge.domain.errors import ConfigurationError
from edge.sources.dicom import DoorTls
from tests.builders.door import AE_TITLE, open_door


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate and its key."""
    certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        f"/CN={name}",
    ]
    subprocess.run(
        [*command, "-keyout", key_file, "-out", certificate_file], check=True, capture_output=True, timeout=60
    )
    return certificate_file, key_file


def test_a_client_with_a_certificate_is_let_in_and_one_without_is_not(tmp_path: Path) -> None:
    door_crt, door_key = certificate(tmp_path, "door")
    client_crt, client_key = certificate(tmp_path, "client")
    tls = DoorTls(certificate_file=door_crt, key_file=door_key, ca_file=client_crt)
    ours = str(get_testdata_file("CT_small.dcm"))
    with open_door(tmp_path, tls=tls) as door:
        to_door = ["-aec", AE_TITLE, "127.0.0.1", str(door.port), ours]
        silent = socket.create_connection(("127.0.0.1", door.port))  # keeps nobody waiting
        known = subprocess.run(
            ["/usr/bin/storescu", "-R", "+tls", client_key, client_crt, "+cf", door_crt, *to_door],
            capture_output=True,
            timeout=60,
            check=False,
        )
        unknown = [
            subprocess.run(
                ["/usr/bin/storescu", "-R", *options, *to_door], capture_output=True, timeout=60
            ).returncode
            for options in (["+tla", "+cf", str(door_crt)], [])
        ]
        silent.close()
        assert known.returncode == 0, known.stderr
        assert all(unknown)
        assert len(door.instances()) == 1


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_text("nothing")
    tls = DoorTls(certificate_file=tmp_path / "nonsense", key_file=tmp_path / "nonsense")
    with pytest.raises(ConfigurationError, match="nonsense"), open_door(tmp_path, tls=tls):
        pass
