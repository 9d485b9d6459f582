"""Guesses about networks that answer with one row of numbers: classes, quantities, features, spectra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.workshop.guessed import ONE_STEP, Guess, Said, Seen, exclusive, is_probability
from edge.workshop.network import Network

VECTOR_DECODERS: Final = {"picture-regression": "linear", "picture-embedding": "vector"}
SCORE_WORDS: Final = ("logit", "prob", "score", "class", "softmax")


def spectra(_network: Network, seen: Seen, basis: Any, _said: Said) -> Guess | None:
    """Guess at a network that takes one spectrum a row; None: it does not."""
    answers = seen.answers
    named = list(answers)
    rows = {name: one for name, one in answers.items() if one.ndim == 2 and one.shape[0] == 4}
    if not rows or set(rows) != set(named):
        return None
    first = named[0]
    outputs = {"name": first}
    unsure = ["which wavelengths the values stand for is not in the file"]
    if len(named) == 2 and rows[named[1]].shape == rows[first].shape:
        outputs["uncertainty"] = named[1]
        unsure.append(f"the second output {named[1]!r} was taken for the uncertainty of the first")
    return Guess(
        task="spectra-regression",
        decoder="regression",
        outputs=outputs,
        classes=rows[first].shape[1],
        because=(f"output {first} has a row of {rows[first].shape[1]} for each row of the input",),
        unsure=tuple(unsure),
        **basis,
    )


def vector(_network: Network, seen: Seen, basis: Any, said: Said) -> Guess | None:
    """Guess at a network that answers a picture with one row of numbers; None: it does not."""
    answers = seen.answers
    vectors = {name: one for name, one in answers.items() if _is_row(one)}
    if not vectors:
        return None
    name = _of_classes({name: one.size for name, one in vectors.items()}, said.classes)
    one, task = vectors[name], said.task
    count, named = one.size, basis["names"]
    decoder, why = exclusive(seen.values(name).reshape(-1, count), axis=1)
    inside = is_probability(seen.values(name))
    unsure = [f"{name} was taken of {', '.join(vectors)}"] if len(vectors) > 1 else []
    if task in ("picture-regression", "picture-embedding"):
        why = f"taken for {task.removeprefix('picture-')}, as was said"
    elif count >= 128 and not named and abs(float(np.linalg.norm(one)) - 1) < 10 * ONE_STEP:
        task, why = "picture-embedding", "its length is 1"
    else:
        task = "picture-classification"
        if not named and count != said.classes:
            unsure.append(
                f"{count} numbers may be classes, quantities (--task picture-regression) or features "
                "(--task picture-embedding): classes was taken"
            )
        if decoder == "softmax" and not inside:
            unsure.append(
                "that classes exclude each other was taken; where several may be there at once, "
                "the decoder is sigmoid"
            )
    return Guess(
        task=task,
        decoder=VECTOR_DECODERS.get(task) or ("probabilities" if inside else decoder),
        outputs={"name": name},
        classes=count,
        because=(f"output {name} is {count} numbers for the whole picture; {why}",),
        unsure=tuple(unsure),
        **basis,
    )


def _is_row(one: NDArray[Any]) -> bool:
    """Whether an answer is one row of numbers: pooled maps keep sides of 1, and some files drop the batch."""
    if one.ndim == 1:
        return one.size > 0
    return one.ndim > 1 and one.shape[0] == 1 and one.size == one.shape[1] > 0


def _of_classes(widths: Mapping[str, int], classes: int) -> str:
    """Choose among vectors the one with a number for each class: as many as were named, or called so."""
    fitting = [name for name, width in widths.items() if width == classes] or list(widths)
    return next((name for name in fitting if any(word in name.lower() for word in SCORE_WORDS)), fitting[0])
