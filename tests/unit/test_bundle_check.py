"""`edge bundle check` says everything about a bundle at once; keys, hashes and packages by their commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cli.bundle import app
from tests.builders.bundles import golden, network, write_bundle


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is remembered in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "memory"))
    monkeypatch.delenv("EDGE_CONFIG", raising=False)


def edge_bundle(*words: str | Path) -> tuple[int, str]:
    """Run a command; return its exit code and what it printed."""
    ended = CliRunner().invoke(app, [str(word) for word in words])
    return ended.exit_code, " ".join((ended.stdout + str(ended.exception or "")).split())


def verdicts(place: Path, *options: str | Path) -> dict[str, str]:
    code, printed = edge_bundle("check", place, "--json", *options)
    report, _ = json.JSONDecoder().raw_decode(printed)  # the exit code follows
    assert (code == 0) == report["good"]
    return {line["what"]: line["verdict"] for line in report["lines"]}


def test_a_bundle_in_order_is_good_and_what_a_person_should_know_is_noted(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    seen = verdicts(bundle)
    assert {what for what, verdict in seen.items() if verdict == "bad"} == set()
    assert (seen["signature"], seen["CARD.md"], seen["accuracy"]) == ("note", "note", "good")
    assert seen["golden run, fp32 with onnxruntime on cpu"] == "good"
    code, printed = edge_bundle("check", "tiny", "--bundles", tmp_path)
    assert code == 0
    assert "image float32 (1, 1, d, h, w) → answer uint8 (1, d, h, w); opset 17" in printed


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, networks={"fp32": network(image="other"), "int8": network()})
    (bundle / "golden.npz").write_bytes(b"damaged")
    (bundle / "model.int8.onnx").unlink()
    seen = verdicts(bundle, "--signed-only")
    assert {what for what, verdict in seen.items() if verdict == "bad"} == {
        "signature",
        "network in fp32",
        "golden.npz",
        "model.int8.onnx",
    }


def test_a_golden_run_that_fails_refuses_and_a_precision_that_fails_is_noted(tmp_path: Path) -> None:
    wrong = network(slopes=np.array([20, 10, 0], np.float32))
    seen = verdicts(write_bundle(tmp_path / "a", networks={"fp32": network(), "int8": wrong}))
    assert seen["variant in int8"] == "note"
    seen = verdicts(write_bundle(tmp_path / "b", networks={"fp32": wrong}))
    assert seen["variant in fp32"] == "bad"


def test_a_golden_input_that_proves_nothing_is_bad(tmp_path: Path) -> None:
    flat = golden(np.zeros((1, 1, 16, 16, 16), np.float32))
    assert verdicts(write_bundle(tmp_path, golden_npz=flat))["golden input"] == "bad"


@pytest.mark.parametrize(
    ("name", "told"), [("package", "is no package"), ("nothing", "no folder, no package")]
)
def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "package").write_bytes(b"PK")
    code, printed = edge_bundle("check", tmp_path / name)
    assert (code, told in printed) == (1, True)


def test_from_a_key_to_a_device_by_commands_alone(tmp_path: Path) -> None:
    bundle, store = write_bundle(tmp_path), tmp_path / "store"
    trust = ("--trust", f"clinic={tmp_path / 'keys' / 'clinic.pub'}")
    code, printed = edge_bundle("keygen", "clinic", "--out", tmp_path / "keys")
    assert (code, "public_key: ed25519:" in printed) == (0, True)
    (bundle / "CARD.md").write_text("What it cannot do.")
    with (bundle / "manifest.yaml").open("a") as manifest:
        manifest.write("documents: [{file: CARD.md}]\n")
    assert edge_bundle("seal", bundle)[0] == 0
    assert edge_bundle("sign", bundle, "--key", tmp_path / "keys" / "clinic.key")[0] == 0
    assert "signed by clinic" in edge_bundle("verify", bundle, *trust)[1]
    assert edge_bundle("verify", bundle)[0] == 1
    seen = verdicts(bundle, *trust)
    assert (seen["signature"], seen["CARD.md"]) == ("good", "good")
    assert edge_bundle("pack", bundle, "--out", tmp_path)[0] == 0
    package = tmp_path / "tiny-1.0.0.edgebundle"
    assert verdicts(package, *trust) == seen
    assert edge_bundle("install", package, "--store", store)[0] == 1
    assert edge_bundle("install", package, "--store", store, *trust)[0] == 0
    assert "tiny 1.0.0" in edge_bundle("list", "--store", store, *trust)[1]
    code, printed = edge_bundle("rollback", "tiny", "--store", store, *trust)
    assert code == 1
    assert "wanted --config CONFIG" in edge_bundle("list")[1]
