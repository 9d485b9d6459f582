"""A process that listens, puts another in its place, and is that other: it tells and serves what came.

usage: python -m tests.builders.heir listen|foreign     prints a line of JSON, then what the successor finds
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

from edge.kit.inherited import Listeners, inherited

TOLD = ("LISTEN_PID", "LISTEN_FDS")


def begin(kind: str) -> None:
    """Listen, and leave the sockets to who comes after us."""
    if kind == "listen":
        with Listeners() as listeners:
            given = [listeners.listen("127.0.0.1", 0) for _ in range(2)]
            say({"ports": [one.getsockname()[1] for one in given]})
            for one in given:
                one.close()
            listeners.hand_over()
            go_on()
    mute, pipe = socket.socket(), os.pipe()
    mute.bind(("127.0.0.1", 0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say({"ports": [listener.getsockname()[1]]})
        for number, descriptor in enumerate((pipe[0], mute.fileno(), listener.fileno()), 10):
            os.dup2(descriptor, number, inheritable=False)
        os.closerange(3, 10)
        for number in (10, 11, 12):
            os.dup2(number, number - 7, inheritable=True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="4", LISTEN_FDNAMES="a:b:c:d")
        go_on()


def go_on() -> None:
    """Be the other."""
    os.execv(sys.executable, [sys.executable, "-m", "tests.builders.heir", "heir"])


def inherit() -> None:
    """Tell what came, then answer one caller at each socket."""
    found = inherited()
    child = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, check=True, text=True)
    say(
        {
            "ports": [one.getsockname()[1] for one in found],
            "told": [name for name in os.environ if name.startswith("LISTEN_")],
            "inheritable": [one.get_inheritable() for one in found],
            "open": [number for number in range(64) if os.path.lexists(f"/proc/self/fd/{number}")],
            "child": len(child.stdout.split()),
        }
    )
    for one in found:
        connection, _ = one.accept()
        with connection:
            connection.sendall(connection.recv(16))


def say(line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    {"heir": lambda _: inherit()}.get(sys.argv[1], begin)(sys.argv[1])
