"""What is known of drift, in a file of the state folder that outlives a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from edge.kit.files import write_durably

SCHEMA: Final = "edge.drift/1"
BYTES_MAX: Final = 64 << 20


def read_memory(path: Path) -> dict[str, Any]:
    """Return what was written, by model; nothing where there is no such file, or it is damaged."""
    try:
        if path.stat().st_size > BYTES_MAX:
            return {}
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return {}
    models = document.get("models")
    return models if isinstance(models, dict) else {}


def write_memory(path: Path, models: dict[str, Any]) -> str:
    """Write it; it is there whole after a crash, or as it was.

    Returns:
        Why it could not be written, or "".
    """
    try:
        body = json.dumps({"schema": SCHEMA, "models": models}, allow_nan=False).encode()
        write_durably(path, body)
    except OSError as trouble:
        return str(trouble)
    return ""
