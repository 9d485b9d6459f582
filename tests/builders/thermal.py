"""Files of thermal cameras, built byte by byte: what no corpus has, and what no camera would write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from edge.domain.frame import Calibration, Thermogram

Counts = NDArray[np.uint16]

# A FLIR SC660, as it says itself in the corpus of Thermimage.
SC660: Mapping[str, float] = {
    "emissivity": 0.95,
    "distance_m": 1.0,
    "reflected_k": 293.15,
    "air_k": 293.15,
    "window_k": 293.15,
    "window": 1.0,
    "humidity": 0.5,
    "r1": 21106.76953125,
    "b": 1501.0,
    "f": 1.0,
    "o": -7340,
    "r2": 0.012545257806777954,
    "low": 8812,
    "high": 57240,
    "time_s": 1_339_617_128,
    "time_ms": 699,
}


def ramp(height: int = 12, width: int = 16, *, low: int = 17_000, high: int = 21_000) -> Counts:
    """Counts that rise from the upper left to the lower right: about 17 to 39 °C for an SC660."""
    return np.linspace(low, high, height * width).astype(np.uint16).reshape(height, width)


def camera_record(*, order: str = "<", **changes: float) -> bytes:
    """What a FLIR camera says about itself."""
    it = {**SC660, **changes}
    record = bytearray(2476)
    struct.pack_into(f"{order}H", record, 0, 2)
    surroundings = (it["emissivity"], it["distance_m"], it["reflected_k"], it["air_k"], it["window_k"])
    struct.pack_into(f"{order}8f", record, 0x20, *surroundings, it["window"], 0.0, it["humidity"])
    struct.pack_into(f"{order}3f", record, 0x58, it["r1"], it["b"], it["f"])
    struct.pack_into(f"{order}5f", record, 0x70, 0.006569, 0.01262, -0.002276, -0.00667, 1.9)
    record[0xD4 : 0xD4 + 10] = b"FLIR SC660"
    struct.pack_into(f"{order}if", record, 0x308, int(it["o"]), it["r2"])
    struct.pack_into(f"{order}2H", record, 0x310, int(it["low"]), int(it["high"]))
    struct.pack_into(f"{order}2I", record, 0x384, int(it["time_s"]), int(it["time_ms"]))
    return bytes(record)


def pixel_record(counts: Counts, *, order: str = "<", packed: bytes | None = None) -> bytes:
    """The pixels of a FLIR file: rows, or something packed in their place."""
    height, width = counts.shape
    head = struct.pack(f"{order}3H", 2, width, height).ljust(32, b"\0")
    return head + (counts.astype(f"{order}u2").tobytes() if packed is None else packed)


def fff(records: Sequence[tuple[int, bytes]], *, order: str = "<") -> bytes:
    """An FFF of these records, as (kind, content)."""
    head = bytearray(64)
    head[:8] = b"FFF\0TEST"
    struct.pack_into(f"{order}3I", head, 0x14, 100, 64, len(records))
    table, body = b"", b""
    for kind, content in records:
        at = 64 + 32 * len(records) + len(body)
        table += struct.pack(f"{order}2H4I", kind, 1, 100, 1, at, len(content)).ljust(32, b"\0")
        body += content
    return bytes(head) + table + body


def flir_file(counts: Counts, *, order: str = "<", packed: bytes | None = None, **changes: float) -> bytes:
    """One whole FFF."""
    pixels = pixel_record(counts, order=order, packed=packed)
    return fff([(0x20, camera_record(order=order, **changes)), (0x01, pixels)], order=order)


def radiometric_jpeg(content: bytes, *, part_bytes: int = 3000) -> bytes:
    """A JPEG whose APP1 segments carry an FFF; the picture for people is one marker long."""
    parts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
    segments = b"".join(
        struct.pack(">BBH", 0xFF, 0xE1, len(part) + 10)
        + b"FLIR\0\x01"
        + bytes([number, len(parts) - 1])
        + part
        for number, part in enumerate(parts)
    )
    return b"\xff\xd8" + segments + b"\xff\xda\x00\x02" + b"\xff\xd9"


def ptw(frames: Sequence[Counts], *, times_s: Sequence[float], bits: int = 14, special: int = 0) -> bytes:
    """A PTW file; its times are seconds since midnight."""
    height, width = frames[0].shape
    head = bytearray(3476)
    head[:3] = b"CED"
    struct.pack_into("<2I", head, 11, len(head), 1016)
    struct.pack_into("<I", head, 27, len(frames))
    head[44:48] = b"Jade"
    struct.pack_into("<H", head, 277, special)
    struct.pack_into("<3H", head, 377, width, height, bits)
    return bytes(head) + b"".join(
        _ptw_frame(frame, time_s) for frame, time_s in zip(frames, times_s, strict=True)
    )


def _ptw_frame(counts: Counts, time_s: float) -> bytes:
    head = bytearray(1016)
    thousandths = round(time_s * 1000)
    seconds, rest = divmod(thousandths, 1000)
    head[80:84] = bytes([seconds // 60 % 60, seconds // 3600, rest // 10, seconds % 60])
    head[160] = rest % 10
    return bytes(head) + counts.astype("<u2").tobytes()


def tiff(
    pages: Sequence[Counts],
    *,
    order: str = "<",
    compression: int = 1,
    changes: Mapping[int, int] | None = None,
) -> bytes:
    """A TIFF of 16 bits with one strip a page; `changes` are tags that say something else."""
    packers = {1: lambda raw: raw, 5: imagecodecs.lzw_encode, 8: zlib.compress, 32946: zlib.compress}
    content = bytearray((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8))
    for number, page in enumerate(pages):
        strip = bytes(packers[compression](page.astype(f"{order}u2").tobytes()))
        height, width = page.shape
        tags = {256: width, 257: height, 258: 16, 259: compression, 262: 1, 273: 0, 277: 1, 278: height}
        tags |= {279: len(strip), **(changes or {})}
        at = len(content)
        strip_at = at + 2 + 12 * len(tags) + 4
        tags[273] = strip_at
        content += struct.pack(f"{order}H", len(tags))
        for tag in sorted(tags):
            content += struct.pack(f"{order}HHII", tag, 4, 1, tags[tag])
        following = strip_at + len(strip)
        content += struct.pack(f"{order}I", following if number + 1 < len(pages) else 0) + strip
    return bytes(content)


def png(counts: Counts, *, is_swapped: bool = False) -> bytes:
    """A PNG of 16 bits; swapped, it is as FLIR cameras write it."""
    return bytes(imagecodecs.png_encode(counts.byteswap() if is_swapped else counts))


def jpeg_ls(counts: Counts) -> bytes:
    """A JPEG-LS picture of 16 bits, as in CSQ."""
    return bytes(imagecodecs.jpegls_encode(counts))


def thermogram(
    celsius: NDArray[np.float32], *, uncertainty_k: float = 1.0, state: str = "factory"
) -> Thermogram:
    """Degrees with a calibration that says what a test wants it to say."""
    calibration = Calibration(
        state=state,  # type: ignore[arg-type]  # one of the three
        emissivity=0.98,
        reflected_celsius=20.0,
        air_celsius=20.0,
        distance_m=1.0,
        humidity=0.5,
        window_transmission=1.0,
        uncertainty_celsius=uncertainty_k,
    )
    return Thermogram(celsius=celsius, calibration=calibration)
