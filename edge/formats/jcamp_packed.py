"""The packed numbers of JCAMP-DX: PAC, SQZ, DIF and DUP beside plain AFFN, with every check they carry.

Letters stand for leading digits (McDonald and Wilks, Appl. Spectrosc. 42 (1988) 151, table VII): SQZ a value,
DIF a difference to the value before, DUP how often the item before stands in all. Behind a line that ends in
a difference, the next line's first value repeats the last one: the check for lost characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.domain.errors import FormatError

_SQZ = {letter: digit for digit, letter in enumerate("@ABCDEFGHI")} | {
    letter: -digit for digit, letter in enumerate("abcdefghi", start=1)
}
_DIF = {letter: digit for digit, letter in enumerate("%JKLMNOPQR")} | {
    letter: -digit for digit, letter in enumerate("jklmnopqr", start=1)
}
_DUP = {letter: digit for digit, letter in enumerate("STUVWXYZs", start=1)}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[Ee][+-]\d{1,3})?"
_ITEM = re.compile(rf"[\s,]*(?:({_NUMBER})|([@A-Ia-i])(\d*)|([%J-Rj-r])(\d*)|([S-Zs])(\d*))")
_LEAD = re.compile(_NUMBER)
_DIGITS_MAX = 15


@dataclass(slots=True)
class Line:
    """One line, unpacked.

    Attributes:
        x: The number it begins with.
        values: Its ordinates.
        ends_in_difference: Whether the next line repeats the last one.
    """

    x: float
    values: list[float] = field(default_factory=list)
    ends_in_difference: bool = False


def unpack(lines: Iterable[str], *, points_max: int) -> list[Line]:
    """Unpack the lines of (X++(Y..Y)); the ordinate that repeats the line before is checked and left out.

    Args:
        lines: Without comments.
        points_max: More ordinates than this are refused.

    Raises:
        FormatError: A line holds something else, or does not begin with what the line before ended in.
    """
    unpacked: list[Line] = []
    count = 0
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        line = _unpack_line(text.strip(), number, points_max=points_max)
        before = unpacked[-1] if unpacked else None
        if before is not None and before.ends_in_difference and line.values:
            repeated = line.values.pop(0)
            if repeated != before.values[-1]:
                raise FormatError(
                    f"data line {number} begins with {repeated:g}, "
                    f"the one before ended in {before.values[-1]:g}"
                )
        if not line.values:
            continue  # a last line that only repeats
        count += len(line.values)
        if count > points_max:
            raise FormatError(f"more than {points_max} ordinates")
        unpacked.append(line)
    return unpacked


def _unpack_line(text: str, number: int, *, points_max: int) -> Line:
    lead = _LEAD.match(text)
    if lead is None:
        raise FormatError(f"data line {number} begins with {text[:20]!r}, wanted a number")
    line = Line(float(lead[0]))
    step: float | None = None  # the difference that a DUP would repeat
    at = lead.end()
    while at < len(text):
        item = _ITEM.match(text, at)
        if item is None or item.end() == at:
            rest = text[at:].strip(" \t,")
            if not rest:
                break
            raise FormatError(f"data line {number} holds {rest[:20]!r}, wanted AFFN, PAC, SQZ, DIF or DUP")
        at = item.end()
        plain, squeezed, squeezed_rest, differs, differs_rest, repeats, repeats_rest = item.groups()
        if plain is not None:
            line.values.append(float(plain))
            step = None
        elif squeezed is not None:
            line.values.append(_joined(_SQZ[squeezed], squeezed, squeezed_rest, number))
            step = None
        elif differs is not None:
            if not line.values:
                raise FormatError(f"data line {number} begins with a difference, wanted a value")
            step = _joined(_DIF[differs], differs, differs_rest, number)
            line.values.append(line.values[-1] + step)
        else:
            _repeat(line, step, int(_joined(_DUP[repeats], "", repeats_rest, number)), number, points_max)
        line.ends_in_difference = step is not None
    return line


def _joined(leading: int, letter: str, rest: str, number: int) -> float:
    """Put the digit that a letter stands for before the digits that follow it."""
    if len(rest) > _DIGITS_MAX:
        raise FormatError(f"data line {number} holds a number of {len(rest) + 1} digits")
    is_negative = leading < 0 or letter.islower()
    size = int(f"{abs(leading)}{rest}")
    return float(-size if is_negative else size)


def _repeat(line: Line, step: float | None, count: int, number: int, points_max: int) -> None:
    """Repeat the item before until it stands `count` times in all."""
    if not line.values or count < 1:
        raise FormatError(f"data line {number} repeats nothing {count} times")
    if len(line.values) + count > points_max:
        raise FormatError(
            f"data line {number} repeats an ordinate {count} times, more than {points_max} in all"
        )
    for _ in range(count - 1):
        line.values.append(line.values[-1] + (step or 0.0))
