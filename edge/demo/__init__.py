"""What `make run` and `make demo-fleet` show: the path of a finding, and the roll-out of a change.

Everything is real and in its own process: the broker, the daemon (`edge run`), the sender (`edge send`), the
operator (`edge fleet`). What the tables show is what was heard from the broker, nothing else.
"""

from edge.demo.fleet_round import main as fleet
from edge.demo.round import main

__all__ = ["fleet", "main"]
