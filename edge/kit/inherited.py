"""Listening sockets that outlive who listens: they are kept for whoever listens at their address next.

a door ends ─▶ kept: callers wait in the backlog ─▶ the next door at that address
                 └─ exec ─▶ the same descriptors, told as systemd tells them ─▶ the same in the new program
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterable
from typing import Any, Final, Self

from edge.kit.log import Log

BACKLOG: Final = 128  # callers beyond that are not refused either: their connection is tried again by TCP
_FIRST: Final = 3  # sd_listen_fds(3): descriptors begin here, without a gap
_PID, _COUNT = "LISTEN_PID", "LISTEN_FDS"
_TOLD: Final = (_PID, _COUNT, "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_COUNT_MAX: Final = 256

Address = tuple[Any, ...]  # family, and what the system calls the address


def listen(host: str, port: int) -> socket.socket:
    """Return a new socket that listens.

    Raises:
        OSError: The address cannot be listened on.
    """
    family, at = _resolved(host, port)
    return socket.create_server(at, family=family, backlog=BACKLOG)


class Listeners:
    """The listening sockets of a process, from its first door to its last; for the main thread.

    A door closes what it was given; what is kept here beside it goes on to listen, and a caller waits instead
    of being refused. Open it with `with`: at its end nobody is kept waiting any more.

    Args:
        inherited: Sockets that listen already, see `inherited`.
    """

    def __init__(self, inherited: Iterable[socket.socket] = ()) -> None:
        self._kept = {_address(one): one for one in inherited}
        self._given: dict[Address, socket.socket] = {}
        self._log = Log("listeners")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self, host: str, port: int) -> socket.socket:
        """Return a socket that listens: the one that is kept for the address, else a new one.

        Raises:
            OSError: The address cannot be listened on.
        """
        family, at = _resolved(host, port)
        address = (family, *at)
        kept = self._kept.get(address)
        if kept is not None and not self._is_in_use(address):
            kept.listen(BACKLOG)
            given = kept.dup()
            self._log.info("goes on", host=host, port=port)
        else:
            for other in list(self._kept):
                if _port(other) == port and not self._is_in_use(other):
                    self._drop(other)  # it would be in the way of the new one: 0.0.0.0 and 127.0.0.1
            given = listen(host, port)
            address = _address(given)
            self._kept[address] = given.dup()
        self._given[address] = given
        return given

    def close_unused(self) -> None:
        """Close what no door listens on: its address is not ours any more."""
        for address in list(self._kept):
            if not self._is_in_use(address):
                self._log.info("nobody listens here any more", host=address[1], port=_port(address))
                self._drop(address)

    def close(self) -> None:
        """Keep nothing any more: once its door closes, an address refuses its callers."""
        for address in list(self._kept):
            self._drop(address)

    def hand_over(self) -> None:
        """Leave what is kept to the program that takes our place; nothing but exec may come after this.

        The lowest descriptors are written over, whosever they are: all of them end with exec.
        """
        count = len(self._kept)
        if count == 0:
            return
        above = [
            fcntl.fcntl(kept.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST + count) for kept in self._kept.values()
        ]
        for number, descriptor in enumerate(above, _FIRST):
            os.dup2(descriptor, number, inheritable=True)
        os.environ.update({_PID: str(os.getpid()), _COUNT: str(count)})

    def _is_in_use(self, address: Address) -> bool:
        given = self._given.get(address)
        return given is not None and given.fileno() >= 0

    def _drop(self, address: Address) -> None:
        self._kept.pop(address).close()


def inherited() -> list[socket.socket]:
    """Return the listening TCP sockets that systemd, or whoever was in our place, left to this very process.

    No child of ours comes by them, nor hears of them; what else was left is closed. To be called once. What a
    library has opened by then is not touched, however many are told: it would not outlive exec, and so did
    not come by it.
    """
    told = {name: os.environ.pop(name, "") for name in _TOLD}
    if told[_PID] != str(os.getpid()) or not told[_COUNT].isdecimal():
        return []
    found: dict[Address, socket.socket] = {}
    for number in range(_FIRST, _FIRST + min(int(told[_COUNT]), _COUNT_MAX)):
        one = _adopted(number)
        if one is not None and _address(one) not in found:
            found[_address(one)] = one
        elif one is not None:
            one.close()
    return list(found.values())


def _adopted(number: int) -> socket.socket | None:
    try:
        if not os.get_inheritable(number):
            return None
        one = socket.socket(fileno=number)
    except OSError:  # it is no socket, or not there
        with contextlib.suppress(OSError):
            os.close(number)
        return None
    one.set_inheritable(False)
    is_tcp = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
    if is_tcp and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return one
    one.close()
    return None


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    family, _, _, _, at = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, at


def _address(one: socket.socket) -> Address:
    return (one.family, *one.getsockname())


def _port(address: Address) -> int:
    return int(address[2])
