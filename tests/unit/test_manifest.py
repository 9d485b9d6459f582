"""A bundle that is altered, incomplete or not understood is refused before a byte of it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom.sr.codedict import codes as dictionary

from edge.bundles.manifest import Manifest, parse
from edge.bundles.parts import CodeEntry, Part
from edge.bundles.store import find, load
from edge.domain.errors import BundleRejectedError
from tests.builders.bundles import document, write_bundle
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.spectra_bundles import write_spectra_bundle

SNOMED = {getattr(dictionary.SCT, keyword).value for keyword in dictionary.SCT.dir()}
MODELS = Path(__file__).parents[2] / "models"


def broken(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """An edit that puts `value` at a dotted path."""

    def edit(written: dict[str, Any]) -> None:
        *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
        place: Any = written
        for step in parents:
            place = place[step]
        place[last] = value

    return edit


def test_a_right_bundle_is_found_by_name_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    write_bundle(tmp_path / "second")
    expected = write_bundle(tmp_path / "first")
    bundle = find("tiny", [tmp_path / "empty", tmp_path / "first", tmp_path / "second"])
    assert bundle.path == expected
    assert bundle.manifest.variants[0].precision == "fp32"


def test_an_unknown_bundle_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BundleRejectedError, match=rf"missing: no manifest.yaml in {tmp_path}/missing"):
        find("missing", [tmp_path])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", "red", "colour: Extra inputs are not permitted, seen red"),
        ("input.padding", 3, "input.padding: Extra inputs are not permitted"),
        ("format", "edge.bundle/2", "format: Input should be 'edge.bundle/1'"),
        ("version", "1.0", "version: String should match"),
        (
            "input.multiple_of_voxels",
            "16",
            "input.multiple_of_voxels.number: Input should be a valid integer",
        ),
        ("input.tile_voxels", [30, 32, 32], "tile side 30 must be a multiple of 4"),
        ("input.overlap_voxels", 32, "tile side 32 must be"),
        ("preprocessing.0.low", 2000, "low 2000 must be below high 1000"),
        ("preprocessing.0.step", "windw", "preprocessing.0: Input tag 'windw'"),
        (
            "preprocessing.1.spacing_mm",
            0,
            "preprocessing.1.resample.spacing_mm.number: Input should be greater",
        ),
        ("preprocessing.2.axes", "RRS", "preprocessing.2.orient.axes: .*three letters"),
        ("preprocessing.2.axes", "RA", "preprocessing.2.orient.axes: .*three letters"),
        ("preprocessing", [{"step": "resample", "spacing_mm": 1}], "exactly one `orient`"),
        ("output.labels", [], "output.labels: Tuple should have at least 1 item"),
        ("output.field_of_view.continuing_labels", ["spine"], "label 'spine' is not one of output.labels"),
        ("policy.measurements.0.labels", ["liver"], "label 'liver' is not one of output.labels: shell, core"),
        ("policy.measurements.0.modalities", ["US"], "modality 'US' is not one of input.accepts: "),
        (
            "policy.gates.largest_fraction_min",
            1.5,
            "largest_fraction_min: .*less than or equal to 1",
        ),
        ("policy.gates.whole_min_ml", float("nan"), "whole_min_ml: Input should be a (finite|valid) number"),
        ("variants.0.file", "../model.onnx", "variants.0.file: .*own folder, seen ../model.onnx"),
        ("variants.0.file", "/etc/passwd", "variants.0.file: .*own folder"),
        ("variants.0.sha256", "abc", "variants.0.sha256: String should match"),
        ("golden.union_dice_min", 2, "golden.union_dice_min: "),
        ("licence", "", "licence: String should have at least 1 character"),
    ],
)
def test_each_mistake_in_a_manifest_is_named_with_its_path(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    folder = write_bundle(tmp_path, edit=broken(path, value))
    with pytest.raises(BundleRejectedError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("task", "picture-painting", "task: seen 'picture-painting', wanted one of volume-segmentation, pic"),
        ("task", 3, "task: seen 3, wanted one of"),
        ("task", "volume-segmentation", r"input.overlap_voxels: Field required"),
        ("input.channels", "BRG", "input.channels: Input should be 'RGB', 'BGR' or 'GREY', seen BRG"),
        ("input.dtype", "int8", "input.dtype: Input should be 'uint8', 'float32' or 'float16'"),
        ("input.height_px", 4, "input.height_px: Input should be greater than or equal to 8"),
        ("preprocessing", [], "preprocessing: Tuple should have at least 1 item"),
        (
            "preprocessing",
            [{"step": "scale", "divide_by": 255}],
            "`letterbox`, `stretch`, `crop` and `keep`, and it",
        ),
        ("preprocessing", [{"step": "stretch"}] * 2, "one of .* and `keep`, and it comes first"),
        (
            "preprocessing",
            [{"step": "stretch"}, {"step": "scale", "divide_by": 255}],
            "takes uint8 scales by itself",
        ),
        ("preprocessing.0", {"step": "letterbox", "fill_rgb": [0, 0, 256]}, "letterbox.fill_rgb.2: Input"),
        ("output.decoder", "argmax", "output.decoder: Input should be 'softmax', 'sigmoid' or 'prob"),
        ("output.classes.1.name", "dark", "output.classes: names must differ, seen dark, dark"),
        ("policy.present_class", "grey", "policy.present_class 'grey' is not one of output.classes: dark, b"),
        ("policy.stay_score_min", 0.7, "stay_score_min 0.7 must not be above enter_score_min 0.6"),
        ("policy.fail_closed", "yes", "policy.fail_closed: Input should be a valid boolean"),
        ("golden.score_error_max", 0, "golden.score_error_max: Input should be greater than 0"),
    ],
)
def test_each_mistake_in_a_manifest_for_pictures_is_named_with_its_path(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    with pytest.raises(BundleRejectedError, match=message):
        load(write_picture_bundle(tmp_path, edit=broken(path, value)))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("input.unit", "radiance", "input.unit: Input should be 'reflectance'"),
        ("input.wavelengths_nm", [700, 750, 750, 800, 900], "wavelengths_nm must increase"),
        ("input.wavelengths_nm", [0.7, 0.8], "input.wavelengths_nm.0: Input should be greater than or eq"),
        ("input.value_min", 2, "value_min 2 must be below value_max 2"),
        ("input.batch_spectra_max", 0, "input.batch_spectra_max: Input should be greater than or equal to 1"),
        ("preprocessing", [{"step": "whiten"}], "preprocessing.0: Input tag 'whiten'"),
        ("preprocessing", [{"step": "log", "floor": 0}], "preprocessing.0.log.floor: Input should be gre"),
        ("output.quantities.0.name", "tilt", "quantities: names must differ, seen tilt, tilt"),
        ("output.quantities.0.value_min", 1, "value_min 1 must be below value_max 1"),
        ("output.quantities.0.uncertainty_max", None, "level: uncertainty_max goes with an output for the"),
        ("output.uncertainty", None, "level: uncertainty_max goes with an output for the uncertainty"),
        ("golden.errors_max", {"level": 1}, "golden.errors_max is for level, wanted each of .*: level, tilt"),
        ("golden.errors_max.level", -1, "golden.errors_max.level: Input should be greater than 0"),
        ("golden.same_validity_min", 1.1, "golden.same_validity_min: Input should be less than or equal"),
        ("policy.valid_share_min", -0.1, "policy.valid_share_min: Input should be greater than or equal"),
    ],
)
def test_each_mistake_in_a_manifest_for_spectra_is_named_with_its_path(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    with pytest.raises(BundleRejectedError, match=message):
        load(write_spectra_bundle(tmp_path, edit=broken(path, value)))


def test_a_manifest_that_names_no_task_is_for_volumes(tmp_path: Path) -> None:
    assert load(write_bundle(tmp_path)).manifest.task == "volume-segmentation"
    assert "task" not in document(name="tiny")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    def edit(written: dict[str, Any]) -> None:
        broken("colour", "red")(written)
        del written["licence"]

    with pytest.raises(BundleRejectedError, match=r"licence: Field required.*colour: Extra"):
        load(write_bundle(tmp_path, edit=edit))


@pytest.mark.parametrize("text", ["", "- a list", "a: [", "name: 2020-01-01", "\x00"])
def test_what_is_no_manifest_at_all_is_refused(text: str) -> None:
    with pytest.raises(BundleRejectedError, match=r"^here: "):
        parse(text, origin="here")


def test_two_labels_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleRejectedError, match="names must differ, seen core, core"):
        load(write_bundle(tmp_path, edit=broken("output.labels.0.name", "core")))


def test_a_bundle_in_a_folder_of_another_name_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path)
    folder.rename(tmp_path / "other")
    with pytest.raises(BundleRejectedError, match="the manifest's name is 'tiny', wanted the folder's"):
        load(tmp_path / "other")


@pytest.mark.parametrize("file", ["model.fp32.onnx", "golden.npz"])
def test_one_changed_bit_in_any_file_is_refused(tmp_path: Path, file: str) -> None:
    path = write_bundle(tmp_path) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleRejectedError, match=rf"{file}: sha256 is [0-9a-f]{{12}}, the manifest says"):
        load(path.parent)


@pytest.mark.parametrize("file", ["model.fp32.onnx", "golden.npz"])
def test_a_missing_file_is_refused(tmp_path: Path, file: str) -> None:
    path = write_bundle(tmp_path) / file
    path.unlink()
    with pytest.raises(BundleRejectedError, match=rf"{file}: No such file"):
        load(path.parent)


def test_a_link_that_leads_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    path = write_bundle(tmp_path) / "model.fp32.onnx"
    path.rename(tmp_path / "outside.onnx")
    path.symlink_to(tmp_path / "outside.onnx")
    with pytest.raises(BundleRejectedError, match="wanted a file inside"):
        load(path.parent)


def test_a_file_altered_after_loading_is_not_used(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path)
    bundle = load(folder)
    (folder / "model.fp32.onnx").write_bytes(b"something else")
    with pytest.raises(BundleRejectedError, match="sha256"):
        bundle.network(bundle.manifest.variants[0])


def test_the_digest_changes_with_any_word_of_the_manifest(tmp_path: Path) -> None:
    one = load(write_bundle(tmp_path / "one"))
    other = load(write_bundle(tmp_path / "other", edit=broken("intended_use", "Other tests.")))
    assert one.digest != other.digest


def test_the_order_of_keys_does_not_matter() -> None:
    written = {**document(name="tiny"), "variants": [variant()], "golden": golden()}
    backwards = dict(reversed(written.items()))
    texts = (yaml.safe_dump(each, sort_keys=False) for each in (written, backwards))
    first, second = (parse(text, origin="here") for text in texts)
    assert first == second


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/manifest.yaml")), ids=lambda path: path.parent.name)
def test_every_bundle_of_the_repository_has_codes_that_dicom_knows(path: Path) -> None:
    manifest = parse(path.read_text(), origin=path.parent.name)
    assert manifest.name == path.parent.name
    for entry in codes(manifest):
        assert entry.value in SNOMED, entry


def codes(manifest: Manifest) -> list[CodeEntry]:
    """Every SNOMED code it speaks of."""
    return [entry for entry in parts(manifest) if isinstance(entry, CodeEntry) and entry.system == "SCT"]


def parts(part: Part) -> Iterator[Part]:
    """A piece of a manifest, and all pieces below it."""
    yield part
    for _, value in part:
        for below in value if isinstance(value, tuple) else (value,):
            yield from parts(below) if isinstance(below, Part) else ()


def variant() -> dict[str, Any]:
    return {"precision": "fp32", "file": "m.onnx", "sha256": "0" * 64, "devices": ["cpu"]}


def golden() -> dict[str, Any]:
    return {**document(name="tiny")["golden"], "sha256": "0" * 64}
