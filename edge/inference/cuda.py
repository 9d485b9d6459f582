"""A network's input and outputs in the memory of an NVIDIA GPU, its work recorded once and played again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import onnxruntime as ort
from numpy.typing import NDArray

from edge.inference.session import Wiring

# A recording is never given back by the runtime; beyond so many shapes, none is made
RECORDINGS_MAX: Final = 4
GRAPH_ID: Final = "gpu_graph_id"
UNRECORDED: Final = "-1"


@dataclass(frozen=True, slots=True)
class _Place:
    """What is bound for one shape of the input."""

    binding: Any
    given: Any
    options: Any


class Bound:
    """Buffers on the GPU that stay where they are, as a recording wants it; one caller at a time.

    A CUDA graph records what a run asks of the GPU. Played again it costs one call instead of one for each
    kernel; it reads and writes at the addresses it was recorded with.

    Args:
        session: Of the network, on a GPU.
        wiring: By which names and types it is addressed.
        records: The session was opened so that it can record.
    """

    def __init__(self, session: Any, wiring: Wiring, *, records: bool) -> None:
        self._session, self._wiring, self._records = session, wiring, records
        self._recorded: dict[tuple[int, ...], _Place] = {}
        self._unrecorded: tuple[tuple[int, ...], _Place] | None = None
        self._now: _Place | None = None

    def take(self, given: NDArray[Any]) -> Any:
        """Copy an input to the GPU, and return the options of the run to come."""
        place = self._recorded.get(given.shape)
        if place is None and self._unrecorded is not None and self._unrecorded[0] == given.shape:
            place = self._unrecorded[1]
        if place is None:
            place = self._bind(given)
        else:
            place.given.update_inplace(given)
        self._now = place
        return place.options

    def go(self) -> None:
        """Run upon what was taken last; it is done when this returns."""
        assert self._now is not None, "nothing was taken"
        self._session.run_with_iobinding(self._now.binding, self._now.options)

    def answers(self) -> list[NDArray[Any]]:
        """Copy the answers of the last run from the GPU, in the order of the wiring."""
        assert self._now is not None, "nothing was taken"
        return [value.numpy() for value in self._now.binding.get_outputs()]

    def _bind(self, given: NDArray[Any]) -> _Place:
        binding, options = self._session.io_binding(), ort.RunOptions()
        value = ort.OrtValue.ortvalue_from_numpy(given, "cuda", 0)
        binding.bind_ortvalue_input(self._wiring.given, value)
        for answer in self._wiring.answers:
            binding.bind_output(answer, "cuda")  # the first run allocates it; it stays at that address
        place = _Place(binding, value, options)
        if self._records and len(self._recorded) < RECORDINGS_MAX:
            options.add_run_config_entry(GRAPH_ID, str(len(self._recorded) + 1))
            self._recorded[given.shape] = place
        else:
            if self._records:
                options.add_run_config_entry(GRAPH_ID, UNRECORDED)
            self._unrecorded = (given.shape, place)
        return place
