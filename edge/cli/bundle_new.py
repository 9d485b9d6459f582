"""`edge bundle new`: a bundle from a bare ONNX file; on a terminal it asks for what the file does not say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast, get_args

import typer

from edge.cli.rows import console, printable
from edge.domain.errors import BundleRejectedError
from edge.workshop.answers import NUMBERS, Answers, Numbers
from edge.workshop.guessed import Guess
from edge.workshop.scaffold import Sketch, sketch, write

_Said = TypeVar("_Said")


def run(file: Path, *, name: str, task: str | None, out: Path, answers: Answers, is_asked: bool) -> int:
    """Read, say what was seen, ask, write.

    Args:
        file: The network.
        name: Of the bundle.
        task: What it does, or None to go by its shapes.
        out: Folder that will hold the bundle.
        answers: What the command line says.
        is_asked: Ask for the rest, where somebody sits at a terminal.

    Raises:
        BundleRejectedError: No bundle can be made of it; the message says why.
        StorageFullError: The bundle cannot be written.
    """
    seen = sketch(file, task=task, classes=_counted(answers))
    _tell(seen)
    if is_asked and sys.stdin.isatty():
        named = len(answers.classes)
        answers = _asked(seen.guess, answers)
        if len(answers.classes) != named:  # how many there are may tell what shapes alone do not
            seen = _seen_again(seen, sketch(file, task=task, classes=_counted(answers)))
    _tell_miscount(seen.guess, answers)
    written = write(seen, answers, name=name, into=out)
    typer.echo(f"\nwritten: {written.folder}")
    if written.open_places:
        manifest = written.folder / "manifest.yaml"
        typer.echo(f"to be filled in: {len(written.open_places)} places marked EDIT: in {manifest}")
        for path, wanted in written.open_places:
            typer.echo(f"  {path}: {wanted}")
    typer.echo(
        f"then: edge bundle golden {written.folder}, edge bundle quantize {written.folder} --samples …"
    )
    return 0


def class_names(given: str | None) -> tuple[str, ...]:
    """Read names of classes: words with commas between them, or a file with one in each line.

    Raises:
        BundleRejectedError: The file is no text.
    """
    if given is None:
        return ()
    path = Path(given)
    try:
        words = path.read_text().splitlines() if path.is_file() else given.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleRejectedError(f"{given}: no list of names: {error}") from error
    return tuple(word.strip() for word in words if word.strip())


def _counted(answers: Answers) -> int:
    """Return how many classes were named, a background aside."""
    return sum(name.lower().strip("_") != "background" for name in answers.classes)


def _tell(seen: Sketch) -> None:
    guess = seen.guess
    said = console()
    said.print(f"{guess.task}, decoder {guess.decoder or 'to be chosen'}", markup=False)
    for line in (*guess.because, *seen.network.notes):
        said.print(f"  {printable(line)}", markup=False, soft_wrap=True)
    for line in guess.unsure:
        said.print(f"  to be checked: {printable(line)}", markup=False, soft_wrap=True)


def _seen_again(before: Sketch, seen: Sketch) -> Sketch:
    """Say so where the names make another network of it; what is said of its parts is in the manifest."""
    if (before.guess.decoder, before.guess.outputs) != (seen.guess.decoder, seen.guess.outputs):
        typer.echo("\nWith so many names it is something else:")
        _tell(seen)
    return seen


def _tell_miscount(guess: Guess, answers: Answers) -> None:
    """Say so where more names, or fewer, were given than the network tells apart; some count background."""
    count, said = guess.classes, len(answers.classes)
    counts_background = guess.decoder == "candidates" or guess.task == "volume-segmentation"
    if not count or not said or said == count or (counts_background and said == count - 1):
        return
    typer.echo(f"  to be checked: {said} names were given, and the network has {count}")


# ── asking ─────────────────────────────────────────────────────────────────────────────────────────────────


def _asked(guess: Guess, answers: Answers) -> Answers:
    """Ask for what is not known; an empty line leaves it to be filled in later."""
    typer.echo("\nAn empty answer leaves the place marked in the manifest.")
    answers = replace(
        answers,
        licence=answers.licence or _words("licence of the weights (SPDX)"),
        looked_for=answers.looked_for
        or _words("what does it look for, in words for the reader of a finding"),
        intended_use=answers.intended_use or _words("intended use"),
    )
    if not (answers.classes or guess.names) and guess.task != "picture-embedding":
        count = f"{guess.classes} " if guess.classes else ""
        answers = replace(
            answers, classes=class_names(_words(f"names of the {count}classes, with commas, or a file"))
        )
    if guess.task == "volume-segmentation":
        return replace(
            answers,
            modality=answers.modality or _words("modality of the volumes (CT, MR, PT)"),
            spacing_mm=answers.spacing_mm or _read("edge of a voxel in training, mm", float),
        )
    if guess.task == "spectra-regression":
        return answers
    if guess.channels == 3 and answers.channels is None:
        order = _one_of("order of the colours in training", ("RGB", "BGR"))
        answers = replace(answers, channels=cast("None", order))
    if answers.numbers is None:
        for key, meaning in NUMBERS.items():
            typer.echo(f"  {key}: {meaning}")
        answers = replace(
            answers, numbers=cast(Numbers | None, _one_of("numbers it was trained on", get_args(Numbers)))
        )
    threshold = answers.threshold or _read("score from which on something is there, 0 to 1", float)
    return replace(answers, threshold=threshold)


def _words(question: str) -> str | None:
    return typer.prompt(question, default="", show_default=False).strip() or None


def _one_of(question: str, words: tuple[str, ...]) -> str | None:
    while (said := _words(f"{question} ({', '.join(words)})")) not in (None, *words):
        typer.echo(f"  one of {', '.join(words)}, or nothing")
    return said


def _read(question: str, kind: Callable[[str], _Said]) -> _Said | None:
    while True:
        said = _words(question)
        if said is None:
            return None
        try:
            return kind(said)
        except ValueError:
            typer.echo("  a number, or nothing")
