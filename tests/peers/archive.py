"""A DICOM archive that is not ours: pynetdicom as a storage SCP that remembers the bytes it was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

from pynetdicom import AE, _config, evt

from tests.ports import free_port


class Archive:
    """Listens while the `with` lasts.

    Attributes:
        data_sets: What came, by SOP Instance UID.
        proposed: Number of presentation contexts of each association.
    """

    def __init__(
        self,
        contexts: Iterable[tuple[str, str]],
        *,
        answer: Callable[[Any], int] = lambda event: 0x0000,
        associations_max: int = 10,
        takes_private: bool = False,
    ) -> None:
        """Choose what is taken.

        Args:
            contexts: Pairs of SOP class and transfer syntax.
            answer: Gives the status for each C-STORE request.
            associations_max: One more is told that we are busy.
            takes_private: Whether SOP classes that are not in the standard are taken.
        """
        self.port = free_port()
        self.data_sets: dict[str, bytes] = {}
        self.proposed: list[int] = []
        self._answer = answer
        self._takes_private = takes_private
        self._lock = threading.Lock()
        self._entity = AE(ae_title="ARCHIVE")
        self._entity.maximum_associations = associations_max
        for sop_class, syntax in contexts:
            self._entity.add_supported_context(sop_class, syntax)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        _config.UNRESTRICTED_STORAGE_SERVICE = self._takes_private
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]
        self._server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        _config.UNRESTRICTED_STORAGE_SERVICE = False

    def _requested(self, event: Any) -> None:
        with self._lock:
            self.proposed.append(len(event.assoc.requestor.requested_contexts))

    def _store(self, event: Any) -> int:
        status = self._answer(event)
        with self._lock:
            if status == 0:
                self.data_sets[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return status
