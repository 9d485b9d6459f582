"""Which files make up a cube, and which of its neighbours are its references: told by their names."""

from __future__ import annotations

from pathlib import Path

from edge.domain.errors import FormatError

ENVI_ENDS = (".raw", ".img", ".dat", ".bin", ".bsq", ".bil", ".bip", ".hyspex")
TIFF_ENDS = (".tif", ".tiff")
NPZ_ENDS = (".npz",)
_LIST_ENDS = (".wavelengths.txt", ".wavelengths.csv", ".wavelengths")
_LIST_NAMES = ("wavelengths.txt", "wavelengths.csv")
_WHITE = ("WHITEREF_{}", "white_{}", "{}_white", "{}-white", "WHITEREF", "white")
_DARK = ("DARKREF_{}", "dark_{}", "{}_dark", "{}-dark", "DARKREF", "dark")


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files of one cube, the one that is read first first.

    Args:
        path: Any of them: an ENVI header or binary, a TIFF stack, an archive.

    Returns:
        (header, binary), (stack, list of wavelengths), or one file alone.

    Raises:
        FormatError: The header or the binary of an ENVI cube is not there.
    """
    name = path.name.lower()
    if name.endswith(NPZ_ENDS):
        return (path,)
    if name.endswith(TIFF_ENDS):
        found = list_beside(path)
        return (path,) if found is None else (path, found)
    header = path if name.endswith(".hdr") else header_of(path)
    if header is None:
        return (path,)
    binary = binary_of(header)
    if binary is None:
        raise FormatError(f"the binary of the ENVI header is missing, wanted one of {', '.join(ENVI_ENDS)}")
    return (header, binary)


def binary_of(header: Path) -> Path | None:
    """Return the binary beside a header: for `a.hdr` `a`, `a.raw`, `a.img` …; for `a.raw.hdr` `a.raw`."""
    stem = header.name[: -len(".hdr")]
    ends = ("", *ENVI_ENDS, *(end.upper() for end in ENVI_ENDS))
    return next((found for end in ends if (found := header.with_name(stem + end)).is_file()), None)


def header_of(binary: Path) -> Path | None:
    """Return the header beside a binary, or None."""
    if binary.name.lower().endswith(".hdr"):
        return None
    names = [binary.with_name(binary.name + end) for end in (".hdr", ".HDR")]
    names += [binary.with_suffix(end) for end in (".hdr", ".HDR")]
    return next((name for name in names if name.is_file()), None)


def list_beside(path: Path) -> Path | None:
    """Return the list of wavelengths beside a TIFF stack: `a.wavelengths.txt`, or `wavelengths.txt`."""
    names = [path.with_name(path.stem + end) for end in _LIST_ENDS]
    names += [path.with_name(name) for name in _LIST_NAMES]
    return next((name for name in names if name.is_file()), None)


def references_beside(path: Path) -> tuple[Path | None, Path | None]:
    """Find the white and the dark reference of a cube by their names.

    Beside `liver.hdr` these are `WHITEREF_liver.hdr`, `white_liver.hdr`, `liver_white.hdr`,
    `liver-white.hdr`, or `white.hdr` for all cubes of a folder; likewise for dark. A file that is itself a
    reference has none.
    """
    if is_reference(path):
        return None, None
    return _beside(path, _WHITE), _beside(path, _DARK)


def is_reference(path: Path) -> bool:
    """Whether a file is a white or dark reference by its name."""
    stem = stem_of(path).lower()
    return any(_is_made_of(stem, pattern.lower()) for pattern in (*_WHITE, *_DARK))


def stem_of(path: Path) -> str:
    """Return the name that all files of a cube share."""
    name = path.name
    for ends in ((".hdr",), (*ENVI_ENDS, *TIFF_ENDS, *NPZ_ENDS)):
        name = next((name[: -len(end)] for end in ends if name.lower().endswith(end)), name)
    return name


def _is_made_of(stem: str, pattern: str) -> bool:
    before, hole, after = pattern.partition("{}")
    if not hole:
        return stem == pattern
    return stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after)


def _beside(path: Path, patterns: tuple[str, ...]) -> Path | None:
    stem = stem_of(path)
    ending = path.name[len(stem) :]
    names = [path.with_name(pattern.format(stem) + ending) for pattern in patterns]
    return next((name for name in names if name != path and name.is_file()), None)
