"""Which of several forms is used: the fastest, unless what sets it apart from a more careful one is noise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean, median

from edge.inference.forms import CAREFUL_FIRST, Form

# A form must be this much faster than a more careful one, and in so many of the rounds, to be taken instead.
FASTER_BY = 1.05
FASTER_IN = 2 / 3


def choose(forms: Sequence[Form], rounds_ms: Sequence[Sequence[float]]) -> Form:
    """Return the form to use.

    All ran once in each round, so a busy moment of the machine touches a whole round, and forms are compared
    within a round. Among those that the fastest does not clearly beat the most careful arithmetic wins: fp32.

    Args:
        forms: That passed, at least one.
        rounds_ms: For each round how long each of `forms` took, in their order; at least one round.
    """
    typical = _typical(rounds_ms)
    fastest = typical.index(min(typical))
    near = [
        number
        for number in range(len(forms))
        if number == fastest or not all(_signs(_ratios(rounds_ms, number, fastest)))
    ]
    return forms[min(near, key=lambda n: (CAREFUL_FIRST.index(forms[n].precision), typical[n]))]


def is_clear(rounds_ms: Sequence[Sequence[float]]) -> bool:
    """Return whether the rounds say of every form that the fastest beats it, or that it does not."""
    typical = _typical(rounds_ms)
    fastest = typical.index(min(typical))
    return all(len(set(_signs(_ratios(rounds_ms, n, fastest)))) == 1 for n in range(len(typical)))


def _typical(rounds_ms: Sequence[Sequence[float]]) -> list[float]:
    """Return for each form how long it takes beside all of its round."""
    return [
        median(one) for one in zip(*([ms / geometric_mean(r) for ms in r] for r in rounds_ms), strict=True)
    ]


def _ratios(rounds_ms: Sequence[Sequence[float]], number: int, fastest: int) -> list[float]:
    return [round_ms[number] / round_ms[fastest] for round_ms in rounds_ms]


def _signs(ratios: Sequence[float]) -> tuple[bool, bool]:
    """Return two signs that a form is clearly beaten: by how much, and how often."""
    return median(ratios) >= FASTER_BY, sum(ratio > 1 for ratio in ratios) >= FASTER_IN * len(ratios)
