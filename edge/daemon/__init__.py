"""The composition root: the only room that knows everybody."""

from edge.daemon.begin import run

__all__ = ["run"]
