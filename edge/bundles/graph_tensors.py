"""Constants, inputs and outputs of an ONNX file: what they claim to be, and whether they hold that much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from edge.bundles.protobuf import Walk, signed, varints
from edge.domain.errors import FormatError

WEIGHTS_BYTES_MAX: Final = 8 << 30  # unpacked; no network of this appliance comes near
DIMENSIONS_MAX: Final = 32
VARINT_BYTES_MAX: Final = 10

# onnx.TensorProto.DataType: NumPy's name (or ONNX's, where NumPy has none) and bits of one element.
TYPES: Final[Mapping[int, tuple[str, int]]] = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16),
    6: ("int32", 32), 7: ("int64", 64), 8: ("string", 8), 9: ("bool", 8), 10: ("float16", 16),
    11: ("float64", 64), 12: ("uint32", 32), 13: ("uint64", 64), 14: ("complex64", 64),
    15: ("complex128", 128), 16: ("bfloat16", 16), 17: ("float8e4m3fn", 8), 18: ("float8e4m3fnuz", 8),
    19: ("float8e5m2", 8), 20: ("float8e5m2fnuz", 8), 21: ("uint4", 4), 22: ("int4", 4),
    23: ("float4e2m1", 4), 24: ("float8e8m0", 8), 25: ("uint2", 2), 26: ("int2", 2),
}  # fmt: skip
INT64: Final = 7
STRING: Final = 8
DENOTATION: Final = 6  # of onnx.TypeProto: a word about it, beside its kind
EXTERNAL: Final = 1  # onnx.TensorProto.DataLocation


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a network.

    Attributes:
        name: In the graph.
        dtype: `float32`, `uint8` …
        shape: A number for each fixed dimension, a name (or "") for each free one; None where the file
            does not say how many there are.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None

    def __str__(self) -> str:
        shape = "?" if self.shape is None else ", ".join(str(side) or "?" for side in self.shape)
        return f"{self.name} {self.dtype} ({shape})"


class Constants:
    """The constants of one file, read one after another."""

    def __init__(self, walk: Walk) -> None:
        """Store what counts the parts of the file."""
        self._walk = walk
        self.unpacked_bytes = 0

    def read(self, content: memoryview) -> tuple[str, tuple[int, ...] | None]:
        """Check that a constant holds what it claims.

        Returns:
            Its name, and its numbers where they may be a shape.

        Raises:
            FormatError: It holds less or more, or keeps its data elsewhere.
        """
        name, kind, raw, carried = "", 0, None, 0
        sides: list[int] = []
        integers: list[int] = []
        for number, value in self._walk.fields(content):
            if number == 1:
                sides += integers_of(value)
            elif number == 2:
                kind = number_of(value)
            elif number == 8:
                name = text_of(value)
            elif number == 9:
                raw = part(value)
            elif number == 13 or (number == 14 and value == EXTERNAL):
                raise FormatError(self._external(content))
            elif number in (4, 5, 6, 7, 10, 11):
                carried += 1 if isinstance(value, int) else len(value)
                integers += integers_of(value) if number == 7 and _may_be_shape(value, integers) else []
        self._check_claim(name, kind, sides, raw=raw, carried=carried)
        if kind != INT64 or len(sides) > 1 or math.prod(sides) > DIMENSIONS_MAX:
            return name, None
        if raw is not None:
            integers = [int.from_bytes(raw[n : n + 8], "little", signed=True) for n in range(0, len(raw), 8)]
        return name, tuple(integers)

    def _check_claim(
        self, name: str, kind: int, sides: list[int], *, raw: memoryview | None, carried: int
    ) -> None:
        if kind not in TYPES:
            raise FormatError(f"constant {name!r} is of a type nobody knows, {kind}")
        if len(sides) > DIMENSIONS_MAX or min(sides, default=0) < 0:
            raise FormatError(f"constant {name!r} has the shape {sides[:DIMENSIONS_MAX]}")
        dtype, bits = TYPES[kind]
        elements = math.prod(sides)
        size = (elements * bits + 7) // 8
        if raw is not None and kind != STRING and len(raw) != size:
            raise FormatError(
                f"constant {name!r} says it is {dtype} {tuple(sides)}, {size} bytes, and holds {len(raw)}"
            )
        if raw is None and elements > carried * 8 // min(bits, 8):
            raise FormatError(
                f"constant {name!r} says it is {dtype} {tuple(sides)}, {elements} numbers, "
                f"and holds {carried} bytes"
            )
        self.unpacked_bytes += size
        if self.unpacked_bytes > WEIGHTS_BYTES_MAX:
            raise FormatError(f"unpacks to more than {WEIGHTS_BYTES_MAX} bytes of constants")

    def _external(self, content: memoryview) -> str:
        """Say which other file a constant wants its data from."""
        name, place = "", ""
        for number, value in self._walk.fields(content):
            if number == 8:
                name = text_of(value)
            elif number == 13:
                entry = dict(self._walk.fields(part(value)))
                if text_of(entry.get(1, 0)) == "location":
                    place = text_of(entry.get(2, 0))
        path = PurePosixPath(place)
        leaves = path.is_absolute() or ".." in path.parts or "\\" in place or ":" in place
        where = ", which leaves the bundle's folder" if leaves else ""
        return (
            f"constant {name!r} keeps its data in another file, {place!r}{where}; "
            "wanted all of the network in one file"
        )


def value_of(walk: Walk, content: memoryview) -> Tensor:
    """Read name, type and shape of an input or output.

    Raises:
        FormatError: It is no tensor, or its parts are not in order.
    """
    name = ""
    kinds: list[tuple[int, memoryview]] = []
    for number, value in walk.fields(content):
        if number == 1:
            name = text_of(value)
        elif number == 2:
            kinds += [(kind, part(one)) for kind, one in walk.fields(part(value)) if kind != DENOTATION]
    if len(kinds) != 1 or kinds[0][0] != 1:
        raise FormatError(f"{name!r} is no tensor")
    code = 0
    shapes: list[memoryview] = []
    for number, value in walk.fields(kinds[0][1]):
        if number == 1:
            code = number_of(value)
        elif number == 2:
            shapes.append(part(value))
    if code not in TYPES or len(shapes) > 1:
        raise FormatError(f"{name!r} is a tensor of a type nobody knows, {code}")
    shape = tuple(_sides(walk, shapes[0])) if shapes else None
    return Tensor(name, TYPES[code][0], shape)


def _sides(walk: Walk, shape: memoryview) -> Iterator[int | str]:
    for number, value in walk.fields(shape):
        if number == 1:
            side = dict(walk.fields(part(value)))
            fixed = signed(number_of(side[1])) if 1 in side else 0
            yield fixed if fixed > 0 else text_of(side.get(2, 0))


def integers_of(value: int | memoryview) -> list[int]:
    """Return int64 numbers, packed or a single one, that are few.

    Raises:
        FormatError: They are more than a shape has.
    """
    if isinstance(value, int):
        return [signed(value)]
    if len(value) > VARINT_BYTES_MAX * DIMENSIONS_MAX:
        raise FormatError(f"holds a shape of more than {DIMENSIONS_MAX} dimensions")
    return [signed(one) for one in varints(value)]


def _may_be_shape(value: int | memoryview, before: list[int]) -> bool:
    is_short = isinstance(value, int) or len(value) <= VARINT_BYTES_MAX * DIMENSIONS_MAX
    return is_short and len(before) <= DIMENSIONS_MAX


def part(value: int | memoryview) -> memoryview:
    """Return a field that is a message, or bytes.

    Raises:
        FormatError: It is a number.
    """
    if isinstance(value, int):
        raise FormatError("is no ONNX file: a number stands where a part should")
    return value


def number_of(value: int | memoryview) -> int:
    """Return a field that is a number.

    Raises:
        FormatError: It is none.
    """
    if not isinstance(value, int):
        raise FormatError("is no ONNX file: a part stands where a number should")
    return value


def text_of(value: int | memoryview) -> str:
    """Return a string; one that is absent, given as 0, is "".

    Raises:
        FormatError: It is no text.
    """
    try:
        return str(value, "utf-8") if not isinstance(value, int) else ""
    except UnicodeDecodeError as error:
        raise FormatError("holds a name that is no UTF-8") from error
