"""Runs one live source: opens it, hands its frames over, opens it again when it is lost, and says how it is.

Everything that one source does stays in its two threads: `<name> frames`, which may hang in native code, and
`<name> watch`, which says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Self

from edge.domain.errors import SourceLostError
from edge.domain.frame import Frame
from edge.domain.health import StageHealth
from edge.domain.ports import Clock, FrameSource
from edge.kit.backoff import Backoff
from edge.kit.log import Log
from edge.kit.queues import Latest
from edge.kit.stage import contain
from edge.sources.live_books import LiveBooks
from edge.sources.live_looks import Looks
from edge.sources.live_state import LinkState, Say, Standing

OVER = "the recording is over"
JUDGING_FAILS_MAX = 20
_WATCH_EVERY_S = 1.0


def _nothing() -> None:
    """Do nothing."""


class LiveSource:
    """One source with its threads; `with` it, and frames come."""

    def __init__(
        self,
        name: str,
        *,
        source: FrameSource,
        interrupt: Callable[[], None] = _nothing,
        books: LiveBooks,
        hand_overs: Iterable[Latest[Frame]],
        say: Say,
        looks: Looks,
        open_s: float,
        silence_s: float,
        grace_s: float = 2.0,
        backoff: Backoff,
        steady_s: float = 10.0,
        stop_s: float = 2.0,
        disabled: str = "",
        clock: Clock,
    ) -> None:
        """Store what the source needs.

        Args:
            name: Of the source in the configuration.
            source: Where frames come from.
            interrupt: Ends its waits at a stop, called from another thread.
            books: The same that `source` counts its losses in.
            hand_overs: Where each frame goes: one for each pipeline that looks at it; asked for each frame.
            say: Is told each new state, with its reason; `Presence.source` with the name filled in.
            looks: What is noticed about the frames.
            open_s: Time the source has to open, and for its first picture.
            silence_s: Time it has for each frame.
            grace_s: How much later than that the watch says that it hangs.
            backoff: Pauses before it is opened again.
            steady_s: Failures are forgotten once it has given frames for this long.
            stop_s: How long a stop waits for it.
            disabled: Why it is not to run; "" where it is.
            clock: Time.
        """
        self.name = name
        self._source = source
        self._interrupt = interrupt
        self._books = books
        self._hand_overs = hand_overs
        self._looks = looks
        self._open_s = open_s
        self._silence_s = silence_s
        self._grace_s = grace_s
        self._backoff = backoff
        self._steady_ns = steady_s * 1e9
        self._stop_s = stop_s
        self._disabled = disabled
        self._clock = clock
        self._log = Log(name)
        self._standing = Standing(self._logged(say))
        self._stopping = threading.Event()
        self._asked_ns: int | None = None
        self._expected: tuple[str, float, int] = ("", 0.0, 0)
        self._first_frame_ns: int | None = None
        self._frames_thread = threading.Thread(target=self._run, name=f"{name} frames", daemon=True)
        self._watch_thread = threading.Thread(target=self._watch, name=f"{name} watch", daemon=True)

    def __enter__(self) -> Self:
        """Start, unless it is disabled."""
        if self._disabled:
            self._standing.disabled(self._disabled)
            return self
        self._standing.lost("it is being opened")
        self._frames_thread.start()
        self._watch_thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; a thread that hangs in native code is left behind, it can do no harm any more."""
        asked_ns = self.ask_to_stop()
        if not self._disabled:
            for thread in (self._watch_thread, self._frames_thread):
                waited_s = (self._clock.monotonic_ns() - asked_ns) / 1e9
                thread.join(max(self._stop_s - waited_s, 0.01))
            if self._frames_thread.is_alive():
                self._log.error("left behind", because=f"it does not come back from {self._expected[0]}")
        for hand_over in self._hand_overs:
            hand_over.close()

    def ask_to_stop(self) -> int:
        """Tell it to stop, and do not wait: of several sources all are told before one is waited for.

        Returns:
            Monotonic time at which it was told first.
        """
        if self._asked_ns is None:
            self._asked_ns = self._clock.monotonic_ns()
            self._stopping.set()
            trouble = contain(self._interrupt)
            if trouble:
                self._log.warning("not interrupted", because=trouble)
        return self._asked_ns

    def health(self) -> StageHealth:
        """Return the books: frames captured, and what became of them up to the hand-over."""
        return self._books.health()

    def state(self) -> tuple[LinkState, str]:
        """Return how it is, and why."""
        return self._standing.now()

    def trouble(self) -> str:
        """Say why its frames do not come or cannot be trusted; "" while it is online."""
        return self._standing.now()[1]

    # ── the thread of the source ──────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._first_frame_ns = None
            trouble = contain(self._connect)
            if self._stopping.is_set():
                return
            if not trouble:
                self._standing.lost(OVER)
                self._end()
                return
            failures = 1 if self._was_steady() else failures + 1
            self._standing.lost(trouble)
            self._expect("its pause", self._backoff.max_s)
            self._stopping.wait(self._backoff.pause_s(failures))

    def _connect(self) -> None:
        """Open it and hand its frames over, until it is over.

        Raises:
            SourceLostError: It is lost.
        """
        self._expect("opening", self._open_s)
        with self._source.frames() as frames:
            self._looks.begin(now_ns=self._clock.monotonic_ns())
            self._expect("its first picture", self._open_s + self._silence_s)
            for frame in frames:
                if self._stopping.is_set():
                    return
                self._expect("a frame at our side", self._silence_s)
                self._pass_on(frame)
                self._expect("its next picture", self._silence_s)

    def _pass_on(self, frame: Frame) -> None:
        now_ns = self._clock.monotonic_ns()
        reason = contain(partial(self._looks.look, frame, now_ns=now_ns, claimed_fps=self._books.claimed_fps))
        for about, why in self._looks.conditions().items():
            self._standing.condition(about, why)
        if self._first_frame_ns is None:
            self._first_frame_ns = now_ns
            self._standing.connected()
        if reason:
            self._books.set_aside(f"frame {frame.sequence}", reason=reason)
            if self._looks.failed() >= JUDGING_FAILS_MAX:
                raise SourceLostError(f"{self.name}: {JUDGING_FAILS_MAX} frames in a row: {reason}")
            return
        withheld = self._looks.withheld
        if withheld:
            self._books.lost(withheld)
            return
        for hand_over in self._hand_overs:
            hand_over.put(frame)
        self._books.handed_over()

    def _was_steady(self) -> bool:
        first_ns = self._first_frame_ns
        return first_ns is not None and self._clock.monotonic_ns() - first_ns >= self._steady_ns

    def _end(self) -> None:
        """Nothing will come any more: whoever waits need not."""
        self._expect("", 0.0)
        for hand_over in self._hand_overs:
            hand_over.close()

    def _expect(self, what: str, within_s: float) -> None:
        """Note what this thread waits for; the watch reads it."""
        self._expected = what, within_s, self._clock.monotonic_ns()

    # ── the watch ─────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        period_s = min(_WATCH_EVERY_S, max(self._grace_s / 4, 0.01))
        while not self._stopping.wait(period_s):
            self.check()

    def check(self) -> None:
        """Say that the source hangs, where it does not come back; and that it no longer does."""
        what, within_s, since_ns = self._expected
        waited_s = (self._clock.monotonic_ns() - since_ns) / 1e9
        allowed_s = within_s + self._grace_s
        if what and waited_s > allowed_s:
            self._standing.hangs(f"it hangs: {what} takes longer than the {allowed_s:g} s it has")
        else:
            self._standing.hangs("")

    def _logged(self, say: Say) -> Say:
        def tell(state: LinkState, why: str) -> None:
            if state == "online":
                self._log.info("source", state=state)
            else:
                self._log.warning("source", state=state, because=why)
            say(state, why)

        return tell
