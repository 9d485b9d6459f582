"""A camera in a process of its own: it shares no interpreter with who is measured; prints its address."""

from __future__ import annotations

import sys

from edge.simulate.encoding import VideoForm
from edge.simulate.footage import LiveFootage
from edge.simulate.rtsp import RtspServer
from edge.simulate.stream import Stream

FORM = VideoForm(height_px=720, width_px=1280, fps=30.0, key_interval_s=1.0)


def main() -> None:
    """Send until standard input ends."""
    with RtspServer(streams={"/or": Stream(LiveFootage("bars", FORM))}) as server:
        print(server.url("/or"), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
