"""Y16 pictures of a V4L2 device through the kernel's own calls; not run on real hardware.

OpenCV waits 10 s for a device that hangs and PyAV is built without V4L2, so this asks the kernel itself, with
mapped buffers and never blocking: nothing but opening can hang, and the driver's own times and numbers come
with each picture. Numbers and layouts are those of `linux/videodev2.h` on 64 bits, as a compiled program
printed them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.domain.errors import SourceLostError
from edge.sources.thermal_device import Y16Picture

QUERYCAP, G_FMT, S_FMT, REQBUFS = 0x80685600, 0xC0D05604, 0xC0D05605, 0xC0145608
QUERYBUF, QBUF, DQBUF, STREAMON, STREAMOFF = 0xC0585609, 0xC058560F, 0xC0585611, 0x40045612, 0x40045613
Y16, Y16_BE = 0x20363159, 0xA0363159
BUFFERS = 4

_CAPTURE, _MAPPED, _ANY_FIELD = 1, 1, 0
_CAN_CAPTURE, _CAN_STREAM, _HAS_DEVICE_CAPS = 0x1, 0x0400_0000, 0x8000_0000
_DAMAGED, _CLOCK_MASK, _MONOTONIC = 0x40, 0xE000, 0x2000
_CAPABILITY_BYTES, _FORMAT_BYTES, _REQUEST_BYTES, _BUFFER_BYTES = 104, 208, 20, 88
_PIXELS_MAX = 4096 * 4096


class MappedMemory(Protocol):
    """A buffer of the driver in our memory."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Return a copy of a part."""

    def close(self) -> None:
        """Give it back."""


class Kernel(Protocol):
    """The five calls; tests bring a kernel of their own."""

    def open(self, path: str) -> int:
        """Open a device for reading and writing, never blocking."""

    def close(self, device: int) -> None:
        """Close it."""

    def control(self, device: int, request: int, about: bytearray) -> None:
        """Do an ioctl; it changes `about`."""

    def map(self, device: int, size_bytes: int, offset: int) -> MappedMemory:
        """Map a buffer of the driver."""

    def is_readable(self, device: int, timeout_s: float) -> bool:
        """Wait for a picture."""


class LinuxKernel:
    """The kernel of this machine."""

    def open(self, path: str) -> int:
        """Open a device for reading and writing, never blocking."""
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self, device: int) -> None:
        """Close it."""
        os.close(device)

    def control(self, device: int, request: int, about: bytearray) -> None:
        """Do an ioctl; it changes `about`."""
        fcntl.ioctl(device, request, about, True)

    def map(self, device: int, size_bytes: int, offset: int) -> MappedMemory:
        """Map a buffer of the driver."""
        return mmap.mmap(device, size_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)

    def is_readable(self, device: int, timeout_s: float) -> bool:
        """Wait for a picture."""
        return bool(select.select([device], [], [], timeout_s)[0])


@dataclass(frozen=True, slots=True)
class _Format:
    """How the pictures of a device lie in memory."""

    width: int
    height: int
    row_bytes: int
    order: str


class V4l2Y16:
    """A device of which 16 bits are wanted for each pixel."""

    def __init__(
        self,
        path: str,
        *,
        width_px: int | None = None,
        height_px: int | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        """Store what the device needs.

        Args:
            path: `/dev/videoN`.
            width_px: Wished for; None: the device's own.
            height_px: Wished for; None: the device's own.
            kernel: Does the calls; None: the one of this machine.
        """
        self._path = path
        self._width_px = width_px
        self._height_px = height_px
        self._kernel = kernel or LinuxKernel()

    @contextmanager
    def opened(self) -> Iterator[V4l2Stream]:
        """Set the device up and let it run until the `with` ends.

        Raises:
            SourceLostError: It is not there, not ours, in use, or gives no 16 bits.
        """
        kernel = self._kernel
        with ExitStack() as rooms:
            try:
                device = kernel.open(self._path)
                rooms.callback(kernel.close, device)
                self._check_can_stream(device)
                shape = self._set_format(device)
                buffers = self._map_buffers(device, rooms)
                for number in range(len(buffers)):
                    kernel.control(device, QBUF, _buffer(number))
                kernel.control(device, STREAMON, bytearray(struct.pack("=i", _CAPTURE)))
            except OSError as trouble:
                raise SourceLostError(f"{self._path}: cannot be opened: {trouble.strerror}") from trouble
            rooms.callback(self._stop, device)
            yield V4l2Stream(self._path, kernel, device, buffers, shape)

    def _check_can_stream(self, device: int) -> None:
        about = bytearray(_CAPABILITY_BYTES)
        self._kernel.control(device, QUERYCAP, about)
        whole, own = struct.unpack_from("=2I", about, 84)
        can = own if whole & _HAS_DEVICE_CAPS else whole
        if not (can & _CAN_CAPTURE and can & _CAN_STREAM):
            raise SourceLostError(f"{self._path}: can {can:#x}, wanted a device that captures and streams")

    def _set_format(self, device: int) -> _Format:
        about = bytearray(_FORMAT_BYTES)
        struct.pack_into("=I", about, 0, _CAPTURE)
        self._kernel.control(device, G_FMT, about)
        width, height = struct.unpack_from("=2I", about, 8)
        wished = (self._width_px or width, self._height_px or height, Y16, _ANY_FIELD, 0, 0)
        struct.pack_into("=6I", about, 8, *wished)
        self._kernel.control(device, S_FMT, about)
        width, height, pixels, _, row_bytes = struct.unpack_from("=5I", about, 8)
        name = struct.pack("=I", pixels).decode("latin-1")
        if pixels not in (Y16, Y16_BE):
            raise SourceLostError(f"{self._path}: gives {name!r}, wanted 'Y16 ': 16 bits for each pixel")
        if not 0 < width * height <= _PIXELS_MAX or (row_bytes and row_bytes < width * 2):
            raise SourceLostError(f"{self._path}: {width} × {height} pixels in rows of {row_bytes} bytes")
        return _Format(width, height, row_bytes or width * 2, "<" if pixels == Y16 else ">")

    def _map_buffers(self, device: int, rooms: ExitStack) -> list[MappedMemory]:
        about = bytearray(struct.pack("=5I", BUFFERS, _CAPTURE, _MAPPED, 0, 0))
        self._kernel.control(device, REQBUFS, about)
        (count,) = struct.unpack_from("=I", about, 0)
        if not 2 <= count <= 32:
            raise SourceLostError(f"{self._path}: {count} buffers, wanted 2 to 32")
        buffers = []
        for number in range(count):
            about = _buffer(number)
            self._kernel.control(device, QUERYBUF, about)
            (offset,) = struct.unpack_from("=I", about, 64)
            (size_bytes,) = struct.unpack_from("=I", about, 72)
            buffers.append(self._kernel.map(device, size_bytes, offset))
            rooms.callback(buffers[-1].close)
        return buffers

    def _stop(self, device: int) -> None:
        try:
            self._kernel.control(device, STREAMOFF, bytearray(struct.pack("=i", _CAPTURE)))
        except OSError:
            return  # it was unplugged: nothing streams any more


class V4l2Stream:
    """A device that runs."""

    def __init__(
        self, path: str, kernel: Kernel, device: int, buffers: Sequence[MappedMemory], shape: _Format
    ) -> None:
        self._path = path
        self._kernel = kernel
        self._device = device
        self._buffers = buffers
        self._shape = shape

    def read(self, *, timeout_s: float) -> Y16Picture | None:
        """Return the oldest picture that waits; None where none comes within the time.

        Raises:
            SourceLostError: The device is gone.
        """
        about = _buffer(0)
        try:
            if not self._kernel.is_readable(self._device, timeout_s):
                return None
            self._kernel.control(self._device, DQBUF, about)
            picture = self._picture(about)
            self._kernel.control(self._device, QBUF, _buffer(struct.unpack_from("=I", about, 0)[0]))
        except BlockingIOError:
            return None  # another reader was quicker, or the driver changed its mind
        except OSError as trouble:
            raise SourceLostError(f"{self._path}: is gone: {trouble.strerror}") from trouble
        return picture

    def _picture(self, about: bytearray) -> Y16Picture:
        number, _, used_bytes, flags = struct.unpack_from("=4I", about, 0)
        seconds, micros = struct.unpack_from("=2q", about, 24)
        (sequence,) = struct.unpack_from("=I", about, 56)
        it = self._shape
        wanted = it.row_bytes * (it.height - 1) + it.width * 2
        is_damaged = bool(flags & _DAMAGED) or used_bytes < wanted
        stored = self._buffers[number][0 : it.row_bytes * it.height].ljust(it.row_bytes * it.height, b"\0")
        rows = np.frombuffer(stored, np.uint8).reshape(it.height, it.row_bytes)[:, : it.width * 2]
        return Y16Picture(
            counts=np.ascontiguousarray(rows).view(f"{it.order}u2").astype(np.uint16),
            captured_at_ns=seconds * 1_000_000_000 + micros * 1000
            if flags & _CLOCK_MASK == _MONOTONIC
            else None,
            number=sequence,
            is_damaged=is_damaged,
        )


def _buffer(number: int) -> bytearray:
    """Return a `v4l2_buffer` that names one of the mapped buffers."""
    about = bytearray(_BUFFER_BYTES)
    struct.pack_into("=2I", about, 0, number, _CAPTURE)
    struct.pack_into("=I", about, 60, _MAPPED)
    return about
