"""The manifest and the card of a new bundle: what is known is written down, the rest is marked."""

from __future__ import annotations

from collections.abc import Iterator

from edge.workshop.answers import Answers
from edge.workshop.guessed import Guess
from edge.workshop.network import Network
from edge.workshop.picture_text import UNSEALED, picture_lines
from edge.workshop.text_parts import edit, known
from edge.workshop.volume_text import spectra_lines, volume_lines

USE = "what it looks for, in what, and what it is not for; research use, not a medical device"


def manifest_text(network: Network, guess: Guess, answers: Answers, *, name: str, file: str) -> str:
    """Write the manifest of a new bundle.

    Args:
        network: As it was read.
        guess: What it seems to do.
        answers: What a person has said.
        name: Of the bundle.
        file: What the network is called in the bundle.
    """
    return (
        "\n".join([*_head(network, guess, answers, name=name), *_task(network, guess, answers), *_tail(file)])
        + "\n"
    )


def _head(network: Network, guess: Guess, answers: Answers, *, name: str) -> Iterator[str]:
    yield "# Written by `edge bundle new`. What begins with EDIT: must be filled in, else it is refused."
    yield "# docs/bundle-format.md explains every key. What was seen in the file:"
    for line in (*guess.because, *network.notes):
        yield f"#   {line}"
    for line in guess.unsure:
        yield f"#   to be checked: {line}"
    for key, value in list(network.metadata.items())[:16]:
        yield f"#   metadata {key}: {' '.join(value.split())[:80]}"
    yield f"#   opset {network.opset}, made by {network.producer or 'nobody who says so'}"
    yield "format: edge.bundle/1"
    yield f"task: {guess.task}"
    yield f"name: {name}"
    yield "version: 0.1.0"
    licence = answers.licence or guess.licence or None
    yield f"licence: {known(licence, 'SPDX identifier of the weights: Apache-2.0, AGPL-3.0 …')}"
    yield f"intended_use: {known(answers.intended_use, USE)}"
    yield ""


def _task(network: Network, guess: Guess, answers: Answers) -> Iterator[str]:
    given, dtype = network.given.name, network.given.dtype
    if guess.task == "volume-segmentation":
        yield from volume_lines(guess, answers, given=given)
    elif guess.task == "spectra-regression":
        yield from spectra_lines(guess, answers, given=given)
    else:
        yield from picture_lines(guess, answers, dtype=dtype, given=given)


def _tail(file: str) -> Iterator[str]:
    yield ""
    yield "variants:                       # `edge bundle quantize` adds int8 and fp16 where they pay"
    yield "  - precision: fp32"
    yield f"    file: {file}"
    yield f'    sha256: "{UNSEALED}"'
    yield "    devices: [cpu, gpu]"
    yield ""
    yield "accuracy:                       # without a value it counts as not measured, and findings say so"
    yield "  - {data: nothing yet, metric: not measured}"
    yield ""
    yield "provenance:"
    yield "  script: CARD.md               # what makes the network again, if it is here"
    yield "  trained_on:"
    yield f"    - {{name: {edit('what it was trained on')}, licence: {edit('SPDX identifier, or unknown')}}}"
    yield ""
    yield "documents:                      # after a change to one of them: edge bundle seal"
    yield f'  - {{file: CARD.md, sha256: "{UNSEALED}"}}'


def card_text(network: Network, guess: Guess, *, name: str, source: str) -> str:
    """Write the skeleton of the card: what nobody has measured is NOT_ASSESSED."""
    seen = "\n".join(f"- {line}" for line in (*guess.because, *network.notes))
    checks = (
        "\n".join(f"- [ ] {line}" for line in guess.unsure)
        or "- [ ] labels, codes and thresholds in manifest.yaml"
    )
    outputs = ", ".join(str(answer) for answer in network.answers)
    return f"""# {name}

For research use. Not a medical device; nobody may decide about a patient by what it says.

## What it does
{guess.task}, from `{source}`: input {network.given}; outputs {outputs}. What was seen in the file:

{seen}

To be checked by a person:

{checks}

## Accuracy
| data | metric | value |
|---|---|---|
| held-out data of its training | | NOT_ASSESSED |
| data of this site | | NOT_ASSESSED |

Nothing has been measured here. A finding of this bundle is a guess until somebody has.

## What it was trained on
NOT_ASSESSED: fill in the data, their number, their licences, and who is not in them.

## Where it fails
NOT_ASSESSED: fill in what it was seen to miss and to make up.

## Precision
`edge bundle quantize` writes what int8 and fp16 change into quantization.json.
"""
