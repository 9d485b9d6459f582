"""What the fleet may have this device do, and ask it: commands by type, questions by method."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from edge.config.classes import restart_of
from edge.config.named import tree_of
from edge.daemon.fleet import FleetDevice
from edge.daemon.parts import bundles_of
from edge.daemon.planning import Planning
from edge.daemon.probes import Probes
from edge.daemon.works import UNUSED, Works
from edge.domain.errors import BundleRejectedError, DocumentRefusedError
from edge.domain.ports import Clock
from edge.fleet.commands import EXPIRES
from edge.fleet.documents import BundleWanted
from edge.fleet.install import Stager
from edge.fleet.ports import Wanted
from edge.fleet.report import AtWork, BundleAtWork
from edge.fleet.timing import moment_ns
from edge.kit.journal import Journal
from edge.kit.trees import leaves, written
from edge.ops.presence import Presence
from edge.pipelines.snapshots import Album, to_jpeg
from edge.sinks.outbox import QUEUE as OUTBOX
from edge.sinks.pump import ALERT as OUTBOX_ALERT

PICTURE_BYTES_MAX: Final = 140_000  # in base64 a third more, and the result of a command holds 200 kB
LOOK_S: Final = 0.1
COMMANDS: Final = ("fetch", "restart-pipeline", "snapshot", "selftest", "retry-set-aside")
QUESTIONS: Final = ("config", "status", "models")

Args = Mapping[str, Any]
Said = Mapping[str, Any]


class FleetErrands:
    """Executes commands, each in the thread that calls, and may take its time.

    Args:
        works: Of the appliance.
        journal: Of the appliance.
        stager: Fetches packages.
        probes: Try whether it works.
        albums: Of the cameras whose pictures may leave.
        presence: Clears what is over.
        busy: Returns why nothing may be changed now, "" where it may.
        clock: Of the machine.
    """

    def __init__(
        self,
        *,
        works: Works,
        journal: Journal,
        stager: Stager,
        probes: Probes,
        albums: Mapping[str, Album],
        presence: Presence,
        busy: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._works = works
        self._journal = journal
        self._stager = stager
        self._probes = probes
        self._albums = albums
        self._presence = presence
        self._busy = busy
        self._clock = clock

    def execute(self, kind: str, args: Args) -> Said:
        """Execute a command of one of `COMMANDS`, and return its result.

        Raises:
            EdgeError: It failed; the message says why.
        """
        ways: Mapping[str, Callable[[Args], Said]] = {
            "fetch": self.fetch,
            "restart-pipeline": self.restart_pipeline,
            "snapshot": self.snapshot,
            "selftest": self.selftest,
            "retry-set-aside": self.retry_set_aside,
        }
        return ways[kind](args)

    def fetch(self, args: Args) -> Said:
        """Fetch a package ahead of the document that will want it.

        Raises:
            DocumentRefusedError: It cannot be fetched, or another one is; or the command expired meanwhile.
        """
        name, wanted = str(args["name"]), BundleWanted.model_validate(args["bundle"])
        until_ns = moment_ns(str(args[EXPIRES]))
        work = self._stager.fetch({name: wanted})
        while not work.wait(LOOK_S):
            if self._clock.utc_ns() >= until_ns and not work.cancelled.is_asked:
                work.cancel()
        is_late = work.cancelled.is_asked and self._clock.utc_ns() >= until_ns
        if is_late:
            raise DocumentRefusedError("expired", f"expires: was {args[EXPIRES]}, before all had come")
        work.result()
        return {"name": name, "digest": wanted.digest}

    def restart_pipeline(self, args: Args) -> Said:
        """End a pipeline in order, and let it begin anew; all others go on.

        Raises:
            DocumentRefusedError: There is none of that name; or a case runs, or a version is being tried.
            EdgeError: It does not begin any more.
        """
        name = str(args["pipeline"])
        why = self._busy()
        if why:
            raise DocumentRefusedError("busy", f"{why}; ask again when that is over, by another id")
        self._works.restart(name)
        return {"pipeline": name}

    def snapshot(self, args: Args) -> Said:
        """Show what a camera shows, where its gate lets that out.

        Raises:
            PixelsHeldBackError: It does not.
        """
        source = str(args["source"])
        album = self._albums.get(source) or Album({}, blur="nothing")
        picture = to_jpeg(album.snapshot(source), bytes_max=PICTURE_BYTES_MAX)
        return {
            "source": source,
            "media_type": "image/jpeg",
            "picture": base64.b64encode(picture).decode("ascii"),
        }

    def selftest(self, args: Args) -> Said:
        """Try what works.

        Raises:
            DocumentRefusedError: Something does not; the message says what.
        """
        names = list(args["probe"])
        self._probes.run(names, self._works.config, changed=())
        return {"passed": names}

    def retry_set_aside(self, args: Args) -> Said:
        """Try again what was set aside."""
        if args["queue"] == "intake":
            return {"queue": "intake", "items": self._works.studies.retry_set_aside()}
        groups = dict.fromkeys(item.group for item in self._journal.items(OUTBOX, states=("set_aside",)))
        taken = sum(self._journal.take_back(OUTBOX, group) for group in groups)
        self._presence.clear_alert(OUTBOX_ALERT)
        return {"queue": OUTBOX, "items": taken}


class FleetAnswers:
    """Answers questions at once, and says what the device sees of itself.

    Args:
        device: Knows which wish is at work.
        works: Of the appliance.
        planning: Knows the device's own file.
        stager: Knows which bundles are in use.
        status: Returns what the status file holds.
        models: Returns what it holds about models.
        mending: Returns what is done about a bundle that is gone from the store, "" where it is not.
    """

    def __init__(
        self,
        *,
        device: FleetDevice,
        works: Works,
        planning: Planning,
        stager: Stager,
        status: Callable[[], Said],
        models: Callable[[], Sequence[Said]],
        mending: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._device = device
        self._works = works
        self._planning = planning
        self._stager = stager
        self._status = status
        self._models = models
        self._mending = mending
        self._drift: tuple[object, Sequence[str]] = (None, ())

    def answer(self, method: str) -> Said:
        """Answer a question of one of `QUESTIONS`."""
        ways: Mapping[str, Callable[[], Said]] = {
            "config": self.config,
            "status": self._status,
            "models": lambda: {"models": self._models()},
        }
        return ways[method]()

    def config(self) -> Said:
        """Return the configuration at work: of each value where it comes from, and what a change needs."""
        wanted = self._device.wanted
        origins = wanted.origins if wanted is not None else {}
        tree = tree_of(self._works.config)
        values = {
            written(path): {
                "value": value,
                "origin": _origin(written(path), origins),
                "restart": restart_of(path),
            }
            for path, value in leaves(tree)
        }
        return {"config": values, "digest": wanted.digest if wanted is not None else ""}

    def at_work(self) -> AtWork:
        """Return what the device sees of itself."""
        wanted = self._device.wanted
        names = [*bundles_of(self._works.config), *(wanted.bundles if wanted is not None else ())]
        return AtWork(
            bundles={name: self._mended(name, self._bundle(name)) for name in dict.fromkeys(names)},
            drift_paths=[*self._drift_of_values(wanted), *self._drift_of_bundles(wanted)],
        )

    def _mended(self, name: str, seen: BundleAtWork) -> BundleAtWork:
        """Say also what is done about one that is gone."""
        whys = [why for why in (seen.why, self._mending(name)) if why]
        return replace(seen, why="; ".join(whys))

    def _bundle(self, name: str) -> BundleAtWork:
        digest = self._stager.package_in_use(name)
        if name not in bundles_of(self._works.config):
            return BundleAtWork(version="", digest=digest, why=UNUSED)
        try:
            state = self._works.engine.state(name)
        except BundleRejectedError as refusal:
            return BundleAtWork(version="", digest=digest, why=str(refusal))
        trial = state.trials[0]
        return BundleAtWork(
            version=state.stamp.version,
            digest=digest,
            sha256=state.stamp.sha256,
            precision=state.stamp.precision,
            provider=state.stamp.provider,
            latency_ms={"p50": trial.p50_ms, "p99": trial.p99_ms} if trial.runs else {},
            golden=dict(trial.agreement),
        )

    def _drift_of_values(self, wanted: Wanted | None) -> Sequence[str]:
        """Read the file again only where something may have changed."""
        config = self._works.config
        seen = (self._planning.seen(), config, wanted.digest if wanted is not None else "")
        if seen != self._drift[0]:
            self._drift = seen, self._planning.drift(config, wanted)
        return self._drift[1]

    def _drift_of_bundles(self, wanted: Wanted | None) -> list[str]:
        if wanted is None:
            return []
        return [f"bundles.{name}" for name in wanted.bundles if not self._device.is_at_work(name, wanted)]


def _origin(path: str, origins: Mapping[str, str]) -> str:
    """Return which document a value comes from, `file` for the device's own file."""
    while path:
        if path in origins:
            return origins[path]
        path = path.rpartition(".")[0]
    return "file"
