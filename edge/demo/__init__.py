"""What `make run` shows: a broker, the daemon, real studies over TCP, an independent subscriber.

Everything is real and in its own process: the broker, the daemon (`edge run`), the sender (`edge send`). What
the table shows is what a subscriber got from the broker, nothing else.
"""

from edge.demo.round import main

__all__ = ["main"]
