"""Arrays of an npz, read without believing what it says about its own size."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edge.domain.errors import BundleRejectedError

ARRAYS_MAX: Final = 64
UNPACKED_BYTES_MAX: Final = 1 << 30  # all arrays together
TYPES: Final = "biufc?"  # of numbers; never objects, which would be code

TROUBLE: Final = (
    ValueError,  # and UnicodeDecodeError
    KeyError,
    OSError,
    EOFError,
    SyntaxError,
    RecursionError,
    NotImplementedError,  # a kind of compression
    RuntimeError,  # encrypted
    OverflowError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(content: bytes, names: Sequence[str], *, origin: str) -> list[NDArray[Any]]:
    """Read arrays by name, read-only.

    An npz may unpack to a thousand times its size, and each array may claim any shape: what is claimed is
    added up before anything is unpacked, and nothing is unpacked beyond it.

    Args:
        content: Bytes of the file.
        names: Arrays that are wanted; others are not unpacked.
        origin: Names the file in errors.

    Raises:
        BundleRejectedError: It is no npz, lacks one, or would take more memory than is allowed.
    """
    wanted = " and ".join(f"`{name}`" for name in names)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_sizes(archive, origin)
            return [_array(archive, name, origin) for name in names]
    except TROUBLE as error:
        raise BundleRejectedError(f"{origin}: {error}, wanted an npz with {wanted}") from error


def _check_sizes(archive: zipfile.ZipFile, origin: str) -> None:
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > ARRAYS_MAX:
        raise BundleRejectedError(f"{origin}: holds {len(entries)} arrays, at most {ARRAYS_MAX} are allowed")
    if total > UNPACKED_BYTES_MAX:
        raise BundleRejectedError(
            f"{origin}: unpacks to {total} bytes, at most {UNPACKED_BYTES_MAX} are allowed"
        )


def _array(archive: zipfile.ZipFile, name: str, origin: str) -> NDArray[Any]:
    """Read one array, whose header is checked against the room the archive gives it.

    Raises:
        BundleRejectedError: It is no array of numbers, or larger than its place in the archive.
    """
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise BundleRejectedError(f"{origin}: `{name}` is npy {version}, wanted 1.0 or 2.0")
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = header(file)
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.kind not in TYPES or dtype.fields is not None:
            raise BundleRejectedError(f"{origin}: `{name}` is of type {dtype}, wanted numbers")
        if claimed > entry.file_size or min(shape, default=0) < 0:
            raise BundleRejectedError(
                f"{origin}: `{name}` says it has the shape {shape}, {claimed} bytes, "
                f"in {entry.file_size} bytes"
            )
        values = file.read(claimed)
    if len(values) < claimed:
        raise BundleRejectedError(f"{origin}: `{name}` ends after {len(values)} of {claimed} bytes")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if is_fortran else "C")
