"""The hashes of a bundle are written into its manifest, and nothing else of it changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge.bundles.seal import hash_of, seal, with_hashes
from edge.domain.errors import BundleRejectedError

WRITTEN = """\
# a comment at the top
variants:
  - precision: fp32   # the first
    file: "model.fp32.onnx"   # quoted
    sha256: 0000    # old
    devices: [cpu]
  - {precision: int8, sha256: '', file: model.int8.onnx, devices: [cpu]}
  - file: model.fp16.onnx
    precision: fp16
  - file: model.bf16.onnx
    sha256:
golden: {file: golden.npz}   # no hash yet
provenance: {script: train.py}
"""

SEALED = """\
# a comment at the top
variants:
  - precision: fp32   # the first
    file: "model.fp32.onnx"   # quoted
    sha256: <model.fp32.onnx>    # old
    devices: [cpu]
  - {precision: int8, sha256: <model.int8.onnx>, file: model.int8.onnx, devices: [cpu]}
  - sha256: <model.fp16.onnx>
    file: model.fp16.onnx
    precision: fp16
  - file: model.bf16.onnx
    sha256: <model.bf16.onnx>
golden: {sha256: <golden.npz>, file: golden.npz}   # no hash yet
provenance: {script: train.py}
"""


def test_each_file_gets_its_hash_and_every_other_character_stays() -> None:
    assert with_hashes(WRITTEN, lambda file: f"<{file}>", origin="m") == SEALED


def test_sealing_twice_changes_nothing() -> None:
    assert with_hashes(SEALED, lambda file: f"<{file}>", origin="m") == SEALED


def test_our_own_manifests_stay_as_they_are() -> None:
    for manifest in Path("models").glob("*/manifest.yaml"):
        text = manifest.read_text()
        hashes = {path.name: hash_of(path) for path in manifest.parent.iterdir() if path.is_file()}
        assert text == with_hashes(text, hashes.__getitem__, origin="m")


def test_a_manifest_is_sealed_in_place_and_its_digest_is_told(tmp_path: Path) -> None:
    (tmp_path / "golden.npz").write_bytes(b"golden")
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("golden:\n  file: golden.npz\n  sha256: ''\n")
    digest = seal(manifest)
    assert hashlib.sha256(b"golden").hexdigest() in manifest.read_text()
    assert digest == hashlib.sha256(manifest.read_bytes()).hexdigest()


def test_a_file_that_is_missing_is_named_and_the_manifest_stays(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("golden: {file: golden.npz}\n")
    with pytest.raises(BundleRejectedError, match=r"golden\.npz: No such file"):
        seal(manifest)
    assert manifest.read_text() == "golden: {file: golden.npz}\n"


@pytest.mark.parametrize("text", ["a: [", "\t- x\n  y: :", "[" * 5000])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(BundleRejectedError, match="m: not YAML"):
        with_hashes(text, lambda file: file, origin="m")
