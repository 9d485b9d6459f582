"""What H.264 and H.265 have in common: NAL units, whole or in fragments, that add up to one access unit."""

from __future__ import annotations

from edge.domain.errors import FormatError
from edge.sources.rtsp.access_unit import START


class NalUnits:
    """The NAL units of one access unit; how they are packed is for each encoding to say."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was taken in: a new access unit begins."""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_open = False
        self._is_key = False
        self._has_picture = False

    def is_complete(self) -> bool:
        """Whether nothing that was begun is unfinished."""
        return not self._is_open and bool(self._parts)

    def size_bytes(self) -> int:
        """Bytes taken in so far."""
        return self._size_bytes

    def content(self) -> bytes:
        """Return the access unit as an Annex B byte stream."""
        return b"".join(self._parts)

    def is_key(self) -> bool:
        """Whether a decoder can begin with what was taken in."""
        return self._is_key

    def has_picture(self) -> bool:
        """Whether a part of a picture was taken in, not only what announces one."""
        return self._has_picture

    def _whole(self, unit: bytes, *, is_key: bool, is_picture: bool) -> None:
        """Take in a NAL unit that came as one."""
        if self._is_open:
            raise FormatError("a NAL unit begins before the fragments of the one before have ended")
        self._note(is_key=is_key, is_picture=is_picture)
        self._put(START, unit)

    def _part(
        self, content: bytes, *, head: bytes, begins: bool, ends: bool, is_key: bool, is_picture: bool
    ) -> None:
        """Take in a fragment; `head` is that of its NAL unit."""
        if begins == self._is_open:
            raise FormatError("fragments of a NAL unit do not follow each other")
        if begins:
            self._note(is_key=is_key, is_picture=is_picture)
            self._put(START, head)
        self._put(content)
        self._is_open = not ends

    def _note(self, *, is_key: bool, is_picture: bool) -> None:
        self._is_key |= is_key
        self._has_picture |= is_picture

    def _put(self, *parts: bytes) -> None:
        self._parts.extend(parts)
        self._size_bytes += sum(map(len, parts))
