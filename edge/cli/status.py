"""`edge status`: how the daemon on this machine is, from the file that it keeps writing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge.config.load import load

STATUS_FILE = "status.json"
PERIODS_MAX = 3
SLACK_S = 5.0

Status = Mapping[str, Any]


def run(path: Path) -> int:
    """Print the state of the daemon.

    Returns:
        0 well, 1 degraded, 3 not running.

    Raises:
        ConfigurationError: The configuration cannot be used.
    """
    config = load(path)
    console = Console(highlight=False)
    file = config.state.folder / STATUS_FILE
    try:
        status: Status = json.loads(file.read_bytes())
        age_s = max(0.0, time.time() - datetime.fromisoformat(status["written_at"]).timestamp())
    except OSError as trouble:
        console.print(f"not running: {file}: {trouble.strerror}", markup=False, soft_wrap=True)
        return 3
    except (ValueError, KeyError, TypeError):
        console.print(f"not running: {file} is no status that a daemon wrote", markup=False, soft_wrap=True)
        return 3
    absence = _absence(status, age_s, limit_s=PERIODS_MAX * config.health.period_s + SLACK_S)
    if absence:
        console.print(f"not running: {absence}", markup=False, soft_wrap=True)
        return 3
    troubles = list(_troubles(status, config.state.reserve_mb))
    who = f"edge {status['version']}, process {status['pid']}, session {status['session']}"
    console.print(f"{who}, as of {age_s:.0f} s ago")
    _print_stages(status, console)
    for line in _lines(status):
        console.print(line, markup=False, soft_wrap=True)
    for reason in troubles:
        console.print(f"degraded: {reason}", style="yellow", markup=False, soft_wrap=True)
    return 1 if troubles else 0


def _absence(status: Status, age_s: float, *, limit_s: float) -> str:
    """Return why the daemon that wrote this cannot be running, or ""."""
    if status.get("stopped"):
        return f"it was stopped {age_s:.0f} s ago"
    try:
        os.kill(int(status["pid"]), 0)
    except ProcessLookupError:
        return f"process {status['pid']} has ended; its last word is {age_s:.0f} s old"
    except PermissionError:
        pass  # it is there, and belongs to somebody else
    if age_s > limit_s:
        return (
            f"the last word of process {status['pid']} is {age_s:.0f} s old; wanted at most {limit_s:.0f} s"
        )
    return ""


def _troubles(status: Status, reserve_mb: int) -> Iterator[str]:
    """Say what a person should look at."""
    if not status["broker"]:
        yield "no connection to the broker; findings wait in the outbox"
    for stage in status["stages"]:
        if stage.get("note"):
            yield f"{stage['name']}: {stage['note']}"
    for source in status["sources"]:
        if source.get("state", "online") not in ("online", "disabled"):
            yield f"source {source['name']} is {source['state']}: {source.get('why', '')}"
        elif source.get("state") == "online":  # frames come, and nobody can look at them
            yield from (f"{name}: {why}" for name, why in source.get("not_assessed", {}).items())
    for model in status["models"]:
        if model.get("refusal"):
            yield f"model {model['name']} is not in use: {model['refusal']}"
        for source in model.get("drift", {}).get("sources", ()):
            if source["state"] == "drifted":
                last = source["last"]
                moved = ", ".join(last["moved"])
                changed = f"pictures of {source['source']} have changed since {last['since']}"
                yield f"model {model['name']}: {changed}: {moved}"
    yield from _fleet_troubles(status.get("fleet", {}))
    if status["disk_free_mb"] < reserve_mb:
        yield f"{status['disk_free_mb']} MB free, below the reserve of {reserve_mb} MB: nothing more is taken"


def _fleet_troubles(fleet: Mapping[str, Any]) -> Iterator[str]:
    if fleet.get("line") and "connection" not in fleet["line"]:  # of the connection it is said already
        yield f"fleet: {fleet['line']}"
    yield from (f"fleet: {why}" for why in fleet.get("troubles", ()))
    if fleet.get("rung", "committed") != "committed":
        yield f"fleet: what was committed last cannot be used; at work is: {fleet['rung']}"
    for scope in fleet.get("scopes", ()):
        if scope["status"] == "rolled_back":
            yield f"fleet: {_version(scope)} rolled back: {_reason(scope)}"


def _fleet_lines(fleet: Mapping[str, Any] | None) -> Iterator[str]:
    """Say what the fleet wants, what of it is at work, and what came to nothing last."""
    if fleet is None:
        return
    yield f"fleet: {fleet['line'] or 'connected'}{', frozen by the site' if fleet.get('frozen') else ''}"
    for scope in fleet.get("scopes", ()):
        is_own = scope["scope"] == "device"
        at_work = f"version {scope['applied']} at work" if scope["applied"] else "nothing of it at work"
        wanted = f", {scope['desired']} wanted" if scope["desired"] != scope["applied"] else ""
        is_news = scope["version"] not in (0, scope["applied"]) or scope["status"] != "committed"
        state = (
            f"; {_version(scope)} {scope['status'].replace('_', ' ')}" if is_news and scope["version"] else ""
        )
        why = f": {_reason(scope)}" if scope["code"] != "ok" else ""
        yield f"  {'document' if is_own else scope['scope']}: {at_work}{wanted}{state}{why}"
    if fleet.get("waits"):
        yield f"  waits for: {fleet['waits']}"
    back = fleet.get("rolled_back")
    if back is not None:
        yield f"  last rolled back: {_version(back)} at {back['at']}: {_reason(back)}"


def _version(said: Mapping[str, Any]) -> str:
    scope = "" if said["scope"] == "device" else f"{said['scope']} "
    return f"{scope}version {said['version']}"


def _reason(said: Mapping[str, Any]) -> str:
    return ": ".join(part for part in (said["code"], said["message"]) if part)


def _drift_lines(model: Mapping[str, Any]) -> Iterator[str]:
    """Say how the pictures are of late, and where nobody can know."""
    drift = model.get("drift")
    if drift is None:
        return
    if drift["state"] == "no reference":
        yield "  whether its pictures change is not known: its bundle has no reference"
        return
    for source in drift["sources"]:
        last = source["last"]
        told = "no window yet"
        if last is not None:
            psi = max(last["psi"].values())
            away = f"distance {last['distance']:.2f} of {last['distance_limit']:.2f}"
            told = f"{source['state']}, {away}, PSI up to {psi:.2f}"
        yield f"  pictures of {source['source']}: {told}; {source['answers']} of {drift['window']} answers"
    if drift["troubles"]:
        yield f"  {drift['troubles']} answers could not be counted"


def _print_stages(status: Status, console: Console) -> None:
    table = Table()
    table.add_column("stage")
    for name in ("taken", "out", "set aside", "dropped", "held", "oldest s"):
        table.add_column(name, justify="right")
    for stage in status["stages"]:
        dropped = sum(stage["dropped"].values())
        counts = (stage["taken"], stage["out"], stage["set_aside"], dropped, stage["held"])
        table.add_row(stage["name"], *map(str, counts), f"{stage['oldest_ms'] / 1000:.1f}")
    console.print(table)


def _lines(status: Status) -> Iterator[str]:
    yield f"broker: {'connected' if status['broker'] else 'no connection'}"
    for source in status["sources"]:
        yield f"source {source['name']}: {source.get('state', 'online')}"
        for name, measured in source.get("capture_to_answer_ms", {}).items():
            told = ", ".join(f"{percentile} {ms:.0f} ms" for percentile, ms in measured.items())
            yield f"  {name}: {told or 'no frame yet'} from capture to answer"
        for name, boxes in source.get("not_followed", {}).items():
            yield f"  {name}: {boxes} boxes were not followed, there were too many at once"
    for one in status.get("waiting", ()):
        lacks = ", ".join(f"{role} in {count}" for role, count in one["lacks"].items())
        many = "1 study waits" if one["studies"] == 1 else f"{one['studies']} studies wait"
        yield f"{one['pipeline']}: {many} for roles, since {one['oldest_s']:.0f} s: {lacks}"
    for model in status["models"]:
        how = "/".join(str(model[key]) for key in ("precision", "runtime", "provider") if model.get(key))
        version = model.get("version", "")
        yield f"model {model['name']}{' ' * bool(version)}{version}: {how or 'not in use'}"
        yield from _drift_lines(model)
    yield from _fleet_lines(status.get("fleet"))
    taken_ms = status.get("delivery_ms", {})
    if taken_ms:
        percentiles = ", ".join(f"{name} {ms:.0f} ms" for name, ms in taken_ms.items())
        yield f"from the last instance of a series to its finding acknowledged: {percentiles}"
    yield f"disk: {status['disk_free_mb']} MB free"
