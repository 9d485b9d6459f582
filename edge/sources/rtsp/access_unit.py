"""One encoded picture as it comes out of RTP packets, and what every depacketiser has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

START = b"\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One encoded picture.

    Attributes:
        content: Annex B byte stream, or one JPEG file; empty where it is damaged.
        timestamp: RTP timestamp, 0 to 2**32 - 1.
        arrival_ns: Monotonic time at which its first packet came.
        is_key: A decoder can begin with it.
        damage: Why it cannot be decoded, or "".
    """

    content: bytes
    timestamp: int
    arrival_ns: int
    is_key: bool
    damage: str = ""


class Codec(Protocol):
    """How one encoding is packed; the state of one access unit."""

    def begin(self) -> None:
        """Forget what was taken in: a new access unit begins."""

    def add(self, payload: bytes) -> None:
        """Take in the payload of the next packet.

        Raises:
            FormatError: It is not packed as its RFC says.
        """

    def is_complete(self) -> bool:
        """Whether nothing that was begun is unfinished."""

    def size_bytes(self) -> int:
        """Bytes taken in so far."""

    def content(self) -> bytes:
        """Return what was taken in, as a decoder wants it."""

    def is_key(self) -> bool:
        """Whether a decoder can begin with what was taken in."""

    def has_picture(self) -> bool:
        """Whether a part of a picture was taken in, not only what announces one."""
