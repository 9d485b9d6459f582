"""The engine: every configured bundle becomes a model that is warm and has proved itself, or a refusal."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np

from edge.bundles.store import Bundle, find
from edge.domain.errors import BundleRejectedError, PictureRejectedError
from edge.domain.finding import ModelStamp
from edge.domain.image import Segmentation, Volume
from edge.domain.ports import Clock
from edge.inference.admission import Admission, Admitted, Trial
from edge.inference.deadline import Deadline
from edge.inference.decode import decode
from edge.inference.session import ask
from edge.inference.tiling import segment
from edge.kit.log import Log
from edge.preprocess.steps import prepare


class Engine:
    """All models of this machine; open it with `with`.

    Args:
        names: Bundles that are wanted.
        roots: Folders that hold bundles, searched in this order.
        threads: For one network on the CPU, at least 1.
        providers: What may be used: `cpu`, `cuda`.
        state_dir: Where measurements are remembered.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        roots: Sequence[Path],
        threads: int,
        providers: Collection[str],
        state_dir: Path,
        clock: Clock,
    ) -> None:
        self._names = tuple(names)
        self._roots = tuple(roots)
        self._admission = Admission(threads=threads, providers=providers, state_dir=state_dir, clock=clock)
        self._clock = clock
        self._log = Log("engine")
        self._bundles: dict[str, Bundle] = {}
        self._models: dict[str, BundleModel] = {}
        self._refusals: dict[str, str] = {}

    def __enter__(self) -> Self:
        for name in self._names:
            try:
                self._bundles[name] = bundle = find(name, self._roots)
                admitted = self._admission.admit(bundle)
            except BundleRejectedError as error:
                self._refusals[name] = str(error)
                self._log.error("bundle refused", bundle=name, because=error)
            else:
                self._models[name] = BundleModel(bundle, admitted, self._clock)
                self._log.info(
                    "bundle admitted", bundle=name, version=bundle.manifest.version, form=admitted.form
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for model in self._models.values():
            model.close()
        self._models.clear()

    @property
    def refusals(self) -> Mapping[str, str]:
        """Bundles that are not used, each with its reason."""
        return MappingProxyType(self._refusals)

    def model(self, name: str) -> BundleModel:
        """Return a model that is ready.

        Raises:
            BundleRejectedError: Its bundle was refused, or never asked for.
        """
        if name not in self._models:
            raise BundleRejectedError(self._refusals.get(name, f"{name}: not one of the engine's bundles"))
        return self._models[name]

    def bundle(self, name: str) -> Bundle:
        """Return a bundle whose files are in order, though its network may have been refused.

        Raises:
            BundleRejectedError: It could not be read.
        """
        if name not in self._bundles:
            raise BundleRejectedError(self._refusals.get(name, f"{name}: not one of the engine's bundles"))
        return self._bundles[name]


class BundleModel:
    """A bundle as a `Model`: prepares, asks the network, decodes; the network serves one caller at a time."""

    def __init__(self, bundle: Bundle, admitted: Admitted, clock: Clock) -> None:
        self._manifest = bundle.manifest
        self._session = admitted.session
        self._clock = clock
        self._lane = threading.Lock()
        self.trials: tuple[Trial, ...] = admitted.trials
        self.stamp = ModelStamp(
            model_id=bundle.manifest.name,
            version=bundle.manifest.version,
            sha256=bundle.digest,
            precision=admitted.form.precision,
            runtime=admitted.session.runtime,
            provider=admitted.session.provider,
        )

    def infer(self, volume: Volume, *, deadline_s: float) -> Segmentation:
        """Segment a volume; trouble is an exception, never an empty answer.

        Raises:
            PictureRejectedError: The volume is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """
        deadline = Deadline(self._clock, deadline_s)
        began_ns = self._clock.monotonic_ns()
        prepared = self._prepare(volume)
        prepared_ns = self._clock.monotonic_ns()
        labels = self._ask(prepared, deadline)
        asked_ns = self._clock.monotonic_ns()
        segmentation = decode(labels, grid=prepared, source=volume, output=self._manifest.output)
        decoded_ns = self._clock.monotonic_ns()
        latency_ms = {
            "preprocess": (prepared_ns - began_ns) / 1e6,
            "infer": (asked_ns - prepared_ns) / 1e6,
            "decode": (decoded_ns - asked_ns) / 1e6,
        }
        return replace(segmentation, latency_ms=MappingProxyType(latency_ms))

    def close(self) -> None:
        """Free the network, after whoever is using it."""
        with self._lane:
            self._session.close()

    def _prepare(self, volume: Volume) -> Volume:
        name = self._manifest.name
        accepted = [f"{kind.modality} in {kind.unit}" for kind in self._manifest.input.accepts]
        if f"{volume.modality} in {volume.unit}" not in accepted:
            raise PictureRejectedError(
                f"volume is {volume.modality} in {volume.unit}, {name} takes {', '.join(accepted)}"
            )
        prepared = prepare(volume, self._manifest.preprocessing)
        if prepared.voxels.size > self._manifest.input.volume_voxels_max:
            raise PictureRejectedError(
                f"volume has {prepared.voxels.size} voxels at {prepared.spacing_mm} mm, {name} "
                f"takes up to {self._manifest.input.volume_voxels_max}"
            )
        return prepared

    def _ask(self, prepared: Volume, deadline: Deadline) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        picture = np.ascontiguousarray(prepared.voxels, np.float32)
        if not self._lane.acquire(timeout=deadline.remaining_s()):
            raise deadline.exceeded(f"{self._manifest.name}: waiting for its turn")
        try:
            return segment(
                picture,
                self._manifest.input,
                lambda tile: ask(self._session, tile, self._manifest.output, deadline),
            )
        finally:
            self._lane.release()
