"""The demo of the fleet: a threshold and a model in rings, then something bad that goes back by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from rich.console import Console

from edge.config.load import load
from edge.demo.broker import check_free, mosquitto
from edge.demo.daemon import daemon
from edge.demo.fleet_receiver import FindingsReceiver
from edge.demo.fleet_site import (
    BUNDLE,
    DEVICES_PORT,
    KEY,
    MISFIT,
    PEOPLE_PORT,
    REAL,
    SIMULATED,
    SITE,
    FleetSite,
    found,
    new_version,
    write_rollout,
    write_settings,
)
from edge.domain.errors import ConfigurationError
from edge.fleet.operator.inventory import DeviceView
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.kit.clock import SystemClock
from edge.kit.mqtt import MqttSession, Tls
from edge.kit.topics import ROOT

FOLDER: Final = Path(__file__).parents[2] / ".run" / "fleet"
RINGS: Final = ("--ring", "canary=1", "--ring", "half=50%", "--ring", "rest=100%")
TERMS: Final = (*RINGS, "--success", "98%", "--soak", "2s", "--stop-errors", "1", "--yes")
PRESENT_S: Final = 60.0
FINDING_S: Final = 60.0
CALM_S: Final = 15.0  # a receiver that hears nothing for so long would ask what is the matter
VERSION: Final = "1.1.0"
ALL: Final = (REAL, *SIMULATED)


def main() -> int:
    """Run the demo.

    Returns:
        0 if both changes reached all devices, the bad one was tried on the canary alone and went back there
        by itself, and findings came all the while.

    Raises:
        ConfigurationError: A port is taken, or something that is needed is not installed.
    """
    signal.signal(signal.SIGTERM, _leave)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    for port in (DEVICES_PORT, PEOPLE_PORT):
        check_free(port)
    site = found(FOLDER)
    write_settings(site)
    load(site.config)
    console.print(f"enrolled: {len(ALL)} devices, an operator, a receiver; keys and certificates in {FOLDER}")
    with ExitStack() as running:
        running.enter_context(mosquitto(site.broker, port=DEVICES_PORT))
        ports = f"devices on {DEVICES_PORT}, people on {PEOPLE_PORT}"
        console.print(f"broker: mosquitto, TLS and access lists, {ports}")
        running.enter_context(_simulated(site, "thermal", str(FOLDER / "thermal")))
        running.enter_context(_simulated(site, "files", str(FOLDER / "measured"), "--cube-every", "2s"))
        receiver = running.enter_context(FindingsReceiver(site))
        running.enter_context(daemon(site.config, FOLDER))
        console.print(f"a real daemon: {SITE}/{REAL}, log in {FOLDER / 'daemon.log'}")
        running.enter_context(_simulated(site, "fleet", *_crowd(site)))
        console.print(f"{len(SIMULATED)} simulated devices: {SIMULATED[0]} … {SIMULATED[-1]}")
        return _Show(console, site, receiver).run()


class _Show:
    """What happens before the eyes of whoever started the demo."""

    def __init__(self, console: Console, site: FleetSite, receiver: FindingsReceiver) -> None:
        self._console = console
        self._site = site
        self._receiver = receiver
        self._wrong: list[str] = []

    def run(self) -> int:
        self._wait_for_all()
        self._expect(self._receiver.wait_for("oxygen", more=1, within_s=FINDING_S), "oxygen says something")
        self._operator("ls", may_be=(0, 1))
        warmer = {"warmth": {"spot_enter_celsius": 35.5, "spot_stay_celsius": 34.5}}
        self._roll_out("threshold", 0, "a lower threshold for warm spots", config={"pipelines": warmer})
        self._expect_everywhere("the threshold", lambda reported: reported["applied_version"] == 1)
        package = new_version(self._site, VERSION)
        self._roll_out("model", 0, f"{BUNDLE} {VERSION}, signed", bundles={BUNDLE: dict(package)})
        self._expect_everywhere("the model", lambda reported: _digest(reported) == package["digest"])
        self._expect(self._receiver.wait_for("oxygen", more=2, within_s=FINDING_S), "oxygen goes on")
        self._expect(VERSION in self._receiver.versions(), f"{VERSION} speaks in findings")
        misfit = {"pipelines": {"oxygen": {"bundle": MISFIT}}}
        self._roll_out("bad", 1, f"something bad: spectra for {MISFIT}, which looks at heads", config=misfit)
        self._look_back()
        self._operator("ls", may_be=(0, 1))
        return self._sum_up()

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────────

    def _wait_for_all(self) -> None:
        until_s = time.monotonic() + PRESENT_S
        missing = set(ALL)
        while missing and time.monotonic() < until_s:
            missing = set(ALL) - {view.device for view in self._views() if view.presence == "online"}
        self._expect(not missing, f"all are online (missing: {', '.join(sorted(missing)) or 'nobody'})")

    def _roll_out(self, name: str, wanted: int, what: str, **brought: Any) -> None:
        path = write_rollout(self._site, name, **brought)
        self._console.rule(f"roll-out: {what}")
        self._operator("rollout", str(path), *TERMS, may_be=(wanted,))

    def _operator(self, *words: str, may_be: tuple[int, ...] = (0,)) -> None:
        """Do what an operator would type."""
        shown = " ".join(words).replace(str(FOLDER), ".run/fleet")
        self._console.print(f"\n$ edge fleet {shown} --fleet .run/fleet/fleet.yaml", style="bold")
        command = [sys.executable, "-m", "edge", "fleet", *words, "--fleet", str(self._site.settings)]
        wide = {**os.environ, "COLUMNS": str(self._console.width)}
        code = subprocess.run(command, stdin=subprocess.DEVNULL, env=wide, check=False).returncode
        self._expect(code in may_be, f"edge fleet {words[0]} ends with {code}")

    def _expect_everywhere(self, what: str, holds: Callable[[Mapping[str, Any]], bool]) -> None:
        views = {view.device: view.reported for view in self._views()}
        lacking = [name for name in ALL if not holds(views.get(name) or {"applied_version": 0})]
        self._expect(not lacking, f"{what} has reached everybody (missing: {', '.join(lacking) or 'nobody'})")

    def _look_back(self) -> None:
        """Say what became of the bad one."""
        views = {view.device: view for view in self._views()}
        canary = dict(views[REAL].reported or {})
        self._expect(canary.get("status") == "rolled_back", f"{REAL} went back: {canary.get('message')}")
        self._expect(canary.get("code") == "probe", f"because a probe failed: {canary.get('code')}")
        touched = [name for name in SIMULATED if (views[name].reported or {}).get("version") != 2]
        self._expect(not touched, f"nobody else was touched ({', '.join(touched) or 'nobody'})")
        self._expect(self._receiver.wait_for("oxygen", more=2, within_s=FINDING_S), "oxygen goes on")

    def _sum_up(self) -> int:
        receiver = self._receiver
        pause_s = receiver.longest_pause_s()
        self._expect(pause_s < CALM_S, f"findings never paused for longer than {pause_s:.1f} s")
        counted = {name: len(receiver.findings(name)) for name in ("oxygen", "warmth")}
        self._console.rule("what happened")
        self._console.print(
            f"a threshold and a model reached {len(ALL)} devices in three rings; what was bad reached one, "
            f"failed its probe there and was taken back by the device itself"
        )
        told = ", ".join(f"{count} of {name}" for name, count in counted.items())
        spoke = " then ".join(receiver.versions())
        self._console.print(
            f"findings of {REAL} meanwhile: {told}; longest pause {pause_s:.1f} s; models that spoke: {spoke}"
        )
        for wrong in self._wrong:
            self._console.print(f"WRONG: {wrong}", style="bold red", markup=False)
        return 1 if self._wrong else 0

    def _expect(self, is_so: bool, what: str) -> None:
        if not is_so:
            self._wrong.append(what)
        mark = "[green]✓[/]" if is_so else "[bold red]✗[/]"
        self._console.print(f"{mark} ", end="")
        self._console.print(what, markup=False)

    def _views(self) -> list[DeviceView]:
        with MqttDesk(self._session, root=ROOT, clock=SystemClock()) as desk:
            return [view for view in desk.devices().values() if view.site == SITE]

    def _session(self) -> MqttSession:
        people = self._site.people
        tls = Tls(
            ca_file=people / "ca.crt",
            certificate_file=people / "operator.crt",
            key_file=people / "operator.key",
        )
        return MqttSession(
            host="127.0.0.1",
            port=PEOPLE_PORT,
            client_id="demo-looks",
            clock=SystemClock(),
            tls=tls,
            session_expiry_s=0,
        )


def _digest(reported: Mapping[str, Any]) -> str:
    bundle: Mapping[str, Any] = reported.get("bundles", {}).get(BUNDLE, {})
    return str(bundle.get("digest", ""))


def _crowd(site: FleetSite) -> list[str]:
    words: Mapping[str, str] = {
        "--devices": str(len(SIMULATED)),
        "--port": str(DEVICES_PORT),
        "--key": f"{KEY}={site.public_key}",
        "--site": SITE,
        "--group": "all",
        "--certificates": str(site.devices),
    }
    return [word for pair in words.items() for word in pair]


@contextmanager
def _simulated(site: FleetSite, *words: str) -> Iterator[None]:
    """Run `edge simulate …` until the `with` ends."""
    with (site.folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "simulate", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us, and we stop it in order
        )
        try:
            yield
            if process.poll() is not None:
                raise ConfigurationError(f"edge simulate {words[0]} ended, see {log.name}")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _leave(*_: object) -> NoReturn:
    raise KeyboardInterrupt
