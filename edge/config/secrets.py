"""Secrets come from systemd credentials or from files that others cannot read, never from the YAML."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from edge.config.fields import Secret
from edge.domain.errors import SecretError

SECRET_BYTES_MAX = 65_536


def read(reference: Secret) -> bytes:
    """Return a secret, without the line end that editors leave.

    Raises:
        SecretError: It is missing, empty, too long, or readable by others.
    """
    path = resolve(reference)
    held = path.read_bytes()
    secret = held.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise SecretError(f"{_named(reference)}: {path} is empty")
    return secret


def read_text(reference: Secret) -> str:
    """Return a secret that is text.

    Raises:
        SecretError: As for `read`, or it is not UTF-8.
    """
    try:
        return read(reference).decode()
    except UnicodeDecodeError:
        raise SecretError(f"{_named(reference)}: holds bytes that are not UTF-8; wanted text") from None


def resolve(reference: Secret) -> Path:
    """Return the file a secret lies in, for libraries that want a path.

    Raises:
        SecretError: It is missing, no ordinary file, too long, or readable by others.
    """
    path = reference.file or _credential(reference)
    name = _named(reference)
    try:
        seen = path.stat()
    except OSError as trouble:
        raise SecretError(f"{name}: {path}: {trouble.strerror}") from None
    if not stat.S_ISREG(seen.st_mode):
        raise SecretError(f"{name}: {path} is no ordinary file")
    if seen.st_mode & stat.S_IRWXO:
        mode = stat.S_IMODE(seen.st_mode)
        raise SecretError(f"{name}: {path} has mode {mode:04o} and is open to others; wanted 0600 or 0640")
    if seen.st_size > SECRET_BYTES_MAX:
        raise SecretError(f"{name}: {path} has {seen.st_size} bytes; wanted at most {SECRET_BYTES_MAX}")
    if not os.access(path, os.R_OK):
        raise SecretError(f"{name}: {path} may not be read by this user")
    return path


def secrets_of(section: BaseModel) -> Iterator[tuple[tuple[str | int, ...], Secret]]:
    """Yield every reference to a secret in a configuration, with its path."""
    for key in type(section).model_fields:
        value = getattr(section, key)
        for step, item in enumerate(value) if isinstance(value, tuple) else [(-1, value)]:
            path: tuple[str | int, ...] = (key,) if step < 0 else (key, step)
            if isinstance(item, Secret):
                yield path, item
            elif isinstance(item, BaseModel):
                for below, reference in secrets_of(item):
                    yield (*path, *below), reference


def _credential(reference: Secret) -> Path:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SecretError(
            f"{_named(reference)}: CREDENTIALS_DIRECTORY is not set; wanted a start by systemd with "
            f"LoadCredential={reference.secret}:…, or 'file: PATH' in place of 'secret: NAME'"
        )
    return Path(folder, reference.secret or "")


def _named(reference: Secret) -> str:
    return f"secret {reference.secret}" if reference.secret else "secret file"
