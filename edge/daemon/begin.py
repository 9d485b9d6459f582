"""How a process begins: with the device's own file, and over it what the fleet had proven, or tries.

    trial, once ─▶ what was proven last ─▶ what was proven before it ─▶ the file alone

Whatever cannot be loaded, or with which the appliance does not open, is left for the next; each time with an
alert. A process that has to begin anew stops in order and puts another in its own place, under its number,
with the sockets that its doors listened on: whoever calls meanwhile waits, and is refused by nobody.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from edge.config.schema import Config
from edge.daemon.appliance import Appliance
from edge.daemon.control_plane import ControlPlane, folder_of, stager_of
from edge.daemon.planning import Site
from edge.daemon.tenancy import tenancy
from edge.domain.errors import ConfigurationError, DocumentRefusedError, EdgeError
from edge.domain.ports import Clock
from edge.fleet import boot
from edge.fleet.boot import Boot
from edge.fleet.install import attempt_of
from edge.kit.clock import SystemClock
from edge.kit.inherited import Listeners, inherited
from edge.kit.log import Log, RecentLines, to_stderr
from edge.kit.memory import keep_memory_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What to begin with.

    Attributes:
        site: The device's own file.
        config: That, with the wish over it.
        boot: The wish, and whether it is a trial.
    """

    site: Site
    config: Config
    boot: Boot


def run(path: Path) -> int:
    """Run the appliance in the foreground until SIGTERM or SIGINT.

    Args:
        path: The device's own file.

    Returns:
        0 after a stop in order, 70 where a broken invariant or a dead thread ended it.

    Raises:
        EdgeError: It cannot start: a port is taken, the journal is in use, a secret is missing.
    """
    keep_memory_plain()
    with Listeners(inherited()) as listeners:
        site = site_of(path)
        with tenancy(_config(site, Boot()).state.folder):  # before anything is decided, or counted
            code, begins_anew = _lived(site, SystemClock(), listeners)
            if begins_anew:
                _put_another_in_our_place(listeners)
    return code


def _lived(site: Site, clock: Clock, listeners: Listeners) -> tuple[int, bool]:
    """Run appliances until one has opened and ended; return its status, and whether to begin anew."""
    recent = RecentLines()
    start = first(site, clock)
    while True:
        to_stderr(level=start.config.log_level, recent=recent)
        appliance = Appliance(start.config, clock, recent=recent, listeners=listeners)
        fleet = start.config.fleet
        if fleet is not None:
            appliance.plane = ControlPlane(
                start.config,
                fleet,
                site=start.site,
                boot=start.boot,
                begin_anew=appliance.begin_anew,
                recent=recent,
                clock=clock,
            )
        try:
            return appliance.run(), appliance.begins_anew
        except EdgeError as trouble:
            if appliance.was_open or start.boot.wanted is None:
                raise
            start = _instead(start, f"the appliance does not open: {trouble}", clock)


def site_of(path: Path) -> Site:
    """Return the device's own file.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as trouble:
        raise ConfigurationError(f"{path} cannot be used: {trouble.strerror}") from trouble
    except UnicodeDecodeError as trouble:
        what = f"not text: byte {trouble.start} is not UTF-8"
        raise ConfigurationError(f"{path} cannot be used: {what}") from trouble
    return Site(path, text)


def first(site: Site, clock: Clock) -> Start:
    """Return what this process begins with.

    Raises:
        ConfigurationError: The device's own file cannot be used.
    """
    alone = _config(site, Boot())
    if alone.fleet is None:
        return Start(site=site, config=alone, boot=Boot())
    chosen = boot.choose(folder_of(alone), clock=clock)
    return _usable(site, alone, chosen, clock)


def _instead(start: Start, why: str, clock: Clock) -> Start:
    """Return what comes after a start that came to nothing."""
    alone = _config(start.site, Boot())
    chosen = boot.failed(folder_of(alone), why, after=start.boot, clock=clock)
    return _usable(start.site, alone, chosen, clock)


def _usable(site: Site, alone: Config, chosen: Boot, clock: Clock) -> Start:
    """Return the first start that can be loaded; the device's file alone can."""
    log = Log("begin")
    while chosen.wanted is not None:
        try:
            config = _config(site, chosen)
            if chosen.is_trial:
                _switch_bundles(config, chosen)
        except (ConfigurationError, DocumentRefusedError) as trouble:
            log.error("cannot be begun with", is_trial=chosen.is_trial, because=trouble)
            chosen = boot.failed(folder_of(alone), str(trouble), after=chosen, clock=clock)
        else:
            boot_of_it = chosen if chosen.is_trial else _with_its_bundles(config, chosen)
            return Start(site=site, config=config, boot=boot_of_it)
    return Start(site=site, config=alone, boot=_with_its_bundles(alone, chosen) if chosen.why else chosen)


def _with_its_bundles(config: Config, chosen: Boot) -> Boot:
    """Switch bundles for what was proven, or the file; where that cannot be, those that are there will do."""
    try:
        _switch_bundles(config, chosen)
    except DocumentRefusedError as trouble:
        Log("begin").error("the bundles in use stay in use", because=trouble)
        told = f"the bundles in use stay in use: {trouble}"
        return dataclasses.replace(chosen, why=f"{chosen.why}; {told}" if chosen.why else told)
    return chosen


def _config(site: Site, chosen: Boot) -> Config:
    """Return the file with a wish over it.

    Raises:
        ConfigurationError: It cannot be used; the message lists everything that is wrong.
    """
    report = site.report(chosen.wanted.config) if chosen.wanted is not None else site.report_alone()
    if report.config is None:
        listed = "\n".join(f"  {problem}" for problem in report.errors)
        raise ConfigurationError(f"{site.path} cannot be used:\n{listed}")
    return report.config


def _switch_bundles(config: Config, chosen: Boot) -> None:
    """Bring the bundles of a wish into use where a crash, or a step back, may have left others.

    At any other start what is in use stays: somebody at the box may have changed it on purpose.

    Raises:
        DocumentRefusedError: admission: one is not there, or the store cannot be changed.
    """
    with stager_of(config) as stager:
        stager.recover()
        if chosen.is_trial or chosen.why:
            wanted = chosen.wanted
            stager.switch(
                wanted.bundles if wanted is not None else {},
                attempt=attempt_of(wanted) if wanted is not None else "the file alone",
            )


def _put_another_in_our_place(listeners: Listeners) -> NoReturn:
    """Begin anew: the same program, the same arguments, the same process number. Never returns."""
    sys.stderr.flush()
    listeners.hand_over()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # ourselves
