"""What enhanced multi-frame objects say of each frame, and of all of them."""

from __future__ import annotations

from pydicom.dataset import Dataset

from edge.formats.dicom_dataset import items_of


class Groups:
    """The functional groups of one frame: its own before the shared ones."""

    def __init__(self, own: Dataset, shared: Dataset) -> None:
        self._holders = (own, shared)

    def item(self, *keys: str | int) -> Dataset:
        """Return the first item of the first of these sequences that is there, else an empty one."""
        for holder in self._holders:
            for key in keys:
                items = items_of(holder, key)
                if items:
                    return items[0]
        return Dataset()


def groups_of(dataset: Dataset, frame: int) -> Groups:
    """Return the functional groups of a frame, counted from 0; empty ones where there are none."""
    shared = items_of(dataset, "SharedFunctionalGroupsSequence")
    per_frame = items_of(dataset, "PerFrameFunctionalGroupsSequence")
    own = per_frame[frame] if frame < len(per_frame) else Dataset()
    return Groups(own, shared[0] if shared else Dataset())
