"""The composition root: the only room that knows everybody."""

from edge.daemon.appliance import run

__all__ = ["run"]
