"""An ONNX file is read before a runtime sees it: what it needs, and what would harm, is told or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge.bundles.graph import read_network
from edge.bundles.store import load
from edge.domain.errors import BundleRejectedError
from tests.builders.bundles import network, write_bundle

RIGHT = network()


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_from_string(RIGHT)
    change(model)
    return bytes(model.SerializeToString())


def external(location: str) -> Callable[[onnx.ModelProto], None]:
    """A change that moves a constant's data to another file."""

    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def in_a_branch(model: onnx.ModelProto) -> None:
    """A constant with external data, hidden in a branch of an If."""
    hidden = numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    hidden.ClearField("raw_data")
    hidden.data_location = TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="../../etc/passwd")
    constant = helper.make_node("Constant", [], ["out"], value=hidden)
    branch = helper.make_graph(
        [constant], "b", [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, [3])]
    )
    model.graph.node.append(
        helper.make_node("If", ["condition"], ["never"], then_branch=branch, else_branch=branch)
    )


def makes(operator: str, *sides: int) -> Callable[[onnx.ModelProto], None]:
    """A change that adds a node which makes a tensor of a shape."""

    def change(model: onnx.ModelProto) -> None:
        shape = numpy_helper.from_array(np.array(sides, np.int64), "huge")
        model.graph.initializer.append(shape)
        model.graph.node.append(helper.make_node(operator, ["huge"] * (1 + (operator == "Expand")), ["made"]))

    return change


def sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "few")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "where")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1 << 40]))


def claims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


def claims_without_data(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1 << 30]))


def opset(version: int) -> Callable[[onnx.ModelProto], None]:
    return lambda model: setattr(model.opset_import[0], "version", version)


def test_inputs_and_outputs_are_told_as_the_file_has_them() -> None:
    seen = read_network(RIGHT, origin="n")
    assert [str(one) for one in seen.inputs] == ["image float32 (1, 1, d, h, w)"]
    assert [str(one) for one in seen.outputs] == ["answer uint8 (1, d, h, w)"]
    assert (seen.opset, seen.ir_version) == (17, 8)
    assert seen.operators["Conv"] == 1


def test_all_of_our_own_networks_are_read_in_a_moment() -> None:
    for path in Path("models").glob("*/*.onnx"):
        seen = read_network(path.read_bytes(), origin=str(path))
        assert seen.weights_bytes < path.stat().st_size


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(external("weights.bin")), r"'kernel' keeps its data in another file, 'weights.bin'; wanted"),
        (changed(external("../../etc/passwd")), r"'../../etc/passwd', which leaves the bundle's folder"),
        (changed(external("/etc/passwd")), r"'/etc/passwd', which leaves the bundle's folder"),
        (changed(external("C:\\weights")), r"which leaves the bundle's folder"),
        (changed(in_a_branch), r"'hidden' keeps its data in another file, '../../etc/passwd', which leaves"),
        (changed(claims), r"'kernel' says it is float32 \(1099511627776, .* and holds 324"),
        (changed(claims_without_data), r"'t' says it is float32 .* 1073741824 numbers, and holds 0 bytes"),
        (changed(sparse), "holds sparse weights"),
        (changed(makes("ConstantOfShape", 1 << 20, 1 << 20)), "ConstantOfShape makes a tensor of the shape"),
        (changed(makes("Expand", 1 << 20, 1 << 20)), "Expand makes a tensor of the shape"),
        (changed(opset(3)), "needs opset 3; wanted 7 to"),
        (changed(opset(900)), "needs opset 900; wanted 7 to"),
        (changed(lambda model: setattr(model, "ir_version", 99)), "is ONNX IR 99"),
        (changed(lambda model: setattr(model.graph.node[0], "domain", "evil")), "needs evil::ReduceMean"),
        (changed(lambda model: model.ClearField("graph")), "holds 0 graphs"),
        (RIGHT[:-20], "is cut off"),
        (b"", "holds 0 graphs"),
        (b"# text, no network\n" * 9, "wire type|cut off|number|ONNX"),
        (RIGHT + RIGHT, "holds 2 graphs"),
    ],
)
def test_what_would_harm_or_cannot_run_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(BundleRejectedError, match=message):
        read_network(content, origin="n")


@settings(max_examples=150, deadline=None)
@given(place=st.integers(min_value=0), flip=st.integers(1, 255), cut=st.integers(0, 400))
def test_damaged_bytes_are_read_or_refused_and_never_more(place: int, flip: int, cut: int) -> None:
    damaged = bytearray(RIGHT[: len(RIGHT) - cut])
    damaged[place % len(damaged)] ^= flip
    with contextlib.suppress(BundleRejectedError):
        read_network(bytes(damaged), origin="n")


@given(noise=st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(BundleRejectedError):
        read_network(noise, origin="n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (network(image="picture"), r"its inputs are picture float32 .*; the manifest says image float32"),
        (
            network(channels=2),
            r"its input is image float32 \(1, 2, d, h, w\); the manifest says .*1, 1",
        ),
        (network(answer="other"), r"its outputs are other uint8 .*; the manifest says 'answer'"),
        (
            changed(lambda model: model.graph.input.add().CopyFrom(model.graph.output[0])),
            r"its inputs are image .*, answer uint8 .*; the manifest says image",
        ),
    ],
)
def test_a_network_that_is_not_the_one_of_the_manifest_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    bundle = write_bundle(tmp_path, networks={"fp32": content})
    with pytest.raises(BundleRejectedError, match=message):
        load(bundle)
