"""A network's work on an NVIDIA GPU, recorded once for each shape of its input and played again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import onnxruntime as ort
from numpy.typing import NDArray

from edge.inference.session import Wiring

# A recording is never given back by the runtime; beyond so many shapes, none is made
RECORDINGS_MAX: Final = 4
GRAPH_ID: Final = "gpu_graph_id"
UNRECORDED: Final = "-1"

# How much they make depends on what they see, not only on how large that is. The CPU counts it on the way,
# which a recording leaves out: it would play the number it was made with, also where no answer shows it.
CONTENT_SIZED: Final = frozenset({"NonZero", "NonMaxSuppression", "Compress", "Unique"})


def is_recordable(operators: Collection[str]) -> bool:
    """Return whether the shape of a network's input decides all that it asks of the GPU.

    The runtime itself refuses to record the rest: branches, loops, and nodes on the CPU that take numbers
    from the GPU; so no other node can take its size from what is in a picture.

    Args:
        operators: The kinds of its nodes, those in inner graphs too.
    """
    return CONTENT_SIZED.isdisjoint(operators)


@dataclass(frozen=True, slots=True)
class _Place:
    """What is bound for one shape of the input; it stays at its addresses."""

    binding: Any
    given: Any
    options: Any


class Bound:
    """Buffers on the GPU that stay where they are, as a recording wants it; one caller at a time.

    A CUDA graph records what a run asks of the GPU. Played again it costs one call instead of one for each
    kernel; it reads and writes at the addresses it was recorded with. What is not recorded is not bound
    either: the runtime copies the input of a binding only once where a node on the CPU takes it, and
    expects of later answers the shape of the first one.

    Args:
        session: Of a network that `is_recordable`, on a GPU, opened so that it records.
        wiring: By which names and types it is addressed.
    """

    def __init__(self, session: Any, wiring: Wiring) -> None:
        self._session, self._wiring = session, wiring
        self._recorded: dict[tuple[int, ...], _Place] = {}
        self._unrecorded = ort.RunOptions()
        self._unrecorded.add_run_config_entry(GRAPH_ID, UNRECORDED)
        self._now: _Place | None = None
        self._given: NDArray[Any] | None = None
        self._values: list[NDArray[Any]] = []

    @property
    def shapes(self) -> frozenset[tuple[int, ...]]:
        """Of inputs that are recorded."""
        return frozenset(self._recorded)

    def take(self, given: NDArray[Any]) -> Any:
        """Copy an input to the GPU where it is recorded, and return the options of the run to come."""
        place = self._recorded.get(given.shape)
        if place is not None:
            place.given.update_inplace(given)
        elif len(self._recorded) < RECORDINGS_MAX:
            place = self._recorded[given.shape] = self._bind(given)
        self._now, self._given = place, given if place is None else None
        return self._unrecorded if place is None else place.options

    def go(self) -> None:
        """Run upon what was taken last; it is done when this returns."""
        if self._now is None:
            given = {self._wiring.given: self._given}
            self._values = self._session.run(list(self._wiring.answers), given, self._unrecorded)
        else:
            self._session.run_with_iobinding(self._now.binding, self._now.options)

    def answers(self) -> list[NDArray[Any]]:
        """Return the answers of the last run, the caller's own, in the order of the wiring."""
        if self._now is None:
            values, self._values = self._values, []
            return values
        return [value.numpy() for value in self._now.binding.get_outputs()]

    def _bind(self, given: NDArray[Any]) -> _Place:
        binding, options = self._session.io_binding(), ort.RunOptions()
        value = ort.OrtValue.ortvalue_from_numpy(given, "cuda", 0)
        binding.bind_ortvalue_input(self._wiring.given, value)
        for answer in self._wiring.answers:
            binding.bind_output(answer, "cuda")  # the first run allocates it; it stays at that address
        options.add_run_config_entry(GRAPH_ID, str(len(self._recorded) + 1))
        return _Place(binding, value, options)
