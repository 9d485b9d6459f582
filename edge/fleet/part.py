"""What has come of a package so far, and how an answer is added to it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final

from edge.domain.errors import StorageFullError
from edge.fleet.cancel import Cancel
from edge.fleet.documents import BundleWanted
from edge.fleet.pace import Pace
from edge.fleet.places import BusyPlaceError, Place, PlaceError, RangeRefusedError, Reply

PIECE_BYTES: Final = 1 << 18

Tell = Callable[[int], object]


class OtherBytesError(PlaceError):
    """What a place gives is not what the document means."""


class Part:
    """What has come so far, in a file whose lock is held.

    Attributes:
        descriptor: Of the file.
        has_bytes: How many.
        best_bytes: The most there ever were: less than that is nothing new.
        is_mixed: They came in more than one answer.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.has_bytes = self.best_bytes = 0
        self.is_mixed = False
        self.hashed = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """Write what comes next.

        Raises:
            StorageFullError: There is no room.
        """
        try:
            written = os.pwrite(self.descriptor, piece, self.has_bytes)
        except OSError as error:  # not to be taken for one of the network
            raise StorageFullError(f"{error.strerror}, after {self.has_bytes} bytes") from error
        self.hashed.update(piece[:written])
        self.has_bytes += written
        self.best_bytes = max(self.best_bytes, self.has_bytes)

    def is_right(self, wanted: BundleWanted) -> bool:
        """Return whether it is whole, and the package that is meant."""
        has_all = self.has_bytes == wanted.size_bytes
        return has_all and f"sha256:{self.hashed.hexdigest()}" == wanted.digest

    def forget(self) -> None:
        """Begin anew."""
        os.ftruncate(self.descriptor, 0)
        self.has_bytes, self.hashed, self.is_mixed = 0, hashlib.sha256(), False


def take_up(part: Part, wanted: BundleWanted) -> None:
    """Go on with what an earlier try has left."""
    left_bytes = os.fstat(part.descriptor).st_size
    if left_bytes > wanted.size_bytes:
        part.forget()
        return
    while part.has_bytes < left_bytes:
        piece = os.pread(part.descriptor, PIECE_BYTES, part.has_bytes)
        part.hashed.update(piece)
        part.has_bytes += len(piece)
    part.best_bytes = part.has_bytes
    part.is_mixed = part.has_bytes > 0
    if part.has_bytes == wanted.size_bytes and not part.is_right(wanted):
        part.forget()


def receive(
    part: Part,
    wanted: BundleWanted,
    reply: Reply,
    place: Place,
    *,
    cancel: Cancel,
    tell: Tell,
    pace: Pace,
) -> None:
    """Add what an answer holds, at its pace; afterwards there are as many bytes as the document says.

    Raises:
        OtherBytesError: It holds more or less than that.
        RangeRefusedError: It does not go on where we are.
        BusyPlaceError: It broke off.
        StorageFullError: It cannot be written.
    """
    size_bytes = wanted.size_bytes
    if reply.total_bytes not in (None, size_bytes):
        what = f"has {reply.total_bytes} bytes, the document says {size_bytes}"
        raise OtherBytesError(f"{place}: {what}")
    if reply.begins_at not in (0, part.has_bytes):
        kind = RangeRefusedError if part.has_bytes else PlaceError
        raise kind(f"{place}: begins at byte {reply.begins_at}, asked from {part.has_bytes} on")
    if reply.begins_at != part.has_bytes:
        part.forget()
    part.is_mixed = part.has_bytes > 0
    while part.has_bytes < size_bytes:
        piece = reply.stream.read1(pace.piece_bytes(min(PIECE_BYTES, size_bytes - part.has_bytes)))
        if not piece or cancel.is_asked:
            raise BusyPlaceError(f"{place}: broke off after {part.has_bytes} of {size_bytes} bytes")
        part.add(piece)
        tell(part.has_bytes)
        cancel.wait(pace.rest_s(len(piece)))
    if reply.total_bytes is None and reply.stream.read1(1):
        part.forget()
        raise OtherBytesError(f"{place}: has more than the {size_bytes} bytes that the document says")
