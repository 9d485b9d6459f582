"""The labelled frames of a site: DIR/inside and DIR/outside, with pictures and videos in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.cli.paths import files_of
from edge.domain.errors import FormatError, UnsupportedError
from edge.sources.camera_picture import VideoPicture
from edge.sources.recorded_pictures import read_pictures

Label = Literal["inside", "outside"]
LABELS: tuple[Label, ...] = ("inside", "outside")
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
VIDEOS = {".mp4", ".mkv", ".avi", ".mov", ".mpg", ".mpeg", ".ts", ".m4v", ".webm", ".wmv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFile:
    """One file somebody has put into one of the two folders.

    Attributes:
        path: Where it is.
        name: Relative to the folder that was named; how reports call it.
        label: Of the folder it lies in.
    """

    path: Path
    name: str
    label: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFrame:
    """One picture out of such a file.

    Attributes:
        name: That of the file; for a video with the time in it.
        picture: As a camera would give it.
    """

    name: str
    picture: VideoPicture


def find_files(folder: Path) -> tuple[LabelledFile, ...]:
    """List what lies in DIR/inside and DIR/outside, in the folders below them too.

    Raises:
        FormatError: A folder is missing or empty, or holds what is neither picture nor video.
    """
    missing = [name for name in LABELS if not (folder / name).is_dir()]
    if missing:
        raise FormatError(
            f"{folder}: no folder {' and no folder '.join(missing)}; wanted {folder / 'inside'} and "
            f"{folder / 'outside'} with pictures and videos in them"
        )
    files = tuple(
        LabelledFile(path=path, name=path.relative_to(folder).as_posix(), label=label)
        for label in LABELS
        for path in files_of(folder / label)
    )
    empty = [label for label in LABELS if not any(file.label == label for file in files)]
    if empty:
        raise FormatError(f"{folder}: nothing lies in {' and '.join(empty)}; both sides are needed")
    strange = [file.name for file in files if file.path.suffix.lower() not in PICTURES | VIDEOS]
    if strange:
        raise UnsupportedError(
            f"{folder}: {len(strange)} files are neither pictures ({_listed(PICTURES)}) nor videos "
            f"({_listed(VIDEOS)}): {', '.join(strange[:5])}"
        )
    return files


def read_frames(file: LabelledFile, *, per_second: float) -> Iterator[LabelledFrame]:
    """Decode a picture, or a video from which only some frames are taken.

    Args:
        file: What to read.
        per_second: Frames of a video that are taken in each second; the rest is decoded and let go.

    Raises:
        FormatError: It cannot be decoded, or no frame is in it.
    """
    is_video = file.path.suffix.lower() in VIDEOS
    try:
        for at_s, picture in read_pictures(file.path, per_second=per_second):
            name = f"{file.name} at {at_s:.1f} s" if is_video else file.name
            yield LabelledFrame(name=name, picture=picture)
    except FormatError as trouble:
        raise FormatError(f"{file.name}: {str(trouble).removeprefix(f'{file.path.name}: ')}") from trouble


def _listed(endings: set[str]) -> str:
    return " ".join(sorted(endings))
