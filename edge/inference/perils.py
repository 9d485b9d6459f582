"""Which forms were on trial when the process ended: one that ends it again and again is tried no more."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge.inference.forms import Form
from edge.kit.files import write_durably

ENDS_MAX: Final = 2  # once may have been a power cut


class Perils:
    """What is noted of one bundle; a runtime that crashes takes the process with it and tells nobody.

    Args:
        path: The file; its folder is made with it. Where it cannot be written nothing is noted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def refusal(self, form: Form) -> str:
        """Return why a form is not tried any more, or ""."""
        ends = self._read().get(str(form), 0)
        return f"the process ended {ends} times while it was on trial" if ends >= ENDS_MAX else ""

    @contextmanager
    def of(self, form: Form) -> Iterator[None]:
        """Note that a form is on trial, until the `with` ends in whatever way."""
        ends = self._read().get(str(form), 0)
        self._note(form, ends + 1)
        try:
            yield
        finally:
            self._note(form, 0)

    def forget(self) -> None:
        """Forget all: what came of each form is known."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _note(self, form: Form, ends: int) -> None:
        known = {name: count for name, count in self._read().items() if name != str(form)}
        known |= {str(form): ends} if ends else {}
        if not known:
            self.forget()
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._path, json.dumps(known).encode())

    def _read(self) -> dict[str, int]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            read = json.loads(self._path.read_bytes())
            if isinstance(read, dict):
                return {name: ends for name, ends in read.items() if isinstance(ends, int)}
        return {}
