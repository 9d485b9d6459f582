"""One object on its way in: its command, its file in the spool, and what its header says."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from edge.domain.errors import EdgeError, FormatError, StorageFullError
from edge.domain.study import Arrival
from edge.formats.dicom import DicomIndex, index

STORE_REQUEST = 0x0001
NO_DATA_SET = 0x0101
_SOP_CLASS, _FIELD, _MESSAGE_ID, _DATA_SET_TYPE, _SOP_UID = 0x0002, 0x0100, 0x0110, 0x0800, 0x1000
_IMPLEMENTATION_UID = b"2.25.288136411921459403486714920637551290811"
_IMPLEMENTATION_NAME = b"EDGE"

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC001


class ObjectRefusedError(EdgeError):
    """An object that is answered with a status other than Success; the sender keeps it."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(f"status 0x{status:04X}: {comment}")
        self.status = status
        self.comment = comment


@dataclass(frozen=True, slots=True)
class Command:
    """The command set of one DIMSE message, as far as a door needs it.

    Attributes:
        field: What is asked; 0x0001 is C-STORE.
        message_id: Named again in the answer.
        has_data_set: Whether a data set follows.
        sop_class_uid: Affected SOP Class UID, or "".
        sop_uid: Affected SOP Instance UID, or "".
    """

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_uid: str

    @classmethod
    def decode(cls, encoded: bytes) -> Command:
        """Read a command set, which is always implicit little endian.

        Raises:
            FormatError: Its elements do not fit into it, or a number is missing.
        """
        values: dict[int, bytes] = {}
        at = 0
        while at + 8 <= len(encoded):
            group, element, length = struct.unpack_from("<HHI", encoded, at)
            at += 8 + length
            if group != 0 or at > len(encoded):
                raise FormatError(f"command set: element ({group:04X},{element:04X}) of {length} bytes")
            values[element] = encoded[at - length : at]
        try:
            field, message_id, data_set_type = (
                struct.unpack("<H", values[element]) for element in (_FIELD, _MESSAGE_ID, _DATA_SET_TYPE)
            )
        except (KeyError, struct.error):
            raise FormatError("command set without a field, a message id or a data set type") from None
        return cls(
            field=field[0],
            message_id=message_id[0],
            has_data_set=data_set_type[0] != NO_DATA_SET,
            sop_class_uid=_text(values.get(_SOP_CLASS, b"")),
            sop_uid=_text(values.get(_SOP_UID, b"")),
        )

    def response(self, status: int, comment: str) -> bytes:
        """Encode the command set of the C-STORE response."""
        body = _element(_SOP_CLASS, _padded(self.sop_class_uid))
        body += _element(_FIELD, struct.pack("<H", 0x8001))
        body += _element(0x0120, struct.pack("<H", self.message_id))
        body += _element(_DATA_SET_TYPE, struct.pack("<H", NO_DATA_SET))
        body += _element(0x0900, struct.pack("<H", status))
        if comment:
            body += _element(0x0902, _padded(comment[:64], b" "))
        body += _element(_SOP_UID, _padded(self.sop_uid))
        return _element(0x0000, struct.pack("<I", len(body))) + body


class SpoolFile:
    """A Part 10 file that grows while its data set arrives; memory stays flat at any size.

    The data set is gathered in a buffer, and hashed and written when that is full, so that it costs no more
    calls where the sender cuts it into small PDUs.
    """

    def __init__(
        self,
        path: Path,
        *,
        command: Command,
        transfer_syntax_uid: str,
        calling_ae: str,
        buffer: memoryview,
    ) -> None:
        """Create the file.

        Args:
            path: Where; there is nothing yet.
            command: Of the C-STORE.
            transfer_syntax_uid: Of the data set.
            calling_ae: Who sends it.
            buffer: Lent until the file is finished or discarded; longer than a command set.

        Raises:
            StorageFullError: It cannot be created.
        """
        self.path = path
        self.command = command
        self.transfer_syntax_uid = transfer_syntax_uid
        self.calling_ae = calling_ae
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        head = part10_head(command, transfer_syntax_uid=transfer_syntax_uid, calling_ae=calling_ae)
        self._buffer = buffer
        self._buffer[: len(head)] = head
        self._data_set_begin = self._filled = len(head)  # in the buffer
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        except OSError as trouble:
            raise StorageFullError(f"{path.parent}: {trouble.strerror}; nothing was taken") from trouble

    @property
    def space(self) -> memoryview:
        """Where the next piece of the data set is to be put; never empty."""
        return self._buffer[self._filled :]

    def take(self, count: int) -> None:
        """Take the next `count` bytes of the data set, which are in `space`.

        Raises:
            StorageFullError: They cannot be written.
        """
        self._filled += count
        if self._filled == len(self._buffer):
            self._write()

    def finish(self, *, source: str, association: str) -> Arrival:
        """Close the file and say what arrived.

        Raises:
            ObjectRefusedError: The data set is of another object than the command says.
            StorageFullError: The rest of it cannot be written.
        """
        self._write()
        os.close(self._descriptor)
        self._descriptor = -1
        header = self._header()
        if header.sop_uid and header.sop_uid != self.command.sop_uid:
            raise ObjectRefusedError(DOES_NOT_MATCH, "SOP Instance UID of command and data set differ")
        return Arrival(
            sop_uid=self.command.sop_uid,
            sop_class_uid=self.command.sop_class_uid,
            transfer_syntax_uid=self.transfer_syntax_uid,
            series_uid=header.series_uid,
            study_uid=header.study_uid,
            modality=header.modality,
            format="dicom",
            received_path=self.path,
            size_bytes=self._size_bytes,
            sha256=self._digest.hexdigest(),
            announced_instances=header.announced_instances,
            source=source,
            calling_ae=self.calling_ae,
            association=association,
        )

    def discard(self) -> None:
        """Remove what there is of the file, if it is still in the spool."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        """Hash and write what the buffer holds."""
        rest = self._buffer[: self._filled]
        self._digest.update(rest[self._data_set_begin :])
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                self._size_bytes += written
                rest = rest[written:]
        except OSError as trouble:
            raise StorageFullError(f"{self.path.parent}: {trouble.strerror}; nothing was taken") from trouble
        self._data_set_begin = self._filled = 0

    def _header(self) -> DicomIndex:
        try:
            return index(self.path)
        except FormatError:  # kept all the same: a broken object must end as NOT_ASSESSED, not as silence
            return DicomIndex(
                sop_uid="",
                sop_class_uid="",
                transfer_syntax_uid="",
                series_uid="",
                study_uid="",
                modality="",
                announced_instances=None,
                data_set_offset=0,
            )


def part10_head(command: Command, *, transfer_syntax_uid: str, calling_ae: str) -> bytes:
    """Return what stands before the data set: preamble and meta information, explicit little endian."""
    elements = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
    for element, vr, value in (
        (0x0002, b"UI", _padded(command.sop_class_uid)),
        (0x0003, b"UI", _padded(command.sop_uid)),
        (0x0010, b"UI", _padded(transfer_syntax_uid)),
        (0x0012, b"UI", _even(_IMPLEMENTATION_UID, b"\0")),
        (0x0013, b"SH", _even(_IMPLEMENTATION_NAME, b" ")),
        (0x0016, b"AE", _padded(calling_ae, b" ")),
    ):
        elements += struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value
    return bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(elements)) + elements


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def _padded(text: str, pad: bytes = b"\0") -> bytes:
    return _even(text.encode("latin-1", "replace"), pad)


def _even(value: bytes, pad: bytes) -> bytes:
    return value + pad[: len(value) % 2]
