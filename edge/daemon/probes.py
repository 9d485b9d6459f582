"""Whether the appliance works, asked of itself: doors, models, golden answers, the line to the broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from edge.config.schema import Config
from edge.daemon.parts import bundles_of, refused_stations
from edge.domain.errors import DocumentRefusedError, EdgeError
from edge.fleet.words import ProbeName
from edge.inference.engine import Engine
from edge.kit.files import write_durably
from edge.kit.log import Log
from edge.ops.presence import Presence
from edge.sources.dicom import DicomDoor

ANSWER_S: Final = 10.0
FILE: Final = "refused.json"


class Probes:
    """Tries what a document names; each probe raises where something does not work.

    Args:
        doors: Of the appliance, open.
        engine: Open.
        presence: Has the line to the broker.
        folder: Of the fleet's state: which models were refused before a change outlives a restart there.
    """

    def __init__(
        self, *, doors: Sequence[DicomDoor], engine: Engine, presence: Presence, folder: Path
    ) -> None:
        self._doors = tuple(doors)
        self._engine = engine
        self._presence = presence
        self._file = folder / FILE
        self._log = Log("probes")

    def remember_refusals(self) -> None:
        """Write down which models are refused now: a change is not to blame for those.

        Raises:
            DocumentRefusedError: There is no room.
        """
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._file, json.dumps(dict(self._engine.refusals)).encode())
        except OSError as trouble:
            raise DocumentRefusedError("timeout", f"{self._file}: {trouble}") from trouble

    def run(
        self,
        names: Sequence[ProbeName],
        config: Config,
        *,
        changed: Collection[str],
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        """Try it.

        Args:
            names: What.
            config: At work.
            changed: Bundles that were changed: of these nothing is forgiven.
            go_on: Called before each; may raise.

        Raises:
            DocumentRefusedError: `probe`, with what does not work.
        """
        ways: Mapping[ProbeName, Callable[[], None]] = {
            "ingest": self._ingest,
            "engine": lambda: self._ask_models(config, changed, is_golden=False),
            "golden": lambda: self._ask_models(config, changed, is_golden=True),
            "mqtt": lambda: self._presence.prove_line(timeout_s=ANSWER_S),
        }
        for name in names:
            go_on()
            try:
                ways[name]()
            except DocumentRefusedError:
                raise
            except EdgeError as trouble:
                raise DocumentRefusedError("probe", f"{name}: {trouble}") from trouble

    def _ingest(self) -> None:
        for door in self._doors:
            door.answer_ourselves(timeout_s=ANSWER_S)

    def _ask_models(self, config: Config, changed: Collection[str], *, is_golden: bool) -> None:
        before = self._refused_before()
        for bundle in dict.fromkeys(bundles_of(config)):
            refusal = self._engine.refusals.get(bundle, "")
            if refusal and bundle in before and bundle not in changed:
                self._log.info("refused as before", bundle=bundle)
                continue
            self._engine.prove(bundle, is_golden=is_golden)
        for pipeline, bundle, refusal in refused_stations(self._engine, config):
            if bundle not in before or bundle in changed:
                raise DocumentRefusedError("probe", f"engine: {refusal}", path=f"pipelines.{pipeline}")

    def _refused_before(self) -> Collection[str]:
        try:
            read = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return ()
        return [str(name) for name in read] if isinstance(read, dict) else ()
