"""Which of several forms is used: the fastest, unless what sets it apart from a more careful one is noise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean, median

from edge.inference.forms import CAREFUL_FIRST, Form

# A form must be this much faster than a more careful one, and in so many of the rounds, to be taken instead.
FASTER_BY = 1.05
FASTER_IN = 0.75


def choose(forms: Sequence[Form], rounds_ms: Sequence[Sequence[float]]) -> Form:
    """Return the form to use.

    All ran once in each round, so a busy moment of the machine touches a whole round, and forms are compared
    within a round. Among those that the fastest does not clearly beat the most careful arithmetic wins: fp32.

    Args:
        forms: That passed, at least one.
        rounds_ms: For each round how long each of `forms` took, in their order; at least one round.
    """
    each = range(len(forms))
    typical = [median(round_ms[n] / geometric_mean(round_ms) for round_ms in rounds_ms) for n in each]
    fastest = min(each, key=typical.__getitem__)
    near = [
        n
        for n in each
        if n == fastest or not _clearly_beats([round_ms[n] / round_ms[fastest] for round_ms in rounds_ms])
    ]
    return forms[min(near, key=lambda n: (CAREFUL_FIRST.index(forms[n].precision), typical[n]))]


def _clearly_beats(ratios: Sequence[float]) -> bool:
    won = sum(ratio > 1 for ratio in ratios)
    return median(ratios) >= FASTER_BY and won >= FASTER_IN * len(ratios)
