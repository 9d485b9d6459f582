"""The live half of the appliance: each live source with everything that looks at it, built and started."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from edge.config.pipelines import LivePipeline
from edge.config.schema import Config
from edge.config.sources import LiveSourceOption
from edge.daemon.live_place import LivePlace
from edge.daemon.surroundings import Surroundings
from edge.findings.track import Event

CHANGED = "the pipeline is being changed"


class LiveHalf:
    """Every live source that runs; one thread at a time changes it, and what is not concerned goes on.

    Args:
        around: The rest of the appliance.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._places: dict[str, LivePlace] = {}
        self._left: dict[str, dict[str, Event]] = {}  # by source and pipeline, between pause and resume

    def pause(self, after: Config, *, anew: Collection[str]) -> None:
        """End in order whatever a new configuration wants otherwise; what it wants as it is goes on.

        Every event ends, and its `end` is in the outbox, before this returns. Until `resume` it stands that a
        pipeline that begins anew assesses nothing.

        Args:
            after: The new one.
            anew: Pipelines that begin anew though they are configured as before.
        """
        sources, looking = _sources(after), _looking(after)
        closing = [place for name, place in self._places.items() if sources.get(name) != place.option]
        ending: list[tuple[LivePlace, list[str]]] = []
        for place in self._places.values():
            wanted = [] if place in closing else looking.get(place.option.name, [])
            staying = {one.name for one in looking.get(place.option.name, [])}
            due = place.due(wanted, anew=anew)
            place.ask_to_end(due, because=CHANGED, staying=staying)
            ending.append((place, due))
        for place, due in ending:
            place.end(due)
        for place in closing:
            del self._places[place.option.name]
            place.close()

    def resume(self, config: Config) -> None:
        """Start whatever a configuration wants and does not run: first whoever looks, then the source.

        Raises:
            SecretError: The password of a camera cannot be read.
            ConfigurationError: A calibration cannot be.
        """
        looking = _looking(config)
        for name, option in _sources(config).items():
            place = self._places.get(name)
            if place is not None:
                place.begin(looking[name])
                continue
            place = LivePlace(option, self._around, left=self._left.setdefault(name, {}))
            place.begin(looking[name])
            place.open()
            self._places[name] = place

    def stop(self) -> None:
        """End all at the stop of the appliance: all are told before one is waited for."""
        places = list(self._places.values())  # a change that was left behind may still hold some
        for place in places:
            place.ask_to_stop()
        for place in places:
            place.stop()


def _sources(config: Config) -> dict[str, LiveSourceOption]:
    return {one.name: one for one in config.sources if isinstance(one, LiveSourceOption)}


def _looking(config: Config) -> Mapping[str, Sequence[LivePipeline]]:
    """Return the pipelines of each live source, in their order."""
    pipelines = [one for one in config.pipelines if isinstance(one, LivePipeline)]
    return {name: [one for one in pipelines if name in one.sources] for name in _sources(config)}
