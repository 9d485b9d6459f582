"""What a bare network is for, as far as its shapes, its answers and its exporter's notes tell; and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import BundleRejectedError
from edge.workshop.guess_detectors import boxes, centres, detector
from edge.workshop.guess_levels import levels
from edge.workshop.guess_maps import mask, volume
from edge.workshop.guess_rows import spectra, vector
from edge.workshop.guessed import Arrays, Guess, Layout, Said, Seen
from edge.workshop.network import Network, Port, class_names, run_once, whole_numbers

# Tried in this order where a side is free.
PICTURE_SIDES: Final = (256, 224, 320, 512, 640, 384, 448, 416, 128, 64, 32, 299, 1024)
TO_BE_WRITTEN: Final = ("picture-detection", "picture-keypoints", "picture-segmentation")
VOLUME_SIDES: Final = (32, 64, 96)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """How the input is laid out."""

    layout: Layout
    channels: int
    sides: tuple[int, ...]
    because: str


def guess(network: Network, said: Said) -> Guess:
    """Say what a network seems to be for.

    It is run twice on the CPU, on noise, where its sides allow: shapes of outputs are often not written down.

    Args:
        network: As it was read.
        said: What the person who asks says of it: two networks of one shape may differ in that alone.

    Raises:
        BundleRejectedError: The shapes fit no task, or not the one that was named.
    """
    task = said.task
    given = _given(network.given)
    seen = _tried(network, given)
    given = _settled(network, given, seen)
    found = _by_shapes(network, given, seen, said)
    if task is not None and found.task != task:
        raise BundleRejectedError(
            f"{network.given}; {_listed(seen.answers)}: looks like {found.task}, not like {task}"
        )
    return found


def _listed(answers: Arrays) -> str:
    return "outputs " + ", ".join(f"{name} {one.dtype} {one.shape}" for name, one in answers.items())


# ── the input ──────────────────────────────────────────────────────────────────────────────────────────────


def _given(port: Port) -> Given:
    shape = port.shape or ()
    sides = tuple(side if isinstance(side, int) else 0 for side in shape)
    if len(sides) == 2 and sides[1]:
        return Given(
            layout="NC", channels=sides[1], sides=(), because=f"input {port}: rows of {sides[1]} values"
        )
    if len(sides) == 4:
        return _planes(port, sides, ("NCHW", "NHWC"), (3, 1))
    if len(sides) == 5:
        return _planes(port, sides, ("NCDHW", "NDHWC"), (1, 2, 3, 4))
    raise BundleRejectedError(
        f"input {port}: wanted (1, channels, height, width), (1, channels, depth, height, width), the same "
        "with the channels last, or (spectra, bands)"
    )


def _planes(
    port: Port, sides: tuple[int, ...], layouts: tuple[Layout, Layout], known: Sequence[int]
) -> Given:
    first, last = sides[1], sides[-1]
    if first in known:
        return Given(
            layout=layouts[0],
            channels=first,
            sides=sides[2:],
            because=f"input {port}: {first} channels come first",
        )
    if last in known:
        return Given(
            layout=layouts[1],
            channels=last,
            sides=sides[1:-1],
            because=f"input {port}: {last} channels come last",
        )
    pile = (
        "; neighbouring slices or frames as channels are not read here, wanted one at a time"
        if len(sides) == 4
        else ""
    )
    raise BundleRejectedError(
        f"input {port}: neither the second nor the last axis is {' or '.join(map(str, known))} channels{pile}"
    )


# ── trying it ──────────────────────────────────────────────────────────────────────────────────────────────


def _tried(network: Network, given: Given) -> Seen:
    """Run the network on noise, at its size or the first it takes; then on other inputs."""
    if given.layout == "NC":
        return Seen((), run_once(network, _noise(network.given.dtype, (4, given.channels))))
    named = whole_numbers(network.metadata, "imgsz")
    usual = VOLUME_SIDES if len(given.sides) == 3 else (*(named[:1]), *PICTURE_SIDES)
    trouble = ""
    usual = (0,) if all(given.sides) else usual
    for side in usual:
        sides = tuple(fixed or side for fixed in given.sides)
        try:
            answers = _run(network, given, sides)
        except BundleRejectedError as error:
            trouble = trouble or str(error)
            continue
        return Seen(sides, answers, _more(network, given, sides, answers))
    if all(given.sides):
        raise BundleRejectedError(f"input {network.given}: the network does not run on it; {trouble}")
    raise BundleRejectedError(
        f"input {network.given}: says that sides are free, and runs with none of "
        f"{', '.join(map(str, usual))}; wanted the sides it was made for, fixed in the file; {trouble}"
    )


def _settled(network: Network, given: Given, seen: Seen) -> Given:
    """Fix the sides of a network that says they are free, and runs with no others."""
    if all(given.sides):
        return given
    for more in (64, 128, 192):
        pairs = zip(given.sides, seen.sides, strict=True)
        try:
            _run(network, given, tuple(fixed or tried + more for fixed, tried in pairs))
        except BundleRejectedError:
            continue
        return given
    sides = " x ".join(map(str, seen.sides))
    because = f"{given.because}; it says that sides are free, and runs with {sides} alone"
    return replace(given, sides=seen.sides, because=because)


def _more(network: Network, given: Given, sides: tuple[int, ...], first: Arrays) -> tuple[Arrays, ...]:
    """Run it on black, on white, and on bytes: what is a probability on noise alone may be none."""
    noise = _noise(network.given.dtype, _shape(given, sides))
    white = 255 if noise.dtype == np.uint8 else 1
    tries = (np.zeros_like(noise), np.full_like(noise, white), noise if white == 255 else noise * 255)
    answers = (run_once(network, one) for one in tries)
    shapes = {name: one.shape for name, one in first.items()}
    return tuple(one for one in answers if {name: array.shape for name, array in one.items()} == shapes)


def _run(network: Network, given: Given, sides: tuple[int, ...]) -> Arrays:
    return run_once(network, _noise(network.given.dtype, _shape(given, sides)))


def _shape(given: Given, sides: tuple[int, ...]) -> tuple[int, ...]:
    is_first = given.layout[1] == "C"
    return (1, given.channels, *sides) if is_first else (1, *sides, given.channels)


def _noise(dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    random = np.random.default_rng(0)
    if dtype == "uint8":
        return random.integers(0, 256, shape).astype(np.uint8)
    return random.random(shape, np.float32)


def _multiple(network: Network, given: Given) -> int:
    """Find by trying which multiples free sides must be of: 1, 2, 4 … 64."""
    top = 128 if len(given.sides) == 2 else 64
    for multiple in (1, 2, 4, 8, 16, 32):
        sides = tuple(fixed or top + multiple for fixed in given.sides)
        try:
            answers = _run(network, given, sides)
        except BundleRejectedError:
            continue
        if _keeps(answers, sides):
            return multiple
    return 64


def _keeps(answers: Arrays, sides: tuple[int, ...]) -> bool:
    """Whether every answer that is a map lies evenly over the input: its sides are whole parts of that's."""
    count = len(sides)
    maps = [one.shape for one in answers.values() if one.ndim == count + 2 or one.dtype == np.uint8]
    return all(
        any(
            all(part and whole % part == 0 for whole, part in zip(sides, shape[at:], strict=False))
            for at in range(1, len(shape) - count + 1)
        )
        for shape in maps
    )


# ── the answers ────────────────────────────────────────────────────────────────────────────────────────────


def _by_shapes(network: Network, given: Given, seen: Seen, said: Said) -> Guess:
    task = said.task
    names = class_names(network.metadata)
    multiple = _multiple(network, given) if given.sides and not all(given.sides) else 1
    if not all(given.sides):
        multiple = max(multiple, *whole_numbers(network.metadata, "stride"), 1)
    basis: Any = {
        "layout": given.layout,
        "channels": given.channels,
        "sides": given.sides,
        "multiple": multiple,
        "names": names,
        "licence": network.metadata.get("license", "").split(" ")[0],
        "exporter": network.metadata.get("author", ""),
        "side_usual": max(whole_numbers(network.metadata, "imgsz"), default=0),
    }
    is_volume = len(seen.sides) == 3 or task == "volume-segmentation"  # slice by slice, if somebody says so
    rules = (spectra,) if given.layout == "NC" else (volume,) if is_volume else PICTURE_RULES
    guesses = [found for rule in rules if (found := rule(network, seen, basis, said)) is not None]
    guesses = _as_named(guesses, said.classes)
    fitting = next((found for found in guesses if task in (None, found.task)), None)
    if fitting is not None:
        read = fitting.outputs.values() if fitting.decoder else seen.answers
        unread = [name for name in seen.answers if name not in read]
        notes = [f"output {name} is not read" for name in unread]
        return replace(fitting, because=(given.because, *fitting.because, *notes))
    if task in TO_BE_WRITTEN:
        wanted = "how its outputs are read: docs/bundle-format.md has the decoders"
        because = (given.because, _listed(seen.answers))
        return Guess(task=task, decoder="", outputs={}, classes=0, because=because, unsure=(wanted,), **basis)
    if guesses:
        return guesses[0]
    raise BundleRejectedError(
        f"{network.given}; {_listed(seen.answers)}: fits no task that is known here; "
        "export it with boxes, scores and labels, or with one map"
        + ("; or --task says what it does" if task is None else f"; {task} was said")
    )


def _as_named(guesses: list[Guess], classes: int) -> list[Guess]:
    """Put scores of the whole picture before a map beside them, where it is they that fit the names."""
    if (
        not guesses
        or guesses[0].task != "picture-segmentation"
        or guesses[0].classes in (classes, classes - 1)
    ):
        return guesses
    return sorted(guesses, key=lambda one: (one.task, one.classes) != ("picture-classification", classes))


PICTURE_RULES: Final = (detector, boxes, levels, centres, mask, vector)
