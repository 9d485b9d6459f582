"""Whether a case is running: a live source sees the inside of a patient, or somebody says so.

Nothing is changed under a running case. When in doubt there is one.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from edge.domain.ports import Alerts, Clock
from edge.fleet.words import CASE
from edge.kit.files import write_durably
from edge.kit.log import Log
from edge.kit.moments import told

TOPIC: Final = "case"  # below the prefix of the device; retained
FILE: Final = "case.json"
ALERT: Final = "fleet-case"
NOW_S: Final = 10.0

Said = Literal["open", "closed"]


class Case:
    """What is known about a case; one thread hears, any may ask.

    What was heard is remembered on disk: a device that begins anew while its broker is away must not take a
    case for over that somebody said is open.
    """

    def __init__(
        self,
        folder: Path,
        *,
        quiet_min: float,
        inside: Callable[[], Mapping[str, float]],
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        """Store where to remember and whom to ask; reads nothing.

        Args:
            folder: Of the fleet's memory; made when there is something to remember.
            quiet_min: For so many minutes after a live source saw the inside last, a case counts as running.
            inside: Returns, for each live source that ever saw the inside of a patient, how many seconds ago
                it did last.
            alerts: Where it is raised that nobody understands what was said.
            clock: Of the machine.
        """
        self._file = folder / FILE
        self._quiet_s = quiet_min * 60.0
        self._inside = inside
        self._alerts = alerts
        self._clock = clock
        self._log = Log("fleet")
        self._said: Said | None = None
        self._since = ""
        self._is_remembered = True
        self._remembering = threading.Lock()

    def recall(self) -> None:
        """Take up what an earlier run heard; what cannot be read counts as open."""
        try:
            remembered = json.loads(self._file.read_bytes())
            said, since = remembered["said"], str(remembered["since"])
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError, KeyError, TypeError) as trouble:
            said, since = "open", ""
            self._log.error("what was said about a case is forgotten", file=self._file, because=trouble)
        self._said, self._since = ("closed" if said == "closed" else "open"), since

    def hear(self, payload: bytes) -> None:
        """Take in what the topic says; what nobody understands counts as open, and is an alert.

        Raises:
            OSError: It is not remembered; for now it counts nevertheless.
        """
        said = _read(payload)
        if said == "nonsense":
            seen = f"{len(payload)} bytes that nobody understands"  # not which: a name may be among them
            wanted = "wanted open, closed or a JSON object with state; a case counts as open"
            self._alerts.raise_alert(ALERT, f"{TOPIC}: {seen}; {wanted}")
            said = "open"
        else:
            self._alerts.clear_alert(ALERT)
        if said != self._said:
            self._said, self._since, self._is_remembered = said, told(self._clock.utc_ns()), False
            self._log.info("case", said=said)
        self._remember()

    def under_way(self) -> str:
        """Return why a case counts as running, "" where none does; it begins with `words.CASE`.

        What could not be remembered when it was heard is tried again.
        """
        with contextlib.suppress(OSError):
            self._remember()
        if self._said == "open":
            return f"{CASE} is open since {self._since}" if self._since else f"{CASE} is open"
        for source, ago_s in self._inside().items():
            if ago_s <= NOW_S:
                return f"{CASE}: {source} sees the inside of a patient"
            if ago_s < self._quiet_s:
                return f"{CASE}: {source} saw the inside of a patient {ago_s / 60:.0f} min ago"
        return ""

    def _remember(self) -> None:
        with self._remembering:
            if self._is_remembered:
                return
            remembered = json.dumps({"said": self._said, "since": self._since})
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._file, remembered.encode())
            self._is_remembered = True


def _read(payload: bytes) -> Said | Literal["nonsense"]:
    """Read `open`, `closed`, or a JSON object that says so as its `state`; nothing at all is closed."""
    if len(payload) > 1024:
        return "nonsense"
    text = payload.decode(errors="replace").strip()
    words: Mapping[str, Said] = {"": "closed", "open": "open", "closed": "closed"}
    if text.lower() in words:
        return words[text.lower()]
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return "nonsense"
    state = document.get("state") if isinstance(document, dict) else document
    return words.get(state, "nonsense") if isinstance(state, str) and state else "nonsense"
