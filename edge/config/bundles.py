"""What an operator may say about bundles: where they lie, and whose signatures are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import Field, model_validator

from edge.bundles.signature import Trust, TrustRoot, public_key_of
from edge.config.fields import Name, Place, Section

STORE: Final = "bundles"  # in the state folder: what `edge bundle install` has put there


class TrustedKey(Section):
    """A key whose signatures on bundles are believed."""

    name: Name = Field(description="As the signatures call it.")
    public_key: str = Field(
        max_length=1024, description="Ed25519: the line that `edge bundle keygen` prints, or PEM."
    )

    @model_validator(mode="after")
    def _is_a_key(self) -> Self:
        try:
            public_key_of(self.public_key)
        except ValueError as error:
            raise ValueError(f"public_key {error}") from error
        return self


class Bundles(Section):
    """Where models lie, and whom we believe about them."""

    roots: tuple[Place, ...] = Field(
        min_length=1,
        max_length=32,
        description="Folders that hold bundles, searched in this order, after what was installed.",
    )
    trust: tuple[TrustedKey, ...] = Field(
        default=(), min_length=0, max_length=32, description="Keys whose signatures are believed."
    )
    allow_unsigned: bool = Field(
        default=False,
        description="Whether bundles are used that none of these keys has signed; every finding says so.",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [key.name for key in self.trust]
        if len(set(names)) < len(names):
            raise ValueError(f"trust: names must differ, seen {', '.join(names)}")
        return self

    def believed(self) -> Trust:
        """Return whom the site believes."""
        roots = tuple(TrustRoot(key.name, public_key_of(key.public_key)) for key in self.trust)
        return Trust(roots, allows_unsigned=self.allow_unsigned)

    def places(self, state_folder: Path) -> tuple[Path, ...]:
        """Return where bundles are looked for: what was installed goes before all other folders."""
        return (state_folder / STORE, *self.roots)
