"""The study half: intake, assembly, and the thread `imaging` with an assessor to exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from edge.config.schema import Config
from edge.daemon.parts import MEGABYTE, patience_s, rules_of, wanted_of
from edge.daemon.readings import readings_of
from edge.daemon.roles import ExchangeableRoles, awaited_of, roles_wanted_of, study_roles_of
from edge.daemon.threads import Threads
from edge.domain.errors import InferenceError
from edge.domain.finding import Finding
from edge.domain.health import StageHealth
from edge.domain.ports import Clock, Intake
from edge.domain.study import Instance
from edge.findings.identity import KeyedHash
from edge.inference.engine import Engine
from edge.kit.journal import Entry, Journal
from edge.kit.stage import Stage
from edge.ops.watchdog import Watchdog
from edge.pipelines.casting import Director
from edge.pipelines.exchangeable import Exchangeable
from edge.pipelines.imaging import Assessor, Imaging
from edge.pipelines.measured import FileAssessor
from edge.pipelines.result import Assessing, ByFormat
from edge.pipelines.stations import stations, viewers
from edge.pipelines.study_roles import StudyRoles
from edge.pipelines.together import Together
from edge.pipelines.watching import Watch
from edge.studies.assemble import Assembler
from edge.studies.gather import Gathering
from edge.studies.intake import QUEUE, JournaledIntake, instance_of

IMAGING = "imaging"
UNDONE = ("ready", "leased", "interrupted")


class StudyHalf:
    """Everything between a door and the outbox.

    Args:
        config: As of now.
        journal: Open.
        engine: Open, with every bundle.
        identity: Makes subjects.
        watch: Is shown every answer of a model.
        envelope: Encodes a finding, given when the last instance arrived (UTC, ns).
        watchdog: Expects the thread to move.
        clock: Time.
    """

    def __init__(
        self,
        config: Config,
        *,
        journal: Journal,
        engine: Engine,
        identity: KeyedHash,
        watch: Watch,
        envelope: Callable[[Finding, int], Entry],
        watchdog: Watchdog,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._identity = identity
        self._watch = watch
        self._watchdog = watchdog
        self._clock = clock
        self._stage = Stage(IMAGING, clock)
        self._beat = watchdog.watch(IMAGING, limit_s=patience_s(config))
        self._patience_s = patience_s(config)
        self._assembler = Assembler(
            clock, quiet_s=config.assembly.quiet_s, deadline_s=config.assembly.deadline_s
        )
        self._gathering = Gathering(clock)
        self._assessor = Exchangeable(self._assessor_of(config))
        self._roles = ExchangeableRoles(self._assessor, self._roles_of(config))
        self._gathering.follow(awaited_of(config))
        self._together = Together(
            journal=journal,
            gathering=self._gathering,
            assessor=self._roles,
            envelope=envelope,
            stage=self._stage,
        )
        self._imaging = Imaging(
            journal=journal,
            assembler=self._assembler,
            assessor=self._assessor,
            envelope=envelope,
            stage=self._stage,
            beat=self._beat,
            studies=self._together,
        )
        self._intake = JournaledIntake(
            journal,
            folder=config.state.folder / "intake",
            reserve_bytes=config.state.reserve_mb * MEGABYTE,
            clock=clock,
            on_kept=self._kept,
            on_closed=self._closed,
        )

    def open(self, rooms: ExitStack, threads: Threads) -> Intake:
        """Take up what a crash left, and let the imaging thread begin; return where sources hand over."""
        self._intake.recover()
        self._imaging.take_up()
        self._assembler.restore(instance_of(item) for item in self._journal.items(QUEUE))
        rooms.enter_context(threads.running(IMAGING, self._imaging.run, self._imaging.stop))
        return self._intake

    def health(self) -> StageHealth:
        """Return the books."""
        return self._stage.health()

    def in_flight(self) -> int:
        """Return how many objects have arrived and are not assessed."""
        return sum(self._journal.count(QUEUE, state) for state in UNDONE)

    def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Return how many studies wait for which roles, as JSON can hold it."""
        return [
            {**asdict(one), "oldest_s": round(one.oldest_s, 1), "lacks": dict(one.lacks)}
            for one in self._gathering.waiting()
        ]

    def retry_set_aside(self) -> int:
        """Try again every series, and every study, that was set aside; return how many items that are."""
        groups = dict.fromkeys(item.group for item in self._journal.items(QUEUE, states=("set_aside",)))
        taken = 0
        for group in groups:
            taken += self._journal.take_back(QUEUE, group)
            self._assembler.restore(instance_of(item) for item in self._journal.items(QUEUE, group=group))
        taken += self._together.take_back()
        self._imaging.wake()
        return taken

    def follow(self, config: Config) -> None:
        """Follow other rules of assembly from now on."""
        self._assembler.follow(quiet_s=config.assembly.quiet_s, deadline_s=config.assembly.deadline_s)
        self._imaging.wake()

    @contextmanager
    def between_series(self, go_on: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Let no series begin until the `with` ends.

        Args:
            go_on: Asked while the one that is looked at now is waited for; ends that by what it raises.

        Raises:
            InferenceError: The one that is looked at now takes longer than it may.
        """
        with self._assessor.between_series(within_s=self._patience_s, go_on=go_on) as is_free:
            if not is_free:
                raise InferenceError(f"a series is looked at for more than {self._patience_s:g} s already")
            yield

    def put(self, config: Config) -> None:
        """Look with the pipelines of a configuration from now on; inside of `between_series`.

        Raises:
            ConfigurationError: A rule cannot be, or rampy is wanted and not installed.
        """
        assessor, roles = self._assessor_of(config), self._roles_of(config)
        self._patience_s = patience_s(config)
        self._watchdog.allow(IMAGING, limit_s=self._patience_s)
        self._assessor.put(assessor)
        self._roles.put(roles)
        self._gathering.follow(awaited_of(config))

    def _assessor_of(self, config: Config) -> Assessing:
        series = Assessor(
            rules=rules_of(config),
            stations=stations(self._engine, wanted_of(config)),
            viewers=viewers(self._engine, wanted_of(config)),
            identity=self._identity,
            clock=self._clock,
            beat=self._beat,
            watch=self._watch,
            cast=Director(roles_wanted_of(config)),
        )
        files = FileAssessor(
            readings=readings_of(config, self._engine, self._watch),
            identity=self._identity,
            clock=self._clock,
        )
        return ByFormat({"cube": files, "spectrum": files}, otherwise=series)

    def _roles_of(self, config: Config) -> StudyRoles:
        return study_roles_of(
            config, self._engine, identity=self._identity, clock=self._clock, watch=self._watch
        )

    def _kept(self, instance: Instance) -> None:
        self._assembler.kept(instance)
        self._gathering.kept(instance)
        self._imaging.wake()

    def _closed(self, association: str) -> None:
        self._assembler.association_closed(association)
        self._imaging.wake()
