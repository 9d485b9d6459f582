"""The door's side of one association: data sets go to the spool and the intake, then they are answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge.domain.errors import FormatError, StorageFullError
from edge.domain.ports import Intake
from edge.kit.stage import Stage
from edge.sources import dicom_object as objects
from edge.sources.dicom_object import Command, ObjectRefusedError, SpoolFile
from edge.sources.dicom_reactor import DoorAssociation, Refusal, forward
from edge.sources.dicom_wire import Wire

BUFFER_BYTES = 1 << 18  # nothing is gained beyond; docs/decisions/the-door-waits-instead-of-polling.md
_PDU_BYTES = 1 << 17  # of our answers, for a peer that sets no limit
_COMMAND_BYTES_MAX = 1 << 16
_FOREIGN_BYTES_MAX = 1 << 20  # of a message that is no C-STORE, which pynetdicom gathers in memory


class Door(Protocol):
    """What a visit asks of its door."""

    name: str
    stage: Stage

    def admit(self, name: str, *, calling: str, called: str, address: str) -> Refusal | None:
        """Say why an association is rejected, or None."""

    def lacks_room(self) -> bool:
        """Return whether the disk reserve is reached."""

    def spool_path(self) -> Path:
        """Return a name for an object on its way in."""

    def guard(self, run: Callable[[], None]) -> None:
        """Run the body of a thread; a surprise in it ends its association only."""

    def left(self, name: str) -> None:
        """Forget an association that is over."""


class Visit:
    """One association; everything but `admit` runs in its network thread."""

    def __init__(self, door: Door, association: DoorAssociation, intake: Intake) -> None:
        self._door = door
        self._association = association
        self._intake = intake
        self._id = f"{association.name} {uuid.uuid4().hex[:12]}"
        self._buffer = memoryview(b"")  # of the file, or for what is read past; from the first C-STORE on
        self._encoded_command = b""
        self._command: Command | None = None  # of the C-STORE whose data set is arriving
        self._context_id = 0
        self._file: SpoolFile | None = None
        self._refusal: ObjectRefusedError | None = None  # the data set is read past, then answered
        self._foreign_bytes = 0

    def admit(self, *, calling: str, called: str) -> Refusal | None:
        """See `Door.admit`."""
        association = self._association
        return self._door.admit(association.name, calling=calling, called=called, address=association.address)

    def guard(self, run: Callable[[], None]) -> None:
        """See `Door.guard`."""
        self._door.guard(run)

    def leave(self) -> None:
        """Remove a half object; what arrived whole before stays."""
        self._drop_file()
        self._door.left(self._association.name)
        self._intake.association_closed(self._id)

    def take(self, wire: Wire, *, context_id: int, control: int, size_bytes: int) -> None:
        """Read one PDV: a piece of a command or of a data set."""
        is_command, is_last = bool(control & 1), bool(control & 2)
        if is_command:
            if self._command is not None:
                raise FormatError("a command within a data set")
            self._encoded_command += _read(wire, size_bytes, most=_COMMAND_BYTES_MAX)
            if is_last:
                encoded, self._encoded_command = self._encoded_command, b""
                self._begin(wire, context_id, encoded)
        elif self._command is None:
            self._foreign_bytes += size_bytes
            forward(
                self._association,
                context_id,
                control,
                _read(wire, size_bytes, most=_FOREIGN_BYTES_MAX - self._foreign_bytes + size_bytes),
            )
        else:
            self._take_data(wire, size_bytes)
            if is_last:
                self._conclude(wire)

    def _begin(self, wire: Wire, context_id: int, encoded: bytes) -> None:
        command = Command.decode(encoded)
        if command.field != objects.STORE_REQUEST:
            self._foreign_bytes = 0
            forward(self._association, context_id, 3, encoded)
            return
        context = self._association._accepted_cx.get(context_id)  # noqa: SLF001  # pynetdicom has no other way
        if context is None:
            raise FormatError(f"C-STORE in presentation context {context_id}, which was not accepted")
        self._command, self._context_id = command, context_id
        self._buffer = self._buffer or memoryview(bytearray(BUFFER_BYTES))
        try:
            if not (command.sop_class_uid and command.sop_uid and command.has_data_set):
                raise ObjectRefusedError(objects.CANNOT_UNDERSTAND, "command without SOP UIDs or data set")
            if self._door.lacks_room():
                raise ObjectRefusedError(objects.OUT_OF_RESOURCES, "the disk reserve is reached")
            self._file = SpoolFile(
                self._door.spool_path(),
                command=command,
                transfer_syntax_uid=str(context.transfer_syntax[0]),
                calling_ae=self._association.requestor.ae_title.strip(),
                buffer=self._buffer,
            )
        except ObjectRefusedError as refusal:
            self._refusal = refusal
        except StorageFullError as full:
            self._refuse_for_room(full)
        if not command.has_data_set:
            self._conclude(wire)

    def _take_data(self, wire: Wire, size_bytes: int) -> None:
        left = size_bytes
        while left > 0:
            space = self._file.space if self._file is not None else self._buffer
            count = wire.read_into(space[:left])
            if count == 0:
                raise ConnectionError("the connection ended within a data set")
            left -= count
            if self._file is not None:
                try:
                    self._file.take(count)
                except StorageFullError as full:
                    self._refuse_for_room(full)

    def _conclude(self, wire: Wire) -> None:
        """Keep the object, and only then answer."""
        command = self._command
        assert command is not None, "a data set follows a command"
        answer = (objects.CANNOT_UNDERSTAND, "it could not be kept, see the log of the receiver")

        def step() -> None:
            nonlocal answer
            try:
                self._keep()
            except ObjectRefusedError as refusal:
                answer = (refusal.status, refusal.comment)
                raise
            except StorageFullError:
                answer = (objects.OUT_OF_RESOURCES, "the disk reserve is reached")
                raise
            answer = (objects.SUCCESS, "")

        self._door.stage.work(f"object of {self._id}", step, set_aside=lambda _: self._drop_file())
        self._file = self._refusal = self._command = None
        peer_pdu_bytes = self._association.requestor.maximum_length or _PDU_BYTES
        wire.send(_in_pdus(command.response(*answer), self._context_id, peer_pdu_bytes))

    def _keep(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        assert self._file is not None, "what is not refused has a file"
        self._intake.keep(self._file.finish(source=self._door.name, association=self._id))

    def _refuse_for_room(self, full: StorageFullError) -> None:
        self._drop_file()
        self._refusal = ObjectRefusedError(objects.OUT_OF_RESOURCES, str(full))

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.discard()
            self._file = None


def _read(wire: Wire, size_bytes: int, *, most: int) -> bytes:
    if size_bytes > most:
        raise FormatError(f"{size_bytes} bytes of a message, wanted at most {most}")
    piece = bytes(wire.recv(size_bytes))
    if len(piece) < size_bytes:
        raise ConnectionError("the connection ended within a message")
    return piece


def _in_pdus(command: bytes, context_id: int, pdu_bytes: int) -> bytes:
    """Wrap a command set into as many P-DATA PDUs as the peer's limit asks for."""
    step = max(pdu_bytes - 6, 1)
    pieces = [command[at : at + step] for at in range(0, len(command), step)]
    pdus = b""
    for number, piece in enumerate(pieces, 1):
        pdv = bytes([context_id, 3 if number == len(pieces) else 1]) + piece
        pdus += b"\x04\x00" + (len(pdv) + 4).to_bytes(4, "big") + len(pdv).to_bytes(4, "big") + pdv
    return pdus
