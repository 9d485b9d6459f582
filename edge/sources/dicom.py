"""The DICOM door: C-ECHO and C-STORE for every storage class and transfer syntax, kept verbatim.

A sender reads Success only after `Intake.keep` has returned, which is after its object is on the medium and
in the journal. Nothing is decoded here.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, _config
from pynetdicom.presentation import MediaStoragePresentationContexts, NonPatientObjectPresentationContexts

from edge.domain.errors import ConfigurationError
from edge.domain.ports import Clock, Intake
from edge.kit.files import free_bytes
from edge.kit.inherited import listen
from edge.kit.log import Log
from edge.kit.stage import Stage
from edge.sources.dicom_echo import echo, greet
from edge.sources.dicom_entrance import Entrance
from edge.sources.dicom_reactor import DoorAssociation, Refusal
from edge.sources.dicom_visit import Visit

_CALLING_NOT_RECOGNISED: Refusal = (0x01, 0x01, 0x03)
_CALLED_NOT_RECOGNISED: Refusal = (0x01, 0x01, 0x07)
_LOCAL_LIMIT_EXCEEDED: Refusal = (0x02, 0x03, 0x02)

_VERIFICATION = "1.2.840.10008.1.1"
_SPARE_CONNECTIONS = 64  # beside admitted ones: those still asking, and those told that there are too many
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104  # where we listen
_IDLE_S = 300.0  # between two objects of an association
_STALL_S = 60.0  # within an object
_HANDSHAKE_S = 10.0
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may send; what is left out matches everybody.

    Attributes:
        ae_title: Calling AE title, or None.
        network: `10.1.0.0/16`, `10.1.2.3`, or None.
    """

    ae_title: str | None = None
    network: str | None = None

    def matches(self, *, ae_title: str, address: str) -> bool:
        """Return whether this entry lets the caller in."""
        if self.ae_title is not None and self.ae_title.strip() != ae_title.strip():
            return False
        if self.network is None:
            return True
        seen = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(seen, "ipv4_mapped", None)
        return (mapped or seen) in ipaddress.ip_network(self.network, strict=False)


@dataclass(frozen=True, slots=True)
class DoorTls:
    """Files of the door's TLS; with `ca_file`, a client without a certificate is not let in."""

    certificate_file: Path
    key_file: Path
    ca_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            ConfigurationError: One of them cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate_file, self.key_file)
            if self.ca_file is not None:
                context.load_verify_locations(self.ca_file)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as trouble:  # ssl.SSLError is one
            raise ConfigurationError(f"TLS files beside {self.certificate_file}: {trouble}") from trouble
        return context


class DicomDoor:
    """Listens for associations; each has a thread for the network and one for what is no C-STORE."""

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        ae_title: str,
        allowed: Sequence[Caller],
        associations_max: int,
        spool: Path,
        reserve_bytes: int,
        clock: Clock,
        stage: Stage,
        tls: DoorTls | None = None,
        pdu_bytes: int = 131072,
        only_own_title: bool = False,
        listen: Callable[[str, int], socket.socket] = listen,
    ) -> None:
        """Store what the door needs.

        Args:
            name: Of the source in the configuration.
            host: Address to listen on.
            port: TCP port; 0 lets the system choose, see the attribute `port`.
            ae_title: Ours.
            allowed: Who may send; nobody where it is empty.
            associations_max: Open at once; further ones are told to try again later.
            spool: Folder for objects on their way in, on the file system of the intake; the door uses a
                folder of its name in it.
            reserve_bytes: Free space below which nothing is taken.
            clock: Time.
            stage: The books: an object is out when it is kept, set aside when it is refused with a status.
            tls: None for plain TCP.
            pdu_bytes: Largest PDU we announce.
            only_own_title: Whether an association that calls another AE title is rejected.
            listen: Returns a socket that listens at an address, for us to close.
        """
        self.name = name
        self.port = port
        self.stage = stage
        self._address = (host, port)
        self._allowed = tuple(allowed)
        self._associations_max = associations_max
        self._spool = spool / name
        self._reserve_bytes = reserve_bytes
        self._tls = tls
        self._only_own_title = only_own_title
        self._listen = listen
        self._clock = clock
        self._log = Log(name)
        self._threads = Stage(f"{name} threads", clock)
        self._open: dict[str, DoorAssociation] = {}
        self._callers: set[str] = set()  # from the moment they are accepted
        self._admitted: set[str] = set()
        self._open_lock = threading.Condition()
        self._entrance: Entrance | None = None
        self._own_titles: set[str] = set()  # of ourselves, while we try whether we answer
        self._entity = AE(ae_title)
        self._entity.maximum_pdu_size = pdu_bytes
        self._entity.maximum_associations = 1 << 20  # it counts connections; we count those let in
        self._entity.network_timeout = _IDLE_S
        self._entity.add_supported_context(_VERIFICATION)
        for context in (*NonPatientObjectPresentationContexts, *MediaStoragePresentationContexts):
            self._entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)

    @contextmanager
    def serve(self, intake: Intake) -> Iterator[None]:
        """Listen until the `with` ends; then open associations are closed, and what came in whole is kept.

        Raises:
            ConfigurationError: The address cannot be listened on, or the TLS files cannot be used.
        """
        _configure_pynetdicom()
        self._spool.mkdir(parents=True, exist_ok=True)
        for leftover in self._spool.glob("*.part"):
            leftover.unlink()  # of a life before; nobody was told that it was taken
        context = self._tls.context() if self._tls is not None else None
        with self._listener() as listener:
            self.port = listener.getsockname()[1]
            entrance = Entrance(
                listener,
                name=self.name,
                let_in=partial(self._let_in, context, intake),
                has_room=lambda: self.callers < self._associations_max,
                clock=self._clock,
            )
            with entrance as self._entrance:
                self._log.info(
                    "door open", host=self._address[0], port=self.port, ae_title=self._entity.ae_title
                )
                try:
                    yield
                finally:
                    entrance.shut()
                    self._close_associations()

    def let_nobody_in(self) -> None:
        """Accept no further caller of an open door; those who are in go on, the others wait at its socket."""
        assert self._entrance is not None, "the door is open"
        self._entrance.shut()

    @property
    def callers(self) -> int:
        """How many were accepted and have not left: also those who have not yet said what they want."""
        with self._open_lock:
            return len(self._callers)

    def _listener(self) -> socket.socket:
        host, port = self._address
        try:
            return self._listen(host, port)
        except OSError as trouble:
            raise ConfigurationError(f"{self.name}: cannot listen on {host}:{port}: {trouble}") from trouble

    def _let_in(
        self,
        context: ssl.SSLContext | None,
        intake: Intake,
        connection: socket.socket,
        address: tuple[str, int],
        name: str,
    ) -> None:
        with self._open_lock:
            self._callers.add(name)
        begin = threading.Thread(
            target=self._begin, args=(connection, address, context, intake, name), name=name, daemon=True
        )
        begin.start()

    def _begin(
        self,
        connection: socket.socket,
        address: tuple[str, int],
        context: ssl.SSLContext | None,
        intake: Intake,
        name: str,
    ) -> None:
        """Set up one connection and start its threads."""
        try:
            if context is not None:
                connection.settimeout(_HANDSHAKE_S)
                connection = context.wrap_socket(connection, server_side=True)
            connection.settimeout(_STALL_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as trouble:  # ssl.SSLError is one
            self._log.warning("connection refused", address=address[0], because=trouble)
            connection.close()
            self.left(name)
            return
        association = DoorAssociation(self._entity, connection, address=address, name=name)
        with self._open_lock:
            is_crowded = len(self._open) >= self._associations_max + _SPARE_CONNECTIONS
            if not is_crowded:
                self._open[name] = association
        if is_crowded:
            self._log.warning("connection refused", address=address[0], because="too many are open")
            connection.close()
            self.left(name)
            return
        association.begin(Visit(self, association, intake))

    def admit(self, name: str, *, calling: str, called: str, address: str) -> Refusal | None:
        """Decide about an association: who calls whom, how many are open, and how much room is left."""
        if calling.strip() in self._own_titles:
            return None
        ours = self._entity.ae_title
        refusal: Refusal | None = None
        if not any(caller.matches(ae_title=calling, address=address) for caller in self._allowed):
            refusal, because = _CALLING_NOT_RECOGNISED, "the caller is not on the list"
        elif self._only_own_title and called.strip() != ours.strip():
            refusal, because = _CALLED_NOT_RECOGNISED, f"it called {called.strip()}, we are {ours.strip()}"
        elif self.lacks_room():
            refusal, because = _LOCAL_LIMIT_EXCEEDED, "the disk reserve is reached"
        elif not self._enter(name):
            refusal, because = _LOCAL_LIMIT_EXCEEDED, f"{self._associations_max} are open already"
        if refusal is not None:
            self._log.warning("association rejected", calling=calling, address=address, because=because)
        return refusal

    @property
    def associations(self) -> int:
        """How many are open."""
        with self._open_lock:
            return len(self._admitted)

    def answer_ourselves(self, *, timeout_s: float) -> None:
        """Ask the open door as a scanner would, by C-ECHO over loopback.

        We come under a title of this moment that nobody can guess, and so are let in whoever else is, and
        beside as many as may be open. A door that asks for certificates of its callers is asked for its own,
        and no more: we have none it would believe.

        Raises:
            SourceLostError: Nobody answers, or not as a door does.
        """
        host = _LOOPBACKS.get(self._address[0], self._address[0])
        title = f"SELF{secrets.token_hex(6).upper()}"
        self._own_titles.add(title)
        try:
            if self._tls is not None and self._tls.ca_file is not None:
                greet(host, self.port, timeout_s=timeout_s)
            else:
                echo(
                    host,
                    self.port,
                    calling=title,
                    called=self._entity.ae_title,
                    is_tls=self._tls is not None,
                    timeout_s=timeout_s,
                )
        finally:
            self._own_titles.discard(title)

    def lacks_room(self) -> bool:
        """Return whether the disk reserve is reached."""
        return free_bytes(self._spool) < self._reserve_bytes

    def spool_path(self) -> Path:
        """Return a name for an object on its way in."""
        return self._spool / f"{uuid.uuid4().hex}.part"

    def guard(self, run: Callable[[], None]) -> None:
        """Run the body of a thread; a surprise in it ends its association only."""
        self._threads.work(threading.current_thread().name, run, set_aside=lambda _: None)

    def left(self, name: str) -> None:
        """Forget an association that is over."""
        with self._open_lock:
            self._open.pop(name, None)
            self._admitted.discard(name)
            self._callers.discard(name)
            self._open_lock.notify_all()

    def _enter(self, name: str) -> bool:
        with self._open_lock:
            if len(self._admitted) >= self._associations_max:
                return False
            self._admitted.add(name)
            return True

    def _close_associations(self) -> None:
        with self._open_lock:
            for association in self._open.values():
                association.hang_up()
            self._open_lock.wait_for(lambda: not self._open, _STOP_S)


def _configure_pynetdicom() -> None:
    """Set what pynetdicom only knows for the whole process."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True  # every storage class and every transfer syntax
    _config.LOG_HANDLER_LEVEL = "none"  # its standard handlers format every PDU, whether or not it is logged
