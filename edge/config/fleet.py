"""What an operator may say about the fleet: whose documents are believed, and what they never change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from edge.bundles.signature import TrustRoot, public_key_of
from edge.config.bundles import TrustedKey
from edge.config.fields import Name, Section
from edge.kit.trees import steps_of

_WEB: Final = re.compile(r"https?://[^\s@?#]+")


def _path(text: str) -> str:
    steps_of(text)
    return text


def _mirror(text: str, info: ValidationInfo) -> str:
    if "://" not in text:
        return str(Path((info.context or {}).get("folder", Path.cwd()), text).resolve())
    if not _WEB.fullmatch(text):
        raise ValueError("wanted a folder, or an address such as http://mirror/packages, no user, no query")
    return text


class Fleet(Section):
    """Remote configuration over the broker; without this section nothing is taken from there."""

    keys: tuple[TrustedKey, ...] = Field(
        min_length=1,
        max_length=32,
        description="Keys whose documents and commands are believed; two while one replaces the other.",
    )
    groups: tuple[Name, ...] = Field(
        default=(), min_length=0, max_length=32, description="Groups whose documents concern this device."
    )
    local: tuple[Annotated[str, Field(max_length=256), AfterValidator(_path)], ...] = Field(
        default=(),
        min_length=0,
        max_length=256,
        description="Further options that only this file may set, such as pipelines.brain-mr.deadline_s; "
        "* stands for any name.",
    )
    frozen: bool = Field(
        default=False, description="The kill switch: true takes no document and no command from the fleet."
    )
    case_quiet_min: float = Field(
        default=10.0,
        ge=0,
        le=1440,
        description="A case goes on for so many minutes after a camera last saw the inside of a patient.",
    )
    mirror: Annotated[str, Field(max_length=1024), AfterValidator(_mirror)] | None = Field(
        default=None,
        description="Folder, or address of a web server, where packages of bundles are looked for first; "
        "left out: none.",
    )
    download_max_kb_s: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Kilobytes a second that all packages together may come with, so that a thin line has "
        "room for findings; 0: as fast as they come.",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for what, names in (("keys", [key.name for key in self.keys]), ("groups", list(self.groups))):
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: names must differ, seen {', '.join(names)}")
        return self

    @property
    def mirror_folder(self) -> Path | None:
        """The mirror where it is a folder, None where it is a web server or there is none."""
        return None if self.mirror is None or "://" in self.mirror else Path(self.mirror)

    def roots(self) -> tuple[TrustRoot, ...]:
        """Return whose documents are believed."""
        return tuple(TrustRoot(key.name, public_key_of(key.public_key)) for key in self.keys)
