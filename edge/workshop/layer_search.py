"""Which layers stay in fp32: by what was measured, accuracy layer by layer and speed on each runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import TensorsData

from edge.domain.errors import BundleRejectedError, InferenceError
from edge.workshop.bench import RUNTIMES, VERSIONS, Bench, Runtime, Verdict
from edge.workshop.calibration import LAYERS, Row, Rule, layers, ranges
from edge.workshop.ledger import Ledger
from edge.workshop.precision import Reach, Recipe, to_int8

RULES_TRIED: Final[tuple[Rule, ...]] = ("average", "percentile")
REACHES: Final[tuple[Reach, ...]] = ("chain", "layers")
NARROW: Final = (16, 32, 64)  # 3-D layers below 32 channels lose in ONNX Runtime (docs/decisions)
GROUPS_MAX: Final = 40  # so many are tried one by one; in deeper networks neighbours go together
FEEDS: Final = 2
KEPT_SHARE_MAX: Final = 0.75  # with more layers in fp32 it is no int8 network any more
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one recipe did.

    Attributes:
        recipe: Which layers, which ranges.
        verdicts: Agreement by runtime.
        latency_ms: By runtime: its own, and that of fp32 measured turn by turn with it; one thread.
    """

    recipe: Recipe
    verdicts: Mapping[Runtime, Verdict] = field(default_factory=dict)
    latency_ms: Mapping[Runtime, tuple[float, float]] = field(default_factory=dict)

    def passes(self, runtime: Runtime) -> bool:
        """Whether its answers are near enough there."""
        verdict = self.verdicts.get(runtime)
        return verdict is not None and not verdict.shortfall

    def gain(self, runtime: Runtime) -> float:
        """How many times faster than fp32; 0 where it was not measured."""
        mine, reference = self.latency_ms.get(runtime, (0.0, 0.0))
        return reference / mine if mine else 0.0


class LayerSearch:
    """Tries recipes; whatever was measured before is not measured again.

    Args:
        model: Prepared.
        rows: Ranges of its numbers, one for each calibration sample.
        bench: Compares with fp32.
        feeds: Inputs of the network that were not used for calibration; the first one is raced with.
        ledger: Remembers.
        told: Hears what is done, how far, and of how much.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        rows: Sequence[Row],
        *,
        bench: Bench,
        feeds: Sequence[NDArray[Any]],
        ledger: Ledger,
        told: Told,
    ) -> None:
        self._model = model
        self._layers = layers(model)
        self._ranges: dict[Rule, TensorsData] = {rule: ranges(rows, rule) for rule in RULES_TRIED}
        self._bench = bench
        self._feeds = feeds[:FEEDS]
        self._ledger = ledger
        self._told = told

    def network(self, recipe: Recipe) -> bytes:
        """Build the network of a recipe."""
        return to_int8(self._model, self._ranges[recipe.rule], recipe)

    def run(self) -> list[Outcome]:
        """Try what may pay, on each runtime, and return what each did.

        Raises:
            BundleRejectedError: The network has no layer that could become int8.
        """
        if not self._layers:
            kinds = ", ".join(LAYERS)
            raise BundleRejectedError(f"no {kinds} with float weights of its own: nothing to quantize")
        whole = self._whole()
        outcomes = [self._raced(recipe, n, len(whole)) for n, recipe in enumerate(self._speedy(whole))]
        fastest = max(outcomes, key=lambda one: max(one.gain(runtime) for runtime in RUNTIMES))
        quick: Runtime = max(RUNTIMES, key=fastest.gain)
        if not any(one.passes(runtime) for one in outcomes for runtime in RUNTIMES if one.gain(runtime) > 1):
            outcomes += [self._raced(recipe, 0, 1) for recipe in self._rescued(whole, quick)]
        return outcomes

    # ── which recipes ──

    def _whole(self) -> list[Recipe]:
        """All layers in int8: for each reach the ranges whose answers are nearest to fp32."""
        chosen = []
        for reach in REACHES:
            tried = [Recipe(reach, rule, words=_words(reach)) for rule in RULES_TRIED]
            likeness = {recipe: self._likeness_db(recipe, "onnxruntime", "ranges") for recipe in tried}
            chosen.append(max(tried, key=lambda recipe: likeness[recipe]))
        return chosen

    def _speedy(self, whole: Sequence[Recipe]) -> list[Recipe]:
        """Those, and the same with layers in fp32 that tend to lose in int8: narrow ones, both ends."""
        recipes = list(whole)
        widths = _widths(self._model)
        for recipe in whole:
            for narrow in NARROW:
                kept = frozenset(name for name in self._layers if widths[name] < narrow)
                recipes.append(
                    replace(recipe, kept=kept, words=f"{_words(recipe.reach)}, from {narrow} channels on")
                )
            ends = frozenset({self._layers[0], *_last(self._model, self._layers)})
            recipes.append(
                replace(recipe, kept=ends, words=f"{_words(recipe.reach)}, first and last ones in fp32")
            )
        distinct = {recipe.digest: recipe for recipe in reversed(recipes) if self._is_int8(recipe)}
        return list(distinct.values())[::-1]

    def _rescued(self, whole: Sequence[Recipe], runtime: Runtime) -> Iterator[Recipe]:
        """Keep the most sensitive layers in fp32, as few as pass."""
        for recipe in whole:
            order = self._by_sensitivity(recipe, runtime)
            low, high = 0, 1
            while not self._passes_with(recipe, order[:high], runtime):
                low, high = high, 2 * high
                if high > KEPT_SHARE_MAX * len(order):
                    break
            else:
                while high - low > 1:
                    middle = (low + high) // 2
                    passes = self._passes_with(recipe, order[:middle], runtime)
                    low, high = (low, middle) if passes else (middle, high)
                yield self._keeping(recipe, order[:high])

    def _keeping(self, recipe: Recipe, groups: Sequence[tuple[str, ...]]) -> Recipe:
        kept = frozenset(name for group in groups for name in group)
        words = f"{_words(recipe.reach)}, the {len(kept)} most sensitive in fp32"
        return replace(recipe, kept=kept, words=words)

    def _passes_with(self, recipe: Recipe, groups: Sequence[tuple[str, ...]], runtime: Runtime) -> bool:
        return not self._verdict(self._keeping(recipe, groups), runtime).shortfall

    def _by_sensitivity(self, recipe: Recipe, runtime: Runtime) -> list[tuple[str, ...]]:
        """Order the layers, or groups of neighbours, by what the answer loses when they alone are int8."""
        size = -(-len(self._layers) // GROUPS_MAX)
        groups = [self._layers[at : at + size] for at in range(0, len(self._layers), size)]
        losses = []
        for number, group in enumerate(groups):
            self._told("layers one by one", number, len(groups))
            alone = replace(recipe, kept=frozenset(self._layers) - set(group))
            losses.append(self._likeness_db(alone, runtime, "alone"))
        return [groups[place] for place in np.argsort(losses, kind="stable")]

    def _is_int8(self, recipe: Recipe) -> bool:
        return len(recipe.kept) <= KEPT_SHARE_MAX * len(self._layers)

    # ── measuring, once ──

    def _raced(self, recipe: Recipe, number: int, count: int) -> Outcome:
        """Measure speed on each runtime, and agreement where that is worth knowing."""
        latency: dict[Runtime, tuple[float, float]] = {}
        verdicts: dict[Runtime, Verdict] = {}
        for runtime in RUNTIMES:
            self._told(f"{recipe.words} on {runtime}", number, count)
            verdicts[runtime] = self._verdict(recipe, runtime)
            seen = self._race(recipe, runtime) if verdicts[runtime].numbers else None
            if seen is not None:
                latency[runtime] = seen
        return Outcome(recipe, verdicts, latency)

    def _verdict(self, recipe: Recipe, runtime: Runtime) -> Verdict:
        key = f"verdict {VERSIONS[runtime]} {recipe.digest}"
        known = self._ledger.recall(key)
        if known is None:
            known = asdict(self._bench.judge(self.network(recipe), runtime))
            self._ledger.note(key, known)
        return Verdict(**known)

    def _race(self, recipe: Recipe, runtime: Runtime) -> tuple[float, float] | None:
        key = f"race {VERSIONS[runtime]} {recipe.digest}"
        known = self._ledger.recall(key)
        if known is None:
            try:
                known = self._bench.race(self.network(recipe), runtime, self._feeds[0])
            except (BundleRejectedError, InferenceError):
                known = ()  # the verdict says why
            self._ledger.note(key, known)
        return (known[0], known[1]) if known else None

    def _likeness_db(self, recipe: Recipe, runtime: Runtime, doing: str) -> float:
        key = f"likeness {VERSIONS[runtime]} {recipe.digest}"
        known = self._ledger.recall(key)
        if known is None:
            if doing == "ranges":
                self._told(f"{recipe.words}, ranges by {recipe.rule}", 0, 1)
            try:
                known = self._bench.likeness_db(self.network(recipe), runtime, self._feeds)
            except (BundleRejectedError, InferenceError):
                known = 0.0
            self._ledger.note(key, known)
        return float(known)


def _words(reach: Reach) -> str:
    return "layers and what lies between" if reach == "chain" else "layers"


def _last(model: onnx.ModelProto, names: Sequence[str]) -> set[str]:
    """Name the layers behind which there is no other: the ends of all branches."""
    inputs_of_layers: set[str] = set()
    last = set()
    for node in reversed(model.graph.node):
        leads_on = not inputs_of_layers.isdisjoint(node.output)
        if node.name in names and not leads_on:
            last.add(node.name)
        if node.name in names or leads_on:
            inputs_of_layers.update(node.input)
    return last


def _widths(model: onnx.ModelProto) -> dict[str, int]:
    """Return the channels of each layer: the fewer of those that come in and go out."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    widths = {}
    for node in model.graph.node:
        shape = shapes.get(node.input[1], ()) if node.op_type in LAYERS else ()
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        if len(shape) >= 2:
            widths[node.name] = min(shape[0], shape[1] * groups)
    return widths
