"""pynetdicom's association with two changes: it waits instead of polling, and objects stream to disk.

Negotiation, C-ECHO, release, abort and the state machine are pynetdicom's. Its reactors poll every
millisecond and hand each message from one thread to another; that was half of the time of a C-STORE
(measured with py-spy, 526 KB slices). Here the network thread sleeps in `poll` until there is something to
read or to send, and stores objects itself: PDV by PDV from the socket to the spool, hashed on the way, in
memory that does not grow with the object.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol

from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AddressInformation

from edge.domain.errors import FormatError
from edge.kit.turns import wake_promptly
from edge.sources.dicom_wire import Wire

_LOOK_UP_S = 0.25  # how often a sleeping thread looks at its timers
_MESSAGES_MAX = 64
_PDU_BYTES_MAX = 1 << 20  # of a PDU that has to be read whole; 128 contexts take some 20 KB
_P_DATA = b"\x04"
_ESTABLISHED, _CLOSING = "Sta6", "Sta13"  # names of PS3.8
_CONNECTION_CLOSED, _INVALID_PDU = "Evt17", "Evt19"

Refusal = tuple[int, int, int]  # result, source, diagnostic of an A-ASSOCIATE-RJ


class Visitor(Protocol):
    """What a door does for one association."""

    def admit(self, *, calling: str, called: str) -> Refusal | None:
        """Say why an association between these AE titles is rejected, or None."""

    def take(self, wire: Wire, *, context_id: int, control: int, size_bytes: int) -> None:
        """Read one PDV of `size_bytes` off the wire.

        Raises:
            FormatError: It is not what belongs here; the association is aborted.
            OSError: The connection broke.
        """

    def leave(self) -> None:
        """The association is over, in whatever way; called once, from the network thread."""

    def guard(self, run: Callable[[], None]) -> None:
        """Run the body of a thread so that no surprise goes further than its association."""


class Reactor(DULServiceProvider):
    """The network thread of one association."""

    def __init__(self, association: DoorAssociation, visitor: Visitor) -> None:
        super().__init__(association)
        self._association = association
        self.name = f"{association.name} network"
        self.daemon = True
        self._visitor = visitor
        self._run_loop_delay = 0.0  # the waiting is done in `_is_transport_event`
        self._bell_lock = threading.Lock()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.to_user_queue = _Ringing(association.bell)

    def run(self) -> None:
        """Run the reactor; whatever ends it, the visitor leaves."""
        wake_promptly()  # a C-STORE waits for the network and the disk many times
        try:
            self._visitor.guard(_without_assertions(super().run))
        finally:
            with self._bell_lock:
                os.close(self._bell)
                self._bell = -1
            self._association.connection.close()
            self._visitor.leave()
            self._association.bell.set()

    def send_pdu(self, primitive: Any) -> None:
        """Hand a primitive over to be sent."""
        super().send_pdu(primitive)
        self._ring()

    def kill_dul(self) -> None:
        """Have the thread end."""
        super().kill_dul()
        self._ring()

    def stop_dul(self) -> bool:
        """End the thread if the association is idle; return whether it is."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        self.join()
        return True

    def _ring(self) -> None:
        with self._bell_lock:
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def _is_transport_event(self) -> bool:
        """Read what the peer sent; where there is nothing to do at all, sleep until there is."""
        if self.state_machine.current_state == _CLOSING:
            return super()._is_transport_event()
        if not self.event_queue.empty():
            return False
        if not self._association.wire.wait(_LOOK_UP_S, self._bell):
            _drain(self._bell)
            return False
        self._read_pdu_data()
        return True

    def _read_pdu_data(self) -> None:
        """Stream P-DATA to the visitor as long as it comes, and leave every other PDU to pynetdicom."""
        wire = self._association.wire
        try:
            head = wire.recv(6)
            while head[:1] == _P_DATA and self.state_machine.current_state == _ESTABLISHED:
                self._stream(wire, int.from_bytes(head[2:6], "big"))
                self._idle_timer.restart()
                if self._has_work() or not wire.wait(_LOOK_UP_S, self._bell):
                    return
                head = wire.recv(6)
            if int.from_bytes(head[2:6], "big") > _PDU_BYTES_MAX:
                raise FormatError(f"PDU of more than {_PDU_BYTES_MAX} bytes that is no P-DATA")
            wire.give_back(bytes(head))
            super()._read_pdu_data()
        except OSError:
            self.event_queue.put(_CONNECTION_CLOSED)
        except FormatError:
            self.event_queue.put(_INVALID_PDU)

    def _has_work(self) -> bool:
        return self._kill_thread or not (self.event_queue.empty() and self.to_provider_queue.empty())

    def _stream(self, wire: Wire, pdu_bytes: int) -> None:
        left = pdu_bytes
        while left > 0:
            head = wire.recv(6)
            if len(head) < 6:
                raise ConnectionError("the connection ended within a PDU")
            size_bytes = int.from_bytes(head[:4], "big") - 2
            left -= size_bytes + 6
            if size_bytes < 0 or left < 0:
                raise FormatError(f"PDV of {size_bytes} bytes in a PDU of {pdu_bytes}")
            self._visitor.take(wire, context_id=head[4], control=head[5], size_bytes=size_bytes)


class DoorAssociation(Association):
    """An association with us as the acceptor."""

    def __init__(
        self, entity: ApplicationEntity, connection: socket.socket, *, address: tuple[str, int], name: str
    ) -> None:
        self.bell = threading.Event()
        super().__init__(entity, "acceptor")
        self.name = name
        self.connection = connection
        self.address = address[0]
        self.acceptor.maximum_length = entity.maximum_pdu_size
        self.acceptor.ae_title = entity.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(connection.getsockname())
        self.acceptor.implementation_class_uid = entity.implementation_class_uid
        self.acceptor.implementation_version_name = entity.implementation_version_name
        self.acceptor.supported_contexts = entity.supported_contexts
        self.requestor.address_info = AddressInformation.from_tuple(address)

    def begin(self, visitor: Visitor) -> None:
        """Put our parts in place and start.

        Args:
            visitor: Does the door's side.
        """
        self.visitor = visitor
        self.acse = _Admission(self)
        self.dimse = _Mailbox(self)
        self.dul = Reactor(self, visitor)
        self.acse_timeout, self.network_timeout = self.ae.acse_timeout, self.ae.network_timeout
        self.wire = Wire(self, self.connection)
        self.set_socket(self.wire)
        self.start()

    def run(self) -> None:
        """Negotiate and serve what is no C-STORE, until the association ends."""
        try:
            self.visitor.guard(_without_assertions(super().run))
        finally:
            self.hang_up()
            self.dul.kill_dul()

    def hang_up(self) -> None:
        """End reading from the peer; the network thread notices and ends the association."""
        try:
            self.connection.shutdown(socket.SHUT_RD)
        except OSError:
            return  # it is closed already


class _Admission(ACSE):
    """Asks the door before it negotiates."""

    def __init__(self, association: DoorAssociation) -> None:
        super().__init__(association)
        self._visitor = association.visitor

    def _negotiate_as_acceptor(self) -> None:
        asked = self.requestor.primitive
        assert asked is not None, "negotiation begins with a request"
        self.requestor.ae_title = asked.calling_ae_title
        refusal = self._visitor.admit(calling=asked.calling_ae_title, called=asked.called_ae_title)
        if refusal is None:
            super()._negotiate_as_acceptor()
            return
        self.send_reject(*refusal)
        self.assoc.kill()


class _Mailbox(DIMSEServiceProvider):
    """Messages for the association's own thread, which sleeps until there is one."""

    def __init__(self, association: DoorAssociation) -> None:
        super().__init__(association)
        self._bell = association.bell
        self.msg_queue = _Ringing(association.bell)

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message, after a short sleep where there is none."""
        if self.msg_queue.empty():
            self._bell.wait(_LOOK_UP_S)
            self._bell.clear()
        return super().get_msg(block)


class _Ringing(queue.Queue[Any]):
    """A queue that wakes its reader; a peer that floods it is aborted."""

    def __init__(self, bell: threading.Event) -> None:
        super().__init__(maxsize=_MESSAGES_MAX)
        self._bell = bell

    def put(self, item: Any, block: bool = True, timeout: float | None = 30.0) -> None:
        """Add an item and ring."""
        super().put(item, block, timeout)
        self._bell.set()


def forward(association: Association, context_id: int, control: int, piece: bytes) -> None:
    """Give a PDV that is none of ours to pynetdicom."""
    primitive = P_DATA()
    primitive.presentation_data_value_list.append((context_id, bytes([control]) + piece))
    association.dimse.receive_primitive(primitive)


def _without_assertions(run: Callable[[], None]) -> Callable[[], None]:
    """Return `run` with pynetdicom's assertions, which speak of what a peer sent, as errors of that peer."""

    def guarded() -> None:
        try:
            run()
        except AssertionError as odd:
            raise FormatError(f"the peer sent what pynetdicom did not expect: {odd}") from odd

    return guarded


def _drain(bell: int) -> None:
    try:
        os.eventfd_read(bell)
    except BlockingIOError:
        return  # nobody rang
