"""Models that read quantities out of spectra, in batches of bounded size; and their golden check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.spectra_regression import SpectraOutput, SpectraRegression
from edge.bundles.store import Bundle
from edge.domain.answer import Estimates
from edge.domain.errors import BundleRejectedError, InferenceError, PictureRejectedError
from edge.domain.finding import ModelStamp
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.drift_statistics import of_spectra
from edge.inference.golden import Agreement, golden_path, read_arrays
from edge.inference.pool import Pool
from edge.inference.session import Answers, Session, check_form
from edge.preprocess.reflectance import prepare

Spectra = NDArray[np.float32]


class SpectraEstimator:
    """A bundle as a `SpectraModel`; as many callers at once as it has sessions.

    Args:
        manifest: Of the bundle.
        sessions: Warm, at least one; closed with the model.
        stamp: Which weights speak.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self, manifest: SpectraRegression, *, sessions: Sequence[Session], stamp: ModelStamp, clock: Clock
    ) -> None:
        self.stamp = stamp
        self.wavelengths_nm = np.array(manifest.input.wavelengths_nm, np.float64)
        self.wavelengths_nm.flags.writeable = False
        self._manifest = manifest
        self._clock = clock
        self._pool = Pool(sessions, name=manifest.name)

    def estimate(self, spectra: Spectra, *, deadline_s: float) -> Estimates:
        """Read quantities out of (spectra, bands) reflectance; NaN where the model does not know.

        Raises:
            PictureRejectedError: The spectra have not the bands the model was made for.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """
        deadline = Deadline(self._clock, deadline_s)
        self._check(spectra)
        with self._pool.seat(deadline) as session:
            values, spent_ms = read_out(session, spectra, self._manifest, deadline, self._clock)
        quantities = self._manifest.output.quantities
        names = tuple(one.name for one in quantities)
        watched = self._manifest.drift is not None
        statistics = of_spectra(spectra, values, names) if watched else {}
        return Estimates(
            names=names,
            units=tuple(one.unit for one in quantities),
            values=values,
            latency_ms=MappingProxyType(spent_ms),
            statistics=MappingProxyType(statistics),
        )

    def close(self) -> None:
        """Free the network, after whoever is using it."""
        for session in self._pool.drain():
            session.close()

    def _check(self, spectra: Spectra) -> None:
        bands = len(self.wavelengths_nm)
        if spectra.ndim != 2 or spectra.shape[1] != bands or not len(spectra) or spectra.dtype != np.float32:
            raise PictureRejectedError(
                f"spectra are {spectra.dtype} {spectra.shape}, {self._manifest.name} takes float32 "
                f"(at least 1, {bands})"
            )


def read_out(
    session: Session, spectra: Spectra, manifest: SpectraRegression, deadline: Deadline, clock: Clock
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Ask a network about spectra, batch by batch; only those that are in range reach it.

    Args:
        session: Warm.
        spectra: (spectra, bands) reflectance.
        manifest: Of the bundle.
        deadline: Of the whole answer.
        clock: Measures.

    Returns:
        (spectra, quantities), NaN where the model does not know; and the time per stage, in ms.

    Raises:
        DeadlineExceededError: It took too long.
        InferenceError: The runtime failed, or an answer is not what was promised.
    """
    values = np.full((len(spectra), len(manifest.output.quantities)), np.nan, np.float32)
    spent_ns = dict.fromkeys(("preprocess", "infer", "decode"), 0)
    size = manifest.input.batch_spectra_max
    for start in range(0, len(spectra), size):
        batch = spectra[start : start + size]
        began_ns = clock.monotonic_ns()
        rows, prepared = _in_range(batch, manifest)
        prepared_ns = clock.monotonic_ns()
        spent_ns["preprocess"] += prepared_ns - began_ns
        if not len(rows):
            continue
        answers = session.run(prepared, deadline)
        asked_ns = clock.monotonic_ns()
        values[start + rows] = decode(answers, manifest.output, count=len(rows))
        spent_ns["infer"] += asked_ns - prepared_ns
        spent_ns["decode"] += clock.monotonic_ns() - asked_ns
    return values, {stage: spent / 1e6 for stage, spent in spent_ns.items()}


def _in_range(batch: Spectra, manifest: SpectraRegression) -> tuple[NDArray[np.intp], Spectra]:
    """Return which rows the network may be asked about, and those, prepared."""
    given = manifest.input
    rows = np.flatnonzero(((batch >= given.value_min) & (batch <= given.value_max)).all(axis=1))
    prepared = prepare(batch[rows], manifest.preprocessing)
    sound = np.isfinite(prepared).all(axis=1)
    return rows[sound], np.ascontiguousarray(prepared[sound])


def decode(answers: Answers, output: SpectraOutput, *, count: int) -> NDArray[np.float32]:
    """Take from a network's answers what it knows.

    Args:
        answers: Of the graph, for `count` spectra.
        output: Of the manifest.
        count: Spectra that were asked about.

    Returns:
        (count, quantities); NaN where an estimate leaves its range, or is more uncertain than it may be.

    Raises:
        InferenceError: The answers are not what the manifest promises.
    """
    shape, quantities = (count, len(output.quantities)), output.quantities
    values = answers[output.name]
    check_form(values, shape=shape, dtype=np.float32, name=output.name)
    low, high = (np.array([getattr(one, end) for one in quantities]) for end in ("value_min", "value_max"))
    known = (values >= low) & (values <= high)
    if output.uncertainty is not None:
        uncertainty = answers[output.uncertainty]
        check_form(uncertainty, shape=shape, dtype=np.float32, name=output.uncertainty)
        if uncertainty.min(initial=0) < 0:
            raise InferenceError(
                f"output {output.uncertainty!r} holds {uncertainty.min():g}, wanted 0 or more"
            )
        known &= uncertainty <= np.array([one.uncertainty_max for one in quantities], np.float64)
    return np.where(known, values, np.float32(np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class SpectraExam:
    """Spectra, (n, bands), and the estimates they must give, (n, quantities), NaN where not known."""

    spectra: Spectra
    estimates: NDArray[np.float32]
    manifest: SpectraRegression
    clock: Clock

    def answers(self, session: Session, deadline: Deadline) -> list[NDArray[Any]]:
        """Return the estimates of all spectra.

        Raises:
            InferenceError: The runtime failed, or an answer is not what was promised.
        """
        return [read_out(session, self.spectra, self.manifest, deadline, self.clock)[0]]

    def agreement(self, answers: list[NDArray[Any]]) -> Agreement:
        """Compare by the estimate that is farthest off, for each quantity, and by what is known."""
        seen, golden = answers[0], self.manifest.golden
        same = float((np.isnan(seen) == np.isnan(self.estimates)).mean())
        both = ~np.isnan(seen) & ~np.isnan(self.estimates)
        off = np.where(both, np.abs(seen - self.estimates), 0).max(axis=0)
        errors = {one.name: float(far) for one, far in zip(self.manifest.output.quantities, off, strict=True)}
        missed = [
            f"{name} is off by {far:.4g}, wanted at most {golden.errors_max[name]:g}"
            for name, far in errors.items()
            if far > golden.errors_max[name]
        ]
        if same < golden.same_validity_min:
            missed.append(f"{same:.4f} are known as they must be, wanted {golden.same_validity_min:g}")
        numbers = {"same_validity": same, **{f"error of {name}": far for name, far in errors.items()}}
        return Agreement(numbers, f"golden check: {'; '.join(missed)}" if missed else "")

    def against(self, answers: list[NDArray[Any]]) -> SpectraExam:
        """Return the same spectra with other estimates as what is right."""
        return replace(self, estimates=answers[0])


def read_spectra_exam(bundle: Bundle, manifest: SpectraRegression, clock: Clock) -> SpectraExam:
    """Read the golden spectra of a bundle.

    Raises:
        BundleRejectedError: They are not what the format says, or prove nothing.
    """
    path = golden_path(bundle)
    spectra, wanted = read_arrays(bundle, "spectra", "estimates")
    bands, quantities = len(manifest.input.wavelengths_nm), manifest.output.quantities
    if spectra.ndim != 2 or spectra.shape[1] != bands or spectra.dtype.kind != "f":
        raise BundleRejectedError(
            f"{path}: spectra are {spectra.dtype} {spectra.shape}, wanted float (n, {bands})"
        )
    shape = (len(spectra), len(quantities))
    if wanted.shape != shape or wanted.dtype.kind != "f":
        raise BundleRejectedError(
            f"{path}: estimates are {wanted.dtype} {wanted.shape}, wanted float {shape}"
        )
    for one, column in zip(quantities, wanted.T, strict=True):
        known = column[~np.isnan(column)]
        if not known.size or np.ptp(known) <= 2 * manifest.golden.errors_max[one.name]:
            raise BundleRejectedError(f"{path}: estimates of {one.name} are all alike, which proves nothing")
    return SpectraExam(spectra.astype(np.float32), wanted.astype(np.float32), manifest, clock)
