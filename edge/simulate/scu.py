"""C-STORE as a user: a data set leaves byte for byte as it lies in its file.

pynetdicom negotiates the association and reads the answers; the data set goes from the file to the socket, so
that it is never decoded, memory stays flat at any size, and no queue in between has to be polled.
"""

from __future__ import annotations

import queue
import random
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from edge.domain.errors import DeliveryError, FormatError
from edge.formats.dicom import index

CONTEXTS_MAX = 128
ATTEMPTS_MAX = 2
PDV_BYTES_MAX = 131_072
ANSWER_S = 120.0
BUSY_S = 60.0
_NEGOTIABLE = re.compile(r"[!-~]{1,64}")
_TRANSIENT = 2
_COMMAND, _DATA, _LAST = 1, 0, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where to send, and as whom."""

    host: str
    port: int
    called_ae: str
    calling_ae: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One file to be sent.

    Attributes:
        path: The file.
        sop_class_uid: What it is.
        sop_uid: Which one it is.
        transfer_syntax_uid: How its data set is written.
        data_set_offset: Where the data set begins, in bytes from the start of the file.
        data_set_bytes: Length of the data set.
    """

    path: Path
    sop_class_uid: str
    sop_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    data_set_bytes: int

    @property
    def context(self) -> tuple[str, str]:
        """What has to be negotiated for it: SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a parcel.

    Attributes:
        status: The peer's answer, 0x0000 to 0xFFFF; None where there was none.
        reason: In words, "" where it was stored.
    """

    status: int | None
    reason: str = ""

    @property
    def is_stored(self) -> bool:
        """Success, or success with a warning (0xBxxx)."""
        return self.status is not None and (self.status == 0 or self.status >> 12 == 0xB)


def parcel_of(file: Path) -> Parcel:
    """Read what has to be known of a file before it is sent.

    Raises:
        FormatError: It is no object that can be stored.
    """
    if not file.is_file():
        raise FormatError("neither a file nor a folder")
    about = index(file)
    if not about.sop_uid or not about.sop_class_uid:
        raise FormatError("names no SOP class and instance; wanted an object that can be stored")
    for uid in (about.sop_class_uid, about.transfer_syntax_uid):
        if not _NEGOTIABLE.fullmatch(uid):
            raise FormatError(
                f"names {uid[:70]!r}, which cannot be negotiated; wanted at most 64 digits and dots"
            )
    return Parcel(
        path=file,
        sop_class_uid=about.sop_class_uid,
        sop_uid=about.sop_uid,
        transfer_syntax_uid=about.transfer_syntax_uid,
        data_set_offset=about.data_set_offset,
        data_set_bytes=file.stat().st_size - about.data_set_offset,
    )


def carry(
    parcels: Sequence[Parcel],
    peer: Peer,
    *,
    report: Callable[[Parcel, Outcome], None],
    stopping: threading.Event,
) -> None:
    """Send parcels one after the other, over one association or, where it breaks, over the next.

    Args:
        parcels: With at most 128 different contexts.
        peer: Where to.
        report: Called once for each parcel.
        stopping: Ends it after the parcel in hand; the rest is not reported.
    """
    waiting = deque((parcel, 1) for parcel in parcels)
    while waiting and not stopping.is_set():
        contexts = sorted({parcel.context for parcel, _ in waiting})
        try:
            with _association(peer, contexts, stopping) as association:
                _carry_over(association, waiting, report, stopping)
        except DeliveryError as trouble:
            for parcel, _ in waiting:
                report(parcel, Outcome(None, str(trouble)))
            return


def _carry_over(
    association: Association,
    waiting: deque[tuple[Parcel, int]],
    report: Callable[[Parcel, Outcome], None],
    stopping: threading.Event,
) -> None:
    """Send what waits until the association breaks; what was in hand then goes to the end of the queue."""
    accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])): c for c in association.accepted_contexts}
    number = 0
    while waiting and not stopping.is_set():
        parcel, attempt = waiting.popleft()
        context = accepted.get(parcel.context)
        if context is None:
            report(
                parcel,
                Outcome(None, f"the peer takes no {parcel.sop_class_uid} in {parcel.transfer_syntax_uid}"),
            )
            continue
        number = number % 65_535 + 1
        try:
            outcome = _store(association, context, parcel, number, stopping)
        except OSError as trouble:
            report(parcel, Outcome(None, f"cannot be read: {trouble.strerror}"))
            association.abort()  # the peer waits for the rest of a data set that will not come
            return
        if outcome is not None:
            report(parcel, outcome)
            continue
        if stopping.is_set():
            return
        if attempt < ATTEMPTS_MAX:
            waiting.append((parcel, attempt + 1))
        else:
            report(parcel, Outcome(None, f"the association broke {attempt} times while it was sent"))
        return


@contextmanager
def _association(
    peer: Peer, contexts: Sequence[tuple[str, str]], stopping: threading.Event
) -> Iterator[Association]:
    """Open an association, waiting while the peer says that it is busy.

    Raises:
        DeliveryError: There is none to be had.
    """
    entity = AE(ae_title=peer.calling_ae)
    entity.acse_timeout = entity.dimse_timeout = ANSWER_S
    entity.connection_timeout = 10.0
    entity.network_timeout = None  # a large data set keeps the line silent in our direction
    wanted = [build_context(sop_class, syntax) for sop_class, syntax in contexts]
    patience_ends = time.monotonic() + BUSY_S
    while True:
        try:
            association = entity.associate(peer.host, peer.port, contexts=wanted, ae_title=peer.called_ae)
        except OSError as trouble:  # of the name; a connection that fails is no exception to pynetdicom
            raise DeliveryError(f"{peer}: {trouble.strerror or trouble}") from trouble
        if association.is_established:
            break
        answer = association.acceptor.primitive
        is_busy = association.is_rejected and answer is not None and answer.result == _TRANSIENT
        if not is_busy or time.monotonic() > patience_ends or stopping.is_set():
            raise DeliveryError(_no_association(association, peer))
        stopping.wait(random.uniform(0.05, 1.0))  # noqa: S311  # spreads attempts, guards nothing
    with _hold(association):
        yield association
    if association.is_established:
        association.release()


@contextmanager
def _hold(association: Association) -> Iterator[None]:
    """Keep pynetdicom's own loop from taking the answers that we wait for, as its `send_c_store` does."""
    checkpoint = association._reactor_checkpoint  # noqa: SLF001  # there is no public way
    checkpoint.clear()
    while association.is_alive() and not association._is_paused:  # noqa: SLF001
        time.sleep(0.0005)
    association.dul._run_loop_delay = 0.0002  # noqa: SLF001  # seconds; by default an answer waits 1 ms
    line = association.dul.socket
    if line is not None and line.socket is not None:
        line.socket.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # a command is small and must not wait
    try:
        yield
    finally:
        checkpoint.set()


def _no_association(association: Association, peer: Peer) -> str:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"{peer} rejects the association ({answer.result_str}): {answer.reason_str}"
    if association.rejected_contexts:
        first = association.rejected_contexts[0]
        more = len(association.rejected_contexts) - 1
        others = f" and {more} more kinds of object" if more else ""
        return f"the peer takes no {first.abstract_syntax} in {first.transfer_syntax[0]}{others}"
    if association.is_aborted and _can_connect(peer) is None:
        return f"{peer} broke off the association while it was negotiated; is it a DICOM peer?"
    return f"{peer}: {_can_connect(peer) or 'no answer to the association request'}"


def _can_connect(peer: Peer) -> str | None:
    """Return why there is no connection to be had, or None where there is one."""
    try:
        socket.create_connection((peer.host, peer.port), timeout=5.0).close()
    except OSError as trouble:
        return trouble.strerror or str(trouble)
    return None


def _store(
    association: Association,
    context: PresentationContext,
    parcel: Parcel,
    number: int,
    stopping: threading.Event,
) -> Outcome | None:
    """Send one data set and return the peer's answer, or None where the association broke or we stop.

    Raises:
        OSError: The file cannot be read.
    """
    context_id = int(context.context_id or 0)
    pdv_bytes = min(association.acceptor.maximum_length or PDV_BYTES_MAX, PDV_BYTES_MAX) - 6
    with parcel.path.open("rb") as file:
        file.seek(parcel.data_set_offset)
        for fragment, flag in _fragments(file, parcel, pdv_bytes, number):
            line = association.dul.socket
            if line is None or not association.dul.is_alive():
                return None
            line.send(_pdu(context_id, flag, fragment))
    answer = _answer(association, stopping)
    if answer is None:
        association.abort()
        return None
    if answer.Status is None:
        return Outcome(None, "the peer's answer has no status")
    comment = str(getattr(answer, "ErrorComment", None) or "").strip()
    return Outcome(answer.Status, comment if answer.Status else "")


def _answer(association: Association, stopping: threading.Event) -> Any:
    """Return the peer's response, or None where none came before the association or our patience ended."""
    patience_ends = time.monotonic() + ANSWER_S
    while time.monotonic() < patience_ends and not stopping.is_set():
        with suppress(queue.Empty):
            return association.dimse.msg_queue.get(timeout=0.2)[1]
    return None


def _fragments(
    file: BinaryIO, parcel: Parcel, fragment_bytes: int, number: int
) -> Iterator[tuple[bytes, int]]:
    """Cut a request into fragments with their flags: the command, then the data set."""
    yield _command(parcel, number), _COMMAND | _LAST
    left_bytes = parcel.data_set_bytes
    while left_bytes > fragment_bytes:
        fragment = file.read(fragment_bytes)
        left_bytes -= len(fragment)
        if not fragment:
            break
        yield fragment, _DATA
    yield file.read(left_bytes), _DATA | _LAST


def _pdu(context_id: int, flag: int, fragment: bytes) -> bytes:
    """A P-DATA-TF PDU that holds one fragment (PS3.8, 9.3.5)."""
    return struct.pack(">BxIIBB", 4, len(fragment) + 6, len(fragment) + 2, context_id, flag) + fragment


def _command(parcel: Parcel, number: int) -> bytes:
    """A C-STORE-RQ command set, implicit little endian (PS3.7, 9.3.1.1)."""
    body = b"".join(
        struct.pack("<HHI", 0, element, len(value)) + value
        for element, value in (
            (0x0002, _even(parcel.sop_class_uid)),
            (0x0100, struct.pack("<H", 0x0001)),  # C-STORE-RQ
            (0x0110, struct.pack("<H", number)),
            (0x0700, struct.pack("<H", 0x0000)),  # medium priority
            (0x0800, struct.pack("<H", 0x0001)),  # a data set follows
            (0x1000, _even(parcel.sop_uid)),
        )
    )
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _even(uid: str) -> bytes:
    raw = uid.encode("latin-1")
    return raw + b"\0" * (len(raw) % 2)
