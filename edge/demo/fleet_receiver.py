"""A receiver of findings beside the demo of the fleet: what came while devices were being changed."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Self

from edge.demo.fleet_site import PEOPLE_PORT, REAL, SITE, FleetSite
from edge.domain.errors import ConfigurationError
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession, Tls
from edge.kit.topics import ROOT

CONNECT_S = 20.0


class FindingsReceiver:
    """Hears the findings of the real daemon while its `with` lasts."""

    def __init__(self, site: FleetSite) -> None:
        tls = Tls(
            ca_file=site.people / "ca.crt",
            certificate_file=site.people / "receiver.crt",
            key_file=site.people / "receiver.key",
        )
        self._session = MqttSession(
            host="127.0.0.1", port=PEOPLE_PORT, client_id="receiver", clock=SystemClock(), tls=tls
        )
        self._session.subscribe(f"{ROOT}/{SITE}/{REAL}/finding/#", self._take)
        self._lock = threading.Lock()
        self._heard: list[tuple[float, Mapping[str, Any]]] = []

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            ConfigurationError: There is no broker, or it does not let us in.
        """
        self._session.__enter__()
        if not self._session.wait_connected(CONNECT_S):
            self._session.__exit__()
            raise ConfigurationError(f"no connection to the broker: {self._session.trouble}")
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__()

    def _take(self, message: Message) -> None:
        with self._lock:
            self._heard.append((time.monotonic(), json.loads(message.payload)))

    def findings(self, pipeline: str) -> list[Mapping[str, Any]]:
        """Return what a pipeline has said so far, in order."""
        with self._lock:
            return [finding for _, finding in self._heard if finding["pipeline"] == pipeline]

    def longest_pause_s(self) -> float:
        """Return the longest time between two findings, of whatever pipeline."""
        with self._lock:
            moments = [moment for moment, _ in self._heard]
        return max((later - sooner for sooner, later in itertools.pairwise(moments)), default=0.0)

    def versions(self) -> list[str]:
        """Return which versions of models have spoken, in order."""
        with self._lock:
            said = [finding["model"]["version"] for _, finding in self._heard if finding["model"]]
        return list(dict.fromkeys(said))

    def wait_for(self, pipeline: str, *, more: int, within_s: float) -> bool:
        """Return whether a pipeline says so much more in time."""
        wanted = len(self.findings(pipeline)) + more
        until_s = time.monotonic() + within_s
        while len(self.findings(pipeline)) < wanted and time.monotonic() < until_s:
            time.sleep(0.1)
        return len(self.findings(pipeline)) >= wanted
