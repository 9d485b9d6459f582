"""A bundle is installed, refused and rolled back by real commands while the real daemon runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundles.package import pack
from edge.bundles.signature import make_key, sign
from tests.builders.bundles import write_bundle
from tests.end_to_end.appliance import Appliance
from tests.peers.broker import Mosquitto
from tests.waiting import until


def package(folder: Path, version: str, key: Path) -> Path:
    folder.mkdir()
    bundle = write_bundle(folder, edit=lambda written: written.update(version=version))
    sign(bundle, key_file=key, key="clinic")
    return pack(bundle, folder)


def edge_bundle(box: Appliance, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", "bundle", *map(str, words), "--config", str(box.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def at_work(box: Appliance) -> list[str]:
    models = json.loads((box.state / "status.json").read_text())["models"]
    return [str(model.get("version", model["refusal"])) for model in models]


@pytest.mark.proof
def test_versions_come_and_go_while_the_daemon_runs(tmp_path: Path, broker: Mosquitto) -> None:
    key = tmp_path / "clinic.key"
    public = make_key(key, tmp_path / "clinic.pub")
    box = Appliance(tmp_path / "box", broker_port=broker.port, bundles=tmp_path / "none", bundle="tiny")
    box.document["bundles"] = {
        "roots": [str(tmp_path)],
        "trust": [{"name": "clinic", "public_key": public}],
    }
    box.config.write_text(json.dumps(box.document))
    first = edge_bundle(box, "install", package(tmp_path / "first", "1.0.0", key))
    assert "tiny: in use from the next start of the daemon" in first.stderr
    with box:
        until(lambda: at_work(box) == ["1.0.0"], within_s=20, what="the first version at work")
        second = package(tmp_path / "second", "1.1.0", key)
        assert "tiny 1.1.0: at work in the daemon" in edge_bundle(box, "install", second).stdout
        until(lambda: at_work(box) == ["1.1.0"], within_s=20, what="the second version at work")
        (tmp_path / "unsigned").mkdir()
        refused = edge_bundle(
            box, "install", pack(write_bundle(tmp_path / "unsigned"), tmp_path / "unsigned")
        )
        assert (refused.returncode, "is not signed; wanted a signature by clinic" in refused.stderr) == (
            1,
            True,
        )
        assert at_work(box) == ["1.1.0"]
        assert "tiny 1.0.0: at work in the daemon" in edge_bundle(box, "rollback", "tiny").stdout
        until(lambda: at_work(box) == ["1.0.0"], within_s=20, what="the first version at work again")
        listed = json.loads(edge_bundle(box, "list", "--json").stdout)
        assert [(one["version"], one["state"], one["signed_by"]) for one in listed] == [
            ("1.0.0", "active", "clinic"),
            ("1.1.0", "kept", "clinic"),
        ]
        assert [one["precisions"] for one in listed] == [["fp32"], ["fp32"]]
