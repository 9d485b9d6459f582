"""Ports that were free a moment ago and that no outgoing connection will take by chance."""

from __future__ import annotations

import random
import socket

BELOW_EPHEMERAL = range(15_000, 32_000)  # Linux hands out 32768 to 60999 to outgoing connections


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens on; it stays free when its listener is restarted."""
    while True:
        port = random.SystemRandom().choice(BELOW_EPHEMERAL)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
