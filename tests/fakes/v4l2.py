"""A kernel with one thermal camera: it answers as V4L2 does, out of the structures of `linux/videodev2.h`."""

from __future__ import annotations

import errno
import os
import struct
from collections import deque
from dataclasses import dataclass, field

from edge.sources import thermal_v4l2 as v4l2
from tests.builders.thermal import Counts

DEVICE = 7
_STREAMS = 0x0400_0001


@dataclass
class FakeKernel:
    """`pictures` is what waits; each is counts with the driver's number and time, or its trouble."""

    width: int = 16
    height: int = 12
    pixels: int = v4l2.Y16
    row_padding_bytes: int = 0
    capabilities: int = _STREAMS
    trouble_opening: int = 0
    is_gone: bool = False
    pictures: deque[tuple[Counts, int, int]] = field(default_factory=deque)
    damaged: set[int] = field(default_factory=set)
    clock_flags: int = 0x2000
    calls: list[int] = field(default_factory=list)
    open_devices: int = 0
    mapped: int = 0
    _memory: list[bytearray] = field(default_factory=list)
    _queued: deque[int] = field(default_factory=deque)

    def open(self, path: str) -> int:
        if self.trouble_opening:
            raise OSError(self.trouble_opening, os.strerror(self.trouble_opening), path)
        self.open_devices += 1
        return DEVICE

    def close(self, device: int) -> None:
        assert device == DEVICE
        self.open_devices -= 1

    def map(self, device: int, size_bytes: int, offset: int) -> FakeMemory:
        assert len(self._memory[offset // 4096]) == size_bytes
        self.mapped += 1
        return FakeMemory(self, self._memory[offset // 4096])

    def is_readable(self, device: int, timeout_s: float) -> bool:
        return self.is_gone or bool(self.pictures)

    def control(self, device: int, request: int, about: bytearray) -> None:
        self.calls.append(request)
        if self.is_gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        {
            v4l2.QUERYCAP: self._capabilities,
            v4l2.G_FMT: self._format,
            v4l2.S_FMT: self._format,
            v4l2.REQBUFS: self._request,
            v4l2.QUERYBUF: self._query,
            v4l2.QBUF: self._queue,
            v4l2.DQBUF: self._dequeue,
            v4l2.STREAMON: self._switch,
            v4l2.STREAMOFF: self._switch,
        }[request](about)

    def _switch(self, about: bytearray) -> None:
        assert struct.unpack("=i", about) == (1,)

    def _capabilities(self, about: bytearray) -> None:
        struct.pack_into("=2I", about, 84, 0x8000_0000, self.capabilities)

    def _format(self, about: bytearray) -> None:
        row_bytes = self.width * 2 + self.row_padding_bytes
        numbers = (self.width, self.height, self.pixels, 1, row_bytes, row_bytes * self.height)
        struct.pack_into("=6I", about, 8, *numbers)

    def _request(self, about: bytearray) -> None:
        (count,) = struct.unpack_from("=I", about, 0)
        self._queued.clear()
        size_bytes = (self.width * 2 + self.row_padding_bytes) * self.height
        self._memory = [bytearray(size_bytes) for _ in range(count)]

    def _query(self, about: bytearray) -> None:
        (number,) = struct.unpack_from("=I", about, 0)
        struct.pack_into("=I", about, 64, number * 4096)
        struct.pack_into("=I", about, 72, len(self._memory[number]))

    def _queue(self, about: bytearray) -> None:
        (number,) = struct.unpack_from("=I", about, 0)
        assert number not in self._queued
        self._queued.append(number)

    def _dequeue(self, about: bytearray) -> None:
        if not self.pictures:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        counts, sequence, captured_at_ns = self.pictures.popleft()
        number = self._queued.popleft()
        order = "<" if self.pixels == v4l2.Y16 else ">"
        rows = [row.astype(f"{order}u2").tobytes() + b"\xee" * self.row_padding_bytes for row in counts]
        content = b"".join(rows)
        self._memory[number][: len(content)] = content
        flags = self.clock_flags | (0x40 if sequence in self.damaged else 0)
        struct.pack_into("=4I", about, 0, number, 1, len(content), flags)
        struct.pack_into("=2q", about, 24, captured_at_ns // 10**9, captured_at_ns % 10**9 // 1000)
        struct.pack_into("=I", about, 56, sequence)


@dataclass
class FakeMemory:
    kernel: FakeKernel
    content: bytearray

    def __getitem__(self, part: slice, /) -> bytes:
        return bytes(self.content[part])

    def close(self) -> None:
        self.kernel.mapped -= 1
