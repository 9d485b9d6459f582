"""Alerts that a test can look at."""

from __future__ import annotations

from typing import Literal


class FakeAlerts:
    """Remembers what is raised now, and everything that ever was."""

    def __init__(self) -> None:
        self.raised: dict[str, str] = {}
        self.ever: list[tuple[str, str]] = []

    def raise_alert(self, name: str, text: str, *, severity: Literal["warning", "error"] = "error") -> None:
        self.raised[name] = text
        self.ever.append((name, text))

    def clear_alert(self, name: str) -> None:
        self.raised.pop(name, None)
