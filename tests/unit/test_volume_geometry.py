"""What a network marks comes back to its place in the patient, whatever was done to the volume on the way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundles.manifest import parse
from edge.bundles.volume_output import Output
from edge.bundles.volume_policy import Components
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.image import Segmentation, Volume
from edge.inference.decode import decode
from edge.inference.tiling import segment
from edge.inference.volume_scores import Painter
from edge.preprocess.regrid import regrid
from edge.preprocess.steps import prepare
from tests.builders.volume_bundles import LESION, document
from tests.builders.volumes import grids, ramp, turns, volume, volume_like

AXES = st.sampled_from(["RAS", "LPS", "SPL", "AIR", "IRP", "SAR"])
SLICES = st.sampled_from([None, "axial", "coronal", "sagittal"])
ALL = {"code": LESION, "labels": ["core"], "components_max": 5}


def manifest(steps: list[dict[str, Any]], slices: str | None = None) -> VolumeSegmentation:
    """A bundle with such steps, in tiles of 8 or slices of them."""
    given_ = {"layout": "NCHW", "slices": slices} if slices else {}
    written = document(name="tiny", **given_, pass_voxels_max=4096, tile_voxels=[8] * (2 if slices else 3))
    written["preprocessing"], written["policy"]["components"] = steps, ALL
    network = {"precision": "fp32", "file": "m.onnx", "sha256": "0" * 64, "devices": ["cpu"]}
    text = json.dumps({**written, "variants": [network], "golden": {**written["golden"], "sha256": "0" * 64}})
    made = parse(text, origin="here")
    assert isinstance(made, VolumeSegmentation)
    return made


def found(source: Volume, made: VolumeSegmentation) -> Segmentation:
    """What a network that marks whatever is brighter than 0.5 says, by the path of a model."""
    prepared = prepare(source, made.preprocessing)
    picture = np.moveaxis(np.asarray(prepared.voxels, np.float32), made.slice_axis, 0)[None]
    labels = segment(picture, made.input, lambda tile: (tile[0] > 0.5).astype(np.uint8), Painter(made.output))
    return decode(
        np.moveaxis(labels, 0, made.slice_axis),
        grid=prepared,
        source=source,
        output=made.output,
        components=made.policy.components,
    )


def block_of(grid: Volume, draw: Any) -> NDArray[np.bool_]:
    """A block of at least three voxels a side, two away from every face."""
    mask = np.zeros(grid.voxels.shape, bool)
    spans = []
    for side in grid.voxels.shape:
        low = draw(st.integers(2, side - 5))
        spans.append(slice(low, draw(st.integers(low + 3, side - 2))))
    mask[tuple(spans)] = True
    return mask


def centre_mm(mask: NDArray[np.bool_], grid: Volume) -> NDArray[np.float64]:
    k, j, i = np.argwhere(mask).mean(axis=0)
    return np.asarray((grid.patient_from_voxel @ (i, j, k, 1.0))[:3])


@given(grids(side_min=8, side_max=15), AXES, SLICES, st.data())
@settings(max_examples=60, deadline=None)
def test_a_block_comes_back_at_its_place(grid: Volume, axes: str, slices: str | None, data: Any) -> None:
    spacing_mm = [data.draw(st.floats(0.5, 1.2)) * min(grid.spacing_mm) for _ in range(3)]
    moves = st.sampled_from([[], [{"step": "crop_foreground", "above": 0.1, "margin_voxels": 2}]])
    sizes = st.sampled_from(
        [
            {"step": "resample", "spacing_mm": [max(0.1, min(20.0, one)) for one in spacing_mm]},
            {"step": "fit", "shape_voxels": [24, 21, None]},
        ]
    )
    block = block_of(grid, data.draw)
    source = volume_like(grid, block.astype(np.float32))
    made = manifest([{"step": "orient", "axes": axes}, data.draw(sizes), *data.draw(moves)], slices)
    answer = found(source, made)
    (piece,) = answer.pieces.largest
    seen = answer.labels > 0
    assert seen[~_layers(~block, 1)].all(), "the inside of the block"
    assert not seen[~_layers(block, 1)].any(), "beyond one voxel around it"
    half_mm = np.linalg.norm(grid.spacing_mm) / 2
    assert np.linalg.norm(centre_mm(seen, grid) - centre_mm(block, grid)) <= half_mm
    assert np.linalg.norm(np.array(piece.centroid_mm) - centre_mm(block, grid)) <= half_mm
    assert not piece.is_cut


def _layers(mask: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """A mask grown by so many voxels in every direction."""
    sides = [slice(count, count + side) for side in mask.shape]
    padded = np.pad(mask, count)
    grown = [
        np.roll(padded, (k, j, i), axis=(0, 1, 2))[tuple(sides)]
        for k in range(-count, count + 1)
        for j in range(-count, count + 1)
        for i in range(-count, count + 1)
    ]
    return np.asarray(np.any(grown, axis=0))


def ball(radius_mm: float, spacing_mm: tuple[float, float, float]) -> Volume:
    """A bright ball around (30, 30, 30) mm in a cube of 60 mm."""
    shape = tuple(round(60 / one) for one in spacing_mm)
    grid = volume(np.zeros(shape, np.float32), spacing_mm=spacing_mm)
    k, j, i = np.indices(shape)
    places = np.stack([i, j, k], axis=-1) * spacing_mm[::-1]
    far = np.linalg.norm(places - 30.0, axis=-1)
    return volume_like(grid, (far <= radius_mm).astype(np.float32))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.5, 0.8, 0.8), (5.0, 0.5, 0.7)])
@pytest.mark.parametrize("radius_mm", [6.0, 10.0])
def test_a_ball_has_its_diameter_and_its_volume(
    radius_mm: float, spacing_mm: tuple[float, float, float]
) -> None:
    made = manifest([{"step": "orient", "axes": "RAS"}, {"step": "resample", "spacing_mm": 1.0}])
    (piece,) = found(ball(radius_mm, spacing_mm), made).pieces.largest
    assert piece.diameter_mm == pytest.approx(2 * radius_mm, abs=1.0)
    assert piece.volume_ml == pytest.approx(4 / 3 * np.pi * radius_mm**3 / 1000, rel=0.15)
    assert np.linalg.norm(np.array(piece.centroid_mm) - 30.0) < max(spacing_mm) / 2


def test_pieces_come_largest_first_and_the_rest_is_summed() -> None:
    mask = np.zeros((30, 30, 30), np.float32)
    for n, side in enumerate((2, 5, 3, 4)):
        mask[8 * n - 2 * (n > 2) : 8 * n + side - 2 * (n > 2), 2 : 2 + side, 2 : 2 + side] = 1
    made = manifest([{"step": "orient", "axes": "SPL"}])
    two = made.policy.components.model_copy(update={"components_max": 2})  # type: ignore[union-attr]  # it has some
    source = volume(mask, spacing_mm=(2.0, 1.0, 1.0))
    pieces = decode(
        (mask > 0).astype(np.uint8), grid=source, source=source, output=made.output, components=two
    ).pieces
    assert [one.volume_ml for one in pieces.largest] == [0.25, 0.128]
    assert pieces.others == 2
    assert pieces.others_ml == pytest.approx(0.054 + 0.016)
    assert [one.diameter_mm for one in pieces.largest] == pytest.approx(
        [(5, 4)[n] * 2**0.5 for n in (0, 1)], abs=0.8
    )


def test_a_piece_at_the_edge_of_the_field_is_cut_and_one_at_the_edge_of_the_crop_is_not() -> None:
    picture = np.zeros((20, 20, 20), np.float32)
    picture[5:12, 5:12, 5:12] = 1
    crop = [{"step": "orient", "axes": "RAS"}, {"step": "crop_foreground"}]
    inside = found(volume(picture.copy()), manifest(crop))
    assert not inside.pieces.largest[0].is_cut
    assert inside.touched_faces == frozenset()
    picture[5:12, 5:12, :12] = 1
    cut = found(volume(picture), manifest(crop))
    assert cut.pieces.largest[0].is_cut
    assert cut.touched_faces == frozenset("R")


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"component_min_ml": 0.1}, [1, 2]),
        ({"component_min_ml": 0.135}, []),
        ({"component_min_ml": 0.1, "pieces_of": "label"}, [1]),
        ({"largest_component_only": True}, [1, 2]),
        ({"largest_component_only": True, "pieces_of": "label"}, [1, 2, 3]),
        ({}, [1, 2, 3]),
    ],
)
def test_small_pieces_are_left_out_of_the_union_or_of_each_label(
    changes: dict[str, Any], left: list[int]
) -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[:5, :5, :5], labels[5, :3, :3], labels[10:13, 10:13, 10:14] = 1, 2, 3
    names = ("one", "two", "three")
    written = document(name="tiny", labels=names)["output"] | changes
    grid = volume(np.zeros(labels.shape, np.float32))
    output = Output.model_validate_json(json.dumps(written))
    kept = decode(labels, grid=grid, source=grid, output=output).labels
    assert np.unique(kept[kept > 0]).tolist() == left


def test_pieces_of_named_labels_only_are_measured_and_corners_connect() -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[2:4, 2:4, 2:4], labels[4:6, 4:6, 4:6], labels[8:10, 8:10, 8:10] = 1, 1, 2
    grid = volume(np.zeros(labels.shape, np.float32))
    output = Output.model_validate_json(json.dumps(document(name="tiny", labels=("one", "two"))["output"]))
    wanted = Components.model_validate_json(json.dumps({**ALL, "labels": ["one"]}))
    pieces = decode(labels, grid=grid, source=grid, output=output, components=wanted).pieces
    assert [one.volume_ml for one in pieces.largest] == [0.016]


# ── one series on the grid of another ────────────────────────────────────────────────────────────────


@given(grids(side_max=10), turns(), st.floats(0.2, 1.5))
@settings(max_examples=40, deadline=None)
def test_every_place_of_the_patient_keeps_its_value_on_another_grid(
    grid: Volume, turn: NDArray[np.float64], fineness: float
) -> None:
    extent_mm = max(n * s for n, s in zip(grid.voxels.shape, grid.spacing_mm, strict=True))
    spacing_mm = max(fineness * min(grid.spacing_mm), extent_mm / 30)
    side = round(2.5 * extent_mm / spacing_mm)
    middle_mm = grid.patient_from_voxel @ (*((n - 1) / 2 for n in reversed(grid.voxels.shape)), 1.0)
    origin_mm = middle_mm[:3] - turn @ ([(side - 1) / 2 * spacing_mm] * 3)
    source = ramp(
        volume(
            np.zeros((side,) * 3, np.float32),
            spacing_mm=(spacing_mm,) * 3,
            turn=turn,
            origin_mm=tuple(origin_mm),
        )
    )
    brought = regrid(source, grid=grid, role="FLAIR")
    assert np.array_equal(brought.patient_from_voxel, grid.patient_from_voxel)
    assert np.abs(brought.voxels - ramp(grid).voxels).max() < 0.25  # a tenth of a millimetre


def test_a_series_on_the_same_grid_is_left_as_it_is() -> None:
    source = volume(np.ones((4, 5, 6), np.float32))
    assert regrid(source, grid=volume(np.zeros((4, 5, 6), np.float32)), role="T2") is source


def test_outside_of_a_ct_there_is_air() -> None:
    source = volume(np.zeros((8, 8, 8), np.int16), unit="hounsfield", modality="CT")
    grid = volume(np.zeros((8, 8, 8), np.float32), origin_mm=(3.0, 0.0, 0.0))
    brought = regrid(source, grid=grid, role="CT")
    assert set(np.unique(brought.voxels)) == {-1024.0, 0.0}
    assert (brought.unit, brought.modality) == ("hounsfield", "CT")
