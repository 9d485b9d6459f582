"""A scanner in the foreground, until Ctrl-C or for a given time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge.simulate.foreground import wait
from edge.simulate.head import head
from edge.simulate.patients import studies_of
from edge.simulate.scanner import Scanner
from edge.simulate.scu import Peer
from edge.simulate.series import write_series


def run_scanner(
    peer: Peer,
    files: Sequence[Path],
    *,
    every_s: float,
    studies_max: int | None = None,
    are_new: bool = True,
    for_s: float | None = None,
) -> int:
    """Send studies by C-STORE.

    Args:
        peer: Where to.
        files: DICOM objects of any number of studies; none for a head that is made up.
        every_s: From one study to the next.
        studies_max: After how many it ends; None for no end.
        are_new: Every study gets new UIDs and a patient of its own.
        for_s: How long; None until Ctrl-C or `studies_max`.

    Returns:
        0 where everything was stored, else 1.

    Raises:
        FormatError: A file is no DICOM object.
    """
    with tempfile.TemporaryDirectory(prefix="edge-head-") as folder:
        chosen = studies_of(files) if files else [_made_up_head(Path(folder))]
        scanner = Scanner(peer, chosen, every_s=every_s, studies_max=studies_max, are_new=are_new)
        tally = scanner.tally

        def progress() -> str:
            trouble = f"; last trouble: {scanner.last_reason}" if scanner.last_reason else ""
            return (
                f"{tally.studies} studies to {peer}: {tally.stored} instances stored, "
                f"{tally.refused} refused, {tally.failed} failed{trouble}"
            )

        with scanner:
            wait(progress, scanner.pace, for_s=for_s)
    return 0 if tally.stored == tally.instances else 1


def _made_up_head(folder: Path) -> list[Path]:
    return write_series(head(), folder, patient="SIM^HEAD", description="T1, simulated")
