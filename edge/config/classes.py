"""What a change of each option needs: nothing, its pipeline built anew, the process begun anew, or a person.

One table, from which the fleet's agent plans and which `local` keeps it from: who may send, what may leave,
what may be thrown away, whom we believe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from edge.config.named import tree_of
from edge.config.schema import Config
from edge.fleet.ports import Change
from edge.fleet.words import Restart
from edge.kit.trees import Path, steps_of, written

Class = Restart | Literal["local"]

_SOURCE: Final[Mapping[str, Class]] = {
    # who may send, and where from; what may leave
    **dict.fromkeys(("kind", "name", "host", "port", "ae_title", "only_own_title", "allow", "tls"), "local"),
    **dict.fromkeys(("url", "path", "device", "folder", "recording", "username", "password"), "local"),
    **dict.fromkeys(("snapshots", "snapshot_blur"), "local"),
    # whether originals of others are removed
    "after": "local",
    # how a live source is opened and judged
    **dict.fromkeys(("enabled", "transport", "loop", "open_s", "silence_s"), "pipeline"),
    **dict.fromkeys(("retry_min_s", "retry_max_s", "quality"), "pipeline"),
    **dict.fromkeys(("frames_per_s", "telemetry_rows", "calibration"), "pipeline"),
    # doors and folders stay open while anything else changes
    **dict.fromkeys(("associations_max", "pdu_bytes", "settle_s", "nifti_modality"), "process"),
    **dict.fromkeys(("panel_reflectance", "measures", "axis_unit"), "process"),
}
_WRITTEN: Final[Mapping[str, Class]] = {
    **dict.fromkeys(("site", "device", "state", "bundles", "mqtt", "identity", "fleet"), "local"),
    "retention": "local",  # what is gone cannot be asked any more, neither by a doctor nor by a court
    **{f"sources.*.{key}": value for key, value in _SOURCE.items()},
    "pipelines": "pipeline",
    "pipelines.*.name": "local",
    "pipelines.*.gate": "local",
    "assembly.quiet_s": "hot",
    "assembly.deadline_s": "hot",
    "health.period_s": "hot",
    "log_level": "hot",
    "drain_s": "hot",
    "outbox.workers": "process",
    **{f"engine.{key}": "process" for key in ("threads", "live_burst_max", "provider")},
    **{f"engine.{key}": "process" for key in ("memory_mb", "keep_warm_s")},
}
TABLE: Final[Mapping[Path, Class]] = {steps_of(text): value for text, value in _WRITTEN.items()}


def restart_of(path: str | Path) -> Class:
    """Return what a change of an option, or of anything in it, needs.

    Args:
        path: `pipelines.brain-mr.deadline_s`; sources and pipelines by name.

    Raises:
        ValueError: There is no such option.
    """
    steps = steps_of(path) if isinstance(path, str) else path
    if steps[:1] == ("sources",) and len(steps) <= len(("sources", "NAME")):
        return "local"  # sources come and go by the device's own file only
    found = [pattern for pattern in TABLE if is_at_or_in(steps, pattern)]
    if not found:
        raise ValueError(f"{written(steps)}: no class is known; wanted an option of the configuration")
    return TABLE[max(found, key=len)]


def is_at_or_in(path: Path, pattern: Path) -> bool:
    """Return whether a path leads to what a pattern names, or into it; `*` stands for any one step."""
    return len(path) >= len(pattern) and all(
        wanted in ("*", step) for step, wanted in zip(path, pattern, strict=False)
    )


def changes(before: Config, after: Config) -> list[Change]:
    """Return what becomes another, each with what that needs; a pipeline that comes or goes is one change.

    What only the device's own file may set needs the process begun anew.
    """
    found = _differences(tree_of(before), tree_of(after), ())
    return [Change(written(path), _restart(path)) for path in found]


def _restart(path: Path) -> Restart:
    needed = restart_of(path)
    return "process" if needed == "local" else needed


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], path: Path) -> Iterator[Path]:
    if before.get("kind") != after.get("kind"):
        yield path
        return
    for key in [*before, *(key for key in after if key not in before)]:
        here = (*path, key)
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, here)
        elif (key in before) != (key in after) or old != new:
            yield here
