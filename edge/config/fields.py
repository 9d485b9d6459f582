"""What the options of the configuration are made of: names, places, secrets, and the strict section."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
AE_TITLE_PATTERN = r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$"
TOPIC_PATTERN = r"^[^/+#$\s][^+#\s]{0,126}[^/+#\s]$"
CREDENTIAL_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$"
HOST_PATTERN = r"^[A-Za-z0-9_.:%-]{1,253}$"

DAY_PATTERN = r"^\d{4}-\d{2}-\d{2}$"
DIGEST_PATTERN = r"^[0-9a-f]{64}$"
URL_PATTERN = r"^(rtsp|http|https)://[^\s@/]+(/[^\s]*)?$"
DEVICE_PATTERN = r"^/dev/[A-Za-z0-9/_-]{1,64}$"

PATTERNS_IN_WORDS = {
    NAME_PATTERN: "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    AE_TITLE_PATTERN: "1 to 16 printable ASCII characters, no backslash, no space at either end",
    TOPIC_PATTERN: "2 to 128 characters without '+', '#' or spaces, no '/' at either end",
    CREDENTIAL_PATTERN: "the name of a systemd credential: letters, digits, '.', '_' or '-'",
    HOST_PATTERN: "a host name or an IP address",
    URL_PATTERN: "an address such as rtsp://10.0.0.5/stream; user and password have options of their own",
    DEVICE_PATTERN: "a device such as /dev/video0",
    DAY_PATTERN: "a day such as 2026-11-22",
    DIGEST_PATTERN: "a SHA-256 of 64 hexadecimal digits",
}


def _absolute(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path.cwd())
    return Path(folder, path).resolve()


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as trouble:
        raise ValueError(f"{trouble}; wanted an address or a network such as 10.1.0.0/16") from None


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
AeTitle = Annotated[str, Field(pattern=AE_TITLE_PATTERN)]
Host = Annotated[str, Field(pattern=HOST_PATTERN)]
Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]
Port = Annotated[int, Field(ge=1, le=65535)]
Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
Place = Annotated[Path, AfterValidator(_absolute)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PartName = Annotated[str, Field(min_length=1, max_length=64)]
Modality = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,16}$")]
PATTERNS_IN_WORDS[r"^[A-Z0-9]{2,16}$"] = "a DICOM modality in capitals, such as CT or MR"


def check_pauses(retry_min_s: float, retry_max_s: float) -> None:
    """Refuse pauses between attempts that could not grow.

    Raises:
        ValueError: The shortest is above the longest.
    """
    if retry_min_s > retry_max_s:
        raise ValueError(f"retry_min_s is {retry_min_s:g}, retry_max_s {retry_max_s:g}; wanted it not above")


class Section(BaseModel):
    """A part of the tree: strict types, no unknown keys, unchangeable once read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Secret(Section):
    """Where a secret lies: exactly one of `secret` and `file`; the secret itself is never written here."""

    secret: Annotated[str, Field(pattern=CREDENTIAL_PATTERN)] | None = Field(
        default=None,
        description="Name of a systemd credential: the file of that name in $CREDENTIALS_DIRECTORY.",
    )
    file: Place | None = Field(
        default=None,
        description="Path of a file that holds nothing else and that others may not read (mode 0600).",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.secret is None) == (self.file is None):
            raise ValueError("wanted exactly one of 'secret: NAME' and 'file: PATH'")
        return self
