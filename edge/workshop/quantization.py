"""Quantizes a bundle: calibrates on samples, searches what pays, and keeps only what is faster and right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import onnx
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest, parse
from edge.bundles.seal import seal
from edge.bundles.store import Bundle, load
from edge.bundles.verify import MANIFEST
from edge.domain.errors import BundleRejectedError, InferenceError, StorageFullError
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.golden import Exam
from edge.inference.making import exams_of
from edge.inference.session import wiring
from edge.inference.tasks import task_of
from edge.kit.files import write_durably
from edge.workshop import questions
from edge.workshop.bench import RUN_S, RUNTIMES, VERSIONS, Bench, Recording, Runtime, Verdict, opened
from edge.workshop.calibration import Row, layers, measured, prepared
from edge.workshop.carried import FILE as CALIBRATION
from edge.workshop.carried import Carried, carried
from edge.workshop.held_out import Split, splits
from edge.workshop.layer_search import LayerSearch, Outcome, Told
from edge.workshop.ledger import Ledger
from edge.workshop.manifest_edit import replaced, value_at, with_entry
from edge.workshop.precision import to_fp16
from edge.workshop.probe import Probe
from edge.workshop.questions import Item, Sample
from edge.workshop.text_parts import quoted

REPORT: Final = "quantization.json"
INT8, FP16 = "model.int8.onnx", "model.fp16.onnx"
SAMPLES_MIN: Final = 4
GAIN_MIN: Final = 1.05  # less is within what a busy machine makes of the same network
FORMAT: Final = "edge.quantization/1"


@dataclass(frozen=True, slots=True)
class Quantized:
    """What was tried, and what was kept.

    Attributes:
        outcomes: Of the recipes, those that pass and are fast first.
        layers: How many there are that may become int8.
        kept: The recipe that is in the bundle now, or None.
        runtime: Where it gains most.
        fp16: How near half precision comes, or None where it was not asked for.
        calibrated: How many samples ranges were taken of.
        held_out: How many others agreement was measured on.
        held_out_how: Which those were.
        digest: Of the bundle, now.
        carried: The samples that travel with the bundle, or why there are none.
    """

    outcomes: tuple[Outcome, ...]
    layers: int
    kept: Outcome | None
    runtime: Runtime | None
    fp16: Verdict | None
    calibrated: int
    held_out: int
    held_out_how: str
    digest: str
    carried: Carried | str


def quantize(
    folder: Path,
    samples: Sequence[Sample],
    *,
    state_dir: Path,
    clock: Clock,
    told: Told,
    wants_fp16: bool = False,
    is_fresh: bool = False,
    carries: bool = True,
    groups: Sequence[str] = (),
) -> Quantized:
    """Search an int8 variant of a bundle that pays, and put it there; nothing is written where none does.

    Args:
        folder: The bundle, sealed, with its golden check.
        samples: Of the kind of its task, at least 4; some are held out.
        state_dir: Keeps what was measured, so that a search that was killed goes on.
        clock: Measures.
        told: Hears what is done.
        wants_fp16: Also make a variant in half precision, for GPUs.
        is_fresh: Forget what was measured before.
        carries: Put some of the samples into the bundle, so that devices compare on them, too.
        groups: Of each sample what it was taken of: those of one are alike, and are held out together; ()
            where nobody knows.

    Raises:
        BundleRejectedError: The bundle is not in order, or the samples are too few or prove nothing.
        StorageFullError: Something cannot be written.
    """
    bundle = load(folder)
    manifest = bundle.manifest
    reference = _reference(bundle)
    given = questions.items(manifest, samples)
    if len(given) < SAMPLES_MIN:
        raise BundleRejectedError(
            f"{folder}: {len(given)} inputs for {manifest.task}, wanted {SAMPLES_MIN} or more"
        )
    asking = _Asking(reference, manifest, clock)
    split, held_out = asking.parted(splits(given, questions.groups_of_items(samples, groups)))
    feeds = held_out.feeds
    ledger = Ledger(state_dir / f"{manifest.name}-{_key(reference, manifest, split, carries=carries)}")
    if is_fresh:
        ledger.forget()
    seen = asking.asked(split.calibrating)
    taken = _taken(bundle, split.calibrating, seen.answers, clock) if carries else "they were not wanted"
    exams = [task_of(bundle, clock).exam, held_out.exam.against(held_out.answers)]
    if isinstance(taken, Carried):
        exams.append(taken.exam)
    elif (own := exams_of(bundle, clock).calibration) is not None:
        exams.append(own.against(asking.answers(own)))
    with Probe(wiring(manifest), feeds[0]) as probe:
        bench = Bench(reference, wiring=wiring(manifest), exams=exams, clock=clock, probe=probe)
        model = prepared(reference)
        rows = _ranges(model, _by_digest(seen.feeds), ledger=ledger, told=told)
        search = LayerSearch(model, rows, bench=bench, feeds=feeds, ledger=ledger, told=told)
        outcomes = _ranked(search.run())
        half = _half(reference, bench) if wants_fp16 else None
    runtime = _pays_on(outcomes[0], _fp32_ms(outcomes))
    result = Quantized(
        outcomes=tuple(outcomes),
        layers=len(layers(model)),
        kept=None if runtime is None else outcomes[0],
        runtime=runtime,
        fp16=half,
        calibrated=len(split.calibrating),
        held_out=len(split.held_out),
        held_out_how=split.how,
        digest=bundle.digest,
        carried=taken,
    )
    networks = {} if result.kept is None else {INT8: search.network(result.kept.recipe)}
    if half is not None and not half.shortfall:
        networks[FP16] = to_fp16(reference)
    return _written(bundle, result, networks)


def _taken(
    bundle: Bundle, given: Sequence[Item], answers: Sequence[NDArray[Any]], clock: Clock
) -> Carried | str:
    """Choose what travels with a bundle, unless its maker has chosen already."""
    own = bundle.manifest.calibration
    if own is not None and own.file != CALIBRATION:
        return f"the bundle has samples of its own, {own.file}"
    return carried(bundle.manifest, given, answers, clock)


def _ranges(
    model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]], *, ledger: Ledger, told: Told
) -> list[Row]:
    """Note the ranges of each sample, those aside that are known."""
    known = {key: row for key in feeds if (row := ledger.recall(f"ranges {key}")) is not None}
    done = set(known)

    def noted(key: str, row: Row) -> None:
        ledger.note(f"ranges {key}", row)
        done.add(key)
        told("calibration", len(done), len(feeds))

    told("calibration", len(done), len(feeds))
    return list(measured(model, feeds, known=known, told=noted).values())


def _ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Sort by speed, those that pay first.

    Races were run at different times, on a machine that others use, too: what is compared is how many times
    as fast as fp32 each was in its race, and with that the median of fp32 over all races of that runtime.
    """
    fp32_ms = _fp32_ms(outcomes)

    def place(one: Outcome) -> tuple[bool, float]:
        runtime = _pays_on(one, fp32_ms)
        each = [fp32_ms[name] / one.gain(name) for name in one.latency_ms]
        return runtime is None, fp32_ms[runtime] / one.gain(runtime) if runtime else min(each, default=0.0)

    return sorted(outcomes, key=place)


def _fp32_ms(outcomes: Sequence[Outcome]) -> dict[Runtime, float]:
    pairs = [pair for one in outcomes for pair in one.latency_ms.items()]
    return {runtime: median([ms for name, (_, ms) in pairs if name == runtime]) for runtime, _ in pairs}


def _pays_on(outcome: Outcome, fp32_ms: Mapping[Runtime, float]) -> Runtime | None:
    """Return where a recipe is right and faster than fp32 there, the quickest first; None: nowhere."""
    paying = [one for one in RUNTIMES if outcome.passes(one) and outcome.gain(one) >= GAIN_MIN]
    return min(paying, key=lambda one: fp32_ms[one] / outcome.gain(one), default=None)


def _reference(bundle: Bundle) -> bytes:
    variant = next((one for one in bundle.manifest.variants if one.precision == "fp32"), None)
    if variant is None:
        raise BundleRejectedError(f"{bundle.path}: has no variant in fp32 to compare with")
    return bundle.network(variant)


def _key(reference: bytes, manifest: Manifest, split: Split, *, carries: bool) -> str:
    """Name a search: another network, other steps, bounds or samples are another one."""
    said = manifest.model_dump(mode="json", include={"input", "preprocessing", "output", "golden"})
    own = manifest.calibration
    further = own.sha256 if own is not None and (own.file != CALIBRATION or not carries) else carries
    seen = hashlib.sha256(reference)
    known = [
        said,
        *(list(map(questions.digest, part)) for part in (split.calibrating, split.held_out)),
        further,
    ]
    seen.update(json.dumps(known, sort_keys=True).encode())
    return seen.hexdigest()[:12]


def _by_digest(feeds: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {questions.digest(feed): feed for feed in feeds}


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What came of some inputs.

    Attributes:
        exam: Asks them again.
        answers: Of fp32.
        feeds: What the network was given, after all steps of the engine.
    """

    exam: Exam
    answers: list[NDArray[Any]]
    feeds: list[NDArray[Any]]


class _Asking:
    """Asks the fp32 network on the CPU: what is right, and what the engine really gives to a network."""

    def __init__(self, reference: bytes, manifest: Manifest, clock: Clock) -> None:
        self._reference = reference
        self._manifest = manifest
        self._clock = clock

    def parted(self, ways: Iterable[Split]) -> tuple[Split, _Asked]:
        """Return the first way to part the inputs whose held-out ones prove something, and what fp32 says.

        Raises:
            BundleRejectedError: None do.
        """
        for split in ways:
            asked = self.asked(split.held_out)
            reason = questions.nothing_proven(self._manifest, asked.answers)
            if not reason:
                return split, asked
        raise BundleRejectedError(
            f"{self._manifest.name}: of the {len(split.held_out)} samples that were held out ({split.how}) "
            f"{reason}, which proves nothing: give others, or more"
        )

    def asked(self, given: Sequence[Item]) -> _Asked:
        """Ask about these inputs."""
        exam = questions.exam(self._manifest, given, self._clock)
        return _Asked(exam, *self._heard(exam))

    def answers(self, exam: Exam) -> list[NDArray[Any]]:
        """Return what fp32 answers in an exam."""
        return self._heard(exam)[0]

    def _heard(self, exam: Exam) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        manifest = self._manifest
        session = opened(self._reference, "onnxruntime", wiring=wiring(manifest), name=manifest.name)
        recording = Recording(session)
        try:
            return exam.answers(recording, Deadline(self._clock, RUN_S)), recording.given
        except InferenceError as error:
            raise BundleRejectedError(f"{manifest.name}: {error}") from error
        finally:
            recording.close()


def _half(reference: bytes, bench: Bench) -> Verdict:
    """Make half precision, and compare it on the CPU; whether it is faster a GPU says at admission."""
    try:
        return bench.judge(to_fp16(reference), "onnxruntime")
    except BundleRejectedError as error:
        return Verdict(shortfall=str(error))


# ── what is written ────────────────────────────────────────────────────────────────────────────────────────


def _written(bundle: Bundle, result: Quantized, networks: Mapping[str, bytes]) -> Quantized:
    """Put networks, report, variants and agreement into the bundle; the manifest last: it stays whole."""
    folder = bundle.path
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    if result.kept is not None and result.runtime is not None:
        text = _with_variant(text, "int8", INT8, networks[INT8], "cpu")
        text = _with_accuracy(text, "int8", result.kept.verdicts[result.runtime], result)
    if FP16 in networks and result.fp16 is not None:
        text = _with_variant(text, "fp16", FP16, networks[FP16], "gpu")
        text = _with_accuracy(text, "fp16", result.fp16, result)
    files = dict(networks)
    if networks and isinstance(result.carried, Carried):
        files[CALIBRATION] = result.carried.content
        text = _with_calibration(text, result.carried)
    parse(text, origin=str(folder / MANIFEST))
    try:
        for file, content in files.items():
            write_durably(folder / file, content)
        write_durably(folder / REPORT, report(result).encode())
        if networks:
            write_durably(folder / MANIFEST, text.encode())
    except OSError as error:
        raise StorageFullError(f"{folder}: {error.strerror}") from error
    return replace(result, digest=seal(folder / MANIFEST)) if networks else result


def _with_variant(text: str, precision: str, file: str, network: bytes, device: str) -> str:
    entry = {
        "precision": precision,
        "file": file,
        "sha256": f'"{hashlib.sha256(network).hexdigest()}"',
        "devices": f"[{device}]",
    }
    return with_entry(text, ("variants",), entry, instead_of=lambda one: one.get("precision") == precision)


def _with_calibration(text: str, carried: Carried) -> str:
    written = f'{{file: {CALIBRATION}, sha256: "{hashlib.sha256(carried.content).hexdigest()}"}}'
    if value_at(text, ("calibration",)) is None:
        return f"{text.rstrip()}\n\ncalibration: {written}  # samples: they travel with the bundle\n"
    return replaced(text, ("calibration",), written)


def _with_accuracy(text: str, precision: str, verdict: Verdict, result: Quantized) -> str:
    data = f"{precision} against fp32, golden inputs, {result.held_out} held-out samples"
    data += f", {result.carried.samples} carried ones" if isinstance(result.carried, Carried) else ""
    for name, number in verdict.numbers.items():
        entry = {"data": quoted(data), "metric": quoted(name), "value": f"{number:.6f}"}
        text = with_entry(text, ("accuracy",), entry, instead_of=partial(_is_old, precision, name))
    return text


def _is_old(precision: str, metric: str, entry: Mapping[str, Any]) -> bool:
    is_ours = str(entry.get("data", "")).startswith(f"{precision} against fp32")
    return is_ours and entry.get("metric") == metric


def report(result: Quantized) -> str:
    """Return everything that was measured, as JSON."""
    return json.dumps(
        {
            "format": FORMAT,
            "runtimes": dict(VERSIONS),
            "threads": 1,
            "calibration_samples": result.calibrated,
            "held_out_samples": result.held_out,
            "held_out": result.held_out_how,
            "carried_samples": _carried(result.carried),
            "layers": result.layers,
            "kept": None if result.kept is None else result.kept.recipe.words,
            "fp16": None if result.fp16 is None else _verdict(result.fp16),
            "candidates": [
                {
                    "words": one.recipe.words,
                    "reach": one.recipe.reach,
                    "ranges": one.recipe.rule,
                    "layers_in_fp32": sorted(one.recipe.kept),
                    "latency_ms": {name: _pair(pair) for name, pair in one.latency_ms.items()},
                    "agreement": {name: _verdict(verdict) for name, verdict in one.verdicts.items()},
                }
                for one in result.outcomes
            ],
        },
        indent=1,
        ensure_ascii=False,
    )


def _carried(carried: Carried | str) -> dict[str, Any]:
    if isinstance(carried, str):
        return {"count": 0, "because": carried}
    return {"count": carried.samples, "file": CALIBRATION, "bytes": len(carried.content)}


def _pair(pair: tuple[float, float]) -> dict[str, float]:
    return {"int8": round(pair[0], 4), "fp32": round(pair[1], 4)}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    numbers = {name: round(float(number), 6) for name, number in verdict.numbers.items()}
    return {"numbers": numbers, "shortfall": verdict.shortfall}
