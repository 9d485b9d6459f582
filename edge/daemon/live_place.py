"""One live source that runs, with every pipeline that looks at it; pipelines come and go while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from edge.config.cameras import VideoPipeline
from edge.config.pipelines import LivePipeline
from edge.config.sources import LiveSourceOption
from edge.daemon.live_looks import guard_of, look_of, onlookers_of, pace_of
from edge.daemon.live_sources import live_source_of, quality_of
from edge.daemon.surroundings import Surroundings
from edge.domain.frame import Frame
from edge.findings.track import Event
from edge.kit.backoff import Backoff
from edge.kit.queues import Latest, Readers
from edge.kit.stage import Stage
from edge.pipelines.inside import InsideWatch
from edge.pipelines.live import Live, Onlooker
from edge.sources.live import LiveSource
from edge.sources.live_books import LiveBooks
from edge.sources.live_looks import Looks

END_S = 5.0  # so long a pipeline gets to end beyond the deadline of its model
HANG_S = 30.0  # what a thread of a live pipeline may take beyond the deadline of its model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Looker:
    """A pipeline at work on the source.

    Attributes:
        option: As it was configured.
        live: Looks.
        frames: Where its newest frames wait.
        room: Holds its thread.
        let_go: Of its books.
    """

    option: LivePipeline
    live: Live
    frames: Latest[Frame]
    room: ExitStack
    let_go: Callable[[], None]


class LivePlace:
    """A live source and whoever looks at it; one thread at a time changes it.

    Args:
        option: As it was configured.
        around: The rest of the appliance.
        left: What pipelines that were ended and are to begin anew have left standing at this source, by name.

    Raises:
        SecretError: The password of the camera cannot be read.
        ConfigurationError: Its calibration cannot be.
    """

    def __init__(self, option: LiveSourceOption, around: Surroundings, *, left: dict[str, Event]) -> None:
        self.option = option
        self._left = left
        self._around = around
        self._readers: Readers[Frame] = Readers()
        self._lookers: dict[str, _Looker] = {}
        self._room = ExitStack()
        clock = around.clock
        books = LiveBooks(option.name, clock=clock)
        opened = live_source_of(option, clock, books)
        self._running = LiveSource(
            option.name,
            source=opened,
            interrupt=opened.interrupt,
            books=books,
            hand_overs=self._readers,
            say=lambda state, why: around.presence.source(option.name, state, why=why),
            looks=Looks(limits=quality_of(option)),
            open_s=option.open_s,
            silence_s=option.silence_s,
            backoff=Backoff(min_s=option.retry_min_s, max_s=option.retry_max_s),
            disabled="" if option.enabled else "it is turned off",
            clock=clock,
        )

    def open(self) -> None:
        """Let frames come; whoever looks first was begun before."""
        around = self._around
        with ExitStack() as rooms:
            rooms.callback(around.books.keep(self._running.health))
            rooms.callback(around.books.know(self.about))
            rooms.enter_context(self._running)
            self._room = rooms.pop_all()

    def begin(self, pipelines: Sequence[LivePipeline]) -> None:
        """Let those look that do not yet.

        Args:
            pipelines: All that are to look at this source, in their order.
        """
        source, around = self.option, self._around
        guard = guard_of(source, pipelines)
        if guard is None:
            around.albums.pop(source.name, None)
        guarding: Mapping[str, Sequence[Onlooker]] = {}
        if guard is not None and guard.name not in self._lookers:
            guarding = onlookers_of(source, pipelines, around)
        for one in pipelines:
            if one.name not in self._lookers:
                knowing = [InsideWatch(around.inside)] if isinstance(one, VideoPipeline) and one.gate else []
                self._lookers[one.name] = self._begun(one, [*guarding.get(one.name, ()), *knowing])

    def due(self, pipelines: Sequence[LivePipeline], *, anew: Collection[str]) -> list[str]:
        """Return who must end before `pipelines` can look: what is configured otherwise, or begins anew.

        Args:
            pipelines: All that are to look at this source.
            anew: Names of those that begin anew though they are configured as before.
        """
        wanted = {one.name: one for one in pipelines}
        due = {
            name
            for name, looker in self._lookers.items()
            if name in anew or wanted.get(name) != looker.option
        }
        guard = guard_of(self.option, pipelines)
        before = guard_of(self.option, [looker.option for looker in self._lookers.values()])
        if guard is not None and (before is None or before.name != guard.name):
            due.add(guard.name)  # it has to guard from now on
        return [name for name in self._lookers if name in due]

    def ask_to_end(self, names: Collection[str], *, because: str, staying: Collection[str]) -> None:
        """Tell pipelines to end after the frame in hand, and do not wait; those `staying` will begin anew."""
        for name in names:
            self._lookers[name].live.stop(because=because, is_for_good=name not in staying)

    def end(self, names: Collection[str]) -> None:
        """Wait until pipelines that were told to end have said what there was to say."""
        for name in names:
            looker = self._lookers.pop(name)
            self._readers.remove(looker.frames)
            looker.room.close()
            looker.let_go()
            left = looker.live.left
            if left is not None:
                self._left[name] = left

    def close(self) -> None:
        """End the source and whoever looks at it, for good."""
        self.ask_to_stop()
        self._room.close()
        for looker in self._lookers.values():
            looker.room.close()
            looker.let_go()
        self._around.albums.pop(self.option.name, None)

    def stop(self) -> None:
        """End at the stop of the appliance: the books stay, for the last word about them."""
        self.ask_to_stop()
        self._running.__exit__()
        for looker in self._lookers.values():
            looker.room.close()

    def ask_to_stop(self) -> None:
        """Tell all to end, without waiting."""
        self._running.ask_to_stop()
        for looker in self._lookers.values():
            looker.live.stop()

    def about(self) -> Mapping[str, Any]:
        """Return how the source is, how quickly frames are read, and which pipelines assess none, and why."""
        state, why = self._running.state()
        lives = [looker.live for looker in list(self._lookers.values())]
        return {
            "name": self.option.name,
            "kind": self.option.kind,
            "state": state,
            "why": why,
            "capture_to_answer_ms": {live.name: live.latency_ms.percentiles() for live in lives},
            "not_assessed": {live.name: live.gap for live in lives if live.gap},
            "not_followed": {live.name: live.not_followed for live in lives if live.not_followed},
        }

    def _begun(self, pipeline: LivePipeline, onlookers: Sequence[Onlooker]) -> _Looker:
        source, around = self.option.name, self._around
        name = f"{pipeline.name} on {source}"
        deadline_s = pipeline.deadline_ms / 1e3 if isinstance(pipeline, VideoPipeline) else 0.0
        frames: Latest[Frame] = Latest(clock=around.clock)
        live = Live(
            pipeline=pipeline.name,
            source=source,
            frames=frames,
            look=look_of(pipeline, around),
            pace=pace_of(pipeline.pace),
            age_max_ms=pipeline.pace.age_max_ms,
            losses=lambda: self._running.health().dropped,
            trouble=self._running.trouble,
            journal=around.journal,
            envelope=around.envelope,
            identity=around.identity,
            stage=Stage(name, around.clock),
            clock=around.clock,
            beat=around.watchdog.watch(name, limit_s=deadline_s + HANG_S),
            onlookers=onlookers,
            after=self._left.pop(pipeline.name, None),
        )
        room = ExitStack()
        at_least_s = deadline_s + END_S
        room.enter_context(around.threads.running(name, live.run, live.stop, at_least_s=at_least_s))
        self._readers.add(frames)
        let_go = around.books.keep(live.health)
        return _Looker(option=pipeline, live=live, frames=frames, room=room, let_go=let_go)
