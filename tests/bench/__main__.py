"""`make bench`: us beside the peers in one run, each as a ratio.

usage: python -m tests.bench [NAME …]
names: cstore, series, resample, engine, frames, tune, lanes, swap, video, live, gpu
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from tests.bench import cstore, engine, frames, gpu, lanes, live, resample, series, swap, tune, video

PARTS = {
    "cstore": cstore.run,
    "series": series.run,
    "resample": resample.run,
    "engine": engine.run,
    "frames": frames.run,
    "tune": tune.run,
    "lanes": lanes.run,
    "swap": swap.run,
    "video": video.run,
    "live": live.run,
    "gpu": gpu.run,
}


def main() -> int:
    """Run the parts that were named, or all of them."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    names = sys.argv[1:] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        console.print(f"no part {', '.join(unknown)}; wanted some of {', '.join(PARTS)}")
        return 2
    table = Table(title="us beside the peers, one run; a ratio above 1 is a win", title_justify="left")
    table.add_column("what")
    for heading in ("ours", "peer", "unit", "ratio"):
        table.add_column(heading, justify="right")
    for name in names:
        with console.status(f"measuring {name}"):
            rows = PARTS[name]()
        for row in rows:
            table.add_row(row.name, f"{row.ours:.4g}", f"{row.peer:.4g}", row.unit, f"{row.ratio:.2f}")
        table.add_section()
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
