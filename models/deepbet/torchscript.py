"""Weights out of a TorchScript file, read with what Python brings: no PyTorch, and nothing in it is run."""

import io
import pickle
import zipfile
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DTYPES: Final = {"FloatStorage": np.float32, "HalfStorage": np.float16, "LongStorage": np.int64}
REBUILD: Final = ("torch._utils", "_rebuild_tensor_v2")


class Node:
    """An object of the file: a name of a class, and what is kept in it."""

    def __init__(self, *_: object) -> None:
        self.kept: dict[str, Any] = {}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.kept = kept


class _Reader(pickle.Unpickler):
    """A reader that knows tensors, storages and containers, and takes all else for a `Node`."""

    def __init__(self, archive: zipfile.ZipFile, root: PurePosixPath) -> None:
        super().__init__(io.BytesIO(archive.read(str(root / "data.pkl"))))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == REBUILD:
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module == "torch" and name.endswith("Storage"):
            return name
        if module.startswith("__torch__"):
            return Node
        raise pickle.UnpicklingError(f"{module}.{name} is nothing that weights need")

    def persistent_load(self, key: tuple[str, str, str, str, int]) -> NDArray[Any]:
        _, kind, number, _, _ = key
        return np.frombuffer(self.archive.read(str(self.root / "data" / number)), DTYPES[kind])


def _tensor(
    storage: NDArray[Any], first: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> NDArray[Any]:
    steps = tuple(step * storage.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(storage[first:], shape, steps, writeable=False)


def weights(content: bytes) -> dict[str, NDArray[np.float32]]:
    """Return all tensors of a TorchScript file by the path of their module: `down0.block1.….weight`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        data = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        root = _Reader(archive, PurePosixPath(data).parent).load()
    found: dict[str, NDArray[np.float32]] = {}

    def walk(node: Node, path: str) -> None:
        for name, value in node.kept.items():
            if isinstance(value, Node):
                walk(value, f"{path}{name}.")
            elif isinstance(value, np.ndarray):
                found[path + name] = np.ascontiguousarray(value, np.float32)

    walk(root, "")
    return found
