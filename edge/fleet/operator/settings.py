"""`fleet.yaml`: which broker an operator works with, as whom, and with which key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from edge.bundles.signature import TrustRoot, public_key_of
from edge.domain.errors import ConfigurationError
from edge.fleet.documents import KeyName, Name
from edge.kit.topics import ROOT
from edge.kit.trees import written

ROOT_PATTERN: Final = r"^[^/+#$\s]([^+#\s]{0,126}[^/+#\s])?$"


def _place(path: Path, info: ValidationInfo) -> Path:
    """Files are named from where fleet.yaml lies; `~` is the operator's own folder."""
    folder = (info.context or {}).get("folder", Path.cwd())
    return Path(folder, path.expanduser())


def _public_key(text: str) -> str:
    public_key_of(text)
    return text


Place = Annotated[Path, Field(strict=False), AfterValidator(_place)]


class Section(BaseModel):
    """A part of the file: strict, unknown keys refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Broker(Section):
    """Where the fleet meets."""

    host: str = Field(min_length=1, max_length=253, description="Name or address.")
    port: int = Field(default=8883, ge=1, le=65535, description="Its port; 8883 with TLS.")
    tls: bool = Field(
        default=True, description="Without it a password and every document can be read on the way."
    )
    ca_file: Place | None = Field(
        default=None, description="PEM: who vouches for the broker; else the system's."
    )
    certificate_file: Place | None = Field(default=None, description="PEM: our client certificate.")
    key_file: Place | None = Field(default=None, description="PEM: its private key.")
    username: str | None = Field(default=None, description="At the broker.")
    password_file: Place | None = Field(default=None, description="Holds the password, mode 0600.")


class Signing(Section):
    """What documents are signed with; without it one can look, and change nothing."""

    key: KeyName = Field(description="Name of the key, as `fleet.keys` of the devices call it.")
    private_file: Place = Field(description="PEM of the private key, mode 0600.")


class Key(Section):
    """A key of another operator, whose documents we believe."""

    name: KeyName = Field(description="As documents call it.")
    public_key: Annotated[str, AfterValidator(_public_key)] = Field(description="`ed25519:BASE64`, or PEM.")


class FleetSettings(Section):
    """All of it."""

    broker: Broker = Field(description="Where the fleet meets.")
    root: str = Field(default=ROOT, pattern=ROOT_PATTERN, description="What every topic begins with.")
    sites: tuple[Name, ...] = Field(default=(), strict=False, description="Only these; else all there are.")
    operator: str = Field(
        default="", max_length=64, description="Who is at work, for the history; else the user."
    )
    signing: Signing | None = Field(default=None, description="What documents are signed with.")
    keys: tuple[Key, ...] = Field(default=(), strict=False, description="Of other operators.")
    state: Place | None = Field(default=None, description="Folder of the history and the roll-outs.")

    def roots(self) -> tuple[TrustRoot, ...]:
        """Return the keys of other operators."""
        return tuple(TrustRoot(key.name, public_key_of(key.public_key)) for key in self.keys)


def settings_of(tree: Mapping[str, Any], *, folder: Path) -> FleetSettings:
    """Return the settings that a tree stands for.

    Args:
        tree: What the file says.
        folder: Where it lies; files are named from there.

    Raises:
        ConfigurationError: It cannot be used; the message names everything that is wrong.
    """
    try:
        return FleetSettings.model_validate(tree, context={"folder": folder})
    except ValidationError as errors:
        wrong = errors.errors(include_url=False, include_input=False)
        raise ConfigurationError(
            "; ".join(f"{written(each['loc'])}: {each['msg']}" for each in wrong)
        ) from errors
