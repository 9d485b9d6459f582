"""Spectra as text: two columns of numbers, in whatever dialect a spectrometer or spreadsheet writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.domain.errors import FormatError, UnsupportedError
from edge.formats.spectrum_points import FILE_BYTES_MAX, POINTS_MAX, Kind, Points

_LINES_TRIED = 2000
_LINE_MAX = 1000
_HEADER_LINES_MAX = 1000
_STRAY_LINES_MAX = 2  # pairs of numbers in a header: `1024 2`
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eEdD][+-]?\d{1,3})?")
_COMMENTS = ("#", "%", "!", "//", "'")
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_AXIS_LINE = re.compile(r"\bx[\s_-]*(?:units?|label|axis)|\baxis\b", re.IGNORECASE)
_POINT_COUNT = re.compile(r"^\W*npoints\b[\s=:;,]*(\d{1,9})\W*$", re.IGNORECASE)
_UNITS: tuple[tuple[re.Pattern[str], Literal["nm", "um", "cm-1"]], ...] = (
    (
        re.compile(r"cm\s*\^?\s*[-−⁻]\s*[1¹]|\b1\s*/\s*cm\b|wave\s*number|raman\s*shift", re.IGNORECASE),
        "cm-1",
    ),
    (re.compile(r"\bnm\b|nanomet", re.IGNORECASE), "nm"),
    (re.compile(r"(?<!\w)[µμu]m\b|micromet|micron", re.IGNORECASE), "um"),
)
_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"raman", re.IGNORECASE), "raman"),
    (re.compile(r"infra-?red|\bft-?ir\b|absorbance|transmittance|transmission", re.IGNORECASE), "infrared"),
    (re.compile(r"reflectance|reflectivity", re.IGNORECASE), "reflectance"),
)

Pair = tuple[float, float]
Splits = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a line is written: what stands between the columns, and before the decimals."""

    splits: Splits
    decimal: str

    def numbers(self, line: str) -> list[float] | None:
        """Return the numbers of a line, or None where there is anything else."""
        if len(line) > _LINE_MAX:
            return None
        fields = [field.strip().strip("\"'").strip() for field in self.splits(line.rstrip(" \t;,"))]
        if self.decimal == ",":
            fields = [field.replace(",", ".") if "." not in field else "" for field in fields]
        if not fields or not all(_NUMBER.fullmatch(field) for field in fields):
            return None
        return [float(field.replace("d", "e").replace("D", "e")) for field in fields]


DIALECTS = (
    Dialect(lambda line: line.split("\t"), "."),
    Dialect(lambda line: line.split("\t"), ","),
    Dialect(lambda line: line.split(";"), "."),
    Dialect(lambda line: line.split(";"), ","),
    Dialect(lambda line: line.split(","), "."),
    Dialect(str.split, "."),
    Dialect(str.split, ","),
)


def parse(content: bytes) -> Points:
    """Parse a spectrum of two columns.

    Columns may be divided by tabs, semicolons, commas or blanks, decimals by a point or a comma; lines before
    and behind the numbers are kept as what the file says of itself; comments and blank lines may stand
    anywhere.

    Raises:
        FormatError: It is no text, holds no two columns, or they are interrupted or cut off.
        UnsupportedError: It has more than two columns.
    """
    if len(content) > FILE_BYTES_MAX:
        raise FormatError(f"a text of {len(content)} bytes, wanted at most {FILE_BYTES_MAX}")
    lines = _text(content).splitlines()
    dialect = _dialect(lines)
    first, pairs = _block(lines, dialect)
    header = [line[:_LINE_MAX] for line in lines[:first] if line.strip()][-_HEADER_LINES_MAX:]
    _check_count(header, len(pairs))
    table = np.array(pairs, np.float64)
    titles = [line for line in header if _AXIS_LINE.search(line)] + header[-1:]
    return Points(
        axis=np.ascontiguousarray(table[:, 0]),
        values=np.ascontiguousarray(table[:, 1]),
        axis_unit=next((unit for said, unit in _UNITS if any(map(said.search, titles))), None),
        kind=next((kind for said, kind in _KINDS if any(map(said.search, header))), None),
    )


def _text(content: bytes) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as trouble:
                raise FormatError(f"no text: damaged {encoding}") from trouble
    if b"\0" in content:
        raise FormatError("no text: it holds bytes that are zero")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _dialect(lines: Sequence[str]) -> Dialect:
    """Choose the dialect in which most lines are two numbers."""
    tried = [line for line in lines if line.strip() and not _is_comment(line)]
    # From the middle, where no header is; a short file as a whole.
    start = max(0, (len(tried) - _LINES_TRIED) // 2)
    tried = tried[start : start + _LINES_TRIED]
    best, most = DIALECTS[0], 0
    widest = 0
    for dialect in DIALECTS:
        widths = [len(found) for line in tried if (found := dialect.numbers(line)) is not None]
        widest = max(widest, *widths, 0)
        if widths.count(2) > most:
            best, most = dialect, widths.count(2)
    if most == 0 and widest > 2:
        raise UnsupportedError(f"a table of {widest} columns, wanted two: axis and value")
    if most == 0:
        raise FormatError("no line holds two numbers, wanted two columns: axis and value")
    return best


def _block(lines: Sequence[str], dialect: Dialect) -> tuple[int, list[Pair]]:
    """Return where the columns begin, and all their pairs: one block, with nothing foreign in it."""
    blocks: list[tuple[int, list[Pair]]] = []
    is_open = False
    for number, line in enumerate(lines):
        if not line.strip() or _is_comment(line):
            continue
        numbers = dialect.numbers(line)
        if numbers is None or len(numbers) != 2:
            is_open = False
            if numbers is not None and blocks and len(blocks[-1][1]) > _STRAY_LINES_MAX:
                raise FormatError(
                    f"line {number + 1} has {len(numbers)} numbers, the others 2: is it cut off?"
                )
            continue
        if not is_open:
            blocks.append((number, []))
            is_open = True
        pairs = blocks[-1][1]
        pairs.append((numbers[0], numbers[1]))
        if len(pairs) > POINTS_MAX:
            raise FormatError(f"more than {POINTS_MAX} lines of numbers")
    *strays, last = blocks
    if any(len(pairs) > _STRAY_LINES_MAX for _, pairs in strays) or len(last[1]) <= _STRAY_LINES_MAX:
        at = blocks[1][0] if len(blocks) > 1 else last[0]
        raise FormatError(
            f"the columns are interrupted before line {at + 1}, wanted one table of two columns"
        )
    return last


def _check_count(header: Sequence[str], seen: int) -> None:
    """Compare the number of points with what the header announces, where it does."""
    for line in header:
        found = _POINT_COUNT.match(line)
        if found and int(found[1]) != seen:
            raise FormatError(f"{seen} points, the header announces {found[1]}: is the file cut off?")


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(_COMMENTS)
