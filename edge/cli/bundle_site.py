"""What `edge bundle` goes by on a device: its configuration, or what was said on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.bundles.signature import Trust, trust_of
from edge.cli.analyze_models import memory_folder, roots_here
from edge.config.bundles import STORE
from edge.config.load import load
from edge.domain.errors import ConfigurationError

Provider = Literal["auto", "cpu", "cuda", "tensorrt", "gpu", "npu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where bundles lie, whom one believes, and how networks are run.

    Attributes:
        places: Folders that hold bundles.
        store: Where bundles are installed; None where nobody said.
        trust: Whose signatures are believed.
        threads: For one network on the CPU; 0: as many as cores.
        provider: Where networks may run.
        state: Of the daemon; None where no configuration was named.
        memory: Where measurements are remembered.
    """

    places: tuple[Path, ...]
    store: Path | None
    trust: Trust
    threads: int
    provider: Provider
    state: Path | None
    memory: Path

    def its_store(self) -> Path:
        """Return where bundles are installed.

        Raises:
            ConfigurationError: Nobody said.
        """
        if self.store is None:
            raise ConfigurationError("no store is named; wanted --config CONFIG, EDGE_CONFIG or --store DIR")
        return self.store


def site_of(
    config: Path | None, *, store: Path | None, keys: Sequence[str] | None, allows_unsigned: bool | None
) -> Site:
    """Read the configuration, if there is one; what stands on the command line goes before it.

    Args:
        config: The YAML file.
        store: Instead of the one in the state folder.
        keys: `NAME=FILE` of public keys, beside those of the configuration.
        allows_unsigned: Instead of `bundles.allow_unsigned`; without a configuration: whether that is so.

    Raises:
        ConfigurationError: The configuration cannot be used, or a key is not NAME=FILE.
        BundleRejectedError: A public key cannot be read.
    """
    added = trust_of([_named(key) for key in keys or ()], allows_unsigned=bool(allows_unsigned))
    if config is None:
        return Site(
            places=(*((store,) if store else ()), *roots_here()),
            store=store,
            trust=added,
            threads=0,
            provider="auto",
            state=None,
            memory=memory_folder(),
        )
    read = load(config)
    believed = read.bundles.believed()
    is_allowed = believed.allows_unsigned if allows_unsigned is None else allows_unsigned
    return Site(
        places=read.bundles.places(read.state.folder),
        store=store or read.state.folder / STORE,
        trust=Trust((*believed.roots, *added.roots), is_allowed),
        threads=read.engine.threads,
        provider=read.engine.provider,
        state=None if store else read.state.folder,
        memory=read.state.folder,
    )


def _named(key: str) -> tuple[str, Path]:
    name, equals, path = key.partition("=")
    if not equals or not name or not path:
        raise ConfigurationError(f"--trust {key}: wanted NAME=FILE, a public key and the name it goes by")
    return name, Path(path)
