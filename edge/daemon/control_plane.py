"""The fleet's side of the daemon, put together: agent, state machine, device, stager, and who answers.

The agent subscribes before the line to the broker is opened; everything else is there once the appliance is.
Without a section `fleet` in the device's own file there is none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from edge.bundles.installed import Store
from edge.bundles.store import Bundle
from edge.config.fleet import Fleet
from edge.config.schema import Config
from edge.daemon.fleet import FleetDevice
from edge.daemon.fleet_errands import COMMANDS, QUESTIONS, FleetAnswers, FleetErrands
from edge.daemon.fleet_standing import FleetStanding
from edge.daemon.mending import Mending
from edge.daemon.models import Wishes
from edge.daemon.parts import MEGABYTE, prefix_of, root_prefix_of
from edge.daemon.planning import Planning, Site
from edge.daemon.probes import Probes
from edge.daemon.threads import Threads
from edge.daemon.works import Works
from edge.domain.ports import Clock
from edge.fleet.agent import Agent
from edge.fleet.boot import Boot
from edge.fleet.case import Case
from edge.fleet.collected import collecting
from edge.fleet.install import Stager
from edge.fleet.ledger import Transition
from edge.fleet.machine import Machine
from edge.fleet.memory import SqliteMemory
from edge.fleet.progress import Progress
from edge.fleet.report import wishes_of
from edge.fleet.signing import KeyRing
from edge.fleet.words import State
from edge.kit.journal import Journal
from edge.kit.log import RecentLines
from edge.kit.mqtt import MqttSession
from edge.ops.presence import Presence
from edge.ops.watchdog import Watchdog
from edge.pipelines.inside import Inside
from edge.pipelines.snapshots import Album
from edge.sources.dicom import DicomDoor

FLEET: Final = "fleet"  # the thread of the agent
FOLDER: Final = "fleet"  # in the state folder
ALERT: Final = "fleet-start"
BEAT_S: Final = 120.0
SETTLE_S: Final = 20.0
KILOBYTE: Final = 1000

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The parts of the appliance that the fleet's side needs once it is open.

    Attributes:
        works: What may become another.
        journal: Open.
        doors: For studies by DICOM, open.
        albums: Of the cameras whose pictures may leave.
        status: Returns what the status file holds.
        models: Returns what it holds about models.
        heed: Is told what the fleet wants of each bundle.
    """

    works: Works
    journal: Journal
    doors: Sequence[DicomDoor]
    albums: Mapping[str, Album]
    status: Callable[[], Mapping[str, Any]]
    models: Callable[[], Sequence[Mapping[str, Any]]]
    heed: Callable[[Wishes], None]


class ControlPlane:
    """Attached before the line to the broker is opened; open while its thread runs.

    Args:
        config: With which everything is opened.
        fleet: Its section.
        site: The device's own file.
        boot: What this process began with.
        begin_anew: Has the process end in order and begin anew; returns at once.
        recent: The newest lines of the log.
        clock: Time.
    """

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        *,
        site: Site,
        boot: Boot,
        begin_anew: Callable[[], None],
        recent: RecentLines,
        clock: Clock,
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._boot = boot
        self._begin_anew = begin_anew
        self._recent = recent
        self._clock = clock
        self._folder = folder_of(config)
        self._keys = KeyRing(fleet.roots(), site=config.site.id)
        self._planning = Planning(site, clock=clock)
        self._rooms = ExitStack()
        self._agent: Agent | None = None
        self._case: Case | None = None
        self._presence: Presence | None = None
        self._device: FleetDevice | None = None
        self._errands: FleetErrands | None = None
        self._answers: FleetAnswers | None = None
        self._heed: Callable[[Wishes], None] | None = None
        self._mending: Mending | None = None
        self._standing = FleetStanding(
            lambda: self._known(self._agent).line(), lambda: self._known(self._agent).trouble()
        )

    def attach(self, session: MqttSession, presence: Presence, *, inside: Inside, watchdog: Watchdog) -> None:
        """Subscribe with a session that is not open yet."""
        self._presence = presence
        self._case = Case(
            self._folder,
            quiet_min=self._fleet.case_quiet_min,
            inside=inside.ago_s,
            alerts=presence,
            clock=self._clock,
        )
        self._agent = Agent(
            session,
            prefix=prefix_of(self._config),
            root_prefix=root_prefix_of(self._config),
            groups=self._fleet.groups,
            machine=self._machine,
            keys=self._keys,
            case=self._case,
            at_work=lambda: self._known(self._answers).at_work(),
            executors={
                "collect-logs": collecting(self._recent),
                **{name: partial(self._execute, name) for name in COMMANDS},
            },
            answers={name: partial(self._answer, name) for name in QUESTIONS},
            folder=self._folder,
            alerts=presence,
            clock=self._clock,
            boot=self._boot,
            is_frozen=self._fleet.frozen,
            beat=watchdog.watch("fleet", limit_s=BEAT_S),
            heed=self._look,
        )

    def open(self, rooms: ExitStack, running: Running, threads: Threads) -> None:
        """Let the agent begin; the appliance is open, and goes on whatever becomes of this."""
        agent, presence, case = self._known(self._agent), self._known(self._presence), self._known(self._case)
        config, works = self._config, running.works
        places, trust = config.bundles.places(config.state.folder), config.bundles.believed()
        probes = Probes(doors=running.doors, engine=works.engine, presence=presence, folder=self._folder)
        stager = rooms.enter_context(
            stager_of(config, admit=lambda bundle: self._known(self._device).admit(bundle))
        )
        device = self._device = FleetDevice(
            self._boot.wanted,
            works=works,
            planning=self._planning,
            stager=stager,
            probes=probes,
            case=case,
            doors=running.doors,
            places=places,
            trust=trust,
            begin_anew=self._begin_anew,
            is_trial=self._boot.is_trial,
        )
        rooms.callback(device.close, within_s=SETTLE_S)
        mending = self._mending = Mending(
            device, works, stager, clock=self._clock, is_frozen=self._fleet.frozen
        )
        rooms.callback(mending.close, within_s=SETTLE_S)
        self._errands = FleetErrands(
            works=works,
            journal=running.journal,
            stager=stager,
            probes=probes,
            albums=running.albums,
            presence=presence,
            busy=device.busy,
            clock=self._clock,
        )
        self._answers = FleetAnswers(
            device=device,
            works=works,
            planning=self._planning,
            stager=stager,
            status=running.status,
            models=running.models,
            mending=mending.doing,
        )
        self._heed = running.heed
        if self._boot.why:
            presence.raise_alert(ALERT, self._boot.why)
        rooms.enter_context(self._rooms)
        rooms.enter_context(threads.running(FLEET, agent.run, agent.stop))

    def busy(self) -> str:
        """Return why nothing may be changed at the box now, "" where it may; for any thread."""
        return self._device.busy() if self._device is not None else ""

    def on_trial(self) -> str:
        """Return what is on trial, "" where nothing is; for any thread."""
        return self._device.on_trial() if self._device is not None else ""

    def standing(self) -> Mapping[str, Any]:
        """Return what the status file holds about the fleet; for any thread, once attached."""
        return self._standing.told()

    # ── in the thread of the agent ────────────────────────────────────────────────────────────────────────

    def _machine(self, told: Callable[[Transition], None]) -> Machine:
        """Make the state machine.

        Raises:
            JournalError: Its memory cannot be used now.
        """
        device, presence = self._known(self._device), self._known(self._presence)

        def tell(transition: Transition) -> None:
            if transition.state in (State.COMMITTED, State.ROLLED_BACK):
                device.settled()
            if transition.state is State.COMMITTED:
                presence.clear_alert(ALERT)
            self._standing.hear(transition)
            told(transition)

        self._rooms.close()  # of a memory that was opened before, and something after it failed
        memory = self._rooms.enter_context(SqliteMemory(self._folder))
        self._standing.recall(memory)
        return Machine(
            memory,
            device,
            self._keys,
            device_id=self._config.device.id,
            groups=self._fleet.groups,
            clock=self._clock,
            frozen=self._fleet.frozen,
            told=tell,
        )

    def _look(self, progress: Progress) -> None:
        """Say what the fleet wants of each bundle, and mend what is gone."""
        self._known(self._heed)(wishes_of(progress))
        self._known(self._mending).look(progress)
        self._standing.heed(progress)

    def _execute(self, name: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._known(self._errands).execute(name, args)

    def _answer(self, name: str) -> Mapping[str, Any]:
        return self._known(self._answers).answer(name)

    def _known(self, part: Part | None) -> Part:
        assert part is not None, "attached and opened before"
        return part


def folder_of(config: Config) -> Path:
    """Return where the fleet's side keeps what it must remember."""
    return config.state.folder / FOLDER


def stager_of(config: Config, *, admit: Callable[[Bundle], None] | None = None) -> Stager:
    """Return what brings bundles of the fleet here and into use, not opened."""
    fleet = config.fleet
    return Stager(
        Store(config.bundles.places(config.state.folder)[0]),
        config.bundles.believed(),
        folder_of(config),
        mirror=fleet.mirror or "" if fleet is not None else "",
        reserve_bytes=config.state.reserve_mb * MEGABYTE,
        download_bytes_per_s=fleet.download_max_kb_s * KILOBYTE if fleet is not None else 0,
        admit=admit,
    )
