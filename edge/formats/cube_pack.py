"""A pack: one file that holds a cube of several (header, binary, references), so that it arrives as one.

It is a tar archive with fixed names in a fixed order and without dates, so that the same cube has the same
digest, whatever its files were called and whenever they were copied.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from edge.domain.errors import FormatError

Role = Literal["cube", "white", "dark"]
REFERENCES: tuple[Role, Role] = ("white", "dark")
ROLES: tuple[Role, ...] = ("cube", *REFERENCES)
FILES_PER_ROLE_MAX = 2
_MAGIC, _MAGIC_AT = b"ustar", 257


def write(target: Path, parts: Mapping[Role, Sequence[Path]]) -> None:
    """Pack the files of a cube.

    Args:
        target: A file that is not there yet.
        parts: One or two files for the cube and for each reference, the one that is opened first first.

    Raises:
        OSError: A file cannot be read or written, or changed its length meanwhile.
    """
    with tarfile.open(target, "x", format=tarfile.GNU_FORMAT) as pack:
        for role in ROLES:
            for number, path in enumerate(parts.get(role, ())):
                with path.open("rb") as file:
                    member = tarfile.TarInfo(f"{role}.{number}")
                    member.size = os.fstat(file.fileno()).st_size
                    pack.addfile(member, file)


def is_pack(path: Path) -> bool:
    """Whether a file is a pack, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(_MAGIC_AT + len(_MAGIC))
    return head[_MAGIC_AT:] == _MAGIC and head.startswith(b"cube.0\0")


@contextmanager
def opened(path: Path) -> Iterator[Mapping[Role, Sequence[BinaryIO]]]:
    """Open the files of a pack.

    Raises:
        FormatError: It is damaged or no pack.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        try:
            pack = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  # closed below, after its files
            files = _files(pack)
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as trouble:
            raise FormatError(f"no readable pack: {type(trouble).__name__}") from trouble
        with pack:
            yield files


def _files(pack: tarfile.TarFile) -> dict[Role, list[BinaryIO]]:
    """Find the members by their fixed names, and no others.

    Raises:
        FormatError: Something else is in it.
    """
    files: dict[Role, list[BinaryIO]] = {role: [] for role in ROLES}
    roles = {f"{role}.{number}": role for role in ROLES for number in range(FILES_PER_ROLE_MAX)}
    for member in pack:
        role = roles.pop(member.name, None)
        content = pack.extractfile(member) if member.isreg() else None
        if role is None or content is None:
            raise FormatError(f"a pack with {member.name[:40]!r} in it, wanted {', '.join(roles)}")
        files[role].append(content)  # type: ignore[arg-type]  # typeshed: IO[bytes], which it is
    if not files["cube"]:
        raise FormatError("a pack without a cube")
    return files
